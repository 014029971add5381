//! The configuration of an organization as one document, through the extension `ext-infrastructure`.
//!
//! Source: reference/rest-api.md section 7.7.

use crate::{Client, ClientError};
use muster_api_types::{InfrastructureDocument, InfrastructurePush};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const EXTENSION: &str = "ext-infrastructure";

/// Sections of a document, with the options that ask for them.
const SECTIONS: [(&str, &str); 6] = [
    ("outputs", "sync_outputs"),
    ("resources", "sync_resources"),
    ("extensions", "sync_extensions"),
    ("org-value", "sync_org_values"),
    ("artifact", "sync_artifacts"),
    ("installation_keys", "sync_installation_keys"),
];

/// Sections that are pushed only: an older form of what hives hold, and those that no muster has anything for.
const PUSHED_SECTIONS: [(&str, &str); 6] = [
    ("rules", "sync_dr"),
    ("fps", "sync_fp"),
    ("integrity", "sync_integrity"),
    ("exfil", "sync_exfil"),
    ("yara", "sync_yara"),
    ("net-policy", "sync_net_policies"),
];

/// Which part of a configuration is meant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sections {
    #[serde(flatten)]
    options: BTreeMap<&'static str, bool>,
    sync_hives: BTreeMap<String, bool>,
}

impl Sections {
    /// Takes in a section, or a hive as `hives/NAME`; `false` if there is no such section.
    pub fn add(&mut self, name: &str) -> bool {
        if let Some(hive) = name.strip_prefix("hives/") {
            self.sync_hives.insert(hive.to_owned(), true);
            return true;
        }
        let section = SECTIONS.iter().chain(&PUSHED_SECTIONS).find(|(section, _)| *section == name);
        if let Some((_, option)) = section {
            self.options.insert(option, true);
        }
        section.is_some()
    }

    /// Names of all sections that a configuration is pulled with, but the hives.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SECTIONS.iter().map(|(section, _)| *section)
    }
}

/// How a document is pushed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PushMode {
    /// Plan and check, and change nothing.
    pub is_dry_run: bool,
    /// Delete what the document does not have.
    pub is_force: bool,
    /// Pass over what the server has nothing for.
    pub skip_unknown: bool,
}

impl Client {
    /// The configuration as one document.
    ///
    /// # Errors
    ///
    /// 401 naming the permission that a section needs; else whatever the server says.
    pub async fn configuration(&self, sections: &Sections) -> Result<Map<String, Value>, ClientError> {
        let data = json!({"options": sections});
        let fetched: InfrastructureDocument = self.request_extension(EXTENSION, "fetch", &data).await?;
        match fetched.org {
            Value::Object(sections) => Ok(sections),
            _ => Err(ClientError::Answer("the configuration is no object of sections".into())),
        }
    }

    /// Makes the organization look like a document of YAML text, as a whole or not at all.
    ///
    /// # Errors
    ///
    /// 400 if the document cannot be read, 401 naming the permission that a section needs; else whatever the server says.
    pub async fn push_configuration(
        &self,
        config: &str,
        sections: &Sections,
        mode: PushMode,
    ) -> Result<InfrastructurePush, ClientError> {
        #[derive(Serialize)]
        struct Options<'a> {
            #[serde(flatten)]
            sections: &'a Sections,
            #[serde(flatten)]
            mode: PushMode,
        }
        let options = Options { sections, mode };
        self.request_extension(EXTENSION, "push", &json!({"config": config, "options": options})).await
    }
}
