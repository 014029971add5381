//! Lists that wait for the writer: organizations take turns, so that what one has much of, or large, is in nobody's way.

use super::writer::List;
use crate::row::Write;
use muster_model::Oid;
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// Lists that the writer looks at. Behind them is the queue that callers put theirs into.
const LISTS_MAX: usize = 1_024;

/// Lists by organization. Those of one are in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    lists: HashMap<Oid, VecDeque<List>>,
    /// Who is next.
    turns: VecDeque<Oid>,
    count: usize,
}

impl Waiting {
    /// Whether one more may be put here.
    pub(super) fn has_room(&self) -> bool {
        self.count < LISTS_MAX
    }

    /// A list of several organizations waits with those of the first.
    pub(super) fn put(&mut self, list: List) {
        let owner = list.writes.iter().find_map(Write::owner).unwrap_or(Oid(Uuid::nil()));
        let lists = self.lists.entry(owner).or_default();
        if lists.is_empty() {
            self.turns.push_back(owner);
        }
        lists.push_back(list);
        self.count += 1;
    }

    /// The list whose turn it is.
    pub(super) fn take(&mut self) -> Option<List> {
        let owner = self.turns.pop_front()?;
        let lists = self.lists.get_mut(&owner)?;
        let list = lists.pop_front();
        if lists.is_empty() {
            self.lists.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        self.count -= 1;
        list
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::Answer;
    use super::*;

    fn list(owner: u128, key: usize) -> List {
        let oid = Oid(Uuid::from_u128(owner));
        let (answer, _) = std::sync::mpsc::sync_channel(1);
        let writes = vec![Write::DeleteRecord { oid, kind: "k", key: key.to_string() }];
        List { writes, answer: Answer::Blocking(answer) }
    }

    fn taken(waiting: &mut Waiting) -> Option<(u128, usize)> {
        match waiting.take()?.writes.first() {
            Some(Write::DeleteRecord { oid, key, .. }) => Some((oid.0.as_u128(), key.parse().unwrap())),
            _ => None,
        }
    }

    /// Goal: whoever has one list is next but one, however many another one has; those of one stay in order.
    #[test]
    fn organizations_take_turns() {
        let mut waiting = Waiting::default();
        (0..LISTS_MAX - 2).for_each(|key| waiting.put(list(1, key)));
        waiting.put(list(2, 0));
        assert!(waiting.has_room());
        waiting.put(list(2, 1));
        assert!(!waiting.has_room());
        let first: Vec<_> = (0..6).map_while(|_| taken(&mut waiting)).collect();
        assert_eq!(first, [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (1, 3)]);
        let rest: Vec<_> = std::iter::from_fn(|| taken(&mut waiting)).collect();
        assert_eq!(rest, (4..LISTS_MAX - 2).map(|key| (1, key)).collect::<Vec<_>>());
        assert!(waiting.take().is_none() && waiting.has_room());
    }
}
