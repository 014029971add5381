//! The commands that run.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::TaskId;
use tokio::task::JoinSet;

use crate::agent::Run;
use crate::executor::{self, Toolbox};
use crate::stop::Stop;

/// Commands that have begun; dropping it ends them.
#[derive(Default)]
pub(super) struct Running {
    commands: JoinSet<()>,
    /// Of those that have not told their end.
    stops: HashMap<TaskId, Arc<Stop>>,
}

impl Running {
    /// Begins to carry a task out.
    pub(super) fn begin(&mut self, run: Run, tools: &Arc<Toolbox>) {
        let stop = Arc::<Stop>::default();
        self.stops.insert(run.task, Arc::clone(&stop));
        self.commands.spawn(executor::carry_out(run, Arc::clone(tools), stop));
    }

    /// Begins to carry out a command of a live session.
    pub(super) fn begin_live(&mut self, command: impl Future<Output = ()> + Send + 'static) {
        self.commands.spawn(command);
    }

    /// Asks a task to end.
    pub(super) fn stop(&self, task: TaskId) {
        if let Some(stop) = self.stops.get(&task) {
            stop.ask();
        }
    }

    /// A task has told its end.
    pub(super) fn ended(&mut self, task: TaskId) {
        self.stops.remove(&task);
    }

    /// Lets go of what has ended.
    pub(super) fn reap(&mut self) {
        while self.commands.try_join_next().is_some() {}
    }
}
