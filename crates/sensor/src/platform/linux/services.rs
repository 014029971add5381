//! Services and kernel modules. Source: reference/commands.md section 6.5.

use std::fs;
use std::process::{Command, Stdio};

use crate::platform::shapes::Service;

/// A service with a process of its own.
const OWN_PROCESS: u32 = 16;
const KERNEL_DRIVER: u32 = 1;
const STOPPED: u32 = 1;
const RUNNING: u32 = 4;

/// All services: those of systemd where it runs, else the start scripts.
#[must_use]
pub fn services() -> Vec<Service> {
    let output = Command::new("systemctl")
        .args(["show", "--type=service", "--all", "--no-pager", "*"])
        .arg("--property=Id,Description,ExecStart,FragmentPath,ActiveState,MainPID")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let found = parse_units(&text);
    if found.is_empty() { scripts() } else { found }
}

fn parse_units(text: &str) -> Vec<Service> {
    let unit = |paragraph: &str| {
        let field = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let name = field("Id");
        let start = field("ExecStart");
        let executable = start.split_once("path=").map_or("", |(_, rest)| rest.split(" ;").next().unwrap_or(""));
        let state = match field("ActiveState").as_str() {
            "active" | "reloading" => RUNNING,
            "activating" => 2,
            "deactivating" => 3,
            _ => STOPPED,
        };
        name.ends_with(".service").then(|| Service {
            display_name: field("Description"),
            executable: executable.to_owned(),
            path: field("FragmentPath"),
            kind: OWN_PROCESS,
            state,
            pid: field("MainPID").parse().unwrap_or(0),
            name,
        })
    };
    text.split("\n\n").filter_map(unit).collect()
}

fn scripts() -> Vec<Service> {
    let entries = fs::read_dir("/etc/init.d").into_iter().flatten().flatten();
    let script = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path().to_string_lossy().into_owned();
        Service { executable: path.clone(), path, name, kind: OWN_PROCESS, state: STOPPED, ..Service::default() }
    };
    entries.map(script).collect()
}

/// Loaded kernel modules, with the files that they came from.
#[must_use]
pub fn modules() -> Vec<Service> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let dir = format!("/lib/modules/{release}");
    let files = fs::read_to_string(format!("{dir}/modules.dep")).unwrap_or_default();
    parse_modules(&fs::read_to_string("/proc/modules").unwrap_or_default(), &files, &dir)
}

fn parse_modules(loaded: &str, files: &str, dir: &str) -> Vec<Service> {
    let file_of = |name: &str| {
        let line = files.lines().filter_map(|line| line.split(':').next()).find(|file| {
            let stem = file.rsplit('/').next().unwrap_or_default();
            stem.split(".ko").next().unwrap_or_default().replace('-', "_") == name
        });
        line.map(|file| format!("{dir}/{file}")).unwrap_or_default()
    };
    let module = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let name = columns.next()?.to_owned();
        let state = if columns.nth(3)? == "Live" { RUNNING } else { 2 };
        let executable = file_of(&name);
        Some(Service { executable, kind: KERNEL_DRIVER, state, name, ..Service::default() })
    };
    loaded.lines().filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_modules_get_the_published_numbers() {
        let text = "Id=cron.service\nMainPID=812\nExecStart={ path=/usr/sbin/cron ; argv[]=/usr/sbin/cron -f ; }\nActiveState=active\nDescription=Jobs\nFragmentPath=/lib/x\n\nId=a.service\nActiveState=failed\n";
        let units = parse_units(text);
        assert_eq!((units[0].executable.as_str(), units[0].pid, units[0].state), ("/usr/sbin/cron", 812, 4));
        assert_eq!((units[1].state, units[1].kind), (1, 16));
        let modules = parse_modules("nf_tables 1 2 - Live 0x0\n", "kernel/net/nf-tables.ko.zst: a\n", "/m");
        assert_eq!((modules[0].executable.as_str(), modules[0].state), ("/m/kernel/net/nf-tables.ko.zst", 4));
    }
}
