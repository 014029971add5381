//! A command that is left for a sensor: a reliable task, whose id is that of its answers and of its file.

use super::ask::{Ask, Registry, quoted};
use super::path::Style;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, NewTask, Targeting};
use std::path::{Path, PathBuf};

/// What is left for the sensor.
struct Left {
    /// The command line of the task.
    line: String,
    /// A file that it takes along.
    payload: Option<(String, PathBuf)>,
    /// Its answer is a file.
    is_file: bool,
}

/// Leaves a command as a reliable task.
///
/// # Errors
///
/// If it only makes sense in a session; else whatever the server says.
pub async fn leave(client: &Client, sid: &str, ask: &Ask, ttl: Option<u64>, json: bool) -> anyhow::Result<()> {
    let id = muster_server::random::uuid().to_string();
    let left = line(ask, &id)?;
    if let Some((name, file)) = &left.payload {
        client.upload_payload(name, file).await?;
    }
    let task = NewTask {
        task: left.line,
        targeting: Targeting { sid: Some(sid.to_owned()), ..Targeting::default() },
        context: Some(id.clone()),
        task_id: Some(id),
        ttl,
        ..NewTask::default()
    };
    let created = client.create_reliable_task(&task).await?;
    if json {
        show::json(&created);
        return Ok(());
    }
    let id = &created.task_id;
    show::line(format_args!("Task {id} runs once when the sensor is online: {}", show::safe(&task.task)));
    show::line(format_args!("  how it stands  muster reliable-task get {id}"));
    show::line(format_args!("  its answers    muster events --sid {sid} --investigation-id {id} --since 7d"));
    if left.is_file {
        show::line(format_args!("  its file       muster artifact download {id}"));
    }
    Ok(())
}

/// The command line of a task that does the same.
fn line(ask: &Ask, id: &str) -> Result<Left, Usage> {
    // Command lines are read alike for every system.
    let quote = |text: &str| quoted(text, Style::Unix);
    let plain = |line: String| Ok(Left { line, payload: None, is_file: false });
    match ask {
        Ask::List(path) if path.is_empty() => plain("dir_list / *".to_owned()),
        Ask::List(path) if path.contains(['*', '?']) => {
            let (above, pattern) = path.split_at(path.rfind(['/', '\\']).map_or(0, |at| at + 1));
            plain(format!("dir_list {} {}", quote(above), quote(pattern)))
        }
        Ask::List(path) => plain(format!("dir_list {} '*'", quote(path))),
        Ask::Get { from, to: None } => {
            let line = format!("artifact_get --file {} --payload-id {id}", quote(from));
            Ok(Left { line, payload: None, is_file: true })
        }
        Ask::Get { .. } => Err(Usage("the file comes later; leave out where it is to go here".into())),
        Ask::Put { from, to: Some(to) } => put(from, to, id),
        Ask::Put { .. } => Err(Usage("say where the file is to go on the endpoint, from its root".into())),
        Ask::Remove(path) => plain(format!("file_del {}", quote(path))),
        Ask::Processes => plain("os_processes".to_owned()),
        Ask::Kill(pid) => plain(format!("os_kill_process --pid {pid}")),
        Ask::Execute { line, .. } => plain(format!("run --shell-command {}", quote(line))),
        Ask::Registry(Registry::List(path)) => plain(format!("reg_list {}", quote(path))),
        _ => Err(Usage("this needs a session; ls, get, put, rm, ps, kill, exec and reg list can be left".into())),
    }
}

fn put(from: &Path, to: &str, id: &str) -> Result<Left, Usage> {
    let name = format!("live-{id}");
    let line = format!("put --payload-name {name} --payload-path {}", quoted(to, Style::Unix));
    Ok(Left { line, payload: Some((name, from.to_owned())), is_file: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_a_command_line_that_endpoints_know() {
        for (typed, wanted) in [
            ("ls /etc", "dir_list /etc '*'"),
            ("ls '/a b/*.txt'", "dir_list '/a b/' '*.txt'"),
            ("ps", "os_processes"),
            ("kill 7", "os_kill_process --pid 7"),
            ("exec /bin/echo 'a b'", "run --shell-command '/bin/echo '\\''a b'\\'''"),
            ("get /etc/hostname", "artifact_get --file /etc/hostname --payload-id ID"),
            ("put here '/there it/is'", "put --payload-name live-ID --payload-path '/there it/is'"),
            ("rm C:\\x", "file_del C:\\x"),
        ] {
            let left = line(&Ask::read(typed).unwrap(), "ID").unwrap();
            assert_eq!(left.line, wanted);
            let words = muster_command::tokenize(&left.line).unwrap();
            assert!(muster_command::find(&words[0]).is_some(), "{typed}");
        }
        for typed in ["cd /", "memdump /x", "get /x here", "put here"] {
            assert!(line(&Ask::read(typed).unwrap(), "ID").is_err(), "{typed}");
        }
    }
}
