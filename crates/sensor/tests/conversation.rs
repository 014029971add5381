//! The sensor against a server that speaks the real protocol over a real TLS socket.

#[path = "conversation/fake_server.rs"]
mod fake_server;

use std::time::Duration;

use fake_server::{Conversation, FakeServer};
use muster_sensor::sensor::{self, Config};
use muster_wire::{AckedStep, Claim, Deliver, Event, Receipt, ReceiptsAck, Step, from_sensor, from_server};
use tokio::task::JoinHandle;

const TASK: [u8; 16] = [7; 16];

fn start(server: &FakeServer, state_dir: &tempfile::TempDir) -> JoinHandle<()> {
    let config = Config {
        key: Some(server.key.clone()),
        state_dir: state_dir.path().to_owned(),
        backoff: Duration::from_millis(20),
        history_bytes: 1 << 20,
    };
    tokio::spawn(async move { sensor::run(config).await.unwrap() })
}

/// Ends a sensor as a crash would: nothing of it runs on.
async fn kill(sensor: JoinHandle<()>) {
    sensor.abort();
    assert!(sensor.await.unwrap_err().is_cancelled());
}

fn deliver(task: [u8; 16], command: &str) -> Deliver {
    Deliver {
        task_id: task.to_vec(),
        epoch: 1,
        command: command.to_owned(),
        investigation_id: "case-7/1".to_owned(),
        not_after_ms: 0,
        lifetime_ms: 60_000,
        wants_receipts: true,
        conditions: None,
    }
}

/// Listens until the task has taken its last step and its answer is here.
async fn outcome(link: &mut Conversation, task: [u8; 16]) -> (Vec<Receipt>, Vec<Event>) {
    let (mut receipts, mut events) = (Vec::new(), Vec::new());
    loop {
        match link.hear().await {
            from_sensor::Message::Receipts(more) => {
                receipts.extend(more.receipts.into_iter().filter(|receipt| receipt.task_id == task));
            }
            from_sensor::Message::Events(more) => events.extend(more.events),
            _ => {}
        }
        let is_answered =
            events.iter().any(|event: &Event| event.task_id == task && event.event_type != "CLOUD_NOTIFICATION");
        if is_answered && receipts.iter().any(|receipt: &Receipt| receipt.step >= Step::Finished as i32) {
            return (receipts, events);
        }
    }
}

fn steps(receipts: &[Receipt]) -> Vec<i32> {
    receipts.iter().map(|receipt| receipt.step).collect()
}

#[tokio::test]
async fn a_sensor_enrols_resumes_runs_once_and_sends_again_what_was_not_acknowledged() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let marker = state_dir.path().join("ran");
    let sensor = start(&server, &state_dir);

    let link = server.accept().await;
    assert!(matches!(link.hello.claim, Some(Claim::Enrol(_))), "the first connection enrols");
    link.enrol().await;
    let mut link = server.accept().await;
    let spool_id = link.hello.state.as_ref().unwrap().spool_id.clone();
    link.welcome(1, 0).await;
    link.say(from_server::Message::Deliver(deliver(TASK, &format!("run \"echo x >> {}; exit 3\"", marker.display()))))
        .await;
    let (receipts, events) = outcome(&mut link, TASK).await;
    assert_eq!(steps(&receipts), [Step::Confirmed as i32, Step::Started as i32, Step::Finished as i32]);
    assert_eq!(receipts[2].code, 3);
    let of_task: Vec<&str> =
        events.iter().filter(|event| event.task_id == TASK).map(|event| event.event_type.as_str()).collect();
    assert_eq!(of_task, ["CLOUD_NOTIFICATION", "RECEIPT"]);
    assert!(events.iter().any(|event| event.event_type == "STARTING_UP"));
    assert!(events.iter().is_sorted_by_key(|event| event.seq));
    let last_seq = events.iter().rfind(|event| event.task_id == TASK).unwrap().seq;

    kill(sensor).await;
    drop(link);
    let sensor = start(&server, &state_dir);
    let mut link = server.accept().await;
    assert!(matches!(link.hello.claim, Some(Claim::Resume(_))), "the identity survived");
    assert_eq!(link.hello.state.as_ref().unwrap().spool_id, spool_id);
    link.welcome(1, 0).await;
    let (receipts, again) = outcome(&mut link, TASK).await;
    assert_eq!(receipts.len(), 3, "unacknowledged receipts come again");
    assert!(again.iter().any(|event| event.seq == last_seq), "unacknowledged events come again");

    let acked = receipts.iter().map(|receipt| AckedStep { task_id: TASK.to_vec(), step: receipt.step }).collect();
    link.say(from_server::Message::ReceiptsAck(ReceiptsAck { steps: acked })).await;
    link.say(from_server::Message::Deliver(deliver(TASK, "run \"should not run\""))).await;
    while !matches!(link.hear().await, from_sensor::Message::Receipts(_)) {}

    kill(sensor).await;
    drop(link);
    let _sensor = start(&server, &state_dir);
    let mut link = server.accept().await;
    link.welcome(1, last_seq).await;
    link.say(from_server::Message::Deliver(deliver([8; 16], "os_version"))).await;
    let (receipts, events) = outcome(&mut link, [8; 16]).await;
    assert_eq!(receipts.last().unwrap().code, 0);
    assert!(events.iter().all(|event| event.seq > last_seq), "what the server has does not come again");
    assert_eq!(std::fs::read_to_string(marker).unwrap(), "x\n", "the task had its effect once");
}
