//! Why a sensor did, did not, or does not yet have a task.

use crate::TargetState;
use crate::queue::Queue;
use crate::target::Target;
use crate::task::Task;
use muster_model::Timestamp;

/// An answer to "why": a stable code, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Stable word for programs.
    pub code: &'static str,
    /// What happened and what will happen next.
    pub text: String,
}

impl Queue {
    /// Explains where a task stands for a sensor.
    ///
    /// `target` is what the store knows (all times); `is_online` is the link now.
    #[must_use]
    pub fn explain(
        &self,
        task: &Task,
        ordinal: u32,
        target: Option<&Target>,
        is_online: bool,
        now: Timestamp,
    ) -> Explanation {
        let Some(state) = task.state_of(ordinal) else {
            return not_a_target(task);
        };
        let why = target.and_then(|target| target.error.as_deref());
        let because = |text: &str| why.map_or_else(|| text.to_owned(), |why| format!("{text}: {why}"));
        let attempts = target.map_or(0, |target| target.attempts);
        let (code, text) = match state {
            TargetState::Queued | TargetState::Sent if self.is_over(task, now) => {
                ("expired", "its time to live ran out before the sensor could begin".to_owned())
            }
            TargetState::Queued => self.why_queued(task, ordinal, is_online, now),
            TargetState::Sent if target.is_some_and(|target| target.error.is_some()) => {
                ("not_taken", because("the sensor did not take it, and it is offered again"))
            }
            TargetState::Sent if is_online => (
                "awaiting_confirmation",
                format!("it was sent (attempt {attempts}); the sensor has not confirmed that it is journalled"),
            ),
            TargetState::Sent => (
                "sent_then_offline",
                "it was sent, and the link was lost before a confirmation; it is offered again at the next connection, \
                 and the sensor refuses a second copy"
                    .to_owned(),
            ),
            TargetState::Confirmed | TargetState::Started if task.is_cancelling(ordinal) => {
                ("cancelling", cancelling(is_online).to_owned())
            }
            TargetState::Confirmed => self.why_confirmed(ordinal),
            TargetState::Started => ("started", "the sensor runs it, or was cut off while running it".to_owned()),
            TargetState::Finished => {
                let code = target.map_or(0, |target| target.code);
                ("finished", format!("the sensor ran it; it ended with {code}"))
            }
            TargetState::Interrupted => ("interrupted", because("the sensor stopped half way and did not run it again")),
            TargetState::Refused => ("refused", because("the sensor declined to run it")),
            TargetState::NotNow => ("not_now", because("the sensor was outside the time window")),
            TargetState::Unsupported => ("unsupported", because("the sensor does not know this command")),
            TargetState::Expired => ("expired", "its time to live ran out before the sensor could begin".to_owned()),
            TargetState::Cancelled => ("cancelled", because("an operator cancelled it")),
            TargetState::Doubled => (
                "doubled_by_a_clone",
                format!(
                    "{}; what each of them did, their answers tell; the guide (Cloning images) says how to part them",
                    why.unwrap_or("two copies of the sensor have it")
                ),
            ),
            TargetState::Removed => ("removed", because("it was taken back before the sensor had it")),
        };
        Explanation { code, text }
    }

    fn why_confirmed(&self, ordinal: u32) -> (&'static str, String) {
        let is_running = |other: &&Task| other.state_of(ordinal) == Some(TargetState::Started);
        match self.held(ordinal).filter(is_running).count() {
            0 => ("confirmed", "the sensor has it in its journal and will run it next".to_owned()),
            running => (
                "behind_running",
                format!(
                    "the sensor has it in its journal; it waits its turn behind {running} that run there, which an urgent one would not"
                ),
            ),
        }
    }

    fn why_queued(&self, task: &Task, ordinal: u32, is_online: bool, now: Timestamp) -> (&'static str, String) {
        if let Some(reason) = &task.control.stopped {
            return ("stopped", format!("the task holds itself back: {reason}; resume it to go on"));
        }
        if task.is_paused() {
            return ("paused", "an operator paused the task; resume it to go on".to_owned());
        }
        if !is_online {
            return ("offline", "the sensor is offline; it gets the task when it connects".to_owned());
        }
        let ahead = self.owed(ordinal, now).iter().take_while(|other| other.number != task.number).count();
        if ahead > 0 {
            return ("behind", format!("{ahead} other tasks go to this sensor first"));
        }
        ("paced", "the sensor is online; the pace of the task lets it through in its turn".to_owned())
    }
}

fn cancelling(is_online: bool) -> &'static str {
    if is_online {
        "an operator cancelled it; the sensor was told, and has not said yet how it ended"
    } else {
        "an operator cancelled it; the sensor, which has it, is offline and is told at its next connection"
    }
}

fn not_a_target(task: &Task) -> Explanation {
    let text = if task.spec.dynamic {
        "the sensor does not match the selector; if it begins to match before the task expires, it gets it"
    } else {
        "the sensor did not match the selector, or did not exist, when the task was created; the target set was fixed then"
    };
    Explanation { code: "not_a_target", text: text.to_owned() }
}
