//! Errors of an organization that nobody was there to be told of, such as of its outputs.
//!
//! The last error of each component is kept until it is dismissed.
//! Source: reference/rest-api.md section 7.1.

use crate::clock;
use crate::records::{Kind, Records};
use muster_model::{Oid, Timestamp};
use muster_store::Expect;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Errors of organizations, by component.
pub const ORG_ERROR: Kind<OrgError> = Kind::new("org_error");

/// Components with an error kept at once; beyond, the oldest error is forgotten.
const COMPONENTS_MAX: usize = 500;

/// Longest component name and text, in bytes; more is cut.
const COMPONENT_BYTES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 2_048;

/// The same error again within this time is not stored again: a broken output fails on every record.
const REPEATED: Duration = Duration::from_secs(60);

/// An error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrgError {
    /// What went wrong, for people; never holds a secret.
    pub error: String,
    /// When it last did.
    pub at: Timestamp,
}

/// Keeps an error of a component (such as `outputs/NAME`) for the operators; tells whether it is one that was
/// not kept just before. A failure to do so is logged.
pub async fn report(records: &Records, oid: Oid, component: &str, text: &str) -> bool {
    let (component, text) = (cut(component, COMPONENT_BYTES_MAX), cut(text, TEXT_BYTES_MAX));
    let now = clock::now();
    let last = records.get(oid, ORG_ERROR, component);
    if last.as_ref().is_some_and(|last| last.error == text && now.since(last.at) < REPEATED) {
        return false;
    }
    if last.is_none() && records.count(oid, ORG_ERROR) >= COMPONENTS_MAX {
        let oldest = records.list(oid, ORG_ERROR).into_iter().min_by_key(|(_, error)| error.at);
        if let Some((oldest, _)) = oldest
            && let Err(error) = records.delete(oid, ORG_ERROR, &oldest, Vec::new()).await
        {
            tracing::warn!(%oid, %error, "an old error of an organization could not be forgotten");
        }
    }
    let kept = OrgError { error: text.to_owned(), at: now };
    if let Err(error) = records.put(oid, ORG_ERROR, component, &kept, Expect::Any, Vec::new()).await {
        tracing::warn!(%oid, component, text, %error, "an error of an organization could not be kept");
    }
    true
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
