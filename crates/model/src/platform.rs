//! Platform and architecture codes and their names.
//!
//! Source: reference/selectors.md section 8. The code is what records and events
//! carry, the name is what selectors and people use.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A platform code: 32 bits, an operating system or a log source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Platform(pub u32);

/// An architecture code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub u8);

/// Sorted by code, so that a look-up is a binary search.
const PLATFORMS: &[(u32, &str)] = &[
    (0x0100_0000, "crowdstrike"),
    (0x0200_0000, "xml"),
    (0x0300_0000, "wel"),
    (0x0400_0000, "msdefender"),
    (0x0500_0000, "duo"),
    (0x0600_0000, "okta"),
    (0x0700_0000, "sentinel_one"),
    (0x0800_0000, "github"),
    (0x0900_0000, "slack"),
    (0x0a00_0000, "cef"),
    (0x0b00_0000, "lc_event"),
    (0x0c00_0000, "azure_ad"),
    (0x0d00_0000, "azure_monitor"),
    (0x0e00_0000, "canary_token"),
    (0x0f00_0000, "guard_duty"),
    (0x1000_0000, "windows"),
    (0x1100_0000, "itglue"),
    (0x1200_0000, "k8s_pods"),
    (0x1300_0000, "zeek"),
    (0x1400_0000, "mac_unified_logging"),
    (0x1500_0000, "azure_event_hub_namespace"),
    (0x1600_0000, "azure_key_vault"),
    (0x1700_0000, "azure_kubernetes_service"),
    (0x1800_0000, "azure_network_security_group"),
    (0x1900_0000, "azure_sql_audit"),
    (0x1a00_0000, "email"),
    (0x1b00_0000, "fortigate"),
    (0x1c00_0000, "trend_worryfree"),
    (0x1d00_0000, "netscaler"),
    (0x1e00_0000, "paloalto_fw"),
    (0x1f00_0000, "iis"),
    (0x2000_0000, "linux"),
    (0x2100_0000, "hubspot"),
    (0x2200_0000, "zendesk"),
    (0x2300_0000, "pandadoc"),
    (0x2400_0000, "falconcloud"),
    (0x2500_0000, "mimecast"),
    (0x2600_0000, "sublime"),
    (0x2700_0000, "box"),
    (0x2800_0000, "cylance"),
    (0x2900_0000, "proofpoint"),
    (0x2a00_0000, "entraid"),
    (0x2b00_0000, "wiz"),
    (0x2c00_0000, "bitwarden"),
    (0x2d00_0000, "trend_micro"),
    (0x2e00_0000, "otel"),
    (0x2f00_0000, "cortex_xdr"),
    (0x3000_0000, "macos"),
    (0x3100_0000, "harmony"),
    (0x3200_0000, "threatlocker"),
    (0x3300_0000, "halopsa"),
    (0x4000_0000, "ios"),
    (0x5000_0000, "android"),
    (0x6000_0000, "chrome"),
    (0x7000_0000, "vpn"),
    (0x8000_0000, "text"),
    (0x9000_0000, "json"),
    (0xa000_0000, "gcp"),
    (0xb000_0000, "aws"),
    (0xc000_0000, "carbon_black"),
    (0xd000_0000, "1password"),
    (0xe000_0000, "office365"),
    (0xf000_0000, "sophos"),
];

/// In order of their codes, which begin with 1.
const ARCHITECTURES: &[&str] =
    &["x86", "x64", "arm", "arm64", "alpine64", "chromium", "wireguard", "arml", "usp_adapter"];

impl Platform {
    /// No platform.
    pub const NONE: Self = Self(0);
    /// Windows.
    pub const WINDOWS: Self = Self(0x1000_0000);
    /// Linux.
    pub const LINUX: Self = Self(0x2000_0000);
    /// macOS.
    pub const MACOS: Self = Self(0x3000_0000);
    /// Chrome and Edge extensions.
    pub const CHROME: Self = Self(0x6000_0000);
    /// Records of JSON log sources; also the source of activity events.
    pub const JSON: Self = Self(0x9000_0000);

    /// The name, or the code in decimal when it is unknown.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        let known = PLATFORMS.binary_search_by_key(&self.0, |row| row.0).ok().and_then(|at| PLATFORMS.get(at));
        known.map_or_else(|| Cow::Owned(self.0.to_string()), |row| Cow::Borrowed(row.1))
    }

    /// The platform with this name; case sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PLATFORMS.iter().find(|row| row.1 == name).map(|row| Self(row.0))
    }

    /// All names, in the order of their codes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLATFORMS.iter().map(|row| row.1)
    }

    /// Whether sensors of this platform can carry out commands.
    #[must_use]
    pub fn is_taskable(self) -> bool {
        matches!(self, Self::WINDOWS | Self::LINUX | Self::MACOS | Self::CHROME)
    }
}

impl Architecture {
    /// 64-bit Intel.
    pub const X64: Self = Self(2);
    /// 64-bit ARM.
    pub const ARM64: Self = Self(4);
    /// A log adapter, which never carries out commands.
    pub const USP_ADAPTER: Self = Self(9);

    /// The name, or the code in decimal when it is unknown.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        let known = usize::from(self.0).checked_sub(1).and_then(|at| ARCHITECTURES.get(at));
        known.map_or_else(|| Cow::Owned(self.0.to_string()), |name| Cow::Borrowed(*name))
    }

    /// The architecture with this name; case sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let at = ARCHITECTURES.iter().position(|known| *known == name)?;
        u8::try_from(at + 1).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_a_bijection() {
        for (code, name) in PLATFORMS {
            assert_eq!(Platform(*code).name(), *name);
            assert_eq!(Platform::from_name(name), Some(Platform(*code)));
        }
        assert!(PLATFORMS.is_sorted_by_key(|row| row.0));
        assert_eq!(Platform(7).name(), "7");
    }

    #[test]
    fn architectures_go_both_ways() {
        assert_eq!(Architecture::from_name("usp_adapter"), Some(Architecture::USP_ADAPTER));
        assert_eq!(Architecture::ARM64.name(), "arm64");
        assert_eq!(Architecture(0).name(), "0");
    }
}
