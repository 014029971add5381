//! What services publish for rules, and what rules name of it.
//!
//! Rules name content as `lcr://service/SERVICE/NAME`, several of one service as `lcr://service/SERVICE/ONE,TWO`. Content
//! of the category `detect` is a shared detection; all other content is a lookup: a JSON object of keys with their
//! metadata, or else one key a line.
//!
//! Source: reference/service-protocol.md section 9.

use crate::clock;
use crate::records::{Kind, Records};
use muster_model::{Oid, Timestamp};
use muster_rules::{YamlBounds, read_yaml};
use muster_webhook::service::ResourceAnswer;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What references to content of services begin with.
const PREFIX: &str = "lcr://service/";

/// The category of shared detections.
const DETECT: &str = "detect";

/// Content of services, as it came; owned as the registration, by `SERVICE/NAME`. Read only when the server starts.
pub(super) const RESOURCE: Kind<ResourceAnswer> = Kind::new("service_resource");

/// Largest content. It travels in base64 in an answer of at most 8 MiB, and is kept in memory.
pub(super) const RESOURCE_BYTES_MAX: usize = 4 << 20;

/// Content of all services that one organization registered: all of it is kept in memory.
pub(super) const ALL_BYTES_MAX: usize = 64 << 20;

/// Longest name of content, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A shared detection is as large as a rule; the bytes of the content bound it before this does.
const YAML_BOUNDS: YamlBounds = YamlBounds { depth: 46, values: 1_000_000, text_bytes: RESOURCE_BYTES_MAX };

/// What a rule names: a service, and content of it.
pub type Named = (String, String);

/// Content that a service publishes.
#[derive(Debug)]
pub struct Resource {
    /// SHA-256, in hexadecimal digits.
    pub hash: String,
    /// What it is for, in the words of the service.
    pub category: String,
    /// How much it is.
    pub bytes: usize,
    /// When it was taken over, by this server.
    pub at: Timestamp,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Keys(Map<String, Value>),
    Detection(Value),
}

impl Resource {
    /// Content as it came.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(answer: &ResourceAnswer, at: Timestamp) -> Result<Self, String> {
        let bytes = answer.content().ok_or("it came without content, or with other content than its digest says")?;
        if bytes.len() > RESOURCE_BYTES_MAX {
            return Err(format!("it has {} bytes; {RESOURCE_BYTES_MAX} are taken", bytes.len()));
        }
        let (length, text) = (bytes.len(), String::from_utf8(bytes).map_err(|_| "it is no text")?);
        let content = match answer.res_cat == DETECT {
            true => {
                Content::Detection(read_yaml(&text, YAML_BOUNDS).map_err(|error| format!("it is no YAML: {error}"))?)
            }
            false => Content::Keys(keys(&text)),
        };
        Ok(Self { hash: answer.hash.clone(), category: answer.res_cat.clone(), bytes: length, at, content })
    }

    /// Whether rules are made of it, and do not only look into it.
    pub(crate) const fn is_detection(&self) -> bool {
        matches!(self.content, Content::Detection(_))
    }
}

fn keys(text: &str) -> Map<String, Value> {
    if text.trim_start().starts_with('{')
        && let Ok(keys) = serde_json::from_str(text)
    {
        return keys;
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| (line.to_owned(), json!({}))).collect()
}

/// The service and the names of a reference.
fn parts(reference: &str) -> Option<(&str, std::str::Split<'_, char>)> {
    let (service, names) = reference.strip_prefix(PREFIX)?.split_once('/')?;
    Some((service, names.split(',')))
}

/// All content of services that the texts of a rule name.
pub fn named(rule: &Value) -> BTreeSet<Named> {
    let (mut all, mut values) = (BTreeSet::new(), vec![rule]);
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => {
                let Some((service, names)) = parts(text) else { continue };
                let is_name = |name: &&str| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
                all.extend(names.filter(is_name).map(|name| (service.to_owned(), name.to_owned())));
            }
            Value::Array(items) => values.extend(items),
            Value::Object(fields) => values.extend(fields.values()),
            _ => {}
        }
    }
    all
}

/// What services publish, as an organization sees it: by service and name.
#[derive(Clone, Debug, Default)]
pub struct Published(BTreeMap<String, BTreeMap<String, Arc<Resource>>>);

impl Published {
    pub(super) fn add(&mut self, service: &str, resources: BTreeMap<String, Arc<Resource>>) {
        self.0.insert(service.to_owned(), resources);
    }

    /// Content, if it is known.
    #[must_use]
    pub fn get(&self, service: &str, name: &str) -> Option<&Arc<Resource>> {
        self.0.get(service)?.get(name)
    }

    /// Whether all that a reference names is known.
    #[must_use]
    pub fn has(&self, reference: &str) -> bool {
        parts(reference).is_some_and(|(service, mut names)| names.all(|name| self.get(service, name).is_some()))
    }

    /// The metadata of a key in the first of the lookups that a reference names which has it.
    #[must_use]
    pub fn find(&self, reference: &str, key: &str) -> Option<&Value> {
        let (service, mut names) = parts(reference)?;
        names.find_map(|name| match &self.get(service, name)?.content {
            Content::Keys(keys) => keys.get(key).filter(|metadata| !metadata.is_null()),
            Content::Detection(_) => None,
        })
    }

    /// The shared detection that a reference names.
    #[must_use]
    pub fn detection(&self, reference: &str) -> Option<&Value> {
        let (service, mut names) = parts(reference)?;
        match &self.get(service, names.next()?)?.content {
            Content::Detection(detection) if names.next().is_none() => Some(detection),
            _ => None,
        }
    }

    /// Whether some content is another one here.
    pub(crate) fn differs(&self, other: &Self, (service, name): &Named) -> bool {
        match (self.get(service, name), other.get(service, name)) {
            (Some(one), Some(other)) => !Arc::ptr_eq(one, other),
            (None, None) => false,
            _ => true,
        }
    }
}

/// Content that is kept, by whose registration the service is, and its name.
pub(super) type Kept = BTreeMap<(Oid, String), BTreeMap<String, Arc<Resource>>>;

/// What is stored of it.
pub(super) fn load(records: &Records) -> Kept {
    records.owners(RESOURCE).into_iter().flat_map(|owner| stored(records, owner)).collect()
}

/// What is stored of the services of one owner.
pub(super) fn stored(records: &Records, owner: Oid) -> Kept {
    let mut kept = Kept::new();
    for (key, stored) in records.take(owner, RESOURCE) {
        let Some((service, name)) = key.split_once('/') else { continue };
        match Resource::read(&stored, clock::now()) {
            Ok(resource) => {
                let of = kept.entry((owner, service.to_owned())).or_default();
                of.insert(name.to_owned(), Arc::new(resource));
            }
            Err(error) => tracing::warn!(%owner, key, error, "content of a service cannot be read any more"),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_webhook::service;

    fn resource(category: &str, content: &[u8]) -> Result<Resource, String> {
        Resource::read(&service::Resource::new(category, content).answer(true), Timestamp::ZERO)
    }

    fn published(resources: &[(&str, &str, &str)]) -> Published {
        let mut published = Published::default();
        let read = |(name, category, text): &(&str, &str, &str)| {
            ((*name).to_owned(), Arc::new(resource(category, text.as_bytes()).expect("good content")))
        };
        published.add("intel", resources.iter().map(read).collect());
        published
    }

    #[test]
    fn checklist_21_1_19_content_is_lines_or_json_and_a_comma_names_several() {
        let published = published(&[
            ("bad", "lookup", "evil.com\r\n\n bad.net \n"),
            ("scores", "lookup", r#" {"evil.com": {"score": 9}, "gone.org": null}"#),
            ("shared", "detect", "op: exists\npath: event/X"),
        ]);
        let find = |reference: &str, key: &str| published.find(reference, key).cloned();
        assert_eq!(find("lcr://service/intel/bad", "bad.net"), Some(json!({})));
        assert_eq!(find("lcr://service/intel/bad", ""), None);
        assert_eq!(find("lcr://service/intel/scores", "evil.com"), Some(json!({"score": 9})));
        assert_eq!(find("lcr://service/intel/scores", "gone.org"), None);
        assert_eq!(find("lcr://service/intel/scores,bad", "bad.net"), Some(json!({})));
        assert_eq!(find("lcr://service/other/bad", "bad.net"), None);
        assert!(published.has("lcr://service/intel/scores,bad") && !published.has("lcr://service/intel/bad,x"));
        assert_eq!(
            published.detection("lcr://service/intel/shared"),
            Some(&json!({"op": "exists", "path": "event/X"}))
        );
        assert_eq!(published.detection("lcr://service/intel/bad"), None);
    }

    #[test]
    fn content_beyond_its_bounds_is_refused() {
        let large = vec![b'x'; RESOURCE_BYTES_MAX + 1];
        assert!(resource("lookup", &large).is_err_and(|error| error.contains("4194304 are taken")));
        assert!(resource("lookup", &[0xff]).is_err_and(|error| error.contains("no text")));
        assert!(resource("detect", b"a: [").is_err_and(|error| error.contains("no YAML")));
        let without = service::Resource::new("lookup", "a").answer(false);
        assert!(Resource::read(&without, Timestamp::ZERO).is_err());
    }

    #[test]
    fn what_a_rule_names_is_found_wherever_it_stands() {
        let rule = json!({"detect": {"rules": [{"resource": "lcr://service/a/one,two"}, {"resource": "lcr://lookup/x"}]},
            "respond": [{"x": {"y": "lcr://service/b/three"}}, "lcr://service/c", "lcr://service/d/"]});
        let all: Vec<Named> = named(&rule).into_iter().collect();
        let name = |service: &str, name: &str| (service.to_owned(), name.to_owned());
        assert_eq!(all, [name("a", "one"), name("a", "two"), name("b", "three")]);
    }
}
