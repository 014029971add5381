//! What programs are made of: the `HASH` of new processes, and `CODE_IDENTITY` once
//! for each path and content. Source: reference/events.md sections 5.1 and 5.2.
//!
//! Small programs are read at once, so that a rule sees the digest with the process;
//! large ones by a thread of their own that works half of the time and ends when
//! nothing is left. A program whose digest is known costs one look at its metadata.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::time::Instant;

use muster_wire::Event;
use serde_json::json;
use tokio::sync::mpsc::Sender;

use crate::agent::event;
use crate::atom::{self, Atom};
use crate::clock;
use crate::commands::code;
use crate::digest::Digests;
use crate::executor::ToSensor;
use crate::platform::files::Content;
use crate::told::Told;

/// Programs up to this length are read while the event waits: some milliseconds.
const AT_ONCE_BYTES_MAX: u64 = 1024 * 1024;
/// Longer programs have no digest: some seconds of one processor.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Programs that wait to be read; they are held open.
const WAITING_MAX: usize = 64;
/// Digests that are known at the same time, some 200 bytes each.
const KNOWN_MAX: usize = 1_024;
/// Stack of the thread; it recurses nowhere.
const STACK_BYTES: usize = 128 * 1024;
/// Name of the file in the state directory.
pub const FILE: &str = "images";

/// The programs of the endpoint, as far as they have been run.
#[derive(Clone)]
pub struct Images(Arc<Shared>);

struct Shared {
    to_sensor: Sender<ToSensor>,
    state: Mutex<State>,
}

struct State {
    known: HashMap<Content, String>,
    told: Told,
    waiting: VecDeque<Image>,
    has_thread: bool,
}

/// What is known of a program.
#[derive(Debug, Default)]
pub struct Look {
    /// Its digest, if it is known.
    pub sha256: Option<String>,
    /// `CODE_IDENTITY`, if it is to be told.
    pub identity: Option<Event>,
}

/// A program that some process runs.
struct Image {
    file: File,
    path: String,
    content: Content,
    process: Atom,
}

/// What counts as one program. The content comes first: it holds no blank that a path could imitate.
fn identity(path: &str, content: &str) -> String {
    format!("{content} {path}")
}

impl Images {
    /// With what was told by earlier sensors on this state directory.
    #[must_use]
    pub fn open(state_dir: &Path, to_sensor: Sender<ToSensor>) -> Self {
        let told = Told::open(state_dir.join(FILE));
        let state = State { known: HashMap::new(), told, waiting: VecDeque::new(), has_thread: false };
        Self(Arc::new(Shared { to_sensor, state: Mutex::new(state) }))
    }

    /// What is known now of the program that a process runs; the rest may follow as
    /// `CODE_IDENTITY`. `file` is the opened program.
    #[must_use]
    pub fn look(&self, file: File, path: &str, process: Atom) -> Look {
        let Ok(content) = Content::of(&file) else { return Look::default() };
        let mut state = self.0.state();
        if let Some(sha256) = state.known.get(&content).filter(|sha256| state.told.holds(&identity(path, sha256))) {
            return Look { sha256: Some(sha256.clone()), identity: None };
        }
        let image = Image { file, path: path.to_owned(), content, process };
        if content.bytes <= AT_ONCE_BYTES_MAX {
            drop(state);
            return self.0.read(image);
        }
        if state.waiting.len() < WAITING_MAX && !state.waiting.iter().any(|other| other.content == content) {
            state.waiting.push_back(image);
            if !state.has_thread {
                let shared = Arc::clone(&self.0);
                let thread = thread::Builder::new().name("images".to_owned()).stack_size(STACK_BYTES);
                state.has_thread = thread.spawn(move || shared.read_waiting()).is_ok();
            }
        }
        Look::default()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_waiting(&self) {
        loop {
            let image = {
                let mut state = self.state();
                let next = state.waiting.pop_front().filter(|_| !self.to_sensor.is_closed());
                state.has_thread = next.is_some();
                next
            };
            let Some(image) = image else { return };
            let begun = Instant::now();
            if let Some(identity) = self.read(image).identity {
                // Nobody is left to tell when the sensor stops.
                let _ = self.to_sensor.blocking_send(ToSensor::Observed(identity));
            }
            // What else runs on the endpoint comes first.
            thread::sleep(begun.elapsed().min(Duration::from_secs(10)));
        }
    }

    /// Digests a program; gives its identity if it is a new one.
    fn read(&self, mut image: Image) -> Look {
        let mut body = json!({"FILE_PATH": image.path, "MEMORY_SIZE": 0, "ERROR": 0});
        let digests = if image.content.bytes > BYTES_MAX {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Digests::of(&mut image.file, BYTES_MAX, || false)
        };
        let mark = match &digests {
            Ok(digests) => {
                body["HASH"] = digests.sha256.clone().into();
                body["HASH_SHA1"] = digests.sha1.clone().into();
                body["HASH_MD5"] = digests.md5.clone().into();
                digests.sha256.clone()
            }
            Err(error) => {
                let is_large = error.kind() == io::ErrorKind::FileTooLarge;
                body["ERROR"] = if is_large { code::FILE_TOO_LARGE } else { code::READ_FAULT }.into();
                // Told once for each state of the file.
                image.content.text()
            }
        };
        let mut state = self.state();
        if state.known.len() >= KNOWN_MAX {
            state.known.clear();
        }
        if let Ok(digests) = &digests {
            state.known.insert(image.content, digests.sha256.clone());
        }
        let identity = state.told.add(&identity(&image.path, &mark)).then(|| {
            let mut identity = event("CODE_IDENTITY", body, None, clock::now());
            identity.this_atom = atom::random().to_vec();
            identity.parent_atom = image.process.to_vec();
            identity
        });
        Look { sha256: digests.ok().map(|digests| digests.sha256), identity }
    }
}

#[cfg(test)]
mod tests;
