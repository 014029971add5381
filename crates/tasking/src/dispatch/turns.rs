//! Whose turn it is to change a sensor: one job at a time for each, in order of arrival.
//!
//! A job names all its sensors when it arrives and takes its place in all their lines at once, so no two jobs can
//! wait for each other. It holds its sensors until it leaves: what is decided of them is stored and applied before
//! anything else is decided.

use std::collections::{HashMap, VecDeque};

/// Number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct JobId(u64);

/// The lines before all sensors; those that nobody wants have none.
#[derive(Debug)]
pub(super) struct Turns<W> {
    jobs: HashMap<JobId, Job<W>>,
    lines: HashMap<u32, Line>,
    ready: VecDeque<JobId>,
    last: u64,
}

#[derive(Debug)]
struct Job<W> {
    ordinals: Vec<u32>,
    /// Sensors that others hold or want before it.
    missing: usize,
    /// What to do; taken when its turn has come.
    work: Option<W>,
}

#[derive(Debug)]
struct Line {
    holder: JobId,
    waiting: VecDeque<JobId>,
}

impl<W> Default for Turns<W> {
    fn default() -> Self {
        Self { jobs: HashMap::new(), lines: HashMap::new(), ready: VecDeque::new(), last: 0 }
    }
}

impl<W> Turns<W> {
    /// A job for these sensors, each named once.
    pub fn enter(&mut self, ordinals: Vec<u32>, work: W) {
        self.last += 1;
        let id = JobId(self.last);
        let mut missing = 0;
        for ordinal in &ordinals {
            let line = self.lines.entry(*ordinal).or_insert_with(|| Line { holder: id, waiting: VecDeque::new() });
            if line.holder != id {
                line.waiting.push_back(id);
                missing += 1;
            }
        }
        self.jobs.insert(id, Job { ordinals, missing, work: Some(work) });
        if missing == 0 {
            self.ready.push_back(id);
        }
    }

    /// The next job whose turn has come; it holds its sensors until it leaves.
    pub fn next(&mut self) -> Option<(JobId, W)> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(work) = self.jobs.get_mut(&id).and_then(|job| job.work.take()) {
                return Some((id, work));
            }
        }
    }

    /// The sensors of a job that has not left.
    pub fn ordinals(&self, id: JobId) -> &[u32] {
        self.jobs.get(&id).map_or(&[], |job| &job.ordinals)
    }

    /// Lets go of the sensors of a job.
    pub fn leave(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        for ordinal in &job.ordinals {
            let Some(line) = self.lines.get_mut(ordinal) else { continue };
            let Some(next) = line.waiting.pop_front() else {
                self.lines.remove(ordinal);
                continue;
            };
            line.holder = next;
            if let Some(waiting) = self.jobs.get_mut(&next) {
                waiting.missing -= 1;
                if waiting.missing == 0 {
                    self.ready.push_back(next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turns: &mut Turns<&'static str>) -> Vec<(JobId, &'static str)> {
        std::iter::from_fn(|| turns.next()).collect()
    }

    #[test]
    fn jobs_of_one_sensor_go_in_order_of_arrival_and_others_do_not_wait() {
        let mut turns = Turns::default();
        turns.enter(vec![1], "first");
        turns.enter(vec![1, 2], "both");
        turns.enter(vec![2], "behind");
        turns.enter(vec![3], "apart");
        let begun = all(&mut turns);
        assert_eq!(begun.iter().map(|(_, work)| *work).collect::<Vec<_>>(), ["first", "apart"]);
        turns.leave(begun[0].0);
        let begun = all(&mut turns);
        assert_eq!(begun.len(), 1);
        assert_eq!((begun[0].1, turns.ordinals(begun[0].0)), ("both", &[1, 2][..]));
        turns.leave(begun[0].0);
        assert_eq!(all(&mut turns)[0].1, "behind");
    }

    #[test]
    fn nothing_is_kept_of_sensors_that_nobody_wants() {
        let mut turns = Turns::default();
        turns.enter((0..100).collect(), "many");
        let (id, _) = turns.next().unwrap();
        turns.leave(id);
        assert!(turns.lines.is_empty() && turns.jobs.is_empty() && turns.ready.is_empty());
    }
}
