//! Carries out what the dispatch machine decides: stores it, tells the machine, answers who asked.

use super::{Tasking, facts, row};
use crate::errors;
use crate::intake::Beside;
use crate::intake::event::Actor;
use crate::jobs::Jobs;
use crate::organization::{Answered, Deed, Organization};
use muster_model::Timestamp;
use muster_store::StoreError;
use muster_tasking::Dispatch;
use muster_tasking::dispatch::{Answer, Commit, Effect, Fact, RequestId};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// Facts that share a commit: about a millisecond of the store.
const FACTS_PER_COMMIT: usize = 64;

/// Asks the machine something, and waits for its answer.
///
/// Cancel safe: what was begun is carried out all the same.
///
/// # Errors
///
/// Whatever the store says.
pub async fn ask(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    by: Option<&Actor>,
    input: impl FnOnce(&mut Dispatch, RequestId, Timestamp) -> Vec<Effect>,
) -> Result<Answer, StoreError> {
    let mut answered = None;
    let deeds = organization.turn(None, |state, now| {
        let (request, answer) = state.request(by);
        answered = Some(answer);
        input(state.dispatch(), request, now)
    });
    let stopping = || StoreError::Unavailable("the server is stopping".into());
    let mut answered = answered.ok_or_else(stopping)?;
    let given = |answer: Result<Answered, _>| answer.unwrap_or_else(|_| Err(stopping()));
    if deeds.is_empty() {
        return given(answered.await);
    }
    let mut work = Lasting::new(tasking, organization, deeds);
    tokio::select! {
        biased;
        answer = &mut answered => given(answer),
        () = &mut work => given(answered.await),
    }
}

/// Tells the machine something, and waits until what follows at once is done. Cancel safe as [`ask`].
pub async fn tell(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    input: impl FnOnce(&mut Dispatch, Timestamp) -> Vec<Effect>,
) {
    let deeds = organization.turn(None, |state, now| input(state.dispatch(), now));
    carry_out(tasking, organization, deeds).await;
}

/// Carries out what remains of a turn. Cancel safe as [`ask`].
pub async fn carry_out(tasking: &Arc<Tasking>, organization: &Arc<Organization>, deeds: Vec<Deed>) {
    if !deeds.is_empty() {
        Lasting::new(tasking, organization, deeds).await;
    }
}

/// Work that is done by whoever waits for it, and goes on by itself if nobody does any more: the machine counts on
/// hearing of every commit.
struct Lasting {
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    jobs: Jobs,
}

impl Lasting {
    fn new(tasking: &Arc<Tasking>, organization: &Arc<Organization>, deeds: Vec<Deed>) -> Self {
        Self { work: Some(work(tasking, organization, deeds)), jobs: tasking.jobs.clone() }
    }
}

impl Future for Lasting {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = self.work.as_mut() else { return Poll::Ready(()) };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let (Some(work), Ok(_)) = (self.work.take(), Handle::try_current()) {
            self.jobs.spawn(work);
        }
    }
}

/// One commit after the other, and all that follow from them; those that need not wait for each other side by side.
fn work(
    tasking: &Arc<Tasking>,
    organization: &Arc<Organization>,
    deeds: Vec<Deed>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let (tasking, organization) = (Arc::clone(tasking), Arc::clone(organization));
    Box::pin(async move {
        let (mut next, mut told) = (None, Vec::new());
        let mut deeds = deeds;
        loop {
            for deed in deeds {
                match deed {
                    Deed::Tell(facts) => told.extend(facts),
                    commit if next.is_some() => drop(tasking.jobs.spawn(work(&tasking, &organization, vec![commit]))),
                    Deed::Commit(commit, by) => next = Some((commit, by)),
                }
            }
            let Some((commit, by)) = next.take() else { break };
            deeds = store(&tasking, &organization, commit, by.as_deref()).await;
        }
        // Last: records about it must not hold up what was decided.
        for some in told.chunks(FACTS_PER_COMMIT) {
            keep(&tasking, &organization, some).await;
        }
    })
}

/// Stores a commit, and tells the machine what became of it.
async fn store(tasking: &Arc<Tasking>, organization: &Organization, commit: Commit, by: Option<&Actor>) -> Vec<Deed> {
    let Commit { id, writes, facts, .. } = commit;
    let oid = organization.oid;
    let errors = facts::errors(&facts);
    let stored = match row::writes(oid, writes) {
        Ok(writes) if facts.is_empty() => tasking.store.commit(writes).await,
        Ok(writes) => tasking.intake.commit(Beside::from(facts::records(oid, &facts, by)).and(writes)).await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(()) => {
            let deeds = organization.turn(None, |state, now| state.dispatch().stored(id, now));
            for (component, text) in errors {
                let records = Arc::clone(&tasking.records);
                // Beside: the sensor does not wait for it.
                tasking.jobs.spawn(async move {
                    errors::report(&records, oid, &component, &text).await;
                });
            }
            deeds
        }
        Err(error @ (StoreError::Deposed(_) | StoreError::Unknown(_))) => {
            tracing::error!(%oid, %error, "nothing more is done for this organization");
            organization.deposed(&error);
            Vec::new()
        }
        Err(error) => {
            tracing::warn!(%oid, %error, "a change could not be stored");
            let is_conflict = matches!(error, StoreError::Conflict(_));
            organization.turn(Some(&error), |state, now| state.dispatch().failed(id, is_conflict, now))
        }
    }
}

async fn keep(tasking: &Arc<Tasking>, organization: &Organization, some: &[Fact]) {
    let oid = organization.oid;
    if let Err(error) = tasking.intake.commit(facts::records(oid, some, None)).await {
        tracing::warn!(%oid, %error, "records of what happened could not be stored");
    }
}
