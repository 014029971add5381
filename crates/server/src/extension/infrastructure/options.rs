//! What a request asks for.

use crate::extension::Error;
use crate::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// The sections of a document, by the option that asks for them.
const SECTIONS: &[(&str, &str)] = &[
    ("sync_dr", "rules"),
    ("sync_fp", "fps"),
    ("sync_outputs", "outputs"),
    ("sync_resources", "resources"),
    ("sync_extensions", "extensions"),
    ("sync_org_values", "org-value"),
    ("sync_artifacts", "artifact"),
    ("sync_installation_keys", "installation_keys"),
    ("sync_hives", "hives"),
    ("sync_integrity", "integrity"),
    ("sync_exfil", "exfil"),
    ("sync_yara", "yara"),
    ("sync_net_policies", "net-policy"),
];

/// Options that ask for no section.
const FLAGS: &[&str] = &["is_dry_run", "is_force", "ignore_inaccessible", "skip_unknown"];

/// Sections that this server has nothing behind.
pub(super) const UNAVAILABLE: &[&str] = &["integrity", "exfil", "yara", "net-policy"];

/// Whether a document may have a section of this name.
pub(super) fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(_, section)| *section == name)
}

/// Every section that this server has, in words.
pub(super) fn available() -> String {
    let names = SECTIONS.iter().map(|(_, section)| *section).filter(|section| !UNAVAILABLE.contains(section));
    names.collect::<Vec<_>>().join(", ")
}

/// The options of a request.
pub(super) struct Options {
    /// Plan and check, and change nothing.
    pub(super) is_dry_run: bool,
    /// What the document does not have goes.
    pub(super) is_force: bool,
    /// Pass over what the caller may not change.
    pub(super) ignore_inaccessible: bool,
    /// Pass over what this server has nothing for.
    pub(super) skip_unknown: bool,
    /// The client reads a list of errors. Those published ones that still know the older sections do not, and would
    /// take it for success.
    pub(super) reads_errors: bool,
    sections: BTreeSet<&'static str>,
    hives: BTreeSet<String>,
}

impl Options {
    /// Reads the options; what is absent is off.
    pub(super) fn read(options: &Value) -> Result<Self, Error> {
        let flag = |name: &str| match options.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(Error::invalid(format!("options.{name} must be true or false"))),
        };
        let asked = options.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let known: Vec<&str> = SECTIONS.iter().map(|(option, _)| *option).chain(FLAGS.iter().copied()).collect();
        names::require_known(asked, &known)?;
        let hives = match options.get("sync_hives") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(Value::Object(hives)) => {
                hives.iter().filter(|(_, on)| **on == Value::Bool(true)).map(|(name, _)| name.clone()).collect()
            }
            Some(_) => return Err(Error::invalid("options.sync_hives must be an object: hive to true")),
        };
        let mut sections = BTreeSet::new();
        for (option, section) in SECTIONS.iter().filter(|(option, _)| *option != "sync_hives") {
            if flag(option)? {
                sections.insert(*section);
            }
        }
        Ok(Self {
            is_dry_run: flag("is_dry_run")?,
            is_force: flag("is_force")?,
            ignore_inaccessible: flag("ignore_inaccessible")?,
            skip_unknown: flag("skip_unknown")?,
            reads_errors: options.get("sync_dr").is_none() || options.get("skip_unknown").is_some(),
            sections,
            hives,
        })
    }

    /// Whether a section other than the hives is asked for.
    pub(super) fn wants(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// Whether a hive is asked for.
    pub(super) fn wants_hive(&self, name: &str) -> bool {
        self.hives.contains(name)
    }

    /// Every hive that is asked for, also such as this server does not have.
    pub(super) fn hives(&self) -> impl Iterator<Item = &str> {
        self.hives.iter().map(String::as_str)
    }
}
