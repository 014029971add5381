//! What an owner does that lost a claim, or does not know what is stored.

use muster_model::Oid;
use muster_store::{Expect, Record, Store, StoreError, Write};
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
