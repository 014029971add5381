//! The operating system itself.

use std::fs;

use crate::platform::shapes::Version;

/// Reads the version. Source: reference/commands.md section 6.5.
#[must_use]
pub fn version() -> Version {
    let release = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
        .unwrap_or_default();
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    parse(&release, kernel)
}

fn parse(release: &str, kernel: String) -> Version {
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let after_dash = kernel.split_once('-').map_or("", |(_, rest)| rest);
    let digits: String = after_dash.chars().take_while(char::is_ascii_digit).collect();
    let build = digits.parse().unwrap_or(0);
    Version { name: field("PRETTY_NAME"), version: field("VERSION_ID"), id: field("ID"), kernel, build }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_the_first_number_after_the_dash() {
        let release =
            "NAME=Ubuntu\nPRETTY_NAME=\"Ubuntu 22.04.4 LTS\"\nVERSION_ID=\"22.04\"\nID=ubuntu\nID_LIKE=debian\n";
        let version = parse(release, "5.15.0-107-generic".to_owned());
        assert_eq!((version.name.as_str(), version.id.as_str()), ("Ubuntu 22.04.4 LTS", "ubuntu"));
        assert_eq!((version.version.as_str(), version.build), ("22.04", 107));
        assert_eq!(parse("", "6.1.0".to_owned()).build, 0);
        assert_eq!(parse("", "6.1.0-rc1".to_owned()).build, 0);
    }
}
