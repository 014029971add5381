//! The real program, ended as the kernel ends it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::fake_server::{Conversation, FakeServer};
use muster_sensor::platform::process::{control, pids, standing};
use muster_sensor::platform::shapes::Control;
use muster_wire::{Deliver, Receipt, Step, from_sensor, from_server};

const TASK: [u8; 16] = [7; 16];

/// The program; it does not outlive the test.
pub struct Program(Child);

impl Program {
    fn start(server: &FakeServer, state_dir: &Path) -> Self {
        Self::start_with(server, state_dir, None)
    }

    /// Starts it with the right to isolate and to switch off: only in a name space.
    pub fn start_unguarded(server: &FakeServer, state_dir: &Path) -> Self {
        let mut command = Self::command(server, state_dir);
        Self(command.env_remove("MUSTER_TEST_SANDBOX").spawn().unwrap())
    }

    fn start_with(server: &FakeServer, state_dir: &Path, crash_at: Option<Step>) -> Self {
        let mut command = Self::command(server, state_dir);
        if let Some(step) = crash_at {
            command.env("MUSTER_TEST_CRASH_AT", (step as i32).to_string());
        }
        Self(command.spawn().unwrap())
    }

    fn command(server: &FakeServer, state_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-sensor"));
        command.args(["run", "--key", &server.key.to_text(), "--state-dir"]).arg(state_dir);
        command.env("MUSTER_TEST_BACKOFF_MS", "20").env("MUSTER_TEST_SANDBOX", "1").stderr(Stdio::null());
        command
    }

    /// Starts a new one, and takes it in; gives its first link.
    async fn enrolled(server: &FakeServer, state_dir: &Path) -> (Self, Conversation) {
        let program = Self::start(server, state_dir);
        server.accept().await.enrol().await;
        let mut link = server.accept().await;
        link.welcome(1, 0).await;
        (program, link)
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn deliver(task: [u8; 16], command: String) -> from_server::Message {
    let task_id = task.to_vec();
    let deliver =
        Deliver { task_id, epoch: 1, command, lifetime_ms: 60_000, wants_receipts: true, ..Deliver::default() };
    from_server::Message::Deliver(deliver)
}

/// Listens until the task has taken the step.
async fn receipts_until(link: &mut Conversation, task: [u8; 16], step: Step) -> Vec<Receipt> {
    let mut receipts: Vec<Receipt> = Vec::new();
    while receipts.last().is_none_or(|last| last.step != step as i32) {
        if let from_sensor::Message::Receipts(more) = link.hear().await {
            receipts.extend(more.receipts.into_iter().filter(|receipt| receipt.task_id == task));
        }
    }
    receipts
}

#[tokio::test]
async fn five_9_what_a_killed_sensor_started_ends_before_its_task_is_told_as_interrupted_and_is_not_run_again() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let marker = state_dir.path().join("ran");
    let (program, mut link) = Program::enrolled(&server, state_dir.path()).await;
    // One in the group, one that left it, one that hides what it was started with.
    let long = format!(
        "run '(sleep 301; echo late >> {0}) & setsid sleep 302 & env -i sleep 303 & echo $$ $! >> {0}; wait'",
        marker.display()
    );
    link.say(deliver(TASK, long.clone())).await;
    receipts_until(&mut link, TASK, Step::Started).await;
    while !std::fs::read_to_string(&marker).is_ok_and(|text| text.ends_with('\n')) {
        tokio::task::yield_now().await;
    }
    program.kill();
    drop(link);
    let leader: u32 = std::fs::read_to_string(&marker).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(standing(leader).is_some(), "it outlives its sensor");
    let of_task = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let is_marked = String::from_utf8_lossy(&environment).contains(&*state_dir.path().to_string_lossy());
        standing(*pid).is_some_and(|process| process.group == leader || is_marked)
    };
    assert!(pids().iter().filter(|pid| of_task(pid)).count() >= 4);

    let _program = Program::start(&server, state_dir.path());
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    let receipts = receipts_until(&mut link, TASK, Step::Interrupted).await;
    assert_eq!(pids().iter().filter(|pid| of_task(pid)).count(), 0, "it may have its effect after that word");
    let steps: Vec<i32> = receipts.iter().map(|receipt| receipt.step).collect();
    assert_eq!(steps, [Step::Confirmed as i32, Step::Started as i32, Step::Interrupted as i32]);
    link.say(deliver(TASK, long)).await;
    link.say(deliver([8; 16], "os_version".to_owned())).await;
    receipts_until(&mut link, [8; 16], Step::Finished).await;
    let ran = std::fs::read_to_string(&marker).unwrap();
    assert_eq!(ran.lines().count(), 1);
}

#[tokio::test]
async fn a_journal_cut_to_half_is_a_lost_one_and_nothing_of_it_runs_again() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let marker = state_dir.path().join("ran");
    let (program, mut link) = Program::enrolled(&server, state_dir.path()).await;
    let tasks = || (1..=8).map(|number| [number; 16]);
    let command = |task: [u8; 16]| format!("run 'echo {} >> {}'", task[0], marker.display());
    for task in tasks() {
        link.say(deliver(task, command(task))).await;
        receipts_until(&mut link, task, Step::Finished).await;
    }
    let journal_id = link.hello.state.as_ref().unwrap().journal_id.clone();
    program.kill();
    drop(link);
    let journal = state_dir.path().join("journal");
    let half = std::fs::metadata(&journal).unwrap().len() / 2;
    std::fs::File::options().write(true).open(&journal).unwrap().set_len(half).unwrap();

    let _program = Program::start(&server, state_dir.path());
    let mut link = server.accept().await;
    assert_ne!(link.hello.state.as_ref().unwrap().journal_id, journal_id, "the server must know that it is lost");
    link.welcome(2, 0).await;
    for task in tasks() {
        link.say(deliver(task, command(task))).await;
        receipts_until(&mut link, task, Step::Refused).await;
    }
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "1\n2\n3\n4\n5\n6\n7\n8\n");
}

#[tokio::test]
async fn what_a_finished_task_left_in_the_background_outlives_a_killed_sensor() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let marker = state_dir.path().join("ran");
    let (program, mut link) = Program::enrolled(&server, state_dir.path()).await;
    link.say(deliver(TASK, format!("run 'sleep 300 & echo $! > {}'", marker.display()))).await;
    receipts_until(&mut link, TASK, Step::Finished).await;
    program.kill();
    drop(link);

    let _program = Program::start(&server, state_dir.path());
    server.accept().await.welcome(1, 0).await;
    let left: u32 = std::fs::read_to_string(&marker).unwrap().trim().parse().unwrap();
    control(left, None, Control::Kill).expect("a service that an operator started goes on");
}

#[tokio::test]
async fn files_are_private_and_a_second_sensor_on_them_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = FakeServer::start().await;
    let parent = tempfile::tempdir().unwrap();
    let state_dir = parent.path().join("state");
    let _program = Program::start(&server, &state_dir);
    server.accept().await.enrol().await;
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    link.say(deliver(TASK, "os_version".to_owned())).await;
    receipts_until(&mut link, TASK, Step::Finished).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state_dir), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(&state_dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files >= 3);

    let mut second = Command::new(env!("CARGO_BIN_EXE_muster-sensor"));
    let output = second.args(["run", "--state-dir"]).arg(&state_dir).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("another sensor"));
}

#[tokio::test]
async fn a_sensor_that_is_told_to_stop_says_so_and_stops_cleanly() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (mut program, mut link) = Program::enrolled(&server, state_dir.path()).await;
    while !matches!(link.hear().await, from_sensor::Message::Sync(_)) {}
    let pid = rustix::process::Pid::from_child(&program.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    loop {
        if let from_sensor::Message::Events(events) = link.hear().await {
            if let Some(last) = events.events.last() {
                link.say(from_server::Message::EventsAck(muster_wire::EventsAck { seq: last.seq, server_now_ms: 0 }))
                    .await;
            }
            if events.events.iter().any(|event| event.event_type == "SHUTTING_DOWN") {
                break;
            }
        }
    }
    let status = tokio::task::spawn_blocking(move || program.0.wait()).await.unwrap().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn an_idle_sensor_is_small() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (program, mut link) = Program::enrolled(&server, state_dir.path()).await;
    link.say(deliver(TASK, "os_packages".to_owned())).await;
    receipts_until(&mut link, TASK, Step::Finished).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    println!("resident {} KiB, of it not backed by files {} KiB", kib("VmRSS"), kib("RssAnon"));
    // Pages of the program itself depend on how it was built.
    assert!(kib("RssAnon") < 8 * 1024);
}

#[tokio::test]
async fn a_death_between_any_step_and_what_follows_from_it_neither_repeats_nor_loses_the_task() {
    for (crash_at, end, lines) in [(Step::Confirmed, Step::Interrupted, 0), (Step::Finished, Step::Finished, 1)] {
        let server = FakeServer::start().await;
        let state_dir = tempfile::tempdir().unwrap();
        let marker = state_dir.path().join("ran");
        let mut program = Program::start_with(&server, state_dir.path(), Some(crash_at));
        server.accept().await.enrol().await;
        let mut link = server.accept().await;
        link.welcome(1, 0).await;
        let command = format!("run 'echo x >> {}'", marker.display());
        link.say(deliver(TASK, command.clone())).await;
        let status = tokio::task::spawn_blocking(move || program.0.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "it dies at {crash_at:?}");
        drop(link);

        let _program = Program::start(&server, state_dir.path());
        let mut link = server.accept().await;
        link.welcome(1, 0).await;
        link.say(deliver(TASK, command)).await;
        let receipts = receipts_until(&mut link, TASK, end).await;
        assert_eq!(receipts[0].step, Step::Confirmed as i32);
        link.say(deliver([8; 16], "os_version".to_owned())).await;
        receipts_until(&mut link, [8; 16], Step::Finished).await;
        let ran = std::fs::read_to_string(&marker).unwrap_or_default();
        assert_eq!(ran.lines().count(), lines, "died at {crash_at:?}");
    }
}

#[tokio::test]
async fn uninstalling_reports_first_and_leaves_nothing_behind() {
    let server = FakeServer::start().await;
    let parent = tempfile::tempdir().unwrap();
    let state_dir = parent.path().join("state");
    let mut program = Program::start(&server, &state_dir);
    server.accept().await.enrol().await;
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    link.say(deliver(TASK, "uninstall --is-confirmed".to_owned())).await;
    receipts_until(&mut link, TASK, Step::Finished).await;
    drop(link);
    let status = tokio::task::spawn_blocking(move || program.0.wait()).await.unwrap().unwrap();
    assert!(status.success() && !state_dir.exists());
}

#[tokio::test]
async fn no_log_at_any_level_holds_the_secret_of_the_enrolment() {
    let server = FakeServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = Program::command(&server, &dir.path().join("state"));
    let file = std::fs::File::create(&log).unwrap();
    let program = Program(command.env("RUST_LOG", "trace,tungstenite=trace").stderr(file).spawn().unwrap());
    server.accept().await.enrol().await;
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    // Until then it shows nothing: not all that is secret was said.
    while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("the link is up")) {
        tokio::task::yield_now().await;
    }
    program.kill();
    let text = std::fs::read_to_string(&log).unwrap();
    // 32 times the byte 3, in the forms in which bytes are printed.
    for secret in ["0303030303", "3, 3, 3, 3, 3", "\\x03\\x03\\x03", "\u{3}\u{3}\u{3}", &server.key.to_text()] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_key_that_is_empty_is_told_as_empty_and_one_that_others_could_have_put_there_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let says = |key: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-sensor"));
        command.args(["run", "--state-dir"]).arg(dir.path().join("state")).current_dir(dir.path());
        command.env_remove("LC_INSTALLATION_KEY").env_remove("MUSTER_INSTALL_KEY");
        key.map(|key| command.env("MUSTER_INSTALL_KEY", key));
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(says(Some("")).contains("not an installation key: it is empty"));
    let file = dir.path().join("lc_installation_key.txt");
    std::fs::write(&file, "whatever").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let text = says(None);
    assert!(text.contains("is not used") && text.contains("not enrolled"), "{text}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(says(None).contains("not an installation key"), "it is read where only this user can have written it");
}
