//! Finds many texts in a value in one pass whose cost hardly depends on how many there are.
//!
//! A text of four bytes or more is looked for by its rarest window of four bytes: each window
//! of the value is one look into a table of bits, and only where a bit is set is the text itself
//! compared. Shorter texts have a table of windows of their own length, whole values one by hash.
//! An Aho-Corasick automaton over all of them visits one cold node for each byte of the value as
//! soon as it no longer fits the cache, so that its cost grows with the rules; these tables do not.

use super::cover::{ORDINARY, Place};

/// Most bytes in a window.
const WINDOW_BYTES_MAX: usize = 4;
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

/// Who is told of texts, by number.
pub(super) trait Hits {
    /// Whether a text was not found before; those that were need not be found again.
    fn is_news(&self, text: u32) -> bool;

    /// A text is found.
    fn hit(&mut self, text: u32);
}

/// Texts of one subject; each is known by its number in the order in which it was given.
#[derive(Debug, Default)]
pub(super) struct Finder {
    text: String,
    literals: Vec<Literal>,
    /// By length of the window, less one.
    windows: [Table; WINDOW_BYTES_MAX],
    wholes: Table,
    /// Bit `n` of lengths that whole values have; all of 63 bytes and more share one.
    whole_lengths: u64,
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

    /// One, if some key may have this hash.
    #[inline]
    fn bit(&self, hash: u32) -> u32 {
        self.bits.get(hash as usize / 64).map_or(0, |word| (word >> (hash % 64)) as u32 & 1)
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
        let (mut windows, mut wholes, mut whole_lengths) = ([const { Vec::new() }; WINDOW_BYTES_MAX], Vec::new(), 0);
        for (at, literal) in finder.literals.iter().enumerate() {
            let (text, at) = (finder.bytes(*literal), at as u32);
            if literal.place == Place::Whole {
                wholes.push(Entry { key: hash_of(text), offset: 0, literal: at });
                whole_lengths |= 1 << text.len().min(63);
            } else if let Some((offset, key)) = rarest_window(text, &counts) {
                windows[text.len().min(WINDOW_BYTES_MAX) - 1].push(Entry { key, offset, literal: at });
            }
        }
        finder.windows = windows.map(Table::new);
        finder.wholes = Table::new(wholes);
        finder.whole_lengths = whole_lengths;
        finder
    }

    fn bytes(&self, literal: Literal) -> &[u8] {
        &self.text.as_bytes()[literal.start as usize..(literal.start + literal.len) as usize]
    }

    fn count_windows(&self) -> Vec<u32> {
        let mut counts = vec![0; 1 << COUNT_SLOTS_LOG2];
        for literal in self.literals.iter().filter(|literal| literal.place != Place::Whole) {
            windows::<WINDOW_BYTES_MAX>(self.bytes(*literal)).for_each(|(_, window)| counts[count_slot(window)] += 1);
        }
        for text in ORDINARY {
            let windows = windows::<WINDOW_BYTES_MAX>(text.as_bytes());
            windows.for_each(|(_, window)| counts[count_slot(window)] += ORDINARY_COUNT);
        }
        counts
    }

    /// Tells of each text that stands where it must.
    pub(super) fn find(&self, value: &str, hits: &mut impl Hits) {
        let bytes = value.as_bytes();
        self.find_windows::<1>(bytes, hits);
        self.find_windows::<2>(bytes, hits);
        self.find_windows::<3>(bytes, hits);
        self.find_windows::<4>(bytes, hits);
        if self.whole_lengths >> bytes.len().min(63) & 1 == 1 {
            let key = hash_of(bytes);
            let equal = |entry: &&Entry| self.bytes(self.literals[entry.literal as usize]) == bytes;
            let entries = self.wholes.entries(key, self.wholes.hash(key));
            entries.filter(equal).for_each(|entry| hits.hit(entry.literal));
        }
    }

    fn find_windows<const BYTES: usize>(&self, value: &[u8], hits: &mut impl Hits) {
        let table = &self.windows[BYTES - 1];
        if table.entries.is_empty() {
            return;
        }
        let window_at = |chunk: u128, step: usize| (chunk >> (8 * step)) as u32 & (u32::MAX >> (32 - 8 * BYTES));
        for at in (0..(value.len() + 1).saturating_sub(BYTES)).step_by(STEPS) {
            let chunk = chunk_at(value, at);
            // Without a branch for each window, so that the processor looks at several at once.
            let mut bits = 0;
            for step in 0..STEPS {
                bits |= table.bit(table.hash(window_at(chunk, step))) << step;
            }
            while bits != 0 {
                let step = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let window = window_at(chunk, step);
                let entries = table.entries(window, table.hash(window));
                entries.for_each(|entry| self.compare(value, at + step, entry, hits));
            }
        }
    }

    fn compare(&self, value: &[u8], at: usize, entry: &Entry, hits: &mut impl Hits) {
        let literal = self.literals[entry.literal as usize];
        let Some(start) = at.checked_sub(entry.offset as usize) else { return };
        let end = start + literal.len as usize;
        let is_there = stands(literal.place, start, end, value.len()) && hits.is_news(entry.literal);
        if is_there && value.get(start..end) == Some(self.bytes(literal)) {
            hits.hit(entry.literal);
        }
    }
}

/// Windows that are looked at in one step.
const STEPS: usize = 8;

/// Sixteen bytes from here on, with zeros after the last; texts that these seem to show are compared and refused.
fn chunk_at(value: &[u8], at: usize) -> u128 {
    let rest = &value[at..];
    let chunk = rest.first_chunk::<16>().copied().unwrap_or_else(|| {
        let mut chunk = [0; 16];
        chunk[..rest.len()].copy_from_slice(rest);
        chunk
    });
    u128::from_le_bytes(chunk)
}

fn stands(place: Place, start: usize, end: usize, len: usize) -> bool {
    match place {
        Place::Anywhere => true,
        Place::Start => start == 0,
        Place::End => end == len,
        Place::Whole => start == 0 && end == len,
    }
}

/// Each window of so many bytes, with where it starts.
fn windows<const BYTES: usize>(text: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
    text.windows(BYTES).enumerate().map(move |(at, bytes)| (at as u32, number(bytes)))
}

fn count_slot(window: u32) -> usize {
    (window.wrapping_mul(0x85eb_ca6b) >> (32 - COUNT_SLOTS_LOG2)) as usize
}

/// The window by which a text is looked for, with where it starts; a short text is its own window.
fn rarest_window(text: &[u8], counts: &[u32]) -> Option<(u32, u32)> {
    match text.len() {
        0 => None,
        1 => windows::<1>(text).next(),
        2 => windows::<2>(text).next(),
        3 => windows::<3>(text).next(),
        _ => windows::<WINDOW_BYTES_MAX>(text).min_by_key(|(_, window)| counts[count_slot(*window)]),
    }
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

    impl Hits for Vec<u32> {
        fn is_news(&self, text: u32) -> bool {
            !self.contains(&text)
        }

        fn hit(&mut self, text: u32) {
            self.push(text);
        }
    }

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
            finder.find(&value, &mut found);
            found.sort_unstable();
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
