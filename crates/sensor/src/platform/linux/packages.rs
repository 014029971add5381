//! Installed packages. Source: reference/commands.md section 6.5.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::platform::shapes::Package;

/// All packages of all package managers that are found.
#[must_use]
pub fn packages() -> Vec<Package> {
    let mut all = stanzas(&read("/var/lib/dpkg/status"), "dpkg", ["Package", "Version", "Architecture", "Maintainer"]);
    all.extend(stanzas(&read("/lib/apk/db/installed"), "apk", ["P", "V", "A", "m"]));
    all.extend(rpm());
    all.extend(pacman());
    all
}

fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Reads `Name: value` lines in paragraphs; of dpkg only what is installed.
fn stanzas(text: &str, source: &'static str, names: [&str; 4]) -> Vec<Package> {
    let package = |paragraph: &str| {
        let field = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        let [name, version, architecture, publisher] = names.map(field);
        let is_installed = source != "dpkg" || field("Status").ends_with(" ok installed");
        (is_installed && !name.is_empty()).then_some(Package { name, version, architecture, publisher, source })
    };
    text.split("\n\n").filter_map(package).collect()
}

/// The rpm database has had many formats; its own program reads them all.
fn rpm() -> Vec<Package> {
    if !Path::new("/usr/bin/rpm").exists() {
        return Vec::new();
    }
    let output = Command::new("/usr/bin/rpm")
        .args(["-qa", "--qf", "%{NAME}\\t%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{VENDOR}\\n"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let package = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let (name, version) = (columns.next()?, columns.next()?);
        let (architecture, publisher) = (columns.next()?, columns.next()?);
        Some(Package { name, version, architecture, publisher, source: "rpm" })
    };
    text.lines().filter_map(package).collect()
}

fn pacman() -> Vec<Package> {
    let entries = fs::read_dir("/var/lib/pacman/local").into_iter().flatten().flatten();
    let package = |text: &str| {
        let field = |title: &str| {
            let mut lines = text.lines().skip_while(|line| *line != title).skip(1);
            lines.next().unwrap_or_default().to_owned()
        };
        let name = field("%NAME%");
        let (version, architecture, publisher) = (field("%VERSION%"), field("%ARCH%"), field("%PACKAGER%"));
        (!name.is_empty()).then_some(Package { name, version, architecture, publisher, source: "pacman" })
    };
    entries.filter_map(|entry| package(&fs::read_to_string(entry.path().join("desc")).ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_are_listed() {
        let status = "Package: curl\nStatus: install ok installed\nMaintainer: A <a@b>\nArchitecture: amd64\nVersion: 7.88-1\nDescription: x\n Package: no\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
        let found = stanzas(status, "dpkg", ["Package", "Version", "Architecture", "Maintainer"]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("curl", "7.88-1"));
        let apk = stanzas("C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\n", "apk", ["P", "V", "A", "m"]);
        assert_eq!((apk[0].name.as_str(), apk[0].architecture.as_str()), ("musl", "x86_64"));
    }
}
