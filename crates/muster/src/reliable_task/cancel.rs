//! `muster reliable-task cancel`: a task ends wherever it is.

use super::{TargetArgs, progress};
use crate::confirm::confirm;
use crate::show;
use muster_client::Client;
use muster_model::TargetState;

/// Which task, and where.
#[derive(clap::Args)]
pub struct CancelArgs {
    /// Task id
    task_id: String,
    #[command(flatten)]
    targets: TargetArgs,
    /// Wait until the sensors have said how it ended
    #[arg(long)]
    watch: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Cancels a task.
///
/// # Errors
///
/// If nobody agrees; else whatever the server says.
pub async fn cancel(client: &Client, args: &CancelArgs, json: bool) -> anyhow::Result<()> {
    let (task_id, targeting) = (&args.task_id, args.targets.targeting());
    let summary = client.reliable_task(task_id, None, None, 1).await?.summary;
    let command = show::safe(&summary.task);
    let act = if args.targets.is_empty() {
        let open = progress::count(&summary, &[TargetState::Queued, TargetState::Sent]);
        let held = progress::count(&summary, &[TargetState::Confirmed, TargetState::Started]);
        format!("take the task {task_id} ({command}) back from {open} targets, and stop it on {held} that have it")
    } else {
        let sensors = client.preview_reliable_task(&targeting, 1).await?.total_sensors;
        format!("end the task {task_id} ({command}) on {sensors} sensors")
    };
    confirm(args.yes, &act)?;
    let cancelled = client.cancel_reliable_task(task_id, &targeting).await?;
    if json && args.watch {
        show::json_line(&cancelled);
    } else if json {
        show::json(&cancelled);
    } else if let Some(warning) = &cancelled.warning {
        show::line(show::safe(warning));
    } else {
        show::line(format_args!("Taken back from {} targets: they never get it.", cancelled.deleted));
        if cancelled.withdrawn > 0 {
            show::line(format_args!(
                "{} more had it sent without a confirmation: those that have it end it.",
                cancelled.withdrawn
            ));
        }
        show::line(format_args!("{} targets have it and are told to end it.", cancelled.stopping));
        if !args.watch && cancelled.stopping > 0 {
            show::line(format_args!("To see how it ended there: muster reliable-task get {task_id} --watch"));
        }
    }
    if args.watch {
        progress::follow(client, task_id, json).await?;
    }
    Ok(())
}
