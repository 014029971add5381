//! `muster doctor`: is everything in order, and if not, what to do.

use crate::cli::DataDirArg;
use crate::connection::{self, of_environment};
use crate::data_dir::DataDir;
use crate::show;
use crate::up::environment::Environment;
use muster_client::OrgError;
use muster_model::causes;
use muster_server::app;
use muster_server::pki::{self, Authority, PkiError, Standing, Validity};
use muster_server::sealing::{self, KeyFrom};
use muster_store::{Seal, Store, StoreError};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Less room on the disk than this is a reason to act: logs and checkpoints need it.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Open files for a few thousand sensors.
const FILES_MIN: u64 = 4_096;

/// No clock is right that stands before this program was written: 2025-01-01.
const CLOCK_MIN_S: i64 = 1_735_689_600;

/// Addresses of `muster up` when none are given.
const DEFAULT_ADDRESSES: [&str; 2] = ["127.0.0.1:8443", "127.0.0.1:8080"];

/// What to look at.
#[derive(clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    what: &'static str,
    /// How it stands, and what to do.
    text: String,
}

/// Looks at everything.
///
/// # Errors
///
/// If something is broken; warnings are none.
pub async fn run(args: &DoctorArgs, json: bool) -> anyhow::Result<()> {
    let data_dir = &args.data_dir.data_dir;
    let mut findings = Findings::default();
    findings.clock(data_dir);
    findings.files();
    findings.console();
    if data_dir.join("muster.db").exists() {
        let is_running = DataDir::is_taken(data_dir);
        findings.folder(data_dir);
        findings.disk(data_dir);
        let seal = findings.sealing_key(data_dir);
        findings.store(data_dir, seal.as_ref());
        findings.certificates(data_dir, seal.as_ref(), is_running).await;
        if is_running { findings.server(data_dir).await } else { findings.ports() }
    } else {
        let text = format!("{} holds no server yet; `muster up` makes one", data_dir.display());
        findings.add(Verdict::Warn, "data directory", text);
        findings.ports();
    }
    if json {
        show::json(&findings.0);
    } else {
        for Finding { verdict, what, text } in &findings.0 {
            let word = format!("{verdict:?}").to_ascii_lowercase();
            show::line(format_args!("{word:4}  {what}: {text}"));
        }
    }
    let broken = findings.0.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
    if broken > 0 { anyhow::bail!("{broken} of {} checks failed", findings.0.len()) } else { Ok(()) }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, what: &'static str, text: impl Into<String>) {
        self.0.push(Finding { verdict, what, text: text.into() });
    }

    fn clock(&mut self, data_dir: &Path) {
        let now_s = show::now_s();
        let written = fs::metadata(data_dir.join(crate::up::environment::FILE)).and_then(|file| file.modified());
        let since = written.ok().and_then(|written| written.duration_since(UNIX_EPOCH).ok());
        let is_ahead = since.is_some_and(|since| since.as_secs() > now_s.unsigned_abs());
        if now_s < CLOCK_MIN_S || is_ahead {
            let text =
                format!("it says {}, which has passed already: set it, and keep it right with NTP", show::time(now_s));
            self.add(Verdict::Fail, "clock", text);
        } else {
            self.add(Verdict::Ok, "clock", show::time(now_s));
        }
    }

    fn console(&mut self) {
        match muster_console::is_built() {
            true => self.add(Verdict::Ok, "console", "in this build"),
            false => self.add(Verdict::Warn, "console", "not in this build; ./up builds it"),
        }
    }

    fn files(&mut self) {
        // A server takes as many as it is allowed.
        match getrlimit(Resource::Nofile).maximum {
            Some(limit) if limit < FILES_MIN => self.add(
                Verdict::Warn,
                "open files",
                format!(
                    "at most {limit}, and each sensor that is online needs one: raise it (ulimit -Hn, LimitNOFILE=)"
                ),
            ),
            limit => {
                let text = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("at most {limit}"));
                self.add(Verdict::Ok, "open files", text);
            }
        }
    }

    fn folder(&mut self, data_dir: &Path) {
        let secrets = ["", "env", "muster.db", "pki/ca-key.pem", sealing::KEY_FILE];
        let is_open = |path: &&&str| {
            let metadata = fs::metadata(data_dir.join(path));
            metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
        };
        let open: Vec<String> =
            secrets.iter().filter(is_open).map(|path| data_dir.join(path).display().to_string()).collect();
        if open.is_empty() {
            self.add(Verdict::Ok, "data directory", format!("{}, only its owner can look into it", data_dir.display()));
        } else {
            let text = format!("others can look into {}: chmod -R go= {}", open.join(", "), data_dir.display());
            self.add(Verdict::Warn, "data directory", text);
        }
    }

    fn disk(&mut self, data_dir: &Path) {
        match rustix::fs::statvfs(data_dir) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                let text = format!("{} free", show::bytes(free));
                if free < FREE_BYTES_MIN {
                    self.add(Verdict::Warn, "disk", format!("{text}; make room, or lower limits.retention_bytes"));
                } else {
                    self.add(Verdict::Ok, "disk", text);
                }
            }
            Err(error) => self.add(Verdict::Warn, "disk", format!("cannot tell its free room: {error}")),
        }
    }

    /// The key of what is sealed, if it is here.
    fn sealing_key(&mut self, data_dir: &Path) -> Option<Seal> {
        let path = data_dir.join(sealing::KEY_FILE);
        let sealed_by = Store::sealed_by(&data_dir.join("muster.db")).ok().flatten();
        let read = path.exists().then(|| sealing::read(&KeyFrom::File(path.clone())));
        match (read, sealed_by) {
            (Some(Ok(seal)), Some(name)) if name == seal.name() => {
                let text = format!("key {name}, {}: keep a copy of it apart from the backups", path.display());
                self.add(Verdict::Ok, "sealing", text);
                Some(seal)
            }
            (Some(Ok(seal)), Some(name)) => {
                let text = format!(
                    "{} is the key {}, and the database is sealed by {name}: put that one back",
                    path.display(),
                    seal.name()
                );
                self.add(Verdict::Fail, "sealing", text);
                None
            }
            (Some(Err(error)), _) => {
                self.add(Verdict::Fail, "sealing", causes(&error));
                None
            }
            (None, Some(name)) => {
                let text = format!(
                    "by the key {name}, which is not in this directory: records and the key of the CA were not looked at"
                );
                self.add(Verdict::Warn, "sealing", text);
                None
            }
            (_, None) => {
                self.add(Verdict::Warn, "sealing", "secrets are in the clear: the next start of the server seals them");
                None
            }
        }
    }

    fn store(&mut self, data_dir: &Path, seal: Option<&Seal>) {
        let path = data_dir.join("muster.db");
        match Store::check_file(&path) {
            Ok(()) => {
                let size = fs::metadata(&path).map_or(0, |file| file.len());
                self.add(Verdict::Ok, "store", format!("sound, {}", show::bytes(size)));
            }
            Err(error) => return self.add(Verdict::Fail, "store", error.to_string()),
        }
        match Store::read_file(&path, seal, app::damaged) {
            // Said already.
            Err(StoreError::Sealed { .. }) => {}
            Ok(damaged) => {
                for row in damaged {
                    self.add(Verdict::Fail, "stored row", format!("{}: {}", row.component(), row.text()));
                }
            }
            Err(error) => self.add(Verdict::Fail, "store", error.to_string()),
        }
    }

    /// The authority on disk, and the certificate that a running server shows.
    async fn certificates(&mut self, data_dir: &Path, seal: Option<&Seal>, is_running: bool) {
        let authority = match Authority::read(data_dir, seal) {
            Ok(authority) => authority,
            Err(PkiError::Sealed { .. }) if seal.is_none() => return,
            Err(error) => return self.add(Verdict::Fail, "private CA", causes(&error)),
        };
        let folder = data_dir.join("pki");
        let advice = format!("{} ({})", pki::REPLACE_AUTHORITY, folder.display());
        self.validity("private CA", authority.validity, &advice);
        if !is_running {
            return;
        }
        let advice = pki::RENEW_CERTIFICATE;
        let url = Environment::read(data_dir)
            .ok()
            .flatten()
            .and_then(|environment| Some(environment.get("MUSTER_URL")?.to_owned()));
        let address = url.and_then(|url| url.strip_prefix("https://")?.parse::<SocketAddr>().ok());
        let Some(address) = address else { return };
        match pki::served_certificate(address, &authority.certificate).await {
            Err(error) => self.add(
                Verdict::Fail,
                "server certificate",
                format!("a sensor would not trust {address}: {error}; {advice}"),
            ),
            Ok(certificate) => match Validity::of(&certificate) {
                Some(validity) => self.validity("server certificate", validity, advice),
                None => self.add(Verdict::Fail, "server certificate", format!("it cannot be read; {advice}")),
            },
        }
    }

    fn validity(&mut self, what: &'static str, validity: Validity, advice: &str) {
        let until = show::time(validity.until.as_secs());
        match validity.standing(muster_server::clock::now()) {
            Standing::Valid(days) => self.add(Verdict::Ok, what, format!("valid for {days} more days, until {until}")),
            Standing::Ending(days) => {
                self.add(Verdict::Warn, what, format!("expires in {days} days, at {until}: {advice}"))
            }
            Standing::Expired => self.add(Verdict::Fail, what, format!("expired at {until}: {advice}")),
            Standing::NotYet => {
                let text = format!("not valid before {}: the clock is wrong", show::time(validity.from.as_secs()));
                self.add(Verdict::Fail, what, text);
            }
        }
    }

    /// A server that does not run needs free ports.
    fn ports(&mut self) {
        for text in DEFAULT_ADDRESSES {
            let Ok(address) = text.parse::<SocketAddr>() else { continue };
            match TcpListener::bind(address) {
                Ok(_) => self.add(Verdict::Ok, "port", format!("{text} is free")),
                Err(error) => self.add(
                    Verdict::Warn,
                    "port",
                    format!("{text} cannot be used ({error}): give `muster up` others with --listen and --http"),
                ),
            }
        }
    }

    /// A server that runs is asked by both of its addresses, with its own credentials.
    /// What went wrong when nobody was there: clones, strangers, outputs, rules.
    fn organization(&mut self, errors: &[OrgError]) {
        for OrgError { component, error, ts, .. } in errors {
            let text = format!("{}: {} (at {})", show::safe(component), show::safe(error), show::time(*ts));
            self.add(Verdict::Warn, "organization", text);
        }
    }

    async fn server(&mut self, data_dir: &Path) {
        let environment = match Environment::read(data_dir) {
            Ok(Some(environment)) => environment,
            Ok(None) => return self.add(Verdict::Warn, "server", "it starts just now: try again"),
            Err(error) => return self.add(Verdict::Fail, "server", format!("{error:#}")),
        };
        for name in ["MUSTER_URL", "LC_API_URL"] {
            let variable =
                |wanted: &str| environment.get(if wanted == "LC_API_URL" { name } else { wanted }).map(str::to_owned);
            let Some(profile) = of_environment(&variable) else { continue };
            let url = profile.url.clone();
            let asked = match connection::of_profile(profile) {
                Ok(client) => client.organization_errors().await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            if let Ok(errors) = &asked
                && name == "LC_API_URL"
            {
                self.organization(errors);
            }
            match asked {
                Ok(_) => self.add(Verdict::Ok, "server", format!("answers at {url}")),
                Err(error) => self.add(Verdict::Fail, "server", format!("runs, but does not serve {url}: {error:#}")),
            }
        }
    }
}
