//! What follows from the answer of an extension: actions that are called later, and what it counted.
//!
//! Source: reference/extension-protocol.md sections 9 and 10.

use super::action::Order;
use super::program::Program;
use super::{Error, Services};
use crate::records::{Batch, Kind};
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use muster_webhook::extension::{Answer, Continuation, MetricReport};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest wait before a continuation. Source: reference/extension-protocol.md section 9.
const DELAY_MAX_S: u64 = 300;

/// How many continuations may lead to one another, and how many one answer may have.
/// Source: reference/extension-protocol.md section 9.
const LEVELS_MAX: u32 = 100;
const CONTINUATIONS_MAX: usize = 100;

/// Things that one report may count. Source: reference/extension-protocol.md section 10.
const METRICS_MAX: usize = 10;

/// Things that one extension may have counted in an organization, and the longest name of one.
const SKUS_MAX: usize = 100;
const SKU_BYTES_MAX: usize = 256;

/// What extensions counted in an organization, by extension and thing.
const COUNTED: Kind<Counted> = Kind::new("extension_metric");

/// How much of one thing was counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// In all.
    pub total: i64,
    /// When it last changed.
    pub at: Timestamp,
}

impl Services {
    /// Takes what an answer brings beside its data, once per call: `key` is that of the call, and `level` says how many
    /// continuations led to it.
    pub(super) async fn take_aftermath(
        &self,
        oid: Oid,
        extension: &Program,
        (key, level): (&str, u32),
        answer: &Answer,
    ) -> Result<(), Error> {
        if !answer.continuations.is_empty() {
            let (orders, trouble) = follow(key, level, &answer.continuations);
            for text in trouble {
                self.tell(oid, extension, &text).await;
            }
            self.put_continuations(oid, extension, orders).await?;
        }
        match &answer.metrics {
            Some(report) => self.count(oid, extension, report).await,
            None => Ok(()),
        }
    }

    async fn put_continuations(
        &self,
        oid: Oid,
        extension: &Program,
        orders: Vec<(Duration, Order)>,
    ) -> Result<(), Error> {
        let now = clock::now();
        let key_of = |order: &Order| {
            let state = serde_json::to_string(&order.data).unwrap_or_default();
            let key = order.key.as_deref().unwrap_or_default();
            format!("{oid}/{}/{key}/{}/{state}", extension.target(), order.action)
        };
        let new = orders.into_iter().map(|(delay, order)| (key_of(&order), delay, order));
        let new: Vec<_> = new.filter(|(key, ..)| !self.seen.has(key, now)).collect();
        let message = |(_, delay, order): &(String, Duration, Order)| super::Message {
            delay: *delay,
            ..order.message(extension, random::uuid())
        };
        match self.put(oid, extension, new.iter().map(message).collect()).await {
            // Told already; the call itself was carried out.
            Ok(()) | Err(Error::Full(_)) => {}
            Err(error) => return Err(error),
        }
        new.into_iter().for_each(|(key, ..)| self.seen.note(key, now));
        Ok(())
    }

    /// What an extension counted in an organization, by thing.
    #[must_use]
    pub fn counted(&self, oid: Oid, extension: &Program) -> Vec<(String, Counted)> {
        let all = self.records.list(oid, COUNTED).into_iter();
        let of = |(key, counted): (String, Counted)| {
            Some((key.strip_prefix(&extension.name)?.strip_prefix(':')?.to_owned(), counted))
        };
        all.filter_map(of).collect()
    }

    async fn count(&self, oid: Oid, extension: &Program, report: &MetricReport) -> Result<(), Error> {
        let now = clock::now();
        if report.metrics.len() > METRICS_MAX {
            self.tell(oid, extension, "too many metrics").await;
            return Ok(());
        }
        let key = format!("{oid}/{}/metrics/{}", extension.target(), report.idempotent_key);
        if self.seen.has(&key, now) {
            return Ok(());
        }
        let mut trouble = None;
        let decide = || {
            let mut batch = Batch::default();
            let known = self.counted(oid, extension).len();
            for metric in &report.metrics {
                let key = format!("{}:{}", extension.name, metric.sku);
                let before = self.records.get(oid, COUNTED, &key);
                let has_room = before.is_some() || known + report.metrics.len() <= SKUS_MAX;
                let Some(value) = Some(metric.value).filter(|value| *value >= 0) else {
                    trouble = Some(format!("{}: a metric must not be negative", metric.sku));
                    continue;
                };
                if metric.sku.is_empty() || metric.sku.len() > SKU_BYTES_MAX || !has_room {
                    trouble = Some(format!(
                        "an extension counts at most {SKUS_MAX} things, each with a name of 1 to {SKU_BYTES_MAX} bytes"
                    ));
                    continue;
                }
                let total = before.unwrap_or_default().total.saturating_add(value);
                batch = batch.put(oid, COUNTED, &key, &Counted { total, at: now }, Expect::Any)?;
            }
            Ok::<_, Error>(batch)
        };
        self.records.change(&[oid], decide).await?;
        self.seen.note(key, now);
        if let Some(text) = trouble {
            self.tell(oid, extension, &text).await;
        }
        Ok(())
    }
}

/// The calls that follow from those that an answer asks for, each with its delay; and what operators are to be told.
fn follow(key: &str, level: u32, wanted: &[Continuation]) -> (Vec<(Duration, Order)>, Vec<String>) {
    let mut trouble = Vec::new();
    if level >= LEVELS_MAX {
        return (Vec::new(), vec!["max continuation level reached".to_owned()]);
    }
    if wanted.len() > CONTINUATIONS_MAX {
        trouble.push(format!("continuation count {} exceeds max {CONTINUATIONS_MAX}", wanted.len()));
    }
    let next = level + 1;
    let orders = wanted.iter().take(CONTINUATIONS_MAX).enumerate().map(|(nth, one)| {
        let Continuation { in_delay_sec, action, state } = one.clone();
        if in_delay_sec > DELAY_MAX_S {
            trouble.push(format!("{action}: a continuation waits at most {DELAY_MAX_S} s, and not {in_delay_sec}"));
        }
        // Those of one answer are told apart.
        let key = if nth == 0 { format!("{key}:{next}") } else { format!("{key}:{next}.{nth}") };
        (Duration::from_secs(in_delay_sec.min(DELAY_MAX_S)), Order::continuation(action, state, key, next))
    });
    let orders = orders.collect();
    (orders, trouble)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn wanted(in_delay_sec: u64) -> Continuation {
        Continuation { in_delay_sec, action: "more".into(), state: Map::new() }
    }

    #[test]
    fn checklist_19_1_17_delays_depth_and_number_are_bounded_and_siblings_have_keys_of_their_own() {
        let (orders, trouble) = follow("k", 0, &[wanted(5), wanted(301)]);
        let shown: Vec<(u64, Option<&str>, u32)> =
            orders.iter().map(|(delay, order)| (delay.as_secs(), order.key.as_deref(), order.level)).collect();
        assert_eq!(shown, [(5, Some("k:1"), 1), (300, Some("k:1.1"), 1)]);
        assert_eq!(trouble, ["more: a continuation waits at most 300 s, and not 301"]);
        let (orders, _) = follow("k:1", 1, &[wanted(0)]);
        assert_eq!(orders[0].1.key.as_deref(), Some("k:1:2"));
        let (orders, trouble) = follow("k", 100, &[wanted(0)]);
        assert_eq!((orders.len(), trouble), (0, vec!["max continuation level reached".to_owned()]));
        let (orders, trouble) = follow("k", 99, &vec![wanted(0); 103]);
        assert_eq!((orders.len(), trouble), (100, vec!["continuation count 103 exceeds max 100".to_owned()]));
    }
}
