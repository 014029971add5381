//! Ending tasks before they end by themselves.

use muster_model::TaskId;
use muster_wire::Step;

use super::{Agent, Effect, Now, events, ledger};

impl Agent {
    /// What waits does not begin; what runs is told to stop, and tells its end as ever; of all else it is told what
    /// is remembered. A task that ends before it heeds the word has ended as it says: the states are what happened.
    pub(super) fn cancel(&mut self, task_ids: Vec<Vec<u8>>, now: Now) {
        let mut others = Vec::new();
        for bytes in task_ids {
            let open = ledger::task_id(&bytes).filter(|id| self.ledger.get(*id).is_some_and(|task| !task.has_ended()));
            match open {
                Some(id) if self.lanes.is_running(id) => self.out.effects.push(Effect::Stop(id)),
                Some(id) => self.cancel_waiting(id, now),
                None => others.push(bytes),
            }
        }
        self.recall(others, now);
        self.start_due(now);
    }

    fn cancel_waiting(&mut self, id: TaskId, now: Now) {
        let Some(deliver) = self.ledger.get(id).and_then(|task| task.deliver().cloned()) else { return };
        let reason = "it was cancelled before it began";
        self.lanes.forget(id);
        self.tell_of_refusal(id, &deliver, events::CANCELLED, reason, now);
        self.step(id, Step::Cancelled, events::CANCELLED, reason, now);
    }
}
