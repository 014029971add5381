//! Commands on the sensor itself and on the endpoint as a whole. Source: reference/commands.md
//! sections 6.8 and 6.10.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Failure, Fields, Job, Outcome, code, fields};
use crate::executor::ToSensor;
use crate::platform::{power, process, process_events};
use crate::protection;
use crate::spool;

pub(super) fn isolate(job: &Job) -> Outcome {
    protect(job, true)
}

pub(super) fn rejoin(job: &Job) -> Outcome {
    protect(job, false)
}

fn protect(job: &Job, isolate: bool) -> Outcome {
    protection::set_isolated(&job.tools, isolate)?;
    changed(job);
    Ok(Fields::new())
}

fn changed(job: &Job) {
    // Nobody is left to tell when the sensor stops.
    let _ = job.tools.to_sensor.blocking_send(ToSensor::ProtectionChanged);
}

pub(super) fn seal(job: &Job) -> Outcome {
    let is_sealed = !job.arguments.flag("disable");
    let unprotected = protection::set_sealed(&job.tools, is_sealed);
    changed(job);
    let mut reply = fields(json!({"SEAL_STATUS": {"ERROR": 0, "IS_DISABLED": u8::from(!is_sealed)}}));
    if !unprotected.is_empty() {
        reply.insert("ERROR_MESSAGE".to_owned(), format!("not protected: {}", unprotected.join("; ")).into());
    }
    Ok(reply)
}

/// The effect follows when the end of the task is durable; what can fail is looked at before.
pub(super) fn switch_off(_: &Job) -> Outcome {
    match power::objection() {
        None => Ok(Fields::new()),
        Some(objection) => Err(Failure::refused(code::ACCESS_DENIED, objection)),
    }
}

pub(super) fn uninstall(job: &Job) -> Outcome {
    if job.tools.is_sealed.load(Ordering::Relaxed) {
        return Err(Failure::refused(code::ACCESS_DENIED, "the sensor is sealed: unseal it first"));
    }
    Ok(Fields::new())
}

pub(super) fn debug_data(job: &Job) -> Outcome {
    let own = process::describe(std::process::id());
    let stats = *job.tools.stats.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(fields(json!({
        "PACKAGE_VERSION_STRING": env!("CARGO_PKG_VERSION"),
        "UPTIME": job.tools.begun.elapsed().as_secs(),
        "PROCESS_ID": std::process::id(),
        "MEMORY_USAGE": own.map_or(0, |own| own.memory_bytes),
        "KERNEL_ACQ_AVAILABLE": 0,
        "ACQUISITION_TIER": process_events::tier(job.tools.has_process_events.load(Ordering::Relaxed)),
        "LOSS_ACCOUNTING": {
            "LOSS_EVICTED_EVENTS": stats.losses.events,
            "LOSS_EVICTED_BYTES": stats.losses.bytes,
            "LOSS_REFUSED_EVENTS": stats.losses.refused_events,
            "LOSS_REFUSED_BYTES": stats.losses.refused_bytes,
            "LOSS_QUEUED_EVENTS": stats.queued_events,
            "LOSS_QUEUED_BYTES": stats.queued_bytes,
            "LOSS_MAX_EVENTS": spool::EVENTS_MAX,
            "LOSS_MAX_BYTES": spool::BYTES_MAX,
        },
    })))
}
