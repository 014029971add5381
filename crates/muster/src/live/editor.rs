//! A line at the terminal, with history and completion.
//!
//! Small on purpose: libraries for it bring a second layer over the system's calls beside the one that is here. A line
//! that is wider than the terminal is scrolled and not wrapped.

use super::complete::Offer;
use rustix::io::{Errno, read};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;

/// Lines that are remembered.
const HISTORY_MAX: usize = 1_000;
/// Columns of a terminal that does not say how wide it is.
const COLUMNS_USUAL: usize = 80;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Char(char),
    Enter,
    Tab,
    Back,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    /// Everything before the cursor goes.
    Clear,
    /// The word before the cursor goes.
    ClearWord,
    /// Ctrl-C.
    Forget,
    /// Ctrl-D.
    Leave,
    Unknown,
}

/// The line that is typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    text: Vec<char>,
    /// Characters before the cursor.
    at: usize,
}

impl Line {
    fn of(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { at: text.len(), text }
    }

    fn before(&self) -> String {
        self.text[..self.at].iter().collect()
    }

    /// Puts text in place of what is before the cursor from a byte on.
    fn replace(&mut self, start: usize, text: &str) {
        let before = self.before();
        let kept: String = before[..before.floor_char_boundary(start)].to_owned() + text;
        let rest: Vec<char> = self.text.split_off(self.at);
        *self = Self::of(&kept);
        self.text.extend(rest);
    }

    fn press(&mut self, key: Key) {
        match key {
            Key::Char(char) => {
                self.text.insert(self.at, char);
                self.at += 1;
            }
            Key::Back if self.at > 0 => {
                self.at -= 1;
                self.text.remove(self.at);
            }
            Key::Delete if self.at < self.text.len() => {
                self.text.remove(self.at);
            }
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(self.text.len()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Clear => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            Key::ClearWord => {
                let blank = |char: &char| char.is_whitespace();
                let end = self.text[..self.at].iter().rposition(|char| !blank(char)).map_or(0, |last| last + 1);
                let start = self.text[..end].iter().rposition(blank).map_or(0, |last| last + 1);
                self.text.drain(start..self.at);
                self.at = start;
            }
            _ => {}
        }
    }
}

/// Reads lines, and remembers them.
#[derive(Default)]
pub struct Editor {
    history: Vec<String>,
}

impl Editor {
    /// The next line; nothing if there are no more. Blocks.
    ///
    /// # Errors
    ///
    /// What the terminal says.
    pub fn read(&mut self, prompt: &str, complete: impl Fn(&str) -> Offer) -> io::Result<Option<String>> {
        let _raw = Raw::begin()?;
        let (mut line, mut past) = (Line::default(), self.history.len());
        loop {
            draw(prompt, &line)?;
            match key()? {
                Key::Enter => break,
                Key::Leave if line.text.is_empty() => return say("\r\n").map(|()| None),
                Key::Leave => line.press(Key::Delete),
                Key::Forget => {
                    say("^C\r\n")?;
                    (line, past) = (Line::default(), self.history.len());
                }
                Key::Tab => {
                    let offered = complete(&line.before());
                    offer(&mut line, offered)?;
                }
                Key::Up if past > 0 => {
                    past -= 1;
                    line = Line::of(&self.history[past]);
                }
                Key::Down if past < self.history.len() => {
                    past += 1;
                    line = Line::of(self.history.get(past).map_or("", String::as_str));
                }
                key => line.press(key),
            }
        }
        say("\r\n")?;
        let text: String = line.text.iter().collect();
        if !text.trim().is_empty() && self.history.last() != Some(&text) {
            self.history.push(text.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.remove(0);
            }
        }
        Ok(Some(text))
    }
}

/// Completes as far as all that is offered agrees, and else shows it.
fn offer(line: &mut Line, offer: Offer) -> io::Result<()> {
    let Some(first) = offer.names.first() else { return Ok(()) };
    let shared = offer.names.iter().fold(first.as_str(), |shared, name| {
        let same = shared.char_indices().zip(name.chars()).find(|((_, one), other)| one != other);
        let end = same.map_or(shared.len().min(name.len()), |((at, _), _)| at);
        &shared[..end]
    });
    let before = line.before();
    if offer.names.len() > 1 && before.get(offer.start..) == Some(shared) {
        return say(&format!("\r\n{}\r\n", crate::show::safe(&offer.names.join("  "))));
    }
    line.replace(offer.start, shared);
    Ok(())
}

/// Draws prompt and line, as much of them as fits, with the cursor in its place.
fn draw(prompt: &str, line: &Line) -> io::Result<()> {
    let columns = tcgetwinsize(io::stdout().as_fd()).map_or(0, |size| usize::from(size.ws_col));
    let columns = if columns == 0 { COLUMNS_USUAL } else { columns };
    let room = columns.saturating_sub(prompt.chars().count() + 1).max(1);
    let first = line.at.saturating_sub(room);
    let shown: String = line.text.iter().skip(first).take(room).collect();
    let behind = shown.chars().count() - (line.at - first);
    let back = if behind > 0 { format!("\x1b[{behind}D") } else { String::new() };
    say(&format!("\r{prompt}{}\x1b[K{back}", crate::show::safe(&shown)))
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The terminal gives keys as they are pressed, until this is dropped.
struct Raw(Termios);

impl Raw {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Whoever closed the terminal does not miss it.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &self.0);
    }
}

/// The next byte; the end of the terminal is as good as Ctrl-D.
fn byte() -> io::Result<u8> {
    let mut byte = [0];
    loop {
        match read(io::stdin().as_fd(), &mut byte) {
            Ok(0) => return Ok(4),
            Ok(_) => return Ok(byte[0]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next key. Source: console_codes(4), and ctlseqs of xterm.
fn key() -> io::Result<Key> {
    Ok(match byte()? {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        8 | 127 => Key::Back,
        1 => Key::Home,
        2 => Key::Left,
        3 => Key::Forget,
        4 => Key::Leave,
        5 => Key::End,
        6 => Key::Right,
        14 => Key::Down,
        16 => Key::Up,
        21 => Key::Clear,
        23 => Key::ClearWord,
        27 => escaped()?,
        first => character(first)?,
    })
}

fn escaped() -> io::Result<Key> {
    if !matches!(byte()?, b'[' | b'O') {
        return Ok(Key::Unknown);
    }
    let mut number = 0_u32;
    loop {
        return Ok(match byte()? {
            digit @ b'0'..=b'9' => {
                number = number.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
                continue;
            }
            b';' => continue,
            b'A' => Key::Up,
            b'B' => Key::Down,
            b'C' => Key::Right,
            b'D' => Key::Left,
            b'H' => Key::Home,
            b'F' => Key::End,
            b'~' => match number {
                1 | 7 => Key::Home,
                3 => Key::Delete,
                4 | 8 => Key::End,
                _ => Key::Unknown,
            },
            _ => Key::Unknown,
        });
    }
}

/// A character of one to four bytes.
fn character(first: u8) -> io::Result<Key> {
    let more = match first {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf7 => 3,
        _ => 0,
    };
    let mut bytes = vec![first];
    for _ in 0..more {
        bytes.push(byte()?);
    }
    let char = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
    Ok(char.filter(|char| !char.is_control()).map_or(Key::Unknown, Key::Char))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[Key]) -> (String, usize) {
        let mut line = Line::of("one two");
        keys.iter().for_each(|key| line.press(*key));
        (line.text.iter().collect(), line.at)
    }

    #[test]
    fn keys_move_and_change_the_line() {
        assert_eq!(typed(&[Key::Left, Key::Char('ä')]), ("one twäo".into(), 7));
        assert_eq!(typed(&[Key::Home, Key::Back, Key::Delete]), ("ne two".into(), 0));
        assert_eq!(typed(&[Key::ClearWord]), ("one ".into(), 4));
        assert_eq!(typed(&[Key::ClearWord, Key::ClearWord, Key::ClearWord]), (String::new(), 0));
        assert_eq!(typed(&[Key::Left, Key::Clear]), ("o".into(), 0));
        assert_eq!(typed(&[Key::Right, Key::Delete, Key::End]), ("one two".into(), 7));
    }

    #[test]
    fn a_word_is_completed_as_far_as_all_names_agree() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut line = Line::of("cd /ü");
        offer(&mut line, Offer { start: 3, names: names(&["/über/", "/übel/"]) }).unwrap();
        assert_eq!(line, Line::of("cd /übe"));
        offer(&mut line, Offer { start: 3, names: names(&["/über/"]) }).unwrap();
        assert_eq!(line, Line::of("cd /über/"));
        offer(&mut line, Offer { start: 9, names: Vec::new() }).unwrap();
        assert_eq!(line, Line::of("cd /über/"));
    }
}
