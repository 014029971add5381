//! Finds many texts in a value in one pass whose cost hardly depends on how many there are.
//!
//! A text of four bytes or more is looked for by its rarest window of four bytes: each window
//! of the value is one look into a table of marks, and only where a mark is set is the text itself
//! compared. Texts of two and three bytes have a table of pairs, whole values one by hash, and
//! single bytes are few enough to be looked for one by one.
//! An Aho-Corasick automaton over all of them visits one cold node for each byte of the value as
//! soon as it no longer fits the cache, so that its cost grows with the rules; these tables do not.

use super::cover::{ORDINARY, Place};

/// Bytes in a window.
const WINDOW_BYTES: usize = 4;
/// Bytes in a window of shorter texts.
const PAIR_BYTES: usize = 2;
/// Marks of a table per key, so that at most one in eight is set. A byte each: a bit would have to be shifted out.
const MARKS_PER_KEY: usize = 8;
/// Sizes of tables, fixed so that no look needs a check of its bounds; the largest stays in a processor's cache.
const MARKS_SMALL: usize = 1 << 12;
const MARKS_MIDDLE: usize = 1 << 15;
const MARKS_LARGE: usize = 1 << 19;
/// Bits of a product that are too low to depend on the whole key.
const LOW_BITS: u32 = 32 - MARKS_LARGE.ilog2();
/// Slots in which windows are counted; two that share one are taken for more common than they are.
const COUNT_SLOTS_LOG2: u32 = 16;
/// Added to the count of windows that ordinary events are full of.
const ORDINARY_COUNT: u32 = 1 << 20;

/// A text to look for.
#[derive(Clone, Copy, Debug)]
struct Literal {
    start: u32,
    len: u32,
    place: Place,
}

/// Where one text shows itself.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u32,
    /// How far into the text the window is.
    offset: u32,
    text: Literal,
    number: u32,
}

/// Texts of one subject; each is known by its number in the order in which it was given.
#[derive(Debug, Default)]
pub(super) struct Finder {
    text: String,
    windows: Table,
    pairs: Table,
    singles: Vec<Entry>,
    wholes: Table,
    /// Bit `n` of lengths that whole values have; all of 63 bytes and more share one.
    whole_lengths: u64,
}

/// Entries by a hash of their key, with a mark for each hash in front.
#[derive(Debug, Default)]
struct Table {
    marks: Vec<u8>,
    /// By slot: the first entry; one more slot ends the last.
    heads: Vec<u32>,
    entries: Vec<Entry>,
}

/// Hashes that share a slot.
const HASHES_PER_SLOT_LOG2: u32 = 3;

impl Table {
    fn new(mut entries: Vec<Entry>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let wanted = entries.len() * MARKS_PER_KEY;
        let size = [MARKS_SMALL, MARKS_MIDDLE].into_iter().find(|size| wanted <= *size).unwrap_or(MARKS_LARGE);
        let mut table = Self { marks: vec![0; size], ..Self::default() };
        entries.sort_by_key(|entry| (table.slot(table.hash(entry.key)), entry.key));
        table.heads = vec![0; (size >> HASHES_PER_SLOT_LOG2) + 1];
        for entry in &entries {
            let hash = table.hash(entry.key);
            table.marks[hash as usize] = 1;
            let slot = table.slot(hash);
            table.heads[slot + 1] += 1;
        }
        for slot in 1..table.heads.len() {
            table.heads[slot] += table.heads[slot - 1];
        }
        table.entries = entries;
        table
    }

    fn hash(&self, key: u32) -> u32 {
        product_of(key) & (self.marks.len() as u32).wrapping_sub(1)
    }

    fn slot(&self, hash: u32) -> usize {
        (hash >> HASHES_PER_SLOT_LOG2) as usize
    }

    fn entries(&self, key: u32, hash: u32) -> impl Iterator<Item = &Entry> {
        let slot = self.slot(hash);
        let range = self.heads[slot] as usize..self.heads[slot + 1] as usize;
        self.entries[range].iter().filter(move |entry| entry.key == key)
    }
}

/// What a hash is cut from.
fn product_of(key: u32) -> u32 {
    key.wrapping_mul(0x9e37_79b1) >> LOW_BITS
}

impl Finder {
    /// Texts and where each must stand; none is empty but whole values.
    pub(super) fn new<'a>(texts: impl Iterator<Item = (&'a str, Place)>) -> Self {
        let (mut finder, mut literals) = (Self::default(), Vec::new());
        for (text, place) in texts {
            let start = finder.text.len() as u32;
            finder.text.push_str(text);
            literals.push(Literal { start, len: text.len() as u32, place });
        }
        finder.text.extend(std::iter::repeat_n('\0', READ_BEYOND));
        finder.text.shrink_to_fit();
        let counts = finder.count_windows(&literals);
        let (mut windows, mut pairs, mut singles) = (Vec::new(), Vec::new(), Vec::new());
        let (mut wholes, mut whole_lengths) = (Vec::new(), 0);
        for (number, text) in (0..).zip(&literals) {
            let (bytes, text) = (finder.bytes(*text), *text);
            match bytes {
                _ if text.place == Place::Whole => {
                    wholes.push(Entry { key: hash_of(bytes), offset: 0, text, number });
                    whole_lengths |= 1 << bytes.len().min(63);
                }
                [] => {}
                [one] => singles.push(Entry { key: u32::from(*one), offset: 0, text, number }),
                [first, second] | [first, second, _] => {
                    let key = u32::from(u16::from_le_bytes([*first, *second]));
                    pairs.push(Entry { key, offset: 0, text, number });
                }
                _ => {
                    let rarest = windows_of(bytes).min_by_key(|(_, window)| counts[count_slot(*window)]);
                    windows.extend(rarest.map(|(offset, key)| Entry { key, offset, text, number }));
                }
            }
        }
        finder.windows = Table::new(windows);
        finder.pairs = Table::new(pairs);
        finder.wholes = Table::new(wholes);
        (finder.singles, finder.whole_lengths) = (singles, whole_lengths);
        finder
    }

    fn bytes(&self, literal: Literal) -> &[u8] {
        &self.text.as_bytes()[literal.start as usize..(literal.start + literal.len) as usize]
    }

    fn count_windows(&self, literals: &[Literal]) -> Vec<u32> {
        let mut counts = vec![0; 1 << COUNT_SLOTS_LOG2];
        for literal in literals.iter().filter(|literal| literal.place != Place::Whole) {
            windows_of(self.bytes(*literal)).for_each(|(_, window)| counts[count_slot(window)] += 1);
        }
        for text in ORDINARY {
            windows_of(text.as_bytes()).for_each(|(_, window)| counts[count_slot(window)] += ORDINARY_COUNT);
        }
        counts
    }

    /// Calls `found` with the number of each text that stands where it must; with some more than once.
    ///
    /// The value is a part of a text that goes on for at least [`READ_BEYOND`] bytes after it.
    pub(super) fn find(&self, value: Value<'_>, found: &mut impl FnMut(u32)) {
        self.find_windows::<WINDOW_BYTES>(&self.windows, value, found);
        self.find_windows::<PAIR_BYTES>(&self.pairs, value, found);
        let bytes = value.bytes();
        for single in &self.singles {
            let byte = single.key as u8;
            let is_there = match single.text.place {
                Place::Anywhere => memchr::memchr(byte, bytes).is_some(),
                Place::Start => bytes.first() == Some(&byte),
                Place::End => bytes.last() == Some(&byte),
                Place::Whole => false,
            };
            if is_there {
                found(single.number);
            }
        }
        if self.whole_lengths >> bytes.len().min(63) & 1 == 1 {
            let key = hash_of(bytes);
            let equal = |entry: &&Entry| self.bytes(entry.text) == bytes;
            let entries = self.wholes.entries(key, self.wholes.hash(key));
            entries.filter(equal).for_each(|entry| found(entry.number));
        }
    }

    fn find_windows<const BYTES: usize>(&self, table: &Table, value: Value<'_>, found: &mut impl FnMut(u32)) {
        let marks = table.marks.as_slice();
        if let Ok(marks) = marks.try_into() {
            self.find_marks::<BYTES, MARKS_SMALL>(table, marks, value, found);
        } else if let Ok(marks) = marks.try_into() {
            self.find_marks::<BYTES, MARKS_MIDDLE>(table, marks, value, found);
        } else if let Ok(marks) = marks.try_into() {
            self.find_marks::<BYTES, MARKS_LARGE>(table, marks, value, found);
        }
    }

    fn find_marks<const BYTES: usize, const SIZE: usize>(
        &self,
        table: &Table,
        marks: &[u8; SIZE],
        value: Value<'_>,
        found: &mut impl FnMut(u32),
    ) {
        let windows = (value.len + 1).saturating_sub(BYTES);
        let text = &value.text[value.start..];
        let mut block = 0;
        while block < windows {
            // Without a branch for each window or few, so that the processor looks at many at once.
            let (mut set, mut at) = (0_u64, block);
            while at < windows.min(block + BLOCK) {
                let Some(chunk) = text[at..].first_chunk::<CHUNK_BYTES>() else { return };
                let mut some = 0;
                for step in 0..STEPS {
                    let window = window_at::<BYTES>(&chunk[step..]);
                    some |= u32::from(marks[product_of(window) as usize & (SIZE - 1)]) << step;
                }
                set |= u64::from(some) << (at - block);
                at += STEPS;
            }
            while set != 0 {
                let at = block + set.trailing_zeros() as usize;
                set &= set - 1;
                let window = window_at::<BYTES>(&text[at..]);
                for entry in table.entries(window, table.hash(window)) {
                    if self.stands(entry, value, at) {
                        found(entry.number);
                    }
                }
            }
            block += BLOCK;
        }
    }

    /// Whether the text of an entry, whose window is at this place of a value, is there as a whole.
    fn stands(&self, entry: &Entry, value: Value<'_>, at: usize) -> bool {
        let (text, len) = (entry.text, entry.text.len as usize);
        let Some(start) = at.checked_sub(entry.offset as usize).filter(|start| start + len <= value.len) else {
            return false;
        };
        let is_placed = match text.place {
            Place::Anywhere => true,
            Place::Start => start == 0,
            Place::End => start + len == value.len,
            Place::Whole => start == 0 && len == value.len,
        };
        is_placed && is_equal(&value.text[value.start + start..], &self.text.as_bytes()[text.start as usize..], len)
    }
}

/// Whether two texts begin with the same bytes; both go on for at least [`READ_BEYOND`] bytes after these.
///
/// Most are short: two or three words are compared sooner than a function for any length is called.
fn is_equal(left: &[u8], right: &[u8], len: usize) -> bool {
    let mut from = 0;
    while from < len {
        let (Some(left), Some(right)) = (word_at(left, from), word_at(right, from)) else { return false };
        let beyond = WORD_BYTES.saturating_sub(len - from) * 8;
        if (left ^ right) << beyond != 0 {
            return false;
        }
        from += WORD_BYTES;
    }
    true
}

/// A value within the text that it was cut from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) len: usize,
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        &self.text[self.start..self.start + self.len]
    }
}

/// Bytes that are compared at once.
const WORD_BYTES: usize = 8;

/// The bytes from a place on, the first one lowest.
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    text[at..].first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// The window that a text begins with.
fn window_at<const BYTES: usize>(text: &[u8]) -> u32 {
    let mut window = [0; WINDOW_BYTES];
    window[..BYTES].copy_from_slice(&text[..BYTES]);
    u32::from_le_bytes(window)
}

/// Windows whose marks are gathered before the entries of any are looked at.
const BLOCK: usize = u64::BITS as usize;
/// Windows that are looked at in one step.
const STEPS: usize = 8;
/// Bytes that these cover.
const CHUNK_BYTES: usize = STEPS + WINDOW_BYTES - 1;
/// How far a text must go on after a value, so that the end of the value needs no care: texts that
/// seem to stand there are compared and refused.
pub(super) const READ_BEYOND: usize = CHUNK_BYTES;

/// Each window, with where it starts.
fn windows_of(text: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let window = |(at, bytes): (u32, &[u8])| (at, u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    (0..).zip(text.windows(WINDOW_BYTES)).map(window)
}

fn count_slot(window: u32) -> usize {
    (window.wrapping_mul(0x85eb_ca6b) >> (32 - COUNT_SLOTS_LOG2)) as usize
}

/// A hash of a whole value. Values are looked up, never inserted: events cannot make it slow.
fn hash_of(bytes: &[u8]) -> u32 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    (hash >> 32) as u32 ^ hash as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a text is found where it stands, whichever way it is looked for.
    /// Method: every text over two letters up to six bytes, in every place, against values of two letters.
    #[test]
    fn finds_what_a_plain_search_finds() {
        let word = |code: u32, len: u32| (0..len).map(|bit| if code >> bit & 1 == 1 { 'b' } else { 'a' }).collect();
        let words: Vec<String> = (1..=6).flat_map(|len| (0..1 << len).map(move |code| word(code, len))).collect();
        let places = [Place::Anywhere, Place::Start, Place::End, Place::Whole];
        let all: Vec<_> = words.iter().flat_map(|word| places.map(|place| (word.as_str(), place))).collect();
        let finder = Finder::new(all.iter().copied());
        for value in words.iter().map(|word| format!("{word}ab{word}")).chain(words.iter().cloned()) {
            let mut found = Vec::new();
            let text = format!("a{value}{}", "b".repeat(READ_BEYOND));
            let cut = Value { text: text.as_bytes(), start: 1, len: value.len() };
            finder.find(cut, &mut |number| found.push(number));
            found.sort_unstable();
            found.dedup();
            let holds = |(text, place): &(&str, Place)| match place {
                Place::Anywhere => value.contains(text),
                Place::Start => value.starts_with(text),
                Place::End => value.ends_with(text),
                Place::Whole => value == *text,
            };
            let expected: Vec<u32> = (0..all.len() as u32).filter(|at| holds(&all[*at as usize])).collect();
            assert_eq!(found, expected, "{value}");
        }
    }
}
