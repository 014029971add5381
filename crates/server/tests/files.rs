//! Kept records and files over HTTP: insight, payloads, artifacts, transfers.

#[path = "support/host.rs"]
mod host;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use host::{Host, OID, event, ok, record, refusal};
use muster_model::{Architecture, Iid, Platform, Sid, Timestamp};
use muster_server::artifact;
use muster_server::clock;
use muster_server::gateway::grant_transfer;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::sensor::{self, Enrolment};
use muster_store::{Store, Stream};
use muster_wire::{ArtifactOffer, Event, SensorState, Transfer, TransferGrant, TransferRequest, from_server};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

fn unpack(field: &Value) -> Value {
    let bytes = BASE64_STANDARD.decode(field.as_str().unwrap()).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|record| record["event"]["N"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn events_come_back_by_page_by_atom_and_by_id() {
    let host = Host::start().await;
    let mut records: Vec<_> = (1..=5).map(|number| event(number, if number == 3 { "B" } else { "A" })).collect();
    // Recent: retention does not touch them.
    let base = clock::now().as_secs() - 100;
    for (at, record) in records.iter_mut().enumerate() {
        record.time = Timestamp::from_millis((base + at as i64) * 1_000 + 500);
        record.this_atom = Some([at as u8 + 1; 16]);
        record.parent_atom = (at > 0).then_some([1; 16]);
    }
    host.emit(&records).await;
    let sid = records[0].sid.unwrap();
    let path = format!("insight/{{oid}}/{sid}");

    let (mut cursor, mut seen) = ("-".to_owned(), Vec::new());
    loop {
        let page =
            host.get(&format!("{path}?start={base}&end={}&limit=2&is_compressed=true&cursor={cursor}", base + 3)).await;
        seen.push(numbers(&unpack(&page["events"])));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, [vec![1, 2], vec![3, 4]], "the last second counts as a whole");
    let filtered = host.get(&format!("{path}?event_type=A&is_forward=false&limit=3")).await;
    assert_eq!(numbers(&filtered["events"]), [5, 4, 2]);
    let bad = host.request(Method::GET, &format!("{path}?cursor=x"));
    assert_eq!(refusal(bad).await.0, 400);

    assert_eq!(
        host.get(&format!("{path}/overview?start={}&end={}", base + 1, base + 2)).await["overview"],
        json!([base + 1, base + 2])
    );
    assert_eq!(host.get(&format!("{path}/{}", "02".repeat(16))).await["event"]["N"], 2);
    assert_eq!(host.get(&format!("{path}/{}", records[3].id)).await["event"]["N"], 4);
    let children = host.get(&format!("{path}/{}/children?is_compressed=true", "01".repeat(16))).await;
    assert_eq!(numbers(&unpack(&children["events"])), [2, 3, 4, 5]);
    // Nearest first, as far as it is kept.
    let lineage = host.get(&format!("{path}/{}/lineage", "03".repeat(16))).await;
    assert_eq!(numbers(&lineage["events"]), [3, 1]);
    assert_eq!(host.get(&format!("{path}/{}/lineage", "99".repeat(16))).await["events"], json!([]));
    let counts = host.get(&format!("insight/event_count/{{oid}}/{sid}?start={base}&is_detailed=true")).await;
    assert_eq!(counts, json!({"sid": sid, "count": 5, "by_type": {"A": 4, "B": 1}}));
    let nothing = host.get(&format!("{path}?end={}&is_compressed=true", base - 1)).await;
    assert_eq!(unpack(&nothing["events"]), json!([]));
    for path in ["", "/overview", &format!("/{}/children", "01".repeat(16))] {
        let unknown = host.request(Method::GET, &format!("insight/{{oid}}/{}{path}", Uuid::nil()));
        assert_eq!(refusal(unknown).await, (404, "sensor not found".into()), "{path}");
    }
    let other = host.request(Method::GET, &format!("insight/{{oid}}/{}/{}", Uuid::nil(), records[3].id));
    assert_eq!(refusal(other).await.0, 404);
}

#[tokio::test]
async fn detections_audit_and_jobs() {
    let host = Host::start().await;
    let detection = record(Stream::Detect, "curl", &json!({"cat": "curl"}));
    host.emit(&[detection.clone(), record(Stream::Detect, "wget", &json!({"cat": "wget"}))]).await;
    let found = host.get("insight/{oid}/detections?start=0&cursor=-&cat=curl&is_compressed=true").await;
    assert_eq!(unpack(&found["detects"]), json!([{"cat": "curl"}]));
    let path = |id| format!("insight/{{oid}}/detections/{id}");
    assert_eq!(host.get(&path(detection.id)).await, json!({"cat": "curl"}));
    assert_eq!(refusal(host.request(Method::GET, &path(Uuid::nil()))).await.0, 404);

    host.post("outputs/{oid}", &json!({"name": "o", "module": "file", "type": "event", "dir": "d"})).await;
    let audit = host.get("insight/{oid}/audit?event_type=user_action").await;
    assert_eq!((&audit["events"][0]["msg"], &audit["events"][0]["ident"]), (&json!("output set"), &json!("tester")));
    assert_eq!(unpack(&host.get("job/{oid}?is_compressed=true").await["jobs"]), json!({}));
    assert_ne!(host.get("insight/{oid}").await["insight_bucket"], "");
}

/// PUTs bytes to a URL that authorizes itself.
async fn put(host: &Host, url: &str, bytes: &[u8]) -> (u16, Vec<u8>) {
    let response = host.client.put(url).body(bytes.to_vec()).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn fetch(host: &Host, url: &str) -> (u16, Vec<u8>) {
    let response = host.client.get(url).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

fn stored(host: &Host, shelf: &str) -> usize {
    let dir = host.dir.path().join(shelf);
    std::fs::read_dir(dir).map_or(0, |entries| {
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() { std::fs::read_dir(path).unwrap().count() } else { 1 }
            })
            .sum()
    })
}

#[tokio::test]
async fn payloads_go_up_and_down_once_per_url() {
    let host = Host::start().await;
    let name = "payload/{oid}/dir%2Fp%201";
    let url = host.post(name, &json!({})).await["put_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{}/transfer/", host.base())), "{url}");
    assert_eq!(put(&host, &url, b"first").await, (200, Vec::new()), "the answer to a PUT is empty");
    assert_eq!(put(&host, &url, b"again").await.0, 404, "a URL works once");
    let listed = &host.get("payload/{oid}").await["payloads"]["dir/p 1"];
    assert_eq!((&listed["size"], &listed["by"]), (&json!(5), &json!("tester")));

    let url = host.get(name).await["get_url"].as_str().unwrap().to_owned();
    assert_eq!(put(&host, &url, b"x").await.0, 404, "a URL to read is none to write");
    assert_eq!(fetch(&host, &url).await, (200, b"first".to_vec()));
    assert_eq!(fetch(&host, &url).await.0, 404);

    // Two names share one file; it goes with the last of them.
    let url = host.post("payload/{oid}/twin", &json!({})).await["put_url"].as_str().unwrap().to_owned();
    put(&host, &url, b"first").await;
    assert_eq!(stored(&host, "payloads"), 1);
    host.delete(name, &json!({})).await;
    assert_eq!(stored(&host, "payloads"), 1);
    host.delete("payload/{oid}/twin", &json!({})).await;
    assert_eq!(stored(&host, "payloads"), 0);
    assert_eq!(refusal(host.request(Method::GET, name)).await.0, 404);
}

#[tokio::test]
async fn an_upload_that_is_too_large_leaves_nothing() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let host = Host::start_with(dir, Store::memory(), |config| config.limits.file_bytes = 10).await;
    let url = host.post("payload/{oid}/big", &json!({})).await["put_url"].as_str().unwrap().to_owned();
    assert_eq!(put(&host, &url, b"12345678901").await.0, 413);
    // Without a length, the bound is met on the way.
    let url = host.post("payload/{oid}/big", &json!({})).await["put_url"].as_str().unwrap().to_owned();
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("12345678"), Ok("901")]);
    let response = host.client.put(&url).body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(host.get("payload/{oid}").await["payloads"], json!({}));
    assert_eq!((stored(&host, "payloads"), stored(&host, "incoming")), (0, 0));
}

/// A host with an ingestion key.
async fn with_ingestion_key() -> (Host, String) {
    let host = Host::start().await;
    let made = host.post("insight/{oid}/ingestion_keys", &json!({"name": "i1"})).await;
    let key = made["key"].as_str().unwrap().to_owned();
    (host, key)
}

fn ingest(host: &Host, key: &str, id: &str, part: Option<&str>, bytes: &'static [u8]) -> RequestBuilder {
    let request = host
        .client
        .post(format!("{}/ingest", host.base()))
        .basic_auth(OID, Some(key))
        .header("lc-payload-id", id)
        .header("lc-hint", "txt")
        .header("lc-source", "web01")
        .header("lc-path", BASE64_STANDARD.encode("/var/log/a.log"))
        .header("lc-retention-days", "1")
        .body(bytes);
    match part {
        Some(part) => request.header("lc-part", part),
        None => request,
    }
}

#[tokio::test]
async fn artifacts_are_ingested_whole_or_in_parts_listed_got_and_forgotten() {
    let (host, key) = with_ingestion_key().await;
    let app = host.app();
    let mut told = app.streams.subscribe(OID, Stream::Artifact, muster_server::intake::Filter::default()).unwrap();
    assert_eq!(ok(ingest(&host, &key, "a1", None, b"whole").send().await.unwrap()).await["payload_id"], "a1");
    let record: Value = serde_json::from_slice(&told.records.recv().await.unwrap()).unwrap();
    assert_eq!((&record["routing"]["event_type"], &record["routing"]["log_id"]), (&json!("ingest"), &json!("a1")));
    assert_eq!(record["event"], json!({"size": 5, "source": "web01", "original_path": "/var/log/a.log"}));
    assert_eq!(refusal(ingest(&host, &key, "a1", None, b"again")).await.0, 409);

    for (part, bytes) in [("0", &b"one,"[..]), ("1", b"two,"), ("done", b"three")] {
        ok(ingest(&host, &key, "a2", Some(part), bytes).send().await.unwrap()).await;
    }
    assert_eq!(refusal(ingest(&host, &key, "a3", Some("1"), b"x")).await.0, 409, "part 0 is missing");
    assert_eq!(refusal(ingest(&host, &key, "../a", None, b"x")).await.0, 400);

    let listed = host.get("insight/{oid}/artifacts?hint=txt&source=web01").await;
    let mut ids: Vec<&str> =
        listed["logs"].as_array().unwrap().iter().map(|log| log["payload_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a1", "a2"]);
    assert_eq!(host.get("insight/{oid}/artifacts?hint=other").await["logs"], json!([]));
    let got = host.post("insight/{oid}/artifacts/originals/a2", &json!({})).await;
    assert_eq!(fetch(&host, got["export"].as_str().unwrap()).await, (200, b"one,two,three".to_vec()));

    artifact::forget_expired(&app.artifacts, clock::now()).await;
    assert_eq!(stored(&host, "artifacts"), 2, "their time is not over");
    artifact::forget_expired(&app.artifacts, clock::now().saturating_add(Duration::from_secs(86_401))).await;
    assert_eq!(stored(&host, "artifacts"), 0);
    assert_eq!(host.get("insight/{oid}/artifacts").await["logs"], json!([]));
}

#[tokio::test]
async fn ingestion_needs_a_key_of_this_organization() {
    let (host, key) = with_ingestion_key().await;
    let send = |user: String, key: &str| {
        host.client.post(format!("{}/ingest", host.base())).basic_auth(user, Some(key)).body("x")
    };
    for (user, key) in [(OID.to_string(), "wrong"), (OID.to_string(), ""), (Uuid::nil().to_string(), &*key)] {
        assert_eq!(refusal(send(user, key)).await.0, 401);
    }
    assert_eq!(refusal(host.client.post(format!("{}/ingest", host.base())).body("x")).await.0, 401);
}

#[tokio::test]
async fn collection_rules_are_kept_as_written() {
    let host = Host::start().await;
    let rule = json!({"name": "r1", "patterns": ["/var/log/*"], "platforms": ["linux"], "days_retention": 3});
    let path = "insight/{oid}/artifacts/rules";
    ok(host.request(Method::POST, path).json(&rule).send().await.unwrap()).await;
    assert_eq!(host.get(path).await, json!({"r1": rule}));
    host.delete(path, &json!({"name": "r1"})).await;
    assert_eq!(host.get(path).await, json!({}));
}

#[tokio::test]
async fn a_sensor_cannot_make_two_lines_of_one_record() {
    let host = Host::start().await;
    let organization = host.app().organization(OID).unwrap();
    let state = SensorState::default();
    let new =
        Enrolment { iid: Iid(Uuid::nil()), tags: &[], public_key: &[0; 32], state: &state, sid: None, source: None };
    let sid = sensor::enrol(&host.app().sensors, &organization, &new).await.unwrap().unwrap();
    let sensor = organization.state.lock().fleet.find(sid).unwrap().sensor.clone();
    let sent = |body: &str| {
        let sent = Event { event_type: "A".into(), body: body.into(), ..Event::default() };
        muster_server::intake::event::of_sensor(&sensor, &sent, 0, clock::now())
    };
    let record = sent("{\"a\":\r\n{\n\"b\": \"x\\ny\"}}").unwrap();
    assert!(!record.body.iter().any(|byte| matches!(byte, b'\n' | b'\r')));
    assert_eq!(serde_json::from_slice::<Value>(&record.body).unwrap()["event"], json!({"a": {"b": "x\ny"}}));
    assert!(sent("{\"a\": \"x\ny\"}").is_err(), "a line end inside a string is not JSON");
}

#[tokio::test]
async fn an_answer_is_found_by_the_atom_that_it_gets() {
    let host = Host::start().await;
    let organization = host.app().organization(OID).unwrap();
    let state = SensorState::default();
    let new =
        Enrolment { iid: Iid(Uuid::nil()), tags: &[], public_key: &[0; 32], state: &state, sid: None, source: None };
    let sid = sensor::enrol(&host.app().sensors, &organization, &new).await.unwrap().unwrap();
    let path = format!("insight/{{oid}}/{sid}");
    assert_eq!(host.get(&path).await["events"], json!([]), "a sensor without events is no unknown one");

    let sensor = organization.state.lock().fleet.find(sid).unwrap().sensor.clone();
    let answer = Event { event_type: "RECEIPT".into(), body: b"{\"ERROR\": 0}".to_vec(), ..Event::default() };
    let process = Event { event_type: "NEW_PROCESS".into(), this_atom: vec![7; 16], ..answer.clone() };
    let of_sensor = |event| muster_server::intake::event::of_sensor(&sensor, event, 0, clock::now()).unwrap();
    let records = [&answer, &process].map(of_sensor);
    host.emit(&records).await;
    let listed = host.get(&format!("{path}?event_type=RECEIPT")).await["events"][0].clone();
    let atom = listed["routing"]["this"].as_str().unwrap();
    assert_eq!(atom.len(), 32);
    assert_eq!(host.get(&format!("{path}/{atom}")).await, listed);
    assert_eq!(host.get(&format!("{path}/{atom}/children")).await["events"], json!([]));
    let seven = "07".repeat(16);
    assert_eq!(host.get(&format!("{path}/{seven}")).await["routing"]["this"], json!(seven));
}

/// What a sensor is answered to a request for a transfer.
fn ask(host: &Host, place: &Place, wanted: Transfer) -> TransferGrant {
    let link = Link::new(1);
    grant_transfer(&host.server.owner, place, &link, TransferRequest { id: 9, transfer: Some(wanted) });
    match link.take().pop_front().and_then(|message| message.message) {
        Some(from_server::Message::Grant(grant)) => grant,
        other => panic!("{other:?}"),
    }
}

/// A Linux sensor that is online; the link must be kept.
async fn online(host: &Host) -> (Sid, Place, Arc<Link>) {
    let organization = host.app().organization(OID).unwrap();
    let state = SensorState {
        hostname: "web01".into(),
        platform: Platform::LINUX.0,
        architecture: Architecture::X64.0.into(),
        spool_id: vec![1; 16],
        ..SensorState::default()
    };
    let new =
        Enrolment { iid: Iid(Uuid::nil()), tags: &[], public_key: &[0; 32], state: &state, sid: None, source: None };
    let sid = sensor::enrol(&host.app().sensors, &organization, &new).await.unwrap().unwrap();
    let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
    let place = Place { organization, ordinal };
    let link = Arc::new(Link::new(7 + u64::from(ordinal)));
    sensor::went_online(&host.app().sensors, &place, &link, &state, None).await.unwrap();
    (sid, place, link)
}

fn offer(id: &str, size: u64) -> Transfer {
    Transfer::Artifact(ArtifactOffer { path: "/etc/x".into(), payload_id: id.into(), size, ..Default::default() })
}

#[tokio::test]
async fn two_7_a_sensor_gets_only_what_its_own_tasks_move() {
    let host = Host::start().await;
    for name in ["tool", "other"] {
        let url =
            host.post(&format!("payload/{{oid}}/{name}"), &json!({})).await["put_url"].as_str().unwrap().to_owned();
        put(&host, &url, b"#!").await;
    }
    let (sid, place, _link) = online(&host).await;
    let (_, neighbour, _link) = online(&host).await;
    let status = |place: &Place, wanted: Transfer| ask(&host, place, wanted).status;
    for wanted in [Transfer::Payload("tool".into()), offer("", 3)] {
        assert_eq!(status(&place, wanted), 403, "it has no task");
    }
    host.post(&sid.to_string(), &json!({"tasks": "os_version"})).await;
    assert_eq!(status(&place, offer("", 3)), 403, "a task that sends no file");
    host.post(&sid.to_string(), &json!({"tasks": "run --payload-name tool"})).await;
    assert_eq!(status(&place, Transfer::Payload("tool".into())), 0);
    assert_eq!(status(&place, Transfer::Payload("other".into())), 403);
    assert_eq!(status(&place, offer("", 3)), 0, "the whole of long output");
    assert_eq!(status(&neighbour, Transfer::Payload("tool".into())), 403);
    // A reliable task counts as long as the sensor has it.
    let task =
        json!({"action": "task", "data": json!({"task": "put --payload-name other", "selector": "*"}).to_string()});
    host.post("orgs/{oid}/subscription/extension/ext-reliable-tasking", &json!({})).await;
    host.post("extension/request/ext-reliable-tasking?oid={oid}", &task).await;
    assert_eq!(status(&neighbour, Transfer::Payload("other".into())), 0);
}

#[tokio::test]
async fn two_7_an_offer_may_have_no_more_bytes_than_it_said_and_a_taken_id_is_not_done() {
    let host = Host::start().await;
    let (sid, place, _link) = online(&host).await;
    let (other_sid, other, _link) = online(&host).await;
    for sid in [sid, other_sid] {
        host.post(&sid.to_string(), &json!({"tasks": "artifact_get /etc/x"})).await;
    }
    let transfer_url = |grant: &TransferGrant| format!("{}/transfer/{}", host.base(), grant.token);
    let grant = ask(&host, &place, offer("mine", 1));
    assert_eq!(put(&host, &transfer_url(&grant), b"ab").await.0, 413);
    assert_eq!(stored(&host, "artifacts"), 0);
    let grant = ask(&host, &place, offer("mine", 2));
    assert_eq!(put(&host, &transfer_url(&grant), b"ab").await.0, 200);
    assert_eq!(ask(&host, &place, offer("mine", 2)).status, 409, "it is there already: an answer was lost");
    assert_eq!(ask(&host, &place, offer("mine", 3)).status, 400, "another file");
    assert_eq!(ask(&host, &other, offer("mine", 2)).status, 400, "of another sensor");
}

#[tokio::test]
async fn sensors_move_files_by_one_time_transfers() {
    let host = Host::start().await;
    let (sid, place, _link) = online(&host).await;
    host.post(&sid.to_string(), &json!({"tasks": "artifact_get /etc/x"})).await;
    let transfer_url = |grant: &TransferGrant| format!("{}/transfer/{}", host.base(), grant.token);

    let grant = ask(&host, &place, offer("", 3));
    assert_eq!((grant.id, grant.status), (9, 0), "{}", grant.error);
    assert_eq!(put(&host, &transfer_url(&grant), b"abc").await.0, 200);
    let listed = host.get(&format!("insight/{{oid}}/artifacts?sid={sid}")).await;
    assert_eq!(listed["logs"][0]["payload_id"], grant.payload_id);
    assert_eq!((&listed["logs"][0]["size"], &listed["logs"][0]["path"]), (&json!(3), &json!("/etc/x")));
    assert_eq!(ask(&host, &place, offer(&grant.payload_id, 3)).status, 409);
    assert_eq!(ask(&host, &place, offer("", u64::MAX)).status, 413);

    let url = host.post("payload/{oid}/tool", &json!({})).await["put_url"].as_str().unwrap().to_owned();
    put(&host, &url, b"#!").await;
    host.post(&sid.to_string(), &json!({"tasks": "put --payload-name tool"})).await;
    let grant = ask(&host, &place, Transfer::Payload("tool".into()));
    assert_eq!(fetch(&host, &transfer_url(&grant)).await, (200, b"#!".to_vec()));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"#!");
    assert_eq!((grant.size, &grant.sha256[..]), (2, digest.as_ref()));
}

#[tokio::test]
async fn what_a_crash_left_goes_at_the_next_start() {
    let store = Store::memory();
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), store.clone(), |_| ()).await;
    let url = host.post("payload/{oid}/p", &json!({})).await["put_url"].as_str().unwrap().to_owned();
    put(&host, &url, b"kept").await;
    for dir in ["incoming".to_owned(), format!("payloads/{OID}"), format!("artifacts/{OID}")] {
        use std::os::unix::fs::OpenOptionsExt as _;
        let dir = host.dir.path().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join("left")).unwrap();
    }
    let host = host.restart(store).await;
    let counts = ["incoming", "payloads", "artifacts"].map(|shelf| stored(&host, shelf));
    assert_eq!(counts, [0, 1, 0]);
    let url = host.get("payload/{oid}/p").await["get_url"].as_str().unwrap().to_owned();
    assert_eq!(fetch(&host, &url).await.1, b"kept");
}
