//! The sensor against a server that speaks the real protocol over a real TLS socket.

use std::time::Duration;

use crate::fake_server::{Conversation, FakeServer};
use aws_lc_rs::digest::{SHA256, digest};
use muster_sensor::sensor::{self, Config};
use muster_wire::{
    AckedStep, Claim, Conditions, Deliver, Event, EventsAck, Goaway, Receipt, ReceiptsAck, Step, Transfer,
    TransferGrant, TransferRequest, Welcome, from_sensor, from_server,
};
use tokio::task::JoinHandle;

const TASK: [u8; 16] = [7; 16];

fn start(server: &FakeServer, state_dir: &tempfile::TempDir) -> JoinHandle<()> {
    let config = config(server, state_dir);
    tokio::spawn(async move { sensor::run(config).await.unwrap() })
}

fn config(server: &FakeServer, state_dir: &tempfile::TempDir) -> Config {
    Config {
        key: Some(server.key.clone()),
        state_dir: state_dir.path().to_owned(),
        backoff: Duration::from_millis(20),
        history_bytes: 1 << 20,
        proxy: None,
        crash_at: None,
    }
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
        urgent: false,
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
        let is_answered = events
            .iter()
            .any(|event: &Event| event.task_id == task && !event.replayed && event.event_type != "CLOUD_NOTIFICATION");
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

/// Listens until the sensor asks for a transfer.
async fn transfer_request(link: &mut Conversation) -> TransferRequest {
    loop {
        if let from_sensor::Message::Transfer(request) = link.hear().await {
            return request;
        }
    }
}

/// Puts a sensor on a link.
async fn welcomed(server: &FakeServer, state_dir: &tempfile::TempDir) -> (JoinHandle<()>, Conversation) {
    let sensor = start(server, state_dir);
    server.accept().await.enrol().await;
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    (sensor, link)
}

fn body(events: &[Event], task: [u8; 16]) -> serde_json::Value {
    let answer = events.iter().rfind(|event| event.task_id == task).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_payload_runs_only_if_it_is_the_one_that_was_ordered() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let payload = b"#!/bin/sh\necho got $1\n";
    let sha256 = digest(&SHA256, payload).as_ref().to_vec();
    let grant = |request: &TransferRequest, sha256: &[u8]| TransferGrant {
        id: request.id,
        token: "token-1".to_owned(),
        sha256: sha256.to_vec(),
        size: payload.len() as u64,
        ..TransferGrant::default()
    };

    let line = "run --payload-name tool.sh --arguments \"'a b'\"";
    link.say(from_server::Message::Deliver(deliver(TASK, line))).await;
    let request = transfer_request(&mut link).await;
    assert_eq!(request.transfer, Some(Transfer::Payload("tool.sh".to_owned())));
    link.say(from_server::Message::Grant(grant(&request, &sha256))).await;
    let (line, _) = server.transfer("200 OK", payload).await;
    assert_eq!(line, "GET /transfer/token-1 HTTP/1.1");
    let (receipts, events) = outcome(&mut link, TASK).await;
    assert_eq!(receipts.last().unwrap().code, 0);
    assert_eq!(body(&events, TASK)["STDOUT"], "got a b\n");

    // The server grants what it says it grants, but something else comes.
    link.say(from_server::Message::Deliver(deliver([8; 16], "run --payload-name tool.sh"))).await;
    let request = transfer_request(&mut link).await;
    link.say(from_server::Message::Grant(grant(&request, &[0; 32]))).await;
    server.transfer("200 OK", payload).await;
    let (receipts, _) = outcome(&mut link, [8; 16]).await;
    assert_eq!((receipts.last().unwrap().step, receipts.last().unwrap().code), (Step::Finished as i32, 23));

    // The operator ordered another content than the server now has under that name.
    let conditions = Some(Conditions { payload_sha256: vec![9; 32], ..Conditions::default() });
    let order = Deliver { conditions, ..deliver([9; 16], "run --payload-name tool.sh") };
    link.say(from_server::Message::Deliver(order)).await;
    let request = transfer_request(&mut link).await;
    link.say(from_server::Message::Grant(grant(&request, &sha256))).await;
    let (receipts, _) = outcome(&mut link, [9; 16]).await;
    assert_eq!(receipts.last().unwrap().step, Step::Refused as i32);
    assert_eq!(std::fs::read_dir(state_dir.path().join("tmp")).unwrap().count(), 0, "payloads do not stay");
}

#[tokio::test]
async fn files_travel_whole_and_refusals_are_told() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let file = state_dir.path().join("large");
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).collect();
    std::fs::write(&file, &content).unwrap();

    let line = format!("artifact_get --file {} --type txt --payload-id p-1", file.display());
    link.say(from_server::Message::Deliver(deliver(TASK, &line))).await;
    let request = transfer_request(&mut link).await;
    let Some(Transfer::Artifact(offer)) = &request.transfer else { panic!("no artifact is offered") };
    assert_eq!((offer.size, offer.payload_id.as_str(), offer.retention_days), (1_200_000, "p-1", 30));
    let grant = TransferGrant { id: request.id, token: "t".to_owned(), ..TransferGrant::default() };
    link.say(from_server::Message::Grant(grant)).await;
    let (line, got) = server.transfer("200 OK", b"").await;
    assert_eq!(line, "PUT /transfer/t HTTP/1.1");
    assert!(got == content);
    let (receipts, events) = outcome(&mut link, TASK).await;
    assert_eq!(receipts.last().unwrap().code, 200);
    assert_eq!(body(&events, TASK)["PAYLOAD_ID"], "p-1");

    let target = state_dir.path().join("target");
    let line = format!("put --payload-name x --payload-path {}", target.display());
    link.say(from_server::Message::Deliver(deliver([8; 16], &line))).await;
    let request = transfer_request(&mut link).await;
    let error = "payload not found: x".to_owned();
    let refusal = TransferGrant { id: request.id, status: 404, error: error.clone(), ..TransferGrant::default() };
    link.say(from_server::Message::Grant(refusal)).await;
    let (receipts, events) = outcome(&mut link, [8; 16]).await;
    assert_eq!((receipts.last().unwrap().code, receipts.last().unwrap().error.as_str()), (404, error.as_str()));
    assert_eq!(body(&events, [8; 16])["ERROR"], 404);
    assert!(!target.exists());
}

#[tokio::test]
async fn output_that_is_too_long_for_a_reply_becomes_an_artifact() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let line = "run 'echo first; head -c 3000000 /dev/zero | tr \"\\0\" x; echo last'";
    link.say(from_server::Message::Deliver(deliver(TASK, line))).await;
    let request = transfer_request(&mut link).await;
    let Some(Transfer::Artifact(offer)) = &request.transfer else { panic!("no artifact is offered") };
    assert_eq!(offer.size, 3_000_011);
    assert!(offer.path.starts_with("STDOUT of task "));
    let grant = TransferGrant { id: request.id, token: "t".to_owned(), ..TransferGrant::default() };
    link.say(from_server::Message::Grant(grant)).await;
    let (_, got) = server.transfer("200 OK", b"").await;
    assert!(got.len() == 3_000_011 && got.starts_with(b"first\nx") && got.ends_with(b"xlast\n"));
    let (receipts, events) = outcome(&mut link, TASK).await;
    assert_eq!(receipts.last().unwrap().code, 0);
    let reply = body(&events, TASK);
    assert_eq!(
        (&reply["STDOUT_ARTIFACT"], &reply["STDOUT_BYTES"]),
        (&offer.payload_id.clone().into(), &3_000_011.into())
    );
    assert!(reply["STDOUT"].as_str().unwrap().contains("bytes are missing here"));
}

#[tokio::test]
async fn a_payload_that_is_put_appears_whole_and_only_where_and_as_what_it_was_ordered() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let place = tempfile::tempdir().unwrap();
    for (task, name, payload, mode) in
        [(TASK, "settings.conf", &b"a = 1\n"[..], 0o600), ([8; 16], "tool", b"#!/bin/sh\n", 0o700)]
    {
        let target = place.path().join(name);
        std::fs::write(&target, "what was there before").unwrap();
        let line = format!("put --payload-name {name} --payload-path {}", target.display());
        link.say(from_server::Message::Deliver(deliver(task, &line))).await;
        let request = transfer_request(&mut link).await;
        assert_eq!(request.transfer, Some(Transfer::Payload(name.to_owned())));
        let grant = TransferGrant {
            id: request.id,
            token: "t".to_owned(),
            sha256: digest(&SHA256, payload).as_ref().to_vec(),
            size: payload.len() as u64,
            ..TransferGrant::default()
        };
        link.say(from_server::Message::Grant(grant)).await;
        server.transfer("200 OK", payload).await;
        let (receipts, events) = outcome(&mut link, task).await;
        let last = receipts.last().unwrap();
        assert_eq!((last.step, last.code), (Step::Finished as i32, 200));
        assert_eq!(body(&events, task)["FILE_PATH"], target.to_str().unwrap());
        assert_eq!(std::fs::read(&target).unwrap(), payload);
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, mode);
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "nothing else is left");
}

/// Listens for an event that fits.
async fn event(link: &mut Conversation, fits: impl Fn(&Event, &serde_json::Value) -> bool) -> Event {
    loop {
        if let from_sensor::Message::Events(events) = link.hear().await {
            let seq = events.events.last().map_or(0, |event| event.seq);
            link.say(from_server::Message::EventsAck(EventsAck { seq, server_now_ms: 0 })).await;
            let fitting = |event: &&Event| serde_json::from_slice(&event.body).is_ok_and(|body| fits(event, &body));
            if let Some(found) = events.events.iter().find(fitting) {
                return found.clone();
            }
        }
    }
}

#[tokio::test]
async fn a_process_is_seen_to_begin_and_to_end_under_one_atom_and_stays_in_the_history() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    // Collection is at work when it has told of the processes that were there.
    event(&mut link, |event, body| event.event_type == "EXISTING_PROCESS" && body["PROCESS_ID"] == std::process::id())
        .await;
    // A program that nobody else runs, so that it is new. Appending does not hurt it.
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("sleep");
    let mut content = std::fs::read("/bin/sleep").unwrap();
    content.extend(muster_sensor::random::uuid().as_bytes());
    std::fs::write(&program, &content).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut child = std::process::Command::new(&program).arg("300").spawn().unwrap();
    let pid = child.id();
    let begun = event(&mut link, |event, body| {
        event.event_type == "NEW_PROCESS" && body["PROCESS_ID"] == pid && body["FILE_PATH"] == program.to_str().unwrap()
    })
    .await;
    let body: serde_json::Value = serde_json::from_slice(&begun.body).unwrap();
    assert_eq!(body["PARENT"]["PROCESS_ID"], std::process::id());
    let sha256: String = digest(&SHA256, &content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(body["HASH"], sha256);
    assert_eq!((begun.this_atom.len(), begun.parent_atom.len()), (16, 16));
    child.kill().unwrap();
    child.wait().unwrap();
    let ended =
        event(&mut link, |event, body| event.event_type == "TERMINATE_PROCESS" && body["PROCESS_ID"] == pid).await;
    assert_eq!(ended.parent_atom, begun.this_atom);

    let root: String = begun.this_atom.iter().map(|byte| format!("{byte:02x}")).collect();
    link.say(from_server::Message::Deliver(deliver(TASK, &format!("history_dump -r {root}")))).await;
    let (_, events) = outcome(&mut link, TASK).await;
    let replayed: Vec<&str> =
        events.iter().filter(|event| event.replayed).map(|event| event.event_type.as_str()).collect();
    assert_eq!(replayed, ["NEW_PROCESS", "CODE_IDENTITY", "TERMINATE_PROCESS"]);
    assert!(events.iter().filter(|event| event.replayed).all(|event| event.investigation_id == "case-7/1"));
    assert_eq!(body_of(&events, "HISTORY_DUMP_REP")["COUNT"], 3);
}

fn body_of(events: &[Event], event_type: &str) -> serde_json::Value {
    serde_json::from_slice(&events.iter().find(|event| event.event_type == event_type).unwrap().body).unwrap()
}

#[tokio::test]
async fn restart_without_an_identity_enrols_anew_and_drops_what_the_old_one_was_ordered() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let before = link.hello.state.clone().unwrap();
    link.say(from_server::Message::Deliver(deliver([8; 16], "os_version"))).await;
    outcome(&mut link, [8; 16]).await;
    std::fs::remove_file(state_dir.path().join("identity.json")).unwrap();
    link.say(from_server::Message::Deliver(deliver(TASK, "restart"))).await;
    let mut steps = Vec::new();
    while steps.last() != Some(&(Step::Finished as i32)) {
        match link.hear().await {
            from_sensor::Message::Receipts(more) => {
                steps
                    .extend(more.receipts.iter().filter(|receipt| receipt.task_id == TASK).map(|receipt| receipt.step));
            }
            from_sensor::Message::Events(events) => {
                assert!(events.events.iter().all(|event| event.task_id != TASK), "restart says nothing");
            }
            _ => {}
        }
    }
    assert_eq!(steps, [Step::Confirmed as i32, Step::Started as i32, Step::Finished as i32]);
    drop(link);
    let link = server.accept().await;
    assert!(matches!(link.hello.claim, Some(Claim::Enrol(_))));
    let after = link.hello.state.as_ref().unwrap();
    assert!(after.journal_id != before.journal_id && after.spool_id != before.spool_id);
}

#[tokio::test]
async fn a_restart_ends_what_runs_and_reports_it_as_interrupted() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    let pid_file = state_dir.path().join("pid");
    link.say(from_server::Message::Deliver(deliver(
        TASK,
        &format!("run 'echo $$ > {}; exec sleep 300'", pid_file.display()),
    )))
    .await;
    while !std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')) {
        tokio::task::yield_now().await;
    }
    link.say(from_server::Message::Deliver(deliver([8; 16], "restart"))).await;
    // The link ends; what was never acknowledged comes again on the next.
    let mut link = server.accept().await;
    link.welcome(1, 0).await;
    let (receipts, events) = outcome(&mut link, TASK).await;
    assert_eq!(receipts.last().unwrap().step, Step::Interrupted as i32);
    assert_eq!(body(&events, TASK)["ERROR"], 109);
    let pid: u32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let process = muster_sensor::platform::process::describe(pid);
    assert!(process.is_none_or(|process| process.path.is_none()), "what ran lives on");
}

#[tokio::test]
async fn a_sensor_that_is_sent_away_comes_again_with_the_hint_that_it_was_given() {
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let (_sensor, mut link) = welcomed(&server, &state_dir).await;
    assert!(link.hello.cell_hint.is_empty());
    link.say(from_server::Message::Welcome(Welcome { epoch: 1, cell_hint: vec![7; 5], ..Welcome::default() })).await;
    link.say(from_server::Message::Goaway(Goaway { within_ms: 50 })).await;
    // The old link is not closed by the server: it is the sensor that leaves.
    let next = server.accept().await;
    assert_eq!(next.hello.cell_hint, [7; 5]);
}

#[tokio::test]
async fn a_sensor_goes_through_the_proxy_it_was_given() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
    let server = FakeServer::start().await;
    let state_dir = tempfile::tempdir().unwrap();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { proxy: Some(proxy.local_addr().unwrap().to_string()), ..config(&server, &state_dir) };
    let _sensor = tokio::spawn(async move { sensor::run(config).await.unwrap() });
    let lead = async {
        let mut from = BufReader::new(proxy.accept().await.unwrap().0);
        let mut asked = String::new();
        while !asked.ends_with("\r\n\r\n") {
            from.read_line(&mut asked).await.unwrap();
        }
        assert!(asked.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.key.address)), "{asked}");
        from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut to = tokio::net::TcpStream::connect(&server.key.address).await.unwrap();
        copy_bidirectional(&mut from, &mut to).await.unwrap();
    };
    tokio::select! {
        () = lead => panic!("the link ended"),
        link = server.accept() => assert!(matches!(link.hello.claim, Some(Claim::Enrol(_)))),
    }
}
