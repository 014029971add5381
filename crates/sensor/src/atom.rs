//! Atoms: what names a process or an event for ever. Source: reference/events.md section 2.

use aws_lc_rs::digest::{Context, SHA256};
use muster_model::Sid;

/// 16 bytes, never to be parsed.
pub type Atom = [u8; 16];

/// The atom of the process that started `start_ticks` after boot with this id; the
/// same after a restart of the sensor, another after the id is used again.
#[must_use]
pub fn of_process(sid: Option<Sid>, boot_id: &str, pid: u32, start_ticks: u64) -> Atom {
    let mut context = Context::new(&SHA256);
    if let Some(sid) = sid {
        context.update(sid.0.as_bytes());
    }
    context.update(boot_id.as_bytes());
    context.update(&pid.to_be_bytes());
    context.update(&start_ticks.to_be_bytes());
    let mut atom = [0; 16];
    atom.copy_from_slice(&context.finish().as_ref()[..16]);
    atom
}

/// An atom for anything else.
#[must_use]
pub fn random() -> Atom {
    *crate::random::uuid().as_bytes()
}

/// The published form: 32 lower-case hexadecimal digits.
#[must_use]
pub fn text(atom: &[u8]) -> String {
    atom.iter().map(|byte| format!("{byte:02x}")).collect()
}
