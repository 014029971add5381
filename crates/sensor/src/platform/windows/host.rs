//! What the sensor reports about the host.

use muster_model::{Architecture, Platform};
use winreg::HKLM;
use winreg::enums::{KEY_ALL_ACCESS, REG_OPTION_VOLATILE};

use super::api;

pub use api::{boot_ms, host_name as hostname, is_elevated as is_privileged};

/// A key that Windows forgets when it stops.
const BOOT_KEY: &str = r"SOFTWARE\muster-sensor.boot";
const BOOT_VALUE: &str = "id";
/// Where Windows keeps what it was installed as.
const MACHINE_KEY: &str = r"SOFTWARE\Microsoft\Cryptography";

/// The platform of this build.
pub const PLATFORM: Platform = Platform::WINDOWS;

/// The architecture of this build.
pub const ARCHITECTURE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::ARM64 } else { Architecture::X64 };

/// Random id of this boot; without the right to write into the registry, the minute of the boot.
#[must_use]
pub fn boot_id() -> String {
    let kept =
        HKLM.create_subkey_with_options_flags(BOOT_KEY, REG_OPTION_VOLATILE, KEY_ALL_ACCESS).and_then(|(key, _)| {
            key.get_value::<String, _>(BOOT_VALUE).or_else(|_| {
                let id = crate::random::uuid().to_string();
                key.set_value(BOOT_VALUE, &id).map(|()| id)
            })
        });
    kept.unwrap_or_else(|_| ((crate::clock::wall_ms() - boot_ms().cast_signed()) / 60_000).to_string())
}

/// MAC of an interface that is up, upper-case hex joined by `-`; empty if there is none.
#[must_use]
pub fn mac_address() -> String {
    let mac = api::mac_address().unwrap_or_default();
    if mac == [0; 6] { String::new() } else { mac.map(|byte| format!("{byte:02X}")).join("-") }
}

/// What stays the same over a reinstall of the sensor. Source: reference/sensor.md section 1.
#[must_use]
pub fn fingerprint() -> String {
    let id = HKLM.open_subkey(MACHINE_KEY).and_then(|key| key.get_value::<String, _>("MachineGuid"));
    id.map(|id| format!("machine:{}", id.to_ascii_lowercase())).unwrap_or_default()
}
