//! Live sessions over HTTP, with a sensor that the test plays.

mod registry;

use crate::described;
use crate::world::World;
use muster_model::{Oid, Sid};
use muster_server::access::owner_permissions;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::random;
use muster_store::{Store, StoreError};
use muster_wire::{
    FromServer, LiveEnded, LiveJoined, LiveProgress, LiveReport, LiveRun, from_server, live_order, live_report,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const BASE: &str = "/integrationServices/v3/cblr";

/// A sensor with a link.
struct Played {
    sid: Sid,
    place: Place,
    link: Arc<Link>,
    device: u64,
}

impl Played {
    async fn new(world: &World, sid: Sid) -> Self {
        let device = world.ok("GET", &format!("live/{}/devices/{sid}", world.oid), &[]).await;
        Self::online(world, sid, device["device_id"].as_u64().unwrap()).await
    }

    async fn online(world: &World, sid: Sid, device: u64) -> Self {
        let link = world.link(sid).await;
        let organization = world.server.app.organization(world.oid).unwrap();
        let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
        let place = Place { organization, ordinal };
        world.server.app.live.arrived(&place);
        Self { sid, place, link, device }
    }

    /// What was said about live sessions since it was asked last.
    fn told(&self) -> Vec<live_order::What> {
        let live = |message: FromServer| match message.message? {
            from_server::Message::Live(order) => order.what,
            _ => None,
        };
        self.link.take().into_iter().filter_map(live).collect()
    }

    fn runs(&self) -> Vec<LiveRun> {
        let run = |what| match what {
            live_order::What::Run(run) => Some(run),
            _ => None,
        };
        self.told().into_iter().filter_map(run).collect()
    }

    async fn say(&self, world: &World, session: u64, what: live_report::What) {
        world.server.app.live.heard(&self.place, LiveReport { session, what: Some(what) }).await;
    }

    async fn join(&self, world: &World, session: u64, instance: u8) {
        let joined = LiveJoined {
            instance: vec![instance],
            working_directory: "/".into(),
            drives: vec!["/".into()],
            commands: muster_live::Name::all().map(|name| name.text().to_owned()).collect(),
            os_version: "Linux".into(),
        };
        self.say(world, session, live_report::What::Joined(joined)).await;
    }

    async fn end(&self, world: &World, session: u64, command: u32, code: u32) {
        let found = json!({"files": [{"name": "x", "alternate": "", "attributes": [], "size": 1, "created": 1,
            "accessed": 1, "modified": 1}]});
        self.end_with(world, session, command, code, &found).await;
    }

    async fn end_with(&self, world: &World, session: u64, command: u32, code: u32, found: &Value) {
        let ended = LiveEnded { command, code, text: String::new(), found: found.to_string().into_bytes() };
        self.say(world, session, live_report::What::Ended(ended)).await;
    }
}

/// A call with a JSON body, as the owner.
async fn call(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    call_as(world, &world.token, method, path, body).await
}

async fn call_as(world: &World, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = world.request(method, path).bearer_auth(token).header("content-type", "application/json");
    let answer = request.body(if body.is_null() { String::new() } else { body.to_string() }).send().await.unwrap();
    let (status, answer) = (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null));
    if !answer.is_null() {
        let address = if path.starts_with('/') { path.to_owned() } else { format!("/v1/{path}") };
        described::check(method, &address, None, status, &answer);
    }
    (status, answer)
}

async fn open(world: &World, sensor: &Played) -> String {
    let (status, session) = call(world, "POST", &format!("{BASE}/session/{}", sensor.device), &json!({})).await;
    assert_eq!((status, &session["status"]), (200, &json!("PENDING")), "{session}");
    session["id"].as_str().unwrap().to_owned()
}

/// A world with one sensor that is online, and a session with it that was asked for.
async fn opened() -> (World, Played, String) {
    let world = World::new().await;
    let sid = world.sensor("host", &[]).await;
    let sensor = Played::new(&world, sid).await;
    let id = open(&world, &sensor).await;
    (world, sensor, id)
}

#[tokio::test]
async fn a_command_that_cannot_be_stored_is_not_answered_and_not_sent() {
    let (store, faults) = Store::memory_with_faults();
    let world = World::on(TempDir::new().unwrap(), store).await;
    let sid = world.sensor("host", &[]).await;
    let sensor = Played::new(&world, sid).await;
    faults.fail_next(StoreError::Full);
    let path = format!("{BASE}/session/{}", sensor.device);
    assert_eq!(call(&world, "POST", &path, &json!({})).await.0, 503);
    assert!(
        sensor.told().is_empty() && call(&world, "GET", &format!("{BASE}/session"), &Value::Null).await.1 == json!([])
    );
    let id = open(&world, &sensor).await;
    sensor.join(&world, 1, 1).await;
    sensor.told();
    let commands = format!("{BASE}/session/{id}/command");
    faults.fail_next(StoreError::Full);
    let (status, body) = call(&world, "POST", &commands, &json!({"name": "process list"})).await;
    assert_eq!((status, &body["status"]), (503, &json!("UNAVAILABLE")));
    assert!(sensor.runs().is_empty());
    let (status, body) = call(&world, "POST", &commands, &json!({"name": "process list"})).await;
    assert_eq!((status, &body["id"], sensor.runs().len()), (200, &json!(0), 1), "nothing of the refused one is left");
    // The end that cannot be stored is not acknowledged, and asked for again.
    faults.fail_next(StoreError::Full);
    sensor.end(&world, 1, 0, 0).await;
    assert_eq!(call(&world, "GET", &format!("{commands}/0"), &Value::Null).await.1["status"], "pending");
    world.server.app.live.tick(muster_server::clock::now()).await;
    let told = sensor.told();
    assert!(told.iter().any(|what| matches!(what, live_order::What::Open(_))), "the sensor is to say it again");
    assert!(!told.contains(&live_order::What::Stored(0)));
    sensor.end(&world, 1, 0, 0).await;
    world.server.app.live.tick(muster_server::clock::now()).await;
    assert!(sensor.told().contains(&live_order::What::Stored(0)));
    faults.fail_next(StoreError::Full);
    let close = json!({"session_id": id, "status": "CLOSE"});
    assert_eq!(call(&world, "PUT", &format!("{BASE}/session"), &close).await.0, 503);
    assert_eq!(call(&world, "GET", &format!("{BASE}/session/{id}"), &Value::Null).await.1["status"], "ACTIVE");
    let actions: Vec<String> = world.audited().await.into_iter().map(|(action, _)| action).collect();
    let live: Vec<&str> = actions.iter().map(String::as_str).filter(|action| action.starts_with("live_")).collect();
    assert_eq!(live, ["live_open", "live_command", "live_ended"], "what was refused is not told");
}

#[tokio::test]
async fn sessions_commands_and_results_survive_a_restart_and_their_state_stays_true() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let commands = format!("{BASE}/session/{id}/command");
    for _ in 0..3 {
        call(&world, "POST", &commands, &json!({"name": "directory list", "object": "/"})).await;
    }
    sensor.end(&world, 1, 0, 0).await;
    let before = call(&world, "GET", &format!("{commands}/0"), &Value::Null).await.1;
    assert_eq!((&before["status"], &before["files"][0]["filename"]), (&json!("complete"), &json!("x")));

    let (sid, device) = (sensor.sid, sensor.device);
    drop(sensor);
    let world = world.restart().await;
    assert_eq!(call(&world, "GET", &format!("{commands}/0"), &Value::Null).await.1, before);
    assert_eq!(call(&world, "GET", &format!("{BASE}/session/{id}"), &Value::Null).await.1["status"], "INACTIVE");
    let (_, queued) = call(&world, "POST", &commands, &json!({"name": "process list"})).await;
    assert_eq!(queued["id"], 3, "a session whose sensor is away takes commands");

    // The same run of the sensor is asked for what it has; another run never gets what was sent before.
    let again = Played::online(&world, sid, device).await;
    again.join(&world, 1, 1).await;
    assert_eq!(again.runs().iter().map(|run| run.command).collect::<Vec<_>>(), [1, 2, 3]);
    again.end(&world, 1, 1, 2).await;
    again.join(&world, 1, 2).await;
    assert!(again.runs().is_empty());
    let (_, all) = call(&world, "GET", &commands, &Value::Null).await;
    let state = |n: usize| (all[n]["status"].clone(), all[n]["result_type"].clone(), all[n]["result_code"].clone());
    assert_eq!(state(1), (json!("error"), json!("WinHresult"), json!(2_147_942_402_u32)));
    assert_eq!(state(2), (json!("error"), json!("CbError"), json!(2)));
    assert_eq!(state(3), (json!("error"), json!("CbError"), json!(2)));
}

#[tokio::test]
async fn ids_of_another_organization_are_not_found() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let other = Oid(random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &owner_permissions()).await;
    let session = format!("{BASE}/session/{id}");
    for (method, path) in [
        ("GET", session.clone()),
        ("GET", format!("{session}/keepalive")),
        ("GET", format!("{session}/command")),
        ("POST", format!("{session}/command")),
        ("GET", format!("{session}/file")),
        ("POST", format!("{BASE}/session/{}", sensor.device)),
        ("GET", format!("/appservices/v6/orgs/{other}/liveresponse/sessions/{id}")),
        ("GET", format!("/appservices/v6/orgs/{}/liveresponse/sessions/{id}", world.oid)),
        ("GET", format!("/integrationServices/v3/device/{}", sensor.device)),
        ("GET", format!("/v1/live/{other}/transcripts/{id}")),
        ("GET", format!("/v1/live/{other}/devices/{}", sensor.sid)),
    ] {
        let body =
            if path.ends_with("/command") && method == "POST" { json!({"name": "process list"}) } else { json!(null) };
        let (status, body) = call_as(&world, &stranger, method, &path, &body).await;
        assert_eq!(status, 404, "{method} {path}: {body}");
    }
    assert_eq!(call_as(&world, &stranger, "GET", &format!("{BASE}/session"), &Value::Null).await.1, json!([]));
    let close = json!({"session_id": id, "status": "CLOSE"});
    assert_eq!(call_as(&world, &stranger, "PUT", &format!("{BASE}/session"), &close).await.0, 404);
    assert_eq!(call(&world, "GET", &session, &Value::Null).await.1["status"], "ACTIVE");
}

/// A key needs the permission of each kind of command, and the word for that is the one of its form.
#[tokio::test]
async fn a_command_needs_the_permission_of_its_kind() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let poor = world.token_of(world.oid, &["live.session".to_owned(), "live.file".to_owned()]).await;
    let later = format!("/appservices/v6/orgs/{}/liveresponse/sessions/{id}/commands", world.oid);
    for (path, refused, done) in [(format!("{BASE}/session/{id}/command"), 401, 200), (later, 403, 201)] {
        for (name, status) in [("process list", refused), ("memdump", refused), ("reg enum key", refused)] {
            let request = json!({"name": name, "object": "/x"});
            assert_eq!(call_as(&world, &poor, "POST", &path, &request).await.0, status, "{name} {path}");
        }
        let request = json!({"name": "directory list", "object": "/"});
        assert_eq!(call_as(&world, &poor, "POST", &path, &request).await.0, done);
    }
}

#[tokio::test]
async fn p25_sessions_have_a_limit_and_one_device_has_one() {
    let world = World::with(TempDir::new().unwrap(), Store::memory(), |config| config.limits.live.sessions = 1).await;
    let (one, other) = (world.sensor("one", &[]).await, world.sensor("other", &[]).await);
    let (one, other) = (Played::new(&world, one).await, Played::new(&world, other).await);
    let id = open(&world, &one).await;
    assert_eq!(open(&world, &one).await, id, "whoever asks later gets the same");
    let path = format!("{BASE}/session/{}", other.device);
    let (status, body) = call(&world, "POST", &path, &json!({})).await;
    assert_eq!(status, 403, "{body}");
    call(&world, "PUT", &format!("{BASE}/session"), &json!({"session_id": id, "status": "CLOSE"})).await;
    assert_eq!(open(&world, &other).await, format!("2:{}", other.device), "numbers are not used again");
    for (field, value) in [("checkin_timeout", json!(0)), ("session_timeout", json!(90_000)), ("nonsense", json!(1))] {
        assert_eq!(call(&world, "POST", &path, &json!({field: value})).await.0, 400, "{field}");
    }
}

/// What was done can be read afterwards, by those who may read the audit.
#[tokio::test]
async fn a_transcript_tells_who_ordered_what_and_what_came_of_it() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let commands = format!("{BASE}/session/{id}/command");
    call(&world, "POST", &commands, &json!({"name": "directory list", "object": "/etc/"})).await;
    sensor.end(&world, 1, 0, 0).await;
    call(&world, "PUT", &format!("{BASE}/session"), &json!({"session_id": id, "status": "CLOSE"})).await;
    let transcript = world.ok("GET", &format!("live/{}/transcripts/{id}", world.oid), &[]).await;
    let command = &transcript["commands"][0];
    assert_eq!((&transcript["status"], &transcript["by"]), (&json!("CLOSE"), &json!("tester")));
    assert_eq!((&command["by"], &command["obj"]["object"]), (&json!("tester"), &json!("/etc/")));
    assert_eq!(command["files"][0]["filename"], "x");
    // The audit tells of each step who did what, from where, and what came of it.
    let live: Vec<(String, Value)> =
        world.audited().await.into_iter().filter(|(action, _)| action.starts_with("live_")).collect();
    let actions: Vec<&str> = live.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["live_open", "live_command", "live_ended", "live_close"]);
    for (_, record) in live.iter().filter(|(action, _)| action != "live_ended") {
        assert_eq!(
            (&record["ident"], &record["mtd"]["source_ip"]),
            (&json!("tester"), &json!("127.0.0.1")),
            "{record}"
        );
        assert_eq!(record["entity"], json!({"type": "live_session", "id": id, "sid": sensor.sid}));
    }
    assert_eq!(live[1].1["mtd"]["request"], json!({"name": "directory list", "object": "/etc/"}));
    let end = &live[2].1["mtd"];
    assert_eq!(
        (&end["by"], &end["command"], &end["result_code"]),
        (&json!("tester"), &json!("directory list"), &json!(0))
    );
    let poor = world.token_of(world.oid, &["live.session".to_owned()]).await;
    let path = format!("live/{}/transcripts/{id}", world.oid);
    assert_eq!(world.call_as(Some(&poor), "GET", &path, &[]).await.0, 401);
}

#[tokio::test]
async fn p25_a_hundred_sessions_at_once_each_have_their_own_results() {
    let world = World::new().await;
    let mut sensors = Vec::new();
    for number in 0..100 {
        let sid = world.sensor(&format!("host-{number}"), &[]).await;
        sensors.push(Played::new(&world, sid).await);
    }
    let mut commands = Vec::new();
    for (number, sensor) in (1..).zip(&sensors) {
        let id = open(&world, sensor).await;
        sensor.join(&world, number, 1).await;
        let path = format!("{BASE}/session/{id}/command");
        let (status, _) = call(&world, "POST", &path, &json!({"name": "directory list", "object": "/"})).await;
        assert_eq!(status, 200);
        commands.push(path);
    }
    let one_more = world.sensor("one more", &[]).await;
    let one_more = Played::new(&world, one_more).await;
    assert_eq!(call(&world, "POST", &format!("{BASE}/session/{}", one_more.device), &json!({})).await.0, 403);
    // The last one answers first; what is said in the name of another session is not taken.
    for (at, sensor) in sensors.iter().enumerate().rev() {
        let number = at as u64 + 1;
        sensor.end(&world, number % 100 + 1, 0, 5).await;
        sensor.end(&world, number, 0, u32::try_from(number % 2).unwrap()).await;
    }
    for (number, path) in (1..).zip(&commands) {
        let (_, command) = call(&world, "GET", &format!("{path}/0"), &Value::Null).await;
        let wanted = if number % 2 == 0 { "complete" } else { "error" };
        assert_eq!(command["status"], wanted, "{path}: {command}");
    }
}

#[tokio::test]
async fn p63_a_dump_of_memory_says_how_far_it_is_while_it_goes_on() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let path = format!("{BASE}/session/{id}/command");
    let asked = json!({"name": "memdump", "object": "/tmp/image", "compress": false});
    assert_eq!(call(&world, "POST", &path, &asked).await.0, 200);
    sensor.say(&world, 1, live_report::What::Started(0)).await;
    for percent in [0, 40] {
        let found = json!({"dump": {"return_code": 0, "complete": false, "dumping": true, "compressing": false, "percent": percent}});
        let progress = LiveProgress { command: 0, found: found.to_string().into_bytes() };
        sensor.say(&world, 1, live_report::What::Progress(progress)).await;
        let (_, command) = call(&world, "GET", &format!("{path}/0"), &Value::Null).await;
        assert_eq!(
            (&command["status"], &command["dumping"], &command["complete"], &command["percentdone"]),
            (&json!("in progress"), &json!(true), &json!(false), &json!(percent))
        );
    }
}

/// What was done is part of the audit trail, and goes when the audit records of its time go.
#[tokio::test]
async fn sessions_are_forgotten_with_the_audit_records_of_their_time_and_numbers_are_not_used_again() {
    let shown = std::time::Duration::ZERO;
    let world = World::with(TempDir::new().unwrap(), Store::memory(), |config| {
        config.limits.live.shown = shown;
        config.limits.retention_days = 0;
    })
    .await;
    let sid = world.sensor("host", &[]).await;
    let sensor = Played::new(&world, sid).await;
    let app = &world.server.app;
    let transcript = |number: u64| format!("live/{}/transcripts/{number}", world.oid);
    for number in 1..=3_u64 {
        let id = open(&world, &sensor).await;
        sensor.join(&world, number, 1).await;
        call(&world, "POST", &format!("{BASE}/session/{id}/command"), &json!({"name": "process list"})).await;
        sensor.end(&world, number, 0, 0).await;
        muster_server::retention::forget_live(&app.retention).await;
        world.ok("GET", &transcript(number), &[]).await;
        call(&world, "PUT", &format!("{BASE}/session"), &json!({"session_id": id, "status": "CLOSE"})).await;
    }
    app.live.tick(muster_server::clock::now()).await;
    muster_server::retention::forget_live(&app.retention).await;
    for (number, status) in [(1, 404), (2, 404), (3, 200)] {
        assert_eq!(world.call_as(Some(&world.token), "GET", &transcript(number), &[]).await.0, status);
    }
    let device = sensor.device;
    drop(sensor);
    let world = world.restart().await;
    let again = Played::online(&world, sid, device).await;
    assert_eq!(open(&world, &again).await, format!("4:{device}"));
}

/// Uploads a file; gives the status and the answer.
async fn upload(world: &World, session: &str, name: &str, content: &[u8]) -> (u16, Value) {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let body = [head.as_bytes(), content, b"\r\n--b--\r\n"].concat();
    let request = world.request("POST", &format!("{BASE}/session/{session}/file")).bearer_auth(&world.token);
    let answer = request.header("content-type", "multipart/form-data; boundary=b").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn files_of_an_organization_have_a_quota_which_deleting_gives_back() {
    let world = World::with(TempDir::new().unwrap(), Store::memory(), |config| {
        config.limits.live.bytes = 1_000;
        config.limits.live.file_bytes = 600;
        config.limits.live.files = 3;
    })
    .await;
    let sid = world.sensor("host", &[]).await;
    let sensor = Played::new(&world, sid).await;
    let id = open(&world, &sensor).await;
    sensor.join(&world, 1, 1).await;
    assert_eq!(upload(&world, &id, "large", &[1; 601]).await.0, 413);
    let (status, first) = upload(&world, &id, "first", &[1; 600]).await;
    assert_eq!((status, &first["size"]), (200, &json!(600)));
    assert_eq!(upload(&world, &id, "second", &[2; 500]).await.0, 413, "all files together have a bound");
    let file = format!("{BASE}/session/{id}/file/{}", first["id"].as_str().unwrap());
    assert_eq!(call(&world, "DELETE", &file, &Value::Null).await.0, 200);
    assert_eq!(upload(&world, &id, "second", &[2; 500]).await.0, 200);
    assert_eq!(upload(&world, &id, "third", &[2; 500]).await.0, 200);
    let (status, _) = upload(&world, &id, "fourth", &[2; 1]).await;
    assert!(status >= 400, "the number of files has a bound");
}

#[tokio::test]
async fn names_that_are_too_long_and_requests_that_are_too_large_are_refused() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    assert_eq!(upload(&world, &id, &"n".repeat(100_000), b"x").await.0, 400);
    let commands = format!("{BASE}/session/{id}/command");
    let long = json!({"name": "directory list", "object": "x".repeat(11 * 1_024)});
    assert_eq!(call(&world, "POST", &commands, &long).await.0, 413);
    for session in ["1", "1:1:1", "%00:1", "99999999999999999999:1", "1:99999999999", "..%2F1:1"] {
        let path = format!("{BASE}/session/{session}");
        assert_eq!(call(&world, "GET", &path, &Value::Null).await.0, 404, "{session}");
    }
    for file in ["..%2F..%2Fmuster.db", "%00", "x".repeat(300).as_str()] {
        for end in ["", "/content"] {
            let path = format!("{BASE}/session/{id}/file/{file}{end}");
            assert_eq!(call(&world, "GET", &path, &Value::Null).await.0, 404, "{file}");
        }
    }
    assert!(sensor.runs().is_empty());
}
