//! The operating system itself.

use winreg::{HKLM, RegKey};

use crate::platform::shapes::Version;

const KEY: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";

/// Reads the version.
#[must_use]
pub fn version() -> Version {
    let Ok(key) = HKLM.open_subkey(KEY) else { return Version::default() };
    let build = text(&key, "CurrentBuildNumber");
    let number = |name| key.get_value::<u32, _>(name).ok();
    let release = match (number("CurrentMajorVersionNumber"), number("CurrentMinorVersionNumber")) {
        (Some(major), Some(minor)) => format!("{major}.{minor}"),
        _ => text(&key, "CurrentVersion"),
    };
    Version {
        name: text(&key, "ProductName"),
        version: [text(&key, "DisplayVersion"), release.clone()]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        id: "windows".to_owned(),
        kernel: format!("{release}.{build}"),
        build: build.parse().unwrap_or(0),
    }
}

fn text(key: &RegKey, name: &str) -> String {
    key.get_value(name).unwrap_or_default()
}
