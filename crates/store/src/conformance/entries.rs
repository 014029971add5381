//! Streams, their retention, and the queues of outputs.

use super::deliveries::{delivery, failed, run};
use super::tasks::{target, task};
use super::{at, commit, oid, put, read, sensor, sid};
use crate::{CounterRow, Entry, EntryQuery, Expect, Queued, Store, StoreError, Stream, TRIM_ENTRIES_MAX, Trim, Write};
use muster_model::{Sid, Timestamp};
use muster_tasking::TargetState;
use uuid::Uuid;

/// An event of sensor 1 with atom 1 under atom 2.
pub(super) fn event(owner: u128, id: u128, micros: i64) -> Entry {
    Entry {
        oid: oid(owner),
        stream: Stream::Event,
        sid: Some(sid(1)),
        id: Uuid::from_u128(id),
        time: at(micros),
        kind: "NEW_PROCESS".into(),
        this_atom: Some([1; 16]),
        parent_atom: Some([2; 16]),
        investigation_id: None,
        body: format!("{owner}:{id}").into(),
    }
}

pub(super) fn everything(owner: u128) -> EntryQuery {
    EntryQuery { limit: 100, ..EntryQuery::all(oid(owner), Stream::Event) }
}

/// One write of every kind that puts something; `n` tells one call from another.
pub(super) fn one_of_each(owner: u128, n: u64) -> Vec<Write> {
    let id = u128::from(n);
    let mut row = sensor(owner, 1);
    row.epoch = n;
    vec![
        put(owner, "output", "a", &n.to_string(), Expect::Any),
        Write::PutSensor(Box::new(row)),
        Write::PutSpool { oid: oid(owner), ordinal: 1, spool_id: [1; 16], seq: n, after: None },
        Write::CreateTask(Box::new(task(owner, n, id))),
        Write::PutTaskControl { oid: oid(owner), task: 1, control: n.to_string() },
        Write::PutTargets { oid: oid(owner), targets: vec![(1, 1, target(TargetState::Sent, n.cast_signed()))] },
        Write::Append(vec![event(owner, id, 1_000_000)]),
        Write::Enqueue { oid: oid(owner), output: "out".into(), bodies: vec![vec![1; 3]] },
        Write::PutDeliveries {
            oid: oid(owner),
            deliveries: vec![delivery(1, "a", "1"), delivery(2, "b", &n.to_string())],
        },
        Write::PutRuns { oid: oid(owner), runs: vec![run(20 * n, 3)] },
        Write::PutTries { oid: oid(owner), tries: vec![(1, failed(n.cast_signed()))] },
        Write::PutCounters { oid: oid(owner), counters: vec![counter(1, n.cast_signed()), counter(2, 1)] },
        Write::PutLive(super::live::session(owner, 1, n)),
    ]
}

/// One write of every kind that takes something away of [`one_of_each`].
pub(super) fn one_less_of_each(owner: u128) -> Vec<Write> {
    vec![
        Write::DeleteRecord { oid: oid(owner), kind: "output", key: "a".into() },
        Write::DeleteTask { oid: oid(owner), task: 1 },
        Write::Trim { oid: oid(owner), stream: Stream::Event, what: Trim::Before(Timestamp::MAX) },
        Write::Dequeue { oid: oid(owner), output: "out".into(), through: u64::MAX },
        Write::DeleteDeliveries { oid: oid(owner), positions: vec![1, 9, 20] },
        Write::DeleteCounters { oid: oid(owner), keys: vec![[1; 16], [9; 16]] },
        Write::DeleteLive { oid: oid(owner), session: 1 },
    ]
}

pub(super) fn counter(key: u8, count: i64) -> CounterRow {
    CounterRow { key: [key; 16], start_ms: -count, expires_ms: i64::MAX, count }
}

fn append(store: &Store, entries: impl IntoIterator<Item = Entry>) {
    commit(store, vec![Write::Append(entries.into_iter().collect())]);
}

fn ids(entries: &[Entry]) -> Vec<u128> {
    entries.iter().map(|entry| entry.id.as_u128()).collect()
}

fn found(store: &Store, query: &EntryQuery) -> Vec<u128> {
    ids(&read(store, |view| view.entries(query)).entries)
}

pub(super) fn a_queue_keeps_its_order(store: &Store) {
    let enqueue = |output: &str, bodies: &[&str]| {
        let bodies = bodies.iter().map(|body| body.as_bytes().to_vec()).collect();
        commit(store, vec![Write::Enqueue { oid: oid(1), output: output.into(), bodies }]);
    };
    let dequeue = |through| commit(store, vec![Write::Dequeue { oid: oid(1), output: "s3".into(), through }]);
    let waiting = |limit| read(store, |view| view.queued(oid(1), "s3", limit));
    let size = || read(store, |view| view.queue_size(oid(1), "s3"));
    let queued = |position, body: &str| Queued { position, body: body.as_bytes().to_vec() };

    enqueue("s3", &["one", "two"]);
    enqueue("other", &["x"]);
    enqueue("s3", &["three"]);
    assert_eq!(waiting(2), [queued(1, "one"), queued(2, "two")]);
    assert_eq!(size(), (3, 11));
    dequeue(2);
    dequeue(1);
    assert_eq!(waiting(9), [queued(3, "three")]);
    assert_eq!(size(), (1, 5));
    dequeue(u64::MAX);
    assert_eq!(size(), (0, 0));
    enqueue("s3", &["four"]);
    assert_eq!(waiting(9), [queued(4, "four")]);
    assert_eq!(read(store, |view| view.queue_size(oid(1), "other")), (1, 1));
}

pub(super) fn pages_cover_a_stream_once(store: &Store) {
    // Five arrivals for each instant, the instants out of order; page borders fall inside of an instant.
    let times = [30, 10, 20, 10, 30, 30, 20, 10, 20, 10, 20, 30, 10, 30, 20, -5];
    append(store, (0..).zip(times).map(|(id, time)| event(1, id, time)));
    let mut expected: Vec<(i64, u128)> = times.into_iter().zip(0..).collect();
    expected.sort_unstable();
    let mut expected: Vec<u128> = expected.into_iter().map(|(_, id)| id).collect();
    for forward in [true, false] {
        for (sid, limit) in [(None, 4), (Some(sid(1)), 4), (None, 1), (None, 16), (None, 5)] {
            let mut query = EntryQuery { sid, forward, limit, ..everything(1) };
            let mut seen = Vec::new();
            loop {
                let page = read(store, |view| view.entries(&query));
                assert!(page.entries.len() <= limit && !page.entries.is_empty());
                seen.extend(ids(&page.entries));
                query.cursor = page.cursor;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "forward {forward}, limit {limit}");
        }
        expected.reverse();
    }
}

pub(super) fn are_found_by_every_condition(store: &Store) {
    let mut whole = event(1, 1, 10);
    whole.investigation_id = Some("case-1".into());
    let bare = Entry { sid: None, this_atom: None, parent_atom: None, kind: "cat".into(), ..event(1, 2, 20) };
    let other = Entry { sid: Some(sid(2)), investigation_id: Some("case-1".into()), ..event(1, 3, 30) };
    let detection = Entry { stream: Stream::Detect, ..event(1, 4, 10) };
    append(store, [whole.clone(), bare.clone(), other.clone(), detection.clone()]);

    let all = read(store, |view| view.entries(&everything(1)));
    assert_eq!(all.entries, [whole.clone(), bare.clone(), other]);
    assert_eq!(found(store, &EntryQuery { sid: Some(sid(1)), ..everything(1) }), [1]);
    assert_eq!(found(store, &EntryQuery { kind: Some("cat".into()), ..everything(1) }), [2]);
    let case = EntryQuery { investigation_id: Some("case-1".into()), ..everything(1) };
    assert_eq!(found(store, &case), [1, 3]);
    assert_eq!(found(store, &EntryQuery { sid: Some(sid(2)), ..case }), [3]);
    assert_eq!(found(store, &EntryQuery { from: at(10), to: at(20), ..everything(1) }), [1, 2]);
    assert_eq!(found(store, &EntryQuery { from: at(11), to: at(29), ..everything(1) }), [2]);
    assert_eq!(found(store, &EntryQuery { stream: Stream::Detect, ..everything(1) }), [4]);

    let by_id = |stream, id| read(store, |view| view.entry(oid(1), stream, Uuid::from_u128(id)));
    assert_eq!(by_id(Stream::Event, 2), Some(bare));
    assert_eq!(by_id(Stream::Detect, 4), Some(detection));
    assert_eq!(by_id(Stream::Detect, 1), None);
    append(store, [Entry { stream: Stream::Audit, ..event(1, 6, 10) }]);
    assert_eq!(by_id(Stream::Audit, 6), None);
    let again = event(1, 1, 5);
    append(store, [again.clone()]);
    assert_eq!(by_id(Stream::Event, 1), Some(again));
}

pub(super) fn bad_queries_are_answered(store: &Store) {
    append(store, [event(1, 1, 10)]);
    let backwards = EntryQuery { from: at(11), to: at(10), ..everything(1) };
    assert!(found(store, &backwards).is_empty());
    assert_eq!(found(store, &EntryQuery { limit: 0, ..everything(1) }), [1]);
    assert!(read(store, |view| view.overview(oid(1), sid(1), i64::MAX, i64::MIN)).is_empty());
    assert!(read(store, |view| view.event_counts(oid(1), sid(1), 5, -5)).is_empty());
    for cursor in ["", ".", "1", "1.", "x.1", "1.-1", "1.99999999999999999999", "1.1.1", "'; --"] {
        let query = EntryQuery { cursor: Some(cursor.into()), ..everything(1) };
        let result = store.read_blocking(|view| view.entries(&query));
        assert!(matches!(result, Err(StoreError::Cursor)), "{cursor:?} gave {result:?}");
    }
}

pub(super) fn atoms_lead_to_events(store: &Store) {
    let of = |id, micros, sensor, stream| Entry { sid: Some(sid(sensor)), stream, ..event(1, id, micros) };
    append(
        store,
        [
            of(1, 10, 1, Stream::Event),
            of(2, 30, 1, Stream::Event),
            of(3, 20, 1, Stream::Event),
            of(4, 99, 2, Stream::Event),
            of(5, 99, 1, Stream::Detect),
            of(6, 30, 1, Stream::Event),
        ],
    );
    let newest = read(store, |view| view.entry_by_atom(oid(1), sid(1), [1; 16]));
    assert_eq!(newest.map(|entry| entry.id.as_u128()), Some(6));
    assert_eq!(read(store, |view| view.entry_by_atom(oid(1), sid(1), [2; 16])), None);
    assert_eq!(ids(&read(store, |view| view.children(oid(1), sid(1), [2; 16]))), [1, 3, 2, 6]);
    assert!(read(store, |view| view.children(oid(1), sid(3), [2; 16])).is_empty());
}

pub(super) fn overview_covers_whole_seconds(store: &Store) {
    let times = [-1, 0, 999_999, 1_000_000, 3_500_000, 3_600_000, 4_000_000];
    append(store, (1..).zip(times).map(|(id, time)| event(1, id, time)));
    append(store, [Entry { kind: "DNS".into(), ..event(1, 90, 2_999_999) }]);
    append(store, [Entry { stream: Stream::Detect, ..event(1, 91, 7_000_000) }]);
    let overview = |from, to| read(store, |view| view.overview(oid(1), sid(1), from, to));
    assert_eq!(overview(i64::MIN, i64::MAX), [-1, 0, 1, 2, 3, 4]);
    assert_eq!(overview(1, 3), [1, 2, 3]);
    let counts = |from, to| read(store, |view| view.event_counts(oid(1), sid(1), from, to));
    assert_eq!(counts(2, 3), [("DNS".to_owned(), 1), ("NEW_PROCESS".to_owned(), 2)]);
    assert_eq!(counts(i64::MIN, i64::MAX), [("DNS".to_owned(), 1), ("NEW_PROCESS".to_owned(), 7)]);
}

fn trim(store: &Store, what: Trim) -> usize {
    let trim = Write::Trim { oid: oid(1), stream: Stream::Event, what };
    store.forget_blocking(vec![trim]).expect("the list is committed")
}

/// Bytes by sensor; 0 stands for records about no sensor.
fn sizes(store: &Store) -> Vec<(u128, u64)> {
    let mut sizes = Vec::new();
    let mut each = |sid: Option<Sid>, bytes| sizes.push((sid.map_or(0, |sid| sid.0.as_u128()), bytes));
    read(store, |view| view.sensor_sizes(oid(1), Stream::Event, &mut each));
    sizes
}

pub(super) fn trim_forgets_by_age(store: &Store) {
    append(store, [event(1, 5, 50), event(1, 1, 10), event(1, 2, 20), event(1, 3, 30), event(1, 4, 30)]);
    append(store, [Entry { stream: Stream::Audit, ..event(1, 9, 1) }]);
    let left = || (found(store, &everything(1)), read(store, |view| view.stream_size(oid(1), Stream::Event)).0);
    assert_eq!((trim(store, Trim::Before(at(10))), left()), (0, (vec![1, 2, 3, 4, 5], 5)));
    assert_eq!((trim(store, Trim::Before(at(30))), left()), (2, (vec![3, 4, 5], 3)));
    assert_eq!((trim(store, Trim::Before(Timestamp::MAX)), left()), (3, (vec![], 0)));
    assert!(sizes(store).is_empty());
    assert_eq!(found(store, &EntryQuery { stream: Stream::Audit, ..everything(1) }), [9]);
}

pub(super) fn trim_forgets_the_oldest_of_one_sensor(store: &Store) {
    let of = |id, micros, sensor: Option<u128>, bytes| Entry {
        sid: sensor.map(sid),
        body: vec![b'x'; bytes].into(),
        ..event(1, id, micros)
    };
    append(store, [of(1, 10, Some(1), 100), of(2, 20, Some(2), 900), of(3, 5, None, 50), of(4, 30, Some(2), 100)]);
    append(store, [of(5, 15, Some(2), 300), of(6, 40, None, 70)]);
    append(store, [Entry { stream: Stream::Detect, ..of(7, 1, Some(2), 1_000) }]);
    assert_eq!(sizes(store), [(0, 120), (1, 100), (2, 1_300)]);
    let sensor = |sensor: Option<u128>, bytes_max| trim(store, Trim::Sensor { sid: sensor.map(sid), bytes_max });
    assert_eq!(sensor(Some(2), 1_300), 0);
    assert_eq!((sensor(Some(2), 1_299), found(store, &everything(1))), (1, vec![3, 1, 2, 4, 6]));
    assert_eq!((sensor(Some(2), 100), found(store, &everything(1))), (1, vec![3, 1, 4, 6]));
    assert_eq!((sensor(None, 70), found(store, &everything(1))), (1, vec![1, 4, 6]));
    assert_eq!(sizes(store), [(0, 70), (1, 100), (2, 100)]);
    assert_eq!(read(store, |view| view.stream_size(oid(1), Stream::Event)), (3, 270));
    assert_eq!((sensor(Some(1), 0), sensor(Some(3), 0), sizes(store)), (1, 0, vec![(0, 70), (2, 100)]));
}

/// Counts are kept up to some record; the next ones may get the numbers of those that were forgotten since.
pub(super) fn records_are_counted_once(store: &Store) {
    for round in 1..=5_u64 {
        append(store, (0..50).map(|id| Entry { body: vec![b'x'; 10].into(), ..event(1, id, 1) }));
        append(store, [Entry { sid: None, body: vec![b'x'; 7].into(), ..event(1, 60, 2) }]);
        let size = read(store, |view| view.stream_size(oid(1), Stream::Event));
        assert_eq!(size, (round * 51 - (round - 1) * 50, round * 507 - (round - 1) * 500), "round {round}");
        assert_eq!(sizes(store), [(0, round * 7), (1, 500)], "round {round}");
        assert_eq!(trim(store, Trim::Before(at(2))), 50);
        assert_eq!(sizes(store), [(0, round * 7)], "round {round}");
    }
}

pub(super) fn one_trim_is_bounded_and_says_how_much_it_took(store: &Store) {
    let count = 2 * TRIM_ENTRIES_MAX + 2;
    append(store, (0..count).map(|id| event(1, id as u128, 1)));
    let old = || trim(store, Trim::Before(at(2)));
    assert_eq!((old(), old(), old(), old()), (TRIM_ENTRIES_MAX, TRIM_ENTRIES_MAX, 2, 0));
    append(store, (0..=TRIM_ENTRIES_MAX).map(|id| event(1, id as u128, 1)));
    let of_sensor = || trim(store, Trim::Sensor { sid: event(1, 1, 1).sid, bytes_max: 0 });
    assert_eq!((of_sensor(), of_sensor(), of_sensor()), (TRIM_ENTRIES_MAX, 1, 0));
}
