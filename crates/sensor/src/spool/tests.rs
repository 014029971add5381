use super::*;
use crate::agent::Spool as _;

const SMALL: Bounds = Bounds { events: 100, bytes: 20_000, segment_bytes: 2_000 };

fn telemetry() -> Event {
    Event { event_type: "NEW_PROCESS".to_owned(), body: vec![b'x'; 100], ..Event::default() }
}

fn answer() -> Event {
    Event { event_type: "RECEIPT".to_owned(), task_id: vec![1; 16], body: vec![b'y'; 100], ..Event::default() }
}

fn bytes_on_disk(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn events_survive_a_restart_and_go_with_their_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    let seqs: Vec<u64> = (0..50).map(|_| spool.push(telemetry()).unwrap()).collect();
    spool.acknowledge(seqs[20]).unwrap();
    drop(spool);
    let mut spool = Spool::open(dir.path(), [2; 16], SMALL).unwrap();
    assert_eq!(spool.id(), [1; 16]);
    spool.acknowledge(seqs[20]).unwrap();
    let again: Vec<u64> = spool.read_after(0, 100, 1 << 20).unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(again, seqs[21..]);
    assert!(spool.push(telemetry()).unwrap() > seqs[49]);
    spool.acknowledge(u64::MAX - 1).unwrap();
    assert_eq!(spool.queued(), (0, 0));
    assert_eq!(bytes_on_disk(dir.path()), 40 + 56, "only head and mark are left");
}

#[test]
fn numbers_are_not_given_twice_even_if_every_segment_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let last = Spool::open(dir.path(), [1; 16], SMALL).unwrap().push(telemetry()).unwrap();
    for (_, path) in segment::list(dir.path()).unwrap() {
        fs::remove_file(path).unwrap();
    }
    assert!(Spool::open(dir.path(), [1; 16], SMALL).unwrap().push(telemetry()).unwrap() > last);
}

#[test]
fn a_full_spool_drops_the_oldest_telemetry_before_any_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    let answers: Vec<u64> = (0..40)
        .map(|_| {
            (0..25).for_each(|_| assert!(spool.push(telemetry()).is_ok()));
            spool.push(answer()).unwrap()
        })
        .collect();
    let (count, bytes) = spool.queued();
    assert!(count <= SMALL.events && bytes <= SMALL.bytes);
    assert_eq!(spool.losses().events, 40 * 26 - count as u64);
    let kept = spool.read_after(0, 1_000, 1 << 20).unwrap();
    assert!(kept.is_sorted_by_key(|event| event.seq));
    let kept_answers: Vec<u64> = kept.iter().filter(|event| !event.task_id.is_empty()).map(|event| event.seq).collect();
    assert_eq!(kept_answers, answers);
    assert!(bytes_on_disk(dir.path()) <= SMALL.bytes * 2 + SMALL.segment_bytes);

    (0..200).for_each(|_| assert!(spool.push(answer()).is_ok()));
    assert!(spool.queued().0 <= SMALL.events, "answers alone are bounded too");
}

#[test]
fn a_damaged_event_does_not_take_the_rest_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    (0..5).for_each(|_| assert!(spool.push(answer()).is_ok()));
    drop(spool);
    let (_, path) = segment::list(dir.path()).unwrap().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    bytes.truncate(bytes.len() - 3);
    fs::write(&path, bytes).unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    assert_eq!(spool.read_after(0, 10, 1 << 20).unwrap().len(), 3);
    assert_eq!(spool.losses(), Losses::default(), "nothing of it was said to be safe");
    let seq = spool.push(answer()).unwrap();
    assert_eq!(spool.read_after(seq - 1, 10, 1 << 20).unwrap().len(), 1);
}

#[test]
fn a_disk_that_takes_nothing_costs_telemetry_and_fails_answers() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&dir.path().join("spool"), [1; 16], SMALL).unwrap();
    fs::remove_dir_all(dir.path().join("spool")).unwrap();
    spool.push(telemetry()).unwrap();
    assert_eq!(spool.losses(), Losses { events: 1, bytes: 100, ..Losses::default() });
    assert!(spool.push(answer()).is_err());
    assert_eq!(spool.queued(), (0, 0));
}

/// Does harm to a spool in a folder, with these segments.
type Damage = fn(&Path, &[PathBuf]);

/// A spool of several segments whose last answers are safe.
fn filled(dir: &Path) -> (usize, Vec<PathBuf>) {
    let mut spool = Spool::open(dir, [1; 16], SMALL).unwrap();
    for _ in 0..40 {
        spool.push(answer()).unwrap();
    }
    spool.sync().unwrap();
    let segments: Vec<PathBuf> = segment::list(dir).unwrap().into_iter().map(|(_, path)| path).collect();
    assert!(segments.len() >= 3);
    (spool.queued().0, segments)
}

#[test]
fn four_4_what_no_server_would_take_is_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    let deep = Event { body: b"[".repeat(muster_wire::EVENT_DEPTH_MAX + 1), ..telemetry() };
    let long = Event { body: vec![b'x'; EVENT_BYTES_MAX + 1], ..answer() };
    for unfit in [deep, long, Event { time_ms: -1, ..telemetry() }, Event { time_ms: i64::MAX, ..answer() }] {
        spool.push(unfit).unwrap();
    }
    assert_eq!((spool.losses().refused_events, spool.losses().events, spool.queued().0), (4, 0, 0));
    spool.push(answer()).unwrap();
    assert_eq!(spool.read_after(0, 10, 1 << 20).unwrap().len(), 1, "the others go on");
}

#[test]
fn what_is_missing_or_damaged_is_counted_and_told() {
    let damages: [(&str, Damage); 5] = [
        ("is missing", |_, segments| fs::remove_file(&segments[1]).unwrap()),
        ("is missing", |_, segments| fs::remove_file(segments.last().unwrap()).unwrap()),
        ("is damaged", |_, segments| fs::write(&segments[0], b"").unwrap()),
        ("is damaged", |_, segments| {
            let bytes = fs::read(segments.last().unwrap()).unwrap();
            fs::write(segments.last().unwrap(), &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("its head", |dir, _| fs::write(dir.join("head"), b"").unwrap()),
    ];
    for (at, (what, damage)) in damages.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let (queued, segments) = filled(dir.path());
        damage(dir.path(), &segments);
        let mut spool = Spool::open(dir.path(), [2; 16], SMALL).unwrap();
        let told = spool.damage();
        assert!(told.len() == 1 && told[0].contains(what), "{at}: {told:?}");
        let left = spool.read_after(0, 1_000, 1 << 20).unwrap().len();
        assert_eq!(spool.losses().damaged_events, (queued - left) as u64, "{at}");
        assert!(spool.losses().damaged_events > 0 && spool.losses().damaged_bytes > 0, "{at}");
        assert_eq!(spool.id() == [2; 16], what == "its head", "numbers of the old id are not given again");
        drop(spool);
        let again = Spool::open(dir.path(), [3; 16], SMALL).unwrap().damage();
        assert!(again.is_empty(), "{at}: it is told once: {again:?}");
    }
}

#[test]
fn an_event_that_is_damaged_while_it_waits_is_told_and_those_behind_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (queued, segments) = filled(dir.path());
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[60] ^= 1;
    fs::write(&segments[0], bytes).unwrap();
    let first = spool.read_after(0, 1, 1 << 20).unwrap();
    assert_eq!(first.len(), 1, "the next one comes");
    assert_eq!((spool.losses().damaged_events, spool.queued().0), (1, queued - 1));
    assert_eq!(spool.damage().len(), 1);
}

#[test]
fn what_was_acknowledged_dropped_or_rewritten_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    for number in 0..2_000 {
        let seq = spool.push(if number % 7 == 0 { answer() } else { telemetry() }).unwrap();
        if number % 10 == 0 {
            spool.sync().unwrap();
        }
        if number % 500 == 499 {
            spool.acknowledge(seq - 20).unwrap();
        }
    }
    drop(spool);
    let mut spool = Spool::open(dir.path(), [1; 16], SMALL).unwrap();
    assert!(spool.damage().is_empty());
}

#[test]
fn five_1_a_copy_that_is_put_back_gives_other_numbers_and_knows_when_it_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (lived, copy) = (dir.path().join("lived"), dir.path().join("copy"));
    let mut spool = Spool::open(&lived, [1; 16], SMALL).unwrap();
    spool.push(answer()).unwrap();
    spool.sync().unwrap();
    drop(spool);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&lived).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    // Both go on, as a machine does and the snapshot of it that is put back later.
    let (mut one, mut other) =
        (Spool::open(&lived, [9; 16], SMALL).unwrap(), Spool::open(&copy, [5; 16], SMALL).unwrap());
    let stored = one.push(answer()).unwrap();
    let again = other.push(answer()).unwrap();
    assert_ne!(stored, again, "numbers under one id are given once");
    assert!(stored > agent::Spool::newest(&other), "the server has what this spool never held");
    other.renew([7; 16]).unwrap();
    drop(other);
    let mut other = Spool::open(&copy, [8; 16], SMALL).unwrap();
    assert_eq!((other.id(), other.queued().0), ([7; 16], 2), "nothing is lost");
    assert_eq!(other.read_after(0, 10, 1 << 20).unwrap()[1].seq, again);
}
