use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use muster_model::{Iid, Oid, Sid, TaskId};
use muster_wire::{Event, InstallationKey};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::agent::{Answer, Verdict};
use crate::executor::{self, ToSensor};
use crate::platform::process::{control, describe};
use crate::platform::shapes::Control;
use crate::stop::Stop;

mod batch;

/// What commands share in a sensor with this state directory, whose server is nowhere.
pub(crate) fn toolbox(state_dir: &Path) -> (Toolbox, mpsc::Receiver<ToSensor>) {
    let (to_sensor, told) = mpsc::channel(100);
    let key = InstallationKey {
        oid: Oid(Uuid::from_u128(1)),
        iid: Iid(Uuid::from_u128(2)),
        secret: Vec::new(),
        address: "127.0.0.1:1".to_owned(),
        server_name: "test".to_owned(),
        ca_der: Vec::new(),
    };
    let who = (Some(Sid(Uuid::from_u128(3))), "boot".to_owned());
    (Toolbox::new(state_dir.to_owned(), who, key, Arc::default(), to_sensor), told)
}

struct Bench {
    dir: TempDir,
    tools: Arc<Toolbox>,
    told: mpsc::Receiver<ToSensor>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = fs::canonicalize(dir.path()).unwrap().join("state");
        fs::create_dir_all(state_dir.join("history")).unwrap();
        let (tools, told) = toolbox(&state_dir);
        Self { dir, tools: Arc::new(tools), told }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(line: &str) -> Run {
        Run {
            task: TaskId(Uuid::from_u128(7)),
            command: line.to_owned(),
            investigation_id: "case".to_owned(),
            payload_sha256: Vec::new(),
        }
    }

    /// A job whose time is over.
    fn late(&self, line: &str) -> Job {
        let Command { arguments, steps, .. } = Command::parse(line).unwrap();
        Job {
            arguments,
            steps,
            run: Self::run(line),
            tools: Arc::clone(&self.tools),
            until: Instant::now(),
            stop: Arc::default(),
        }
    }

    async fn answer(&mut self, line: &str) -> (Answer, Value) {
        let (answer, body, _) = self.answer_after(line).await;
        (answer, body)
    }

    /// An answer, its first event, and the events that were told before it.
    async fn answer_after(&mut self, line: &str) -> (Answer, Value, Vec<Event>) {
        let mut before = Vec::new();
        let run = Self::run(line);
        let work = executor::carry_out(run, Arc::clone(&self.tools), Arc::default());
        tokio::pin!(work);
        let mut is_over = false;
        loop {
            tokio::select! {
                () = &mut work, if !is_over => is_over = true,
                Some(told) = self.told.recv() => match told {
                    ToSensor::Answered(answer) => {
                        let body = answer.events.first().map(|event| serde_json::from_slice(&event.body).unwrap());
                        return (answer, body.unwrap_or_default(), before);
                    }
                    ToSensor::Reported(event) => before.push(event),
                    ToSensor::Said(events, waiting) => {
                        before.extend(events);
                        waiting.send(()).unwrap();
                    }
                    // A request for a transfer is dropped: nobody grants it.
                    _ => {}
                }
            }
        }
    }

    async fn reply(&mut self, line: &str) -> Value {
        self.answer(line).await.1
    }
}

#[test]
fn handlers_are_sorted_and_belong_to_known_commands() {
    assert!(HANDLERS.is_sorted_by_key(|row| row.0));
    assert!(HANDLERS.iter().all(|(name, ..)| muster_command::find(name).is_some_and(|spec| spec.name == *name)));
}

#[test]
fn lines_that_cannot_run_are_looked_through_before() {
    let refusal = |line| look(line).refusal.map(|(code, _)| code);
    assert_eq!(refusal("os_version"), None);
    assert_eq!(refusal("no_such_command"), Some(50));
    assert_eq!(refusal("yara_scan x"), Some(50));
    assert_eq!(refusal("mem_map --pid nine"), Some(87));
    assert_eq!(look("mem_map --pid nine").reply, "MEM_MAP_REP");
    assert!(look("restart").is_silent && !look("reboot --is-confirmed").is_silent);
}

#[tokio::test]
async fn run_tells_exit_code_and_output_and_keeps_head_and_tail_of_what_is_too_long() {
    let mut bench = Bench::new();
    let (answer, reply) = bench.answer("run --shell-command 'echo out; echo err >&2; exit 4'").await;
    assert_eq!(answer.verdict, Verdict::Finished(4, String::new()));
    assert_eq!((reply["STDOUT"].as_str(), reply["STDERR"].as_str()), (Some("out\n"), Some("err\n")));
    assert_eq!((&reply["ERROR"], &reply["COMMAND_LINE"]), (&json!(4), &json!("echo out; echo err >&2; exit 4")));
    assert_eq!(answer.events[0].event_type, "RECEIPT");
    assert_eq!(answer.events[0].investigation_id, "case");

    let reply = bench.reply("run 'kill -9 $$'").await;
    assert_eq!(reply["ERROR"], 137);
    let reply =
        bench.reply("run 'echo first; head -c 1048576 /dev/zero | tr \"\\0\" x; echo last; echo small >&2'").await;
    let text = reply["STDOUT"].as_str().unwrap();
    assert!(text.starts_with("first\nxxx") && text.ends_with("xxxlast\n"));
    assert!(text.contains("\n[11 bytes are missing here]\n"), "{}", &text[524_280..524_330]);
    assert_eq!((&reply["STDOUT_BYTES"], reply["STDERR"].as_str()), (&json!(1_048_587), Some("small\n")));
    assert!(reply["ERROR_MESSAGE"].as_str().unwrap().contains("no artifact"), "nobody granted it here");
    assert_eq!(fs::read_dir(bench.tools.state_dir.join("tmp")).unwrap().count(), 0, "nothing of it is left");
    let reply = bench.reply("run 'head -c 1048576 /dev/zero'").await;
    assert_eq!(reply["STDOUT"].as_str().map(str::len), Some(1_048_576));
}

#[tokio::test]
async fn a_command_that_runs_too_long_is_killed_with_its_children() {
    let mut bench = Bench::new();
    let reply = bench.reply("run --timeout 1 'echo begun; sleep 300 & echo $!; wait'").await;
    assert_eq!(reply["ERROR"], 1460);
    let output = reply["STDOUT"].as_str().unwrap().to_owned();
    let pid: u32 = output.lines().nth(1).unwrap().parse().unwrap();
    // Killed; if nobody has reaped it yet it has no image any more.
    let process = describe(pid);
    assert!(process.is_none_or(|process| process.path.is_none()), "the child lives on");
}

#[tokio::test]
async fn a_command_that_is_asked_to_stop_is_killed_with_its_children_and_says_what_it_had() {
    let mut bench = Bench::new();
    let (file, stop) = (bench.dir.path().join("pid"), Arc::<Stop>::default());
    let line =
        format!("run --timeout 250 'echo begun; sleep 300 & echo $! > {0}.new; mv {0}.new {0}; wait'", file.display());
    let task = tokio::spawn(executor::carry_out(Bench::run(&line), Arc::clone(&bench.tools), Arc::clone(&stop)));
    let child: u32 = loop {
        tokio::task::yield_now().await;
        if let Ok(text) = fs::read_to_string(&file) {
            break text.trim().parse().unwrap();
        }
    };
    stop.ask();
    task.await.unwrap();
    let Some(ToSensor::Answered(answer)) = bench.told.recv().await else { panic!("no answer") };
    assert_eq!(answer.verdict, Verdict::Cancelled("stopped while it ran".to_owned()));
    let reply: Value = serde_json::from_slice(&answer.events[0].body).unwrap();
    assert_eq!((&reply["ERROR"], reply["STDOUT"].as_str()), (&json!(1_223), Some("begun\n")));
    assert!(describe(child).is_none_or(|process| process.path.is_none()), "the child lives on");
}

#[test]
fn a_search_that_is_asked_to_stop_ends_with_what_it_had() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("a"), "x").unwrap();
    let line = format!("dir_list {} *", bench.dir.path().display());
    let job = Job { until: Instant::now() + std::time::Duration::from_secs(60), ..bench.late(&line) };
    job.stop.ask();
    let failure = directory::list(&job).unwrap_err();
    assert!(job.stop.was_heeded() && failure.message.contains("asked to stop"), "{}", failure.message);
}

#[tokio::test]
async fn killing_what_a_task_started_kills_all_of_it_and_ends_the_task() {
    let mut bench = Bench::new();
    let file = bench.dir.path().join("pids");
    let line =
        format!("run --timeout 250 'sleep 300 & echo $$ $! > {0}.new; mv {0}.new {0}; wait; wait'", file.display());
    let task = tokio::spawn(executor::carry_out(Bench::run(&line), Arc::clone(&bench.tools), Arc::default()));
    let text = loop {
        tokio::task::yield_now().await;
        if let Ok(text) = fs::read_to_string(&file) {
            break text;
        }
    };
    let (leader, child) = text.trim().split_once(' ').unwrap();
    let kill = Run { task: TaskId(Uuid::from_u128(8)), ..Bench::run(&format!("os_kill_process --pid {leader}")) };
    executor::carry_out(kill, Arc::clone(&bench.tools), Arc::default()).await;
    task.await.unwrap();
    let mut codes = Vec::new();
    while let Ok(ToSensor::Answered(answer)) = bench.told.try_recv() {
        codes.push((answer.task.0.as_u128(), answer.verdict));
    }
    codes.sort_by_key(|(task, _)| *task);
    assert_eq!(codes, [(7, Verdict::Finished(137, String::new())), (8, Verdict::Finished(0, String::new()))]);
    let child = describe(child.parse().unwrap());
    assert!(child.is_none_or(|process| process.path.is_none()), "the child lives on");
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_does_not_hold_its_answer() {
    let mut bench = Bench::new();
    let reply = bench.reply("run --timeout 50 'sleep 300 & echo $!'").await;
    assert_eq!(reply["ERROR"], 0);
    let pid: u32 = reply["STDOUT"].as_str().unwrap().trim().parse().unwrap();
    control(pid, None, Control::Kill).expect("it still runs");
}

#[tokio::test]
async fn files_are_got_described_hashed_moved_and_deleted() {
    let mut bench = Bench::new();
    let path = bench.file("note.txt", "hello");
    let reply = bench.reply(&format!("file_get {path} -o 1 -s 3")).await;
    assert_eq!((&reply["FILE_SIZE"], &reply["FILE_CONTENT"], &reply["ERROR"]), (&json!(5), &json!("ZWxs"), &json!(0)));
    assert_eq!(reply["FILE_PATH"], path.as_str());
    let reply = bench.reply(&format!("file_info {path}")).await;
    assert_eq!((&reply["FILE_SIZE"], &reply["ATTRIBUTES"]), (&json!(5), &json!(0x20)));
    assert!(reply["MODIFICATION_TIME"].as_i64().unwrap() > 1_600_000_000_000);
    let reply = bench.reply(&format!("file_hash {path}")).await;
    assert_eq!(reply["HASH"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(reply["HASH_SHA1"], "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert_eq!(reply["HASH_MD5"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(bench.reply(&format!("file_hash {path} --all")).await["MD5"], reply["HASH_MD5"]);
    let moved = bench.dir.path().join("moved").to_str().unwrap().to_owned();
    let reply = bench.reply(&format!("file_mov {path} {moved}")).await;
    assert_eq!((&reply["ERROR"], &reply["SOURCE"]), (&json!(0), &json!(path)));
    assert_eq!(bench.reply(&format!("file_del {moved}")).await["ERROR"], 0);
    assert!(!Path::new(&moved).exists());
}

#[tokio::test]
async fn file_errors_carry_the_published_codes() {
    let mut bench = Bench::new();
    let dir = bench.dir.path().to_str().unwrap().to_owned();
    bench.file("file", "");
    for (line, code) in [
        (format!("file_get {dir}/none"), 2),
        (format!("file_get {dir}/none/below"), 3),
        (format!("file_get {dir}"), 267),
        (format!("file_del {dir}"), 145),
        (format!("file_hash {dir}/file/below"), 3),
        (format!("dir_list {dir}/none"), 2),
        ("file_get /dev/zero".to_owned(), 50),
        ("mem_map 4294967295".to_owned(), 87),
        (format!("os_kill_process {}", std::process::id()), 5),
        ("os_kill_process 1".to_owned(), 87),
    ] {
        let reply = bench.reply(&line).await;
        assert_eq!(reply["ERROR"], code, "{line}: {reply}");
        assert!(reply["ERROR_MESSAGE"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn listings_go_as_deep_as_asked_and_do_not_follow_links() {
    let mut bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/b/deep.log"), "hello").unwrap();
    fs::write(root.join("top.log"), "x").unwrap();
    std::os::unix::fs::symlink("/", root.join("link")).unwrap();
    let names = |reply: &Value| -> Vec<String> {
        let list = reply["DIRECTORY_LIST"].as_array().unwrap();
        let mut names: Vec<_> = list.iter().map(|entry| entry["FILE_NAME"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let root = root.to_str().unwrap();
    assert_eq!(names(&bench.reply(&format!("dir_list {root}")).await), ["a", "link", "top.log"]);
    let reply = bench.reply(&format!("dir_list -d 5 {root} *.log")).await;
    assert_eq!(names(&reply), ["deep.log", "top.log"]);
    assert_eq!((&reply["FILE_PATH"], &reply["DIRECTORY_LIST_DEPTH"]), (&json!("*.log"), &json!(5)));
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for hash in [hash, "AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D", "5d41402abc4b2a76b9719d911017c592"] {
        let line = format!("dir_find_hash -d 5 --hash {hash} -- {root} *");
        assert_eq!(names(&bench.reply(&line).await), ["deep.log"], "{hash}");
    }
}

#[tokio::test]
async fn a_sealed_sensor_protects_its_files_and_itself() {
    let mut bench = Bench::new();
    let own = bench.tools.state_dir.join("journal").to_str().unwrap().to_owned();
    fs::write(&own, "x").unwrap();
    bench.tools.is_sealed.store(true, Ordering::Relaxed);
    let other = bench.file("other", "x");
    for line in [
        format!("file_del {own}"),
        format!("file_mov {own} {other}"),
        format!("file_mov {other} {own}"),
        format!("file_mov {} /elsewhere", bench.dir.path().join("state").display()),
        format!("run 'rm {own}'"),
        format!("put --payload-name x --payload-path {own}"),
        "uninstall --is-confirmed".to_owned(),
    ] {
        let (answer, reply) = bench.answer(&line).await;
        assert!(matches!(answer.verdict, Verdict::Refused(5, _)), "{line}: {reply}");
        assert_eq!((&reply["ERROR"], answer.afterwards), (&json!(5), None));
    }
    assert_eq!(bench.reply(&format!("file_del {other}")).await["ERROR"], 0, "other files are not protected");
    bench.tools.is_sealed.store(false, Ordering::Relaxed);
    assert_eq!(bench.reply(&format!("file_del {own}")).await["ERROR"], 0);
}

#[tokio::test]
async fn the_sensor_finds_itself_among_processes_by_id_and_by_atom() {
    let mut bench = Bench::new();
    let own = std::process::id();
    let reply = bench.reply(&format!("os_processes -p {own}")).await;
    let process = &reply["PROCESSES"][0];
    assert_eq!(process["PROCESS_ID"], own);
    assert!(process["MODULES"].as_array().unwrap().iter().any(|module| module["FILE_PATH"] == process["FILE_PATH"]));
    let atom = process["THIS_ATOM"].as_str().unwrap().to_owned();
    let reply = bench.reply(&format!("mem_map -a {atom}")).await;
    assert_eq!(reply["PROCESS_ID"], own);
    let map = reply["MEMORY_MAP"].as_array().unwrap();
    assert!(map.iter().any(|region| region["FILE_PATH"] == process["FILE_PATH"] && region["MEMORY_ACCESS"] == 2));
    assert!(map.iter().any(|region| region["FILE_PATH"] == "[stack]" && region["MEMORY_ACCESS"] == 7));
    let all = bench.reply("os_processes --is-no-modules").await;
    assert!(all["PROCESSES"].as_array().unwrap().len() > 1 && all["PROCESSES"][0].get("MODULES").is_none());
}

#[tokio::test]
async fn a_listener_of_the_test_is_in_the_list_of_sockets() {
    let mut bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reply = bench.reply("netstat").await;
    let found = reply["NETWORK_ACTIVITY"].as_array().unwrap().iter().find(|socket| socket["SOURCE"]["PORT"] == port);
    let found = found.unwrap();
    assert_eq!((&found["PROTOCOL"], &found["STATE"]), (&json!("tcp4"), &json!(2)));
    assert_eq!(found["PROCESS_ID"], std::process::id());
}

#[tokio::test]
async fn types_added_to_the_collection_can_be_listed_and_removed() {
    let mut bench = Bench::new();
    assert_eq!(bench.reply("exfil_del MODULE_LOAD").await["ERROR"], 2);
    assert_eq!(bench.reply("exfil_add MODULE_LOAD -e 60").await["ERROR"], 0);
    assert!(bench.tools.added.lock().unwrap().sends("MODULE_LOAD", crate::platform::host::boot_ms()));
    assert_eq!(bench.reply("exfil_get").await["LIST_NOTIFICATIONS"], json!(["MODULE_LOAD"]));
    assert_eq!(bench.reply("exfil_del MODULE_LOAD").await["ERROR"], 0);
    assert!(!bench.tools.added.lock().unwrap().sends("MODULE_LOAD", 0));
    let watch = "exfil_add NEW_PROCESS --operator is --path FILE_PATH --value /bin/sh";
    assert!(matches!(bench.answer(watch).await.0.verdict, Verdict::Unsupported(_)));
}

#[tokio::test]
async fn memory_is_read_and_searched_where_it_is() {
    let mut bench = Bench::new();
    // Made at run time, so that it is in memory once and not in the image of the program.
    let marker: String = ["muster", "marker", &crate::random::uuid().simple().to_string()].join("-");
    let address = marker.as_ptr() as u64;
    let own = std::process::id();
    let reply = bench.reply(&format!("mem_read -p {own} {address:x} {:x}", marker.len())).await;
    use base64::Engine as _;
    let expected = base64::engine::general_purpose::STANDARD.encode(&marker);
    assert_eq!(reply["MEMORY_DUMP"], expected, "{reply}");
    assert_eq!(bench.reply(&format!("mem_read -p {own} 10 10")).await["ERROR"], 487);

    let reply = bench.reply(&format!("mem_find_string -s {marker} {own}")).await;
    let found = reply["PROCESSES"][0]["STRINGS_FOUND"].as_array().unwrap();
    assert!(found.iter().any(|place| place["MEMORY_ADDRESS"] == address), "{reply}");
    let addresses: Vec<u64> = found.iter().map(|place| place["MEMORY_ADDRESS"].as_u64().unwrap()).collect();
    assert!(addresses.windows(2).all(|pair| pair[0] < pair[1]), "each place once");

    let path = bench.file("held", "");
    let _held = fs::File::open(&path).unwrap();
    let reply = bench.reply("mem_find_handle /held").await;
    let handle = &reply["HANDLES"].as_array().unwrap().iter().find(|handle| handle["PROCESS_ID"] == own).unwrap();
    assert_eq!((&handle["HANDLE_NAME"], &handle["HANDLE_TYPE"]), (&json!(path), &json!("File")));
}

#[tokio::test]
async fn a_development_build_leaves_the_machine_alone() {
    let mut bench = Bench::new();
    for line in ["shutdown --is-confirmed", "reboot --is-confirmed"] {
        let (answer, reply) = bench.answer(line).await;
        assert_eq!((&reply["ERROR"], answer.afterwards), (&json!(5), None), "{line}");
    }
    let (answer, reply) = bench.answer("segregate_network").await;
    assert_eq!((&reply["ERROR"], answer.events[0].event_type.as_str()), (&json!(50), "SEGREGATE_NETWORK"));
    assert!(!bench.tools.is_isolated.load(Ordering::Relaxed) && bench.tools.route.pinned().is_empty());
}

/// A process of the test's own; it ends with the test.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start(prepare: impl FnOnce(&mut std::process::Command)) -> Self {
        let mut command = std::process::Command::new("sleep");
        command.arg("600");
        prepare(&mut command);
        Self(command.spawn().unwrap())
    }

    fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_process_can_be_stopped_continued_and_killed() {
    let mut bench = Bench::new();
    let sleeper = Sleeper::start(|_| {});
    let pid = sleeper.0.id();
    for (line, states) in [("os_suspend", "T"), ("os_resume", "SRD"), ("os_kill_process", "Z")] {
        let reply = bench.reply(&format!("{line} {pid}")).await;
        assert_eq!((&reply["ERROR"], &reply["PROCESS_ID"]), (&json!(0), &json!(pid)), "{line}");
        while !states.contains(sleeper.state()) {
            tokio::task::yield_now().await;
        }
    }
    let reply = bench.reply("os_suspend 4194304").await;
    assert_eq!(reply["ERROR"], 87, "no process has an id that high");
}

#[tokio::test]
async fn strings_in_memory_and_open_files_of_another_process_are_listed() {
    let mut bench = Bench::new();
    let path = bench.file("input", "");
    let marker = format!("marker-{}", crate::random::uuid().simple());
    let input = fs::File::open(&path).unwrap();
    let sleeper = Sleeper::start(|command| {
        command.env("MARKER", &marker).stdin(input);
    });
    let pid = sleeper.0.id();
    // Until it runs its own program it is a copy of this one.
    while describe(pid).unwrap().path == describe(std::process::id()).unwrap().path {
        tokio::task::yield_now().await;
    }
    let reply = bench.reply(&format!("mem_strings {pid}")).await;
    assert_eq!(reply["PROCESS_ID"], pid);
    let regions = reply["STRINGSA"].as_array().unwrap();
    let holds = |region: &Value| {
        region.as_array().unwrap().iter().any(|text| text.as_str() == Some(&format!("MARKER={marker}")))
    };
    assert_eq!(regions.iter().filter(|region| holds(region)).count(), 1, "it is on the stack and nowhere else");

    let reply = bench.reply(&format!("mem_handles {pid}")).await;
    let handles = reply["HANDLES"].as_array().unwrap();
    let expected = json!({"PROCESS_ID": pid, "HANDLE_TYPE": "File", "HANDLE_NAME": path, "HANDLE_VALUE": 0});
    assert!(handles.contains(&expected), "{reply}");
    assert!(handles.iter().all(|handle| handle["PROCESS_ID"] == pid));
}

/// What a program of the endpoint says; `None` if there is no such program.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn packages_are_those_that_the_package_manager_lists() {
    let mut bench = Bench::new();
    let reply = bench.reply("os_packages").await;
    let packages = reply["PACKAGES"].as_array().unwrap();
    let format = "${db:Status-Status} ${Package} ${Version}\n";
    let mut expected: Vec<String> = said("dpkg-query", &["-W", "-f", format])
        .or_else(|| said("rpm", &["-qa", "--qf", "installed %{NAME} %{VERSION}-%{RELEASE}\n"]))
        .expect("this test knows no other package managers")
        .lines()
        .filter_map(|line| line.strip_prefix("installed ").map(str::to_owned))
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |package: &Value| format!("{} {}", text(&package["PACKAGE_NAME"]), text(&package["PACKAGE_VERSION"]));
    let mut listed: Vec<String> = packages.iter().map(name).collect();
    expected.sort();
    listed.sort();
    assert!(!expected.is_empty());
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn services_are_those_of_the_service_manager_or_the_start_scripts() {
    let mut bench = Bench::new();
    let reply = bench.reply("os_services").await;
    let units = said("systemctl", &["list-units", "--type=service", "--all", "--plain", "--no-legend"]);
    let units = units.filter(|text| !text.trim().is_empty());
    let expected: Vec<String> = match &units {
        Some(text) => text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect(),
        None => {
            let entries = fs::read_dir("/etc/init.d").unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    };
    let services = reply["SVCS"].as_array().unwrap();
    let listed: Vec<&str> = services.iter().map(|service| service["SVC_NAME"].as_str().unwrap()).collect();
    assert!(!expected.is_empty());
    for name in expected {
        assert!(listed.contains(&name.as_str()), "{name} is missing");
    }
    assert!(services.iter().all(|service| service["SVC_TYPE"] == 16 && service["SVC_STATE"].is_u64()));
}

#[tokio::test]
async fn a_file_that_no_disk_could_hold_stops_no_search_and_is_told() {
    let mut bench = Bench::new();
    let root = bench.dir.path().join("tree");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("b"), "hello").unwrap();
    fs::File::create(root.join("a")).unwrap().set_len(1 << 40).unwrap();
    let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let line = format!("dir_find_hash --hash {hello} -- {} *", root.display());
    let reply = bench.reply(&line).await;
    assert_eq!((&reply["DIRECTORY_LIST"][0]["HASH"], &reply["SKIPPED_FILES"]), (&json!(hello), &json!(1)));
    assert!(reply["ERROR_MESSAGE"].as_str().unwrap().contains("not hashed"));

    let failure = file::hash(&bench.late(&format!("file_hash {}/a", root.display()))).unwrap_err();
    assert_eq!((failure.code, &failure.fields["FILE_SIZE"]), (code::TIMEOUT, &json!(1_u64 << 40)));
    assert!(failure.message.contains("were hashed"), "{}", failure.message);
    let failure = directory::find_hash_within(&bench.late(&line), std::time::Duration::ZERO).unwrap_err();
    assert_eq!(failure.code, code::BUSY);
    assert!(failure.message.contains("took more than") && failure.fields["DIRECTORY_LIST"].is_array());
}

#[tokio::test]
async fn pipes_and_files_that_wait_for_content_hold_no_command_up() {
    let mut bench = Bench::new();
    let pipe = bench.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for command in ["file_hash", "file_get"] {
        assert_eq!(bench.reply(&format!("{command} {}", pipe.display())).await["ERROR"], code::NOT_SUPPORTED);
    }
    // The log of the kernel is a regular file by its own word; whatever is read of it, it ends.
    assert!(bench.reply("file_get /proc/kmsg").await["ERROR"].is_i64());
}

#[tokio::test]
async fn a_command_that_hangs_in_the_kernel_is_given_up_and_their_number_is_bounded() {
    fn hangs(job: &Job) -> Outcome {
        fs::File::open(job.arguments.text("file").unwrap())?;
        Ok(Fields::new())
    }
    let bench = Bench::new();
    let pipe = bench.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let job = || bench.late(&format!("file_hash {}", pipe.display()));
    for _ in 0..executor::HANGING_MAX {
        let failure = executor::block(job(), hangs, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(failure.code, code::TIMEOUT);
        assert!(failure.message.contains("hangs"));
    }
    let failure = executor::block(job(), hangs, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!((failure.code, failure.kind), (code::BUSY, Kind::Refused));
    // Someone writes, and all of them go on.
    while bench.tools.hanging.load(Ordering::Relaxed) > 0 {
        let writer = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        tokio::task::yield_now().await;
        drop(writer);
    }
}

#[test]
fn a_list_ends_before_it_is_too_long_for_memory() {
    let mut list = List::default();
    let mut pushed = 0;
    while list.push(json!("x".repeat(1_000_000))) {
        pushed += 1;
    }
    assert_eq!(pushed, LIST_BYTES_MAX / 1_000_002);
}
