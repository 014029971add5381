//! What is told of tasks that are known already, or no more.

use muster_model::TaskId;
use muster_wire::{Receipt, Step};

use super::ledger::{self, End};
use super::{Agent, Now, events};

impl Agent {
    /// Tells what is remembered of tasks, or that nothing is.
    pub(super) fn recall(&mut self, task_ids: Vec<Vec<u8>>, now: Now) {
        let Some(epoch) = self.link.as_ref().map(|up| up.epoch) else { return };
        for task_id in task_ids {
            if let Some(receipts) = ledger::task_id(&task_id).and_then(|id| self.remembered(id, epoch)) {
                self.out.receipts.extend(receipts);
            } else {
                let step = Step::Forgotten as i32;
                let (code, error) = (events::BROKEN_PIPE, String::new());
                self.out.receipts.push(Receipt { task_id, step, at_ms: now.wall_ms, code, error, epoch });
            }
        }
    }

    /// What is told of a task that is known already, in the epoch in which it is asked for: a server that was set back
    /// to an earlier state counts epochs anew.
    pub(super) fn remembered(&self, id: TaskId, epoch: u64) -> Option<Vec<Receipt>> {
        if let Some(task) = self.ledger.get(id) {
            return Some(task.receipts().map(|receipt| Receipt { epoch, ..receipt.clone() }).collect());
        }
        let End { step, code, at_ms } = self.ledger.end(id)?;
        let receipt = |step: Step, code| Receipt {
            task_id: id.0.as_bytes().to_vec(),
            step: step as i32,
            at_ms,
            code,
            error: String::new(),
            epoch,
        };
        Some(vec![receipt(Step::Confirmed, 0), receipt(step, code)])
    }
}
