//! Which hives there are, and who may do what in them. Source: reference/rest-api.md sections 5.5 and 8.

use super::HiveRecord;
use crate::records::Kind;

/// What someone wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say all")]
pub enum Verb {
    Get,
    Set,
    Delete,
    GetMetadata,
    SetMetadata,
}

/// What the content of a hive's records must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A detection and response rule of this namespace.
    Rule(&'static str),
    FalsePositive,
    Secret,
    Lookup,
    /// What an organization sets in an extension, which says whether it is right.
    Configuration,
    /// Where events come from besides sensors.
    Source,
    /// Any object.
    Object,
}

/// A hive.
pub struct Hive {
    /// Its name in paths.
    pub name: &'static str,
    /// Its records.
    pub kind: Kind<HiveRecord>,
    /// A new record without metadata is in force.
    pub is_enabled_by_default: bool,
    /// A change of it changes what rules do.
    pub concerns_rules: bool,
    pub(super) content: Content,
    /// In the order of [`Verb`].
    permissions: [&'static str; 5],
}

impl Hive {
    const fn new(name: &'static str, word: &'static str, content: Content, permissions: [&'static str; 5]) -> Self {
        let is_rule = matches!(content, Content::Rule(_));
        Self {
            name,
            kind: Kind::expiring(word, HiveRecord::expires_at).held_as_stored(),
            is_enabled_by_default: !is_rule,
            concerns_rules: is_rule || matches!(content, Content::FalsePositive | Content::Lookup),
            content,
            permissions,
        }
    }

    /// The permission that a verb needs.
    #[must_use]
    pub const fn permission(&self, verb: Verb) -> &'static str {
        self.permissions[verb as usize]
    }

    /// Largest content of a record, in bytes of JSON: every record is kept in memory. A lookup has a million entries.
    pub(super) const fn bytes_max(&self) -> usize {
        match self.content {
            Content::Lookup => 32 << 20,
            _ => 4 << 20,
        }
    }

    /// The namespace of the rules in it; none if it holds no rules.
    #[must_use]
    pub const fn namespace(&self) -> Option<&'static str> {
        match self.content {
            Content::Rule(namespace) => Some(namespace),
            _ => None,
        }
    }
}

const CONFIG: [&str; 5] = ["ext.conf.get", "ext.conf.set", "ext.conf.del", "ext.conf.get.mtd", "ext.conf.set.mtd"];

/// Rules of the general namespace.
pub static DR_GENERAL: Hive = Hive::new(
    "dr-general",
    "hive/dr-general",
    Content::Rule("general"),
    ["dr.list", "dr.set", "dr.del", "dr.list", "dr.set"],
);
static DR_MANAGED: Hive = Hive::new(
    "dr-managed",
    "hive/dr-managed",
    Content::Rule("managed"),
    ["dr.list.managed", "dr.set.managed", "dr.del.managed", "dr.list.managed", "dr.set.managed"],
);
static DR_SERVICE: Hive = Hive::new(
    "dr-service",
    "hive/dr-service",
    Content::Rule("service"),
    ["dr.list.service", "dr.set.service", "dr.del.service", "dr.list.service", "dr.set.service"],
);
/// False-positive rules.
pub static FALSE_POSITIVES: Hive = Hive::new("fp", "hive/fp", Content::FalsePositive, ["fp.ctrl"; 5]);
/// Secrets, which other records refer to.
pub static SECRETS: Hive = Hive::new(
    "secret",
    "hive/secret",
    Content::Secret,
    ["secret.get", "secret.set", "secret.del", "secret.get.mtd", "secret.set.mtd"],
);
/// Lookups, which rules refer to.
pub static LOOKUPS: Hive = Hive::new(
    "lookup",
    "hive/lookup",
    Content::Lookup,
    ["lookup.get", "lookup.set", "lookup.del", "lookup.get.mtd", "lookup.set.mtd"],
);
/// What organizations set in extensions.
pub static EXTENSION_CONFIG: Hive =
    Hive::new("extension_config", "hive/extension_config", Content::Configuration, CONFIG);
static YARA: Hive = Hive::new(
    "yara",
    "hive/yara",
    Content::Object,
    ["yara.get", "yara.set", "yara.del", "yara.get.mtd", "yara.set.mtd"],
);
static QUERY: Hive = Hive::new(
    "query",
    "hive/query",
    Content::Object,
    ["query.get", "query.set", "query.del", "query.get.mtd", "query.set.mtd"],
);
static PLAYBOOK: Hive = Hive::new(
    "playbook",
    "hive/playbook",
    Content::Object,
    ["playbook.get", "playbook.set", "playbook.del", "playbook.get.mtd", "playbook.set.mtd"],
);
static EXTERNAL_ADAPTER: Hive = Hive::new(
    "external_adapter",
    "hive/external_adapter",
    Content::Object,
    [
        "externaladapter.get",
        "externaladapter.set",
        "externaladapter.del",
        "externaladapter.get.mtd",
        "externaladapter.set.mtd",
    ],
);
/// Where events come from besides sensors.
pub static CLOUD_SENSOR: Hive = Hive::new(
    "cloud_sensor",
    "hive/cloud_sensor",
    Content::Source,
    ["cloudsensor.get", "cloudsensor.set", "cloudsensor.del", "cloudsensor.get.mtd", "cloudsensor.set.mtd"],
);
static SOP: Hive =
    Hive::new("sop", "hive/sop", Content::Object, ["sop.get", "sop.set", "sop.del", "sop.get.mtd", "sop.set.mtd"]);
static ORG_NOTES: Hive = Hive::new(
    "org_notes",
    "hive/org_notes",
    Content::Object,
    ["org_notes.get", "org_notes.set", "org_notes.del", "org_notes.get.mtd", "org_notes.set.mtd"],
);
static MODEL: Hive = Hive::new(
    "model",
    "hive/model",
    Content::Object,
    ["model.get", "model.set", "model.del", "model.get.mtd", "model.set.mtd"],
);
static AI_AGENT: Hive = Hive::new(
    "ai_agent",
    "hive/ai_agent",
    Content::Object,
    ["ai_agent.get", "ai_agent.set", "ai_agent.del", "ai_agent.get.mtd", "ai_agent.set.mtd"],
);

/// Hives of rules, in the order in which their rules run.
pub static RULE_HIVES: [&Hive; 3] = [&DR_GENERAL, &DR_MANAGED, &DR_SERVICE];

/// All hives.
pub static HIVES: [&Hive; 16] = [
    &DR_GENERAL,
    &DR_MANAGED,
    &DR_SERVICE,
    &FALSE_POSITIVES,
    &SECRETS,
    &LOOKUPS,
    &EXTENSION_CONFIG,
    &YARA,
    &QUERY,
    &PLAYBOOK,
    &EXTERNAL_ADAPTER,
    &CLOUD_SENSOR,
    &SOP,
    &ORG_NOTES,
    &MODEL,
    &AI_AGENT,
];

/// The hive of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Hive> {
    HIVES.into_iter().find(|hive| hive.name == name)
}
