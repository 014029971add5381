//! What the sensor reports about the host.

use std::fs;

use muster_model::{Architecture, Platform};
use rustix::time::{ClockId, clock_gettime};

/// Product ids that mean nothing: many machines carry them.
const PLACEHOLDER_IDS: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "03000200-0400-0500-0006-000700080009",
];

/// The platform of this build.
pub const PLATFORM: Platform = Platform::LINUX;

/// The architecture of this build.
pub const ARCHITECTURE: Architecture = if cfg!(target_arch = "x86_64") {
    Architecture::X64
} else if cfg!(target_arch = "aarch64") {
    Architecture::ARM64
} else if cfg!(target_arch = "arm") {
    Architecture(3)
} else {
    Architecture(1)
};

/// Milliseconds since boot, suspension included.
#[must_use]
pub fn boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let ms = time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

/// Random id of this boot.
#[must_use]
pub fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Local host name.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the sensor may do what only administrators may.
#[must_use]
pub fn is_privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// MAC of the interface of the default route, upper-case hex joined by `-`.
#[must_use]
pub fn mac_address() -> String {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let default = routes.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let interface = columns.next()?;
        (columns.next()? == "00000000").then(|| interface.to_owned())
    });
    let mac = default.and_then(|interface| read(&format!("/sys/class/net/{interface}/address")));
    mac.unwrap_or_default().to_ascii_uppercase().replace(':', "-")
}

/// What stays the same over a reinstall: the product id, or the addresses of the
/// physical interfaces. Source: reference/sensor.md section 1.
#[must_use]
pub fn fingerprint() -> String {
    let product = read("/sys/class/dmi/id/product_uuid").map(|id| id.to_ascii_lowercase());
    if let Some(id) = product.filter(|id| !PLACEHOLDER_IDS.contains(&id.as_str())) {
        return format!("dmi:{id}");
    }
    let mut macs: Vec<String> = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| read(&entry.path().join("address").to_string_lossy()))
        .collect();
    macs.sort_unstable();
    if macs.is_empty() { String::new() } else { format!("mac:{}", macs.join(",")) }
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
