//! Claims: who owns an organization, and that nobody else writes.

use super::{commit, oid, put, read, record};
use crate::{Claim, Expect, Standing, Store, StoreError, Write};

fn deposed(store: &Store, writes: Vec<Write>) {
    let result = store.commit_blocking(writes);
    assert!(matches!(result, Err(StoreError::Deposed(lost)) if lost == oid(1)), "deposed, and not {result:?}");
}

fn note(key: &str) -> Write {
    put(1, "note", key, "{}", Expect::Any)
}

/// The one that is taken over from knows nothing of it, and its lists are refused whole, beside those of others.
pub(super) fn an_owner_that_was_deposed_writes_nothing(store: &Store) {
    let (old, new) = (store.owning(), store.owning());
    old.claim(&[oid(1), oid(2)]).expect("claimed");
    commit(&old, vec![note("before")]);
    new.claim(&[oid(1)]).expect("claimed");
    let other = put(2, "note", "other", "{}", Expect::Any);
    deposed(&old, vec![other.clone(), note("after")]);
    commit(&new, vec![note("new")]);
    let there = |owner, key| record(store, owner, "note", key).is_some();
    assert_eq!([there(1, "before"), there(1, "after"), there(1, "new"), there(2, "other")], [true, false, true, false]);
    // What it still owns it writes, and what it lost it never writes again, even if the claim could be guessed.
    commit(&old, vec![other]);
    deposed(&old, vec![note("again")]);
    assert!(there(2, "other") && !there(1, "again"));
}

/// Terms count up by one, and a claim made with one that is over fails with all of its list.
pub(super) fn a_claim_is_by_the_one_that_stands(store: &Store) {
    let standing = || read(store, |view| view.standing(oid(1)));
    let term = || standing().term;
    assert_eq!(term(), 0);
    let claim = |term| Claim { oid: oid(1), term };
    assert_eq!(store.claim(&[oid(1)]).expect("claimed"), [claim(1)]);
    deposed(store, vec![Write::Claim(claim(1))]);
    deposed(store, vec![note("a"), Write::Claim(claim(3))]);
    deposed(store, vec![note("a"), Write::Hold(claim(2))]);
    assert_eq!((term(), record(store, 1, "note", "a")), (1, None), "nothing of a refused list is there");
    commit(store, vec![Write::Hold(claim(1)), note("a"), Write::Claim(claim(2))]);
    assert_eq!(term(), 2);
    // Only who has it gives it up, and it is nobody's until the next claim.
    let free = |at| (commit(store, vec![Write::GiveUp(claim(at))]), standing().is_free).1;
    assert_eq!([free(1), free(2)], [false, true]);
    commit(store, vec![Write::Claim(claim(3))]);
    assert_eq!(standing(), Standing { term: 3, is_free: false });
}

/// An owner cannot write by mistake what it has not claimed; a list that claims may write what it claims.
pub(super) fn an_owner_writes_what_it_claimed_alone(store: &Store) {
    let owner = store.owning();
    deposed(&owner, vec![note("a")]);
    commit(&owner, vec![]);
    commit(&owner, vec![note("a"), Write::Claim(Claim { oid: oid(1), term: 1 })]);
    commit(&owner, vec![note("b")]);
    assert!(record(store, 1, "note", "a").is_some() && record(store, 1, "note", "b").is_some());
}
