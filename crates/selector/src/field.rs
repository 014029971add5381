//! The fields of a selector and their types.
//!
//! Source: reference/selectors.md section 1.

use muster_model::Sensor;

/// Names longer than this get no suggestion: they are not typing mistakes.
const SUGGESTED_NAME_BYTES_MAX: usize = 32;

/// What people write for a field when they know another product.
const SYNONYMS: &[(&str, &str)] = &[
    ("os", "plat"),
    ("platform", "plat"),
    ("ext_platform", "ext_plat"),
    ("architecture", "arch"),
    ("tag", "tags"),
    ("host", "hostname"),
    ("name", "hostname"),
    ("id", "sid"),
    ("ip", "int_ip"),
    ("mac", "mac_addr"),
    ("deleted", "is_del"),
    ("is_deleted", "is_del"),
    ("is_isolated", "isolated"),
    ("is_sealed", "sealed"),
    ("is_kernel_available", "kernel"),
];

/// A boolean property of a sensor, by which a [`crate::Fleet`] keeps it indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `isolated`: network isolation is in force on the endpoint.
    Isolated,
    /// `should_isolate`: the server wants it isolated.
    ShouldIsolate,
    /// `sealed`: tamper resistance is in force.
    Sealed,
    /// `should_seal`: the server wants it sealed.
    ShouldSeal,
    /// `kernel`: kernel-level acquisition is available.
    Kernel,
    /// `is_del`: the sensor is deleted.
    Deleted,
}

impl Flag {
    /// Every flag, in the order of the fields.
    pub const ALL: [Self; 6] =
        [Self::Isolated, Self::ShouldIsolate, Self::Sealed, Self::ShouldSeal, Self::Kernel, Self::Deleted];

    /// Whether the sensor has it.
    #[must_use]
    pub const fn is_set(self, sensor: &Sensor) -> bool {
        match self {
            Self::Isolated => sensor.isolated,
            Self::ShouldIsolate => sensor.should_isolate,
            Self::Sealed => sensor.sealed,
            Self::ShouldSeal => sensor.should_seal,
            Self::Kernel => sensor.kernel,
            Self::Deleted => sensor.deleted,
        }
    }
}

/// Fields of type string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    Sid,
    Oid,
    Iid,
    Did,
    Plat,
    ExtPlat,
    Arch,
    Hostname,
    MacAddr,
    ExtIp,
    IntIp,
}

/// Fields of type integer: instants in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InstantField {
    Enroll,
    Alive,
}

/// A field, by type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Text(TextField),
    Instant(InstantField),
    Flag(Flag),
    Tags,
}

/// Every field by its name.
const FIELDS: &[(&str, Field)] = &[
    ("sid", Field::Text(TextField::Sid)),
    ("oid", Field::Text(TextField::Oid)),
    ("iid", Field::Text(TextField::Iid)),
    ("did", Field::Text(TextField::Did)),
    ("plat", Field::Text(TextField::Plat)),
    ("ext_plat", Field::Text(TextField::ExtPlat)),
    ("arch", Field::Text(TextField::Arch)),
    ("hostname", Field::Text(TextField::Hostname)),
    ("mac_addr", Field::Text(TextField::MacAddr)),
    ("ext_ip", Field::Text(TextField::ExtIp)),
    ("int_ip", Field::Text(TextField::IntIp)),
    ("enroll", Field::Instant(InstantField::Enroll)),
    ("alive", Field::Instant(InstantField::Alive)),
    ("isolated", Field::Flag(Flag::Isolated)),
    ("should_isolate", Field::Flag(Flag::ShouldIsolate)),
    ("sealed", Field::Flag(Flag::Sealed)),
    ("should_seal", Field::Flag(Flag::ShouldSeal)),
    ("kernel", Field::Flag(Flag::Kernel)),
    ("is_del", Field::Flag(Flag::Deleted)),
    ("tags", Field::Tags),
];

impl Field {
    pub(crate) fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    pub(crate) fn is_flag(name: &str) -> bool {
        matches!(Self::named(name), Some(Self::Flag(_)))
    }
}

/// The field that was probably meant by an unknown name.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > SUGGESTED_NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    if let Some((_, meant)) = SYNONYMS.iter().find(|row| row.0 == name) {
        return Some(meant);
    }
    let distance = |known: &str| strsim::osa_distance(&name, known);
    let (near, edits) = FIELDS.iter().map(|row| (row.0, distance(row.0))).min_by_key(|row| row.1)?;
    // A third of the letters wrong is a typing mistake; more is another word.
    (edits * 3 <= near.len()).then_some(near)
}
