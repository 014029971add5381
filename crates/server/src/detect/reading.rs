//! Rules on the content of artifacts: each line of an artifact of text is a record.
//!
//! An artifact is queued in the commit that keeps it, if its organization has rules that listen to artifacts.
//! It is read in steps: what rules make of the lines of a step is stored in one commit with how far the reading
//! got, so every line is evaluated once, whatever ends the server. The artifacts of an organization take turns,
//! and so do their steps and the events of sensors.
//!
//! Source: reference/detection-response.md section 2.3.

use super::{Content, Detect, Role, evaluate_as};
use crate::artifact::{self, ARTIFACT, Artifact};
use crate::files::Shelf;
use crate::intake::Record;
use crate::records::Kind;
use crate::{errors, random};
use bytes::Bytes;
use muster_model::{Oid, Timestamp};
use muster_rules::Target;
use muster_store::{StoreError, Write};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::sleep;

/// Bytes that a step reads; more than the longest line, so that each step gets on.
const STEP_BYTES: usize = 128 * 1024;

/// Lines of one step: they are one commit, and events of sensors wait for it.
const STEP_LINES_MAX: usize = 1_024;

/// Longest line, in bytes; of a longer one rules see the beginning.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of an artifact that rules see: a log of a day or a week, not the disk that someone uploads.
const READ_BYTES_MAX: u64 = 1 << 30;

/// A file with a zero byte among its first so many bytes is no text.
const PROBE_BYTES: usize = 8 * 1024;

/// Types whose lines may be JSON objects, which are the records then. The lines of other types are text whatever
/// they look like: who writes into a log cannot hide a line from the rules that search its text.
const STRUCTURED: [&str; 3] = ["json", "wel", "zeek"];

/// A step that cannot be read or stored is tried again after this long, doubling.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Artifacts that are being read, by a key of their own.
const READING: Kind<Reading> = Kind::new("reading");

/// How far an artifact was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    payload_id: String,
    /// Of the artifact: another one may come to have its id.
    created_at: Timestamp,
    /// Bytes that are done with.
    through: u64,
    /// They end amid a line that is too long.
    is_amid_line: bool,
    /// Lines that were too long.
    long_lines: u64,
}

/// A reading with its key.
struct Planned {
    key: String,
    reading: Reading,
}

/// What waits to be read, by organization. One that is in it has a task that reads.
#[derive(Default)]
pub(super) struct Readings(Mutex<BTreeMap<Oid, VecDeque<Planned>>>);

impl Readings {
    /// Adds readings; tells whether a task has to be begun for them.
    fn push(&self, oid: Oid, planned: impl IntoIterator<Item = Planned>) -> bool {
        let mut readings = self.0.lock();
        let is_idle = !readings.contains_key(&oid);
        let queue = readings.entry(oid).or_default();
        queue.extend(planned);
        is_idle
    }

    /// Forgets what waits in an organization, whose task has ended.
    pub(super) fn end(&self, oid: Oid) {
        self.0.lock().remove(&oid);
    }

    /// The next reading; without one, the task is over.
    fn next(&self, oid: Oid) -> Option<Planned> {
        let mut readings = self.0.lock();
        let next = readings.get_mut(&oid)?.pop_front();
        if next.is_none() {
            readings.remove(&oid);
        }
        next
    }
}

impl artifact::Readers for Detect {
    fn plan(
        self: Arc<Self>,
        oid: Oid,
        payload_id: &str,
        artifact: &Artifact,
    ) -> Result<Option<artifact::Reading>, StoreError> {
        if self.detectors.listening(oid, Target::Artifact).is_none() {
            return Ok(None);
        }
        let reading = Reading {
            payload_id: payload_id.to_owned(),
            created_at: artifact.created_at,
            through: 0,
            is_amid_line: false,
            long_lines: 0,
        };
        let planned = Planned { key: random::uuid().to_string(), reading };
        let plan = planned.write(oid)?;
        Ok(Some(artifact::Reading { plan, begin: Box::new(move || begin(&self, oid, [planned])) }))
    }
}

impl Planned {
    /// Stores how far it got.
    fn write(&self, oid: Oid) -> Result<Write, StoreError> {
        let body = serde_json::to_string(&self.reading).map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(READING.write(oid, &self.key, body))
    }
}

/// Goes on with what was being read when the last server ended.
pub(super) fn resume(detect: &Arc<Detect>, oid: Oid) {
    let stored = detect.records.take(oid, READING);
    begin(detect, oid, stored.into_iter().map(|(key, reading)| Planned { key, reading }));
}

/// Has artifacts read whose plan is stored.
fn begin(detect: &Arc<Detect>, oid: Oid, planned: impl IntoIterator<Item = Planned>) {
    let mut planned = planned.into_iter().peekable();
    if planned.peek().is_some() && detect.detectors.readings.push(oid, planned) {
        detect.detectors.spawn(oid, run(Arc::downgrade(detect), oid));
    }
}

/// Reads the artifacts of one organization in turn, until none is left.
async fn run(detect: Weak<Detect>, oid: Oid) {
    let mut pause = RETRY_MIN;
    loop {
        let Some(detect) = detect.upgrade() else { return };
        let Some(planned) = detect.detectors.readings.next(oid) else { return };
        match step(&detect, oid, &planned).await {
            Ok(next) => {
                pause = RETRY_MIN;
                detect.detectors.readings.push(oid, next);
            }
            Err(error) => {
                let payload_id = &planned.reading.payload_id;
                tracing::warn!(%oid, payload_id, %error, "an artifact cannot be read by rules now; it is tried again");
                detect.detectors.readings.push(oid, [planned]);
                drop(detect);
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Evaluates the next lines, and gives what is left to read.
async fn step(detect: &Arc<Detect>, oid: Oid, planned: &Planned) -> Result<Option<Planned>, StepError> {
    let Planned { key, reading } = planned;
    let Some((artifact, piece)) = next_piece(detect, oid, reading).await? else {
        detect.store.commit(vec![READING.removal(oid, key)]).await?;
        return Ok(None);
    };
    let size = artifact.size;
    let is_last = piece.len() < STEP_BYTES || reading.through + piece.len() as u64 >= size.min(READ_BYTES_MAX);
    let mut reading = reading.clone();
    let lines = reading.lines(&piece, is_last);
    let is_done = is_last && reading.through >= planned.reading.through + piece.len() as u64;
    let (base, routing) = artifact::record(&detect.organizations, oid, &reading.payload_id, &artifact);
    let is_structured = STRUCTURED.contains(&artifact.hint.as_str());
    let records = lines.into_iter().filter_map(|line| body(line, is_structured));
    let records = records.map(|body| Record { id: random::uuid(), body, ..base.clone() }).collect();
    let next = Planned { key: key.clone(), reading };
    let progress = if is_done { READING.removal(oid, key) } else { next.write(oid)? };
    let content = Content { artifact, routing };
    let role = Role::Content(Arc::new(content));
    evaluate_as(detect, oid, role, records, vec![progress]).await?;
    if is_done {
        next.reading.tell(detect, oid, size).await;
    }
    Ok((!is_done).then_some(next))
}

/// The artifact and its next bytes; nothing if it is gone, no text, or nobody's concern any more.
async fn next_piece(detect: &Detect, oid: Oid, reading: &Reading) -> Result<Option<(Artifact, Vec<u8>)>, io::Error> {
    let known: Option<Artifact> = detect.records.get(oid, ARTIFACT, &reading.payload_id);
    let known = known.filter(|artifact| artifact.created_at == reading.created_at);
    let Some(artifact) = known.filter(|_| detect.detectors.listening(oid, Target::Artifact).is_some()) else {
        return Ok(None);
    };
    let path = detect.files.path(Shelf::Artifacts, oid, &reading.payload_id);
    let mut file = match tokio::fs::File::open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    file.seek(io::SeekFrom::Start(reading.through)).await?;
    let mut piece = Vec::with_capacity(STEP_BYTES);
    let left = READ_BYTES_MAX.saturating_sub(reading.through);
    file.take(left.min(STEP_BYTES as u64)).read_to_end(&mut piece).await?;
    let is_text = reading.through > 0 || !piece[..piece.len().min(PROBE_BYTES)].contains(&0);
    Ok(is_text.then_some((artifact, piece)))
}

impl Reading {
    /// Takes the next lines off a piece of the file; one that the piece does not hold whole is left for the next
    /// piece. Lines that are too long are cut.
    fn lines<'p>(&mut self, piece: &'p [u8], is_last: bool) -> Vec<&'p [u8]> {
        let (mut lines, mut at) = (Vec::new(), 0);
        while at < piece.len() && lines.len() < STEP_LINES_MAX {
            let rest = &piece[at..];
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = &rest[..end.unwrap_or(rest.len())];
            let is_whole = end.is_some() || is_last;
            if !self.is_amid_line {
                let is_long = line.len() > LINE_BYTES_MAX;
                if !is_whole && !is_long {
                    break;
                }
                self.long_lines += u64::from(is_long);
                lines.push(&line[..line.len().min(LINE_BYTES_MAX)]);
            }
            self.is_amid_line = !is_whole;
            at += line.len() + usize::from(end.is_some());
        }
        self.through += at as u64;
        lines
    }

    /// Tells operators what of an artifact its rules did not see.
    async fn tell(&self, detect: &Detect, oid: Oid, size: u64) {
        let (id, lines) = (&self.payload_id, self.long_lines);
        let mut unseen = Vec::new();
        if lines > 0 {
            unseen.push(format!("lines of more than {LINE_BYTES_MAX} bytes were cut there: {lines}"));
        }
        if size > READ_BYTES_MAX {
            unseen.push(format!("nothing after its first {READ_BYTES_MAX} bytes was read"));
        }
        if !unseen.is_empty() {
            let text = format!("rules did not see all of artifact {id}: {}", unseen.join("; "));
            errors::report(&detect.records, oid, "artifacts", &text).await;
        }
    }
}

/// The record of a line; none for an empty one.
fn body(line: &[u8], is_structured: bool) -> Option<Bytes> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_start_matches('\u{feff}').trim_end_matches('\r');
    if line.trim().is_empty() {
        return None;
    }
    if is_structured && serde_json::from_str::<Map<String, Value>>(line).is_ok() {
        return Some(line.to_owned().into());
    }
    // Older rules read `txt`.
    serde_json::to_vec(&json!({"text": line, "txt": line})).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that steps make of a file.
    fn read(file: &[u8]) -> (Vec<Vec<u8>>, Reading) {
        let mut reading = Reading {
            payload_id: String::new(),
            created_at: Timestamp::ZERO,
            through: 0,
            is_amid_line: false,
            long_lines: 0,
        };
        let mut lines = Vec::new();
        while reading.through < file.len() as u64 {
            let at = reading.through as usize;
            let piece = &file[at..file.len().min(at + STEP_BYTES)];
            let found = reading.lines(piece, at + piece.len() == file.len());
            assert!(found.len() <= STEP_LINES_MAX && reading.through > at as u64, "a step gets on");
            lines.extend(found.into_iter().map(<[u8]>::to_vec));
        }
        (lines, reading)
    }

    #[test]
    fn steps_see_every_line_once_wherever_they_end() {
        let lengths = [0, 1, 70_000, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 3, 500_000, STEP_BYTES - 1, 0, 9];
        let mut written: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
        written.extend((0..3_000).map(|number: u32| number.to_string().into_bytes()));
        let cut: Vec<Vec<u8>> = written.iter().map(|line| line[..line.len().min(LINE_BYTES_MAX)].to_vec()).collect();
        let open = written.join(&b'\n');
        let (lines, reading) = read(&open);
        assert_eq!((lines == cut, reading.long_lines, reading.is_amid_line), (true, 4, false));
        let closed = [open, b"\n".to_vec()].concat();
        assert!(read(&closed).0 == cut, "a line end at the end makes no line");
        let (lines, _) = read(&vec![b'y'; 3 * STEP_BYTES]);
        assert_eq!(lines, [vec![b'y'; LINE_BYTES_MAX]], "one line without an end");
    }

    #[test]
    fn a_line_is_text_unless_its_type_has_objects() {
        let body = |line: &str, is_structured| {
            body(line.as_bytes(), is_structured).map(|body| serde_json::from_slice::<Value>(&body).unwrap())
        };
        assert_eq!(body("a \"b\"\r", false), Some(json!({"text": "a \"b\"", "txt": "a \"b\""})));
        assert_eq!(body("{\"a\": 1}", false).unwrap()["text"], "{\"a\": 1}");
        assert_eq!(body("\u{feff}{\"a\": 1}\r", true), Some(json!({"a": 1})));
        for text in ["{\"a\":", "[1]", "1", "{\"a\": 1} {}"] {
            assert_eq!(body(text, true).unwrap()["text"], text);
        }
        assert_eq!((body(" \r", false), body("", true)), (None, None));
    }
}
