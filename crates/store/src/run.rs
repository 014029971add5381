//! Messages that are put together and kept in one row.

use crate::row::{Delivery, Tries};
use uuid::Uuid;

/// Messages of one run: a bit of a number for each tells whether it waits.
pub const RUN_MAX: usize = 64;

/// Messages of one kind to one target that were put together: as long as nothing went wrong with one of them, it costs no row of its
/// own. Each has its place, its id and its tries, as any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them; the places of the others follow its place. Its length is that of the longest body.
    pub first: Delivery,
    /// What they say, as JSON text without line breaks: one at least, [`RUN_MAX`] at most.
    pub bodies: Vec<Vec<u8>>,
}

impl Run {
    /// Each of them, as it stands when it was put.
    pub fn messages(&self) -> impl Iterator<Item = Delivery> + '_ {
        messages_of(&self.first, self.bodies.len())
    }
}

/// The messages of a run of so many, as they stand when they are put.
pub fn messages_of(first: &Delivery, count: usize) -> impl Iterator<Item = Delivery> + '_ {
    (0..count as u64).map(|number| message(first, number))
}

/// A message of a run by its number in it. Its id follows from that of the first, so that it is the same however often it is read.
pub(crate) fn message(first: &Delivery, number: u64) -> Delivery {
    Delivery {
        position: first.position + number,
        id: Uuid::from_u128(first.id.as_u128() ^ u128::from(number)),
        tries: Tries { due: first.at, ..Tries::default() },
        ..first.clone()
    }
}

/// Which messages of a run wait there, a bit for each: neither those that are forgotten, nor those that have a row of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left(pub(crate) u64);

impl Left {
    /// All of so many.
    pub(crate) fn all(count: usize) -> Self {
        let others = RUN_MAX.saturating_sub(count) as u32;
        Self(u64::MAX.checked_shr(others).unwrap_or(0))
    }

    /// Without those at places from `first` to `last`, of a run that begins at `begin`.
    pub(crate) fn without(self, begin: u64, first: u64, last: u64) -> Self {
        let is_gone = |number: &u64| (first..=last).contains(&(begin + number));
        self.numbers().filter(is_gone).fold(self, |left, number| Self(left.0 & !(1 << number)))
    }

    /// The number of the message at a place of a run that begins at `begin`, if it waits there.
    pub(crate) fn number_at(self, begin: u64, position: u64) -> Option<u64> {
        let number = position.checked_sub(begin).filter(|number| *number < RUN_MAX as u64)?;
        (self.0 >> number & 1 == 1).then_some(number)
    }

    /// Numbers of those that wait.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u64> {
        (0..RUN_MAX as u64).filter(move |number| self.0 >> number & 1 == 1)
    }
}

/// Where a run begins at the earliest that has a message at this place.
pub(crate) fn earliest(position: u64) -> u64 {
    position.saturating_sub(RUN_MAX as u64 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_who_is_left_to_its_last_bit() {
        for count in [1, 2, 63, 64] {
            let all = Left::all(count);
            assert_eq!(all.numbers().count(), count);
            assert_eq!(all.without(100, 0, 99), all, "those before it");
            assert_eq!(all.without(100, 100 + count as u64, u64::MAX), all, "those behind it");
            assert_eq!(all.without(100, 50, 99 + count as u64), Left(0));
            let last = 99 + count as u64;
            assert_eq!((all.number_at(100, last), all.number_at(100, last + 1)), (Some(count as u64 - 1), None));
            assert_eq!(all.without(100, last, last).number_at(100, last), None);
            assert_eq!(all.number_at(100, 99), None);
        }
        assert_eq!(Left::all(0), Left(0));
        assert_eq!((earliest(163), earliest(5)), (100, 0));
    }
}
