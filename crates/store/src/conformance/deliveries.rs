//! Messages to programs of others.

use super::{at, commit, oid, read};
use crate::{Delivery, ENTRIES_PAGE_BYTES_MAX, RUN_MAX, Run, Store, Tries, Write};
use uuid::Uuid;

/// A message that was not tried yet.
pub(super) fn delivery(position: u64, target: &str, body: &str) -> (Delivery, Vec<u8>) {
    let delivery = Delivery {
        position,
        target: target.to_owned(),
        id: Uuid::from_u128(position.into()),
        kind: "detection".into(),
        at: at(-5),
        bytes: body.len() as u64,
        tries: Tries { due: at(7), ..Tries::default() },
    };
    (delivery, body.as_bytes().to_vec())
}

/// How a message stands after so many tries.
pub(super) fn failed(n: i64) -> Tries {
    Tries { made: n.unsigned_abs() as u32, due: at(n), is_dead: n > 1, error: format!("try {n}") }
}

/// So many messages from a place on; each says its place.
pub(super) fn run(position: u64, count: u64) -> Run {
    let bodies: Vec<Vec<u8>> = (position..position + count).map(body).collect();
    let longest = bodies.iter().map(Vec::len).max().unwrap_or(0) as u64;
    let first = Delivery {
        bytes: longest,
        kind: "sensor_per_1h".into(),
        tries: Tries { due: at(-5), ..Tries::default() },
        ..delivery(position, "x", "").0
    };
    Run { first, bodies }
}

fn body(position: u64) -> Vec<u8> {
    format!("{{\"n\":{position}}}").into_bytes()
}

fn waiting(store: &Store) -> Vec<(u128, Delivery)> {
    let mut all = Vec::new();
    read(store, |view| view.deliveries(None, &mut |oid, row| all.push((oid.0.as_u128(), row))));
    all
}

fn put(store: &Store, owner: u128, deliveries: Vec<(Delivery, Vec<u8>)>) {
    commit(store, vec![Write::PutDeliveries { oid: oid(owner), deliveries }]);
}

pub(super) fn come_back_whole(store: &Store) {
    put(store, 2, vec![delivery(1, "x", "of another")]);
    put(store, 1, vec![delivery(9, "y", "nine"), delivery(3, "x", "three")]);
    put(store, 1, vec![delivery(3, "z", "new three")]);
    let expected =
        [(1, delivery(3, "z", "new three").0), (1, delivery(9, "y", "nine").0), (2, delivery(1, "x", "of another").0)];
    assert_eq!(waiting(store), expected);
    let bodies = read(store, |view| view.delivery_bodies(oid(1), &[9, 4, 3]));
    assert_eq!(bodies, [(9, b"nine".to_vec()), (3, b"new three".to_vec())], "in the order asked for");
    assert!(read(store, |view| view.delivery_bodies(oid(3), &[1, 3, 9])).is_empty());

    commit(store, vec![Write::DeleteDeliveries { oid: oid(1), positions: vec![3, 4, 3] }]);
    assert_eq!(waiting(store).iter().map(|(owner, row)| (*owner, row.position)).collect::<Vec<_>>(), [(1, 9), (2, 1)]);

    let long = "x".repeat(ENTRIES_PAGE_BYTES_MAX / 2);
    put(store, 4, (1..5).map(|position| delivery(position, "x", &long)).collect());
    let bodies = read(store, |view| view.delivery_bodies(oid(4), &[1, 2, 3, 4]));
    assert_eq!(bodies.len(), 2, "one read is bounded");
}

pub(super) fn tries_are_noted(store: &Store) {
    put(store, 1, vec![delivery(1, "x", "one"), delivery(2, "x", "two")]);
    commit(store, vec![Write::PutTries { oid: oid(1), tries: vec![(2, failed(3)), (7, failed(1))] }]);
    commit(store, vec![Write::PutTries { oid: oid(2), tries: vec![(1, failed(1))] }]);
    let two = Delivery { tries: failed(3), ..delivery(2, "x", "two").0 };
    assert_eq!(waiting(store), [(1, delivery(1, "x", "one").0), (1, two)]);
    assert_eq!(read(store, |view| view.delivery_bodies(oid(1), &[2])), [(2, b"two".to_vec())]);
}

fn put_run(store: &Store, owner: u128, position: u64, count: u64) -> Vec<Delivery> {
    let run = run(position, count);
    let messages = run.messages().collect();
    commit(store, vec![Write::PutRuns { oid: oid(owner), runs: vec![run] }]);
    messages
}

fn delete(store: &Store, positions: impl IntoIterator<Item = u64>) {
    commit(store, vec![Write::DeleteDeliveries { oid: oid(1), positions: positions.into_iter().collect() }]);
}

fn places(store: &Store) -> Vec<u64> {
    let mut all: Vec<u64> = waiting(store).into_iter().map(|(_, row)| row.position).collect();
    all.sort_unstable();
    all
}

pub(super) fn messages_of_a_run_are_as_any_others(store: &Store) {
    let count = RUN_MAX as u64;
    let (of_other, messages) = (put_run(store, 2, 100, 2), put_run(store, 1, 100, count));
    let ids: std::collections::BTreeSet<Uuid> = messages.iter().map(|row| row.id).collect();
    assert_eq!((ids.len(), messages[0].id), (RUN_MAX, Uuid::from_u128(100)));
    put(store, 1, vec![delivery(170, "y", "later"), delivery(99, "y", "sooner")]);
    let mut expected = vec![(1, delivery(99, "y", "sooner").0), (1, delivery(170, "y", "later").0)];
    expected.extend(messages.iter().map(|row| (1, row.clone())));
    expected.extend(of_other.iter().map(|row| (2, row.clone())));
    assert_eq!(waiting(store), expected, "those of runs come last");
    let bodies = read(store, |view| view.delivery_bodies(oid(1), &[163, 99, 100, 164, 131]));
    assert_eq!(bodies, [(163, body(163)), (99, b"sooner".to_vec()), (100, body(100)), (131, body(131))]);

    delete(store, [99, 100, 101, 163, 164, 101]);
    let left: Vec<u64> = waiting(store).iter().filter(|(owner, _)| *owner == 1).map(|(_, row)| row.position).collect();
    assert_eq!(left, [170].into_iter().chain(102..163).collect::<Vec<_>>());
    assert!(read(store, |view| view.delivery_bodies(oid(1), &[100, 163])).is_empty());
    delete(store, 0..200);
    assert_eq!(waiting(store), of_other.into_iter().map(|row| (2, row)).collect::<Vec<_>>(), "of another organization");
}

pub(super) fn one_of_a_run_is_tried_again(store: &Store) {
    let messages = put_run(store, 1, 10, 5);
    commit(store, vec![Write::PutTries { oid: oid(1), tries: vec![(12, failed(3)), (15, failed(1)), (9, failed(1))] }]);
    commit(store, vec![Write::PutTries { oid: oid(2), tries: vec![(11, failed(1))] }]);
    let tried = Delivery { tries: failed(3), ..messages[2].clone() };
    let of = |numbers: &[usize]| numbers.iter().map(|number| (1, messages[*number].clone())).collect::<Vec<_>>();
    assert_eq!(waiting(store), [vec![(1, tried.clone())], of(&[0, 1, 3, 4])].concat());
    assert_eq!(read(store, |view| view.delivery_bodies(oid(1), &[12])), [(12, body(12))]);
    delete(store, [10, 11, 13, 14]);
    let again = Delivery { tries: failed(4), ..tried };
    commit(store, vec![Write::PutTries { oid: oid(1), tries: vec![(12, failed(4)), (13, failed(1))] }]);
    assert_eq!(waiting(store), [(1, again)], "what was forgotten does not come back");
    delete(store, [12]);
    assert!(waiting(store).is_empty());
}

/// Places are given anew when nothing has them: the later run begins where the end of the former was.
pub(super) fn runs_that_meet_are_kept_apart(store: &Store) {
    put_run(store, 1, 1, 8);
    delete(store, 5..9);
    put_run(store, 1, 5, 8);
    put(store, 1, vec![delivery(13, "x", "alone")]);
    assert_eq!(places(store), (1..14).collect::<Vec<_>>());
    delete(store, [3, 4, 5, 6]);
    assert_eq!(places(store), [1, 2, 7, 8, 9, 10, 11, 12, 13]);
    commit(store, vec![Write::PutTries { oid: oid(1), tries: vec![(2, failed(1)), (8, failed(1))] }]);
    let bodies = read(store, |view| view.delivery_bodies(oid(1), &[1, 2, 5, 7, 8]));
    assert_eq!(bodies, [1, 2, 7, 8].map(|position| (position, body(position))));
    delete(store, 1..20);
    assert!(waiting(store).is_empty());
}
