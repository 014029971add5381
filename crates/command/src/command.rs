//! A checked command and its arguments.

use std::collections::BTreeMap;

use muster_model::{Architecture, Platform};

use crate::error::echo;
use crate::reader::Reader;
use crate::value::Value;
use crate::{Argument, COMMAND_BYTES_MAX, CommandError, Need, Reply, Rule, Spec, table, tokenize};

/// Command lines of one batch: it is one task, whose answer names them all.
pub const BATCH_LINES_MAX: usize = 64;

/// A command line that fits the table of commands.
#[derive(Clone, Debug)]
pub struct Command {
    /// What is known of the command.
    pub spec: &'static Spec,
    /// Its arguments, checked.
    pub arguments: Arguments,
    /// The commands of a batch, in their order; no other command has any.
    pub steps: Vec<Self>,
}

/// Checked arguments by their canonical names. A name that the command does not
/// have, or that was not given and has no default, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    values: BTreeMap<&'static str, Value>,
}

impl Command {
    /// Parses a command line.
    ///
    /// # Errors
    ///
    /// Any [`CommandError`] except those about a platform or a payload;
    /// [`CommandError::Help`] when the line asks for help.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        Self::from_tokens(tokenize(line)?)
    }

    /// Checks tokens which need no splitting.
    ///
    /// # Errors
    ///
    /// As [`Command::parse`], except for quotes.
    pub fn from_tokens(tokens: Vec<String>) -> Result<Self, CommandError> {
        let bytes: usize = tokens.iter().map(|token| token.len() + 1).sum();
        // The last token has no separator behind it.
        if bytes > COMMAND_BYTES_MAX + 1 {
            return Err(CommandError::TooLong);
        }
        let (name, rest) = tokens.split_first().ok_or(CommandError::Empty)?;
        let (spec, implied) = table::resolve(name)
            .ok_or_else(|| CommandError::UnknownCommand { name: echo(name), nearest: table::nearest(name) })?;
        let line: Vec<&str> = implied.iter().copied().chain(rest.iter().map(String::as_str)).collect();
        let mut arguments = Reader::read(spec, &line)?;
        arguments.set_defaults(spec)?;
        arguments.check(spec)?;
        let steps = if spec.name == "batch" { steps(&arguments)? } else { Vec::new() };
        Ok(Self { spec, arguments, steps })
    }

    /// The command itself, and those of its batch.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.steps)
    }

    /// The payloads that the server must hand to the sensor with it.
    pub fn payloads(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(|command| command.arguments.text("payload-name"))
    }

    /// Whether it may send files to the artifact store.
    #[must_use]
    pub fn uploads(&self) -> bool {
        self.all().any(|command| command.spec.uploads)
    }

    /// Whether a sensor of this platform and architecture can carry it out, as [`Spec::supports`].
    #[must_use]
    pub fn supports(&self, platform: Platform, architecture: Architecture) -> bool {
        self.all().all(|command| command.spec.supports(platform, architecture))
    }

    /// As [`Command::supports`], for callers that answer with an error.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnsupportedForPlatform`].
    pub fn require_support(&self, platform: Platform, architecture: Architecture) -> Result<(), CommandError> {
        if self.supports(platform, architecture) { Ok(()) } else { Err(CommandError::UnsupportedForPlatform) }
    }
}

/// The commands of a batch. What ends the link or the machine cannot be one of them, as nothing could follow it; nor can
/// another batch.
fn steps(arguments: &Arguments) -> Result<Vec<Command>, CommandError> {
    let wrong = |reason: String| CommandError::BadValue { argument: "LINE".to_owned(), reason };
    let lines = arguments.list("line");
    if lines.len() > BATCH_LINES_MAX {
        return Err(wrong(format!("a batch has at most {BATCH_LINES_MAX} lines")));
    }
    let step = |line: &String| {
        let step = Command::parse(line).map_err(|error| wrong(format!("{}: {error}", echo(line))))?;
        let is_last = step.spec.cuts_connection() || matches!(step.spec.reply, Reply::Nothing | Reply::Notification);
        if is_last || step.spec.name == "batch" {
            return Err(wrong(format!("{} cannot be part of a batch", step.spec.name)));
        }
        Ok(step)
    };
    lines.iter().map(step).collect()
}

impl Arguments {
    /// A text, digest, atom, event type or choice.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number, within the bounds of its argument.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A memory address.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(Value::Address(address)) => Some(*address),
            _ => None,
        }
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Flag(true)))
    }

    /// Whether a flag is set, or `default` when the line does not say.
    #[must_use]
    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        match self.values.get(name) {
            Some(Value::Flag(is_set)) => *is_set,
            _ => default,
        }
    }

    /// The values of a list in their order; empty when there are none.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// Whether there is a value, by the line or by default; a flag must be true.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| *value != Value::Flag(false))
    }

    /// Sets one value as it was written; of a list, adds one element.
    pub(crate) fn set(&mut self, option: &Argument, text: &str, is_positional: bool) -> Result<(), CommandError> {
        let value = Value::parse(option.kind, text, is_positional).map_err(|reason| {
            let argument = if is_positional { option.value.to_owned() } else { format!("--{}", option.name) };
            CommandError::BadValue { argument, reason }
        })?;
        match (self.values.get_mut(option.name), value) {
            (Some(Value::List(list)), Value::List(more)) => list.extend(more),
            (_, value) => drop(self.values.insert(option.name, value)),
        }
        Ok(())
    }

    fn set_defaults(&mut self, spec: &Spec) -> Result<(), CommandError> {
        for option in spec.options {
            if let (Need::Default(text), false) = (option.need, self.has(option.name)) {
                self.set(option, text, false)?;
            }
        }
        Ok(())
    }

    fn check(&self, spec: &Spec) -> Result<(), CommandError> {
        let missing = |option: &&Argument| option.need == Need::Required && !self.has(option.name);
        if let Some(option) = spec.options.iter().find(missing) {
            return Err(CommandError::Required(option.label()));
        }
        for rule in spec.rules {
            let given = rule.names().iter().filter(|name| self.has(name)).count();
            match rule {
                Rule::ExactlyOne(_) if given != 1 => return Err(CommandError::OneOf(rule.listed())),
                Rule::AtLeastOne(_) if given == 0 => return Err(CommandError::OneOf(rule.listed())),
                Rule::AtMostOne(_) if given > 1 => return Err(CommandError::OneOf(rule.listed())),
                Rule::Together(names) if given > 0 => {
                    if let Some(name) = names.iter().find(|name| !self.has(name)) {
                        return Err(CommandError::Required(format!("--{name}")));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
