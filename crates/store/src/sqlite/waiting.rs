//! Lists that wait for the writer: organizations take turns, so that what one has much of, or large, is in nobody's way.

use super::writer::List;
use crate::row::Write;
use muster_model::Oid;
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// Lists that the writer looks at. Behind them is the queue that callers put theirs into.
const LISTS_MAX: usize = 1_024;

/// A list with so many bytes of bodies is large: to write and sync it takes longer than a sync by itself.
const LARGE_BYTES_MIN: usize = 16 * 1024;

/// Small lists and large ones do not share a commit: whoever stores little does not wait until much is written. Small ones
/// that stand behind a large one of their own organization do: they would wait for it anyway, and where both come in turns
/// each would be a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    /// The last one before the first commit, so that small ones are first.
    #[default]
    Large,
}

impl Size {
    fn of(list: &List) -> Self {
        let bytes: usize = list.writes.iter().map(Write::bytes).sum();
        if bytes < LARGE_BYTES_MIN { Self::Small } else { Self::Large }
    }

    fn other(self) -> Self {
        match self {
            Self::Small => Self::Large,
            Self::Large => Self::Small,
        }
    }
}

/// Lists by organization. Those of one are in the order in which they came.
#[derive(Default)]
pub(super) struct Waiting {
    lists: HashMap<Oid, VecDeque<List>>,
    /// Who is next, of those whose first list is small.
    small: VecDeque<Oid>,
    /// Who is next, of the others.
    large: VecDeque<Oid>,
    /// What this commit takes, or the last one took.
    size: Size,
    /// Whose list was taken last, if more of it wait. It is in neither line meanwhile.
    served: Option<Oid>,
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
        let (size, lists) = (Size::of(&list), self.lists.entry(owner).or_default());
        let is_first = lists.is_empty();
        lists.push_back(list);
        self.count += 1;
        if is_first {
            self.turns(size).push_back(owner);
        }
    }

    /// The first list of a commit: a large one where the commit before took small ones, and the other way round, if both wait.
    pub(super) fn first(&mut self) -> Option<List> {
        self.stand_in_line();
        self.size = self.size.other();
        if self.turns(self.size).is_empty() {
            self.size = self.size.other();
        }
        self.another()
    }

    /// What this commit takes.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// One more list for the same commit: one that stands behind a large one, or that of whoever's turn it is.
    pub(super) fn another(&mut self) -> Option<List> {
        let owner = match self.served {
            Some(served) if self.size == Size::Large && self.next_of(served) == Some(Size::Small) => served,
            _ => {
                self.stand_in_line();
                self.turns(self.size).pop_front()?
            }
        };
        let lists = self.lists.get_mut(&owner)?;
        let list = lists.pop_front();
        let is_last = lists.is_empty();
        if is_last {
            self.lists.remove(&owner);
        }
        self.served = (!is_last).then_some(owner);
        self.count -= 1;
        list
    }

    /// Whoever was served last goes to the end of a line.
    fn stand_in_line(&mut self) {
        if let Some(served) = self.served.take()
            && let Some(size) = self.next_of(served)
        {
            self.turns(size).push_back(served);
        }
    }

    fn next_of(&self, owner: Oid) -> Option<Size> {
        self.lists.get(&owner)?.front().map(Size::of)
    }

    fn turns(&mut self, size: Size) -> &mut VecDeque<Oid> {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
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
        waiting.first().and_then(named)
    }

    fn named(list: List) -> Option<(u128, usize)> {
        match list.writes.first() {
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
        assert!(waiting.first().is_none() && waiting.has_room());
    }

    fn large(owner: u128, key: usize) -> List {
        let mut list = list(owner, key);
        let (oid, output) = (Oid(Uuid::from_u128(owner)), "o".to_owned());
        list.writes.push(Write::Enqueue { oid, output, bodies: vec![vec![0; LARGE_BYTES_MIN]] });
        list
    }

    /// What each commit takes, if it takes so many lists.
    fn commits(mut waiting: Waiting, lists_max: usize) -> Vec<Vec<(u128, usize)>> {
        let mut commits = Vec::new();
        while let Some(first) = waiting.first() {
            let more = std::iter::from_fn(|| waiting.another()).take(lists_max - 1);
            commits.push(std::iter::once(first).chain(more).filter_map(named).collect());
        }
        commits
    }

    /// Goal: large lists are not written with small ones of others, nor is either put off by the other, and those of one
    /// organization stay in order.
    #[test]
    fn small_lists_and_large_ones_take_turns() {
        let mut waiting = Waiting::default();
        (0..4).for_each(|key| waiting.put(large(1, key)));
        waiting.put(list(1, 4));
        (0..3).for_each(|key| waiting.put(list(2, key)));
        waiting.put(large(2, 3));
        let expected =
            [vec![(2, 0), (2, 1)], vec![(1, 0), (1, 1)], vec![(2, 2)], vec![(1, 2), (2, 3)], vec![(1, 3), (1, 4)]];
        assert_eq!(commits(waiting, 2), expected);
    }

    /// Goal: an organization that has small lists and large ones in turns does not need a commit for each.
    #[test]
    fn small_lists_go_with_a_large_one_of_their_organization() {
        let mut waiting = Waiting::default();
        for key in [0, 2, 4] {
            waiting.put(list(1, key));
            waiting.put(large(1, key + 1));
        }
        waiting.put(list(2, 0));
        assert_eq!(commits(waiting, 9), [vec![(1, 0), (2, 0)], vec![(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]]);
    }
}
