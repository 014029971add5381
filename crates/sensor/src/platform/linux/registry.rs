//! The registry, which Linux has none of.

use std::io;

use crate::registry::{Place, Value};

/// A key of the registry; there is none.
#[derive(Debug)]
pub enum Key {}

impl Key {
    /// Opens a key for reading.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn open(_: &Place) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a key to change what is in it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn open_to_change(place: &Place) -> io::Result<Self> {
        Self::open(place)
    }

    /// Makes a key with those above it; leaves one that is there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn create(place: &Place) -> io::Result<()> {
        Self::open(place).map(drop)
    }

    /// Removes a key that has none below.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn remove(place: &Place) -> io::Result<()> {
        Self::open(place).map(drop)
    }

    /// Names of the keys below.
    ///
    /// # Errors
    ///
    /// None.
    pub fn names(&self) -> io::Result<Vec<String>> {
        match *self {}
    }

    /// The values.
    ///
    /// # Errors
    ///
    /// None.
    pub fn values(&self) -> io::Result<Vec<Value>> {
        match *self {}
    }

    /// A value.
    ///
    /// # Errors
    ///
    /// None.
    pub fn value(&self, _: &str) -> io::Result<Value> {
        match *self {}
    }

    /// Sets a value.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set(&self, _: &Value) -> io::Result<()> {
        match *self {}
    }

    /// Removes a value.
    ///
    /// # Errors
    ///
    /// None.
    pub fn remove_value(&self, _: &str) -> io::Result<()> {
        match *self {}
    }
}
