//! Tasks and their targets.

use super::{at, commit, conflict, oid, read};
use crate::{Store, TaskRow, Write};
use muster_model::TaskId;
use muster_tasking::{Target, TargetState};
use roaring::RoaringBitmap;
use uuid::Uuid;

pub(super) fn task(owner: u128, number: u64, id: u128) -> TaskRow {
    TaskRow {
        oid: oid(owner),
        number,
        task_id: TaskId(Uuid::from_u128(id)),
        spec: format!("{{\"n\":{number}}}"),
        control: "{}".into(),
        targets: RoaringBitmap::from_iter([1, 5, 70_000, u32::MAX]),
    }
}

pub(super) fn target(state: TargetState, micros: i64) -> Target {
    Target {
        state,
        attempts: 3,
        sent_at: at(micros),
        confirmed_at: at(micros + 1),
        started_at: at(micros + 2),
        ended_at: at(micros + 3),
        code: -5,
        error: Some("no such file".into()),
    }
}

fn create(row: &TaskRow) -> Write {
    Write::CreateTask(Box::new(row.clone()))
}

fn tasks(store: &Store) -> Vec<TaskRow> {
    let mut rows = Vec::new();
    read(store, |view| view.tasks(None, &mut |row| rows.push(row.expect("a sound row"))));
    rows
}

fn targets(store: &Store, task: u64) -> Vec<(u32, Target)> {
    let mut rows = Vec::new();
    read(store, |view| view.targets(oid(1), task, &mut |ordinal, target| rows.push((ordinal, target))));
    rows
}

pub(super) fn come_back_whole(store: &Store) {
    let fleet = TaskRow { targets: (0..1_000_000).collect(), ..task(2, 1, 1) };
    commit(store, vec![create(&fleet)]);
    commit(store, vec![create(&task(1, 9, 9))]);
    commit(store, vec![create(&task(1, 4, 4))]);
    conflict(store, vec![create(&task(1, 9, 10))]);
    conflict(store, vec![create(&task(1, 10, 9))]);
    conflict(store, vec![create(&task(1, 11, 11)), create(&task(1, 11, 12))]);

    let control = |task| Write::PutTaskControl { oid: oid(1), task, control: "paused".into() };
    commit(store, vec![control(9), control(1)]);
    let paused = TaskRow { control: "paused".into(), ..task(1, 9, 9) };
    assert_eq!(tasks(store), [task(1, 4, 4), paused, fleet]);

    commit(store, vec![Write::DeleteTask { oid: oid(1), task: 9 }, create(&task(1, 12, 9))]);
    assert_eq!(tasks(store).iter().map(|row| row.number).collect::<Vec<_>>(), [4, 12, 1]);
}

pub(super) fn targets_go_with_their_task(store: &Store) {
    let put = |targets| vec![Write::PutTargets { oid: oid(1), targets }];
    commit(store, vec![create(&task(1, 1, 1)), create(&task(1, 2, 2))]);
    let (first, second) = (target(TargetState::Sent, 1), target(TargetState::Finished, 50));
    commit(store, put(vec![(1, 70_000, first.clone()), (1, 5, first.clone()), (2, 5, first.clone())]));
    commit(store, put(vec![(1, 5, second.clone()), (1, 6, Target::default()), (3, 5, second.clone())]));
    let all = [(5, second), (6, Target::default()), (70_000, first.clone())];
    assert_eq!(targets(store, 1), all);
    assert_eq!(targets(store, 2), [(5, first)]);
    assert!(targets(store, 3).is_empty(), "targets of a task that is not there are dropped");
    let some = read(store, |view| view.targets_of(oid(1), 1, &[4, 6, 70_000, 70_001]));
    assert_eq!(some, all[1..]);

    commit(store, vec![Write::DeleteTask { oid: oid(1), task: 1 }]);
    commit(store, vec![create(&task(1, 1, 3))]);
    assert!(targets(store, 1).is_empty());
    assert_eq!(targets(store, 2).len(), 1);
}
