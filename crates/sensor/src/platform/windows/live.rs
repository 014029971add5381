//! What live sessions see of Windows. Source: reference/live-response.md sections 4.2 and 5.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use muster_live::Name;
use tokio::process::Command;

use super::accounts::Names;
use super::{api, children, process, system};
use crate::commands::{Failure, code};
use crate::platform::shapes::Process;

/// Longest name of a file, in bytes of UTF-8, with room for what makes a temporary one of it.
const NAME_BYTES_MAX: usize = 200;
/// An account that is not known: everyone's.
const NOBODY: &str = "S-1-0-0";

/// What can be carried out here.
#[must_use]
pub fn commands() -> Vec<Name> {
    Name::all().collect()
}

/// Logical drives.
#[must_use]
pub fn drives() -> Vec<String> {
    api::drives().into_iter().map(|letter| format!("{letter}:\\")).collect()
}

/// Where relative paths begin.
#[must_use]
pub fn working_directory() -> String {
    let drive = std::env::var("SystemDrive").unwrap_or_else(|_| "C:".to_owned());
    format!("{drive}\\")
}

/// A path as a session sees it: relative ones begin at its working directory, and a drive alone is its root.
#[must_use]
pub fn path(text: &str) -> PathBuf {
    let (mut plain, mut was_separator) = (String::new(), false);
    for (at, char) in text.chars().enumerate() {
        // The two at the beginning are of shares and devices.
        if !(was_separator && is_separator(char)) || at == 1 {
            plain.push(if is_separator(char) { '\\' } else { char });
        }
        was_separator = is_separator(char);
    }
    if plain.len() == 2 && plain.ends_with(':') {
        plain.push('\\');
    }
    Path::new(&working_directory()).join(plain)
}

/// For people.
#[must_use]
pub fn os_version() -> String {
    let version = system::version();
    format!("{} {} (build {})", version.name, version.version, version.build)
}

/// Whether a character separates directories.
#[must_use]
pub const fn is_separator(char: char) -> bool {
    matches!(char, '\\' | '/')
}

/// Whether a name fits a pattern, by the matcher of all listings: in any case, and `*.*` is everything.
pub fn is_match(pattern: &[u8], name: &[u8], matches: fn(&[u8], &[u8]) -> bool) -> bool {
    let folded = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    pattern == b"*.*" || matches(folded(pattern).as_bytes(), folded(name).as_bytes())
}

/// The attributes of an entry, as sessions see them: those that Windows tells.
#[must_use]
pub const fn attributes(attributes: u32, _: &Metadata, _: &str) -> u32 {
    attributes
}

/// Short name of a file, if it has another beside it.
#[must_use]
pub fn alternate_name(path: &Path) -> String {
    api::short_name(path).unwrap_or_default()
}

/// Security identifier and name of the account of a process.
#[must_use]
pub fn account(process: &Process, names: &Names) -> (String, String) {
    let id = process.account.clone().unwrap_or_else(|| NOBODY.to_owned());
    let name = names.get(&id).unwrap_or_default();
    (id, name)
}

/// The program of a process, as the published form names it.
#[must_use]
pub fn program(process: &Process) -> Option<String> {
    process::native_path(process.pid).or_else(|| process.path.clone())
}

/// Whether no session may end this process: the system's first, and the sensor itself.
#[must_use]
pub fn is_untouchable(pid: u32) -> bool {
    process::is_first(pid) || pid == std::process::id()
}

/// The program that a line names, and the command that starts it: no shell, and the rest goes to it unchanged.
///
/// # Errors
///
/// `INVALID_PARAMETER` for a line that names no program.
pub fn command(line: &str) -> Result<(String, Command), Failure> {
    let wrong = || Failure::new(code::INVALID_PARAMETER, "the line names no program");
    let (program, rest) = split(line.trim_start()).ok_or_else(wrong)?;
    let mut command = Command::new(program);
    children::give_environment(&mut command);
    command.raw_arg(rest.trim_start());
    Ok((program.to_owned(), command))
}

/// Program and arguments. Source: Microsoft, `CreateProcessW`, on paths with blanks that are not quoted.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = line.strip_prefix('"') {
        return quoted.split_once('"').filter(|(program, _)| !program.is_empty());
    }
    let is_program = |text: &&str| Path::new(text).is_file() || Path::new(&format!("{text}.exe")).is_file();
    let blanks = line.match_indices([' ', '\t']).map(|(at, _)| at).chain([line.len()]);
    let program = blanks.map(|at| &line[..at]).find(is_program);
    let program = program.or_else(|| line.split([' ', '\t']).next()).filter(|program| !program.is_empty())?;
    Some((program, &line[program.len()..]))
}

/// The beginning of a name, so short that a longer one can be made of it.
#[must_use]
pub fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}
