//! What operators ask for, and what they are promised.

use std::rc::Rc;
use std::time::Duration;

use muster_model::Sid;
use muster_selector::Fleet as _;
use muster_tasking::dispatch::Edit;
use muster_tasking::{Conditions, FailureLimit, Pace, Weekdays, Window};
use roaring::RoaringBitmap;

use super::World;
use crate::endpoint::{COMMAND_ENDLESS, COMMAND_FAILING, COMMAND_GOOD, COMMAND_UNKNOWN};
use crate::kernel::{Event, SECOND};
use crate::server::NewTask;

impl World {
    pub(super) fn operate(&mut self) {
        let kernel = Rc::clone(&self.kernel);
        kernel.after(kernel.between(SECOND / 10, 10 * SECOND), Event::Operate);
        for endpoint in &mut self.endpoints {
            let observed = if kernel.chance(2) { 200 } else { kernel.below(3) };
            (0..observed).for_each(|_| endpoint.observe());
        }
        let Some(server) = self.server.as_ref() else { return };
        let fleet = &server.dispatch.fleet;
        let sensors: Vec<(u32, Sid)> =
            fleet.all().iter().filter_map(|ordinal| Some((ordinal, fleet.row(ordinal)?.sensor.sid))).collect();
        match kernel.below(100) {
            0..45 => {
                let new = self.new_task();
                self.asked.push(new.clone());
                self.ask(&new);
            }
            45..52 => {
                // Asked again, since perhaps no answer came.
                if !self.asked.is_empty() {
                    let new = self.asked[kernel.index(self.asked.len())].clone();
                    self.ask(&new);
                }
            }
            52..57 => self.cancel(),
            57..66 => self.take_back(&sensors),
            66..80 => self.hold_or_resume(),
            80..92 => self.tag(&sensors),
            _ => self.delete_or_undelete(&sensors),
        }
    }

    fn new_task(&self) -> NewTask {
        let kernel = &self.kernel;
        let command = match kernel.below(10) {
            0 => COMMAND_UNKNOWN,
            1 | 2 => COMMAND_FAILING,
            3 => COMMAND_ENDLESS,
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
            // Who joins one that never ends runs it for ever.
            dynamic: kernel.chance(30) && command != COMMAND_ENDLESS,
            urgent: kernel.chance(15),
            conditions: kernel.chance(8).then_some(Conditions { window: Some(window), payload_sha256: None }),
            pace: if kernel.chance(50) { pace } else { Pace::default() },
        }
    }

    /// Asks for a task.
    fn ask(&mut self, new: &NewTask) {
        let ends = self.kernel.now() + new.ttl_s * SECOND;
        self.truth.borrow_mut().asked(new.task_id, new.command, ends);
        self.kernel.note(|| format!("operator: asks for {new:?}"));
        if let Some(server) = self.server.as_mut() {
            server.create(new);
        }
    }

    fn take_back(&mut self, all: &[(u32, Sid)]) {
        let kernel = &self.kernel;
        let task = (!self.asked.is_empty() && kernel.chance(85))
            .then(|| self.asked[self.asked.len() - 1 - kernel.index(self.asked.len().min(4))].task_id);
        let sensors: Option<Vec<Sid>> =
            kernel.chance(50).then(|| all.iter().map(|(_, sid)| *sid).filter(|_| kernel.chance(50)).collect());
        if let Some(server) = self.server.as_mut() {
            server.untask(task, sensors.as_deref());
        }
    }

    /// Ends one of the latest tasks everywhere.
    fn cancel(&mut self) {
        let Some(last) = self.asked.len().checked_sub(1) else { return };
        let task = self.asked[last - self.kernel.index(self.asked.len().min(6))].task_id;
        self.kernel.note(|| format!("operator: cancels {task}"));
        if let Some(server) = self.server.as_mut() {
            server.cancel(task);
        }
    }

    /// Ends what would never end, until each was acknowledged.
    pub(super) fn end_the_endless(&mut self) {
        let truth = self.truth.borrow();
        let is_left = |new: &&NewTask| new.command == COMMAND_ENDLESS && !truth.cancels.contains(&new.task_id);
        let left: Vec<NewTask> = self.asked.iter().filter(is_left).cloned().collect();
        drop(truth);
        if left.is_empty() {
            return;
        }
        self.kernel.after(10 * SECOND, Event::Operate);
        for new in left {
            let Some(server) = self.server.as_mut() else { return };
            if server.dispatch.queue.find(new.task_id).is_some() {
                server.cancel(new.task_id);
            } else if self.truth.borrow().forgotten.contains(&new.task_id) {
                // Sensors may still run it: it is given again, so that it can be cancelled.
                self.ask(&NewTask { selector: "*", ..new });
            }
        }
    }

    fn hold_or_resume(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let task = self.asked[self.kernel.index(self.asked.len())].task_id;
        let resumes = self.kernel.chance(65);
        if let Some(server) = self.server.as_mut() {
            server.hold(task, resumes);
        }
    }

    fn tag(&mut self, sensors: &[(u32, Sid)]) {
        let kernel = Rc::clone(&self.kernel);
        let tag = if kernel.chance(50) { "red" } else { "blue" };
        let edit = if kernel.chance(60) {
            let ttl = kernel.chance(20).then(|| Duration::from_secs(kernel.between(1, 120)));
            Edit::PutTags { names: vec![tag.into()], ttl, by: "op".into() }
        } else {
            Edit::TakeTags(vec![tag.into()])
        };
        let some: RoaringBitmap = sensors.iter().map(|(ordinal, _)| *ordinal).filter(|_| kernel.chance(40)).collect();
        if let Some(server) = self.server.as_mut() {
            server.edit(&some, edit);
        }
    }

    fn delete_or_undelete(&mut self, sensors: &[(u32, Sid)]) {
        if sensors.is_empty() {
            return;
        }
        let (ordinal, sid) = sensors[self.kernel.index(sensors.len())];
        let deletes = self.kernel.chance(35);
        self.kernel.note(|| format!("operator: deletes ({deletes}) or undeletes sensor {ordinal}"));
        if deletes {
            self.truth.borrow_mut().deleted.insert(sid);
        }
        if let Some(server) = self.server.as_mut() {
            server.edit(&RoaringBitmap::from_iter([ordinal]), if deletes { Edit::Delete } else { Edit::Undelete });
        }
    }
}
