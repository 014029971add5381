//! User accounts.

use std::io;

use super::api;
use crate::platform::shapes::Account;

/// What names an account for Windows: its security identifier, as text.
pub type Id = String;

/// Names of all accounts, for many look-ups; Windows is asked each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names;

impl Names {
    /// Begins to ask.
    #[must_use]
    pub const fn read() -> Self {
        Self
    }

    /// The name of this account, with its domain.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<String> {
        api::name_of_account(id)
    }
}

/// All accounts: they are not listed here yet.
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`].
pub fn accounts() -> io::Result<Vec<Account>> {
    Err(io::ErrorKind::Unsupported.into())
}
