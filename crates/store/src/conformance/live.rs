//! Live sessions.

use super::{commit, oid, read};
use crate::{LivePart, LiveRow, Store, Write};

/// A session with one command; `n` tells one call from another.
pub(super) fn session(owner: u128, session: u64, n: u64) -> Vec<LiveRow> {
    let row = |part, item| LiveRow { oid: oid(owner), session, part, item, body: format!("{n}").into_bytes() };
    vec![row(LivePart::Session, 0), row(LivePart::Command, 0)]
}

pub(super) fn parts_go_with_their_session(store: &Store) {
    let row =
        |session, part, item, body: &str| LiveRow { oid: oid(1), session, part, item, body: body.as_bytes().to_vec() };
    let commands = || {
        let mut rows = Vec::new();
        read(store, |view| view.live(oid(1), 2, LivePart::Command, &mut |row| rows.push((row.item, row.body))));
        rows
    };
    let sessions = || {
        let mut rows = Vec::new();
        read(store, |view| view.live_sessions(None, &mut |row| rows.push((row.oid, row.session))));
        rows
    };
    assert!(commands().is_empty() && sessions().is_empty());
    commit(store, vec![Write::PutLive(session(2, 1, 1)), Write::PutLive(session(1, 10, 1))]);
    let rows = vec![
        row(2, LivePart::Session, 0, "s"),
        row(2, LivePart::Command, 1, "b"),
        row(2, LivePart::Command, 0, "a"),
        row(2, LivePart::File, u32::MAX, "f"),
    ];
    commit(store, vec![Write::PutLive(rows), Write::PutLive(vec![row(2, LivePart::Command, 1, "c")])]);
    assert_eq!(commands(), [(0, b"a".to_vec()), (1, b"c".to_vec())]);
    assert_eq!(sessions(), [(oid(1), 2), (oid(1), 10), (oid(2), 1)]);
    let file = || read(store, |view| view.live_one(oid(1), 2, LivePart::File, u32::MAX));
    assert_eq!(file().map(|row| row.body), Some(b"f".to_vec()));
    commit(store, vec![Write::DeleteLive { oid: oid(1), session: 2 }]);
    assert_eq!((commands(), file()), (Vec::new(), None));
    assert_eq!(sessions(), [(oid(1), 10), (oid(2), 1)], "nothing of another session goes");
}
