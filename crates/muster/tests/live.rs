//! `muster live` as a person and as a script use it: the real program at a real pseudo-terminal, a real server, a real
//! sensor.

#[path = "shared/env_file.rs"]
mod env_file;

use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// Printed at the end of the story that a new server tells, in which its sensor goes and comes.
const READY: &str = "Try next";

/// What does not come in this time does not come.
const WAIT_MAX: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// A server with one sensor.
struct World {
    folder: TempDir,
    up: Child,
    variables: HashMap<String, String>,
    sid: String,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let data_dir = folder.path().join("data");
        let mut up = Command::new(env!("CARGO_BIN_EXE_muster"));
        up.args(["up", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]).arg(&data_dir);
        let mut up = up.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        let is_up = lines.by_ref().map_while(Result::ok).any(|line| line.contains(READY));
        assert!(is_up, "it did not come up");
        // It ends when nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let variables = env_file::read(&data_dir).unwrap();
        let mut world = Self { folder, up, variables, sid: String::new() };
        let until = Instant::now() + WAIT_MAX;
        while world.sid.is_empty() {
            assert!(Instant::now() < until, "no sensor came");
            let sensors = world.json(&["sensors", "--online"]);
            world.sid = sensors[0]["sid"].as_str().unwrap_or_default().to_owned();
            std::thread::sleep(BETWEEN_TRIES);
        }
        world
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.args(arguments).envs(&self.variables).current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// One command of a session.
    fn live(&self, words: &[&str]) -> Output {
        self.run(&[&["live", &self.sid, "--"], words].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.up.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.up.wait();
    }
}

/// A program at a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Receiver<Vec<u8>>,
    /// What was shown and not looked for yet.
    seen: String,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        let script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) != 0)";
        let mut terminal = Command::new("python3");
        terminal.args(["-c", script]).arg(command.get_program()).args(command.get_args()).env("TERM", "xterm");
        terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        terminal.current_dir(command.get_current_dir().unwrap());
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                if sender.send(piece[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, shown, seen: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown; gives what was shown before it.
    fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let shown: String = self.seen.drain(..at + text.len()).collect();
                return shown[..at].to_owned();
            }
            let piece = self.shown.recv_timeout(WAIT_MAX);
            let piece = piece.unwrap_or_else(|_| panic!("{text:?} was not shown, but {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn line(&mut self, line: &str, shows: &str) {
        self.press(&format!("{line}\r"));
        self.expect(shows);
        self.expect("> ");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_person_at_a_terminal_has_completion_history_files_both_ways_and_a_transcript() {
    let world = World::new();
    let there = world.folder.path().join("with blank");
    fs::create_dir(&there).unwrap();
    fs::write(there.join("remarkable.bin"), vec![7; 300_000]).unwrap();
    world.file("mine.txt", b"mine");

    let mut terminal = Terminal::start(&world.command(&["live", &world.sid]));
    terminal.expect("Session ");
    let id = terminal.expect(" with ");
    terminal.expect("/> ");
    let folder = world.folder.path().display().to_string();
    terminal.line(&format!("cd {folder}"), &folder);
    // A name with a blank is completed into quotes, and a directory with its separator.
    terminal.press("cd wi\t");
    terminal.expect("'with blank/");
    terminal.press("'\r");
    terminal.expect("with blank> ");
    terminal.press("get rem\t");
    terminal.expect("remarkable.bin");
    terminal.line(" here.bin", "Wrote 293.0 KiB to here.bin.");
    assert_eq!(fs::read(world.folder.path().join("here.bin")).unwrap(), vec![7; 300_000]);
    terminal.line("put mine.txt theirs.txt", "Wrote 4 B to");
    assert_eq!(fs::read(there.join("theirs.txt")).unwrap(), b"mine");
    terminal.line("ls", "theirs.txt");
    terminal.line("exec /bin/sh -c 'pwd; exit 3'", "It ended with code 3.");
    // The line before comes again.
    terminal.press("\x1b[A");
    terminal.expect("exit 3'");
    terminal.line("", "It ended with code 3.");
    terminal.line("rm theirs.txt", "Done.");
    terminal.line("cd nowhere", "code 2147942403");
    terminal.line("fly", "there is no command");
    terminal.press("\x04");
    assert!(terminal.child.wait().unwrap().success());

    let transcript = world.json(&["live", "transcript", &id]);
    let commands = transcript["commands"].as_array().unwrap();
    let names: Vec<&str> = commands.iter().map(|command| command["name"].as_str().unwrap()).collect();
    for name in ["directory list", "get file", "put file", "create process", "delete file"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(commands.iter().all(|command| !command["by"].as_str().unwrap().is_empty()));
    let moved = transcript["files"].as_array().unwrap();
    let remarkable = moved.iter().find(|file| file["size"] == 300_000).unwrap();
    assert_eq!(remarkable["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(transcript["status"], "CLOSE", "who opened it has closed it");
    let shown = text(&world.run(&["live", "transcript", &id]).stdout);
    assert!(shown.contains("remarkable.bin") && shown.contains(remarkable["sha256"].as_str().unwrap()), "{shown}");
}

#[test]
fn a_script_gets_the_status_of_its_command_json_and_memory_of_a_process() {
    let world = World::new();
    let output = world.live(&["exec", "/bin/sh", "-c", "echo \"a  b\"; exit 3"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "a  b\n".to_owned()), "{output:?}");
    assert!(world.live(&["ps"]).status.success());
    let output = world.live(&["get", "/nonexistent-file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("get file"), "{output:?}");
    let output = world.live(&["pwd", "&&", "exec", "/bin/false", "&&", "pwd"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), "/\n".to_owned()), "what follows needs success");
    assert_eq!(world.live(&["pwd", "&&"]).status.code(), Some(4));
    assert_eq!(world.live(&["fly"]).status.code(), Some(4), "nothing was opened for that");
    assert_eq!(world.run(&["live", &world.sid]).status.code(), Some(4), "a session needs a terminal");
    let listed = world.json(&["live", &world.sid, "--", "ls", &world.file("listed", b"x")]);
    assert_eq!(listed["files"][0]["filename"], "listed");

    // Memory of a process holds what the process holds.
    let mark = "a mark that is in the memory of one process";
    let mut child = Command::new("/bin/sleep").arg("300").env("MARK", mark).spawn().unwrap();
    let image = world.folder.path().join("image").display().to_string();
    let output = world.live(&["memdump", &image, "--pid", &child.id().to_string()]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(output.status.success(), "{output:?}");
    let image = fs::read(image).unwrap();
    assert!(image.starts_with(b"\x7fELF") && image.windows(mark.len()).any(|window| window == mark.as_bytes()));
}

#[test]
fn what_is_left_for_an_endpoint_is_found_under_its_task() {
    let world = World::new();
    let file = world.file("wanted.txt", b"what was wanted");
    let leave = |words: &[&str]| {
        let created = world.json(&[&["live", &world.sid, "--when-online", "--"], words].concat());
        created["task_id"].as_str().unwrap().to_owned()
    };
    let (get, ps) = (leave(&["get", &file]), leave(&["ps"]));
    let to = world.folder.path().join("came.txt").display().to_string();
    wait_for("the file", || world.run(&["artifact", "download", &get, "--to", &to]).status.success());
    assert_eq!(fs::read(to).unwrap(), b"what was wanted");
    wait_for("the answer", || {
        let events = world.json(&["events", "--sid", &world.sid, "--since", "1h", "--investigation-id", &ps]);
        events.to_string().contains("PROCESSES")
    });
    let put = world.folder.path().join("put.txt");
    leave(&["put", &file, &put.display().to_string()]);
    wait_for("the file on the endpoint", || fs::read(&put).is_ok_and(|content| content == b"what was wanted"));
    // Several are one task: what it takes along, what it runs, and what it brings.
    let tool = world.file("tool.sh", b"echo made > \"$1\"; cat \"$1\"");
    let path = |name: &str| world.folder.path().join(name).display().to_string();
    let (there, made) = (path("tool there.sh"), path("made.txt"));
    let (put, run) = (["put", &tool, &there, "&&"], ["exec", "/bin/sh", &there, &made, "&&"]);
    let batch = leave(&[&put[..], &run[..], &["get", &file, "&&", "get", &made]].concat());
    for (id, name, content) in
        [(format!("{batch}-2"), "second.txt", "made\n"), (batch.clone(), "first.txt", "what was wanted")]
    {
        wait_for(name, || world.run(&["artifact", "download", &id, "--to", &path(name)]).status.success());
        assert_eq!(fs::read_to_string(path(name)).unwrap(), content);
    }
    wait_for("the answer of the whole", || {
        let events = world.json(&["events", "--sid", &world.sid, "--since", "1h", "--investigation-id", &batch]);
        let events = events.to_string();
        events.contains("BATCH_REP") && events.contains("made\\n")
    });
    wait_for("the end of the task", || {
        world.json(&["reliable-task", "get", &batch]).to_string().contains("\"finished\":1")
    });
    let output = world.run(&["live", &world.sid, "--when-online", "--", "cd", "/"]);
    assert_eq!(output.status.code(), Some(4), "that makes no sense without a session");
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(BETWEEN_TRIES);
    }
}
