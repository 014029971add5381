use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use muster_live::Name;
use serde_json::{Map, Value, json};

use super::*;
use crate::commands::tests::toolbox;

/// A directory with a state directory of a sensor in it.
struct Bench {
    dir: tempfile::TempDir,
    tools: Arc<Toolbox>,
}

impl Bench {
    fn new() -> Self {
        // Not with a dot in front: that is hidden.
        let dir = tempfile::Builder::new().prefix("live").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let (tools, _) = toolbox(&dir.path().join("state"));
        Self { dir, tools: Arc::new(tools) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn run(&self, request: Value) -> (u32, Found) {
        self.run_within(request, Duration::from_secs(60)).await
    }

    async fn run_within(&self, request: Value, timeout: Duration) -> (u32, Found) {
        let request: Map<String, Value> = request.as_object().unwrap().clone();
        let order = Order::parse(&request).unwrap();
        let tools = Arc::clone(&self.tools);
        let ended = carry_out(Job { session: 1, command: 0, order, timeout, file: None, tools }).await;
        (ended.code, serde_json::from_slice(&ended.found).unwrap_or_default())
    }

    async fn list(&self, object: &str) -> (u32, Vec<String>) {
        let (code, found) = self.run(json!({"name": "directory list", "object": object})).await;
        (code, found.files.into_iter().map(|entry| entry.name).collect())
    }
}

#[tokio::test]
async fn p47_to_p49_a_listing_is_of_a_directory_a_pattern_or_one_entry() {
    let bench = Bench::new();
    for name in ["a.txt", "b.log", ".hidden"] {
        std::fs::write(bench.path(name), "12345").unwrap();
    }
    symlink("/", bench.path("link")).unwrap();
    let dir = bench.dir.path().display().to_string();
    let all = [".", "..", ".hidden", "a.txt", "b.log", "link", "state"].map(str::to_owned).to_vec();
    assert_eq!(bench.list(&format!("{dir}/")).await, (0, all.clone()));
    assert_eq!(bench.list(&format!("{dir}//*")).await, (0, all));
    assert_eq!(bench.list(&format!("{dir}/*.t?t")).await, (0, vec!["a.txt".to_owned()]));
    let (code, found) = bench.run(json!({"name": "directory list", "object": dir})).await;
    assert_eq!((code, found.files.len(), &found.files[0].attributes[..]), (0, 1, &["DIRECTORY".to_owned()][..]));
    let (_, found) = bench.run(json!({"name": "directory list", "object": format!("{dir}/*")})).await;
    let of = |name: &str| found.files.iter().find(|entry| entry.name == name).unwrap().clone();
    assert_eq!((of("a.txt").size, of("a.txt").attributes), (5, vec!["ARCHIVE".to_owned()]));
    assert_eq!(of("link").attributes, ["REPARSE_POINT"], "a client that walks would loop");
    assert_eq!(of(".hidden").attributes, ["HIDDEN", "ARCHIVE"]);
    for (object, code) in [
        (format!("{dir}/none"), Code::FILE_NOT_FOUND),
        (format!("{dir}/none/"), Code::PATH_NOT_FOUND),
        (format!("{dir}/none/x"), Code::PATH_NOT_FOUND),
        (format!("{dir}/a.txt/"), Code::DIRECTORY),
        (format!("{dir}/*.none"), Code::FILE_NOT_FOUND),
        (format!("{dir}/{}", "x".repeat(300)), Code::FILENAME_TOO_LONG),
        ("a\0b".to_owned(), Code::INVALID_NAME),
    ] {
        assert_eq!(bench.list(&object).await.0, code.0, "{object:?}");
    }
}

#[tokio::test]
async fn p45_and_p46_directories_are_made_and_removed_one_at_a_time() {
    let bench = Bench::new();
    let run = async |name: &str, path: &str| {
        bench.run(json!({"name": name, "object": bench.path(path).to_str().unwrap()})).await.0
    };
    assert_eq!(run("create directory", "d").await, 0);
    assert_eq!(run("create directory", "d").await, Code::ALREADY_EXISTS.0);
    assert_eq!(run("create directory", "none/d").await, Code::PATH_NOT_FOUND.0);
    std::fs::write(bench.path("d/f"), "x").unwrap();
    symlink(bench.path("d"), bench.path("l")).unwrap();
    assert_eq!(run("delete file", "d/").await, Code::DIR_NOT_EMPTY.0);
    assert_eq!(run("delete file", "l").await, 0);
    assert!(bench.path("d/f").exists(), "the link went, not what it led to");
    assert_eq!(run("delete file", "d/f").await, 0);
    assert_eq!(run("delete file", "d/f").await, Code::FILE_NOT_FOUND.0);
    assert_eq!(run("delete file", "d/").await, 0);
    assert_eq!(run("delete file", "d/f").await, Code::PATH_NOT_FOUND.0);
}

#[tokio::test]
async fn p51_processes_have_every_field_and_the_sensor_is_among_them() {
    let bench = Bench::new();
    let (code, found) = bench.run(json!({"name": "process list"})).await;
    let own = found.processes.iter().find(|process| process.pid == std::process::id()).unwrap();
    assert_eq!(code, 0);
    assert!(own.sid.starts_with("S-1-22-1-") && !own.username.is_empty() && own.path.starts_with('/'));
    assert!(own.created_ms > 1_500_000_000_000 && own.parent > 0);
    assert!(found.processes.iter().all(|process| !process.path.is_empty()));
}

#[tokio::test]
async fn p52_to_p57_a_process_is_started_waited_for_and_its_output_kept() {
    let bench = Bench::new();
    let output = bench.path("out put.txt");
    let create = |line: &str, wait: bool| json!({"name": "create process", "object": line, "wait": wait, "output_file": output, "working_directory": "/usr"});
    let (code, found) = bench.run(create("/bin/sh -c 'pwd; echo two >&2; exit 3'", true)).await;
    assert_eq!((code, found.return_code), (0, Some(3)));
    assert!(found.pid.is_some());
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "/usr\ntwo\n");
    let (code, found) = bench.run(create("sleep 0", false)).await;
    assert_eq!((code, found.return_code), (0, Some(-1)));
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "", "it is emptied before the process starts");
    let begun = tokio::time::Instant::now();
    let (code, found) = bench.run_within(create("sleep 30", true), Duration::from_millis(100)).await;
    assert_eq!((code, found.return_code), (Code::TIMEOUT.0, Some(-1)));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let (code, _) = bench.run(json!({"name": "kill", "object": found.pid.unwrap().to_string()})).await;
    assert_eq!(code, 0, "it was left running, and can be ended");
    assert_eq!(bench.run(json!({"name": "kill", "object": 1})).await.0, Code::ACCESS_DENIED.0);
    assert_eq!(bench.run(json!({"name": "kill", "object": std::process::id()})).await.0, Code::ACCESS_DENIED.0);
    assert_eq!(bench.run(json!({"name": "kill", "object": 2_147_483_000})).await.0, Code::INVALID_PARAMETER.0);
    let failing = |line: &str, directory: &str| json!({"name": "create process", "object": line, "wait": true, "working_directory": directory});
    std::fs::write(bench.path("script"), "no program").unwrap();
    let script = bench.path("script").display().to_string();
    for (line, directory, code) in [
        ("/nonexistent-program", "", Code::FILE_NOT_FOUND),
        ("/nonexistent/program", "", Code::PATH_NOT_FOUND),
        ("/bin/true", "/nonexistent", Code::DIRECTORY),
        (&script, "", Code::ACCESS_DENIED),
        ("'unfinished", "", Code::INVALID_PARAMETER),
    ] {
        assert_eq!(bench.run(failing(line, directory)).await.0, code.0, "{line}");
    }
}

#[tokio::test]
async fn p63_and_p64_memory_of_a_process_is_dumped_with_progress_and_as_an_archive_and_never_a_fake() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let (tools, mut said) = toolbox(&dir.path().join("state"));
    let bench = Bench { dir, tools: Arc::new(tools) };
    let mark = "a mark that is in the memory of one process";
    let mut child = std::process::Command::new("/bin/sleep").arg("300").env("MARK", mark).spawn().unwrap();
    let dump = |path: &str, compress: bool| json!({"name": "memdump", "object": bench.path(path), "pid": child.id(), "compress": compress});
    let (code, found) = bench.run(dump("image", false)).await;
    let dump_found = found.dump.unwrap();
    assert_eq!((code, dump_found.complete, dump_found.dumping, dump_found.percent), (0, true, false, 100));
    let image = std::fs::read(bench.path("image")).unwrap();
    assert_eq!(found.bytes, Some(image.len() as u64));
    assert!(image.windows(mark.len()).any(|window| window == mark.as_bytes()));
    let said = std::iter::from_fn(|| said.try_recv().ok()).find_map(|said| match said {
        crate::executor::ToSensor::LiveProgress(1, progress) => serde_json::from_slice::<Found>(&progress.found).ok(),
        _ => None,
    });
    let first = said.unwrap().dump.unwrap();
    assert!(first.dumping && !first.complete && first.percent < 100);
    assert_eq!(bench.run(dump("packed", true)).await.0, 0);
    assert!(!bench.path("packed").exists());
    let script = "import sys, zipfile; a = zipfile.ZipFile(sys.argv[1]); assert a.testzip() is None; \
        assert a.namelist() == ['packed']; assert sys.argv[2].encode() in a.read('packed')";
    let mut read = std::process::Command::new("python3");
    assert!(read.args(["-c", script]).arg(bench.path("packed.zip")).arg(mark).status().unwrap().success());
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = child.id();
    for (request, code) in [
        (json!({"name": "memdump", "object": bench.path("none/x"), "pid": 1}), Code::PATH_NOT_FOUND),
        (json!({"name": "memdump", "object": bench.path("state/x"), "pid": 1}), Code::ACCESS_DENIED),
        (json!({"name": "memdump", "object": bench.dir.path(), "pid": 1}), Code::ACCESS_DENIED),
        (json!({"name": "memdump", "object": bench.path("gone"), "pid": pid}), Code::INVALID_PARAMETER),
    ] {
        assert_eq!(bench.run(request.clone()).await.0, code.0, "{request}");
    }
    let left =
        std::fs::read_dir(bench.dir.path()).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    assert_eq!(left.len(), 3, "nothing half written is left: {left:?}");
}

/// Whatever a session writes, it cannot make the sensor forget what it did, nor who it is.
#[tokio::test]
async fn a_session_writes_nothing_where_the_sensor_keeps_its_state() {
    let bench = Bench::new();
    std::fs::write(bench.path("state/journal"), "kept").unwrap();
    symlink(bench.path("state/journal"), bench.path("link")).unwrap();
    symlink(bench.path("state"), bench.path("away")).unwrap();
    for path in ["state/journal", "state/new", "away/new", "state/../state/new"] {
        let path = bench.path(path).display().to_string();
        for name in ["delete file", "create directory"] {
            assert_eq!(
                bench.run(json!({"name": name, "object": path})).await.0,
                Code::ACCESS_DENIED.0,
                "{name} {path}"
            );
        }
    }
    for path in ["state/journal", "link", "away/new"] {
        let request = json!({"name": "create process", "object": "/bin/true", "output_file": bench.path(path)});
        assert_eq!(bench.run(request).await.0, Code::ACCESS_DENIED.0, "{path}");
    }
    assert_eq!(std::fs::read_to_string(bench.path("state/journal")).unwrap(), "kept");
    bench.tools.is_sealed.store(true, Ordering::Relaxed);
    let own = std::env::current_exe().unwrap();
    assert_eq!(bench.run(json!({"name": "delete file", "object": own})).await.0, Code::ACCESS_DENIED.0);
}

#[tokio::test]
async fn what_this_system_has_not_is_not_listed_and_not_supported() {
    let bench = Bench::new();
    let listed = crate::platform::live::commands();
    assert!(listed.len() >= 8 && !listed.contains(&Name::RegEnumKey));
    let (code, _) = bench.run(json!({"name": "reg enum key", "object": "HKLM\\x"})).await;
    assert_eq!(code, Code::NOT_SUPPORTED.0);
}
