//! `muster task`: a command for one sensor, now.

use crate::duration::parse_seconds;
use crate::event;
use crate::exit::Usage;
use crate::reach::sensor_id;
use crate::show;
use muster_client::Client;
use std::time::Duration;

/// Longest wait for answers, in seconds: half a day.
const WAIT_S_MAX: u64 = 43_200;

/// What to send to whom.
#[derive(clap::Args)]
pub struct TaskArgs {
    /// Sensor id
    #[arg(value_parser = sensor_id)]
    sid: String,
    /// Command line, such as 'os_version' or 'dir_list /etc *'
    command: String,
    /// How long to wait for answers; 0 does not wait
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = parse_seconds)]
    wait: u64,
    /// Carried by the answers as routing/investigation_id (default: an id that nobody else uses)
    #[arg(long, value_name = "ID")]
    investigation_id: Option<String>,
}

/// Sends it, and shows the answers.
///
/// # Errors
///
/// If no answer came in time; else whatever the server says.
pub async fn run(args: TaskArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    if args.wait == 0 {
        client.task(&args.sid, &args.command, args.investigation_id.as_deref()).await?;
        if json {
            show::json(&serde_json::json!({}));
        } else {
            show::line("Sent.");
        }
        return Ok(());
    }
    if args.wait > WAIT_S_MAX {
        return Err(Usage(format!("--wait must be at most {WAIT_S_MAX} s")).into());
    }
    let id = args.investigation_id.unwrap_or_else(|| format!("muster-{}", muster_server::random::uuid()));
    let wait = Duration::from_secs(args.wait);
    let answers = client.task_and_wait(&args.sid, &args.command, &id, wait).await?;
    if json {
        show::json(&answers);
    } else {
        for answer in &answers {
            show::line(event::headline(answer));
            show::json(answer.get("event").unwrap_or(answer));
        }
    }
    if answers.is_empty() {
        anyhow::bail!(
            "no answer within {}; it may still come: muster events --sid {} --follow",
            crate::duration::in_words(args.wait),
            args.sid
        );
    }
    Ok(())
}
