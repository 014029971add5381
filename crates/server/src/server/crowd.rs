//! How many may be there at once: altogether, and from one address, so that one cannot take the room of all.

use crate::address::counted;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of connections.
pub(super) struct Crowd {
    most: usize,
    most_of_one: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of a [`Crowd`], until dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, state: Mutex::default() })
    }

    /// A seat for one more from this address, if there is room.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let address = counted(address);
        let mut state = self.state.lock();
        let of_one = state.by_address.get(&address).copied().unwrap_or(0);
        if state.all >= self.most || of_one >= self.most_of_one {
            return None;
        }
        state.all += 1;
        state.by_address.insert(address, of_one + 1);
        Some(Seat { crowd: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.crowd.state.lock();
        state.all -= 1;
        if let Some(of_one) = state.by_address.get_mut(&self.address) {
            *of_one -= 1;
            if *of_one == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

/// Turns of which only so many run at once, and only a part of them for one address: who takes its turns and
/// does nothing with them holds up nobody but itself.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    most_of_one: usize,
    by_address: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A turn, until dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    address: IpAddr,
    permits: Option<[OwnedSemaphorePermit; 2]>,
}

impl Turns {
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(most)), most_of_one, by_address: Mutex::default() })
    }

    /// Waits for a turn; those of one address come in the order in which they asked. Cancel safe.
    pub(super) async fn take(self: &Arc<Self>, address: IpAddr) -> Option<Turn> {
        let address = counted(address);
        let of_one = || Arc::new(Semaphore::new(self.most_of_one));
        let of_one = Arc::clone(self.by_address.lock().entry(address).or_insert_with(of_one));
        // Made before anything is waited for, so that the address is forgotten also if the caller gives up.
        let mut turn = Turn { turns: Arc::clone(self), address, permits: None };
        let of_one = of_one.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        turn.permits = Some([of_one, of_all]);
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permits = None;
        let mut by_address = self.turns.by_address.lock();
        // Nobody else of this address has a turn, or waits for one.
        if by_address.get(&self.address).is_some_and(|of_one| Arc::strong_count(of_one) == 1) {
            by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_take_all_seats() {
        let crowd = Crowd::new(3, 2);
        let mut seats: Vec<Seat> = (0..2).filter_map(|_| crowd.enter(v4(1))).collect();
        assert_eq!(seats.len(), 2);
        assert!(crowd.enter(v4(1)).is_none());
        seats.extend(crowd.enter(v4(2)));
        assert!(seats.len() == 3 && crowd.enter(v4(3)).is_none(), "all seats are taken");
        seats.remove(0);
        assert!(crowd.enter(v4(1)).is_some());
        drop(seats);
        assert!(crowd.state.lock().by_address.is_empty(), "who left is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_one_is_ipv4() {
        let crowd = Crowd::new(9, 1);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let _seats = [crowd.enter(at("2001:db8::1")).unwrap(), crowd.enter(v4(1)).unwrap()];
        assert!(crowd.enter(at("2001:db8::ffff:2")).is_none());
        assert!(crowd.enter(at("2001:db8:0:1::1")).is_some());
        assert!(crowd.enter(at("::ffff:10.0.0.1")).is_none());
    }

    #[tokio::test]
    async fn who_does_nothing_with_its_turns_holds_up_only_itself() {
        let turns = Turns::new(4, 1);
        let idle = turns.take(v4(1)).await.unwrap();
        assert!(turns.take(v4(1)).now_or_never().is_none());
        let others: Vec<Turn> = (2..=4).filter_map(|last| turns.take(v4(last)).now_or_never()?).collect();
        assert_eq!(others.len(), 3);
        assert!(turns.take(v4(5)).now_or_never().is_none(), "all turns are taken");
        drop((idle, others));
        assert!(turns.take(v4(1)).now_or_never().is_some());
        assert!(turns.by_address.lock().is_empty(), "who left is forgotten");
    }
}
