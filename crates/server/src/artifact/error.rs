//! Why an artifact or a collection rule is not taken.

use super::rule::{ARTIFACT_RULES_MAX, RULE_NAME_BYTES_MAX};
use super::{ARTIFACTS_MAX, ID_BYTES_MAX};
use crate::{files, names};
use muster_store::StoreError;

/// Why an artifact or a collection rule is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The id cannot be one.
    #[error("a payload id has at most {ID_BYTES_MAX} letters, digits, `-`, `_` and `.`")]
    Id,
    /// There is an artifact of this id.
    #[error("artifact {0} is there already")]
    Known(String),
    /// There is another artifact of this id.
    #[error("payload id {0} is that of another artifact; nothing was kept: give this one another id, or none")]
    Taken(String),
    /// The organization has all the artifacts that it may have.
    #[error("an organization may have {ARTIFACTS_MAX} artifacts; shorten their retention")]
    TooMany,
    /// What says which part of an upload this is cannot be read.
    #[error("lc-part must be a number from 0, or `done`")]
    Part,
    /// A part came out of turn.
    #[error("part {came} came where part {due} was due; begin at part 0")]
    PartOutOfTurn {
        /// What came.
        came: u32,
        /// What was due.
        due: u32,
    },
    /// The organization has all the uploads in parts under way that it may have.
    #[error("too many uploads in parts are open; finish one, or wait two minutes")]
    TooManyParts,
    /// A collection rule cannot have this name.
    #[error("name is required, with at most {RULE_NAME_BYTES_MAX} bytes")]
    RuleName,
    /// A collection rule has no such field.
    #[error(transparent)]
    RuleField(#[from] names::Unknown),
    /// The organization has all the collection rules that it may have.
    #[error("an organization may have {ARTIFACT_RULES_MAX} collection rules")]
    TooManyRules,
    /// The bytes could not be kept.
    #[error(transparent)]
    File(#[from] files::Error),
    /// The record could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}
