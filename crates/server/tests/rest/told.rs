//! Whoever hears of records: live readers, files of outputs, and a rule on audit records.

use crate::actions::eventually;
use crate::detections::{set, stored};
use crate::world::World;
use muster_server::intake::{Filter, Subscription};
use muster_store::Stream;
use serde_json::{Value, json};
use std::path::Path;

/// With their names in settings; audit records last, so that the file of none misses an audit record of another.
const STREAMS: [(Stream, &str); 5] = [
    (Stream::Event, "event"),
    (Stream::Detect, "detect"),
    (Stream::Deployment, "deployment"),
    (Stream::Artifact, "artifact"),
    (Stream::Audit, "audit"),
];

/// Listeners to all streams of an organization.
pub struct Listeners {
    readers: Vec<Reader>,
    /// Audit records that were stored before there was a rule on them.
    unruled: usize,
}

struct Reader {
    stream: Stream,
    name: &'static str,
    live: Subscription,
    heard: Vec<Value>,
    /// Records that were stored before.
    missed: usize,
}

impl Reader {
    /// The records of its stream that are stored since it listens.
    async fn stored(&self, world: &World) -> Vec<Value> {
        stored(world, self.stream).await.split_off(self.missed)
    }

    /// What its output has written.
    fn written(&self, world: &World) -> Vec<Value> {
        let folder = world.folder.path().join("outputs").join(world.oid.to_string()).join(self.name);
        let mut lines = Vec::new();
        read_lines(&folder, &mut lines);
        lines
    }
}

fn read_lines(folder: &Path, lines: &mut Vec<Value>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_lines(&path, lines);
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            // The last line may be in the making.
            let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.extend(whole.map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
    }
}

impl Listeners {
    pub async fn begin(world: &World) -> Self {
        for (_, name) in STREAMS {
            let form = [("name", name), ("module", "file"), ("type", name), ("dir", name), ("is_no_sharding", "true")];
            world.ok("POST", &format!("outputs/{}", world.oid), &form).await;
        }
        let mut readers = Vec::new();
        for (stream, name) in STREAMS {
            let live = world.server.app.streams.subscribe(world.oid, stream, Filter::default()).unwrap();
            let missed = stored(world, stream).await.len();
            readers.push(Reader { stream, name, live, heard: Vec::new(), missed });
        }
        let detect = json!({"target": "audit", "op": "exists", "path": "etype"});
        let rule = json!({"detect": detect, "respond": [{"action": "report", "name": "heard"}]});
        set(world, "dr-general", "heard", rule).await;
        let unruled = stored(world, Stream::Audit).await.len();
        Self { readers, unruled }
    }

    /// The streams of the records that live readers heard of since the last call.
    pub fn news(&mut self) -> Vec<Stream> {
        let mut news = Vec::new();
        for reader in &mut self.readers {
            while let Ok(body) = reader.live.records.try_recv() {
                reader.heard.push(serde_json::from_slice(&body).unwrap());
                news.push(reader.stream);
            }
        }
        news
    }

    /// Waits until outputs and rules are done with all that is stored, and have stored what comes of it.
    pub async fn settle(&self, world: &World) {
        for reader in &self.readers {
            eventually(&format!("{} is delivered", reader.name), async || {
                let audits = stored(world, Stream::Audit).await.len() - self.unruled;
                let is_evaluated = stored(world, Stream::Detect).await.len() == audits;
                let is_written = reader.written(world).len() == reader.stored(world).await.len();
                let (oid, name) = (world.oid, reader.name);
                let size = world.server.app.store.read(move |read| read.queue_size(oid, name)).await.unwrap();
                (is_evaluated && is_written && size.0 == 0).then_some(())
            })
            .await;
        }
    }

    /// Checks that all heard what is stored, in its order, and nothing else.
    pub async fn assert_heard_what_is_stored(&mut self, world: &World) {
        self.news();
        for reader in &self.readers {
            let stored = reader.stored(world).await;
            assert_eq!(reader.heard, stored, "the live stream {}", reader.name);
            assert_eq!(reader.written(world).len(), stored.len(), "the file {}", reader.name);
            assert!(reader.written(world).iter().all(|line| stored.contains(line)), "the file {}", reader.name);
        }
    }
}
