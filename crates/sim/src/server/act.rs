//! Carrying out effects; what `tasking/drive.rs` of the server does, with sabotage.

use muster_server::organization::message;
use muster_server::tasking::row;
use muster_store::{StoreError, Write};
use muster_tasking::TargetState;
use muster_tasking::dispatch::{self, CommitId, Dispatch, Effect, Message};

use super::{HANDED_OVER, OID, Server};
use crate::kernel::{Event, LinkId, MS, Micros, SECOND};
use crate::world::Sabotage;

/// A list of writes on its way to the disk.
pub(super) struct Commit {
    pub writes: Vec<Write>,
    /// Who learns of it.
    pub whose: Whose,
}

/// Who asked the store for something.
pub(super) enum Whose {
    /// The machine.
    Machine(CommitId),
    /// A batch of events on this link: the spool, and its number from then on.
    Events(LinkId, u32, [u8; 16], u64),
}

impl Server {
    pub(super) fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Commit(commit) => self.act_on_commit(commit),
            Effect::Send(_, Message::Recall(_)) if self.site.sabotage == Some(Sabotage::ForgetRecall) => {}
            Effect::Send(link, message) => {
                self.note_sending(&message, link.0);
                self.send(link.0, message::message(message));
            }
            Effect::Close(link) => self.close(link.0),
            Effect::Answer(request, answer) => {
                if let Some(asked) = self.asked.remove(&request) {
                    self.answer(asked, answer);
                }
            }
            Effect::Tell(_) => {}
        }
    }

    /// Someone else owns the organization, or what is stored is not known: nothing follows any more.
    fn deposed(&mut self) {
        if !self.dispatch.is_deposed() {
            self.tell(|dispatch, _| dispatch.deposed());
            self.asked.clear();
            self.answers.clear();
            self.site.kernel.note(|| "server: it was deposed".to_owned());
            self.soon(10 * SECOND, Event::Replaced(self.incarnation));
        }
    }

    fn note_sending(&self, message: &Message, link: LinkId) {
        if let Message::Deliver(delivery) = message {
            self.site
                .kernel
                .note(|| format!("server: sends {} of epoch {} on link {link}", delivery.task_id, delivery.epoch));
        }
    }

    fn act_on_commit(&mut self, commit: dispatch::Commit) {
        let dispatch::Commit { id, request, mut writes, .. } = commit;
        let is_early = match self.site.sabotage {
            Some(Sabotage::AnswerBeforeStore) => request.is_some(),
            Some(Sabotage::SendBeforeStore) => is_offer(&writes),
            _ => false,
        };
        if self.site.sabotage == Some(Sabotage::ForgetRemoval) {
            writes
                .retain(|write| !matches!(write, dispatch::Write::Control(_, control) if !control.removed.is_empty()));
        }
        if self.site.sabotage == Some(Sabotage::ForgetCancel) {
            for write in &mut writes {
                if let dispatch::Write::Control(_, control) = write {
                    control.cancelled.clear();
                }
            }
        }
        match row::writes(OID, writes) {
            Ok(writes) => self.commit(Commit { writes, whose: Whose::Machine(id) }),
            Err(error) => self.site.truth.borrow_mut().fault(format!("a commit cannot be written: {error}")),
        }
        if is_early {
            self.tell(|dispatch, now| dispatch.stored(id, now));
        }
    }

    /// Puts a list in line as [`muster_store::Store::commit`] does: in order of arrival, answered some time after it is on disk.
    pub(super) fn commit(&mut self, commit: Commit) {
        let id = self.fresh_id();
        let kernel = &self.site.kernel;
        let stall: Micros = if kernel.chance(3) { kernel.below(3 * SECOND) } else { kernel.below(4 * MS) };
        self.last_commit_at = (kernel.now() + stall).max(self.last_commit_at);
        kernel.at(self.last_commit_at, Event::Commit(id));
        self.commits.insert(id, commit);
    }

    /// The store's writer reaches a commit; its caller learns of it a little later.
    pub(super) fn reach(&mut self, id: u64) {
        let Some(Commit { writes, whose }) = self.commits.remove(&id) else { return };
        let result = self.site.store.commit_blocking(writes);
        if let Err(error) = &result {
            self.site.kernel.note(|| format!("server: commit fails: {error}"));
        }
        self.results.insert(id, (Commit { writes: Vec::new(), whose }, result));
        self.soon(HANDED_OVER, Event::Stored(id));
    }

    pub(super) fn stored(&mut self, id: u64) {
        match self.results.remove(&id) {
            Some((Commit { whose: Whose::Machine(id), .. }, Ok(()))) => {
                self.tell(|dispatch: &mut Dispatch, now| dispatch.stored(id, now));
            }
            Some((Commit { whose: Whose::Machine(id), .. }, Err(StoreError::Deposed(_))))
                if self.site.sabotage == Some(Sabotage::OutliveClaim) =>
            {
                self.tell(|dispatch, now| dispatch.stored(id, now));
            }
            Some((_, Err(StoreError::Deposed(_) | StoreError::Unknown(_)))) => self.deposed(),
            Some((Commit { whose: Whose::Machine(id), .. }, Err(error))) => {
                let is_conflict = matches!(error, StoreError::Conflict(_));
                self.tell(|dispatch, now| dispatch.failed(id, is_conflict, now));
            }
            Some((Commit { whose: Whose::Events(link, ordinal, spool_id, seq), .. }, result)) => {
                self.events_stored(link, ordinal, spool_id, seq, result.is_ok());
            }
            None => {}
        }
    }
}

/// Whether nothing is stored but that tasks are sent.
fn is_offer(writes: &[dispatch::Write]) -> bool {
    let is_sent = |write: &dispatch::Write| match write {
        dispatch::Write::Targets(targets) => targets.iter().all(|(_, _, target)| target.state == TargetState::Sent),
        _ => false,
    };
    writes.iter().all(is_sent)
}
