//! The key that seals: a file that only the server's user can read, or what a command of the operator says.
//!
//! It seals configuration records and the key of the private CA ([`Seal`]). Whoever has the database alone, such as a
//! backup of it, has none of their secrets.

use crate::random;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_store::{SEAL_KEY_BYTES, Seal, Store, StoreError};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Name of the key file in the data directory, where the configuration names no other.
pub const KEY_FILE: &str = "sealing.key";

/// A command that has not said the key by then does not know it.
const COMMAND_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether a command has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longest file or answer that is read, in bytes; a key has 44.
const TEXT_BYTES_MAX: u64 = 1_024;

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// A file, which is made for a database that is not sealed yet.
    File(PathBuf),
    /// A program with its arguments, which writes the key to its standard output.
    Command(Vec<String>),
}

impl KeyFrom {
    /// The file in a data directory.
    #[must_use]
    pub fn beside(data_dir: &Path) -> Self {
        Self::File(data_dir.join(KEY_FILE))
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database is sealed, and the file is gone.
    #[error(
        "{path} is missing, and the database is sealed by it (key {name}); put it back from where it is kept apart from the backups: without it nobody reads the keys and secrets of this server"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// Name of the key.
        name: String,
    },
    /// The file cannot be read or made.
    #[error("the sealing key {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could have written or read the file.
    #[error("the sealing key {path} {what}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is the matter, and what to do.
        what: String,
    },
    /// It is not a key.
    #[error("{whence} is no sealing key: that is {SEAL_KEY_BYTES} bytes in base64")]
    NoKey {
        /// From where it comes.
        whence: String,
    },
    /// The command does not say it.
    #[error("the command for the sealing key, {program}, {what}")]
    Command {
        /// The program.
        program: String,
        /// What it did.
        what: String,
    },
    /// The database cannot be looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key for a database. A file is made where the database is not sealed yet.
///
/// # Errors
///
/// [`Error`] says what to mend.
pub fn key_for(database: &Path, from: &KeyFrom) -> Result<Seal, Error> {
    let path = match from {
        KeyFrom::File(path) => path,
        KeyFrom::Command(_) => return read(from),
    };
    if !path.try_exists().map_err(|source| Error::File { path: path.clone(), source })? {
        let sealed_by = if database.exists() { Store::sealed_by(database)? } else { None };
        match sealed_by {
            Some(name) => return Err(Error::Missing { path: path.clone(), name }),
            None => make(path).map_err(|source| Error::File { path: path.clone(), source })?,
        }
    }
    read(from)
}

/// The key, of a file that is there or of a command.
///
/// # Errors
///
/// [`Error`] says what to mend.
pub fn read(from: &KeyFrom) -> Result<Seal, Error> {
    let (text, whence) = match from {
        KeyFrom::File(path) => (read_private(path)?, path.display().to_string()),
        KeyFrom::Command(words) => (said_by(words)?, format!("what {} says", words.join(" "))),
    };
    Seal::of_text(&text).ok_or(Error::NoKey { whence })
}

fn make(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{}", STANDARD.encode(random::bytes::<SEAL_KEY_BYTES>()))?;
    file.sync_all()?;
    // What is sealed by it must not outlive it.
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// A file that nobody else can have written, or can read.
fn read_private(path: &Path) -> Result<String, Error> {
    let at = |source| Error::File { path: path.to_owned(), source };
    require_private(path, &fs::symlink_metadata(path).map_err(at)?)?;
    text_of(fs::File::open(path).map_err(at)?).map_err(at)
}

#[cfg(unix)]
fn require_private(path: &Path, file: &fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    let open = |what: String| Err(Error::Open { path: path.to_owned(), what });
    match file {
        _ if !file.is_file() => open("is not a file: name the file itself".to_owned()),
        _ if file.mode() & 0o077 != 0 => open(format!("can be read by others: chmod 600 {}", path.display())),
        _ if ![0, user].contains(&file.uid()) => {
            open(format!("belongs to user {} and the server runs as {user}: change its owner", file.uid()))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn require_private(_path: &Path, _file: &fs::Metadata) -> Result<(), Error> {
    Ok(())
}

fn text_of(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(TEXT_BYTES_MAX).read_to_string(&mut text).map(|_| text)
}

/// What a command writes. Its answer fits into the buffer of a pipe, so that it is read once the command has ended.
#[expect(clippy::disallowed_methods, reason = "a program of others lasts in real time")]
fn said_by(words: &[String]) -> Result<String, Error> {
    let (program, arguments) = words.split_first().map_or(("", words), |(program, rest)| (program.as_str(), rest));
    let failed = |what: String| Error::Command { program: program.to_owned(), what };
    let spawned = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| failed(format!("cannot be started: {error}")))?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| failed(format!("cannot be waited for: {error}")))? {
            Some(status) => break status,
            None if began.elapsed() < COMMAND_MAX => std::thread::sleep(LOOK_EVERY),
            None => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(failed(format!("did not end within {} s", COMMAND_MAX.as_secs())));
            }
        }
    };
    if !status.success() {
        return Err(failed(format!("failed ({status}); what it wrote to its standard error says why")));
    }
    let said = child.stdout.take().ok_or_else(|| failed("said nothing".to_owned()))?;
    text_of(said).map_err(|error| failed(format!("said what is no text: {error}")))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn two_5_a_key_file_is_made_once_and_never_for_a_database_that_is_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let (database, path) = (folder.path().join("muster.db"), folder.path().join(KEY_FILE));
        let from = KeyFrom::beside(folder.path());
        let seal = key_for(&database, &from).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(key_for(&database, &from).unwrap().name(), seal.name());
        let options = muster_store::Options { path: database.clone(), bytes_max: None, seal: Some(seal) };
        Store::open(options).unwrap().close();
        fs::remove_file(&path).unwrap();
        let missing = key_for(&database, &from).unwrap_err().to_string();
        assert!(missing.contains("sealing.key is missing") && !path.exists(), "{missing}");
    }

    #[test]
    fn two_5_a_key_file_that_others_can_read_or_that_is_a_link_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let from = KeyFrom::beside(folder.path());
        key_for(&folder.path().join("muster.db"), &from).unwrap();
        let path = folder.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&from).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&KeyFrom::File(link)).unwrap_err().to_string().contains("name the file itself"));
        fs::write(&path, "short").unwrap();
        assert!(read(&from).unwrap_err().to_string().contains("32 bytes in base64"));
    }

    #[test]
    fn two_5_a_command_can_say_the_key() {
        let said = |words: &[&str]| {
            let from = KeyFrom::Command(words.iter().map(|word| (*word).to_owned()).collect());
            read(&from).map(|seal| seal.name()).map_err(|error| error.to_string())
        };
        let key = STANDARD.encode([7; SEAL_KEY_BYTES]);
        assert_eq!(said(&["echo", &key]), Ok(Seal::of_bytes(&[7; SEAL_KEY_BYTES]).unwrap().name()));
        assert!(said(&["false"]).unwrap_err().contains("failed"));
        assert!(said(&["echo", "nothing"]).unwrap_err().contains("no sealing key"));
        assert!(said(&["/no/such/program"]).unwrap_err().contains("cannot be started"));
    }
}
