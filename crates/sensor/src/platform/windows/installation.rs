//! The sensor as a service of Windows: install, replace, remove.
//!
//! Source: reference/sensor.md section 3.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use muster_wire::InstallationKey;
use tokio::time::Instant;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use winreg::HKLM;

use super::{api, files, host};
use crate::guard;
use crate::identity;
use crate::protection::{self, Remembered};
use crate::sensor::remove_state;
use crate::state_dir::{StateDir, write_atomically};

/// Root of the system that runs; Windows has no other.
pub const SYSTEM_ROOT: &str = "\\";
/// Where the sensor keeps what it must not lose, unless told.
pub const STATE_DIR: &str = r"C:\ProgramData\muster-sensor";
/// The service's name, and that of its log.
pub const SERVICE: &str = "muster-sensor";
/// Where Windows looks up what writes into which log.
const LOG_KEY: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\muster";
/// A program in the folder of Windows with a message that is a text and nothing else.
const LOG_MESSAGES: &str = r"System32\EventCreate.exe";
/// Errors, warnings and information.
const LOG_TYPES: u32 = 7;

/// How long the service may take to start or to stop.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Wait before the service is started again when it failed, and after which it counts as well.
const RESTART_AFTER: Duration = Duration::from_secs(5);
const WELL_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// What Windows says of a service that is not there.
const NO_SERVICE: i32 = 1060;

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
    #[error("there is no installed sensor")]
    Absent,
    /// The operator's protection is in force.
    #[error("the sensor is sealed or its endpoint isolated: an operator must unseal and rejoin it first")]
    Protected,
    /// The file system refused.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// The registry refused.
    #[error("the registry")]
    Registry(#[source] io::Error),
    /// The service manager refused.
    #[error("the service manager refused")]
    Manager(#[from] windows_service::Error),
    /// It takes too long.
    #[error("the service is not {0} after {1} s; the event log `muster` tells why")]
    Slow(&'static str, u64),
    /// The new program does not start.
    #[error("the new program does not start; the old one is back")]
    RolledBack(#[source] Box<InstallationError>),
}

/// An installed sensor, or the place for one.
#[derive(Debug)]
pub struct Installation {
    state_dir: PathBuf,
    objection: Option<&'static str>,
}

impl Installation {
    /// On this system, which alone can be its `root`.
    #[must_use]
    pub fn new(root: &Path, state_dir: &Path) -> Self {
        let elsewhere = (root != Path::new(SYSTEM_ROOT)).then_some("Windows can only be installed on while it runs");
        let plain = (!host::is_privileged()).then_some("installing needs an administrator");
        let objection = guard::objection().or(elsewhere).or(plain);
        Self { state_dir: state_dir.to_owned(), objection }
    }

    /// Installs this program as a service that enrols with `key`, and starts it.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`]; if it does not start, all is in place.
    pub fn install(&self, key: &InstallationKey) -> Result<(), InstallationError> {
        self.check()?;
        if open(ServiceAccess::QUERY_STATUS).is_ok() {
            return Err(InstallationError::Present);
        }
        let failed = |error| InstallationError::File(self.state_dir.clone(), error);
        let dir = StateDir::open(&self.state_dir).map_err(failed)?;
        // The identity itself is made at the first start: images are cloned before that.
        write_atomically(&dir.file(identity::KEY_FILE), key.to_text().as_bytes()).map_err(failed)?;
        let state_dir = dir.path().to_owned();
        // The service takes the directory over.
        drop(dir);
        put_program()?;
        name_log().map_err(InstallationError::Registry)?;
        let service = create(&state_dir)?;
        service.start::<&str>(&[])?;
        wait(&service, ServiceState::Running, "running")
    }

    /// Replaces the installed program by this one, and starts it anew; if it does not come up the old one is put back
    /// and started.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`].
    pub fn upgrade(&self) -> Result<(), InstallationError> {
        self.check()?;
        let service = open(ServiceAccess::QUERY_STATUS | ServiceAccess::START | ServiceAccess::STOP)?;
        let (program, old) = (program(), program().with_extension("old"));
        let failed = |error| InstallationError::File(program.clone(), error);
        stop(&service)?;
        fs::rename(&program, &old).map_err(failed)?;
        let start = || {
            service.start::<&str>(&[])?;
            wait(&service, ServiceState::Running, "running")
        };
        if let Err(error) = put_program().and_then(|()| start()) {
            stop(&service)?;
            fs::rename(&old, &program).map_err(failed)?;
            start()?;
            return Err(InstallationError::RolledBack(Box::new(error)));
        }
        fs::remove_file(&old).map_err(|error| InstallationError::File(old, error))
    }

    /// Removes service and program; with `is_clean` also identity, journal and all else that it stored.
    ///
    /// # Errors
    ///
    /// Any [`InstallationError`].
    pub fn remove(&self, is_clean: bool) -> Result<(), InstallationError> {
        self.check()?;
        let remembered = Remembered::load(&self.state_dir.join(protection::FILE)).unwrap_or_default();
        let boot_id = host::boot_id();
        if remembered.must_seal(&boot_id) || remembered.must_isolate(&boot_id) {
            return Err(InstallationError::Protected);
        }
        match open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE) {
            Ok(service) => {
                stop(&service)?;
                service.delete()?;
            }
            Err(InstallationError::Absent) if is_clean => {}
            Err(error) => return Err(error),
        }
        forget_log();
        let program = program();
        match fs::remove_file(&program) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(InstallationError::File(program, error));
            }
            _ => {}
        }
        if is_clean && self.state_dir.exists() {
            let dir = StateDir::open(&self.state_dir);
            remove_state(&dir.map_err(|error| InstallationError::File(self.state_dir.clone(), error))?);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), InstallationError> {
        self.objection.map_or(Ok(()), |objection| Err(InstallationError::NotAllowed(objection)))
    }
}

/// Removes the service from within: it is gone when it stops, and its program when the system starts anew.
///
/// # Errors
///
/// Any [`InstallationError`].
pub(super) fn forget() -> Result<(), InstallationError> {
    match open(ServiceAccess::DELETE) {
        Ok(service) => service.delete()?,
        Err(InstallationError::Absent) => return Ok(()),
        Err(error) => return Err(error),
    }
    forget_log();
    let program = program();
    api::remove_at_boot(&program).map_err(|error| InstallationError::File(program, error))
}

/// Where the program is.
fn program() -> PathBuf {
    let programs = std::env::var_os("ProgramFiles").unwrap_or_else(|| r"C:\Program Files".into());
    Path::new(&programs).join("muster").join("muster-sensor.exe")
}

fn put_program() -> Result<(), InstallationError> {
    let program = program();
    let fresh = program.with_extension("new");
    let put = || {
        let own = std::env::current_exe()?;
        program.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(own, &fresh)?;
        fs::OpenOptions::new().write(true).open(&fresh)?.sync_all()?;
        files::replace(&fresh, &program)
    };
    put().map_err(|error| InstallationError::File(program.clone(), error))
}

fn create(state_dir: &Path) -> Result<Service, InstallationError> {
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = ServiceManager::local_computer(None::<&str>, access)?;
    let facts = ServiceInfo {
        name: SERVICE.into(),
        display_name: "muster sensor".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: program(),
        launch_arguments: ["--service".into(), "--state-dir".into(), OsString::from(state_dir)].to_vec(),
        dependencies: Vec::new(),
        // The system itself.
        account_name: None,
        account_password: None,
    };
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::QUERY_STATUS;
    let service = manager.create_service(&facts, access)?;
    let again = ServiceAction { action_type: ServiceActionType::Restart, delay: RESTART_AFTER };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(WELL_AFTER),
        reboot_msg: None,
        command: None,
        actions: Some(vec![again; 3]),
    };
    if let Err(error) = service.update_failure_actions(actions) {
        eprintln!("muster-sensor: the service will not be started again when it fails: {error}");
    }
    Ok(service)
}

fn open(access: ServiceAccess) -> Result<Service, InstallationError> {
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT)?;
    manager.open_service(SERVICE, access).map_err(|error| match error {
        windows_service::Error::Winapi(error) if error.raw_os_error() == Some(NO_SERVICE) => InstallationError::Absent,
        error => error.into(),
    })
}

fn stop(service: &Service) -> Result<(), InstallationError> {
    if service.query_status()?.current_state != ServiceState::Stopped {
        service.stop()?;
    }
    wait(service, ServiceState::Stopped, "stopped")
}

fn wait(service: &Service, wanted: ServiceState, word: &'static str) -> Result<(), InstallationError> {
    let until = Instant::now() + CHANGE_MAX;
    loop {
        let state = service.query_status()?.current_state;
        if state == wanted {
            return Ok(());
        }
        // One that stopped will not start by itself.
        if Instant::now() >= until || (wanted == ServiceState::Running && state == ServiceState::Stopped) {
            return Err(InstallationError::Slow(word, CHANGE_MAX.as_secs()));
        }
        sleep(LOOK_EVERY);
    }
}

/// Gives the service an event log of its own.
fn name_log() -> io::Result<()> {
    let (source, _) = HKLM.create_subkey(format!("{LOG_KEY}\\{SERVICE}"))?;
    let windows = std::env::var("SystemRoot").unwrap_or_else(|_| r"C:\Windows".to_owned());
    source.set_value("EventMessageFile", &format!("{windows}\\{LOG_MESSAGES}"))?;
    source.set_value("TypesSupported", &LOG_TYPES)
}

fn forget_log() {
    if let Err(error) = HKLM.delete_subkey_all(LOG_KEY)
        && error.kind() != io::ErrorKind::NotFound
    {
        eprintln!("muster-sensor: the event log stays: {error}");
    }
}
