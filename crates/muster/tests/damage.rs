//! The real program on data directories that lost something. Fault 5.6: it began anew without a word.

use muster_model::{Oid, TaskId};
use muster_store::{Expect, Options, Record, Seal, Store, TaskRow, Write};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn up(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["up", "--no-sensor", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"]);
    command.arg(data_dir);
    command
}

/// Starts a server, and waits until it is ready.
fn ready(mut command: Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("To use it from another shell")));
    child
}

fn stop(mut child: Child) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What it says when it refuses to start.
fn refusal(data_dir: &Path) -> String {
    let output = up(data_dir).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn five_6_a_missing_or_emptied_database_is_refused_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    stop(ready(up(&data_dir)));
    let (database, env) = (data_dir.join("muster.db"), data_dir.join("env"));
    let (content, known) = (fs::read(&database).unwrap(), fs::read(&env).unwrap());

    fs::remove_file(&database).unwrap();
    assert!(refusal(&data_dir).contains("muster.db is missing or empty"));
    fs::write(&database, "").unwrap();
    assert!(refusal(&data_dir).contains("Restore the database from a backup"));
    // The certificates alone show it too.
    fs::remove_file(&env).unwrap();
    assert!(refusal(&data_dir).contains("ca.pem is there"));

    fs::write(&env, &known).unwrap();
    fs::write(&database, content).unwrap();
    stop(ready(up(&data_dir)));
    let key = |text: Vec<u8>| {
        String::from_utf8(text).unwrap().lines().find(|line| line.contains("LC_API_KEY")).map(str::to_owned).unwrap()
    };
    assert_eq!(key(fs::read(&env).unwrap()), key(known));
}

#[test]
fn five_6_a_missing_authority_is_refused_unless_a_new_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    stop(ready(up(&data_dir)));
    let pki = data_dir.join("pki");
    for name in ["ca.pem", "ca-key.pem"] {
        let content = fs::read(pki.join(name)).unwrap();
        fs::remove_file(pki.join(name)).unwrap();
        let text = refusal(&data_dir);
        assert!(text.contains(&format!("{name} is missing")) && text.contains("--new-authority"), "{text}");
        fs::write(pki.join(name), content).unwrap();
    }
    let before = fs::read(pki.join("ca.pem")).unwrap();
    fs::rename(&pki, folder.path().join("moved")).unwrap();
    assert!(refusal(&data_dir).contains("ca.pem is missing"));
    assert!(!pki.exists(), "nothing is made");
    let mut anew = up(&data_dir);
    anew.arg("--new-authority");
    stop(ready(anew));
    assert_ne!(fs::read(pki.join("ca.pem")).unwrap(), before);
}

#[test]
fn five_6_a_damaged_row_does_not_keep_the_server_down_and_doctor_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    stop(ready(up(&data_dir)));
    let env = fs::read_to_string(data_dir.join("env")).unwrap();
    let oid = env.lines().find_map(|line| line.strip_prefix("export LC_OID='")?.strip_suffix('\'')).unwrap();
    let oid: Oid = oid.parse().unwrap();
    let seal = Seal::of_text(&fs::read_to_string(data_dir.join("sealing.key")).unwrap());
    let store = Store::open(Options { path: data_dir.join("muster.db"), bytes_max: None, seal }).unwrap();
    let id = TaskId(uuid::Uuid::from_u128(7));
    let (spec, control) = ("{\"task\": ".to_owned(), "{}".to_owned());
    let task = TaskRow { oid, number: 1, task_id: id, spec, control, targets: std::iter::empty::<u32>().collect() };
    let record = Record { oid, kind: "output".into(), key: "siem".into(), body: "{".into(), revision: 1 };
    let record = Write::PutRecord { record, expect: Expect::Any };
    let whole = TaskId(uuid::Uuid::from_u128(8));
    let sound = TaskRow { number: 2, task_id: whole, ..task.clone() };
    store.commit_blocking(vec![Write::CreateTask(Box::new(task)), Write::CreateTask(Box::new(sound)), record]).unwrap();
    store.close();
    let conn = rusqlite::Connection::open(data_dir.join("muster.db")).unwrap();
    conn.execute("UPDATE task SET targets = x'ff00' WHERE number = 2", []).unwrap();
    let sensor = "INSERT INTO sensor (oid, ordinal, body) VALUES (?1, 3, '{\"sensor\":')";
    conn.execute(sensor, [oid.0.as_bytes()]).unwrap();
    drop(conn);

    let running = ready(up(&data_dir));
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_muster"));
    let output = doctor.arg("doctor").arg("--data-dir").arg(&data_dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success());
    let shown = [format!("store/task/{id}"), "store/task/2".to_owned(), "store/sensor/3".to_owned()];
    for row in shown.into_iter().chain(["store/output/siem".to_owned()]) {
        assert!(text.lines().any(|line| line.starts_with("fail") && line.contains(&row)), "{row}:\n{text}");
    }
    stop(running);
}
