//! What operators ask, and when they have the answer.

use muster_command::Command;
use muster_model::{Sid, TaskId};
use muster_selector::Selector;
use muster_tasking::dispatch::{Answer, Choice, Dispatch, Edit, Effect, Order, RequestId};
use muster_tasking::{Conditions, Pace, Spec};
use roaring::RoaringBitmap;

use super::Server;
use crate::kernel::{Event, LinkId, MS};

/// What an operator asks for.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of `muster_tasking::Spec`")]
pub struct NewTask {
    pub task_id: TaskId,
    pub command: &'static str,
    pub selector: &'static str,
    pub ttl_s: u64,
    pub dynamic: bool,
    pub urgent: bool,
    pub conditions: Option<Conditions>,
    pub pace: Pace,
}

/// A question to the machine, and who waits for its answer.
pub(super) enum Asked {
    /// An operator, for a task.
    Task(TaskId),
    /// An operator, for an untasking.
    Untask,
    /// An operator, for the end of this task everywhere.
    Cancel(TaskId),
    /// An operator who looks at nothing but whether it went well.
    Else,
    /// A link that wants an identity.
    Enrol(LinkId),
    /// A link whose sensor proved who it is.
    Arrive(LinkId, u32),
    /// A link that told steps.
    Receipts(LinkId, Vec<muster_wire::Receipt>),
}

/// What an operator learns, a little later.
pub(super) enum Answered {
    /// The task is accepted for these.
    Task(TaskId),
    /// These never get it.
    Untask(Vec<(TaskId, Vec<Sid>)>),
    /// It is to end wherever it is.
    Cancel(TaskId),
}

impl Server {
    pub(super) fn ask(
        &mut self,
        asked: Asked,
        input: impl FnOnce(&mut Dispatch, RequestId, muster_model::Timestamp) -> Vec<Effect>,
    ) {
        let request = RequestId(self.fresh_id());
        self.asked.insert(request, asked);
        self.tell(|dispatch, now| input(dispatch, request, now));
    }

    /// Asks for a task.
    pub fn create(&mut self, new: &NewTask) {
        let (Ok(command), Ok(selector)) = (Command::parse(new.command), Selector::parse(new.selector)) else { return };
        let spec = Spec {
            task_id: new.task_id,
            command: new.command.to_owned(),
            selector: new.selector.to_owned(),
            context: None,
            ttl_s: new.ttl_s,
            created_at: self.now(),
            created_by: "operator".to_owned(),
            dynamic: new.dynamic,
            urgent: new.urgent,
            conditions: new.conditions.clone(),
            pace: new.pace.clone(),
            total: 0,
            tasked: 0,
            clock_us: 0,
        };
        let order = Order { spec, command, selector };
        self.ask(Asked::Task(new.task_id), |dispatch, request, now| dispatch.create(request, order, now));
    }

    /// Takes back what was not sent yet: of one task or of all, of some sensors or of all.
    pub fn untask(&mut self, task_id: Option<TaskId>, sensors: Option<&[Sid]>) {
        let of = |sid: &Sid| format!("sid == `{sid}`");
        let text = sensors.map(|sids| sids.iter().map(of).collect::<Vec<_>>().join(" or "));
        // No sensor has this tag.
        let text = text.map(|text| if text.is_empty() { "`nobody` in tags".to_owned() } else { text });
        let selector = text.and_then(|text| Selector::parse(&text).ok());
        debug_assert_eq!(selector.is_some(), sensors.is_some(), "the selector cannot be read");
        let choice = Choice { task_id, selector };
        self.ask(Asked::Untask, |dispatch, request, now| dispatch.untask(request, choice, now));
    }

    /// Ends a task everywhere.
    pub fn cancel(&mut self, task_id: TaskId) {
        self.ask(Asked::Cancel(task_id), |dispatch, request, now| dispatch.cancel(request, task_id, None, now));
    }

    /// Holds a task back, or lets it go on.
    pub fn hold(&mut self, task_id: TaskId, resumes: bool) {
        self.ask(Asked::Else, |dispatch, request, now| {
            if resumes { dispatch.resume(request, task_id, now) } else { dispatch.pause(request, task_id, now) }
        });
    }

    /// Changes records of sensors.
    pub fn edit(&mut self, ordinals: &RoaringBitmap, edit: Edit) {
        self.ask(Asked::Else, |dispatch, request, now| dispatch.edit(Some(request), ordinals, edit, now));
    }

    fn sids(&self, ordinals: &RoaringBitmap) -> Vec<Sid> {
        let fleet = &self.dispatch.fleet;
        ordinals.iter().filter_map(|ordinal| Some(fleet.row(ordinal)?.sensor.sid)).collect()
    }

    pub(super) fn answer(&mut self, asked: Asked, answer: Answer) {
        let answered = match (asked, answer) {
            (Asked::Task(task_id), Answer::Created { .. }) => {
                // The answer comes in the turn in which the task comes to be: it is there once that is over.
                Answered::Task(task_id)
            }
            (Asked::Untask, Answer::Untasked(all)) => {
                Answered::Untask(all.into_iter().map(|one| (one.task_id, self.sids(&one.deleted))).collect())
            }
            // One that is not known may be asked for again.
            (Asked::Cancel(task_id), Answer::Untasked(_)) => Answered::Cancel(task_id),
            // Refused while the disk is full; the operator sees that.
            (Asked::Task(_) | Asked::Untask | Asked::Cancel(_) | Asked::Else, _) => return,
            (Asked::Enrol(link), answer) => return self.enrolled(link, &answer),
            (Asked::Arrive(link, ordinal), answer) => return self.arrived(link, ordinal, &answer),
            (Asked::Receipts(link, receipts), answer) => return self.receipts_taken(link, receipts, &answer),
        };
        let id = self.fresh_id();
        self.answers.insert(id, answered);
        self.soon(5 * MS, Event::Answered(id));
    }

    /// An answer reaches its operator.
    pub(super) fn answered(&mut self, id: u64) {
        match self.answers.remove(&id) {
            Some(Answered::Task(task_id)) => {
                let targets = self.dispatch.queue.find(task_id).map(|task| task.targets().clone()).unwrap_or_default();
                let sids = self.sids(&targets);
                self.site.kernel.note(|| format!("answered: {task_id} has {} targets", sids.len()));
                self.site.truth.borrow_mut().acknowledged(task_id, sids);
            }
            Some(Answered::Untask(all)) => {
                for (task_id, sids) in all {
                    for sid in sids {
                        self.site.kernel.note(|| format!("answered: {task_id} is deleted for {sid}"));
                        self.site.truth.borrow_mut().taken_back(task_id, sid);
                    }
                }
            }
            Some(Answered::Cancel(task_id)) => {
                self.site.kernel.note(|| format!("answered: {task_id} is cancelled"));
                self.site.truth.borrow_mut().cancels.insert(task_id);
            }
            None => {}
        }
    }
}
