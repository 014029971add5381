//! What live sessions see of Linux. Source: reference/live-response.md sections 4.2, 5 and 8.5.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use muster_live::{Code, Name};
use rustix::io::Errno;
use tokio::process::Command;

use super::accounts::Names;
use super::process::Process;
use super::system;
use crate::commands::Failure;
use crate::commands::file::bit;

/// Longest name of a file, in bytes, with room for what makes a temporary one of it.
const NAME_BYTES_MAX: usize = 200;

/// What can be carried out here.
#[must_use]
pub fn commands() -> Vec<Name> {
    let is_possible = |name: &Name| {
        matches!(
            name,
            Name::PutFile
                | Name::GetFile
                | Name::Memdump
                | Name::CreateDirectory
                | Name::DeleteFile
                | Name::DirectoryList
                | Name::ProcessList
                | Name::Kill
                | Name::CreateProcess
        )
    };
    Name::all().filter(is_possible).collect()
}

/// Logical drives.
#[must_use]
pub fn drives() -> Vec<String> {
    vec!["/".to_owned()]
}

/// Where relative paths begin.
#[must_use]
pub fn working_directory() -> String {
    "/".to_owned()
}

/// For people.
#[must_use]
pub fn os_version() -> String {
    let version = system::version();
    format!("{} {} (kernel {})", version.name, version.version, version.kernel)
}

/// Whether a character separates directories.
#[must_use]
pub const fn is_separator(char: char) -> bool {
    char == '/'
}

/// Whether a name fits a pattern, by the matcher of all listings.
pub fn is_match(pattern: &[u8], name: &[u8], matches: fn(&[u8], &[u8]) -> bool) -> bool {
    matches(pattern, name)
}

/// The attributes of an entry, as sessions see them: what is neither file, directory nor link is a device.
#[must_use]
pub fn attributes(attributes: u32, metadata: &Metadata, name: &str) -> u32 {
    let kind = metadata.file_type();
    let attributes = if name == "." || name == ".." { attributes & !bit::HIDDEN } else { attributes };
    let is_device = !kind.is_file() && !kind.is_dir() && !kind.is_symlink();
    if is_device { attributes & !bit::ARCHIVE | bit::DEVICE } else { attributes }
}

/// Short name of a file; there are none.
#[must_use]
pub const fn alternate_name(_: &Path) -> String {
    String::new()
}

/// Security identifier and name of the account of a process.
#[must_use]
pub fn account(process: &Process, names: &Names) -> (String, String) {
    let uid = process.uid.unwrap_or(0);
    let name = names.get(uid).map_or_else(|| uid.to_string(), str::to_owned);
    (format!("S-1-22-1-{uid}"), name)
}

/// Whether no session may end this process: the system's first, and the sensor itself.
#[must_use]
pub fn is_untouchable(pid: u32) -> bool {
    pid == 1 || pid == std::process::id()
}

/// The program that a line names, and the command that starts it: no shell, and nothing is expanded.
///
/// # Errors
///
/// `INVALID_PARAMETER` for a line that cannot be split.
pub fn command(line: &str) -> Result<(String, Command), Failure> {
    let wrong = |text: String| Failure::new(crate::commands::code::INVALID_PARAMETER, text);
    let words = muster_command::split_arguments(line).map_err(|error| wrong(error.to_string()))?;
    let (program, arguments) = words.split_first().ok_or_else(|| wrong("the line names no program".to_owned()))?;
    let mut command = Command::new(program);
    super::children::give_environment(&mut command);
    command.args(arguments);
    Ok((program.clone(), command))
}

/// Makes or empties a file that only its owner may read.
///
/// # Errors
///
/// What the kernel says.
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Gives a new file the mode of the one whose place it takes, if there is one.
///
/// # Errors
///
/// What the kernel says.
pub fn take_over_mode(old: &Path, new: &Path) -> io::Result<()> {
    match fs::symlink_metadata(old) {
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(new, fs::Permissions::from_mode(metadata.permissions().mode() & 0o7777))
        }
        _ => Ok(()),
    }
}

/// The beginning of a name, so short that a longer one can be made of it.
#[must_use]
pub fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// The code of an error of the kernel.
#[must_use]
pub fn code(error: &io::Error) -> Code {
    let Some(errno) = Errno::from_io_error(error) else {
        return match error.kind() {
            io::ErrorKind::TimedOut => Code::TIMEOUT,
            // A path with a zero byte in it, before the kernel was asked.
            io::ErrorKind::InvalidInput => Code::INVALID_NAME,
            _ => Code::GEN_FAILURE,
        };
    };
    match errno {
        Errno::NOENT => Code::FILE_NOT_FOUND,
        Errno::NOTDIR => Code::PATH_NOT_FOUND,
        Errno::ACCESS | Errno::PERM | Errno::ISDIR => Code::ACCESS_DENIED,
        Errno::ROFS => Code::WRITE_PROTECT,
        Errno::EXIST => Code::ALREADY_EXISTS,
        Errno::NOTEMPTY => Code::DIR_NOT_EMPTY,
        Errno::INVAL | Errno::SRCH => Code::INVALID_PARAMETER,
        Errno::NOSPC | Errno::DQUOT => Code::DISK_FULL,
        Errno::NAMETOOLONG => Code::FILENAME_TOO_LONG,
        Errno::LOOP => Code::CANT_RESOLVE_FILENAME,
        Errno::MFILE | Errno::NFILE => Code::TOO_MANY_OPEN_FILES,
        Errno::NOMEM => Code::NOT_ENOUGH_MEMORY,
        Errno::TXTBSY => Code::SHARING_VIOLATION,
        Errno::BUSY => Code::BUSY,
        Errno::NOEXEC => Code::BAD_EXE_FORMAT,
        Errno::OPNOTSUPP | Errno::NOSYS => Code::NOT_SUPPORTED,
        Errno::IO => Code::IO_DEVICE,
        Errno::TIMEDOUT => Code::TIMEOUT,
        _ => Code::GEN_FAILURE,
    }
}

/// Bytes that may still be written to the file system of a path.
///
/// # Errors
///
/// What the kernel says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
