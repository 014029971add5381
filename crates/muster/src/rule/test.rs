//! `muster rule test`.

use super::read::{self, Lookups, Remark};
use crate::show;
use muster_rules::{Document, Rule, RuleLoader, TestOutcome, WrittenRule, replay};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Which rules.
#[derive(clap::Args)]
pub struct TestArgs {
    /// Files of rules, YAML or JSON; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Lookups that the rules refer to: JSON of {NAME: {INDICATOR: METADATA}}; others find nothing
    #[arg(long, value_name = "FILE")]
    lookups: Option<PathBuf>,
    /// Show how each event was decided, not only those of failed tests
    #[arg(long)]
    trace: bool,
}

#[derive(Default)]
struct Tally {
    rules: usize,
    untested: usize,
    passed: usize,
    failed: usize,
    /// Rules and files that cannot be loaded.
    broken: usize,
}

/// Runs the tests.
///
/// # Errors
///
/// If a test fails, or a rule cannot be loaded.
pub fn run(args: &TestArgs, json: bool) -> anyhow::Result<()> {
    let lookups = Lookups::read(args.lookups.as_deref())?;
    let loader = RuleLoader::new(&lookups, "");
    let (mut tally, mut report) = (Tally::default(), Vec::new());
    for file in &args.files {
        let rules = match read::rules(file)? {
            Ok(rules) => rules,
            Err(remark) => {
                tally.broken += 1;
                report.push(broken(remark, json));
                continue;
            }
        };
        for written in &rules {
            tally.rules += 1;
            let tested = loader.written(written).and_then(|rule| Ok((loader.run_tests(&rule, written)?, rule)));
            match tested {
                Ok((tests, rule)) => {
                    let subject = Subject { file, written, rule: &rule, lookups: &lookups, is_traced: args.trace };
                    report.push(subject.report(&tests, &mut tally, json));
                }
                Err(error) => {
                    tally.broken += 1;
                    report.push(broken(Remark::error(file, &written.name, &error), json));
                }
            }
        }
    }
    let Tally { rules, untested, passed, failed, broken } = tally;
    if json {
        show::json(&json!({
            "rules": report, "passed": passed, "failed": failed, "broken": broken, "without_tests": untested,
        }));
    } else {
        let more = if untested > 0 { format!("; {untested} without tests") } else { String::new() };
        show::line(format_args!("{} tests of {rules} rules: {passed} passed, {failed} failed{more}", passed + failed));
    }
    if failed + broken > 0 {
        anyhow::bail!("{failed} tests failed, {broken} rules or files could not be loaded");
    }
    Ok(())
}

fn broken(remark: Remark, json: bool) -> Value {
    if !json {
        show::line(show::safe(&remark.to_string()));
    }
    json!({"file": remark.file, "name": remark.rule, "error": remark})
}

/// A rule whose tests ran.
struct Subject<'a> {
    file: &'a Path,
    written: &'a WrittenRule,
    rule: &'a Rule,
    lookups: &'a Lookups,
    is_traced: bool,
}

impl Subject<'_> {
    fn report(&self, tests: &[TestOutcome], tally: &mut Tally, json: bool) -> Value {
        tally.untested += usize::from(tests.is_empty());
        if !json {
            let none = if tests.is_empty() { ": no tests" } else { "" };
            show::line(show::safe(&format!("{} {}{none}", self.file.display(), self.written.name)));
        }
        let mut listed = Vec::new();
        for test in tests {
            match test.failure {
                None => tally.passed += 1,
                Some(_) => tally.failed += 1,
            }
            if !json {
                self.show(test);
            }
            listed.push(self.value(test));
        }
        json!({
            "file": self.file.display().to_string(), "name": self.written.name, "namespace": self.written.namespace,
            "tests": listed,
        })
    }

    fn show(&self, test: &TestOutcome) {
        let kind = kind(test);
        match &test.failure {
            None => show::line(format_args!("  ok    {kind} {}", test.number)),
            Some(error) => {
                let at = if error.line > 0 { format!(" (line {})", error.line) } else { String::new() };
                show::line(show::safe(&format!("  FAIL  {kind} {}: {}{at}", test.number, error.message)));
            }
        }
        if test.failure.is_none() && !self.is_traced {
            return;
        }
        for (at, event) in test.events.iter().enumerate() {
            let verdict = match event.is_matched {
                Some(true) => "matches",
                Some(false) => "does not match",
                None => "is of another type",
            };
            show::line(format_args!("          event {} {verdict}", at + 1));
            for step in self.trace(&event.value) {
                show::line(show::safe(&format!("            {step}")));
            }
        }
    }

    fn trace(&self, event: &Value) -> Vec<replay::Step> {
        let document = Document::from_value(event);
        replay::trace(self.rule, &document, document.event_time_ms().unwrap_or(0), self.lookups).1
    }

    fn value(&self, test: &TestOutcome) -> Value {
        let event = |event: &muster_rules::TestEvent| {
            let is_shown = self.is_traced || test.failure.is_some();
            json!({"matched": event.is_matched, "trace": if is_shown { self.trace(&event.value) } else { Vec::new() }})
        };
        let failure = test.failure.as_ref().map(|error| Remark::error(self.file, &self.written.name, error));
        json!({
            "kind": kind(test), "number": test.number, "passed": test.failure.is_none(), "failure": failure,
            "events": test.events.iter().map(event).collect::<Vec<_>>(),
        })
    }
}

fn kind(test: &TestOutcome) -> &'static str {
    if test.is_match { "match" } else { "non_match" }
}
