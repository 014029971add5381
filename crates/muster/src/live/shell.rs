//! A session at the terminal: lines with history and completion.
//!
//! The editor waits for keys on a thread of its own. It asks for what completes a word by a message, so that all that
//! is said to the server is said in one place, and a session is kept from idling while somebody thinks.

use super::ask::Ask;
use super::carry::Carrier;
use super::complete::{Place, Typed};
use super::editor::Editor;
use super::path::Style;
use super::session::Connection;
use crate::show;
use muster_client::Client;
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::mpsc as blocking;
use tokio::sync::{mpsc, oneshot};

/// Names that are offered at once.
const OFFERED_MAX: usize = 500;

/// What the editor says.
enum Said {
    /// A line was typed.
    Line(String),
    /// What completes this?
    Complete(Place, oneshot::Sender<Vec<String>>),
    /// There are no more lines.
    End,
}

/// Holds a session until the person leaves.
///
/// # Errors
///
/// If it cannot be opened. What goes wrong in it is shown, and it goes on.
pub async fn hold(client: &Client, sid: &str, wait_s: u64, json: bool) -> anyhow::Result<()> {
    let connection = Connection::open(client, sid, wait_s).await?;
    show::line(format_args!("Session {} with {sid}. `help` tells what there is, Ctrl-D leaves.", connection.id()));
    let mut carrier = Carrier { connection, json };
    let (says, mut said) = mpsc::channel(1);
    let (prompts, to_show) = blocking::channel();
    let editor = std::thread::spawn(move || edit(&says, &to_show));
    while let Some(line) = next_line(&carrier.connection, &prompts, &mut said).await {
        let done = match Ask::read(&line) {
            Ok(Ask::Leave) => break,
            Ok(ask) => carrier.carry_out(ask).await,
            Err(error) => Err(error.into()),
        };
        match done {
            Ok(0) => {}
            Ok(code) => eprintln!("It ended with code {code}."),
            Err(error) => eprintln!("{}", show::safe(&format!("{error:#}"))),
        }
    }
    carrier.connection.leave().await;
    drop((prompts, said));
    match editor.join() {
        Ok(ended) => ended,
        Err(_) => anyhow::bail!("the line editor failed"),
    }
}

/// The next line, if there is one; meanwhile words are completed.
async fn next_line(
    connection: &Connection<'_>,
    prompts: &blocking::Sender<(String, Style)>,
    said: &mut mpsc::Receiver<Said>,
) -> Option<String> {
    prompts.send((format!("{}> ", show::safe(&connection.directory)), connection.style)).ok()?;
    let keep = Connection::keep(connection.client, connection.id());
    let listen = async {
        loop {
            match said.recv().await? {
                Said::Line(line) => return Some(line),
                // Who asked may have gone on meanwhile.
                Said::Complete(place, answer) => drop(answer.send(names(connection, &place).await)),
                Said::End => return None,
            }
        }
    };
    tokio::select! {
        line = listen => line,
        () = keep => None,
    }
}

/// Names that complete a place; none if they cannot be had.
async fn names(connection: &Connection<'_>, place: &Place) -> Vec<String> {
    let (style, prefix) = match place {
        Place::Word(names) => return names.clone(),
        Place::Here(prefix) => return super::complete::local(prefix),
        Place::There(prefix) => (connection.style, prefix),
    };
    let (above, last) = style.split(prefix);
    if last.contains(['*', '?']) {
        return Vec::new();
    }
    let pattern = format!("{}{last}*", connection.whole(&format!("{above}.{}", style.separator())));
    let request = json!({"name": "directory list", "object": pattern});
    let Ok(command) = connection.ask_aside(&request).await else { return Vec::new() };
    let files = command.found.get("files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |entry: &Value| {
        let name = entry.get("filename")?.as_str().filter(|name| *name != "." && *name != "..")?;
        let is_directory = entry.get("attributes")?.as_array()?.iter().any(|attribute| attribute == "DIRECTORY");
        let more = if is_directory { style.separator().to_string() } else { String::new() };
        Some(format!("{above}{name}{more}"))
    };
    files.iter().filter_map(name).take(OFFERED_MAX).collect()
}

/// Reads lines, until there are no more or nobody wants them.
fn edit(says: &mpsc::Sender<Said>, prompts: &blocking::Receiver<(String, Style)>) -> anyhow::Result<()> {
    let style = Cell::new(Style::Unix);
    let complete = |line: &str| {
        let typed = Typed::read(line);
        let (answer, answered) = oneshot::channel();
        let names = match says.blocking_send(Said::Complete(typed.place(), answer)) {
            Ok(()) => answered.blocking_recv().unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        typed.offer(names, style.get())
    };
    let mut editor = Editor::new(complete)?;
    while let Ok((prompt, of_endpoint)) = prompts.recv() {
        style.set(of_endpoint);
        let line = editor.read(&prompt);
        let said = match &line {
            Ok(Some(line)) => Said::Line(line.clone()),
            _ => Said::End,
        };
        let is_heard = says.blocking_send(said).is_ok();
        line?;
        if !is_heard {
            break;
        }
    }
    Ok(())
}
