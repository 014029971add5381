//! The checked expression and its value for one sensor.
//!
//! Everything that can fail was done by [`crate::check`]: names are resolved,
//! literals converted, patterns compiled. Evaluation cannot fail and does not
//! allocate, but for the names of platforms and architectures that have no name.
//!
//! Source: reference/selectors.md sections 4 and 5.

use crate::ast::Quantifier;
use crate::field::{Flag, InstantField, TextField};
use memchr::memmem::Finder;
use muster_model::{Architecture, Platform, Sensor, Sid};
use regex::bytes::Regex;

/// Bytes of a UUID in text.
const UUID_BYTES: usize = 36;

/// A checked expression.
#[derive(Debug)]
pub(crate) enum Node {
    /// Every sensor.
    All,
    /// True if each part is.
    And(Box<[Node]>),
    /// True if some part is.
    Or(Box<[Node]>),
    /// True if the part is not.
    Not(Box<Node>),
    /// One condition.
    Test(Test),
}

/// One condition, as it is decided and as people read it.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) predicate: Predicate,
    pub(crate) negated: bool,
    /// Shown by [`crate::Selector::explain`].
    pub(crate) label: Box<str>,
}

/// What a condition asks. `None` stands for a value that no sensor can have.
#[derive(Debug)]
pub(crate) enum Predicate {
    /// The sensor id is this.
    Sid(Option<Sid>),
    /// The platform is this.
    Platform(Option<Platform>),
    /// The platform of the reported host is this.
    ExtPlatform(Option<Platform>),
    /// The architecture is this.
    Architecture(Option<Architecture>),
    /// The text passes.
    Text(Subject, TextTest),
    /// The instant, in Unix seconds, is this.
    Instant(InstantField, i64),
    /// The flag is this.
    Flag(Flag, bool),
    /// A tag is this.
    Tagged(Option<Box<str>>),
    /// There are no tags.
    Untagged,
    /// The list is nil, which no list of a sensor ever is.
    Nil,
    /// The node is true of any tag, or of all.
    Each(Quantifier, Box<Node>),
}

/// Whose text is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    Field(TextField),
    /// The element bound by the collection so many levels further out; 0 is the innermost.
    Element(usize),
}

/// What is asked of a text, compared byte for byte.
#[derive(Debug)]
pub(crate) enum TextTest {
    Equals(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    Matches(Box<Regex>),
    Empty,
}

impl TextTest {
    fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Equals(value) => text.as_bytes() == &**value,
            Self::Contains(needle) => needle.find(text.as_bytes()).is_some(),
            Self::Matches(regex) => regex.is_match(text.as_bytes()),
            Self::Empty => text.is_empty(),
        }
    }
}

/// The elements that the collections around a condition have bound, innermost first.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    element: &'a str,
    outer: Option<&'a Scope<'a>>,
}

impl Node {
    /// Whether the expression is true of the sensor.
    pub(crate) fn holds(&self, sensor: &Sensor, scope: Option<&Scope<'_>>) -> bool {
        match self {
            Self::All => true,
            Self::And(parts) => parts.iter().all(|part| part.holds(sensor, scope)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(sensor, scope)),
            Self::Not(part) => !part.holds(sensor, scope),
            Self::Test(test) => test.predicate.holds(sensor, scope) != test.negated,
        }
    }
}

impl Predicate {
    /// Whether the condition, negation aside, is true of the sensor.
    pub(crate) fn holds(&self, sensor: &Sensor, scope: Option<&Scope<'_>>) -> bool {
        match self {
            Self::Sid(sid) => *sid == Some(sensor.sid),
            Self::Platform(platform) => *platform == Some(sensor.platform),
            Self::ExtPlatform(platform) => *platform == Some(sensor.ext_platform),
            Self::Architecture(architecture) => *architecture == Some(sensor.architecture),
            Self::Text(Subject::Field(field), test) => with_text(*field, sensor, |text| test.accepts(text)),
            Self::Text(Subject::Element(level), test) => element(*level, scope).is_some_and(|text| test.accepts(text)),
            Self::Instant(InstantField::Enroll, unix_secs) => sensor.enrolled_at.as_secs() == *unix_secs,
            Self::Instant(InstantField::Alive, unix_secs) => sensor.alive_at.as_secs() == *unix_secs,
            Self::Flag(flag, wanted) => flag.is_set(sensor) == *wanted,
            Self::Tagged(tag) => tag.as_deref().is_some_and(|tag| sensor.has_tag(tag)),
            Self::Untagged => sensor.tags.is_empty(),
            Self::Nil => false,
            Self::Each(quantifier, body) => {
                let mut tags = sensor.tag_names();
                let is_true = |element| body.holds(sensor, Some(&Scope { element, outer: scope }));
                match quantifier {
                    Quantifier::Any => tags.any(is_true),
                    Quantifier::All => tags.all(is_true),
                }
            }
        }
    }
}

fn element<'a>(level: usize, scope: Option<&Scope<'a>>) -> Option<&'a str> {
    let mut scope = scope?;
    for _ in 0..level {
        scope = scope.outer?;
    }
    Some(scope.element)
}

/// Shows `see` the text of a field.
fn with_text(field: TextField, sensor: &Sensor, see: impl FnOnce(&str) -> bool) -> bool {
    let mut uuid = [0; UUID_BYTES];
    match field {
        TextField::Sid => see(sensor.sid.0.as_hyphenated().encode_lower(&mut uuid)),
        TextField::Oid => see(sensor.oid.0.as_hyphenated().encode_lower(&mut uuid)),
        TextField::Iid => see(sensor.iid.0.as_hyphenated().encode_lower(&mut uuid)),
        TextField::Did => match sensor.did {
            Some(did) => see(did.0.as_hyphenated().encode_lower(&mut uuid)),
            None => see(""),
        },
        TextField::Plat => see(&sensor.platform.name()),
        TextField::ExtPlat if sensor.ext_platform == Platform::NONE => see(""),
        TextField::ExtPlat => see(&sensor.ext_platform.name()),
        TextField::Arch => see(&sensor.architecture.name()),
        TextField::Hostname => see(&sensor.hostname),
        TextField::MacAddr => see(&sensor.mac_addr),
        TextField::ExtIp => see(&sensor.ext_ip),
        TextField::IntIp => see(&sensor.int_ip),
    }
}
