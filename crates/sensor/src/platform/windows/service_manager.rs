//! The sensor as a service: how it is started, what it tells of itself, how it hears that it is to stop, and its log.

use std::io::{self, Write};
use std::sync::mpsc;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};
use tokio::sync::Notify;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_sys::Win32::System::EventLog::{
    EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, REPORT_EVENT_TYPE,
};

use super::api;
use super::installation::SERVICE;

/// How long the manager waits for the next word while the sensor starts or stops.
const PATIENCE: Duration = Duration::from_secs(30);
/// What Windows says to a program that a person started.
const STARTED_BY_SOMEBODY_ELSE: i32 = 1063;

/// Wakes the sensor when the manager has it stop.
static STOP: Notify = Notify::const_new();
/// How the manager is told; only a service has it.
static MANAGER: OnceLock<Manager> = OnceLock::new();

struct Manager {
    handle: ServiceStatusHandle,
    state: RwLock<ServiceState>,
}

impl Manager {
    fn say(&self, state: ServiceState, is_well: bool) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        let accepts = match state {
            ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
            _ => ServiceControlAccept::empty(),
        };
        let is_pending = matches!(state, ServiceState::StartPending | ServiceState::StopPending);
        let status = ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: accepts,
            exit_code: if is_well { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(1) },
            checkpoint: 0,
            wait_hint: if is_pending { PATIENCE } else { Duration::ZERO },
            process_id: None,
        };
        if let Err(error) = self.handle.set_service_status(status) {
            tracing::warn!(%error, "the service manager cannot be told how the sensor is");
        }
    }
}

/// Runs the sensor as a service.
///
/// # Errors
///
/// That of `work`, or what Windows says.
pub fn serve(work: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<(), String> {
    let (tell, told) = mpsc::sync_channel(1);
    let begin = Box::new(move || {
        // Whoever waits for the outcome is there until it is told.
        let _ = tell.send(as_service(work));
    });
    match api::run_dispatcher(SERVICE, begin) {
        Ok(()) => told.recv().unwrap_or(Ok(())),
        Err(windows_service::Error::Winapi(error)) if error.raw_os_error() == Some(STARTED_BY_SOMEBODY_ELSE) => {
            Err("only the service manager starts a service; in the foreground it is `muster-sensor run`".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn as_service(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let hear = |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            if let Some(manager) = MANAGER.get() {
                manager.say(ServiceState::StopPending, true);
            }
            STOP.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let handle = service_control_handler::register(SERVICE, hear).map_err(|error| error.to_string())?;
    let manager = MANAGER.get_or_init(|| Manager { handle, state: RwLock::new(ServiceState::StartPending) });
    manager.say(ServiceState::StartPending, true);
    let ended = work();
    if let Err(text) = &ended {
        api::report_event(SERVICE, EVENTLOG_ERROR_TYPE, text);
    }
    manager.say(ServiceState::Stopped, ended.is_ok());
    ended
}

/// Tells the manager that started this program, if one did, that the sensor is up.
pub fn ready() {
    let Some(manager) = MANAGER.get() else { return };
    let is_starting = *manager.state.read().unwrap_or_else(PoisonError::into_inner) == ServiceState::StartPending;
    if is_starting {
        manager.say(ServiceState::Running, true);
        api::report_event(SERVICE, EVENTLOG_INFORMATION_TYPE, "the sensor is up");
    }
}

/// Hears that the sensor is to stop: from the service manager, or from a person at the console.
#[derive(Debug)]
pub struct Stopping {
    interrupt: Option<CtrlC>,
    stop: Option<CtrlBreak>,
    close: Option<CtrlClose>,
}

impl Stopping {
    /// Begins to listen; only within a runtime.
    #[must_use]
    pub fn listen() -> Self {
        Self { interrupt: ctrl_c().ok(), stop: ctrl_break().ok(), close: ctrl_close().ok() }
    }

    /// Waits until it is told. Cancel safe.
    pub async fn told(&mut self) {
        tokio::select! {
            () = STOP.notified() => {}
            () = heard(self.interrupt.as_mut().map(|word| word.recv())) => {}
            () = heard(self.stop.as_mut().map(|word| word.recv())) => {}
            () = heard(self.close.as_mut().map(|word| word.recv())) => {}
        }
    }
}

/// Waits for a word of a console; for ever where there is none.
async fn heard(word: Option<impl Future<Output = Option<()>>>) {
    if let Some(word) = word
        && word.await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Where a service writes its log: the event log.
#[must_use]
pub fn log() -> BoxMakeWriter {
    BoxMakeWriter::new(EventLog)
}

struct EventLog;

/// One line of the log, until it is whole.
struct Line {
    kind: REPORT_EVENT_TYPE,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for EventLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { kind: EVENTLOG_INFORMATION_TYPE, bytes: Vec::new() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        let kind = match *metadata.level() {
            Level::ERROR => EVENTLOG_ERROR_TYPE,
            Level::WARN => EVENTLOG_WARNING_TYPE,
            _ => EVENTLOG_INFORMATION_TYPE,
        };
        Line { kind, bytes: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            api::report_event(SERVICE, self.kind, String::from_utf8_lossy(&self.bytes).trim_end());
        }
    }
}
