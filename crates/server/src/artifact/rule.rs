//! Collection rules: which files sensors send by themselves. Source: reference/rest-api.md sections 7.8 and 7.10.

use super::Error;
use crate::names;
use crate::records::Kind;
use serde_json::Value;

/// Collection rules of organizations, by name; kept as the client wrote them.
pub const ARTIFACT_RULE: Kind<Value> = Kind::new("artifact_rule");

/// Collection rules per organization.
pub const ARTIFACT_RULES_MAX: usize = 1_000;

/// Longest name of a rule, in bytes.
pub(super) const RULE_NAME_BYTES_MAX: usize = 255;

/// Fields of a collection rule.
const RULE_FIELDS: &[&str] = &[
    "name",
    "patterns",
    "platforms",
    "tags",
    "filters",
    "days_retention",
    "is_delete_after",
    "is_ignore_cert",
    "by",
    "updated",
];

/// Checks the name of a collection rule and which fields it has; what they hold is the client's.
///
/// # Errors
///
/// [`Error::RuleField`] or [`Error::RuleName`].
pub fn check_rule(name: &str, rule: &Value) -> Result<(), Error> {
    names::require_known(rule.as_object().into_iter().flatten().map(|(name, _)| name.as_str()), RULE_FIELDS)?;
    if name.is_empty() || name.len() > RULE_NAME_BYTES_MAX {
        return Err(Error::RuleName);
    }
    Ok(())
}
