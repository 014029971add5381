//! Files: what makes them private, durable, and what is told of them.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::api;
use crate::commands::Fields;

pub use api::free_bytes;

/// What comes before a path that is taken as it is.
const VERBATIM: &str = r"\\?\";
/// Where devices and pipes are.
const DEVICES: &str = r"\\.\";

/// Options of a file in the sensor's directory, which hands its rights down.
#[must_use]
pub fn private() -> OpenOptions {
    OpenOptions::new()
}

/// Makes a directory, with those above it; leaves one that is there. It has the rights of the one above it.
///
/// # Errors
///
/// What Windows says.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Closes a directory, and what comes to be in it, to everyone but the system, administrators and this account.
///
/// # Errors
///
/// [`io::ErrorKind::PermissionDenied`] if it is a link, which could lead elsewhere later; else what Windows says.
pub fn take_possession(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        let target = fs::read_link(path).unwrap_or_default();
        let text = format!("it is a link: name {} itself", target.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    api::close_to_others(path, &api::own_account()?)
}

/// Whether only this account or administrators can have written a file: that is not looked at, and so of none.
#[must_use]
pub const fn is_trusted(_: &Path) -> bool {
    false
}

/// Lets a file be run, which its name decides.
///
/// # Errors
///
/// None.
pub const fn set_executable(_: &Path, _: bool) -> io::Result<()> {
    Ok(())
}

/// Gives a new file the mode of the one whose place it takes: rights come from the directory.
///
/// # Errors
///
/// None.
pub const fn take_over_mode(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Puts a file whose content is durable in the place of another, durably.
///
/// # Errors
///
/// What Windows says; the old content then stays.
pub fn replace(fresh: &Path, path: &Path) -> io::Result<()> {
    api::move_durably(fresh, path)
}

/// Makes durable which names there are in a directory: that goes with the content of each file.
///
/// # Errors
///
/// None.
pub const fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Where a path leads, without links, as people write it.
///
/// # Errors
///
/// What Windows says.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    let plain = path.to_str().and_then(|text| text.strip_prefix(VERBATIM)).filter(|text| text.get(1..2) == Some(":"));
    Ok(plain.map_or_else(|| path.clone(), PathBuf::from))
}

/// Reads at a place, and all that is asked for.
///
/// # Errors
///
/// What Windows says; [`io::ErrorKind::UnexpectedEof`] at the end of the file.
pub fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_read(buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                at += read as u64;
            }
        }
    }
    Ok(())
}

/// Writes all at a place.
///
/// # Errors
///
/// What Windows says.
pub fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, at)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                at += written as u64;
            }
        }
    }
    Ok(())
}

/// Opens a file for reading; what is a pipe or a device by its name is not even opened.
///
/// # Errors
///
/// [`io::ErrorKind::Unsupported`] for what is no file of a disk; else what Windows says.
pub fn open(path: &Path) -> io::Result<File> {
    if path.as_os_str().as_encoded_bytes().starts_with(DEVICES.as_bytes()) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let file = File::open(path)?;
    if api::is_on_disk(&file) { Ok(file) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Attributes, in the bits that Windows has for them.
#[must_use]
pub fn attributes(_: &Path, metadata: &Metadata) -> u32 {
    metadata.file_attributes()
}

/// Whose a file is: that is not told.
#[must_use]
pub fn ownership(_: &Metadata) -> Fields {
    Fields::new()
}

/// What changes when the content of a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    number: (u32, u64),
    /// Length.
    pub bytes: u64,
    created: u64,
    written: u64,
}

impl Content {
    /// That of an open file.
    ///
    /// # Errors
    ///
    /// What Windows says.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            number: api::file_number(file)?,
            bytes: metadata.len(),
            created: metadata.creation_time(),
            written: metadata.last_write_time(),
        })
    }

    /// A text for it, without blanks.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}-{}-{}", self.number.1, self.bytes, self.written)
    }
}
