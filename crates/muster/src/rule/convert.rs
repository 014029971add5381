//! `muster rule convert`: requests to the older tasking service become requests to its extension.
//!
//! All rules in one run, shown as differences; nothing is written without `--no-dry-run`.
//! A stored rule is written under the etag that it was read with, so that a change of
//! somebody else is never undone. Source: reference/rest-api.md section 11.

use super::read::{self, Lookups, Remark};
use super::splice::Splices;
use super::stored::{Namespace, readable, yaml};
use crate::confirm::confirm;
use crate::connection::{self, Global};
use crate::exit::Usage;
use crate::show;
use anyhow::Context as _;
use muster_client::{Client, ClientError, ErrorCode, HiveChange};
use muster_rules::{CONVERTIBLE_EXTENSION, Conversion, RuleLoader, RuleMeta, WrittenRule, convert, read_rules};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Where rules with older requests can be. Source: reference/rest-api.md section 11.1.
const NAMESPACES: [Namespace; 2] = [Namespace::General, Namespace::Managed];

/// Lines around each difference.
const CONTEXT_LINES: usize = 3;

/// Which rules.
#[derive(clap::Args)]
pub struct ConvertArgs {
    /// The extension that takes the older service's place
    #[arg(long, default_value = CONVERTIBLE_EXTENSION)]
    name: String,
    /// Write the converted rules (default: only show them)
    #[arg(long)]
    no_dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Rules of these files instead of the stored ones
    #[arg(long = "file", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
}

/// A rule with what it becomes.
struct Change {
    /// Hive or file, and name.
    label: String,
    old: Value,
    new: Value,
}

/// What was found.
#[derive(Default)]
struct Found {
    /// Stored rules: hive, name and etag of each change.
    stored: Vec<(Change, &'static str, String, String)>,
    /// Files: path and new text of each, with its changes.
    files: Vec<(Vec<Change>, PathBuf, String)>,
    impossible: Vec<(String, String)>,
}

impl Found {
    fn changes(&self) -> impl Iterator<Item = &Change> {
        let stored = self.stored.iter().map(|(change, ..)| change);
        stored.chain(self.files.iter().flat_map(|(changes, ..)| changes))
    }
}

/// Converts.
///
/// # Errors
///
/// If a rule cannot be converted or was changed meanwhile; the others are converted all the same.
pub async fn run(args: &ConvertArgs, global: &Global) -> anyhow::Result<()> {
    if args.name != CONVERTIBLE_EXTENSION {
        let text = format!("rules of {} cannot be converted; --name must be {CONVERTIBLE_EXTENSION}", args.name);
        return Err(Usage(text).into());
    }
    let mut found = Found::default();
    let client = if args.files.is_empty() { Some(connection::client(global)?) } else { None };
    match &client {
        Some(client) => look_at_stored(client, &mut found).await?,
        None => args.files.iter().try_for_each(|path| look_at_file(path, &mut found))?,
    }
    let mut failed: Vec<(String, String)> = std::mem::take(&mut found.impossible);
    let count = found.changes().count();
    if !global.json {
        found.changes().try_for_each(show_change)?;
    }
    let mut applied = Vec::new();
    if args.no_dry_run && count > 0 {
        confirm(args.yes, &format!("change {count} rules as shown"))?;
        (applied, failed) = apply(&found, client.as_ref(), failed).await?;
    }
    if global.json {
        let change = |change: &Change| json!({"rule": change.label, "old": change.old, "new": change.new});
        show::json(&json!({
            "is_dry_run": !args.no_dry_run, "changes": found.changes().map(change).collect::<Vec<_>>(),
            "converted": applied,
            "failed": failed.iter().map(|(rule, why)| json!({"rule": rule, "error": why})).collect::<Vec<_>>(),
        }));
    } else {
        let text = match (count, args.no_dry_run) {
            (0, _) => "No rule makes requests to the older service.".to_owned(),
            (_, false) => format!("{count} rules would change; --no-dry-run changes them."),
            (_, true) => format!("{} of {count} rules converted.", applied.len()),
        };
        show::line(text);
    }
    for (rule, why) in &failed {
        eprintln!("muster: {}", show::safe(&format!("{rule}: {why}")));
    }
    match failed.len() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} rules were not converted"),
    }
}

async fn look_at_stored(client: &Client, found: &mut Found) -> anyhow::Result<()> {
    for (namespace, records) in readable(client, &NAMESPACES).await? {
        for (name, record) in records {
            let label = format!("{}/{name}", namespace.hive());
            match checked(&label, &record.data) {
                Ok(Some(new)) => {
                    let change = Change { label, old: record.data, new };
                    found.stored.push((change, namespace.hive(), name, record.sys_mtd.etag));
                }
                Ok(None) => {}
                Err(why) => found.impossible.push((label, why)),
            }
        }
    }
    Ok(())
}

/// The converted rule, if there is anything to convert; it must load.
fn checked(name: &str, rule: &Value) -> Result<Option<Value>, String> {
    match convert(rule) {
        Conversion::NothingToDo => Ok(None),
        Conversion::Impossible(why) => Err(why),
        Conversion::Converted(new) => {
            let lookups = Lookups::default();
            let loader = RuleLoader::new(&lookups, "");
            let untested = json!({"detect": new["detect"], "respond": new["respond"]});
            match loader.rule_value(RuleMeta::general(name), &untested) {
                Ok(_) => Ok(Some(new)),
                Err(error) => Err(format!("the converted rule does not load: {error}")),
            }
        }
    }
}

fn look_at_file(path: &Path, found: &mut Found) -> anyhow::Result<()> {
    let rules = read::rules(path)?.map_err(|remark: Remark| Usage(remark.to_string()))?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut changes, mut splices) = (Vec::new(), Splices::new(&text));
    for written in &rules {
        let (label, old) = (format!("{} {}", path.display(), written.name), written.value());
        match checked(&label, &old) {
            Ok(None) => {}
            Ok(Some(new)) => match splices.replace(written, &old, &new) {
                Some(()) => changes.push(Change { label, old, new }),
                None => found.impossible.push((label, "its layout cannot be kept; convert it by hand".into())),
            },
            Err(why) => found.impossible.push((label, why)),
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let text = splices.finish();
    let expected = |written: &WrittenRule| match convert(&written.value()) {
        Conversion::Converted(new) => new,
        _ => written.value(),
    };
    let reread = read_rules(&text, "rule").map(|rules| rules.iter().map(WrittenRule::value).collect::<Vec<_>>());
    if reread.is_ok_and(|reread| reread == rules.iter().map(expected).collect::<Vec<_>>()) {
        found.files.push((changes, path.to_owned(), text));
    } else {
        found.impossible.push((path.display().to_string(), "its layout cannot be kept; convert it by hand".into()));
    }
    Ok(())
}

fn show_change(change: &Change) -> anyhow::Result<()> {
    let (old, new) = (yaml(&change.old)?, yaml(&change.new)?);
    let is_terminal = std::io::stdout().is_terminal();
    let diff = TextDiff::from_lines(&old, &new);
    show::line(show::safe(&format!("--- {0}\n+++ {0} (converted)", change.label)));
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        show::line(hunk.header());
        for line in hunk.iter_changes() {
            let (sign, colour) = match line.tag() {
                ChangeTag::Delete => ("-", "\x1b[31m"),
                ChangeTag::Insert => ("+", "\x1b[32m"),
                ChangeTag::Equal => (" ", ""),
            };
            let text = show::safe(line.value().trim_end_matches('\n'));
            if is_terminal && !colour.is_empty() {
                show::line(format_args!("{colour}{sign}{text}\x1b[0m"));
            } else {
                show::line(format_args!("{sign}{text}"));
            }
        }
    }
    Ok(())
}

type Labelled = Vec<(String, String)>;

/// Writes what was found; gives the labels of what was converted, and of what was not, with the reason.
async fn apply(
    found: &Found,
    client: Option<&Client>,
    mut failed: Labelled,
) -> anyhow::Result<(Vec<String>, Labelled)> {
    let mut applied = Vec::new();
    for (changes, path, text) in &found.files {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        applied.extend(changes.iter().map(|change| change.label.clone()));
    }
    let Some(client) = client else { return Ok((applied, failed)) };
    for (change, hive, name, etag) in &found.stored {
        let wanted = HiveChange { data: Some(change.new.clone()), usr_mtd: None, etag: Some(etag.clone()) };
        match client.set_hive_record(hive, name, &wanted).await {
            Ok(()) => applied.push(change.label.clone()),
            Err(error) if error.code() == Some(ErrorCode::EtagMismatch) => {
                failed.push((change.label.clone(), "it was changed meanwhile; run this again".into()));
            }
            // One rule that cannot be stored says nothing about the next one.
            Err(ClientError::Refused { status: 400, message, .. }) => failed.push((change.label.clone(), message)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((applied, failed))
}
