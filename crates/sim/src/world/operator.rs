//! What operators ask for, and what they are promised.

use std::rc::Rc;

use muster_tasking::{Conditions, FailureLimit, Pace, Weekdays, Window};
use roaring::RoaringBitmap;

use super::World;
use crate::endpoint::{COMMAND_FAILING, COMMAND_GOOD, COMMAND_UNKNOWN};
use crate::kernel::{Event, MS, SECOND};
use crate::server::{self, Edit, NewTask, Node};

impl World {
    pub(super) fn operate(&mut self) {
        let kernel = Rc::clone(&self.kernel);
        kernel.after(kernel.between(SECOND / 10, 10 * SECOND), Event::Operate);
        for endpoint in &mut self.endpoints {
            let observed = if kernel.chance(2) { 200 } else { kernel.below(3) };
            (0..observed).for_each(|_| endpoint.observe());
        }
        let Some(node) = self.server.as_ref().map(|server| Rc::clone(&server.node)) else { return };
        let ordinals: Vec<u32> = (0_u32..).take(node.state.borrow().fleet.len()).collect();
        match kernel.below(100) {
            0..45 => {
                let new = self.new_task();
                self.asked.push(new.clone());
                ask(&node, new);
            }
            45..52 => {
                // Asked again, since perhaps no answer came.
                if !self.asked.is_empty() {
                    ask(&node, self.asked[kernel.index(self.asked.len())].clone());
                }
            }
            52..66 => self.take_back(&node, &ordinals),
            66..80 => self.hold_or_resume(&node),
            80..92 => {
                let tag = if kernel.chance(50) { "red" } else { "blue" };
                let edit = if kernel.chance(60) { Edit::Tag(tag) } else { Edit::Untag(tag) };
                let some: Vec<u32> = ordinals.into_iter().filter(|_| kernel.chance(40)).collect();
                let shared = Rc::clone(&node);
                node.spawn(async move {
                    // Refused while the disk is full; the operator sees that.
                    let _ = server::edit_sensors(&shared, &some, edit).await;
                });
            }
            _ => self.delete_or_undelete(&node, &ordinals),
        }
    }

    fn new_task(&self) -> NewTask {
        let kernel = &self.kernel;
        let command = match kernel.below(10) {
            0 => COMMAND_UNKNOWN,
            1 | 2 => COMMAND_FAILING,
            _ => COMMAND_GOOD,
        };
        let selector = ["*", "*", "red in tags", "blue in tags", "plat == linux"][kernel.index(5)];
        let ttl_s = if kernel.chance(40) { kernel.between(1, 400) } else { 24 * 3_600 };
        let minute = |number: u64| u16::try_from(number).unwrap_or(0);
        let window = Window {
            start_min: minute(kernel.below(1_440)),
            end_min: minute(kernel.below(1_440)),
            weekdays: Weekdays(0),
        };
        let pace = Pace {
            max_per_second: kernel.chance(20).then_some(1),
            max_in_flight: kernel.chance(20).then_some(1 + u32::try_from(kernel.below(2)).unwrap_or(0)),
            random_order: kernel.chance(20),
            stop_on_failures: kernel.chance(20).then_some(FailureLimit::Count(1)),
        };
        NewTask {
            task_id: self.fresh_task_id(),
            command,
            selector,
            ttl_s,
            dynamic: kernel.chance(30),
            urgent: kernel.chance(15),
            conditions: kernel.chance(8).then_some(Conditions { window: Some(window), payload_sha256: None }),
            pace: if kernel.chance(50) { pace } else { Pace::default() },
        }
    }

    fn take_back(&self, node: &Rc<Node>, ordinals: &[u32]) {
        let kernel = &self.kernel;
        let task = (!self.asked.is_empty() && kernel.chance(85))
            .then(|| self.asked[self.asked.len() - 1 - kernel.index(self.asked.len().min(4))].task_id);
        let sensors: Option<RoaringBitmap> =
            kernel.chance(50).then(|| ordinals.iter().copied().filter(|_| kernel.chance(50)).collect());
        let shared = Rc::clone(node);
        node.spawn(async move {
            let Ok(untasking) = server::untask(&shared, task, sensors).await else { return };
            shared.pause(5 * MS).await;
            let state = shared.state.borrow();
            let mut truth = shared.site.truth.borrow_mut();
            for (task, ordinals) in untasking.deleted {
                for row in ordinals.iter().filter_map(|ordinal| state.fleet.get(ordinal as usize)) {
                    shared.site.kernel.note(|| format!("answered: {task} is deleted for sensor {}", row.ordinal));
                    truth.taken_back(task, row.sensor.sid);
                }
            }
        });
    }

    fn hold_or_resume(&self, node: &Rc<Node>) {
        if self.asked.is_empty() {
            return;
        }
        let task = self.asked[self.kernel.index(self.asked.len())].task_id;
        let (shared, resumes) = (Rc::clone(node), self.kernel.chance(65));
        node.spawn(async move {
            // Refused while the disk is full; the operator sees that.
            let _ = if resumes { server::resume(&shared, task).await } else { server::pause(&shared, task).await };
        });
    }

    fn delete_or_undelete(&self, node: &Rc<Node>, ordinals: &[u32]) {
        if ordinals.is_empty() {
            return;
        }
        let ordinal = ordinals[self.kernel.index(ordinals.len())];
        let (shared, deletes) = (Rc::clone(node), self.kernel.chance(35));
        let sid = node.state.borrow().fleet[ordinal as usize].sensor.sid;
        node.site.kernel.note(|| format!("operator: deletes ({deletes}) or undeletes sensor {ordinal}"));
        if deletes {
            node.site.truth.borrow_mut().deleted.insert(sid);
        }
        node.spawn(async move {
            // Refused while the disk is full; the operator sees that.
            let _ =
                if deletes { server::delete(&shared, ordinal).await } else { server::undelete(&shared, ordinal).await };
        });
    }
}

/// Asks for a task, and remembers the answer if one comes.
fn ask(node: &Rc<Node>, new: NewTask) {
    let shared = Rc::clone(node);
    node.site.truth.borrow_mut().asked(new.task_id, new.command);
    node.site.kernel.note(|| format!("operator: asks for {new:?}"));
    node.spawn(async move {
        let Ok(targets) = server::create(&shared, &new).await else { return };
        shared.pause(5 * MS).await;
        let state = shared.state.borrow();
        let sids = targets.iter().filter_map(|ordinal| Some(state.fleet.get(ordinal as usize)?.sensor.sid)).collect();
        shared.site.kernel.note(|| format!("answered: {} has {} targets", new.task_id, targets.len()));
        shared.site.truth.borrow_mut().acknowledged(new.task_id, sids);
    });
}
