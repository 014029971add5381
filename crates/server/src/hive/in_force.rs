//! The rules that are in force, as hives know them: they are given them when the server is put together.

use super::{Hive, Lookups};
use muster_model::Oid;
use muster_store::StoreError;
use std::pin::Pin;
use std::sync::Arc;

/// How a reload ended.
pub type Reloading = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// The rules that are in force.
pub trait InForce: Send + Sync {
    /// Notes that a stored record has changed: it is in force after [`InForce::reload`].
    fn touch(&self, oid: Oid, hive: &Hive, key: &str);

    /// Whether something was noted that is not in force yet.
    fn is_changed(&self, oid: Oid) -> bool;

    /// Puts in force what was noted.
    fn reload(&self, oid: Oid) -> Reloading;

    /// The stored lookups of an organization.
    fn lookups(&self, oid: Oid) -> Arc<Lookups>;
}
