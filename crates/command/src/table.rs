//! The table of commands, and finding one by its name.

mod arguments;
mod specs;

use crate::Spec;

/// Other names of commands, each with the tokens that it stands for.
///
/// Source: reference/commands.md section 2.2.
const ALIASES: &[(&str, &str, &[&str])] = &[
    ("dir_findhash", "dir_find_hash", &[]),
    ("isolate_network", "segregate_network", &[]),
    ("log_get", "artifact_get", &[]),
    ("os_netstat", "netstat", &[]),
    ("os_process", "os_processes", &[]),
    ("unseal", "seal", &["--disable"]),
];

/// Longest name for which a similar command is looked for, in bytes; all names are shorter.
const SUGGESTION_BYTES_MAX: usize = 64;

/// Least Jaro-Winkler similarity of a suggestion: one wrong letter in a short
/// name, or a missing last word, and hardly anything else.
const SUGGESTION_SIMILARITY_MIN: f64 = 0.85;

/// All commands, sorted by name, without aliases.
#[must_use]
pub fn commands() -> &'static [Spec] {
    specs::SPECS
}

/// Other names of commands, sorted, each with the command that it stands for.
pub fn aliases() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALIASES.iter().map(|(alias, name, _)| (*alias, *name))
}

/// The command with this name or alias; case-sensitive.
#[must_use]
pub fn find(name: &str) -> Option<&'static Spec> {
    resolve(name).map(|(spec, _)| spec)
}

/// As [`find`], with the tokens that an alias puts behind the name.
pub(crate) fn resolve(name: &str) -> Option<(&'static Spec, &'static [&'static str])> {
    let alias = ALIASES.iter().find(|(alias, ..)| *alias == name);
    let (name, implied) = alias.map_or((name, &[][..]), |(_, name, implied)| (*name, *implied));
    let at = commands().binary_search_by_key(&name, |spec| spec.name).ok()?;
    commands().get(at).map(|spec| (spec, implied))
}

/// The command or alias most similar to an unknown name, if one is similar enough.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > SUGGESTION_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase();
    commands()
        .iter()
        .map(|spec| spec.name)
        .chain(aliases().map(|(alias, _)| alias))
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(similarity, _)| *similarity >= SUGGESTION_SIMILARITY_MIN)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}
