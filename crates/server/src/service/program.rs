//! Programs of others: services and extensions. They are one kind of thing in two protocols.

use super::registry::{Registration, Subscribed};
use crate::records::Kind;
use std::fmt;

/// What a program understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Source: reference/service-protocol.md.
    Service,
    /// Source: reference/extension-protocol.md.
    Extension,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Service, Self::Extension];

    /// What such a program is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Extension => "extension",
        }
    }

    /// Registrations, by name; owned by the organization that made them.
    pub(super) const fn registrations(self) -> Kind<Registration> {
        Kind::new(self.word())
    }

    /// Subscriptions, by name.
    pub(super) const fn subscriptions(self) -> Kind<Subscribed> {
        match self {
            Self::Service => Kind::new("service_subscription"),
            Self::Extension => Kind::new("extension_subscription"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A program by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program {
    /// What it understands.
    pub protocol: Protocol,
    /// Its name, among those that understand the same.
    pub name: String,
}

impl Program {
    /// The service of this name.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self { protocol: Protocol::Service, name: name.to_owned() }
    }

    /// The extension of this name.
    #[must_use]
    pub fn extension(name: &str) -> Self {
        Self { protocol: Protocol::Extension, name: name.to_owned() }
    }

    /// The name of its lane, of its identities, and of the component that its errors are told of.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}/{}", self.protocol, self.name)
    }

    /// Whose lane has this name.
    pub(super) fn of_target(target: &str) -> Option<Self> {
        let (word, name) = target.split_once('/')?;
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.word() == word)?;
        Some(Self { protocol, name: name.to_owned() })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_lane_says_whose_it_is() {
        for program in [Program::service("a.b"), Program::extension("ext-a")] {
            assert_eq!(Program::of_target(&program.target()), Some(program));
        }
        assert_eq!(Program::of_target("output/a"), None);
        assert_eq!(Program::of_target("a"), None);
    }
}
