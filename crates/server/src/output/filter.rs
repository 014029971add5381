//! Which records an output wants. Source: reference/events.md section 11.2.

use super::Error;
use super::settings::Settings;
use crate::intake::Record;
use muster_model::Sid;
use muster_store::Stream;
use serde::Deserialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// All conditions of one output, ANDed; white lists before black lists, sampling last.
#[derive(Default)]
pub(super) struct Filter {
    investigation: Option<String>,
    tag: Option<String>,
    tag_black: Vec<String>,
    sid: Option<Sid>,
    category: Option<String>,
    category_white: Vec<String>,
    category_black: Vec<String>,
    event_white: Vec<String>,
    event_black: Vec<String>,
    rule_tag_white: Vec<String>,
    rule_tag_black: Vec<String>,
    /// 1 record in so many.
    sample_rate: u64,
    /// Records that passed everything but sampling.
    passed: AtomicU64,
}

impl Filter {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Self, Error> {
        let sid = settings.text("sid").map(|sid| sid.parse());
        Ok(Self {
            investigation: settings.text("inv_id").map(|id| id.split('/').next().unwrap_or(&id).to_owned()),
            tag: settings.text("tag"),
            tag_black: settings.lines("tag_black_list")?,
            sid: sid.transpose().map_err(|_| Error::setting("sid must be a sensor id"))?,
            category: settings.text("cat"),
            category_white: settings.lines("cat_white_list")?,
            category_black: settings.lines("cat_black_list")?,
            event_white: settings.lines("event_white_list")?,
            event_black: settings.lines("event_black_list")?,
            rule_tag_white: settings.lines("rule_tag_white_list")?,
            rule_tag_black: settings.lines("rule_tag_black_list")?,
            sample_rate: settings.number("sample_rate", 1, u64::from(u32::MAX))?.unwrap_or(1),
            passed: AtomicU64::new(0),
        })
    }

    /// Whether the output wants a record. Only filters on rule tags look into its text.
    pub(super) fn admits(&self, record: &Record) -> bool {
        let is_wanted = self.investigation.as_deref().is_none_or(|wanted| record.investigation_base() == Some(wanted))
            && self.sid.is_none_or(|wanted| record.sid == Some(wanted))
            && self.tag.as_deref().is_none_or(|wanted| record.tags.iter().any(|tag| **tag == *wanted))
            && !self.tag_black.iter().any(|black| record.tags.iter().any(|tag| **tag == **black))
            && if record.stream == Stream::Detect { self.admits_detection(record) } else { self.admits_kind(record) };
        is_wanted && self.passed.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample_rate.max(1))
    }

    fn admits_kind(&self, record: &Record) -> bool {
        let is_it = |kind: &String| **kind == *record.kind;
        (self.event_white.is_empty() || self.event_white.iter().any(is_it)) && !self.event_black.iter().any(is_it)
    }

    fn admits_detection(&self, record: &Record) -> bool {
        let begins = |prefix: &String| record.kind.starts_with(prefix.as_str());
        self.category.as_deref().is_none_or(|wanted| *record.kind == *wanted)
            && (self.category_white.is_empty() || self.category_white.iter().any(begins))
            && !self.category_black.iter().any(begins)
            && self.admits_rule_tags(record)
    }

    fn admits_rule_tags(&self, record: &Record) -> bool {
        #[derive(Default, Deserialize)]
        struct Tagged {
            #[serde(default)]
            rule_tags: Vec<String>,
        }
        if self.rule_tag_white.is_empty() && self.rule_tag_black.is_empty() {
            return true;
        }
        let tags = serde_json::from_slice::<Tagged>(&record.body).unwrap_or_default().rule_tags;
        (self.rule_tag_white.is_empty() || self.rule_tag_white.iter().any(|white| tags.contains(white)))
            && !self.rule_tag_black.iter().any(|black| tags.contains(black))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{Oid, Timestamp};
    use serde_json::{Value, json};
    use std::sync::Arc;
    use uuid::Uuid;

    fn record(stream: Stream, kind: &str, tags: &[&str], investigation: Option<&str>, body: &Value) -> Record {
        Record {
            oid: Oid(Uuid::nil()),
            stream,
            sid: Some(Sid(Uuid::from_u128(7))),
            tags: tags.iter().map(|tag| Arc::from(*tag)).collect(),
            kind: kind.into(),
            id: Uuid::nil(),
            time: Timestamp::ZERO,
            this_atom: None,
            parent_atom: None,
            investigation_id: investigation.map(str::to_owned),
            body: body.to_string().into(),
        }
    }

    fn filter(settings: &Value) -> Filter {
        Filter::read(&Settings(settings.as_object().unwrap())).unwrap()
    }

    #[test]
    fn every_filter_admits_and_refuses() {
        let event = record(Stream::Event, "NEW_PROCESS", &["web", "prod"], Some("case/7"), &json!({}));
        let detection = record(Stream::Detect, "curl-to-ip", &["web"], None, &json!({"rule_tags": ["linux", "net"]}));
        let sid = Uuid::from_u128(7).to_string();
        let cases = [
            (&event, json!({"inv_id": "case"}), true),
            (&event, json!({"inv_id": "cas"}), false),
            (&event, json!({"tag": "web"}), true),
            (&event, json!({"tag": "we"}), false),
            (&event, json!({"tag_black_list": "x\n prod \n"}), false),
            (&event, json!({"tag_black_list": "x"}), true),
            (&event, json!({"sid": sid}), true),
            (&event, json!({"sid": Uuid::nil().to_string()}), false),
            (&event, json!({"event_white_list": ["DNS_REQUEST"]}), false),
            (&event, json!({"event_white_list": "DNS_REQUEST\nNEW_PROCESS"}), true),
            (&event, json!({"event_white_list": "NEW_PROCESS", "event_black_list": "NEW_PROCESS"}), false),
            (&detection, json!({"cat": "curl-to-ip"}), true),
            (&detection, json!({"cat": "curl"}), false),
            (&detection, json!({"cat_white_list": "curl"}), true),
            (&detection, json!({"cat_white_list": "wget"}), false),
            (&detection, json!({"cat_black_list": "curl"}), false),
            (&detection, json!({"rule_tag_white_list": "linux"}), true),
            (&detection, json!({"rule_tag_white_list": "lin"}), false),
            (&detection, json!({"rule_tag_black_list": "net"}), false),
            (&detection, json!({"tag": "web", "cat": "other"}), false),
        ];
        for (record, settings, expected) in cases {
            assert_eq!(filter(&settings).admits(record), expected, "{settings}");
        }
    }

    #[test]
    fn sampling_counts_only_what_passed_the_filters() {
        let filter = filter(&json!({"sample_rate": "3", "event_white_list": "A"}));
        let passed: Vec<bool> = ["A", "B", "A", "B", "A", "A", "A"]
            .iter()
            .map(|kind| filter.admits(&record(Stream::Event, kind, &[], None, &json!({}))))
            .collect();
        assert_eq!(passed, [true, false, false, false, false, true, false]);
    }
}
