//! Names of programs, for rules and events in the shape of the public ones.

use crate::random::Random;

/// Programs that rules look for.
pub const TOOLS: &[&str] = &[
    "powershell",
    "cmd",
    "rundll32",
    "regsvr32",
    "mshta",
    "wscript",
    "cscript",
    "certutil",
    "bitsadmin",
    "schtasks",
    "wmic",
    "net",
    "reg",
    "msiexec",
    "installutil",
    "vssadmin",
    "whoami",
    "ipconfig",
    "nltest",
    "curl",
    "python",
    "ssh",
];
/// Programs of events.
pub const ORDINARY: &[&str] = &[
    "svchost",
    "chrome",
    "explorer",
    "msedge",
    "conhost",
    "teams",
    "outlook",
    "winword",
    "code",
    "git",
    "searchhost",
    "powershell",
    "cmd",
    "onedrive",
    "dllhost",
    "taskhostw",
    "runtimebroker",
    "msmpeng",
];
impl Random {
    /// A word that is not in use.
    pub fn word(&mut self) -> String {
        (0..5 + self.below(6)).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}
