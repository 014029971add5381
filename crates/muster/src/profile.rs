//! Profiles: servers and keys that are used often, in `~/.config/muster/config.toml`.

use crate::connection::{self, Global, Source};
use crate::exit::Usage;
use crate::show;
use crate::up::environment::Environment;
use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// The profile that is used when none is named.
const DEFAULT: &str = "default";

/// One server and one key.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Root of the API.
    pub url: String,
    /// Organization id.
    pub oid: String,
    /// API key.
    pub api_key: String,
    /// PEM file of the authorities to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// User id, with user keys only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile({}, {})", self.url, self.oid)
    }
}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// Name of the profile that is used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Profiles by their name.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Where the file is; `None` without a home directory.
    pub fn path() -> Option<PathBuf> {
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
        Some(config.join("muster").join("config.toml"))
    }

    /// Reads a file; empty if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not what this program writes.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
        };
        if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
            let path = path.display();
            eprintln!("muster: others may read {path}, which holds API keys; mend it: chmod 600 {path}");
        }
        toml::from_str(&text).with_context(|| format!("{} is not a profile file", path.display()))
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let fresh = path.with_extension("new");
        let text = toml::to_string(self)?;
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let _ = fs::remove_file(&fresh);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The profile of a name, or the one in use.
    ///
    /// # Errors
    ///
    /// If a name is given and there is no such profile.
    pub fn choose(&self, name: Option<&str>) -> anyhow::Result<Option<&Profile>> {
        let chosen = name.or(self.current.as_deref()).unwrap_or(DEFAULT);
        match self.profiles.get(chosen) {
            Some(profile) => Ok(Some(profile)),
            None if name.is_none() => Ok(None),
            None => {
                let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
                let known = if names.is_empty() { "there is none yet".to_owned() } else { names.join(", ") };
                Err(Usage(format!("no profile {chosen}; {known}")).into())
            }
        }
    }
}

/// What to do with profiles.
#[derive(clap::Subcommand)]
pub enum ProfileVerb {
    /// Show where the credentials in use come from, and all profiles
    #[command(visible_alias = "list")]
    Show,
    /// Keep the server and key given by --url, --oid, --api-key (or an env file) under a name
    ///
    ///   muster profile add lab --from ./muster-data/env
    ///   muster profile add prod --url https://muster.example:8443 --oid OID --api-key KEY --ca-file ca.pem
    #[command(verbatim_doc_comment)]
    Add {
        /// Name of the profile; the first one added is in use
        name: String,
        /// Take everything from the env file of a `muster up`
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Use a profile from now on
    Use {
        /// Name of the profile
        name: String,
    },
    /// Forget a profile
    Remove {
        /// Name of the profile
        name: String,
    },
}

/// Carries it out.
///
/// # Errors
///
/// If the file cannot be read or written, or there is no such profile.
pub fn run(verb: ProfileVerb, global: &Global) -> anyhow::Result<()> {
    let path = Profiles::path().ok_or_else(|| anyhow!("HOME is not set, so there is no place for profiles"))?;
    let mut profiles = Profiles::read(&path)?;
    match verb {
        ProfileVerb::Show => {
            show_all(&profiles, global);
            return Ok(());
        }
        ProfileVerb::Add { name, from } => {
            let profile = match from {
                Some(file) => from_environment(&file)?,
                None => connection::resolve(global)?.0,
            };
            profiles.profiles.insert(name.clone(), profile);
            profiles.current.get_or_insert(name);
        }
        ProfileVerb::Use { name } => {
            profiles.choose(Some(&name))?;
            profiles.current = Some(name);
        }
        ProfileVerb::Remove { name } => {
            profiles.choose(Some(&name))?;
            profiles.profiles.remove(&name);
            profiles.current = profiles.current.filter(|current| *current != name);
        }
    }
    profiles.write(&path)
}

fn show_all(profiles: &Profiles, global: &Global) {
    match connection::resolve(global) {
        Ok((profile, source)) => {
            show::line(format_args!("In use: {} at {}, from {source}", profile.oid, profile.url));
        }
        Err(error) => show::line(format_args!("In use: none ({error})")),
    }
    let row = |(name, profile): (&String, &Profile)| {
        let mark = if profiles.current.as_deref() == Some(name) { "*" } else { "" };
        vec![mark.to_owned(), name.clone(), profile.url.clone(), profile.oid.clone()]
    };
    show::table(&["", "PROFILE", "SERVER", "ORGANIZATION"], profiles.profiles.iter().map(row), "No profiles.");
}

fn from_environment(file: &Path) -> anyhow::Result<Profile> {
    let environment = Environment::read_file(file)?
        .ok_or_else(|| Usage(format!("there is no file {}; `muster up` makes one", file.display())))?;
    connection::of_environment(&|name| environment.get(name).map(str::to_owned))
        .ok_or_else(|| Usage(format!("{} names no API key", file.display())).into())
}

/// Where credentials of the profile file come from, in words.
pub fn source(name: Option<&str>, profiles: &Profiles) -> Source {
    Source::Profile(name.or(profiles.current.as_deref()).unwrap_or(DEFAULT).to_owned())
}
