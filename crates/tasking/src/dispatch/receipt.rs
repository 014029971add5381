//! Taking in what sensors journalled.

use super::effect::{Answer, Effect, Fact, RequestId, Write};
use super::offer::TOLD_TARGETS_MAX;
use super::turns::JobId;
use super::{Dispatch, Flight, Work};
use crate::TargetState;
use crate::queue::Report;
use crate::target::Target;
use muster_model::Timestamp;

impl Dispatch {
    /// A sensor tells steps of tasks, each with its epoch, in the order in which it journalled them.
    /// Answers [`Answer::Stored`], or [`Answer::Failed`]: then it must tell them again.
    pub fn receipts(
        &mut self,
        request: RequestId,
        ordinal: u32,
        reports: Vec<(u64, Report)>,
        now: Timestamp,
    ) -> Vec<Effect> {
        self.turns.enter(vec![ordinal], Work::Receipts(request, ordinal, reports));
        self.settle(now)
    }

    pub(super) fn receive(
        &mut self,
        job: JobId,
        request: RequestId,
        ordinal: u32,
        reports: Vec<(u64, Report)>,
        now: Timestamp,
    ) {
        let epoch = self.known.fleet.row(ordinal).map_or(0, |row| row.epoch);
        // What was journalled in an earlier epoch was closed when this one began.
        let of_now = reports.into_iter().filter(|(of, _)| *of == epoch);
        let reports: Vec<Report> = of_now.map(|(_, report)| report).collect();
        let changed = self.known.queue.receipts(ordinal, &reports);
        if changed.is_empty() {
            self.answer(request, Answer::Stored);
            return self.offer_next(job, now);
        }
        let targets: Vec<_> = changed.into_iter().map(|(number, target)| (number, ordinal, target)).collect();
        let facts = targets.iter().filter_map(|(number, ordinal, target)| self.step(*number, *ordinal, target));
        let facts = facts.collect();
        let writes = vec![Write::Targets(targets.clone())];
        self.commit(Some(request), writes, facts, Flight::Receipts(job, request, targets));
    }

    pub(super) fn received(
        &mut self,
        job: JobId,
        request: RequestId,
        targets: Vec<(u64, u32, Target)>,
        now: Timestamp,
    ) {
        self.apply(targets);
        self.answer(request, Answer::Stored);
        self.offer_next(job, now);
    }

    fn step(&self, number: u64, ordinal: u32, target: &Target) -> Option<Fact> {
        let task = self.known.queue.task(number).filter(|task| task.targets().len() <= TOLD_TARGETS_MAX)?;
        let sid = self.known.fleet.row(ordinal)?.sensor.sid;
        let was_pending = task.state_of(ordinal).is_some_and(TargetState::is_pending);
        // A sensor without room leaves the task pending: that is shown, not told.
        let is_news = !target.state.is_pending() && (was_pending || target.has_failed());
        let target = Box::new(target.clone());
        is_news.then_some(Fact::Stepped { task_id: task.spec.task_id, sid, was_pending, target })
    }
}
