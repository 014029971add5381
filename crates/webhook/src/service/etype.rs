//! What an event is about.

use std::fmt;

/// Spans of the cron events, hours apart from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// Every hour.
    Hour1,
    /// Every 3 hours.
    Hour3,
    /// Every 12 hours.
    Hour12,
    /// Every 24 hours.
    Hour24,
    /// Every 7 days.
    Day7,
    /// Every 30 days.
    Day30,
}

impl Period {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [Self::Hour1, Self::Hour3, Self::Hour12, Self::Hour24, Self::Day7, Self::Day30];

    /// Its name on the wire, such as `12h`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour1 => "1h",
            Self::Hour3 => "3h",
            Self::Hour12 => "12h",
            Self::Hour24 => "24h",
            Self::Day7 => "7d",
            Self::Day30 => "30d",
        }
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Hour1 => 3_600,
            Self::Hour3 => 3 * 3_600,
            Self::Hour12 => 12 * 3_600,
            Self::Hour24 => 24 * 3_600,
            Self::Day7 => 7 * 24 * 3_600,
            Self::Day30 => 30 * 24 * 3_600,
        }
    }
}

/// For each of what a cron event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// Each subscribed organization.
    Organization,
    /// The service, without an organization.
    Service,
    /// Each sensor of each subscribed organization; `data` is `{"sid": …}`.
    Sensor,
}

impl Per {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Organization, Self::Service, Self::Sensor];

    /// What the name of the event begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Organization => "org_per_",
            Self::Service => "once_per_",
            Self::Sensor => "sensor_per_",
        }
    }
}

/// What an event is about; `etype` of the envelope. Source: reference/service-protocol.md section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Etype {
    /// Is the service well, and what does it want? Answered by every framework itself.
    Health,
    /// An organization subscribed.
    OrgInstall,
    /// An organization unsubscribed.
    OrgUninstall,
    /// A rule detected something to which the service subscribed.
    Detection,
    /// Somebody asks for something.
    Request,
    /// The server wants content that the service published. Answered by every framework itself.
    GetResource,
    /// A sensor enrolled, was cloned, went over quota, …
    DeploymentEvent,
    /// A log came in, or an export is complete.
    LogEvent,
    /// The server met an error on behalf of the service.
    ServiceError,
    /// A sensor enrolled; superseded by [`Etype::DeploymentEvent`].
    NewSensor,
    /// So much time went by.
    Every(Period, Per),
}

/// Names of the events that are no cron events.
const NAMED: [(&str, Etype); 10] = [
    ("health", Etype::Health),
    ("org_install", Etype::OrgInstall),
    ("org_uninstall", Etype::OrgUninstall),
    ("detection", Etype::Detection),
    ("request", Etype::Request),
    ("get_resource", Etype::GetResource),
    ("deployment_event", Etype::DeploymentEvent),
    ("log_event", Etype::LogEvent),
    ("service_error", Etype::ServiceError),
    ("new_sensor", Etype::NewSensor),
];

impl Etype {
    /// All 28 of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let cron = Per::ALL.into_iter().flat_map(|per| Period::ALL.map(|period| Self::Every(period, per)));
        NAMED.into_iter().map(|(_, etype)| etype).chain(cron)
    }

    /// Reads a name; `None` for an unknown one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some((_, etype)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Some(*etype);
        }
        let (per, period) = Per::ALL.iter().find_map(|per| Some((*per, name.strip_prefix(per.prefix())?)))?;
        Period::ALL.into_iter().find(|known| known.name() == period).map(|period| Self::Every(period, per))
    }

    /// Whether the event belongs to an organization, and so carries its id and a token.
    #[must_use]
    pub fn has_organization(self) -> bool {
        !matches!(self, Self::Health | Self::GetResource | Self::Every(_, Per::Service))
    }
}

impl fmt::Display for Etype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Every(period, per) = self {
            return write!(f, "{}{}", per.prefix(), period.name());
        }
        let name = NAMED.iter().find(|(_, etype)| etype == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_event_has_a_name_of_its_own_that_is_read_back() {
        let names: BTreeSet<String> = Etype::all().map(|etype| etype.to_string()).collect();
        assert_eq!(names.len(), 28, "10 and 3 times 6");
        for etype in Etype::all() {
            assert_eq!(Etype::parse(&etype.to_string()), Some(etype));
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for name in ["", "Health", "org_per_2h", "org_per_", "once_per_1h ", "sensor_per_1H", "command"] {
            assert_eq!(Etype::parse(name), None, "{name}");
        }
    }
}
