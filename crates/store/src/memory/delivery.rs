//! Messages to programs of others: in rows of their own, and in runs.

use super::{Change, State};
use crate::row::*;
use crate::run::{Left, Run, earliest, message};
use muster_model::Oid;

impl State {
    /// The run in which the message at a place waits, which of it wait, and its number there.
    fn run_at(&self, oid: Oid, position: u64) -> Option<(&Run, Left, u64)> {
        let near = self.runs.range((oid, earliest(position))..=(oid, position));
        near.rev().find_map(|(_, (run, left))| Some((run, *left, left.number_at(run.first.position, position)?)))
    }

    pub(super) fn delivery_body(&self, oid: Oid, position: u64) -> Option<&Vec<u8>> {
        let own = self.deliveries.get(&(oid, position)).map(|(_, body)| body);
        own.or_else(|| self.run_at(oid, position).and_then(|(run, _, number)| run.bodies.get(number as usize)))
    }
}

impl Change<'_> {
    pub(super) fn put_deliveries(&mut self, oid: Oid, deliveries: &[(Delivery, Vec<u8>)]) {
        for (delivery, body) in deliveries {
            let row = (delivery.clone(), body.clone());
            self.put(|state| &mut state.deliveries, (oid, delivery.position), row);
        }
    }

    pub(super) fn put_runs(&mut self, oid: Oid, runs: &[Run]) {
        for run in runs {
            let row = (run.clone(), Left::all(run.bodies.len()));
            self.put(|state| &mut state.runs, (oid, run.first.position), row);
        }
    }

    pub(super) fn put_tries(&mut self, oid: Oid, tries: &[(u64, Tries)]) {
        for (position, tries) in tries {
            let own = self.state.deliveries.get(&(oid, *position)).cloned();
            let Some((delivery, body)) = own.or_else(|| self.take_out(oid, *position)) else { continue };
            let row = (Delivery { tries: tries.clone(), ..delivery }, body);
            self.put(|state| &mut state.deliveries, (oid, *position), row);
        }
    }

    /// A message of a run with which something went wrong gets a row of its own.
    fn take_out(&mut self, oid: Oid, position: u64) -> Option<(Delivery, Vec<u8>)> {
        let (run, _, number) = self.state.run_at(oid, position)?;
        let row = (message(&run.first, number), run.bodies.get(number as usize)?.clone());
        self.delete_of_runs(oid, position);
        Some(row)
    }

    pub(super) fn delete_deliveries(&mut self, oid: Oid, positions: &[u64]) {
        for position in positions {
            self.delete(|state| &mut state.deliveries, (oid, *position));
            self.delete_of_runs(oid, *position);
        }
    }

    fn delete_of_runs(&mut self, oid: Oid, position: u64) {
        let Some((run, left, _)) = self.state.run_at(oid, position) else { return };
        let (begin, left) = (run.first.position, left.without(run.first.position, position, position));
        if left == Left(0) {
            self.delete(|state| &mut state.runs, (oid, begin));
        } else {
            let row = (run.clone(), left);
            self.put(|state| &mut state.runs, (oid, begin), row);
        }
    }
}
