//! The configuration of an organization as one document, through the extension `ext-infrastructure`.
//!
//! Source: reference/rest-api.md section 7.7.

use crate::{Client, ClientError};
use serde::{Deserialize, Serialize};
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
        let section = SECTIONS.iter().find(|(section, _)| *section == name);
        section.is_some_and(|(_, option)| self.options.insert(option, true).is_none())
    }

    /// Names of all sections but the hives.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SECTIONS.iter().map(|(section, _)| *section)
    }
}

/// One element that a push would touch, or did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Type of the element, such as `output` or `hives`.
    pub r#type: String,
    /// Its name; of records of hives `HIVE/KEY`.
    pub name: String,
    /// It is new, or changed.
    pub is_added: bool,
    /// It is deleted.
    pub is_removed: bool,
}

/// What came of a push.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pushed {
    /// One for each element of the document, and for each that is deleted.
    pub ops: Vec<Operation>,
    /// Why nothing was done; empty if all was.
    #[serde(default)]
    pub errors: Vec<String>,
}

impl Client {
    /// The configuration as one document.
    ///
    /// # Errors
    ///
    /// 401 naming the permission that a section needs; else whatever the server says.
    pub async fn configuration(&self, sections: &Sections) -> Result<Map<String, Value>, ClientError> {
        #[derive(Deserialize)]
        struct Fetched {
            org: Map<String, Value>,
        }
        let fetched: Fetched = self.request_extension(EXTENSION, "fetch", &json!({"options": sections})).await?;
        Ok(fetched.org)
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
        is_dry_run: bool,
        is_force: bool,
    ) -> Result<Pushed, ClientError> {
        let mut options = json!(sections);
        options["is_dry_run"] = json!(is_dry_run);
        options["is_force"] = json!(is_force);
        self.request_extension(EXTENSION, "push", &json!({"config": config, "options": options})).await
    }
}
