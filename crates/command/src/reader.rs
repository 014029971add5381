//! Giving each token of a line to the argument it belongs to.
//!
//! A first pass goes from left to right: options take their values, lists take
//! all they can, the rest is positional. Then lists give back what positional
//! arguments miss, and positional tokens fill the free places in their order.
//!
//! Source: reference/commands.md section 3, whose rules are cited by number.

use crate::error::echo;
use crate::value::{is_digest, is_negative_number, parse_element};
use crate::{Argument, Arguments, CommandError, Element, Kind, Need, Place, Rule, Spec};

pub(crate) struct Reader<'a> {
    spec: &'static Spec,
    line: &'a [&'a str],
    arguments: Arguments,
    /// Positions in the line of tokens which no option took.
    positionals: Vec<usize>,
    /// Tokens that a list took, in the order of the line.
    taken: Vec<Taken<'a>>,
}

struct Taken<'a> {
    at: usize,
    text: &'a str,
    option: &'static Argument,
    element: Element,
    /// Whether it follows another value of the same list, so that it may go back.
    is_extra: bool,
}

impl<'a> Reader<'a> {
    /// Reads the tokens behind the command name.
    pub(crate) fn read(spec: &'static Spec, line: &'a [&'a str]) -> Result<Arguments, CommandError> {
        let mut reader =
            Self { spec, line, arguments: Arguments::default(), positionals: Vec::new(), taken: Vec::new() };
        reader.scan()?;
        reader.give_back();
        for taken in std::mem::take(&mut reader.taken) {
            reader.arguments.set(taken.option, taken.text, false)?;
        }
        reader.fill_places()?;
        Ok(reader.arguments)
    }

    /// Rules 1 to 7.
    fn scan(&mut self) -> Result<(), CommandError> {
        let mut at = 0;
        while let Some(token) = self.line.get(at).copied() {
            if token == "--" {
                self.positionals.extend(at + 1..self.line.len());
                break;
            }
            if self.is_option(token) {
                at = self.option(at, token)?;
            } else {
                self.positionals.push(at);
                at += 1;
            }
        }
        Ok(())
    }

    /// Reads the option at `at` with its value; returns where the next token is.
    fn option(&mut self, at: usize, token: &'a str) -> Result<usize, CommandError> {
        let (written, attached) = match token.split_once('=') {
            Some((written, value)) => (written, Some(value)),
            None => (token, None),
        };
        let typed = written.trim_start_matches('-');
        if typed == "h" || typed.eq_ignore_ascii_case("help") {
            return Err(CommandError::Help(self.spec.usage()));
        }
        let option = self.spec.options.iter().find(|option| option.is_called(typed));
        let option = option.ok_or_else(|| CommandError::UnknownArgument(echo(written)))?;
        match (option.kind, attached) {
            (Kind::List(element), Some(text)) => self.taken.push(Taken { at, text, option, element, is_extra: false }),
            (_, Some(value)) => self.arguments.set(option, value, false)?,
            (Kind::Flag, None) => self.arguments.set(option, "true", false)?,
            (Kind::List(element), None) => return self.list(at + 1, option, element),
            (_, None) => {
                let value = self.line.get(at + 1).filter(|next| self.is_value(next, option.kind));
                let value = value.ok_or(CommandError::MissingValue(option.name))?;
                self.arguments.set(option, value, false)?;
                return Ok(at + 2);
            }
        }
        Ok(at + 1)
    }

    /// Rule 6: a list takes every token up to the next option.
    fn list(&mut self, from: usize, option: &'static Argument, element: Element) -> Result<usize, CommandError> {
        let mut at = from;
        while let Some(text) = self.line.get(at).copied().filter(|next| self.is_value(next, option.kind)) {
            self.taken.push(Taken { at, text, option, element, is_extra: at > from });
            at += 1;
        }
        if at == from { Err(CommandError::MissingValue(option.name)) } else { Ok(at) }
    }

    /// Rule 6: the last tokens that lists took go back while a required
    /// positional argument misses them, or while they cannot be elements and
    /// there is a place for them.
    fn give_back(&mut self) {
        let places = self.free_places();
        let scalars = places.iter().filter(|place| !matches!(place.kind, Kind::List(_)));
        let (mut free, mut required) = (0_usize, 0_usize);
        for place in scalars.skip(self.positionals.len()) {
            free += 1;
            required += usize::from(place.need == Need::Required);
        }
        while let Some(last) = self.taken.pop_if(|last| {
            last.is_extra && free > 0 && (required > 0 || parse_element(last.element, last.text).is_err())
        }) {
            free -= 1;
            required = required.saturating_sub(1);
            self.positionals.push(last.at);
        }
        self.positionals.sort_unstable();
    }

    /// Rule 11.
    fn fill_places(&mut self) -> Result<(), CommandError> {
        let mut places = self.free_places().into_iter();
        let mut open_list = None;
        let positionals = std::mem::take(&mut self.positionals);
        for text in positionals.into_iter().filter_map(|at| self.line.get(at).copied()) {
            let place = open_list.or_else(|| places.next());
            let place = place.ok_or_else(|| CommandError::TooManyPositionals(echo(text)))?;
            if matches!(place.kind, Kind::List(_)) {
                open_list = Some(place);
            }
            let option = match place.kind {
                Kind::PatternOr(digest) if is_digest(text) => self.spec.option(digest).unwrap_or(place),
                _ => place,
            };
            self.arguments.set(option, text, true)?;
        }
        Ok(())
    }

    /// Arguments that a positional token can fill: not yet given by name, nor
    /// made needless by another one, as a process id is by an atom.
    fn free_places(&self) -> Vec<&'static Argument> {
        let is_free = |place: &&Argument| match place.kind {
            Kind::List(_) => true,
            _ => !self.arguments.has(place.name) && !self.is_replaced(place.name),
        };
        self.spec.options.iter().filter(|option| option.place != Place::Named).filter(is_free).collect()
    }

    fn is_replaced(&self, name: &str) -> bool {
        self.spec.rules.iter().any(|rule| match rule {
            Rule::AtLeastOne(names) => names.contains(&name) && names.iter().any(|other| self.arguments.has(other)),
            _ => false,
        })
    }

    /// Rule 2. A negative number is positional where one makes sense: `hidden_module_scan -1`.
    fn is_option(&self, token: &str) -> bool {
        if !looks_like_option(token) {
            return false;
        }
        let takes_negative =
            |option: &Argument| option.place != Place::Named && matches!(option.kind, Kind::Number(min, _) if min < 0);
        !(is_negative_number(token) && self.spec.options.iter().any(takes_negative))
    }

    /// Rule 4. `--` ends the options, so it is no value either.
    fn is_value(&self, token: &str, kind: Kind) -> bool {
        let is_negative = matches!(kind, Kind::Number(..) | Kind::Size) && is_negative_number(token);
        is_negative || !(token == "--" || looks_like_option(token))
    }
}

fn looks_like_option(token: &str) -> bool {
    token.starts_with('-') && token.bytes().any(|byte| byte != b'-')
}
