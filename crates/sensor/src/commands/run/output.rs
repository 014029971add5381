//! What a command writes: all of it in the reply, or head and tail with the whole as an artifact.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::super::transfer::{self, Artifact, Temporary};
use super::super::{Fields, Job};
use crate::platform::files;

/// Longest output of a stream that is in the reply as a whole. Source: reference/commands.md section 6.1.
const WHOLE_BYTES_MAX: usize = 1_048_576;
/// Of longer output, so much from the beginning and from the end.
const PART_BYTES: usize = WHOLE_BYTES_MAX / 2;
/// Longest output that is kept as an artifact: what a log of some hours has, and any disk.
const ARTIFACT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Time for the upload, which the answer waits for.
const OFFER_TIME_MAX: Duration = Duration::from_secs(300);
/// How long such an artifact is kept.
const RETENTION_DAYS: u32 = 30;

/// One stream. Output beyond all bounds is read and counted, so that the process does not block.
pub(super) struct Output {
    name: &'static str,
    dir: PathBuf,
    /// All of it, or its head.
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes: u64,
    /// From the moment that there is too much.
    file: Option<io::Result<(File, Temporary)>>,
}

impl Output {
    /// Output of this name; a file for what is too long goes into `dir`.
    pub(super) fn new(name: &'static str, dir: &Path) -> Self {
        Self { name, dir: dir.to_owned(), head: Vec::new(), tail: VecDeque::new(), bytes: 0, file: None }
    }

    /// Takes more of it.
    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes += more.len() as u64;
        if self.file.is_none() && self.head.len() + more.len() <= WHOLE_BYTES_MAX {
            return self.head.extend_from_slice(more);
        }
        if self.file.is_none() {
            self.file = Some(self.begin_file());
            self.tail.extend(self.head.split_off(PART_BYTES.min(self.head.len())));
        }
        self.tail.extend(more);
        let surplus = self.tail.len().saturating_sub(PART_BYTES);
        self.tail.drain(..surplus);
        let is_within = self.bytes <= ARTIFACT_BYTES_MAX;
        if let Some(Ok((file, _))) = self.file.as_mut().filter(|_| is_within)
            && let Err(error) = file.write_all(more)
        {
            self.file = Some(Err(error));
        }
    }

    fn begin_file(&self) -> io::Result<(File, Temporary)> {
        let path = self.dir.join(crate::random::uuid().simple().to_string());
        let mut file = files::private().create_new(true).write(true).open(&path)?;
        let guard = Temporary(path);
        file.write_all(&self.head)?;
        Ok((file, guard))
    }

    /// Puts it into the reply; what does not fit becomes an artifact.
    pub(super) async fn add_to(self, reply: &mut Fields, job: &Job) {
        let name = self.name;
        let Some(file) = self.file else {
            reply.insert(name.to_owned(), decode(&self.head).into());
            return;
        };
        let tail: Vec<u8> = self.tail.into();
        let missing = self.bytes - (self.head.len() + tail.len()) as u64;
        let text = format!("{}\n[{missing} bytes are missing here]\n{}", decode(&self.head), decode(&tail));
        reply.insert(name.to_owned(), text.into());
        reply.insert(format!("{name}_BYTES"), self.bytes.into());
        let whole = match file {
            Ok((file, guard)) => {
                drop(file);
                offer(job, name, &guard.0).await
            }
            Err(error) => Err(format!("it could not be kept on the endpoint: {error}")),
        };
        match whole {
            Ok(payload_id) => {
                reply.insert(format!("{name}_ARTIFACT"), payload_id.into());
                if self.bytes > ARTIFACT_BYTES_MAX {
                    say(reply, &format!("the artifact of {name} ends after some {ARTIFACT_BYTES_MAX} bytes"));
                }
            }
            Err(why) => {
                say(reply, &format!("{missing} bytes of {name} are missing, and the whole is no artifact: {why}"))
            }
        }
    }
}

/// Uploads output as an artifact; gives its id.
async fn offer(job: &Job, name: &str, file: &Path) -> Result<String, String> {
    let payload_id = crate::random::uuid().to_string();
    let artifact = Artifact {
        file,
        path: format!("{name} of task {}", job.run.task),
        hint: "txt".to_owned(),
        payload_id: payload_id.clone(),
        retention_days: RETENTION_DAYS,
    };
    tokio::select! {
        sent = timeout(OFFER_TIME_MAX, transfer::upload_once(job, &artifact)) => match sent {
            Ok(sent) => sent.map(|()| payload_id).map_err(|failure| failure.message),
            Err(_) => Err(format!("it took longer than {} s", OFFER_TIME_MAX.as_secs())),
        },
        // The process has ended by then, by itself or because of that.
        () = job.stop.asked() => Err("the task was cancelled".to_owned()),
    }
}

fn say(reply: &mut Fields, more: &str) {
    let text = match reply.get("ERROR_MESSAGE").and_then(|text| text.as_str()) {
        Some(before) => format!("{before}; {more}"),
        None => more.to_owned(),
    };
    reply.insert("ERROR_MESSAGE".to_owned(), text.into());
}

fn decode(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}
