//! Which server, and with which key.
//!
//! All credentials come from one place, so that a key is never sent to a server
//! it does not belong to: a profile that is named, else the environment, else the
//! profile in use, else `./muster-data/env`. Single options override single values.

use crate::exit::Usage;
use crate::profile::{self, Profile, Profiles};
use crate::up::environment::Environment;
use anyhow::Context as _;
use muster_client::{Client, Settings};
use std::fmt;
use std::path::{Path, PathBuf};

/// Data directory of a `muster up` that was started here.
const DATA_DIR: &str = "muster-data";

/// Options that every command takes.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Server and output")]
pub struct Global {
    /// Print the API's JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// Use this profile (see `muster profile`)
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Root of the API [env: LC_API_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Organization id [env: LC_OID]
    #[arg(long, global = true)]
    pub oid: Option<String>,
    /// API key [env: LC_API_KEY, which other users of this machine cannot see]
    #[arg(long, global = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Trust only the certificate authorities in this PEM file [env: SSL_CERT_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl Global {
    /// The same for a command whose own `--url` is of something else: the server is then that of the profile or the
    /// environment.
    pub fn without_url(&self) -> Self {
        Self { url: None, ..self.clone() }
    }
}

/// Where credentials come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Options of the command line alone.
    Options,
    /// Variables.
    Environment,
    /// A profile of this name.
    Profile(String),
    /// The env file of a data directory.
    DataDir(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options => f.write_str("the command line"),
            Self::Environment => f.write_str("the environment (LC_API_KEY)"),
            Self::Profile(name) => write!(f, "the profile {name}"),
            Self::DataDir(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Finds the server and the key.
///
/// # Errors
///
/// Says how to give what is missing.
pub fn resolve(global: &Global) -> anyhow::Result<(Profile, Source)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let profiles = Profiles::path().map(|path| Profiles::read(&path)).transpose()?.unwrap_or_default();
    choose(global, &variable, &profiles, Path::new(DATA_DIR))
}

fn choose(
    global: &Global,
    variable: &dyn Fn(&str) -> Option<String>,
    profiles: &Profiles,
    data_dir: &Path,
) -> anyhow::Result<(Profile, Source)> {
    let named = global.profile.as_deref();
    let of_profile = |name| {
        Ok::<_, anyhow::Error>(profiles.choose(name)?.cloned().map(|found| (found, profile::source(name, profiles))))
    };
    let mut found = match named {
        Some(_) => of_profile(named)?,
        None => of_environment(variable).map(|profile| (profile, Source::Environment)),
    };
    if found.is_none() {
        found = of_profile(None)?;
    }
    if found.is_none() {
        let environment = Environment::read(data_dir)?;
        let profile =
            environment.and_then(|environment| of_environment(&|name| environment.get(name).map(str::to_owned)));
        found = profile.map(|profile| (profile, Source::DataDir(data_dir.join(crate::up::environment::FILE))));
    }
    let (mut profile, source) = found.unwrap_or((Profile::default(), Source::Options));
    let replace = |value: &mut String, option: &Option<String>| {
        if let Some(given) = option {
            value.clone_from(given);
        }
    };
    replace(&mut profile.url, &global.url);
    replace(&mut profile.oid, &global.oid);
    replace(&mut profile.api_key, &global.api_key);
    if global.ca_file.is_some() {
        profile.ca_file.clone_from(&global.ca_file);
    }
    let missing: Vec<&str> = [("--url", &profile.url), ("--oid", &profile.oid), ("--api-key", &profile.api_key)]
        .into_iter()
        .filter_map(|(name, value)| value.is_empty().then_some(name))
        .collect();
    if missing.is_empty() {
        return Ok((profile, source));
    }
    Err(Usage(format!(
        "no credentials ({} missing): source the env file of a `muster up`, or add a profile (muster profile add)",
        missing.join(", ")
    ))
    .into())
}

/// Credentials out of variables; `None` if they name no API key.
pub fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Option<Profile> {
    Some(Profile {
        api_key: variable("LC_API_KEY")?,
        url: variable("LC_API_URL").unwrap_or_default(),
        oid: variable("LC_OID").unwrap_or_default(),
        ca_file: variable("SSL_CERT_FILE").map(PathBuf::from),
        uid: variable("LC_UID"),
    })
}

/// A client with the credentials that were found.
///
/// # Errors
///
/// As [`resolve`], or if they cannot be used.
pub fn client(global: &Global) -> anyhow::Result<Client> {
    let (profile, source) = resolve(global)?;
    of_profile(profile).with_context(|| format!("credentials of {source}"))
}

/// A client of a profile.
///
/// # Errors
///
/// If its address or certificate file cannot be used.
pub fn of_profile(profile: Profile) -> anyhow::Result<Client> {
    Ok(Client::new(Settings {
        url: profile.url,
        oid: profile.oid,
        api_key: profile.api_key,
        uid: profile.uid,
        ca_file: profile.ca_file,
        user_agent: concat!("muster/", env!("CARGO_PKG_VERSION")).into(),
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles() -> Profiles {
        let profile = |key: &str| Profile {
            url: format!("https://{key}.example"),
            oid: "o".into(),
            api_key: key.into(),
            ..Profile::default()
        };
        let named = [("a", profile("key-a")), ("b", profile("key-b"))];
        Profiles {
            current: Some("a".into()),
            profiles: named.into_iter().map(|(name, profile)| (name.to_owned(), profile)).collect(),
        }
    }

    /// A key must only ever go to the server it was given with: values of two places are never mixed.
    #[test]
    fn credentials_come_from_one_place_in_order() {
        let nowhere = Path::new("/nonexistent");
        let unset = |_: &str| None;
        let variables = |name: &str| match name {
            "LC_API_KEY" => Some("key-env".to_owned()),
            "LC_API_URL" => Some("https://env.example".to_owned()),
            "LC_OID" => Some("o".to_owned()),
            _ => None,
        };
        let key = |global: &Global, variable: &dyn Fn(&str) -> Option<String>| {
            choose(global, variable, &profiles(), nowhere).map(|(profile, _)| (profile.api_key, profile.url)).unwrap()
        };
        let pair = |key: &str| {
            (
                format!("key-{key}"),
                if key == "env" { "https://env.example".into() } else { format!("https://key-{key}.example") },
            )
        };
        let plain = Global::default();
        let named = Global { profile: Some("b".into()), ..Global::default() };
        assert_eq!(key(&plain, &unset), pair("a"));
        assert_eq!(key(&plain, &variables), pair("env"));
        assert_eq!(key(&named, &variables), pair("b"));

        let only_key = |name: &str| (name == "LC_API_KEY").then(|| "key-env".to_owned());
        let error = choose(&plain, &only_key, &profiles(), nowhere).unwrap_err().to_string();
        assert!(error.contains("--url, --oid missing"), "{error}");
    }
}
