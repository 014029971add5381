//! Isolation of a network name space of its own: never of the machine that runs the tests.

use std::process::Command;

use muster_wire::{Deliver, Flags, from_sensor, from_server};

use crate::fake_server::{Conversation, FakeServer};
use crate::process::Program;

const IN_NAMESPACE: &str = "MUSTER_TEST_IN_NAMESPACE";
const TEST: &str = "isolation::isolation_comes_and_goes_with_flags_and_tasks_and_outlives_the_sensor";

fn is_isolated() -> bool {
    let listed = Command::new("nft").args(["list", "table", "inet", "muster"]).output().unwrap();
    listed.status.success()
}

async fn reported(link: &mut Conversation, isolated: bool) {
    loop {
        if let from_sensor::Message::Sync(state) = link.hear().await
            && state.isolated == isolated
        {
            return;
        }
    }
}

fn deliver(task: u8, command: &str) -> from_server::Message {
    let (task_id, command) = (vec![task; 16], command.to_owned());
    from_server::Message::Deliver(Deliver { task_id, epoch: 1, command, lifetime_ms: 60_000, ..Deliver::default() })
}

#[test]
fn isolation_comes_and_goes_with_flags_and_tasks_and_outlives_the_sensor() {
    if std::env::var_os(IN_NAMESPACE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(in_namespace());
    }
    let may_unshare = Command::new("unshare").args(["-rn", "nft", "list", "ruleset"]).output();
    if !may_unshare.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: this machine allows no network name spaces, or has no nft");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let script = "ip link set lo up && exec \"$0\" --exact \"$1\"";
    let mut inner = Command::new("unshare");
    inner.args(["-rn", "sh", "-c", script]).arg(own).arg(TEST).env(IN_NAMESPACE, "1");
    let output = inner.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn in_namespace() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let program = Program::start_unguarded(&server, state_dir.path());
    server.accept().await.enrol().await;
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    reported(&mut link, false).await;

    link.say(deliver(1, "segregate_network")).await;
    reported(&mut link, true).await;
    assert!(is_isolated());
    link.say(deliver(2, "rejoin_network")).await;
    reported(&mut link, false).await;
    assert!(!is_isolated());

    link.say(from_server::Message::Flags(Flags { isolate: Some(true), seal: None })).await;
    reported(&mut link, true).await;
    program.kill();
    drop(link);
    let removed = Command::new("nft").args(["delete", "table", "inet", "muster"]).status().unwrap();
    assert!(removed.success(), "as a reboot would");
    let _program = Program::start_unguarded(&server, state_dir.path());
    let mut link = server.accept().await;
    assert!(link.hello.state.as_ref().unwrap().isolated, "in force before the link is up");
    assert!(is_isolated());
    link.welcome(1, 0).await;
    link.say(from_server::Message::Flags(Flags { isolate: Some(false), seal: Some(true) })).await;
    reported(&mut link, false).await;
    assert!(!is_isolated());
}
