//! One argument of a command: its names, where it may stand, what it holds.

/// An argument of a command. Any argument can be given by its name; see [`Place`].
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Canonical long name, without dashes; also the key in [`Arguments`](crate::Arguments).
    pub name: &'static str,
    /// One-letter name, case-sensitive.
    pub short: Option<char>,
    /// Other long names; equal ones but for case, `-` and `_` need no entry.
    pub aliases: &'static [&'static str],
    /// What usage and errors call the value, such as `FILE`; empty for a flag.
    pub value: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be given.
    pub need: Need,
    /// Where it may stand.
    pub place: Place,
}

/// What an argument holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Present or not.
    Flag,
    /// Any text of at least one character.
    Text,
    /// Any text, the empty one included.
    FreeText,
    /// A decimal number within these bounds, both included.
    Number(i64, i64),
    /// An unsigned 64-bit number in hexadecimal, with or without `0x`.
    Address,
    /// A number of bytes up to `u32::MAX`, hexadecimal where it is positional, decimal where it is named.
    Size,
    /// 32 hexadecimal digits; kept in lower case.
    Atom,
    /// 32, 40 or 64 hexadecimal digits (MD5, SHA-1, SHA-256); kept in lower case.
    Digest,
    /// A wildcard pattern. A positional value that is a [`Kind::Digest`] goes to the argument of this name instead.
    PatternOr(&'static str),
    /// An event type: upper-case letters, digits and underscores.
    Event,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A registry path; the hive is kept in its short form, `hklm`.
    Registry,
    /// A version `X.Y.Z`.
    Version,
    /// One or more values; may be repeated.
    List(Element),
}

/// What each value of a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// As [`Kind::Text`].
    Text,
    /// As [`Kind::Atom`].
    Atom,
    /// As [`Kind::Digest`].
    Digest,
}

/// Whether an argument must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It may be left out.
    Optional,
    /// It must be given; a flag must be true (confirmation).
    Required,
    /// It holds this when it is left out.
    Default(&'static str),
}

/// Where an argument may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Only as `--name`.
    Named,
    /// As `--name`, which is canonical, or by position.
    Either,
    /// By position, which is canonical, or as `--name`.
    Positional,
}

impl Argument {
    pub(crate) const fn new(name: &'static str, value: &'static str, kind: Kind) -> Self {
        Self { name, short: None, aliases: &[], value, kind, need: Need::Optional, place: Place::Named }
    }

    pub(crate) const fn flag(name: &'static str) -> Self {
        Self::new(name, "", Kind::Flag)
    }

    pub(crate) const fn text(name: &'static str, value: &'static str) -> Self {
        Self::new(name, value, Kind::Text)
    }

    pub(crate) const fn list(name: &'static str, value: &'static str, element: Element) -> Self {
        Self::new(name, value, Kind::List(element))
    }

    pub(crate) const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    pub(crate) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(crate) const fn required(self) -> Self {
        Self { need: Need::Required, ..self }
    }

    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self { need: Need::Default(default), ..self }
    }

    pub(crate) const fn positional(self) -> Self {
        Self { place: Place::Positional, ..self }
    }

    pub(crate) const fn or_positional(self) -> Self {
        Self { place: Place::Either, ..self }
    }

    /// Whether `typed`, without its dashes, is one of the argument's names.
    /// Source: reference/commands.md section 3, rule 8.
    pub(crate) fn is_called(&self, typed: &str) -> bool {
        let mut chars = typed.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => self.short == Some(only),
            _ => std::iter::once(&self.name).chain(self.aliases).any(|name| is_same_name(name, typed)),
        }
    }

    /// How errors and usage refer to it where it is canonical.
    pub(crate) fn label(&self) -> String {
        if self.place == Place::Positional { self.value.to_owned() } else { format!("--{}", self.name) }
    }
}

pub(crate) fn is_same_name(name: &str, typed: &str) -> bool {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|char| !matches!(char, '-' | '_')).map(|char| char.to_ascii_lowercase()).collect()
    };
    letters(name) == letters(typed)
}
