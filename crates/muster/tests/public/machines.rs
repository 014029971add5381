//! Cases that need machines.

use crate::world::{World, eventually};
use muster_client::{NewTask, Targeting};
use muster_model::TargetState;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The cases that are tests here.
pub const CASES: &[&str] = &["g7-clone-is-an-error", "g8-long-output-says-so", "g9-long-commands-hold-nothing-up"];

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// What the organization is told once two machines work with one state directory, of which one is started so.
async fn told_of_a_clone(started: impl Fn(Vec<String>) -> Vec<String>) -> String {
    let world = World::start();
    let (original, copied) = (world.path("original"), world.path("copy"));
    let (running, sid) = world.enrol(&original).await;
    drop(running);
    copy(&original, &copied);
    let _machines = [world.run(&world.sensor(&original)), world.run(&started(world.sensor(&copied)))];
    let component = format!("sensors/{sid}");
    eventually("the clone is an error of the organization", async || {
        let errors = world.client.organization_errors().await.ok()?;
        errors.into_iter().find(|error| error.component == component).map(|error| error.error)
    })
    .await
}

fn this_host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

/// Words before a command that give it a machine of its own, as far as `setup` says; `None` where that may not be.
fn machine(namespace: &str, setup: &str) -> Option<Vec<String>> {
    let words = ["unshare", namespace, "sh", "-c", &format!("{setup}; exec \"$@\""), "sh"].map(str::to_owned).to_vec();
    let made = Command::new(&words[0]).args(&words[1..]).arg("true").status();
    if made.is_ok_and(|status| status.success()) {
        return Some(words);
    }
    println!("SKIPPED {setup}: no namespace of its own may be made here");
    None
}

#[tokio::test]
async fn g7_a_clone_of_the_same_boot_is_an_error_that_names_both() {
    let Some(words) = machine("--uts", "hostname the-copy") else { return };
    let told = told_of_a_clone(|command| [words.clone(), command].concat()).await;
    assert!(told.contains("the-copy") && told.contains(&this_host()), "{told}");
}

#[tokio::test]
async fn g7_a_clone_of_the_same_name_is_an_error_that_names_both() {
    let boot = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(boot.path(), "00000000-0000-4000-8000-000000000007\n").unwrap();
    let setup = format!("set -e; mount --bind {} /proc/sys/kernel/random/boot_id", boot.path().display());
    let Some(words) = machine("--mount", &setup) else { return };
    let told = told_of_a_clone(|command| [words.clone(), command].concat()).await;
    assert_eq!(told.matches(&this_host()).count(), 2, "{told}");
}

#[tokio::test]
async fn g8_long_output_keeps_head_and_tail_and_says_where_the_whole_is() {
    let world = World::start();
    let (_running, sid) = world.enrol(&world.path("state")).await;
    let command = "run --shell-command \"echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last\"";
    let answers = world.client.task_and_wait(&sid, command, "g8", Duration::from_secs(60)).await.unwrap();
    let event = &answers.first().expect("an answer")["event"];
    let shown = event["STDOUT"].as_str().unwrap();
    assert!(shown.starts_with("first\n") && shown.ends_with("last\n"), "{}", &shown[shown.len() - 40..]);
    assert!(shown.contains("missing"), "it says that something is missing");
    let named = event.as_object().unwrap().iter().filter(|(name, _)| name.starts_with("STDOUT_"));
    let beside = named.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
    assert!(beside.contains("3000012"), "its whole length: {beside}");
    assert!(beside.contains("ARTIFACT"), "where the whole is: {beside}");
}

#[tokio::test]
async fn g9_twelve_long_commands_hold_neither_a_short_one_nor_an_urgent_one_up() {
    let world = World::start();
    let (_running, sid) = world.enrol(&world.path("state")).await;
    let order = async |command: &str, urgent: bool| {
        let targeting = Targeting { sid: Some(sid.clone()), ..Targeting::default() };
        let task = NewTask { task: command.into(), targeting, urgent, ..NewTask::default() };
        world.client.create_reliable_task(&task).await.unwrap().task_id.to_string()
    };
    let state = async |task: &str| {
        let page = world.client.reliable_task(task, None, None, 1).await.unwrap();
        page.targets[0].state
    };
    let mut long = Vec::new();
    for _ in 0..12 {
        long.push(order("run --shell-command \"sleep 900\"", false).await);
    }
    let finished = async |task: &str| (state(task).await == TargetState::Finished).then_some(());
    let (short, urgent) = (order("os_version", false).await, order("run --shell-command \"echo quick\"", true).await);
    eventually("the short command is finished", async || finished(&short).await).await;
    eventually("the urgent command is finished", async || finished(&urgent).await).await;
    let mut states = Vec::new();
    for task in &long {
        states.push(state(task).await);
    }
    assert!(states.iter().all(|state| *state != TargetState::Finished), "{states:?}");
    let waiting = long
        .iter()
        .zip(&states)
        .find(|(_, state)| **state == TargetState::Confirmed)
        .expect("one waits on the sensor")
        .0;
    let explained = world.client.explain_reliable_task(waiting, &sid).await.unwrap();
    assert!(explained.explanation.contains("turn"), "{}", explained.explanation);
}
