//! Free-form settings of organizations, and the resources of the older subscription calls.
//!
//! Source: reference/rest-api.md section 7.1.

use crate::records::{Kind, Records};
use muster_model::Oid;

/// Free-form settings of an organization, by name.
pub const SETTING: Kind<String> = Kind::new("setting");

/// The setting by which who saves a rule must hold what its actions do; without it a rule acts for its organization,
/// whoever saved it.
pub const RULES_NEED_RIGHTS: &str = "rules_need_rights";

/// Resources of the older subscription calls, by `category/name`; the record is when.
pub const RESOURCE: Kind<i64> = Kind::new("resource");

/// Settings or resources of one organization.
pub const SETTINGS_MAX: usize = 1_000;

/// Longest name of a setting or resource, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Longest setting, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Why a setting or resource cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is empty or too long.
    #[error("the name must have 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// The value is too long.
    #[error("a setting must be at most {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// A resource is more than a category and a name.
    #[error("a resource has a category without a slash, and a name")]
    Resource,
    /// The organization has all that it may have.
    #[error("an organization has at most {SETTINGS_MAX} of these; delete some")]
    Full,
}

/// Whether a setting is `true`.
#[must_use]
pub fn is_on(records: &Records, oid: Oid, name: &str) -> bool {
    records.get(oid, SETTING, name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Checks a setting.
///
/// # Errors
///
/// [`Error::TooLong`] or [`Error::Name`].
pub fn check_setting(name: &str, value: &str) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    check_name(name)
}

/// The key of a resource.
///
/// # Errors
///
/// [`Error::Resource`] or [`Error::Name`].
pub fn check_resource(category: &str, name: &str) -> Result<String, Error> {
    if category.is_empty() || name.is_empty() || category.contains('/') {
        return Err(Error::Resource);
    }
    let key = format!("{category}/{name}");
    check_name(&key).map(|()| key)
}

/// Checks that there is room for a setting or resource of this name, unless it is there already.
///
/// # Errors
///
/// [`Error::Name`] or [`Error::Full`].
pub fn require_room<T>(records: &Records, oid: Oid, kind: Kind<T>, name: &str) -> Result<(), Error> {
    check_name(name)?;
    if !records.has(oid, kind, name) && records.count(oid, kind) >= SETTINGS_MAX {
        return Err(Error::Full);
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX { Err(Error::Name) } else { Ok(()) }
}
