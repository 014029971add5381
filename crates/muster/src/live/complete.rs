//! What completes a word of a line.

use super::ask::{KNOWN, REGISTRY};
use super::path::Style;
use muster_command::split_arguments;

/// A line up to the cursor.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// Words before the one that is typed.
    before: Vec<String>,
    /// The one that is typed, without the quote that it begins with.
    word: String,
    /// That quote.
    quote: Option<char>,
    /// Where the word begins, in bytes, behind its quote.
    start: usize,
}

/// What may stand in place of a word.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where the word begins, in bytes.
    pub start: usize,
    /// Any of these.
    pub names: Vec<String>,
}

/// What a word may be.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// One of these.
    Word(Vec<String>),
    /// A path of this machine.
    Here(String),
    /// A path of the endpoint.
    There(String),
}

impl Typed {
    /// Reads a line up to the cursor.
    pub fn read(line: &str) -> Self {
        let (mut start, mut quote) = (0, None);
        for (at, char) in line.char_indices() {
            let next = at + char.len_utf8();
            match (quote, char) {
                (None, '\'' | '"') => (quote, start) = (Some(char), next),
                (None, ' ' | '\t') => start = next,
                (Some(open), char) if open == char => quote = None,
                _ => {}
            }
        }
        let before = line[..start].trim_end_matches(['\'', '"']);
        Self { before: split_arguments(before).unwrap_or_default(), word: line[start..].to_owned(), quote, start }
    }

    /// What the word may be.
    pub fn place(&self) -> Place {
        let words = |names: Vec<&str>| Place::Word(names.into_iter().map(str::to_owned).collect());
        let Some(command) = self.before.first() else {
            let mut names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
            names.dedup();
            return words(names);
        };
        match (command.as_str(), self.before.len()) {
            ("reg", 1) => words(REGISTRY.to_vec()),
            ("memdump", 2..) => words(vec!["--pid", "--compress"]),
            ("put", 1) | ("get", 2) => Place::Here(self.word.clone()),
            ("cd" | "ls" | "get" | "mkdir" | "rm" | "memdump", 1) | ("put", 2) | ("exec" | "start", _) => {
                Place::There(self.word.clone())
            }
            _ => Place::Word(Vec::new()),
        }
    }

    /// Those names that complete the word. On Windows names are the same in capital letters; names with blanks stand
    /// in quotes. One with control characters is not offered: it would be shown as it is, and is the endpoint's.
    pub fn offer(&self, names: Vec<String>, style: Style) -> Offer {
        let fits = |name: &String| match style {
            Style::Unix => name.starts_with(&self.word),
            Style::Windows => name.to_lowercase().starts_with(&self.word.to_lowercase()),
        };
        let written = |name: String| match self.quote {
            None if name.contains([' ', '\'', '"']) => format!("'{}", name.replace('\'', "'\\''")),
            _ => name,
        };
        let is_plain = |name: &String| !name.contains(char::is_control);
        let names = names.into_iter().filter(fits).filter(is_plain);
        Offer { start: self.start, names: names.map(written).collect() }
    }
}

/// Paths of this machine that begin so.
pub fn local(prefix: &str) -> Vec<String> {
    let (above, last) = Style::Unix.split(prefix);
    let listed = std::fs::read_dir(if above.is_empty() { "." } else { above });
    let entries = listed.into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| name.starts_with(last))?;
            let more = if entry.path().is_dir() { "/" } else { "" };
            Some(format!("{above}{name}{more}"))
        })
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_at_the_cursor_is_known_with_what_it_may_be() {
        let there = |text: &str| Place::There(text.to_owned());
        assert_eq!(Typed::read("ls /et").place(), there("/et"));
        assert_eq!(Typed::read("ls ").place(), there(""));
        assert_eq!(Typed::read("put a '/x y").place(), there("/x y"));
        assert_eq!(Typed::read("put a").place(), Place::Here("a".into()));
        assert_eq!(Typed::read("kill 1").place(), Place::Word(Vec::new()));
        assert!(matches!(Typed::read("l").place(), Place::Word(names) if names.contains(&"ls".to_owned())));
        assert!(matches!(Typed::read("reg ").place(), Place::Word(names) if names == REGISTRY));
    }

    #[test]
    fn a_name_with_blanks_is_written_in_quotes() {
        let names = || vec!["c:\\x".to_owned(), "C:\\Program Files\\".to_owned()];
        let offer = Typed::read("cd C:\\pro").offer(names(), Style::Windows);
        assert_eq!(offer, Offer { start: 3, names: vec!["'C:\\Program Files\\".to_owned()] });
        let offer = Typed::read("cd 'C:\\Pro").offer(names(), Style::Unix);
        assert_eq!(offer, Offer { start: 4, names: vec!["C:\\Program Files\\".to_owned()] });
    }

    #[test]
    fn a_name_that_would_steer_the_terminal_is_not_offered() {
        let names = vec!["a\x1b[2J".to_owned(), "ab".to_owned()];
        assert_eq!(Typed::read("cd a").offer(names, Style::Unix).names, ["ab"]);
    }
}
