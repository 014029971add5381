//! Commands on the memory and the open files of processes. Source: reference/commands.md section 6.4.

use std::time::Duration;
use tokio::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use serde_json::{Value, json};

use super::process::named;
use super::{Failure, Job, List, Outcome, code, fields};
use crate::memory;
use crate::platform::shapes::Handle;
use crate::platform::{handles, process};

/// Longest read. Source: reference/commands.md section 6.4.
const READ_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// Shortest string, and all text of a reply. Source: reference/commands.md section 6.4.
const STRING_CHARS_MIN: usize = 6;
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Places that one search reports.
const PLACES_MAX: usize = 10_000;
/// Time that one search takes at most.
const TIME_MAX: Duration = Duration::from_secs(60);

pub(super) fn read(job: &Job) -> Outcome {
    let pid = named(job)?.pid;
    let base = job.arguments.address("base-address").unwrap_or(0);
    let size = job.arguments.number("size").unwrap_or(0);
    if size > READ_BYTES_MAX {
        return Err(Failure::new(
            code::INVALID_PARAMETER,
            format!("at most {READ_BYTES_MAX} bytes can be read at a time"),
        ));
    }
    let size = usize::try_from(size).unwrap_or(0);
    let (content, missing) = memory::read(pid, base, size)?;
    if missing == size && size > 0 {
        return Err(Failure::new(code::INVALID_ADDRESS, "nothing is mapped there"));
    }
    Ok(fields(json!({
        "PROCESS_ID": pid,
        "BASE_ADDRESS": base,
        "MEMORY_SIZE": size,
        "MEMORY_DUMP": STANDARD.encode(content),
        "UNREADABLE_BYTES": missing,
    })))
}

/// Strings of one width, one list per region.
#[derive(Default)]
struct Found {
    regions: Vec<Vec<String>>,
    region: Option<usize>,
}

impl Found {
    fn add(&mut self, region: usize, text: String) {
        match self.regions.last_mut() {
            Some(texts) if self.region == Some(region) => texts.push(text),
            _ => {
                self.region = Some(region);
                self.regions.push(vec![text]);
            }
        }
    }
}

pub(super) fn strings(job: &Job) -> Outcome {
    let pid = named(job)?.pid;
    let (mut narrow, mut wide) = (Found::default(), Found::default());
    let (begun, mut bytes) = (Instant::now(), 0);
    memory::walk(pid, 0, |region, _, piece| {
        for text in printable(piece.iter().copied()) {
            bytes += text.len();
            narrow.add(region, text);
        }
        // Both bytes of a pair count only if the second is zero.
        let pairs = piece.chunks_exact(2).map(|pair| if pair[1] == 0 { pair[0] } else { 0 });
        for text in printable(pairs) {
            bytes += text.len();
            wide.add(region, text);
        }
        bytes < TEXT_BYTES_MAX && begun.elapsed() < TIME_MAX && !job.is_over()
    })?;
    let mut reply = fields(json!({"PROCESS_ID": pid, "STRINGSA": narrow.regions, "STRINGSW": wide.regions}));
    if bytes >= TEXT_BYTES_MAX {
        reply.insert("ERROR_MESSAGE".to_owned(), "truncated".into());
    }
    Ok(reply)
}

fn printable(bytes: impl Iterator<Item = u8>) -> Vec<String> {
    let (mut found, mut current) = (Vec::new(), String::new());
    for byte in bytes.chain([0]) {
        if (0x20..0x7f).contains(&byte) {
            current.push(char::from(byte));
        } else if current.len() >= STRING_CHARS_MIN {
            found.push(std::mem::take(&mut current));
        } else {
            current.clear();
        }
    }
    found
}

pub(super) fn find_string(job: &Job) -> Outcome {
    let wanted = job.arguments.list("strings");
    let pid = job.arguments.number("pid").and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let pids = if pid == 0 { process::pids() } else { vec![named(job)?.pid] };
    let finders: Vec<Finder<'_>> = wanted.iter().filter(|text| !text.is_empty()).map(Finder::new).collect();
    if finders.len() < wanted.len() {
        return Err(Failure::new(code::INVALID_PARAMETER, "an empty string is everywhere"));
    }
    let (begun, mut places, mut processes) = (Instant::now(), 0, Vec::new());
    for pid in pids {
        if job.is_over() {
            break;
        }
        let found = search(pid, &finders, PLACES_MAX - places, begun);
        match found {
            Ok(found) if !found.is_empty() => {
                places += found.len();
                let found: Vec<Value> = found
                    .into_iter()
                    .map(|(which, address)| json!({"STRING": wanted[which], "MEMORY_ADDRESS": address}))
                    .collect();
                processes.push(json!({"PROCESS_ID": pid, "STRINGS_FOUND": found}));
            }
            // Of all processes some are always gone or out of reach.
            Err(error) if job.arguments.number("pid") != Some(0) => return Err(error.into()),
            _ => {}
        }
    }
    let mut reply = fields(json!({"PROCESSES": processes}));
    if places >= PLACES_MAX || begun.elapsed() >= TIME_MAX {
        reply.insert("ERROR_MESSAGE".to_owned(), "truncated".into());
    }
    Ok(reply)
}

/// Gives which string begins at which address, in the order of addresses within each region.
fn search(pid: u32, wanted: &[Finder<'_>], places_max: usize, begun: Instant) -> std::io::Result<Vec<(usize, u64)>> {
    let longest = wanted.iter().map(|finder| finder.needle().len()).max();
    let (mut found, mut from) = (Vec::new(), 0);
    memory::walk(pid, longest.unwrap_or(1).saturating_sub(1), |_, base, piece| {
        let before = found.len();
        for (which, finder) in wanted.iter().enumerate() {
            let mut at = 0;
            while let Some(place) = piece.get(at..).and_then(|rest| finder.find(rest)) {
                let (address, length) = (base + (at + place) as u64, finder.needle().len() as u64);
                at += place + 1;
                // What lies in the overlap as a whole was found in the piece before.
                if address + length > from {
                    found.push((which, address));
                }
                if found.len() - before >= places_max {
                    break;
                }
            }
        }
        found[before..].sort_unstable_by_key(|(_, address)| *address);
        found.truncate(places_max);
        from = base + piece.len() as u64;
        found.len() < places_max && begun.elapsed() < TIME_MAX
    })?;
    Ok(found)
}

pub(super) fn handles(job: &Job) -> Outcome {
    let is_all = job.arguments.number("pid") == Some(0) && !job.arguments.has("processatom");
    if is_all {
        return Ok(every(job, |_| true));
    }
    Ok(listed(job, handles::handles(named(job)?.pid)?))
}

pub(super) fn find_handle(job: &Job) -> Outcome {
    let needle = job.arguments.text("needle").unwrap_or_default();
    Ok(every(job, |handle| handle.name.contains(needle)))
}

fn every(job: &Job, fits: impl Fn(&Handle) -> bool) -> super::Fields {
    let all = process::pids().into_iter().flat_map(|pid| handles::handles(pid).unwrap_or_default());
    listed(job, all.filter(|handle| fits(handle)))
}

fn listed(job: &Job, handles: impl IntoIterator<Item = Handle>) -> super::Fields {
    let mut list = List::default();
    for handle in handles {
        let has_room = list.push(json!({
            "PROCESS_ID": handle.pid,
            "HANDLE_TYPE": handle.kind,
            "HANDLE_NAME": handle.name,
            "HANDLE_VALUE": handle.number,
        }));
        if !has_room || job.is_over() {
            return fields(json!({"HANDLES": list.values, "ERROR_MESSAGE": "truncated"}));
        }
    }
    fields(json!({"HANDLES": list.values}))
}
