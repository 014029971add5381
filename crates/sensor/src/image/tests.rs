use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};

use super::*;

struct Bench {
    dir: TempDir,
    images: Images,
    told: Receiver<ToSensor>,
}

impl Bench {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(dir: TempDir) -> Self {
        let (to_sensor, told) = channel(100);
        Self { images: Images::open(dir.path(), to_sensor), dir, told }
    }

    fn look(&self, name: &str) -> Look {
        let path = self.dir.path().join(name);
        self.images.look(File::open(&path).unwrap(), path.to_str().unwrap(), [5; 16])
    }

    /// What follows after a look.
    fn later(&mut self) -> Value {
        let ToSensor::Observed(event) = self.told.blocking_recv().unwrap() else { panic!("another message") };
        body(&event)
    }
}

fn body(event: &Event) -> Value {
    assert_eq!((event.event_type.as_str(), event.parent_atom.as_slice()), ("CODE_IDENTITY", &[5; 16][..]));
    serde_json::from_slice(&event.body).unwrap()
}

#[test]
fn each_path_and_content_is_told_once_even_over_a_restart() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("one"), "hello").unwrap();
    let first = bench.look("one");
    let identity = body(&first.identity.unwrap());
    assert_eq!(identity["HASH"].as_str(), first.sha256.as_deref());
    assert_eq!(identity["HASH_MD5"], "5d41402abc4b2a76b9719d911017c592");
    let is_told = |bench: &Bench, name| {
        let look = bench.look(name);
        assert_eq!(look.sha256, first.sha256, "{name}");
        look.identity.is_some()
    };
    assert!(!is_told(&bench, "one"));
    fs::hard_link(bench.dir.path().join("one"), bench.dir.path().join("two")).unwrap();
    assert!(is_told(&bench, "two"), "another path is another identity");

    let bench = Bench::on(bench.dir);
    assert!(!is_told(&bench, "one") && !is_told(&bench, "two"), "told by the sensor before");
    fs::write(bench.dir.path().join("one"), "other").unwrap();
    assert!(bench.look("one").identity.is_some(), "another content is another identity");
}

#[test]
fn a_large_program_does_not_hold_its_process_up() {
    let mut bench = Bench::new();
    let file = File::create(bench.dir.path().join("large")).unwrap();
    file.set_len(AT_ONCE_BYTES_MAX + 1).unwrap();
    assert_eq!(bench.look("large").sha256, None);
    let identity = bench.later();
    assert_eq!(bench.look("large").sha256.as_deref(), identity["HASH"].as_str());

    file.set_len(BYTES_MAX + 1).unwrap();
    assert_eq!(bench.look("large").sha256, None);
    let identity = bench.later();
    assert_eq!((&identity["ERROR"], identity.get("HASH")), (&json!(code::FILE_TOO_LARGE), None));
}
