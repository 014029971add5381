//! Messages to programs of others.

use super::{at, commit, oid, read};
use crate::{Delivery, ENTRIES_PAGE_BYTES_MAX, Store, Tries, Write};
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
