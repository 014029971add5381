//! Looks for damage in the log of writes, which SQLite passes over without a word.
//!
//! The log (`-wal`) holds pages that are not in the file yet, each with a checksum over all before it. SQLite reads it up
//! to the first checksum that is wrong and takes what follows for the rest of a write that a crash cut short. So one
//! flipped bit takes back every commit behind it. But a commit begins only after the one before was synced: where
//! more than one commit stands behind a wrong checksum, at least one of them had been acknowledged.
//!
//! Not found here: a log that is gone, or that ends early at a commit, and damage in the last commit, which looks like a
//! write that was cut short.
//!
//! Source: the file format of SQLite, "Write-Ahead Log Files".

use super::open::file_error;
use crate::store::StoreError;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The first word of a log whose checksums read words with the highest byte last; with the lowest bit set, first.
const MAGIC: u32 = 0x377f_0682;

/// Largest page of SQLite, in bytes.
const PAGE_BYTES_MAX: u32 = 65_536;

/// Path of the log of a database file.
pub(super) fn path_of(database: &Path) -> PathBuf {
    let mut path = database.to_owned().into_os_string();
    path.push("-wal");
    path.into()
}

/// Refuses a log in which commits stand behind damage. Call it before SQLite opens the file, which may cut the log.
pub(super) fn check(database: &Path) -> Result<(), StoreError> {
    let path = path_of(database);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error(&path, &error)),
    };
    let lost = commits_behind_damage(&mut BufReader::new(file)).map_err(|error| file_error(&path, &error))?;
    if lost < 2 {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "{}: the log of writes is damaged, and {lost} commits stand behind the damage; restore a backup made by `muster \
         backup`, or move this file away to go on without what was written last",
        path.display()
    )))
}

/// Checksum of SQLite over whole pairs of words.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(mut self, bytes: &[u8], is_highest_first: bool) -> Self {
        let word = |bytes: &[u8]| if is_highest_first { word(bytes) } else { word(bytes).swap_bytes() };
        for pair in bytes.chunks_exact(8) {
            self.0 = self.0.wrapping_add(word(&pair[..4])).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(&pair[4..])).wrapping_add(self.0);
        }
        self
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Commits of this log at or behind the first checksum that is wrong.
fn commits_behind_damage(log: &mut impl Read) -> std::io::Result<u64> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(0);
    }
    let page_bytes = word(&header[8..]);
    let is_page = page_bytes.is_power_of_two() && (512..=PAGE_BYTES_MAX).contains(&page_bytes);
    if word(&header) & !1 != MAGIC || !is_page {
        return Ok(0);
    }
    let is_highest_first = word(&header) & 1 == 1;
    let mut sum = Sum(0, 0).over(&header[..24], is_highest_first);
    let mut is_damaged = sum != Sum(word(&header[24..]), word(&header[28..]));
    let (mut frame, mut page) = ([0; FRAME_HEADER_BYTES], vec![0; page_bytes as usize]);
    // A damaged header may have damaged salts: then those of the first frame are the right ones.
    let mut salt = (!is_damaged).then(|| header[16..24].to_vec());
    let mut lost = 0;
    while fill(log, &mut frame)? && fill(log, &mut page)? {
        // What an earlier round of the log left behind has other salts.
        if frame[8..16] != salt.get_or_insert_with(|| frame[8..16].to_vec())[..] {
            is_damaged = true;
            continue;
        }
        if !is_damaged {
            sum = sum.over(&frame[..8], is_highest_first).over(&page, is_highest_first);
            is_damaged = sum != Sum(word(&frame[16..]), word(&frame[20..]));
        }
        let is_commit = word(&frame[4..]) != 0;
        lost += u64::from(is_damaged && is_commit);
    }
    Ok(lost)
}

/// Reads a whole piece; `false` at the end, or if only a part is there.
fn fill(from: &mut impl Read, piece: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(piece) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
