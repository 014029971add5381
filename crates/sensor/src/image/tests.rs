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

    fn look(&self, name: &str) -> Option<String> {
        let path = self.dir.path().join(name);
        self.images.look(File::open(&path).unwrap(), path.to_str().unwrap(), [5; 16])
    }

    fn identities(&mut self) -> Vec<Value> {
        let mut found = Vec::new();
        while let Ok(ToSensor::Observed(event)) = self.told.try_recv() {
            assert_eq!((event.event_type.as_str(), event.parent_atom.as_slice()), ("CODE_IDENTITY", &[5; 16][..]));
            found.push(serde_json::from_slice(&event.body).unwrap());
        }
        found
    }
}

#[test]
fn each_path_and_content_is_told_once_even_over_a_restart() {
    let mut bench = Bench::new();
    fs::write(bench.dir.path().join("one"), "hello").unwrap();
    let sha256 = bench.look("one").unwrap();
    let identities = bench.identities();
    assert_eq!(identities[0]["HASH"], sha256.as_str());
    assert_eq!(identities[0]["HASH_MD5"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(bench.look("one"), Some(sha256.clone()));
    assert_eq!(bench.identities(), [] as [Value; 0]);

    fs::hard_link(bench.dir.path().join("one"), bench.dir.path().join("two")).unwrap();
    assert_eq!(bench.look("two"), Some(sha256.clone()));
    assert_eq!(bench.identities().len(), 1, "another path is another identity");

    let mut bench = Bench::on(bench.dir);
    assert_eq!((bench.look("one"), bench.look("two")), (Some(sha256.clone()), Some(sha256)));
    assert_eq!(bench.identities(), [] as [Value; 0], "told by the sensor before");
    fs::write(bench.dir.path().join("one"), "other").unwrap();
    bench.look("one").unwrap();
    assert_eq!(bench.identities().len(), 1, "another content is another identity");
}

#[test]
fn a_large_program_does_not_hold_its_process_up() {
    let mut bench = Bench::new();
    let file = File::create(bench.dir.path().join("large")).unwrap();
    file.set_len(AT_ONCE_BYTES_MAX + 1).unwrap();
    assert_eq!(bench.look("large"), None);
    let ToSensor::Observed(event) = bench.told.blocking_recv().unwrap() else { panic!("another message") };
    let identity: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!(bench.look("large").as_deref(), identity["HASH"].as_str());

    file.set_len(BYTES_MAX + 1).unwrap();
    assert_eq!(bench.look("large"), None);
    let ToSensor::Observed(event) = bench.told.blocking_recv().unwrap() else { panic!("another message") };
    let identity: Value = serde_json::from_slice(&event.body).unwrap();
    assert_eq!((&identity["ERROR"], identity.get("HASH")), (&json!(code::FILE_TOO_LARGE), None));
}

#[test]
fn what_is_remembered_has_a_bound_and_a_cut_file_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let marks: Vec<u8> = (0..TOLD_MAX as u64).flat_map(u64::to_be_bytes).chain([1, 2, 3]).collect();
    fs::write(&path, marks).unwrap();
    let mut told = Told::open(path.clone());
    assert_eq!(fs::metadata(&path).unwrap().len(), (TOLD_MAX * MARK_BYTES) as u64);
    assert!(told.add("/bin/x", "digest") && !told.add("/bin/x", "digest"));
    assert_eq!(told.marks.len(), TOLD_MAX / 2 + 1);
    assert!(Told::open(path).holds("/bin/x", "digest"), "the newest stay");
}
