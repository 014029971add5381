//! One worker per output: takes from the queue, delivers, forgets.
//!
//! A failed delivery is tried again five times, then the output is disabled for
//! a while; its queue grows meanwhile, up to its bound. A change of the
//! configuration ends the worker and begins a new one, which tries at once.
//! Source: reference/events.md section 11.3.

use super::settings::Module;
use super::{Delivery, Output, QUEUE_BYTES_MAX, file, syslog, webhook};
use crate::clock;
use crate::intake::event::Actor;
use crate::telemetry::Left;
use muster_store::{Queued, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Most records of one read; the store ends a read earlier when they are large.
const BATCH_MAX: usize = 1_000;

/// Bytes that wait after which a bulk output does not wait for its period.
const BULK_EARLY_BYTES: u64 = 4 * 1024 * 1024;

/// Pauses between the tries of a delivery.
const RETRY_PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(12),
    Duration::from_secs(30),
];

/// How long an output is disabled: at first, and at most after doubling.
const DISABLED_MIN: Duration = Duration::from_secs(5 * 60);
const DISABLED_MAX: Duration = Duration::from_secs(60 * 60);

/// A worker that found nothing looks again after this pause, doubling: an output that is replaced while records
/// are stored for it is woken in the place of the new one.
const LOOK_MIN: Duration = Duration::from_millis(2);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A worker that nobody wakes looks after this time all the same.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A queue is cut this often at most, and a worker that ended begins anew after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the workers of all outputs until dropped. Looks at them when outputs changed, or a worker ended: what nobody
/// changes costs nothing.
pub async fn run(delivery: Arc<Delivery>) {
    let mut workers = JoinSet::new();
    // By where an output is in memory: it is held here, so that nothing else comes to be there.
    let mut running: HashMap<usize, (Arc<Output>, AbortHandle)> = HashMap::new();
    let place = |output: &Arc<Output>| Arc::as_ptr(output).addr();
    loop {
        let outputs = delivery.outputs.all();
        let wanted: HashSet<usize> = outputs.iter().map(place).collect();
        running.retain(|place, (_, handle)| {
            if !wanted.contains(place) {
                handle.abort();
            }
            wanted.contains(place) && !handle.is_finished()
        });
        for output in outputs {
            running.entry(place(&output)).or_insert_with(|| {
                let handle = workers.spawn(serve(Arc::clone(&delivery), Arc::clone(&output)));
                (output, handle)
            });
        }
        changed(&delivery, &mut workers).await;
    }
}

/// Waits until there are other outputs, or a worker ended that was to go on.
async fn changed(delivery: &Delivery, workers: &mut JoinSet<()>) {
    let changed = &delivery.outputs.changed;
    loop {
        tokio::select! {
            biased;
            () = changed.notified() => return,
            Some(ended) = workers.join_next() => {
                if !ended.is_err_and(|error| error.is_cancelled()) {
                    let _ = timeout(AGAIN, changed.notified()).await;
                    return;
                }
            }
        }
    }
}

async fn serve(delivery: Arc<Delivery>, output: Arc<Output>) {
    tokio::select! {
        () = work(&delivery, &output) => {}
        () = keep_bound(&delivery, &output, QUEUE_BYTES_MAX) => {}
    }
}

/// Cuts the queue when it is too long, however long the destination is away.
async fn keep_bound(delivery: &Delivery, output: &Output, bytes_max: u64) {
    loop {
        output.overfull.notified().await;
        if let Err(error) = drop_oldest(delivery, output, bytes_max).await {
            tracing::warn!(%error, "a queue could not be cut");
            output.overfull.notify_one();
        }
        sleep(AGAIN).await;
    }
}

/// Drops the oldest records until at most so many bytes wait; tells how many went.
async fn drop_oldest(delivery: &Delivery, output: &Output, bytes_max: u64) -> Result<u64, StoreError> {
    let mut dropped = 0;
    loop {
        let (oid, name) = (output.oid, output.name.clone());
        let found =
            delivery.store.read(move |read| Ok((read.queue_size(oid, &name)?, read.queued(oid, &name, BATCH_MAX)?)));
        let ((_, bytes), oldest) = found.await?;
        output.waiting_bytes.store(bytes, Ordering::Relaxed);
        let mut excess = bytes.saturating_sub(bytes_max);
        let mut through = None;
        for record in oldest {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(record.body.len() as u64);
            through = Some(record.position);
            dropped += 1;
        }
        let Some(through) = through else { break };
        delivery.store.commit(vec![output.forget(through)]).await?;
    }
    if dropped > 0 {
        delivery.telemetry.left_queue(Left::Dropped, dropped);
        delivery
            .report(output.oid, &output.name, &format!("the queue is full: the {dropped} oldest records were dropped"))
            .await;
    }
    Ok(dropped)
}

/// What one output delivers with.
pub(super) enum Sink {
    File(Option<file::Sink>),
    Syslog(syslog::Sink),
    Webhook(webhook::Sink),
}

impl Sink {
    pub(super) fn open(delivery: &Delivery, output: &Output) -> Result<Self, String> {
        let allow_private = delivery.allow_private;
        Ok(match &output.module {
            Module::File(settings) => {
                let root = delivery.data_dir.join("outputs").join(output.oid.to_string());
                Self::File(Some(file::Sink::new(settings.clone(), root)))
            }
            Module::Syslog(_) => Self::Syslog(syslog::Sink::new(allow_private)),
            Module::Webhook(_) => Self::Webhook(webhook::Sink::new(allow_private)?),
        })
    }

    /// Delivers the first records of a batch; tells how many are done with, also when it fails.
    pub(super) async fn deliver(&mut self, output: &Arc<Output>, records: Vec<Queued>) -> (usize, Result<(), String>) {
        match (self, &output.module) {
            (Self::File(sink), _) => {
                let Some(mut taken) = sink.take() else { return (0, Err("the file is in use".into())) };
                let (count, output) = (records.len(), Arc::clone(output));
                let written = tokio::task::spawn_blocking(move || {
                    let written = taken.write(&output.format, &records, clock::now());
                    (taken, written)
                });
                match written.await {
                    Ok((taken, written)) => {
                        *sink = Some(taken);
                        let done = if written.is_ok() { count } else { 0 };
                        (done, written.map_err(|error| error.to_string()))
                    }
                    Err(error) => (0, Err(error.to_string())),
                }
            }
            (Self::Syslog(sink), Module::Syslog(settings)) => sink.deliver(settings, &output.format, &records).await,
            (Self::Webhook(sink), Module::Webhook(settings)) => sink.deliver(settings, &output.format, &records).await,
            _ => (0, Err("the module changed".into())),
        }
    }
}

/// Counts failures in a row.
#[derive(Default)]
struct Trouble {
    tries: usize,
    disabled: Duration,
}

impl Trouble {
    /// Another failure: how long to wait, and whether the output counts as disabled.
    fn next(&mut self) -> (Duration, bool) {
        if let Some(pause) = RETRY_PAUSES.get(self.tries) {
            self.tries += 1;
            return (*pause, false);
        }
        self.tries = 0;
        self.disabled = (self.disabled * 2).clamp(DISABLED_MIN, DISABLED_MAX);
        (self.disabled, true)
    }
}

async fn work(delivery: &Delivery, output: &Arc<Output>) {
    let mut sink = None;
    let mut trouble = Trouble::default();
    loop {
        let records = next_batch(delivery, output).await;
        let (done, delivered) = match sink.as_mut() {
            Some(sink) => deliver(delivery, sink, output, records).await,
            None => match Sink::open(delivery, output) {
                Ok(opened) => deliver(delivery, sink.insert(opened), output, records).await,
                Err(error) => (0, Err(error)),
            },
        };
        if done > 0 {
            trouble = Trouble::default();
            output.succeeded();
        }
        if let Some(failure) = output.format.take_failure() {
            delivery.report(output.oid, &output.name, &format!("records were left out: {failure}")).await;
        }
        let Err(error) = delivered else { continue };
        delivery.telemetry.output_failures.inc();
        if output.is_delete_on_failure {
            delivery.report(output.oid, &output.name, &format!("{error}; the output is deleted, as it asks")).await;
            match delivery.delete(output.oid, &output.name, &Actor::system()).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, "an output could not be deleted"),
            }
        }
        let is_first = trouble.tries == 0;
        let (pause, is_disabled) = trouble.next();
        output.failed(&error, pause);
        if is_disabled {
            let minutes = pause.as_secs() / 60;
            delivery
                .report(output.oid, &output.name, &format!("{error}; the output is disabled for {minutes} minutes"))
                .await;
        } else if is_first {
            delivery.report(output.oid, &output.name, &format!("{error}; it is tried again")).await;
        }
        sleep(pause).await;
    }
}

/// Delivers, and forgets what was delivered. A forgetting that fails is repeated: the records are out already.
async fn deliver(
    delivery: &Delivery,
    sink: &mut Sink,
    output: &Arc<Output>,
    records: Vec<Queued>,
) -> (usize, Result<(), String>) {
    let marks: Vec<(u64, u64)> = records.iter().map(|record| (record.position, record.body.len() as u64)).collect();
    let (done, delivered) = sink.deliver(output, records).await;
    let Some((through, _)) = done.checked_sub(1).and_then(|last| marks.get(last)) else { return (done, delivered) };
    let bytes: u64 = marks.iter().take(done).map(|(_, bytes)| bytes).sum();
    while let Err(error) = delivery.store.commit(vec![output.forget(*through)]).await {
        tracing::warn!(%error, output = output.name, "delivered records could not be taken out of their queue");
        sleep(LOOK_MAX).await;
    }
    output.uncount(bytes);
    delivery.telemetry.left_queue(Left::Delivered, done as u64);
    (done, delivered)
}

/// Waits until there is something to deliver, and for bulk outputs until their period is over.
async fn next_batch(delivery: &Delivery, output: &Output) -> Vec<Queued> {
    let records = wait(delivery, output).await;
    let Module::Webhook(settings) = &output.module else { return records };
    let Some(period) = settings.period else { return records };
    let _ = timeout(period, async {
        while output.waiting_bytes.load(Ordering::Relaxed) < BULK_EARLY_BYTES {
            output.wake.notified().await;
        }
    })
    .await;
    wait(delivery, output).await
}

/// Waits until the queue has something.
async fn wait(delivery: &Delivery, output: &Output) -> Vec<Queued> {
    let mut pause = LOOK_MIN;
    loop {
        let (oid, name) = (output.oid, output.name.clone());
        match delivery
            .store
            .read(move |read| Ok((read.queued(oid, &name, BATCH_MAX)?, read.queue_size(oid, &name)?.1)))
            .await
        {
            Ok((records, bytes)) if !records.is_empty() => {
                output.waiting_bytes.fetch_max(bytes, Ordering::Relaxed);
                output.mind_bound();
                return records;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, output = output.name, "a queue could not be read"),
        }
        let longest = if pause > LOOK_MAX { IDLE_MAX } else { pause };
        pause = match timeout(longest, output.wake.notified()).await {
            Ok(()) => LOOK_MIN,
            Err(_) if pause > LOOK_MAX => pause,
            Err(_) => pause * 2,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::output::Enqueued;

    #[tokio::test]
    async fn a_full_queue_loses_its_oldest_records() {
        let dir = tempfile::tempdir().unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = crate::config::Config::loopback(dir.path().to_owned());
        let pki = crate::pki::Pki::open(&config, false, None).unwrap();
        let app = App::load(config, muster_store::Store::memory(), pki).await.unwrap();
        let settings = serde_json::json!({"module": "file", "for": "event", "dir": "d"});
        let oid = muster_model::Oid(uuid::Uuid::from_u128(1));
        let output = Arc::new(Output::compile(oid, "o", settings.as_object().cloned().unwrap(), "").unwrap());
        let enqueued = Enqueued::new(&output, vec![vec![b'x'; 100]; 10]);
        app.intake.store(&[], vec![Box::new(enqueued)], Vec::new()).await.unwrap();
        assert_eq!(drop_oldest(&app.delivery, &output, 350).await.unwrap(), 7);
        let left = app.store.read(move |read| read.queued(oid, "o", 10)).await.unwrap();
        assert_eq!(left.iter().map(|record| record.position).collect::<Vec<_>>(), [8, 9, 10]);
        assert_eq!(output.waiting_bytes.load(Ordering::Relaxed), 300);
        assert_eq!(drop_oldest(&app.delivery, &output, 350).await.unwrap(), 0);
    }

    #[test]
    fn five_tries_then_disabled_ever_longer() {
        let mut trouble = Trouble::default();
        let waits: Vec<(u64, bool)> =
            (0..30).map(|_| trouble.next()).map(|(wait, off)| (wait.as_secs(), off)).collect();
        assert_eq!(waits[..6], [(1, false), (2, false), (5, false), (12, false), (30, false), (300, true)]);
        let disabled: Vec<u64> = waits.iter().filter(|(_, off)| *off).map(|(wait, _)| *wait).collect();
        assert_eq!(disabled, [300, 600, 1_200, 2_400, 3_600]);
    }
}
