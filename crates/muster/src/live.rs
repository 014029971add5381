//! `muster live`: a session with one endpoint, now.

mod answer;
mod ask;
mod carry;
mod complete;
mod editor;
mod later;
mod path;
mod session;
mod shell;

use crate::duration::parse_seconds;
use crate::exit::{self, Usage};
use crate::show;
use ask::Ask;
use carry::Carrier;
use muster_client::Client;
use path::Style;
use session::Connection;
use std::io::IsTerminal as _;

/// A session with an endpoint, or what was done in one.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct LiveArgs {
    #[command(subcommand)]
    verb: Option<LiveVerb>,
    /// Sensor id
    #[arg(required = true, value_name = "SENSOR")]
    sid: Option<String>,
    /// How long to wait for the sensor
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_seconds)]
    wait: u64,
    /// Leave the commands as one reliable task, which runs when the sensor is online next
    #[arg(long, requires = "command")]
    when_online: bool,
    /// How long such a task is held (default: a week)
    #[arg(long, value_name = "SPAN", requires = "when_online", value_parser = parse_seconds)]
    ttl: Option<u64>,
    /// One command instead of a session at the terminal, or several with && between them; `help` lists them
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What else there is about sessions.
#[derive(clap::Subcommand)]
enum LiveVerb {
    /// Show what was done in a session: who typed what, what came back, which files were moved
    Transcript {
        /// Id of the session, such as 3:17
        id: String,
    },
}

/// Holds a session, carries one command out, or shows a transcript.
///
/// # Errors
///
/// If a command failed; else whatever the server says.
pub async fn run(args: LiveArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let sid = match (args.verb, args.sid) {
        (Some(LiveVerb::Transcript { id }), _) => return transcript(&id, client, json).await,
        (None, Some(sid)) => sid,
        (None, None) => return Err(Usage("name a sensor".into()).into()),
    };
    if args.command.is_empty() {
        if !std::io::stdin().is_terminal() {
            return Err(Usage("a session needs a terminal; for one command add -- COMMAND".into()).into());
        }
        return shell::hold(client, &sid, args.wait, json).await;
    }
    // What is wrong with them is said before anything is opened.
    asked(&args.command, Style::Unix)?;
    if args.when_online {
        let style = Style::of_platform(client.sensor(&sid).await?.info.plat);
        return later::leave(client, &sid, &asked(&args.command, style)?, args.ttl, json).await;
    }
    let connection = Connection::open(client, &sid, args.wait).await?;
    let asks = asked(&args.command, connection.style)?;
    let mut carrier = Carrier { connection, json };
    let done = one_by_one(&mut carrier, asks).await;
    carrier.connection.leave().await;
    match done? {
        0 => Ok(()),
        code => Err(exit::Ended(code).into()),
    }
}

/// What words of a shell ask for; `&&` stands between commands.
fn asked(words: &[String], style: Style) -> Result<Vec<Ask>, Usage> {
    let ask = |words: &[String]| match Ask::of_words(words, style)? {
        Ask::Nothing => Err(Usage("a command is missing beside &&".into())),
        ask => Ok(ask),
    };
    words.split(|word| word == "&&").map(ask).collect()
}

/// Carries out one after the other, until one fails; gives the exit code of the last.
async fn one_by_one(carrier: &mut Carrier<'_>, asks: Vec<Ask>) -> anyhow::Result<i64> {
    for ask in asks {
        let code = carrier.carry_out(ask).await?;
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

async fn transcript(id: &str, client: &Client, json: bool) -> anyhow::Result<()> {
    let transcript = client.live_transcript(id).await?;
    if json {
        show::json(&transcript);
    } else {
        answer::transcript(&transcript);
    }
    Ok(())
}
