//! Commands that are left for a sensor: a reliable task, whose id is that of its answers and of its files.

use super::ask::{Ask, Registry, quoted};
use super::path::Style;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, NewTask, Targeting};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is left for the sensor.
#[derive(Default)]
struct Left {
    /// Command lines of the task, in their order.
    lines: Vec<String>,
    /// Files that it takes along, by their names as payloads.
    payloads: Vec<(String, PathBuf)>,
    /// Files that it sends, by their ids as artifacts, with their paths on the endpoint.
    files: Vec<(String, String)>,
}

/// Leaves commands as one reliable task.
///
/// # Errors
///
/// If one only makes sense in a session; else whatever the server says.
pub async fn leave(client: &Client, sid: &str, asks: &[Ask], ttl: Option<u64>, json: bool) -> anyhow::Result<()> {
    let id = muster_server::random::uuid().to_string();
    let mut left = Left::default();
    for ask in asks {
        left.add(ask, &id)?;
    }
    for (name, file) in &left.payloads {
        client.upload_payload(name, file).await?;
    }
    let task = NewTask {
        task: left.line(),
        targeting: Targeting { sid: Some(sid.to_owned()), ..Targeting::default() },
        context: Some(id.clone()),
        task_id: Some(id),
        ttl,
        ..NewTask::default()
    };
    let created = client.create_reliable_task(&task).await?;
    if json {
        let mut shown = serde_json::to_value(&created)?;
        let files = left.files.iter().map(|(id, path)| json!({"payload_id": id, "path": path}));
        shown["files"] = files.collect::<Vec<Value>>().into();
        show::json(&shown);
        return Ok(());
    }
    let id = &created.task_id;
    show::line(format_args!("Task {id} runs once when the sensor is online: {}", show::safe(&task.task)));
    show::line(format_args!("  how it stands  muster reliable-task get {id}"));
    show::line(format_args!("  its answers    muster events --sid {sid} --investigation-id {id} --since 7d"));
    for (id, path) in &left.files {
        show::line(format_args!("  its file       muster artifact download {id}  # {}", show::safe(path)));
    }
    Ok(())
}

impl Left {
    /// Adds the command line of a task that does the same.
    fn add(&mut self, ask: &Ask, id: &str) -> Result<(), Usage> {
        let line = match ask {
            Ask::List(path) if path.is_empty() => "dir_list / *".to_owned(),
            Ask::List(path) if path.contains(['*', '?']) => {
                let (above, pattern) = path.split_at(path.rfind(['/', '\\']).map_or(0, |at| at + 1));
                format!("dir_list {} {}", quote(above), quote(pattern))
            }
            Ask::List(path) => format!("dir_list {} '*'", quote(path)),
            Ask::Get { from, to: None } => self.get(from, id),
            Ask::Get { .. } => return Err(Usage("the file comes later; leave out where it is to go here".into())),
            Ask::Put { from, to: Some(to) } => self.put(from, to, id),
            Ask::Put { .. } => return Err(Usage("say where the file is to go on the endpoint, from its root".into())),
            Ask::Remove(path) => format!("file_del {}", quote(path)),
            Ask::Processes => "os_processes".to_owned(),
            Ask::Kill(pid) => format!("os_kill_process --pid {pid}"),
            Ask::Execute { line, .. } => format!("run --shell-command {}", quote(line)),
            Ask::Registry(Registry::List(path)) => format!("reg_list {}", quote(path)),
            _ => {
                let text = "this needs a session; ls, get, put, rm, ps, kill, exec and reg list can be left";
                return Err(Usage(text.into()));
            }
        };
        self.lines.push(line);
        Ok(())
    }

    /// The first file has the id of the task.
    fn get(&mut self, from: &str, id: &str) -> String {
        let id = match self.files.len() {
            0 => id.to_owned(),
            before => format!("{id}-{}", before + 1),
        };
        let line = format!("artifact_get --file {} --payload-id {id}", quote(from));
        self.files.push((id, from.to_owned()));
        line
    }

    fn put(&mut self, from: &Path, to: &str, id: &str) -> String {
        let name = format!("live-{id}-{}", self.payloads.len() + 1);
        let line = format!("put --payload-name {name} --payload-path {}", quote(to));
        self.payloads.push((name, from.to_owned()));
        line
    }

    /// One line is a task by itself.
    fn line(&self) -> String {
        match self.lines.as_slice() {
            [line] => line.clone(),
            lines => format!("batch {}", lines.iter().map(|line| quote(line)).collect::<Vec<_>>().join(" ")),
        }
    }
}

/// Command lines are read alike for every system.
fn quote(text: &str) -> String {
    quoted(text, Style::Unix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_command::Command;

    fn left(typed: &[&str]) -> Result<Left, Usage> {
        let mut left = Left::default();
        for typed in typed {
            left.add(&Ask::read(typed)?, "ID")?;
        }
        Ok(left)
    }

    #[test]
    fn what_is_left_is_a_command_line_that_endpoints_know() {
        for (typed, wanted) in [
            ("ls /etc", "dir_list /etc '*'"),
            ("ls '/a b/*.txt'", "dir_list '/a b/' '*.txt'"),
            ("ps", "os_processes"),
            ("kill 7", "os_kill_process --pid 7"),
            ("exec /bin/echo 'a b'", "run --shell-command '/bin/echo '\\''a b'\\'''"),
            ("get /etc/hostname", "artifact_get --file /etc/hostname --payload-id ID"),
            ("put here '/there it/is'", "put --payload-name live-ID-1 --payload-path '/there it/is'"),
            ("rm C:\\x", "file_del C:\\x"),
        ] {
            let line = left(&[typed]).unwrap().line();
            assert_eq!(line, wanted);
            assert!(Command::parse(&line).is_ok(), "{typed}");
        }
        for typed in ["cd /", "memdump /x", "get /x here", "put here", ""] {
            assert!(left(&[typed]).is_err(), "{typed}");
        }
    }

    #[test]
    fn several_commands_are_one_batch_whose_files_have_ids_of_its_task() {
        let left = left(&["put here '/a b'", "exec /bin/echo \"it's\"", "get /a", "get '/b c'"]).unwrap();
        let batch = Command::parse(&left.line()).unwrap();
        let lines = batch.arguments.list("line");
        assert_eq!(lines[0], "put --payload-name live-ID-1 --payload-path '/a b'");
        assert_eq!(lines[3], "artifact_get --file '/b c' --payload-id ID-2");
        assert_eq!(batch.steps[1].arguments.text("shell-command"), Some("/bin/echo \"it's\""));
        assert_eq!(left.files, [("ID".to_owned(), "/a".to_owned()), ("ID-2".to_owned(), "/b c".to_owned())]);
        assert_eq!(batch.payloads().collect::<Vec<_>>(), ["live-ID-1"]);
    }
}
