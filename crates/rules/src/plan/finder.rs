//! Finds many texts in a value in one pass whose cost hardly depends on how many there are.
//!
//! A text of four bytes or more is looked for by its rarest window of four bytes: each window
//! of the value is one look into a table of bits, and only where a bit is set is the text itself
//! compared. Shorter texts lie in an Aho-Corasick automaton, whole values in a table by hash. An
//! automaton over everything visits one cold node for each byte of the value as soon as it no
//! longer fits the cache, so that its cost grows with the rules.

use super::cover::{ORDINARY, Place};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// Bytes in a window.
const WINDOW_BYTES: usize = 4;
/// Bits of a table per key, so that one in sixteen is set.
const BITS_PER_KEY: usize = 16;
/// Largest table: 512 KiB, so that it stays in a processor's cache.
const TABLE_BITS_MAX: u32 = 22;
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
    literal: u32,
}

/// Texts of one subject; each is known by its number in the order in which it was given.
#[derive(Debug, Default)]
pub(super) struct Finder {
    text: String,
    literals: Vec<Literal>,
    windows: Table,
    wholes: Table,
    /// Bit `n` of lengths that whole values have; all of 63 bytes and more share one.
    whole_lengths: u64,
    short: Option<AhoCorasick>,
    /// By pattern of the automaton.
    short_literals: Vec<u32>,
}

/// Entries by a hash of their key, with a bit for each hash in front.
#[derive(Debug, Default)]
struct Table {
    bits: Vec<u64>,
    shift: u32,
    /// By slot: the first entry; one more slot ends the last.
    heads: Vec<u32>,
    entries: Vec<Entry>,
}

/// Bits of the hash that share a slot.
const BITS_PER_SLOT_LOG2: u32 = 3;

impl Table {
    fn new(mut entries: Vec<Entry>) -> Self {
        if entries.is_empty() {
            return Self::default();
        }
        let wanted = (entries.len() * BITS_PER_KEY).next_power_of_two().ilog2();
        let size_log2 = wanted.clamp(10, TABLE_BITS_MAX);
        let mut table = Self { shift: 32 - size_log2, ..Self::default() };
        entries.sort_by_key(|entry| (table.slot(table.hash(entry.key)), entry.key));
        table.bits = vec![0; (1 << size_log2) / 64];
        table.heads = vec![0; (1 << (size_log2 - BITS_PER_SLOT_LOG2)) + 1];
        for entry in &entries {
            let hash = table.hash(entry.key);
            table.bits[hash as usize / 64] |= 1 << (hash % 64);
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
        key.wrapping_mul(0x9e37_79b1) >> self.shift
    }

    fn slot(&self, hash: u32) -> usize {
        (hash >> BITS_PER_SLOT_LOG2) as usize
    }

    #[inline]
    fn may_have(&self, hash: u32) -> bool {
        self.bits.get(hash as usize / 64).is_some_and(|word| word >> (hash % 64) & 1 == 1)
    }

    fn entries(&self, key: u32, hash: u32) -> impl Iterator<Item = &Entry> {
        let slot = self.slot(hash);
        let range = self.heads[slot] as usize..self.heads[slot + 1] as usize;
        self.entries[range].iter().filter(move |entry| entry.key == key)
    }
}

impl Finder {
    /// Texts and where each must stand; none is empty but whole values.
    pub(super) fn new<'a>(texts: impl Iterator<Item = (&'a str, Place)>) -> Self {
        let mut finder = Self::default();
        for (text, place) in texts {
            let start = finder.text.len() as u32;
            finder.text.push_str(text);
            finder.literals.push(Literal { start, len: text.len() as u32, place });
        }
        finder.text.shrink_to_fit();
        finder.literals.shrink_to_fit();
        let counts = finder.count_windows();
        let (mut windows, mut wholes, mut short, mut whole_lengths) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (at, literal) in finder.literals.iter().enumerate() {
            let (text, at) = (finder.bytes(*literal), at as u32);
            if literal.place == Place::Whole {
                wholes.push(Entry { key: hash_of(text), offset: 0, literal: at });
                whole_lengths |= 1 << text.len().min(63);
            } else if let Some((offset, key)) = rarest_window(text, &counts) {
                windows.push(Entry { key, offset, literal: at });
            } else {
                short.push(at);
            }
        }
        if !short.is_empty() {
            let mut builder = AhoCorasick::builder();
            builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::DFA));
            let texts = short.iter().map(|at| finder.bytes(finder.literals[*at as usize]));
            finder.short = builder.build(texts).ok();
        }
        (finder.short_literals, finder.whole_lengths) = (short, whole_lengths);
        finder.windows = Table::new(windows);
        finder.wholes = Table::new(wholes);
        finder
    }

    fn bytes(&self, literal: Literal) -> &[u8] {
        &self.text.as_bytes()[literal.start as usize..(literal.start + literal.len) as usize]
    }

    fn count_windows(&self) -> Vec<u32> {
        let mut counts = vec![0; 1 << COUNT_SLOTS_LOG2];
        for literal in self.literals.iter().filter(|literal| literal.place != Place::Whole) {
            windows(self.bytes(*literal)).for_each(|(_, window)| counts[count_slot(window)] += 1);
        }
        for text in ORDINARY {
            windows(text.as_bytes()).for_each(|(_, window)| counts[count_slot(window)] += ORDINARY_COUNT);
        }
        counts
    }

    /// Calls `found` with the number of each text that stands where it must; with some more than once.
    pub(super) fn find(&self, value: &str, found: &mut impl FnMut(u32)) {
        let bytes = value.as_bytes();
        if !self.windows.entries.is_empty() {
            for (at, window) in windows(bytes) {
                let hash = self.windows.hash(window);
                if self.windows.may_have(hash) {
                    self.compare(bytes, at as usize, window, hash, found);
                }
            }
        }
        self.find_short(value, found);
        if self.whole_lengths >> bytes.len().min(63) & 1 == 1 {
            let key = hash_of(bytes);
            let equal = |entry: &&Entry| self.bytes(self.literals[entry.literal as usize]) == bytes;
            let entries = self.wholes.entries(key, self.wholes.hash(key));
            entries.filter(equal).for_each(|entry| found(entry.literal));
        }
    }

    fn find_short(&self, value: &str, found: &mut impl FnMut(u32)) {
        let mut check = |literal: u32, start: usize, end: usize| {
            if stands(self.literals[literal as usize].place, start, end, value.len()) {
                found(literal);
            }
        };
        if let Some(automaton) = &self.short {
            for hit in automaton.find_overlapping_iter(value) {
                check(self.short_literals[hit.pattern().as_usize()], hit.start(), hit.end());
            }
            return;
        }
        // Too many for an automaton: slow and right.
        for literal in &self.short_literals {
            let text = self.bytes(self.literals[*literal as usize]);
            let starts = value.as_bytes().windows(text.len()).enumerate().filter(|window| window.1 == text);
            starts.for_each(|(start, _)| check(*literal, start, start + text.len()));
        }
    }

    fn compare(&self, bytes: &[u8], at: usize, window: u32, hash: u32, found: &mut impl FnMut(u32)) {
        for entry in self.windows.entries(window, hash) {
            let literal = self.literals[entry.literal as usize];
            let Some(start) = at.checked_sub(entry.offset as usize) else { continue };
            let end = start + literal.len as usize;
            if stands(literal.place, start, end, bytes.len()) && bytes.get(start..end) == Some(self.bytes(literal)) {
                found(entry.literal);
            }
        }
    }
}

fn stands(place: Place, start: usize, end: usize, len: usize) -> bool {
    match place {
        Place::Anywhere => true,
        Place::Start => start == 0,
        Place::End => end == len,
        Place::Whole => start == 0 && end == len,
    }
}

fn windows(text: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let window =
        |(at, bytes): (usize, &[u8])| (at as u32, u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    text.windows(WINDOW_BYTES).enumerate().map(window)
}

fn count_slot(window: u32) -> usize {
    (window.wrapping_mul(0x85eb_ca6b) >> (32 - COUNT_SLOTS_LOG2)) as usize
}

fn rarest_window(text: &[u8], counts: &[u32]) -> Option<(u32, u32)> {
    windows(text).min_by_key(|(_, window)| counts[count_slot(*window)])
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
            finder.find(&value, &mut |literal| found.push(literal));
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
