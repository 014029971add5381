//! `muster rule`: test, lint, replay and convert rules, and look after the stored ones.
//!
//! What needs no server runs without one: rules of files are loaded by the engine that the
//! server uses, so both say the same.

mod convert;
mod lint;
mod read;
mod replay;
mod splice;
mod stored;
mod test;

use crate::connection::{self, Global};

/// What to do with rules.
#[derive(clap::Subcommand)]
pub enum RuleVerb {
    /// Run the unit tests that rules carry; needs no server
    ///
    /// Ends with 1 if a test fails or a rule cannot be loaded.
    ///
    ///   muster rule test rules/*.yaml
    #[command(verbatim_doc_comment)]
    Test(test::TestArgs),
    /// Find rules that never match, always match, or are slow; needs no server
    ///
    ///   muster rule lint rules/*.yaml --strict
    #[command(verbatim_doc_comment)]
    Lint(lint::LintArgs),
    /// Show which events a rule matches, and why; nothing is done
    ///
    /// Events of a file are tried here, without a server; kept events are tried by the server.
    ///
    ///   muster rule replay rule.yaml --events events.jsonl --trace
    ///   muster rule replay rule.yaml --sid SID --since 7d
    ///   muster rule replay --stored my-rule --selector 'plat == linux' --since 24h
    #[command(verbatim_doc_comment)]
    Replay(replay::ReplayArgs),
    /// Rewrite requests to the older tasking service as requests to its extension
    ///
    /// Shows what would change; --no-dry-run changes it, all rules in one run.
    ///
    ///   muster rule convert --name ext-reliable-tasking
    ///   muster rule convert --name ext-reliable-tasking --no-dry-run --yes
    ///   muster rule convert --file rules/*.yaml --no-dry-run
    #[command(verbatim_doc_comment)]
    Convert(convert::ConvertArgs),
    /// List stored rules
    List(stored::ListArgs),
    /// Show a stored rule as YAML
    Get(stored::KeyArgs),
    /// Store a rule of a file, after it was checked here
    ///
    ///   muster rule set my-rule rule.yaml --enable
    #[command(verbatim_doc_comment)]
    Set(stored::SetArgs),
    /// Delete a stored rule
    Delete(stored::DeleteArgs),
    /// Put a stored rule in force
    Enable(stored::KeyArgs),
    /// Put a stored rule out of force
    Disable(stored::KeyArgs),
}

/// Carries it out.
///
/// # Errors
///
/// Whatever went wrong; a failed test, and a warning under `--strict`, too.
pub async fn run(verb: RuleVerb, global: &Global) -> anyhow::Result<()> {
    let json = global.json;
    match verb {
        RuleVerb::Test(args) => test::run(&args, json),
        RuleVerb::Lint(args) => lint::run(&args, json),
        RuleVerb::Replay(args) => replay::run(&args, global).await,
        RuleVerb::Convert(args) => convert::run(&args, global).await,
        RuleVerb::List(args) => stored::list(&args, &connection::client(global)?, json).await,
        RuleVerb::Get(args) => stored::get(&args, &connection::client(global)?, json).await,
        RuleVerb::Set(args) => stored::set(&args, &connection::client(global)?, json).await,
        RuleVerb::Delete(args) => stored::delete(&args, &connection::client(global)?).await,
        RuleVerb::Enable(args) => stored::switch(&args, true, &connection::client(global)?).await,
        RuleVerb::Disable(args) => stored::switch(&args, false, &connection::client(global)?).await,
    }
}
