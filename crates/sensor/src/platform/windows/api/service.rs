//! Services and their log.

use std::ffi::OsString;
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

use windows_service::{define_windows_service, service_dispatcher};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, REPORT_EVENT_TYPE, RegisterEventSourceW, ReportEventW,
};

use super::wide;

type Work = Box<dyn FnOnce() + Send>;

/// What the service does. Windows calls a function without arguments of ours.
static WORK: Mutex<Option<Work>> = Mutex::new(None);

define_windows_service!(enter, begin);

fn begin(_: Vec<OsString>) {
    if let Some(work) = WORK.lock().unwrap_or_else(PoisonError::into_inner).take() {
        work();
    }
}

/// Has the service manager, which started this program, do this work on a thread of its own; returns when it is done.
///
/// # Errors
///
/// What Windows says: most often that this program was started by somebody else.
pub fn run_dispatcher(service: &str, work: Work) -> windows_service::Result<()> {
    *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    service_dispatcher::start(service, enter)
}

/// Writes a text into the event log (`ReportEventW`). Nobody is left to tell when that fails.
pub fn report_event(source: &str, kind: REPORT_EVENT_TYPE, text: &str) {
    /// The only message that the source has: a text.
    const MESSAGE: u32 = 1;
    let (source, text) = (wide(source), wide(text.replace('\0', " ")));
    let texts = [text.as_ptr()];
    // SAFETY: all texts end with a zero and live until the calls return; the log is closed once.
    unsafe {
        let log = RegisterEventSourceW(null(), source.as_ptr());
        if !log.is_null() {
            ReportEventW(log, kind, 0, MESSAGE, null_mut(), 1, 0, texts.as_ptr(), null());
            DeregisterEventSource(log);
        }
    }
}
