//! What an owner does that lost a claim, or does not know what is stored.

use muster_model::Oid;
use muster_store::{Expect, Options, Record, Standing, Store, StoreError, Write};
use uuid::Uuid;

fn oid(n: u128) -> Oid {
    Oid(Uuid::from_u128(n))
}

fn note(owner: u128) -> Vec<Write> {
    let record = Record { oid: oid(owner), kind: "note".into(), key: "k".into(), body: "{}".into(), revision: 0 };
    vec![Write::PutRecord { record, expect: Expect::Any }]
}

/// Goal: an owner that does not know what is stored says nothing more of it, and goes on with what it knows. Method: a
/// commit that is stored and whose answer is lost, and one that is not stored.
#[tokio::test]
async fn what_is_not_known_is_lost_until_it_is_claimed_again() {
    for is_stored in [true, false] {
        let (store, faults) = Store::memory_with_faults();
        let owner = store.owning();
        owner.claim(&[oid(1), oid(2)]).unwrap();
        if is_stored {
            faults.lose_next_answer()
        } else {
            faults.fail_next(StoreError::Unknown("cut".into()))
        }
        assert!(matches!(owner.commit(note(1)).await, Err(StoreError::Unknown(_))));
        owner.lost().await;
        let there = store.read(|read| read.record(oid(1), "note", "k")).await.unwrap().is_some();
        assert_eq!(there, is_stored);
        assert!(matches!(owner.commit(note(1)).await, Err(StoreError::Deposed(lost)) if lost == oid(1)));
        owner.commit(note(2)).await.unwrap();
        owner.claim(&[oid(1)]).unwrap();
        owner.commit(note(1)).await.unwrap();
    }
}

/// Goal: who loses one organization goes on with the others, and who loses what belongs to the server does not. Method:
/// one after the other is claimed by someone else, and found out.
#[tokio::test]
async fn one_organization_is_lost_by_itself_and_the_server_as_a_whole() {
    let (store, server) = (Store::memory(), oid(0));
    let owner = store.owning();
    owner.claim(&[server, oid(1), oid(2)]).unwrap();
    let mut losses = owner.losses().unwrap();
    store.claim(&[oid(1)]).unwrap();
    assert!(matches!(owner.commit(note(1)).await, Err(StoreError::Deposed(_))));
    assert_eq!(losses.next().await, Some(oid(1)));
    owner.confirm(server).await;
    owner.commit(note(2)).await.unwrap();
    tokio::select! {
        biased;
        () = owner.lost() => panic!("the server goes on"),
        () = std::future::ready(()) => {}
    }
    store.claim(&[server]).unwrap();
    owner.confirm(server).await;
    assert_eq!(losses.next().await, Some(server));
    owner.lost().await;
}

/// Goal: a server can start on a full disk. Method: a claim that does not fit; what stands is gone on with, until someone
/// else claims it.
#[tokio::test]
async fn on_a_full_disk_an_owner_goes_on_under_the_claim_that_stands() {
    let (store, faults) = Store::memory_with_faults();
    let (before, after) = (store.owning(), store.owning());
    before.claim(&[oid(1)]).unwrap();
    faults.fail_all(Some(StoreError::Full));
    after.claim(&[oid(1)]).unwrap();
    faults.fail_all(None);
    after.commit(note(1)).await.unwrap();
    store.claim(&[oid(1)]).unwrap();
    assert!(matches!(after.commit(note(1)).await, Err(StoreError::Deposed(_))));
}

/// Goal: what its owner gave up is taken up once, and by one; what is owned or lost is not. Method: three owners, of which
/// one gives up what another lost to it.
#[tokio::test]
async fn what_was_given_up_is_taken_up_once_and_may_be_lost_again() {
    let store = Store::memory();
    let (old, new, other) = (store.owning(), store.owning(), store.owning());
    old.claim(&[oid(1)]).unwrap();
    new.claim(&[oid(1)]).unwrap();
    let mut losses = old.losses().unwrap();
    assert!(matches!(old.commit(note(1)).await, Err(StoreError::Deposed(_))));
    assert_eq!(losses.next().await, Some(oid(1)));
    old.give_up(&[oid(1)]).await.unwrap();
    assert!(!old.take_up(oid(1)).await.unwrap(), "it is the other's");
    new.give_up(&[oid(1)]).await.unwrap();
    assert!(matches!(new.commit(note(1)).await, Err(StoreError::Deposed(_))), "it owns it no more");
    assert!(old.take_up(oid(1)).await.unwrap() && !other.take_up(oid(1)).await.unwrap());
    losses.forget(oid(1));
    old.commit(note(1)).await.unwrap();
    other.claim(&[oid(1)]).unwrap();
    assert!(matches!(old.commit(note(1)).await, Err(StoreError::Deposed(_))));
    assert_eq!(losses.next().await, Some(oid(1)), "it is lost again");
}

/// Goal: a file from before claims could be given up keeps what it has. Method: one of today is made one of then.
#[tokio::test]
async fn a_file_of_before_keeps_its_claims() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let open = || Store::open(Options { path: path.clone(), bytes_max: None, seal: None }).unwrap();
    let store = open();
    store.claim(&[oid(1)]).unwrap();
    store.commit(note(1)).await.unwrap();
    store.close();
    let before = "ALTER TABLE claim DROP COLUMN is_free; DROP TABLE delivery_run; DROP TABLE counted;
                  DELETE FROM schema_version WHERE version >= 8";
    rusqlite::Connection::open(&path).unwrap().execute_batch(before).unwrap();
    let owner = open().owning();
    let standing = async || owner.read(|read| read.standing(oid(1))).await.unwrap();
    assert_eq!(standing().await, Standing { term: 1, is_free: false });
    assert!(owner.read(|read| read.record(oid(1), "note", "k")).await.unwrap().is_some());
    owner.claim(&[oid(1)]).unwrap();
    owner.give_up(&[oid(1)]).await.unwrap();
    assert_eq!(standing().await, Standing { term: 2, is_free: true });
}
