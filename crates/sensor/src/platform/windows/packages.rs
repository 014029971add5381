//! Installed programs, as Windows lists them for their removal. Source: reference/commands.md section 6.5.

use winreg::{HKLM, RegKey};

use crate::platform::shapes::Package;

/// Of programs of 64 and of 32 bits.
const KEYS: [&str; 2] = [
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
];

/// All programs that can be removed.
#[must_use]
pub fn packages() -> Vec<Package> {
    let keys = KEYS.iter().filter_map(|key| HKLM.open_subkey(key).ok());
    keys.flat_map(|key| key.enum_keys().flatten().filter_map(|name| package(&key, &name)).collect::<Vec<_>>()).collect()
}

fn package(above: &RegKey, name: &str) -> Option<Package> {
    let key = above.open_subkey(name).ok()?;
    let text = |name: &str| key.get_value::<String, _>(name).unwrap_or_default();
    let name = text("DisplayName");
    let (version, publisher) = (text("DisplayVersion"), text("Publisher"));
    (!name.is_empty()).then(|| Package { name, version, architecture: String::new(), publisher, source: "registry" })
}
