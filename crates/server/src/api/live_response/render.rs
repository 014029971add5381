//! Sessions, commands and files as clients read them. Source: reference/live-response.md sections 3.2, 4.4, 6.1, 10.

use crate::clock;
use crate::live::{CommandView, FileRecord, LiveSession};
use muster_live::{Code, Found, Issued, Kind, Name, Order, ProcessFound, RegistryValue, Session, State};
use muster_model::{Sensor, Timestamp};
use serde_json::{Map, Value, json};

/// Windows counts time in 100 ns from 1601; this is 1970 there.
const FILETIME_OF_EPOCH: i64 = 116_444_736_000_000_000;

/// Text that is null where nothing is known.
fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// What both forms say of a session.
fn session(live: &LiveSession, session: &Session, sensor: Option<&Sensor>) -> Map<String, Value> {
    let about = session.about.as_ref();
    let sensor = sensor.filter(|_| about.is_some());
    let fields = json!({
        "hostname": sensor.and_then(|sensor| known(&sensor.hostname)),
        "address": sensor.and_then(|sensor| known(&sensor.ext_ip)),
        "os_version": about.and_then(|about| known(&about.os_version)),
        "current_working_directory": about.and_then(|about| known(&about.working_directory)),
        "supported_commands": about.map(|about| &about.commands),
        "drives": about.map(|about| &about.drives),
        "id": live.id().to_string(),
    });
    object(fields)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// A session in the first form.
pub(super) fn session_v3(live: &LiveSession, state: &Session, sensor: Option<&Sensor>) -> Value {
    let mut fields = session(live, state, sensor);
    fields.extend(object(json!({
        "sensor_id": state.device,
        "check_in_timeout": state.timers.check_in_s,
        "session_timeout": state.timers.session_s,
        "sensor_check_in_time": state.checked_in_at.map(Timestamp::as_millis),
        "status": state.status().text(),
        "current_command_index": state.commands().len(),
        "create_time": state.created_at.as_millis(),
        "sensor_wait_timeout": state.timers.idle().as_secs(),
        "default_command_timeout": state.timers.command_s,
    })));
    Value::Object(fields)
}

/// A session in the later form.
pub(super) fn session_v6(live: &LiveSession, state: &Session, sensor: Option<&Sensor>) -> Value {
    let mut fields = session(live, state, sensor);
    fields.extend(object(json!({
        "device_id": state.device,
        "check_in_timeout": state.timers.check_in_s,
        "session_timeout": state.timers.session_s,
        "device_check_in_time": state.checked_in_at.map(millis_text),
        "status": state.status().text(),
        "current_command_index": state.commands().len(),
        "create_time": millis_text(state.created_at),
    })));
    Value::Object(fields)
}

/// `2024-01-31T12:00:00.000Z`.
pub(super) fn millis_text(at: Timestamp) -> String {
    let seconds = clock::rfc3339(Timestamp::from_secs(at.as_secs()));
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), at.as_millis().rem_euclid(1_000))
}

/// `2024-01-31T12:00:00Z`.
pub(super) fn seconds_text(at_s: i64) -> String {
    clock::rfc3339(Timestamp::from_secs(at_s))
}

/// What both forms say of the end of a command, with the word of their status.
fn result(view: &CommandView) -> [(&'static str, Value); 3] {
    let ended = view.command.ended.as_ref();
    let is_cancelled = view.command.state() == State::Cancelled;
    let code = ended.map_or(0, |ended| match ended.kind {
        Kind::Win32 => Code(ended.code).hresult(),
        Kind::Server => ended.code,
    });
    let kind = ended.map(|ended| match ended.kind {
        Kind::Win32 => "WinHresult",
        Kind::Server => "CbError",
    });
    let text = ended.filter(|_| code != 0 || is_cancelled).map(|ended| ended.text.as_str()).unwrap_or_default();
    [("result_code", code.into()), ("result_type", kind.into()), ("result_desc", text.into())]
}

/// A command in the first form.
pub(super) fn command_v3(view: &CommandView, session: &Session) -> Value {
    let (issued, ended) = (&view.command.issued, view.command.ended.as_ref());
    let status = match view.command.state() {
        State::Pending => "pending",
        State::Running => "in progress",
        State::Complete => "complete",
        State::Failed => "error",
        State::Cancelled => "cancel",
    };
    let mut fields = object(json!({
        "obj": issued.object,
        "id": view.number,
        "name": issued.order.name().text(),
        // Null in everything that is known of the published service; who asked is in the transcript.
        "username": null,
        "creation_time": issued.at.as_secs(),
        "completion_time": ended.map_or(0, |ended| ended.at.as_secs()),
    }));
    fields.extend(result(view).map(|(name, value)| (name.to_owned(), value)));
    fields.insert("status".to_owned(), status.into());
    fields.extend(found_v3(view, session.device));
    fields.extend(object(json!({
        "session_id": session.id().to_string(),
        "sensor_id": session.device,
        "command_timeout": issued.timeout_s,
        "object": issued.object.get("object").cloned().unwrap_or(Value::Null),
    })));
    Value::Object(fields)
}

/// The file that a command moves, with what of it.
fn file_of(issued: &Issued) -> Option<Value> {
    match &issued.order {
        Order::GetFile { offset, count, .. } => Some(json!({"file_id": issued.file, "offset": offset, "count": count})),
        Order::PutFile { file_id, .. } => Some(json!({"file_id": file_id})),
        _ => None,
    }
}

fn found_v3(view: &CommandView, device: u32) -> Map<String, Value> {
    let (found, issued) = (&view.found, &view.command.issued);
    let process = || json!({"pid": found.pid, "return_code": found.return_code});
    object(match issued.order.name() {
        Name::PutFile | Name::GetFile => file_of(issued).unwrap_or_default(),
        Name::DirectoryList => json!({"files": found.files.iter().map(|entry| json!({
            "filename": entry.name, "name": entry.name,
            "alternate_name": entry.alternate, "alt_name": entry.alternate,
            "attributes": entry.attributes, "size": entry.size,
            "create_time": entry.created, "last_access_time": entry.accessed, "last_write_time": entry.modified,
        })).collect::<Vec<_>>()}),
        Name::ProcessList => {
            json!({"processes": found.processes.iter().map(|process| process_v3(process, device)).collect::<Vec<_>>()})
        }
        Name::CreateProcess => process(),
        Name::Memdump => dump(found),
        Name::RegEnumKey => {
            json!({"values": found.values.iter().map(value_v3).collect::<Vec<_>>(), "sub_keys": found.sub_keys})
        }
        Name::RegQueryValue => json!({"value": found.values.first().map(value_v3)}),
        _ => json!({}),
    })
}

fn dump(found: &Found) -> Value {
    let dump = found.dump.unwrap_or_default();
    json!({
        "return_code": dump.return_code, "complete": dump.complete, "dumping": dump.dumping,
        "compressing": dump.compressing, "percentdone": dump.percent, "unreadable_bytes": dump.unreadable,
    })
}

fn process_v3(process: &ProcessFound, device: u32) -> Value {
    json!({
        "pid": process.pid,
        "create_time": process.created_ms.div_euclid(1_000),
        "path": process.path,
        "command_line": process.command_line,
        "sid": process.sid,
        "username": process.username,
        "parent": process.parent,
        "parent_create_time": process.parent_created_ms.div_euclid(1_000),
        "proc_guid": guid(device, process.pid, process.created_ms),
        "parent_guid": guid(device, process.parent, process.parent_created_ms),
    })
}

/// Device, process, and the instant of its creation as Windows counts, in the usual groups.
/// Source: reference/live-response.md section 5.12.
fn guid(device: u32, pid: u32, created_ms: i64) -> String {
    let filetime =
        if created_ms == 0 { 0 } else { created_ms.saturating_mul(10_000).saturating_add(FILETIME_OF_EPOCH) };
    let number = u128::from(device) << 96 | u128::from(pid) << 64 | u128::from(filetime.cast_unsigned());
    uuid::Uuid::from_u128(number).to_string()
}

fn value_v3(value: &RegistryValue) -> Value {
    json!({"value_name": value.name, "value_type": value.kind, "value_data": value.data})
}

/// The later form has both spellings, and data as text in its own.
fn value_v6(value: &RegistryValue) -> Value {
    let text = match &value.data {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    json!({
        "value_name": value.name, "value_type": value.kind, "value_data": value.data,
        "registry_name": value.name, "registry_type": value.kind, "registry_data": text,
    })
}

/// A command in the later form.
pub(super) fn command_v6(view: &CommandView, session: &Session) -> Value {
    let (issued, found, ended) = (&view.command.issued, &view.found, view.command.ended.as_ref());
    let status = match view.command.state() {
        State::Pending => "PENDING",
        State::Running => "IN PROGRESS",
        State::Complete => "COMPLETE",
        State::Failed => "ERROR",
        State::Cancelled => "CANCELLED",
    };
    let mut input = issued.object.clone();
    if let Some(operand) = input.remove("path").or_else(|| input.remove("pid")) {
        input.insert("object".to_owned(), operand);
    }
    let mut fields = object(json!({
        "id": view.number,
        "session_id": session.id().to_string(),
        "device_id": session.device,
        "command_timeout": issued.timeout_s,
        "name": issued.order.name().text(),
        "input": input,
        "status": status,
        "create_time": seconds_text(issued.at.as_secs()),
        "finish_time": ended.map(|ended| seconds_text(ended.at.as_secs())),
        "sub_keys": found.sub_keys,
        "values": found.values.iter().map(value_v6).collect::<Vec<_>>(),
        "files": found.files.iter().map(|entry| json!({
            "filename": entry.name, "alternate_name": entry.alternate, "attributes": entry.attributes,
            "size": entry.size, "create_time": seconds_text(entry.created),
            "last_access_time": seconds_text(entry.accessed), "last_write_time": seconds_text(entry.modified),
        })).collect::<Vec<_>>(),
        "processes": found.processes.iter().map(process_v6).collect::<Vec<_>>(),
    }));
    fields.extend(result(view).map(|(name, value)| (name.to_owned(), value)));
    if let Some(file) = file_of(issued) {
        fields.insert("file_details".to_owned(), file);
    }
    match issued.order.name() {
        Name::CreateProcess => {
            let details = json!({"pid": found.pid, "return_code": found.return_code});
            fields.insert("process_details".to_owned(), details);
        }
        Name::Memdump => {
            fields.insert("mem_dump".to_owned(), dump(found));
        }
        Name::RegQueryValue => {
            fields.insert("value".to_owned(), found.values.first().map_or(Value::Null, value_v6));
        }
        _ => {}
    }
    Value::Object(fields)
}

fn process_v6(process: &ProcessFound) -> Value {
    json!({
        "process_pid": process.pid,
        "process_path": process.path,
        "process_cmdline": process.command_line,
        "process_username": process.username,
        "process_create_time": seconds_text(process.created_ms.div_euclid(1_000)),
        "parent_pid": process.parent,
        "parent_create_time": seconds_text(process.parent_created_ms.div_euclid(1_000)),
        "sid": process.sid,
    })
}

/// A file, in both forms.
pub(super) fn file(record: &FileRecord, arrived: u64) -> Value {
    json!({
        "id": record.id,
        "file_name": record.name,
        "sha256": if record.is_whole { record.sha256.as_str() } else { "" },
        "size": if record.is_whole { record.size } else { 0 },
        "size_uploaded": if record.is_whole { record.size } else { arrived },
        "status": record.status,
        "delete": record.is_deleted,
        "upload_url": null,
    })
}
