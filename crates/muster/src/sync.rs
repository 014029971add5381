//! `muster sync`: the configuration of an organization as a file.

mod document;

use crate::confirm::confirm;
use crate::exit::Usage;
use crate::show;
use anyhow::Context as _;
use document::Document;
use muster_client::{Client, InfrastructureOperation, PushMode, Sections};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Hives that are pulled unless others are named.
const HIVES: [&str; 15] = [
    "dr-general",
    "dr-managed",
    "dr-service",
    "fp",
    "lookup",
    "secret",
    "extension_config",
    "yara",
    "query",
    "playbook",
    "external_adapter",
    "cloud_sensor",
    "sop",
    "org_notes",
    "model",
];

/// What to do with the configuration.
#[derive(clap::Subcommand)]
pub enum SyncVerb {
    /// Write the configuration as YAML: to a file, or to standard output
    ///
    /// It holds secrets: outputs have keys, and there is the hive of secrets.
    ///
    ///   muster sync pull org.yaml
    ///   muster sync pull --only outputs,hives/dr-general,hives/fp
    #[command(verbatim_doc_comment)]
    Pull {
        /// The file; absent is standard output
        file: Option<PathBuf>,
        /// Only these sections, separated by commas; a hive is hives/NAME
        #[arg(long, value_name = "SECTION", value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Make the organization look like a file: all of it, or nothing
    ///
    /// Shows what would be done, unless told to do it. Only sections that the file has are looked at. Files that it
    /// names under include belong to it; so do the older sections rules and fps.
    ///
    ///   muster sync push org.yaml
    ///   muster sync push org.yaml --no-dry-run
    ///   muster sync push org.yaml --force --no-dry-run
    ///   muster sync push template-of-others.yaml --skip-unknown
    #[command(verbatim_doc_comment)]
    Push {
        /// The file: YAML or JSON
        file: PathBuf,
        /// Only these sections, separated by commas; a hive is hives/NAME
        #[arg(long, value_name = "SECTION", value_delimiter = ',')]
        only: Vec<String>,
        /// Delete what the file does not have
        #[arg(long)]
        force: bool,
        /// Pass over sections, hives, extensions and modules of outputs that the server does not have, and say so
        #[arg(long)]
        skip_unknown: bool,
        /// Really do it
        #[arg(long)]
        no_dry_run: bool,
        /// Do not ask before something is deleted
        #[arg(long, short)]
        yes: bool,
    },
}

/// Carries it out.
///
/// # Errors
///
/// If the file cannot be read or written, and whatever the server says.
pub async fn run(verb: SyncVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        SyncVerb::Pull { file, only } => {
            let sections = if only.is_empty() { everything() } else { named(&only)? };
            let configuration = client.configuration(&sections).await?;
            if json {
                show::json(&configuration);
                return Ok(());
            }
            let text =
                serde_saphyr::to_string(&configuration).context("the configuration cannot be written as YAML")?;
            let Some(file) = file else {
                show::line(text.trim_end());
                return Ok(());
            };
            write_privately(&file, &text).with_context(|| format!("{} cannot be written", file.display()))?;
            show::line(format_args!("The configuration is in {}.", file.display()));
            Ok(())
        }
        SyncVerb::Push { file, only, force, skip_unknown, no_dry_run, yes } => {
            let document = Document::read(&file)?;
            let sections = if only.is_empty() { document.sections() } else { named(&only)? };
            let plan = PushMode { is_dry_run: true, is_force: force, skip_unknown };
            let wanted = Wanted { text: &document.text()?, sections: &sections, plan, is_certain: yes };
            push(client, &wanted, no_dry_run, json).await
        }
    }
}

/// What to push.
struct Wanted<'a> {
    text: &'a str,
    sections: &'a Sections,
    plan: PushMode,
    /// Nobody needs to be asked.
    is_certain: bool,
}

/// Plans it and, if that is wanted, does it.
async fn push(client: &Client, wanted: &Wanted<'_>, no_dry_run: bool, json: bool) -> anyhow::Result<()> {
    let Wanted { text, sections, plan, is_certain } = *wanted;
    let before = client.configuration(sections).await?;
    let planned = client.push_configuration(text, sections, plan).await?;
    let removed = planned.ops.iter().filter(|operation| operation.is_removed).count();
    let pushed = if no_dry_run && planned.errors.is_empty() {
        confirm(is_certain || removed == 0, &format!("delete {removed} that the file does not have"))?;
        client.push_configuration(text, sections, PushMode { is_dry_run: false, ..plan }).await?
    } else {
        planned
    };
    if json {
        show::json(&pushed);
    } else {
        pushed.ops.iter().filter_map(|operation| line_of(operation, &before)).for_each(show::line);
        pushed.skipped.iter().for_each(|skipped| show::line(show::safe(&format!("passed over {skipped}"))));
        let same = pushed.ops.iter().filter(|operation| !operation.is_added && !operation.is_removed).count();
        let changes = pushed.ops.len() - same;
        let done = if no_dry_run { "" } else { "Nothing was done yet; add --no-dry-run to do it." };
        if pushed.errors.is_empty() {
            show::line(format_args!("{changes} changes, {same} unchanged. {done}").to_string().trim_end());
        }
    }
    match pushed.errors.is_empty() {
        true => Ok(()),
        false => Err(Usage(format!("nothing was done:\n  {}", pushed.errors.join("\n  "))).into()),
    }
}

fn everything() -> Sections {
    let mut sections = Sections::default();
    for name in Sections::names() {
        sections.add(name);
    }
    for hive in HIVES {
        sections.add(&format!("hives/{hive}"));
    }
    sections
}

fn named(names: &[String]) -> Result<Sections, Usage> {
    let mut sections = Sections::default();
    for name in names {
        if !sections.add(name) {
            let known: Vec<&str> = Sections::names().collect();
            return Err(Usage(format!("no such section: {name}; one of {}, hives/NAME", known.join(", "))));
        }
    }
    Ok(sections)
}

/// One line of the difference; none for what is the same.
fn line_of(operation: &InfrastructureOperation, before: &Map<String, Value>) -> Option<String> {
    let InfrastructureOperation { element, name, is_added, is_removed } = operation;
    let section = match element.as_str() {
        "output" => before.get("outputs"),
        "dr-rule" => before.get("rules"),
        "fp-rule" => before.get("fps"),
        other => before.get(other),
    };
    let known = match element.as_str() {
        "hives" => name.split_once('/').and_then(|(hive, key)| section?.get(hive)?.get(key)),
        _ => section.and_then(|section| section.get(name)),
    };
    let sign = match (is_added, is_removed, known) {
        (true, _, None) => '+',
        (true, _, Some(_)) => '~',
        (_, true, _) => '-',
        _ => return None,
    };
    Some(show::safe(&format!("{sign} {element} {name}")))
}

/// The file is for its owner alone, as it holds secrets.
fn write_privately(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_pulled_reads_the_same_in_old_and_new_yaml() {
        let tricky = json!({"a": ["no", "1e3", "012", "0o17", "12:30:45", "2024-01-01", "1_000", "~", "", "é\u{85}\n", "=", "0x1F"]});
        let text = serde_saphyr::to_string(&tricky).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), tricky);
        for word in ["no", "1e3", "012", "12:30:45", "2024-01-01", "1_000"] {
            assert!(!text.contains(&format!("- {word}\n")), "{word} has quotes: {text}");
        }
    }

    #[test]
    fn the_difference_tells_new_from_changed() {
        let before = json!({"outputs": {"o": {}}, "hives": {"fp": {"a/b": {}}}});
        let before = before.as_object().unwrap();
        let line = |element: &str, name: &str, is_added: bool, is_removed: bool| {
            line_of(
                &InfrastructureOperation { element: element.into(), name: name.into(), is_added, is_removed },
                before,
            )
        };
        assert_eq!(line("output", "o", true, false).as_deref(), Some("~ output o"));
        assert_eq!(line("output", "p", true, false).as_deref(), Some("+ output p"));
        assert_eq!(line("hives", "fp/a/b", true, false).as_deref(), Some("~ hives fp/a/b"));
        assert_eq!(line("hives", "fp/c", false, true).as_deref(), Some("- hives fp/c"));
        assert_eq!(line("output", "o", false, false), None);
        assert!(named(&["pigeons".into()]).is_err());
    }
}
