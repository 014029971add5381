//! `muster rotate-keys`: new keys for tokens and credentials, while the server serves.

use crate::cli::DataDirArg;
use crate::confirm::confirm;
use crate::show;
use anyhow::{Context as _, bail};
use muster_server::control::{self, Answer, Order};

/// What to end with it.
#[derive(clap::Args)]
pub struct RotateKeysArgs {
    /// End all tokens that were made before, at once: after a backup or a key got into wrong hands.
    /// Clients make new ones from their API keys
    #[arg(long)]
    end_tokens: bool,
    /// Do not ask before tokens are ended
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    data_dir: DataDirArg,
}

/// Has the running server of a data directory make new keys.
///
/// # Errors
///
/// If none runs there, or it could not store them.
pub fn run(args: &RotateKeysArgs) -> anyhow::Result<()> {
    if args.end_tokens {
        confirm(args.yes, "end every token that was made so far")?;
    }
    let data_dir = &args.data_dir.data_dir;
    let answer = control::give(data_dir, Order::RotateKeys { ends_tokens: args.end_tokens }).with_context(|| {
        format!("no server of {} takes orders: it must run, and as the user who asks", data_dir.display())
    })?;
    let (tokens_until, unknown_before) = match answer {
        Answer::Rotated { tokens_until, unknown_before } => (tokens_until, unknown_before),
        Answer::Failed { error } => bail!("the keys are those of before: {error}"),
    };
    let of_before = match tokens_until {
        Some(until) => {
            format!("tokens of before stay valid until they expire, {} at the latest", show::time(until.as_secs()))
        }
        None => "tokens of before have ended".to_owned(),
    };
    show::line(format_args!("Tokens and credentials that are made from now on have new keys; {of_before}."));
    if let Some(before) = unknown_before {
        let before = show::time(before.as_secs());
        show::line(format_args!("API keys that were made before {before} are not known any more: make them anew."));
    }
    Ok(())
}
