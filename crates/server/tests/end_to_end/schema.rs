//! The description of events, compared with those that a real sensor sends.

use crate::world::{World, eventually};
use muster_store::Stream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

/// Fields that a sound endpoint does not show, or only some do: failures, parts, what an account or a package lacks.
const RARE: &[&str] = &[
    "s:ERROR_MESSAGE",
    "i:PART",
    "i:PARTS",
    "i:SKIPPED_FILES",
    "i:EXIT_CODE",
    "i:NETWORK_ACTIVITY/STATE",
    "s:PACKAGES/PUBLISHER",
    "s:PACKAGES/PACKAGE_SOURCE",
    "i:USERS/IS_DISABLED",
    "s:USERS/FULL_NAME",
    "l:USERS/GROUPS",
    "s:OS_VERSION",
    "i:BUILD_NUMBER",
];

/// Tells of what this machine may not have at all: services, kernel modules, packages, two processes of one program.
const OF_THE_MACHINE: &[&str] =
    &["OS_SERVICES_REP", "OS_DRIVERS_REP", "OS_PACKAGES_REP", "NETSTAT_REP", "EXISTING_PROCESS"];

/// Types whose fields all depend on what is reported, so that one endpoint never shows them all.
const VARIED: &[&str] = &["RECEIPT", "DATA_DROPPED", "SEGREGATE_NETWORK", "REJOIN_NETWORK"];

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Fields with their letters, as the description writes them.
fn fields(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            let letter = match value {
                Value::Object(_) => 'o',
                Value::Array(_) => 'l',
                Value::String(_) => 's',
                _ => 'i',
            };
            into.insert(format!("{letter}:{path}"));
            fields(value, &path, into);
        }),
        Value::Array(values) => values.iter().for_each(|value| fields(value, at, into)),
        _ => {}
    }
}

/// Commands that between them show every answer of the sensor, each with something to find.
fn commands(folder: &str, pid: u32, base: u64) -> Vec<String> {
    let mut lines: Vec<String> = [
        "os_version",
        "os_services",
        "os_users",
        "os_packages",
        "os_drivers",
        "netstat",
        "exfil_add MODULE_LOAD",
        "exfil_get",
        "exfil_del MODULE_LOAD",
        "get_debug_data",
        "dns_resolve localhost",
        "history_dump",
        "run --shell-command 'echo out; echo err >&2; exit 3'",
        "run --shell-command 'head -c 3000000 /dev/zero | tr \\0 a'",
        "os_kill_process --pid 4194304",
    ]
    .map(str::to_owned)
    .into();
    lines.extend([
        format!("os_processes --pid {pid}"),
        format!("mem_map --pid {pid}"),
        format!("mem_read --pid {pid} 0x{base:x} 64"),
        format!("mem_strings --pid {pid}"),
        format!("mem_find_string --strings ELF {pid}"),
        format!("mem_handles --pid {pid}"),
        "mem_find_handle null".to_owned(),
        format!("os_suspend --pid {pid}"),
        format!("os_resume --pid {pid}"),
        format!("dir_list {folder} *"),
        format!("dir_find_hash {folder} * --hash 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        format!("file_info {folder}/link"),
        format!("file_hash --all {folder}/hello"),
        format!("file_get {folder}/hello"),
        format!("artifact_get {folder}/hello"),
        format!("file_mov {folder}/hello {folder}/moved"),
        format!("file_del {folder}/moved"),
        format!("file_del {folder}/missing"),
        format!("os_kill_process --pid {pid}"),
    ]);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn event_schema_tells_the_fields_that_the_sensor_really_sends() {
    let world = World::new().await;
    let _sensor = world.sensor("one");
    let sid = world.online(1).await.remove(0);
    let folder = world.folder.path().join("files");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("hello"), "hello").unwrap();
    std::os::unix::fs::symlink("hello", folder.join("link")).unwrap();
    let slept = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let victim = Running(slept);
    let pid = victim.0.id();
    // Between fork and exec it still has the memory of this process.
    let maps = eventually("the program in the memory of the process", async || {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        maps.lines().next().is_some_and(|first| first.ends_with("sleep")).then_some(maps)
    })
    .await;
    let base = u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
    for line in commands(folder.to_str().unwrap(), pid, base) {
        let created = world.ask("task", &json!({"task": line})).await;
        world.counted(created["task_id"].as_str().unwrap(), "finished", 1).await;
    }
    eventually("the end of the killed process", async || {
        let stored = world.stored(Stream::Event).await;
        let ended = |event: &Value| event["routing"]["event_type"] == "TERMINATE_PROCESS";
        stored.iter().any(|event| ended(event) && event["event"]["PROCESS_ID"] == pid).then_some(())
    })
    .await;
    let mut seen = BTreeMap::<String, BTreeSet<String>>::new();
    // What the tasking extension tells of itself is in the same stream.
    let stored = world.stored(Stream::Event).await;
    for record in stored.iter().filter(|record| record["routing"]["sid"] == sid.as_str()) {
        let kind = record["routing"]["event_type"].as_str().unwrap().to_owned();
        fields(&record["event"], "", seen.entry(kind).or_default());
    }
    let mut wrong = Vec::new();
    for (kind, seen) in &seen {
        let (status, answer) = world.call("GET", &format!("orgs/{}/schema/{kind}", world.oid), &[]).await;
        assert_eq!(status, 200, "{kind}: {answer}");
        let elements = answer["schema"]["elements"].as_array().unwrap().iter();
        let told: BTreeSet<String> =
            elements.map(|element| element.as_str().unwrap().replacen(":event/", ":", 1)).collect();
        wrong.extend(seen.difference(&told).map(|field| format!("{kind} has {field}, which is not told")));
        if !VARIED.contains(&kind.as_str()) && !OF_THE_MACHINE.contains(&kind.as_str()) {
            let never = told.difference(seen).filter(|field| !RARE.contains(&field.as_str()));
            wrong.extend(never.map(|field| format!("{kind} never has {field}, which is told")));
        }
    }
    for kind in ["NEW_PROCESS", "CODE_IDENTITY", "CONNECTED", "OS_VERSION_REP", "MEM_MAP_REP", "FILE_INFO_REP"] {
        assert!(seen.contains_key(kind), "{kind} was never sent");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
