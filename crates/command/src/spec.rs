//! What is known of a command: arguments, platforms, answer, confirmation.

use std::fmt::Write;

use muster_model::{Architecture, Platform};

use crate::{Argument, Element, Kind, Need, Place};

/// A command of the master table. Source: reference/commands.md section 5.
#[derive(Debug)]
pub struct Spec {
    /// The first token of the line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Platforms whose sensors can carry it out.
    pub platforms: &'static [Platform],
    /// The event that answers it, besides `CLOUD_NOTIFICATION`.
    pub reply: Reply,
    /// When the server may count it as confirmed.
    pub confirm: Confirm,
    /// Arguments; those which can be positional stand in their order.
    pub options: &'static [Argument],
    /// What must hold between arguments.
    pub rules: &'static [Rule],
    /// It may send files to the artifact store.
    pub uploads: bool,
}

/// The answer to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// One event of this type.
    Event(&'static str),
    /// Events of this type, the last with `ERROR_MESSAGE` "done".
    Stream(&'static str),
    /// A `RECEIPT`.
    Receipt,
    /// Only the `CLOUD_NOTIFICATION` with which every command begins.
    Notification,
    /// No event at all, not even the notification.
    Nothing,
}

/// When the server may count a command as confirmed.
///
/// Source: reference/sensor.md section 10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// When the sensor reports that it has it.
    Reported,
    /// When it is written to the link, because no answer follows.
    Written,
    /// At the notification, or when the link drops after it was written.
    NotifiedOrDropped,
}

/// What must hold between arguments; a flag counts as given when it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One of these, not more.
    ExactlyOne(&'static [&'static str]),
    /// One of these or more.
    AtLeastOne(&'static [&'static str]),
    /// One of these or none.
    AtMostOne(&'static [&'static str]),
    /// All of these or none.
    Together(&'static [&'static str]),
}

impl Spec {
    pub(crate) const fn new(name: &'static str, platforms: &'static [Platform], reply: Reply) -> Self {
        Self {
            name,
            summary: "",
            platforms,
            reply,
            confirm: Confirm::Reported,
            options: &[],
            rules: &[],
            uploads: false,
        }
    }

    pub(crate) const fn does(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    pub(crate) const fn uploads(self) -> Self {
        Self { uploads: true, ..self }
    }

    pub(crate) const fn takes(self, options: &'static [Argument]) -> Self {
        Self { options, ..self }
    }

    pub(crate) const fn rules(self, rules: &'static [Rule]) -> Self {
        Self { rules, ..self }
    }

    pub(crate) const fn confirmed(self, confirm: Confirm) -> Self {
        Self { confirm, ..self }
    }

    /// The request type in a `CLOUD_NOTIFICATION`, such as `OS_VERSION_REQ`.
    #[must_use]
    pub fn request(&self) -> String {
        format!("{}_REQ", self.name.to_ascii_uppercase())
    }

    /// Whether the sensor's link may end because of it, so that a lost link is no failure.
    #[must_use]
    pub fn cuts_connection(&self) -> bool {
        self.confirm != Confirm::Reported
    }

    /// Whether a sensor of this platform and architecture can carry it out.
    /// Log adapters carry out nothing, whatever their platform.
    #[must_use]
    pub fn supports(&self, platform: Platform, architecture: Architecture) -> bool {
        architecture != Architecture::USP_ADAPTER && self.platforms.contains(&platform)
    }

    pub(crate) fn option(&self, name: &str) -> Option<&'static Argument> {
        self.options.iter().find(|option| option.name == name)
    }

    /// What `--help` answers: the syntax in one line, then each argument.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut usage = format!("usage: {}", self.name);
        let (positional, named): (Vec<_>, Vec<_>) =
            self.options.iter().partition(|option| option.place == Place::Positional);
        for option in named.iter().chain(&positional) {
            usage.push(' ');
            usage.push_str(&syntax(option));
        }
        let _ = write!(usage, "\n\n{}\n\narguments:\n", self.summary);
        for option in positional.iter().chain(&named) {
            let _ = writeln!(usage, "  {:<32} {}", names(option), meaning(option));
        }
        let _ = writeln!(usage, "  {:<32} show this text, send nothing", "-h, --help");
        for rule in self.rules {
            let _ = writeln!(usage, "\n{}", rule.describe());
        }
        usage
    }
}

impl Rule {
    /// The arguments which it binds.
    #[must_use]
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Self::ExactlyOne(names) | Self::AtLeastOne(names) | Self::AtMostOne(names) | Self::Together(names) => names,
        }
    }

    fn describe(&self) -> String {
        let how = match self {
            Self::ExactlyOne(_) => "exactly one of",
            Self::AtLeastOne(_) => "at least one of",
            Self::AtMostOne(_) => "at most one of",
            Self::Together(_) => "together or not at all:",
        };
        format!("{how} {}", self.listed())
    }

    /// The arguments as errors list them: `--pid, --processatom`.
    pub(crate) fn listed(&self) -> String {
        self.names().iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ")
    }
}

fn syntax(option: &Argument) -> String {
    let more = if matches!(option.kind, Kind::List(_)) { "…" } else { "" };
    let bare = match (option.place, option.kind) {
        (Place::Positional, _) => format!("{}{more}", option.value),
        (_, Kind::Flag) => format!("--{}", option.name),
        _ => format!("--{} {}{more}", option.name, option.value),
    };
    if option.need == Need::Required { bare } else { format!("[{bare}]") }
}

fn names(option: &Argument) -> String {
    let short = option.short.map_or_else(String::new, |short| format!("-{short}, "));
    format!("{short}--{} {}", option.name, option.value).trim_end().to_owned()
}

fn meaning(option: &Argument) -> String {
    let kind = match option.kind {
        Kind::Flag => "flag".to_owned(),
        Kind::Text | Kind::FreeText | Kind::List(Element::Text) => "text".to_owned(),
        Kind::Number(min, max) => format!("decimal number from {min} to {max}"),
        Kind::Address => "hexadecimal number".to_owned(),
        Kind::Size => "bytes; hexadecimal by position, decimal by name".to_owned(),
        Kind::Atom | Kind::List(Element::Atom) => "32 hexadecimal digits".to_owned(),
        Kind::Digest | Kind::List(Element::Digest) => "MD5, SHA-1 or SHA-256 digest".to_owned(),
        Kind::PatternOr(_) => "pattern with * and ?".to_owned(),
        Kind::Event => "event type".to_owned(),
        Kind::Choice(words) => format!("one of: {}", words.join(", ")),
        Kind::Registry => "registry path, such as hklm\\software".to_owned(),
        Kind::Version => "version X.Y.Z".to_owned(),
    };
    match option.need {
        Need::Optional => kind,
        Need::Required => format!("{kind}; required"),
        Need::Default(value) => format!("{kind}; default {value}"),
    }
}
