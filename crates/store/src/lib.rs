//! Durable state behind narrow, domain-worded operations.
//!
//! One [`Store`] serves a whole server. Changes are [`Write`]s, committed in
//! lists that are atomic: all of a list or none of it. [`Store::commit`] answers
//! **after** the commit is on disk; many callers share one disk sync (group
//! commit). Reads go to [`Read`], and see everything that was answered before.
//!
//! The adapters (memory, SQLite) pass one conformance suite.
//!
//! # Invariants
//!
//! 1. `commit` never answers `Ok` before the list is durable.
//! 2. A list that fails leaves no trace, and harms no other list.
//! 3. When the disk is full, commits fail with [`StoreError::Full`], reads go
//!    on, and commits work again without a restart once there is room.
//! 4. A list of an owner that was deposed is not stored, whatever the owner knows.
//! 5. Every row belongs to one organization, and every read names it, but for
//!    the loading of all state at start.

#![forbid(unsafe_code)]

mod claim;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
mod memory;
mod page;
mod row;
mod run;
mod seal;
mod sqlite;
mod store;

pub use claim::{Claim, Losses, Standing};
pub use counts::Counts;
pub use row::*;
pub use run::{RUN_MAX, Run, messages_of};
pub use seal::{SEAL_KEY_BYTES, Seal, is_sealed};
pub use store::{
    ENTRIES_PAGE_BYTES_MAX, ENTRIES_PAGE_MAX, Faults, Gate, OVERVIEW_SECONDS_MAX, Options, Read, Store, StoreError,
    TRIM_ENTRIES_MAX,
};
