//! Watching a reliable task: a live bar at a terminal, a line per change elsewhere.

use crate::show;
use indicatif::{ProgressBar, ProgressStyle};
use muster_client::{Client, TaskSummary};
use muster_model::TargetState;
use std::io::IsTerminal as _;
use std::time::Duration;

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many targets are in one of these states.
pub fn count(summary: &TaskSummary, states: &[TargetState]) -> u64 {
    states.iter().filter_map(|state| summary.counts.get(state)).sum()
}

/// How many targets stand where, as `2 queued, 5 finished`; in the order of the chain.
pub fn counts_in_words(summary: &TaskSummary) -> String {
    let counts = TargetState::ALL.map(|state| (state, count(summary, &[state])));
    let words: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}")).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn ended(summary: &TaskSummary) -> u64 {
    summary.counts.iter().filter(|(state, _)| state.is_final()).map(|(_, count)| count).sum()
}

/// Whether nothing more can happen: a dynamic task may get more targets until it expires.
fn is_over(summary: &TaskSummary, now_s: i64) -> bool {
    ended(summary) >= summary.total && (!summary.dynamic || now_s >= summary.expiry)
}

/// Shows how a task goes until it is over, or Ctrl-C.
///
/// # Errors
///
/// If not every target has finished; else whatever the server says.
pub async fn watch(client: &Client, task_id: &str, json: bool) -> anyhow::Result<()> {
    let Some(summary) = follow(client, task_id, json).await? else { return Ok(()) };
    let finished = count(&summary, &[TargetState::Finished]);
    if finished == summary.total {
        return Ok(());
    }
    anyhow::bail!(
        "{} of {} targets did not finish; why: muster reliable-task get {task_id}",
        summary.total - finished,
        summary.total
    )
}

/// Shows how a task goes until it is over; gives how it ended, or nothing after Ctrl-C.
///
/// # Errors
///
/// Whatever the server says.
pub async fn follow(client: &Client, task_id: &str, json: bool) -> anyhow::Result<Option<TaskSummary>> {
    let bar = (!json && std::io::stderr().is_terminal()).then(new_bar);
    let mut shown = None;
    let summary = loop {
        let summary = client.reliable_task(task_id, None, None, 1).await?.summary;
        let words = match (&summary.stopped, summary.paused) {
            (Some(why), _) => format!("{}; stopped itself: {}", counts_in_words(&summary), show::safe(why)),
            (None, true) => format!("{}; paused", counts_in_words(&summary)),
            (None, false) => counts_in_words(&summary),
        };
        if let Some(bar) = &bar {
            bar.set_length(summary.total);
            bar.set_position(ended(&summary));
            bar.set_message(words);
        } else if shown.as_ref() != Some(&words) {
            if json {
                show::json_line(&summary)
            } else {
                show::line(format_args!("{}/{} ended: {words}", ended(&summary), summary.total))
            }
            shown = Some(words);
        }
        if is_over(&summary, show::now_s()) {
            break summary;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = tokio::signal::ctrl_c() => {
                if let Some(bar) = &bar {
                    bar.abandon();
                }
                eprintln!("The task goes on without you. To look again: muster reliable-task get {task_id} --watch");
                return Ok(None);
            }
        }
    };
    if let Some(bar) = bar {
        bar.finish();
    }
    Ok(Some(summary))
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("[{elapsed_precise}] {bar:30} {pos}/{len} ended: {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(dynamic: bool, counts: &[(&str, u64)]) -> TaskSummary {
        let counts: serde_json::Map<_, _> =
            counts.iter().map(|(state, n)| ((*state).to_owned(), (*n).into())).collect();
        let value = serde_json::json!({
            "task_id": "00000000-0000-4000-8000-000000000001", "task": "os_version", "total": 3, "counts": counts,
            "created": 0, "created_by": "ada", "expiry": 100, "ttl": 100, "dynamic": dynamic, "urgent": false,
            "failures": 0, "pace": {}, "paused": false, "sensor_selector": "*",
        });
        serde_json::from_value(value).unwrap()
    }

    /// Watching must neither stop early nor hang: `unsupported` and `removed` are ends too.
    #[test]
    fn a_task_is_over_when_every_target_has_ended_and_no_more_can_come() {
        let mixed = [("finished", 1), ("unsupported", 1), ("removed", 1), ("queued", 0)];
        assert!(is_over(&summary(false, &mixed), 50));
        assert!(!is_over(&summary(true, &mixed), 50));
        assert!(is_over(&summary(true, &mixed), 100));
        assert!(!is_over(&summary(false, &[("finished", 2), ("started", 1)]), 50));
        assert_eq!(counts_in_words(&summary(false, &mixed)), "1 finished, 1 unsupported, 1 removed");
    }
}
