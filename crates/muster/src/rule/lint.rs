//! `muster rule lint`.

use super::read::{self, Lookups, Remark};
use crate::show;
use muster_rules::{KnownEvent, RuleLoader, WrittenRule, lint};
use muster_server::api::event_types;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Which rules.
#[derive(clap::Args)]
pub struct LintArgs {
    /// Files of rules, YAML or JSON; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Fail when there are warnings, too
    #[arg(long)]
    strict: bool,
}

/// Looks at the rules.
///
/// # Errors
///
/// If a rule cannot be loaded or saved; with `--strict`, if there is any warning.
pub fn run(args: &LintArgs, json: bool) -> anyhow::Result<()> {
    let known: Vec<KnownEvent<'_>> = event_types().map(|(name, platform)| KnownEvent { name, platform }).collect();
    let (mut remarks, mut rules) = (Vec::new(), 0);
    for file in &args.files {
        match read::rules(file)? {
            Ok(found) => {
                rules += found.len();
                found.iter().for_each(|written| look_at(file, written, &known, &mut remarks));
            }
            Err(remark) => remarks.push(remark),
        }
    }
    let errors = remarks.iter().filter(|remark| remark.is_error).count();
    let warnings = remarks.len() - errors;
    if json {
        show::json(&json!({"remarks": remarks, "errors": errors, "warnings": warnings, "rules": rules}));
    } else {
        remarks.iter().for_each(|remark| show::line(show::safe(&remark.to_string())));
        show::line(format_args!("{rules} rules: {errors} errors, {warnings} warnings"));
    }
    if errors > 0 || (args.strict && warnings > 0) {
        anyhow::bail!("{errors} errors, {warnings} warnings");
    }
    Ok(())
}

fn look_at(file: &Path, written: &WrittenRule, known: &[KnownEvent<'_>], remarks: &mut Vec<Remark>) {
    let lookups = Lookups::default();
    let loader = RuleLoader::new(&lookups, "");
    let rule = match loader.written(written) {
        Ok(rule) => rule,
        Err(error) => return remarks.push(Remark::error(file, &written.name, &error)),
    };
    // A rule that cannot be saved because of its tests is wrong as a whole. Its lookups are not known
    // here, so the outcome of its tests is left to `test`.
    if let Err(error) = loader.run_tests(&rule, written) {
        remarks.push(Remark::error(file, &written.name, &error));
    }
    for warning in lint(&rule, known) {
        let (line, column) = written.position(&warning.place);
        remarks.push(Remark {
            file: file.display().to_string(),
            rule: written.name.clone(),
            code: warning.code.to_owned(),
            message: warning.message,
            help: String::new(),
            place: warning.place,
            line,
            column,
            is_error: false,
        });
    }
}
