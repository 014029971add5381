//! What every adapter does, as cases over an empty store. Panics name the difference.

mod claims;
mod deliveries;
mod entries;
mod live;
mod tasks;

use crate::{CounterRow, Expect, Read, Record, SensorRow, Store, StoreError, Write};
use muster_model::{Architecture, Did, Iid, Oid, Platform, Sensor, Sid, Tag, Timestamp};
use uuid::Uuid;

/// A name, and what is run on an empty store.
pub type Case = (&'static str, fn(&Store));

/// Every case. The order does not matter.
pub const CASES: &[Case] = &[
    ("records_count_revisions_and_keep_to_expectations", records_count_revisions),
    ("records_are_listed_by_owner_and_kind", records_are_listed),
    ("an_owner_that_was_deposed_writes_nothing", claims::an_owner_that_was_deposed_writes_nothing),
    ("a_claim_is_by_the_one_that_stands", claims::a_claim_is_by_the_one_that_stands),
    ("an_owner_writes_what_it_claimed_alone", claims::an_owner_writes_what_it_claimed_alone),
    ("a_failing_list_leaves_no_trace", a_failing_list_leaves_no_trace),
    ("sensors_come_back_whole_and_in_order", sensors_come_back_whole),
    ("a_spool_only_rises_until_another_begins", a_spool_only_rises),
    ("organizations_are_sealed", organizations_are_sealed),
    ("tasks_come_back_whole_and_their_names_are_taken", tasks::come_back_whole),
    ("targets_are_replaced_and_go_with_their_task", tasks::targets_go_with_their_task),
    ("a_queue_keeps_its_order_and_never_reuses_positions", entries::a_queue_keeps_its_order),
    ("pages_cover_a_stream_once_in_both_directions", entries::pages_cover_a_stream_once),
    ("entries_are_found_by_every_condition", entries::are_found_by_every_condition),
    ("bad_queries_are_answered", entries::bad_queries_are_answered),
    ("atoms_lead_to_the_newest_event_and_its_children", entries::atoms_lead_to_events),
    ("overview_and_counts_cover_whole_seconds", entries::overview_covers_whole_seconds),
    ("trim_forgets_by_age", entries::trim_forgets_by_age),
    ("trim_forgets_the_oldest_of_one_sensor", entries::trim_forgets_the_oldest_of_one_sensor),
    ("records_are_counted_once", entries::records_are_counted_once),
    ("one_trim_is_bounded_and_says_how_much_it_took", entries::one_trim_is_bounded_and_says_how_much_it_took),
    ("deliveries_come_back_whole_and_keep_their_place", deliveries::come_back_whole),
    ("tries_are_noted_only_of_deliveries_that_are_there", deliveries::tries_are_noted),
    ("messages_of_a_run_are_as_any_others", deliveries::messages_of_a_run_are_as_any_others),
    ("a_message_of_a_run_that_is_tried_again_gets_a_row_of_its_own", deliveries::one_of_a_run_is_tried_again),
    ("runs_that_meet_are_kept_apart", deliveries::runs_that_meet_are_kept_apart),
    ("counters_are_replaced_and_forgotten_by_key", counters_are_replaced),
    ("parts_of_live_sessions_are_replaced_and_go_with_their_session", live::parts_go_with_their_session),
];

fn oid(n: u128) -> Oid {
    Oid(Uuid::from_u128(n))
}

fn sid(n: u128) -> Sid {
    Sid(Uuid::from_u128(n))
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn commit(store: &Store, writes: Vec<Write>) {
    store.commit_blocking(writes).expect("the list is committed");
}

fn conflict(store: &Store, writes: Vec<Write>) {
    let result = store.commit_blocking(writes);
    assert!(matches!(result, Err(StoreError::Conflict(_))), "a conflict, and not {result:?}");
}

fn read<T>(store: &Store, f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>) -> T {
    store.read_blocking(f).expect("the read is answered")
}

fn put(owner: u128, kind: &str, key: &str, body: &str, expect: Expect) -> Write {
    let (kind, key, body) = (kind.to_owned(), key.to_owned(), body.to_owned());
    Write::PutRecord { record: Record { oid: oid(owner), kind, key, body, revision: 77 }, expect }
}

fn record(store: &Store, owner: u128, kind: &str, key: &str) -> Option<(String, u64)> {
    read(store, |view| view.record(oid(owner), kind, key)).map(|record| (record.body, record.revision))
}

fn records_count_revisions(store: &Store) {
    conflict(store, vec![put(1, "output", "a", "{}", Expect::Revision(1))]);
    commit(store, vec![put(1, "output", "a", "1", Expect::Absent)]);
    conflict(store, vec![put(1, "output", "a", "2", Expect::Absent)]);
    commit(store, vec![put(1, "output", "a", "2", Expect::Revision(1))]);
    conflict(store, vec![put(1, "output", "a", "3", Expect::Revision(1))]);
    commit(store, vec![put(1, "output", "a", "3", Expect::Any)]);
    assert_eq!(record(store, 1, "output", "a"), Some(("3".into(), 3)));

    let delete = || Write::DeleteRecord { oid: oid(1), kind: "output", key: "a".into() };
    commit(store, vec![delete(), delete()]);
    assert_eq!(record(store, 1, "output", "a"), None);
    commit(store, vec![put(1, "output", "a", "4", Expect::Absent)]);
    assert_eq!(record(store, 1, "output", "a"), Some(("4".into(), 1)));
}

fn records_are_listed(store: &Store) {
    for (owner, kind, key) in [(2, "b", "x"), (1, "b", "y"), (1, "a", "z"), (1, "b", "x")] {
        commit(store, vec![put(owner, kind, key, "{}", Expect::Any)]);
    }
    let list = |owner: Option<u128>, kind: Option<&str>| -> Vec<String> {
        let records = read(store, |view| view.records(owner.map(oid), kind));
        records.iter().map(|record| format!("{}{}{}", record.oid.0.as_u128(), record.kind, record.key)).collect()
    };
    assert_eq!(list(None, None), ["1az", "1bx", "1by", "2bx"]);
    assert_eq!(list(Some(1), None), ["1az", "1bx", "1by"]);
    assert_eq!(list(None, Some("b")), ["1bx", "1by", "2bx"]);
    assert_eq!(list(Some(1), Some("b")), ["1bx", "1by"]);
    assert!(list(Some(3), None).is_empty());
}

fn counters_are_replaced(store: &Store) {
    use entries::counter;
    let put = |counters: Vec<CounterRow>| commit(store, vec![Write::PutCounters { oid: oid(1), counters }]);
    let kept = || {
        let mut rows = Vec::new();
        read(store, |view| view.counters(oid(1), &mut |row| rows.push(row)));
        rows
    };
    assert!(kept().is_empty());
    put(vec![counter(2, 5), counter(1, i64::MIN + 1)]);
    put(vec![counter(2, 6), counter(3, 7)]);
    assert_eq!(kept(), [counter(1, i64::MIN + 1), counter(2, 6), counter(3, 7)]);
    commit(store, vec![Write::DeleteCounters { oid: oid(1), keys: vec![[2; 16], [4; 16]] }]);
    assert_eq!(kept(), [counter(1, i64::MIN + 1), counter(3, 7)]);
}

/// One write of every kind stands before the conflict, over state that all of them change.
fn a_failing_list_leaves_no_trace(store: &Store) {
    commit(store, entries::one_of_each(1, 1));
    let before = fingerprint(store);
    let mut list = entries::one_of_each(1, 2);
    list.extend(entries::one_less_of_each(1));
    list.push(put(1, "output", "a", "{}", Expect::Revision(99)));
    conflict(store, list.clone());
    assert_eq!(fingerprint(store), before);

    list.pop();
    commit(store, list);
    assert_ne!(fingerprint(store), before);
}

/// Everything that can be read of organization 1, as text.
fn fingerprint(store: &Store) -> String {
    use std::fmt::Write as _;
    read(store, |view| {
        let mut text = format!("{:?}", view.records(None, None)?);
        view.sensors(None, &mut |row| write!(text, "{row:?}").expect("text grows"))?;
        write!(text, "{:?}", view.spool(oid(1), 1, [1; 16])?).expect("text grows");
        view.tasks(None, &mut |row| write!(text, "{row:?}").expect("text grows"))?;
        for task in 1..3 {
            view.targets(oid(1), task, &mut |ordinal, target| {
                write!(text, "{task} {ordinal} {target:?}").expect("text grows");
            })?;
        }
        let page = view.entries(&entries::everything(1))?;
        let size = view.stream_size(oid(1), crate::Stream::Event)?;
        view.sensor_sizes(oid(1), crate::Stream::Event, &mut |sid, bytes| {
            write!(text, "{sid:?} {bytes}").expect("text grows");
        })?;
        let queue = (view.queued(oid(1), "out", 100)?, view.queue_size(oid(1), "out")?);
        write!(text, "{page:?} {size:?} {queue:?}").expect("text grows");
        view.counters(oid(1), &mut |row| write!(text, "{row:?}").expect("text grows"))?;
        view.deliveries(None, &mut |oid, row| write!(text, "{oid}{row:?}").expect("text grows"))?;
        write!(text, "{:?}", view.delivery_bodies(oid(1), &[1, 2])?).expect("text grows");
        view.live_sessions(None, &mut |row| write!(text, "{row:?}").expect("text grows"))?;
        view.live(oid(1), 1, crate::LivePart::Command, &mut |row| write!(text, "{row:?}").expect("text grows"))?;
        Ok(text)
    })
}

fn sensor(owner: u128, ordinal: u32) -> SensorRow {
    let tag = Tag { name: "vip".into(), added_by: "ops".into(), added_at: at(1), expires_at: Some(at(2)) };
    let sensor = Sensor {
        sid: sid(owner * 1_000 + u128::from(ordinal)),
        oid: oid(owner),
        iid: Iid(Uuid::from_u128(9)),
        did: ordinal.is_multiple_of(2).then(|| Did(Uuid::from_u128(8))),
        platform: Platform::LINUX,
        ext_platform: Platform::default(),
        architecture: Architecture::X64,
        hostname: "höst \"1\"".into(),
        mac_addr: "AA-BB".into(),
        ext_ip: "192.0.2.1".into(),
        int_ip: "10.0.0.1".into(),
        version: "1.0".into(),
        enrolled_at: at(5),
        alive_at: at(6),
        isolated: false,
        should_isolate: true,
        sealed: false,
        should_seal: false,
        kernel: true,
        deleted: false,
        tags: vec![tag],
    };
    SensorRow {
        ordinal,
        sensor,
        public_key: vec![7; 32],
        epoch: 2,
        journal_id: vec![3; 16],
        boot_id: "boot".into(),
        fingerprint: "print".into(),
        owns_isolation: true,
        owns_seal: false,
        denied_at: Timestamp::ZERO,
    }
}

fn sensors(store: &Store) -> Vec<SensorRow> {
    let mut rows = Vec::new();
    read(store, |view| view.sensors(None, &mut |row| rows.push(row.expect("a sound row"))));
    rows
}

fn sensors_come_back_whole(store: &Store) {
    for (owner, ordinal) in [(2, 0), (1, 300), (1, 2)] {
        commit(store, vec![Write::PutSensor(Box::new(sensor(owner, ordinal)))]);
    }
    let mut changed = sensor(1, 300);
    changed.sensor.hostname = "other".into();
    commit(store, vec![Write::PutSensor(Box::new(changed.clone()))]);
    assert_eq!(sensors(store), [sensor(1, 2), changed, sensor(2, 0)]);
}

fn a_spool_only_rises(store: &Store) {
    let after = |id: u8, seq, after| vec![Write::PutSpool { oid: oid(1), ordinal: 4, spool_id: [id; 16], seq, after }];
    let note = |id: u8, seq| after(id, seq, None);
    let noted = |id: u8| read(store, |view| view.spool(oid(1), 4, [id; 16]));
    assert_eq!(noted(1), None);
    commit(store, note(1, 10));
    commit(store, note(1, 7));
    assert_eq!(noted(1), Some(10));
    commit(store, note(2, 3));
    assert_eq!((noted(1), noted(2)), (None, Some(3)));
    commit(store, after(2, 5, Some(3)));
    for stale in [after(2, 9, Some(3)), after(1, 9, Some(10))] {
        assert!(matches!(store.commit_blocking(stale), Err(StoreError::Conflict(_))), "someone else was there first");
    }
    assert_eq!((noted(1), noted(2)), (None, Some(5)));
}

/// The same keys in two organizations: a change of one is not seen in the other.
fn organizations_are_sealed(store: &Store) {
    commit(store, entries::one_of_each(1, 1));
    let mine = fingerprint_of_keys(store, 1);
    commit(store, entries::one_of_each(2, 1));
    commit(store, entries::one_of_each(2, 2));
    assert_eq!(fingerprint_of_keys(store, 1), mine);
    commit(store, entries::one_less_of_each(2));
    assert_eq!(fingerprint_of_keys(store, 1), mine);
    assert!(fingerprint_of_keys(store, 3).iter().all(|part| part == "None" || part == "[]" || part == "(0, 0)"));
}

/// Every keyed read with the keys that [`entries::one_of_each`] writes.
fn fingerprint_of_keys(store: &Store, owner: u128) -> Vec<String> {
    let (o, s, atom) = (oid(owner), sid(1), [1; 16]);
    let stream = crate::Stream::Event;
    read(store, |view| {
        let mut targets = Vec::new();
        view.targets(o, 1, &mut |ordinal, target| targets.push((ordinal, target)))?;
        let mut counters = Vec::new();
        view.counters(o, &mut |row| counters.push(row))?;
        let mut deliveries = Vec::new();
        view.deliveries(Some(o), &mut |_, row| deliveries.push(row))?;
        let (mut sensors, mut tasks, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
        view.sensors(Some(o), &mut |row| sensors.extend(row))?;
        view.tasks(Some(o), &mut |row| tasks.extend(row))?;
        view.live_sessions(Some(o), &mut |row| sessions.push(row))?;
        Ok(vec![
            format!("{sensors:?}"),
            format!("{tasks:?}"),
            format!("{sessions:?}"),
            format!("{deliveries:?}"),
            format!("{:?}", view.delivery_bodies(o, &[1, 2])?),
            format!("{:?}", view.records(Some(o), None)?),
            format!("{:?}", view.record(o, "output", "a")?),
            format!("{:?}", view.spool(o, 1, [1; 16])?),
            format!("{targets:?}"),
            format!("{counters:?}"),
            format!("{:?}", view.live_one(o, 1, crate::LivePart::Session, 0)?),
            format!("{:?}", view.targets_of(o, 1, &[1])?),
            format!("{:?}", view.stream_size(o, stream)?),
            format!("{:?}", view.entries(&entries::everything(owner))?.entries),
            format!("{:?}", view.entry(o, stream, Uuid::from_u128(1))?),
            format!("{:?}", view.entry_by_atom(o, s, atom)?),
            format!("{:?}", view.children(o, s, [2; 16])?),
            format!("{:?}", view.overview(o, s, 0, 100)?),
            format!("{:?}", view.event_counts(o, s, 0, 100)?),
            format!("{:?}", view.queued(o, "out", 100)?),
            format!("{:?}", view.queue_size(o, "out")?),
        ])
    })
}
