//! The sensor as a service of systemd: install, replace, remove.
//!
//! Source: reference/sensor.md section 3. Everything below a settable root, so that an
//! image can be prepared without starting anything on the machine that prepares it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::host;
use crate::guard;
use crate::identity;
use crate::protection::{self, Remembered};
use crate::sensor::remove_state;
use crate::state_dir::{StateDir, write_atomically};
use muster_wire::InstallationKey;

/// Root of the system that runs.
pub const SYSTEM_ROOT: &str = "/";
/// Where the sensor keeps what it must not lose, unless told. Source: reference/sensor.md section 3.
pub const STATE_DIR: &str = "/opt/limacharlie";
/// The service's name.
pub const SERVICE: &str = "muster-sensor.service";
/// Where the unit is.
pub const UNIT: &str = "/etc/systemd/system/muster-sensor.service";
/// What makes the unit start at boot.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/muster-sensor.service";
/// Where the program is.
const PROGRAM: &str = "/usr/local/sbin/muster-sensor";

/// Why the service cannot be installed, replaced or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallationError {
    /// It may not be done here.
    #[error("not on this machine: {0}")]
    NotAllowed(&'static str),
    /// There is one.
    #[error("there is an installed sensor: replace it with --upgrade, or remove it with --uninstall")]
    Present,
    /// There is none.
    #[error("there is no installed sensor: {0} is missing")]
    Absent(PathBuf),
    /// The operator's protection is in force.
    #[error("the sensor is sealed or its endpoint isolated: an operator must unseal and rejoin it first")]
    Protected,
    /// A path that a unit cannot hold.
    #[error("the state directory {0} must be an absolute path without control characters")]
    StateDir(PathBuf),
    /// The file system refused.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// The service manager refused.
    #[error("the service does not start; `journalctl -u muster-sensor` tells why")]
    Start(#[source] io::Error),
    /// The new program does not start.
    #[error("the new program does not start; the old one is back")]
    RolledBack(#[source] io::Error),
}

/// What no command of an operator needs. Everything else would take something away from them: the guide names it.
const HARDENING: &str = "KeyringMode=private\nLimitCORE=0\nLockPersonality=yes\nNotifyAccess=main\nRestrictRealtime=yes\n\
    RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET\nSystemCallFilter=~@obsolete @cpu-emulation\n\
    CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_BLOCK_SUSPEND CAP_LEASE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_SYS_PACCT \
    CAP_SYS_RAWIO CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM\n";

type Manager = Box<dyn Fn(&[&str]) -> io::Result<()>>;

/// An installed sensor, or the place for one.
pub struct Installation {
    root: PathBuf,
    /// As the service sees it.
    state_dir: PathBuf,
    /// The program to install.
    program: io::Result<PathBuf>,
    manager: Manager,
    objection: Option<&'static str>,
}

impl Installation {
    /// On the system below `root`; on [`SYSTEM_ROOT`] the service manager starts and stops the service.
    #[must_use]
    pub fn new(root: &Path, state_dir: &Path) -> Self {
        let is_running_system = root == Path::new(SYSTEM_ROOT);
        let not_root = (!host::is_privileged()).then_some("installing needs root");
        Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            program: std::env::current_exe(),
            manager: if is_running_system { Box::new(systemctl) } else { Box::new(|_| Ok(())) },
            objection: if is_running_system { guard::objection().or(not_root) } else { None },
        }
    }

    /// Installs this program as a service that enrols with `key`, and starts it.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`]; after [`InstallationError::Start`] the files are in place.
    pub fn install(&self, key: &InstallationKey) -> Result<(), InstallationError> {
        self.check()?;
        if self.below(UNIT).exists() {
            return Err(InstallationError::Present);
        }
        let unit = unit(&self.state_dir)?;
        let state_dir = self.below(&self.state_dir);
        let dir = StateDir::open(&state_dir).map_err(|error| InstallationError::File(state_dir, error))?;
        // The identity itself is made at the first start: images are cloned before that.
        let file = dir.file(identity::KEY_FILE);
        at(&file, write_atomically(&file, key.to_text().as_bytes()))?;
        // The service takes the directory over.
        drop(dir);
        self.put_program()?;
        let path = self.below(UNIT);
        at(&path, write_unit(&path, &unit))?;
        let wanted = self.below(WANTED);
        at(&wanted, link(&wanted))?;
        let started = (self.manager)(&["daemon-reload"]).and_then(|()| (self.manager)(&["start", SERVICE]));
        started.map_err(InstallationError::Start)
    }

    /// Replaces the installed program by this one, and starts it anew; if it does not
    /// come up the old one is put back and started.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`].
    pub fn upgrade(&self) -> Result<(), InstallationError> {
        self.check()?;
        let (path, old) = (self.below(PROGRAM), self.below(PROGRAM).with_extension("old"));
        for needed in [&self.below(UNIT), &path] {
            if !needed.exists() {
                return Err(InstallationError::Absent(needed.clone()));
            }
        }
        at(&old, fs::copy(&path, &old).and_then(|_| File::open(&old)?.sync_all()))?;
        self.put_program()?;
        if let Err(error) = (self.manager)(&["restart", SERVICE]) {
            at(&path, fs::rename(&old, &path))?;
            (self.manager)(&["restart", SERVICE]).map_err(InstallationError::Start)?;
            return Err(InstallationError::RolledBack(error));
        }
        at(&old, fs::remove_file(&old))
    }

    /// Removes service and program; with `is_clean` also identity, journal and all else that it stored.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`].
    pub fn remove(&self, is_clean: bool) -> Result<(), InstallationError> {
        self.check()?;
        let state_dir = self.below(&self.state_dir);
        let remembered = Remembered::load(&state_dir.join(protection::FILE)).unwrap_or_default();
        let boot_id = host::boot_id();
        if remembered.must_seal(&boot_id) || remembered.must_isolate(&boot_id) {
            return Err(InstallationError::Protected);
        }
        let unit = self.below(UNIT);
        if unit.exists() {
            (self.manager)(&["stop", SERVICE]).map_err(InstallationError::Start)?;
        } else if !is_clean {
            return Err(InstallationError::Absent(unit));
        }
        for path in [self.below(WANTED), unit, self.below(PROGRAM)] {
            at(&path, remove(&path))?;
        }
        // What is left of it is only in the manager's memory.
        let _ = (self.manager)(&["daemon-reload"]);
        if is_clean && state_dir.exists() {
            let dir = StateDir::open(&state_dir).map_err(|error| InstallationError::File(state_dir, error))?;
            remove_state(&dir);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), InstallationError> {
        self.objection.map_or(Ok(()), |objection| Err(InstallationError::NotAllowed(objection)))
    }

    fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn put_program(&self) -> Result<(), InstallationError> {
        let (path, fresh) = (self.below(PROGRAM), self.below(PROGRAM).with_extension("new"));
        let put = || {
            let own = self.program.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
            if *own == path {
                return Ok(());
            }
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::copy(own, &fresh)?;
            fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
            File::open(&fresh)?.sync_all()?;
            fs::rename(&fresh, &path)
        };
        at(&path, put())
    }
}

fn at<T>(path: &Path, done: io::Result<T>) -> Result<T, InstallationError> {
    done.map_err(|error| InstallationError::File(path.to_owned(), error))
}

fn write_unit(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    write_atomically(path, text.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

fn link(wanted: &Path) -> io::Result<()> {
    wanted.parent().map_or(Ok(()), fs::create_dir_all)?;
    remove(wanted)?;
    symlink(UNIT, wanted)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The unit. `Type=notify` makes the manager wait until the sensor has its files and its identity.
fn unit(state_dir: &Path) -> Result<String, InstallationError> {
    let text = state_dir.to_str().filter(|text| !text.contains(char::is_control) && state_dir.is_absolute());
    let text = text.ok_or_else(|| InstallationError::StateDir(state_dir.to_owned()))?;
    // Source: systemd.service(5), "Command lines": quotes, `%` and `$` have a meaning.
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!(
        "[Unit]\nDescription=muster sensor\nWants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nType=notify\nEnvironmentFile=-/etc/default/muster-sensor\n\
         ExecStart={PROGRAM} --service --state-dir \"{text}\"\nRestart=always\nRestartSec=5\n\
         {HARDENING}\n\
         [Install]\nWantedBy=multi-user.target\n"
    ))
}

fn systemctl(arguments: &[&str]) -> io::Result<()> {
    let mut command = Command::new("systemctl");
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "systemctl {}: {} {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

#[cfg(test)]
mod tests;
