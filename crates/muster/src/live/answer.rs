//! What people read of what commands found.

use crate::show;
use muster_client::{LiveCommandV3, LiveMoved, LiveTranscript, LiveTyped};
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};

/// How much of a request fits on its line.
const REQUEST_CHARS_MAX: usize = 120;

fn rows<'a>(command: &'a LiveCommandV3, name: &str) -> &'a [Value] {
    command.found.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(row: &Value, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}

fn number(row: &Value, name: &str) -> i64 {
    row.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// Shows what a command found.
pub fn show(command: &LiveCommandV3) {
    match command.name.as_str() {
        "directory list" => {
            let row = |row: &Value| {
                let size = show::bytes(number(row, "size").unsigned_abs());
                vec![size, show::time(number(row, "last_write_time")), text(row, "attributes"), text(row, "filename")]
            };
            let headings = ["SIZE", "MODIFIED", "ATTRIBUTES", "NAME"];
            show::table(&headings, rows(command, "files").iter().map(row), "Nothing there.");
        }
        "process list" => {
            let row = |row: &Value| {
                let line = text(row, "command_line");
                let what = if line.is_empty() { text(row, "path") } else { line };
                let started = show::time(number(row, "create_time"));
                vec![text(row, "pid"), text(row, "parent"), text(row, "username"), started, what]
            };
            let headings = ["PID", "PARENT", "USER", "STARTED", "COMMAND"];
            show::table(&headings, rows(command, "processes").iter().map(row), "No processes.");
        }
        "reg enum key" => {
            let keys = rows(command, "sub_keys")
                .iter()
                .map(|key| vec![key.as_str().unwrap_or_default().to_owned(), "KEY".to_owned(), String::new()]);
            let all = keys.chain(rows(command, "values").iter().map(value));
            show::table(&["NAME", "TYPE", "DATA"], all, "Nothing in it.");
        }
        "reg query value" => {
            show::table(&["NAME", "TYPE", "DATA"], command.found.get("value").map(value), "Nothing in it.");
        }
        "create process" => show::line(format_args!("Started as process {}.", number_of(command, "pid"))),
        _ => show::line("Done."),
    }
}

fn value(row: &Value) -> Vec<String> {
    vec![text(row, "value_name"), text(row, "value_type"), text(row, "value_data")]
}

fn number_of(command: &LiveCommandV3, name: &str) -> i64 {
    command.found.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// The exit code of a process that was waited for.
pub fn return_code(command: &LiveCommandV3) -> i64 {
    number_of(command, "return_code")
}

/// Writes the output of a program of the endpoint; at a terminal without what would steer it.
pub fn output(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        let clean: String = String::from_utf8_lossy(bytes)
            .chars()
            .map(|char| if char.is_control() && !matches!(char, '\n' | '\t') { '\u{fffd}' } else { char })
            .collect();
        out.write_all(clean.as_bytes())
    } else {
        out.write_all(bytes)
    };
    // Who reads no more wants no more.
    let _ = written.and_then(|()| out.flush());
}

/// Shows all that was done in a session.
pub fn transcript(transcript: &LiveTranscript) {
    let ended = transcript.ended.clone().unwrap_or_else(|| "-".to_owned());
    show::fields(&[
        ("session", transcript.id.clone()),
        ("opened by", transcript.by.clone()),
        ("opened (UTC)", transcript.opened.clone()),
        ("ended (UTC)", ended),
        ("status", transcript.status.clone()),
    ]);
    let row = |typed: &LiveTyped| {
        let command = &typed.command;
        let came = match command.status.as_str() {
            "error" | "cancel" => command.result_desc.clone(),
            status => status.to_owned(),
        };
        let id = command.id.to_string();
        vec![id, show::time(command.creation_time), typed.by.clone(), request_of(typed), came]
    };
    show::line("");
    show::table(&["#", "WHEN", "WHO", "WHAT", "WHAT CAME OF IT"], transcript.commands.iter().map(row), "No commands.");
    if !transcript.files.is_empty() {
        show::line("");
        let row = |file: &LiveMoved| vec![file.name.clone(), show::bytes(file.size), file.sha256.clone()];
        show::table(&["FILE", "SIZE", "SHA-256"], transcript.files.iter().map(row), "");
    }
}

/// What was asked for: the name of the command, and its fields.
fn request_of(typed: &LiveTyped) -> String {
    let fields = typed.command.obj.iter().filter(|(name, _)| name.as_str() != "name");
    let mut words = vec![typed.command.name.clone()];
    words.extend(fields.map(|(name, value)| match (name.as_str(), value) {
        ("object" | "path", Value::String(text)) => text.clone(),
        (name, value) => format!("{name}={value}"),
    }));
    show::shortened(&words.join(" "), REQUEST_CHARS_MAX)
}
