//! `muster reliable-task`: a command for every endpoint, held until each can carry it out.

mod arguments;
mod cancel;
mod progress;

pub use arguments::CreateArgs;

use crate::confirm::confirm;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, PendingTask, PendingTasks, Target, Targeting, TaskPreview, TaskSummary};
use muster_model::{Platform, TargetState};
use std::collections::BTreeMap;

/// Sensors that a dry run names.
const PREVIEW_SENSORS: usize = 20;

/// Most targets that the server puts on one page.
const PAGE_MAX: u32 = 1_000;

/// Which sensors.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Every sensor that matches this selector; '*' is every sensor
    #[arg(long, short)]
    selector: Option<String>,
    /// One sensor
    #[arg(long)]
    sid: Option<String>,
    /// Every sensor with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Every sensor of this platform: windows, linux, macos, …
    #[arg(long)]
    plat: Option<String>,
}

impl TargetArgs {
    fn targeting(&self) -> Targeting {
        let (selector, sid) = (self.selector.clone(), self.sid.clone());
        Targeting { selector, sid, tag: self.tag.clone(), plat: self.plat.clone() }
    }

    fn is_empty(&self) -> bool {
        [&self.selector, &self.sid, &self.tag, &self.plat].into_iter().all(Option::is_none)
    }

    fn required(&self) -> Result<Targeting, Usage> {
        if self.is_empty() {
            return Err(Usage(
                "name the sensors: --selector, --sid, --tag or --plat; --selector '*' is every sensor".into(),
            ));
        }
        Ok(self.targeting())
    }
}

/// What to do with reliable tasks.
#[derive(clap::Subcommand)]
pub enum ReliableTaskVerb {
    /// Hold a command for every target until that target can carry it out
    ///
    ///   muster reliable-task create 'os_version' --selector 'plat==linux' --watch
    ///   muster reliable-task create 'file_get /etc/passwd' --tag vip --context hunt-7
    ///   muster reliable-task create 'restart' --selector '*' --dry-run
    ///   muster reliable-task create 'run --payload-name fix.sh' --plat linux --ttl 30d \
    ///       --max-in-flight 50 --stop-on-failures 5% --window 22:00-06:00
    #[command(verbatim_doc_comment)]
    Create(Box<CreateArgs>),
    /// List the newest reliable tasks, and how many targets stand where
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// Instead: what the sensors of this selector are still owed ('*' for all)
        #[arg(long, value_name = "SELECTOR")]
        pending: Option<String>,
    },
    /// Show one reliable task and its targets
    ///
    ///   muster reliable-task get TASK --state queued
    ///   muster reliable-task get TASK --watch
    #[command(verbatim_doc_comment)]
    Get {
        /// Task id
        task_id: String,
        /// Only targets in this state: queued, sent, confirmed, started, finished, interrupted, refused, …
        #[arg(long)]
        state: Option<String>,
        /// At most so many targets
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Show a live progress bar until every target has ended; fails unless all have finished
        #[arg(long, conflicts_with = "state")]
        watch: bool,
    },
    /// Say why a sensor has, had, or does not have a task
    Explain {
        /// Task id
        task_id: String,
        /// Sensor id
        sid: String,
    },
    /// Show whom a task would reach now, and how the selector is understood
    Preview {
        #[command(flatten)]
        targets: TargetArgs,
    },
    /// Take back what was not delivered yet: of one task, or all that some sensors are owed
    ///
    ///   muster reliable-task untask TASK
    ///   muster reliable-task untask TASK --tag vip
    ///   muster reliable-task untask --selector 'hostname == "web-1"'
    #[command(verbatim_doc_comment)]
    Untask {
        /// Task id
        task_id: Option<String>,
        #[command(flatten)]
        targets: TargetArgs,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// End a task wherever it is: what was not delivered is taken back, what runs is stopped
    ///
    ///   muster reliable-task cancel TASK
    ///   muster reliable-task cancel TASK --tag vip --watch
    #[command(verbatim_doc_comment)]
    Cancel(cancel::CancelArgs),
    /// Hold a task back: what was not delivered yet waits
    Pause {
        /// Task id
        task_id: String,
    },
    /// Let a task go on that was paused, or that stopped itself after failures
    Resume {
        /// Task id
        task_id: String,
    },
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: ReliableTaskVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        ReliableTaskVerb::Create(args) => create(*args, client, json).await,
        ReliableTaskVerb::List { limit, pending: None } => {
            let tasks = client.reliable_tasks(limit as usize).await?;
            if json {
                show::json(&tasks)
            } else {
                show_tasks(&tasks)
            }
            Ok(())
        }
        ReliableTaskVerb::List { pending: Some(selector), .. } => {
            let targeting = Targeting { selector: Some(selector), ..Targeting::default() };
            let pending = client.pending_reliable_tasks(&targeting).await?;
            if json {
                show::json(&pending)
            } else {
                show_pending(&pending)
            }
            Ok(())
        }
        ReliableTaskVerb::Get { task_id, watch: true, .. } => progress::watch(client, &task_id, json).await,
        ReliableTaskVerb::Get { task_id, state, limit, watch: false } => {
            get(client, &task_id, state.as_deref(), limit, json).await
        }
        ReliableTaskVerb::Explain { task_id, sid } => {
            let explained = client.explain_reliable_task(&task_id, &sid).await?;
            if json {
                show::json(&explained);
            } else {
                show::line(show::safe(&format!("{}: {}", explained.code, explained.explanation)));
            }
            Ok(())
        }
        ReliableTaskVerb::Preview { targets } => {
            let preview = client.preview_reliable_task(&targets.required()?, PREVIEW_SENSORS).await?;
            if json {
                show::json(&preview)
            } else {
                show_preview(&preview)
            }
            Ok(())
        }
        ReliableTaskVerb::Untask { task_id, targets, yes } => {
            untask(client, task_id.as_deref(), &targets, yes, json).await
        }
        ReliableTaskVerb::Cancel(args) => cancel::cancel(client, &args, json).await,
        ReliableTaskVerb::Pause { task_id } => {
            client.set_paused(&task_id, true).await?;
            show::line(format_args!("Paused. To go on: muster reliable-task resume {task_id}"));
            Ok(())
        }
        ReliableTaskVerb::Resume { task_id } => {
            client.set_paused(&task_id, false).await?;
            show::line(format_args!("It goes on. To look: muster reliable-task get {task_id}"));
            Ok(())
        }
    }
}

async fn create(args: CreateArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let task = args.task()?;
    if args.dry_run {
        let preview = client.preview_reliable_task(&task.targeting, PREVIEW_SENSORS).await?;
        if json {
            show::json(&preview);
        } else {
            show_preview(&preview);
            show::line("Nothing was created: this was a dry run.");
        }
        return Ok(());
    }
    if args.is_for_all() {
        let preview = client.preview_reliable_task(&task.targeting, 1).await?;
        let (total, online) = (preview.total_sensors, preview.online_sensors);
        let command = show::safe(&task.task);
        confirm(args.yes, &format!("give {command} to all {total} sensors, {online} of them online now"))?;
    }
    let created = client.create_reliable_task(&task).await?;
    if json && args.watch {
        show::json_line(&created);
    } else if json {
        show::json(&created);
    } else {
        let (total, online, offline) = (created.total_sensors, created.tasked_sensors, created.queued_sensors);
        let targets = if total == 1 { "target" } else { "targets" };
        show::line(format_args!("Task {}: {total} {targets}, {online} online now, {offline} wait.", created.task_id));
        if !args.watch {
            show::line(format_args!("To follow it: muster reliable-task get {} --watch", created.task_id));
        }
    }
    if args.watch { progress::watch(client, &created.task_id.to_string(), json).await } else { Ok(()) }
}

async fn get(client: &Client, task_id: &str, state: Option<&str>, limit: u32, json: bool) -> anyhow::Result<()> {
    let mut page = client.reliable_task(task_id, state, None, limit.min(PAGE_MAX) as usize).await?;
    while let Some(cursor) = page.cursor.take() {
        let missing = (limit as usize).saturating_sub(page.targets.len());
        if missing == 0 {
            page.cursor = Some(cursor);
            break;
        }
        let next = client.reliable_task(task_id, state, Some(&cursor), missing.min(PAGE_MAX as usize)).await?;
        page.targets.extend(next.targets);
        page.cursor = next.cursor;
    }
    if json {
        show::json(&page);
        return Ok(());
    }
    let summary = &page.summary;
    show::fields(&[
        ("task", summary.task_id.to_string()),
        ("command", summary.task.clone()),
        ("targets", format!("{}: {}", summary.total, progress::counts_in_words(summary))),
        ("created", show::time(summary.created)),
        ("expires", show::time(summary.expiry)),
        ("held back", held_back(summary)),
    ]);
    show::line("");
    let headings = ["SENSOR", "HOSTNAME", "STATE", "ONLINE", "SENT", "CONFIRMED", "STARTED", "ENDED", "CODE", "ERROR"];
    show::table(&headings, page.targets.iter().map(target_row), "No targets.");
    if page.cursor.is_some() {
        show::line("There are more; raise --limit.");
    }
    Ok(())
}

fn held_back(summary: &TaskSummary) -> String {
    match (&summary.stopped, summary.paused) {
        (Some(why), _) => format!("stopped itself: {why}"),
        (None, true) => "paused".into(),
        (None, false) => "no".into(),
    }
}

fn target_row(target: &Target) -> Vec<String> {
    vec![
        target.sid.map_or_else(|| "(deleted)".into(), |sid| sid.to_string()),
        target.hostname.clone().unwrap_or_default(),
        target.state.to_string(),
        if target.online { "yes" } else { "no" }.to_owned(),
        show::time_ms(target.sent),
        show::time_ms(target.confirmed),
        show::time_ms(target.started),
        show::time_ms(target.ended),
        target.code.map(|code| code.to_string()).unwrap_or_default(),
        target.error.clone().unwrap_or_default(),
    ]
}

fn show_tasks(tasks: &[TaskSummary]) {
    let row = |task: &TaskSummary| {
        let held = if task.paused || task.stopped.is_some() { " (held back)" } else { "" };
        let counts = format!("{}{held}", progress::counts_in_words(task));
        vec![
            task.task_id.to_string(),
            show::shortened(&task.task, 60),
            task.total.to_string(),
            counts,
            show::time(task.expiry),
        ]
    };
    let none = "No reliable tasks. Create one: muster reliable-task create 'os_version' --selector '*' --watch";
    show::table(&["TASK", "COMMAND", "TARGETS", "STATES", "EXPIRES"], tasks.iter().map(row), none);
}

fn show_pending(pending: &PendingTasks) {
    let of_sensor = |(sid, tasks): (&String, &BTreeMap<String, PendingTask>)| {
        let row = |(task_id, task): (&String, &PendingTask)| {
            vec![sid.clone(), task_id.clone(), show::shortened(&task.task, 60), show::time(task.expiry)]
        };
        tasks.iter().map(row).collect::<Vec<_>>()
    };
    let rows = pending.tasks.iter().flat_map(of_sensor);
    show::table(&["SENSOR", "TASK", "COMMAND", "EXPIRES"], rows, "These sensors are owed nothing.");
    if pending.truncated == Some(true) {
        show::line("There are more: narrow the selector.");
    }
}

fn show_preview(preview: &TaskPreview) {
    show::line(format_args!("{} targets, {} online now.", preview.total_sensors, preview.online_sensors));
    show::line(show::safe(preview.explanation.trim_end()));
    if preview.sensors.is_empty() {
        return;
    }
    show::line("");
    let rows = preview.sensors.iter().map(|sensor| {
        vec![sensor.sid.to_string(), sensor.hostname.clone(), if sensor.online { "yes" } else { "no" }.to_owned()]
    });
    show::table(&["SENSOR", "HOSTNAME", "ONLINE"], rows, "");
    let more = preview.total_sensors.saturating_sub(preview.sensors.len() as u64);
    if more > 0 {
        show::line(format_args!("… and {more} more."));
    }
}

async fn untask(
    client: &Client,
    task_id: Option<&str>,
    targets: &TargetArgs,
    yes: bool,
    json: bool,
) -> anyhow::Result<()> {
    if task_id.is_none() && targets.is_empty() {
        return Err(Usage("name a task, or sensors with --selector, --sid, --tag or --plat".into()).into());
    }
    let targeting = targets.targeting();
    let act = match task_id {
        Some(task_id) if targets.is_empty() => {
            let summary = client.reliable_task(task_id, None, None, 1).await?.summary;
            let open = progress::count(&summary, &[TargetState::Queued, TargetState::Sent]);
            format!("take the task {task_id} ({}) back from {open} targets", show::safe(&summary.task))
        }
        _ => {
            let sensors = client.preview_reliable_task(&targeting, 1).await?.total_sensors;
            let what =
                task_id.map_or_else(|| "every reliable task".to_owned(), |task_id| format!("the task {task_id}"));
            format!("take {what} back from {sensors} sensors, as far as it was not delivered")
        }
    };
    confirm(yes, &act)?;
    let untasked = client.untask(task_id, &targeting).await?;
    if json {
        show::json(&untasked);
        return Ok(());
    }
    show::line(format_args!("Taken back from {} targets: they never get it.", untasked.deleted));
    let withdrawn = untasked.withdrawn.unwrap_or_default();
    if withdrawn > 0 {
        show::line(format_args!(
            "{withdrawn} more had it sent without a confirmation: they may run it, but are not offered it again."
        ));
    }
    Ok(())
}

/// Platform names are checked here, so that a slip of the pen does not become an empty target set.
fn check_platform(name: &str) -> Result<String, String> {
    match Platform::from_name(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("{name} is not a platform; for example windows, linux, macos")),
    }
}
