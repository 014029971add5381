//! What `muster up` shows on a new data directory: the whole idea in five steps,
//! done on this machine's own sensor, each with the command that does the same.

use super::environment::{self, Environment, word};
use super::local_sensor::LocalSensor;
use crate::connection::{of_environment, of_profile};
use crate::show;
use anyhow::{Context as _, anyhow};
use muster_client::{Client, Filter, NewTask, RecordStream, StreamKind, Targeting};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Longest wait for each step; a local sensor needs about a second.
const STEP_MAX: Duration = Duration::from_secs(30);

/// How often the states are asked for.
const INTERVAL: Duration = Duration::from_millis(100);

/// Context of the task, by which its answer is found.
const CONTEXT: &str = "first-steps";

const COMMAND: &str = "os_version";

/// Lines of the answer that are shown.
const ANSWER_LINES_MAX: usize = 24;

/// Tells the story, and gives the local sensor, which runs at the end of it.
///
/// # Errors
///
/// Whatever goes wrong on the way; the server is not harmed.
pub async fn tell(data_dir: &Path, environment: &Environment) -> anyhow::Result<LocalSensor> {
    let profile = of_environment(&|name| environment.get(name).map(str::to_owned)).context("no credentials")?;
    let client = of_profile(profile)?;
    let key = environment.get("MUSTER_INSTALL_KEY").context("no installation key")?;

    show::line("\nThis data directory is new, so here is what muster does, on this machine's own sensor.\n");
    show::line("1. A sensor enrols with the installation key, and comes online.");
    command("muster-sensor run --key \"$MUSTER_INSTALL_KEY\" --state-dir DIR");
    let sensor = LocalSensor::start(data_dir, key)?;
    let sid = until_online(&client, true).await?;
    show::line(format_args!("   Sensor {sid} is online."));

    show::line("\n2. It goes offline, as a laptop that is closed.");
    sensor.stop().await;
    until_online(&client, false).await?;
    show::line("   It is offline.");

    show::line("\n3. You order something of it all the same: a reliable task.");
    command(&format!("muster reliable-task create '{COMMAND}' --selector '*' --context {CONTEXT}"));
    let task = NewTask {
        task: COMMAND.into(),
        targeting: Targeting { selector: Some("*".into()), ..Targeting::default() },
        context: Some(CONTEXT.into()),
        ..NewTask::default()
    };
    let created = client.create_reliable_task(&task).await?;
    let task_id = &created.task_id.to_string();
    show::line(format_args!("   Task {task_id}: it is on disk, and waits for {} sensor.", created.total_sensors));
    command(&format!("muster reliable-task get {task_id}"));
    let page = client.reliable_task(task_id, None, None, 1).await?;
    let target = page.targets.first().context("the task has no target")?;
    show::line(format_args!("   {sid} is {}.", target.state));
    let explained = client.explain_reliable_task(task_id, &sid).await?;
    show::line(format_args!("   Why: {}.", show::safe(&explained.explanation)));

    show::line("\n4. The sensor comes back, and is owed the task.");
    let filter = Filter { investigation_id: Some(CONTEXT.into()), ..Filter::default() };
    let answers = client.stream(StreamKind::Event, &filter).await?;
    let sensor = LocalSensor::start(data_dir, key)?;
    command(&format!("muster reliable-task get {task_id} --watch"));
    until_ended(&client, task_id).await?;

    show::line("\n5. Its answer is an event.");
    command(&format!("muster events --follow --investigation-id {CONTEXT}"));
    show_answer(answers).await?;
    Ok(sensor)
}

fn command(line: &str) {
    show::line(format_args!("   $ {line}"));
}

/// Waits until a sensor is online, or none is; gives the first sensor there is.
async fn until_online(client: &Client, online: bool) -> anyhow::Result<String> {
    let everyone = Targeting { selector: Some("*".into()), ..Targeting::default() };
    let until = Instant::now() + STEP_MAX;
    loop {
        let preview = client.preview_reliable_task(&everyone, 1).await?;
        if let Some(sensor) = preview.sensors.into_iter().next().filter(|sensor| sensor.online == online) {
            return Ok(sensor.sid.to_string());
        }
        if Instant::now() > until {
            let wanted = if online { "online" } else { "offline" };
            return Err(anyhow!("the local sensor did not come {wanted} within {} s", STEP_MAX.as_secs()));
        }
        sleep(INTERVAL).await;
    }
}

/// Shows each state that the only target is seen in, until it has ended.
async fn until_ended(client: &Client, task_id: &str) -> anyhow::Result<()> {
    let until = Instant::now() + STEP_MAX;
    let mut seen = None;
    loop {
        let page = client.reliable_task(task_id, None, None, 1).await?;
        let target = page.targets.first().context("the task has no target")?;
        if seen.replace(target.state) != Some(target.state) {
            show::line(format_args!("   {}", target.state));
        }
        if target.ended.is_some() {
            let times = [("sent", target.sent), ("confirmed", target.confirmed), ("started", target.started)];
            let times = times.into_iter().chain([("ended", target.ended)]);
            let times: Vec<String> =
                times.filter_map(|(name, at)| Some(format!("{name} {}", clock_time(at?)))).collect();
            show::line(format_args!("   Step by step: {}.", times.join(", ")));
            return Ok(());
        }
        if Instant::now() > until {
            return Err(anyhow!(
                "the task did not end within {} s: muster reliable-task get {task_id}",
                STEP_MAX.as_secs()
            ));
        }
        sleep(INTERVAL).await;
    }
}

fn clock_time(unix_ms: i64) -> String {
    let instant = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    instant.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

/// Shows the first event that is the command's own answer.
async fn show_answer(mut answers: RecordStream) -> anyhow::Result<()> {
    let until = Instant::now() + STEP_MAX;
    loop {
        let next = timeout_at(until, answers.next()).await.context("the answer did not come")??;
        let record = next.context("the stream ended before the answer came")?;
        let event_type = record.pointer("/routing/event_type").and_then(Value::as_str).unwrap_or_default();
        if event_type.ends_with("_REP") {
            show::line(format_args!("   {}", crate::event::headline(&record)));
            let event = serde_json::to_string_pretty(record.get("event").unwrap_or(&record))?;
            for line in event.lines().take(ANSWER_LINES_MAX) {
                show::line(format_args!("   {}", show::safe(line)));
            }
            return Ok(());
        }
    }
}

/// What to try after the story, or after a quiet start of a first server.
pub fn say_what_next(data_dir: &Path) {
    let file = data_dir.join(environment::FILE);
    show::line("\nThe server stays up until Ctrl-C. Try next, in another shell:");
    command(&format!("source {}", word(&file.display().to_string())));
    if let Some(folder) = folder_off_path() {
        command(&format!("export PATH={}:\"$PATH\"", word(&folder.display().to_string())));
    }
    command("muster sensors");
    command("muster task SID 'dir_list /etc *'");
    command("muster reliable-task create 'os_packages' --selector 'plat==linux' --watch");
    command("muster events --follow");
    command("muster console --open");
    command("muster --help");
}

/// Where this program is, if shells do not look for programs there.
fn folder_off_path() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    (!env::split_paths(&path).any(|on_path| on_path == folder)).then_some(folder)
}
