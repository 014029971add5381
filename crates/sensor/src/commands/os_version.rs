//! `os_version`.

use serde_json::json;

use super::{Fields, Job, Outcome, fields};
use crate::platform::{host, system};

pub(super) fn os_version(_: &Job) -> Outcome {
    let version = system::version();
    let mut reply: Fields = fields(json!({
        "OS_NAME": version.name,
        "OS_VERSION": version.version,
        "OS_ID": version.id,
        "BUILD_NUMBER": version.build,
        "ARCHITECTURE": host::ARCHITECTURE.name(),
        "KERNEL_VERSION": version.kernel,
        "HOST_NAME": host::hostname(),
    }));
    // Absent is better than empty. Source: reference/events.md section 3.
    reply.retain(|_, value| value.as_str() != Some(""));
    Ok(reply)
}
