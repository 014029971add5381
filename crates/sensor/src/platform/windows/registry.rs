//! The registry.

use std::borrow::Cow;
use std::io;

use winreg::enums::{
    KEY_READ, KEY_SET_VALUE, REG_BINARY, REG_DWORD, REG_DWORD_BIG_ENDIAN, REG_EXPAND_SZ, REG_FULL_RESOURCE_DESCRIPTOR,
    REG_LINK, REG_MULTI_SZ, REG_NONE, REG_QWORD, REG_RESOURCE_LIST, REG_RESOURCE_REQUIREMENTS_LIST, REG_SZ, RegType,
};
use winreg::{HKCC, HKCR, HKCU, HKLM, HKU, RegKey, RegValue};

use crate::registry::{Place, Root, Value};

/// Types by their numbers.
const KINDS: [RegType; 12] = [
    REG_NONE,
    REG_SZ,
    REG_EXPAND_SZ,
    REG_BINARY,
    REG_DWORD,
    REG_DWORD_BIG_ENDIAN,
    REG_LINK,
    REG_MULTI_SZ,
    REG_RESOURCE_LIST,
    REG_FULL_RESOURCE_DESCRIPTOR,
    REG_RESOURCE_REQUIREMENTS_LIST,
    REG_QWORD,
];

/// A key of the registry.
#[derive(Debug)]
pub struct Key(RegKey);

fn root(place: &Place) -> &'static RegKey {
    match place.root {
        Root::ClassesRoot => HKCR,
        Root::CurrentConfig => HKCC,
        Root::CurrentUser => HKCU,
        Root::LocalMachine => HKLM,
        Root::Users => HKU,
    }
}

impl Key {
    /// Opens a key for reading.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn open(place: &Place) -> io::Result<Self> {
        root(place).open_subkey_with_flags(&place.below, KEY_READ).map(Self)
    }

    /// Opens a key to change what is in it.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn open_to_change(place: &Place) -> io::Result<Self> {
        root(place).open_subkey_with_flags(&place.below, KEY_SET_VALUE).map(Self)
    }

    /// Makes a key with those above it; leaves one that is there.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn create(place: &Place) -> io::Result<()> {
        root(place).create_subkey(&place.below).map(drop)
    }

    /// Removes a key that has none below.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn remove(place: &Place) -> io::Result<()> {
        root(place).delete_subkey(&place.below)
    }

    /// Names of the keys below.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.0.enum_keys().collect()
    }

    /// The values.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn values(&self) -> io::Result<Vec<Value>> {
        self.0.enum_values().map(|found| found.map(|(name, value)| read(name, value))).collect()
    }

    /// A value.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn value(&self, name: &str) -> io::Result<Value> {
        self.0.get_raw_value(name).map(|value| read(name.to_owned(), value))
    }

    /// Sets a value.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn set(&self, value: &Value) -> io::Result<()> {
        let kind = usize::try_from(value.kind).ok().and_then(|kind| KINDS.get(kind));
        let kind = kind.ok_or(io::ErrorKind::InvalidInput)?.clone();
        self.0.set_raw_value(&value.name, &RegValue { bytes: Cow::Borrowed(&value.bytes), vtype: kind })
    }

    /// Removes a value.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn remove_value(&self, name: &str) -> io::Result<()> {
        self.0.delete_value(name)
    }
}

fn read(name: String, value: RegValue<'_>) -> Value {
    let kind = KINDS.iter().position(|kind| *kind == value.vtype).and_then(|kind| u32::try_from(kind).ok());
    Value { name, kind: kind.unwrap_or(0), bytes: value.bytes.into_owned() }
}
