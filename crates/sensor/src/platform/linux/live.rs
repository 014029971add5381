//! What live sessions see of Linux. Source: reference/live-response.md sections 4.2, 5 and 8.5.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use muster_live::Name;
use tokio::process::Command;

use super::accounts::Names;
use super::system;
use crate::commands::Failure;
use crate::commands::file::bit;
use crate::platform::shapes::Process;

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

/// A path as a session sees it: relative ones begin at its working directory.
#[must_use]
pub fn path(text: &str) -> PathBuf {
    Path::new(&working_directory()).join(text)
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
    let uid = process.account.unwrap_or(0);
    let name = names.get(&uid).unwrap_or_else(|| uid.to_string());
    (format!("S-1-22-1-{uid}"), name)
}

/// The program of a process, as the published form names it.
#[must_use]
pub fn program(process: &Process) -> Option<String> {
    process.path.clone()
}

/// Whether no session may end this process: the system's first, and the sensor itself.
#[must_use]
pub fn is_untouchable(pid: u32) -> bool {
    super::process::is_first(pid) || pid == std::process::id()
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

/// The beginning of a name, so short that a longer one can be made of it.
#[must_use]
pub fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}
