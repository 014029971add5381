//! The extension side of the extension protocol, by raw posts: checklist 19.2 of reference/extension-protocol.md, numbered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue};
use muster_service::extension::{
    Acl, ActionCall, ActionSchema, Answer, Continuation, DataType, Element, Extension, Metric, MetricReport,
    ObjectSchema, SUBSCRIBE,
};
use muster_service::{Handler as _, Harness, Log, Response, Settings};
use muster_webhook::extension::{Action, Event, Message, Org, Subject, VERSION};
use muster_webhook::{EXTENSION_HEADER, sign};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::sync::Arc;

const SECRET: &str = "extension-secret-0123456789abcdef";
const OID: &str = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd";
const E1: &str = r#"{"version":20221218,"idempotency_key":"k-1","heartbeat":{}}"#;
/// Source: reference/extension-protocol.md section 3.1.
const E1_SIGNATURE: &str = "fe5804d3e6d7aa18ed1f01c4605dcd287436af0fb0e2a189814803a7fa5e8bce";
const E1_GZIP: &str =
    "H4sIAAAAAAAC/6tWKkstKs7Mz1OyMjIwMjI0MrTQUcpMSc0tyC9JzUuujM9OrVSyUsrWNVTSUcpITSwqSUpNLFGyqq6tBQBN6g2fOwAAAA==";
const E1_SIGNATURE_OF_GZIP: &str = "1b6fe24ac6194f09355f43ecee3d9e3b2cc643b6217441db9c81599a659caf51";

type Errors = Arc<Mutex<Vec<String>>>;

async fn scan(call: ActionCall) -> Result<muster_service::extension::Reply, muster_service::Error> {
    match call.data.get("do").and_then(Value::as_str) {
        Some("throw") => return Err("no network".into()),
        Some("panic") => panic!("the scanner burns"),
        Some("refuse") => return Ok(Answer::failed("never").into()),
        Some("go on") => {
            let mut answer = Answer::done(json!({}));
            let state = Map::from_iter([("page".to_owned(), json!(2))]);
            answer.continuations.push(Continuation { in_delay_sec: 5, action: "scan".into(), state });
            let metrics = vec![Metric { sku: "scans".into(), value: 3 }];
            answer.metrics = Some(MetricReport { idempotent_key: call.who.idempotency_key, metrics });
            return Ok(answer.into());
        }
        _ => {}
    }
    let who = &call.who;
    Ok(json!({
        "oid": who.oid, "ident": who.ident, "key": who.idempotency_key, "inv_id": call.inv_id, "config": call.config,
        "last_mod": call.resource_state.get("r").map(|state| state.last_mod), "rule": call.automation_rule,
        "is_closed": call.acl == Acl::fail_closed(), "scopes": call.acl.scopes,
    })
    .into())
}

fn extension() -> (Extension, Errors) {
    let errors = Errors::default();
    let told = Arc::clone(&errors);
    let parameters = ObjectSchema::default().field("do", Element::new(DataType::String, "Do", "what to do"));
    let extension = Extension::with_log(Settings::new("scanner", Some(SECRET)), Log::to("scanner", |_, _| {}))
        .action("scan", ActionSchema::new("Scan", "Scan something", parameters), scan)
        .on(SUBSCRIBE, async |call| Ok(json!({"subscribed": call.who.oid}).into()))
        .on_error(move |oid, error| {
            let line = format!("{}: {error}", oid.unwrap_or("-"));
            told.lock().push(line);
        });
    (extension, errors)
}

async fn posted(signature: Option<&str>, encoding: Option<&'static str>, body: impl Into<Bytes>) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    if let Some(signature) = signature {
        headers.insert(EXTENSION_HEADER, HeaderValue::from_str(signature).expect("a header"));
    }
    encoding.map(|encoding| headers.insert("content-encoding", HeaderValue::from_static(encoding)));
    let Response { status, body } = extension().0.receive(&headers, body.into()).await;
    (status, serde_json::from_slice(&body).expect("JSON"))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn org() -> Org {
    Org { oid: OID.parse().expect("a UUID"), jwt: "a.b.c".into(), ident: "user@example.com".into() }
}

#[tokio::test]
async fn checklist_19_2_1_the_published_message_is_accepted_plain_and_compressed() {
    let done = (200, json!({"version": VERSION, "data": {}}));
    assert_eq!(posted(Some(E1_SIGNATURE), None, E1).await, done);
    let packed = STANDARD.decode(E1_GZIP).expect("base64");
    assert_eq!(posted(Some(E1_SIGNATURE), Some("gzip"), packed).await, done);
    let (first, second) = E1.as_bytes().split_at(20);
    let members = [gzip(first), gzip(second)].concat();
    assert_eq!(posted(Some(E1_SIGNATURE), Some("gzip"), members).await, done, "several members are one text");
}

#[tokio::test]
async fn checklist_19_2_2_other_signatures_are_refused() {
    let packed = STANDARD.decode(E1_GZIP).expect("base64");
    let (status, answer) = posted(Some(E1_SIGNATURE_OF_GZIP), Some("gzip"), packed).await;
    assert_eq!((status, &answer["error"]), (401, &json!("invalid signature")));
    assert_eq!(posted(Some(&"0".repeat(64)), None, E1).await.0, 401);
}

#[tokio::test]
async fn checklist_19_2_3_without_a_signature_nothing_is_carried_out() {
    for signature in [None, Some("")] {
        let message = Message::new("k", Subject::Request(action(json!({})))).to_vec();
        assert_eq!(posted(signature, None, message).await, (200, json!({})));
    }
}

#[tokio::test]
async fn checklist_19_2_4_a_bomb_is_stopped_whoever_sent_it() {
    let bomb = gzip(&vec![b' '; 65 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024, "small on the wire");
    assert_eq!(posted(Some(&"0".repeat(64)), Some("gzip"), bomb).await.0, 413, "before the signature is known");
    let large = vec![0; 16 * 1024 * 1024 + 1];
    assert_eq!(posted(Some(&"0".repeat(64)), Some("gzip"), large).await.0, 413);
}

#[tokio::test]
async fn checklist_19_2_5_what_is_no_message_is_400() {
    let mut broken = gzip(E1.as_bytes());
    broken.truncate(30);
    assert_eq!(posted(Some(E1_SIGNATURE), Some("gzip"), broken).await.0, 400);
    for text in ["", "{", "[]", "{}", r#"{"heartbeat":null}"#, r#"{"heartbeat":{},"event":{}}"#] {
        let (status, answer) = posted(Some(&sign(SECRET, text.as_bytes())), None, text).await;
        assert_eq!((status, &answer["retriable"]), (400, &json!(false)), "{text}");
    }
}

fn action(data: Value) -> Action {
    let Value::Object(data) = data else { unreachable!("an object") };
    Action {
        org: org(),
        action: "scan".into(),
        data,
        config: Map::from_iter([("depth".to_owned(), json!(3))]),
        resource_state: serde_json::from_value(json!({"r": {"last_mod": 7}})).expect("a state"),
        inv_id: "inv".into(),
        acl: None,
        automation_rule: None,
    }
}

#[tokio::test]
async fn checklist_19_2_6_each_kind_of_message_is_dealt_with() {
    let (extension, errors) = extension();
    let harness = Harness::new(extension).of(OID.parse().expect("a UUID"), "a.b.c");
    assert_eq!(harness.message(Subject::Heartbeat {}).await.status, 200);
    assert_eq!(harness.event("subscribe").await.body["data"]["subscribed"], json!(OID));
    assert_eq!(harness.validate(json!({"a": 1})).await.status, 200);
    let report = serde_json::from_value(json!({"error": "lost", "oid": OID})).expect("a report");
    assert_eq!(harness.message(Subject::ErrorReport(report)).await.status, 200);
    assert_eq!(*errors.lock(), [format!("{OID}: lost")]);
}

#[tokio::test]
async fn checklist_19_2_7_the_schema_names_what_is_registered() {
    let schema = Harness::new(extension().0).schema().await.body["data"].clone();
    assert_eq!(schema["required_events"], json!(["subscribe"]));
    assert_eq!(schema["request_schema"]["scan"]["parameters"]["fields"]["do"]["data_type"], json!("string"));
    assert!(schema["views"].is_array() && schema["config_schema"].is_object(), "{schema}");
}

#[tokio::test]
async fn checklist_19_2_8_an_error_says_whether_another_try_makes_sense() {
    let harness = Harness::new(extension().0);
    let refused = harness.action("scan", json!({"do": "refuse"})).await;
    let body = json!({"version": VERSION, "data": {}, "error": "never", "retriable": false});
    assert_eq!((refused.status, refused.body), (400, body));
    let thrown = harness.action("scan", json!({"do": "throw"})).await;
    let body = json!({"version": VERSION, "data": {}, "error": "no network", "retriable": true});
    assert_eq!((thrown.status, thrown.body), (500, body));
}

#[tokio::test]
async fn checklist_19_2_9_unknown_actions_and_events_are_named_and_told() {
    let (extension, errors) = extension();
    let harness = Harness::new(extension);
    let unknown = harness.action("dance", json!({})).await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("unknown request action: dance")));
    let unknown = harness.event("update").await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("unknown event: update")));
    assert_eq!(errors.lock().len(), 2);
}

#[tokio::test]
async fn checklist_19_2_10_a_panic_ends_one_call() {
    let harness = Harness::new(extension().0);
    let panicked = harness.action("scan", json!({"do": "panic"})).await;
    assert_eq!((panicked.status, &panicked.body["retriable"]), (500, &json!(true)));
    assert_eq!(panicked.body["error"], json!("panicked: the scanner burns"));
    assert_eq!(harness.action("scan", json!({})).await.status, 200);
}

#[tokio::test]
async fn checklist_19_2_11_callbacks_that_were_left_out_do_no_harm() {
    let bare = Extension::with_log(Settings::new("bare", Some(SECRET)), Log::to("bare", |_, _| {}));
    let harness = Harness::new(bare);
    assert_eq!(harness.validate(json!({"a": 1})).await.status, 200, "accepted");
    assert_eq!(harness.action("x", json!({})).await.status, 400);
    let strict = Extension::with_log(Settings::new("strict", Some(SECRET)), Log::to("strict", |_, _| {}));
    let strict = strict.config(ObjectSchema::default(), async |_| Err("the depth is missing".into()));
    let refused = Harness::new(strict).validate(json!({})).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("the depth is missing")));
}

#[tokio::test]
async fn checklist_19_2_12_an_action_gets_all_that_came() {
    let harness = Harness::new(extension().0);
    let got = harness.message(Subject::Request(action(json!({})))).await.body["data"].clone();
    let expected = json!({
        "oid": OID, "ident": "user@example.com", "key": got["key"], "inv_id": "inv", "config": {"depth": 3}, "last_mod": 7,
        "rule": null, "is_closed": true, "scopes": [],
    });
    assert_eq!(got, expected);
    assert!(got["key"].as_str().is_some_and(|key| !key.is_empty()));
    let acl = Acl { scopes: vec!["red".into()], enforce: true, ..Acl::default() };
    let more = Action { acl: Some(acl), automation_rule: Some("r-1".into()), ..action(json!({})) };
    let got = harness.message(Subject::Request(more)).await.body["data"].clone();
    assert_eq!((&got["scopes"], &got["rule"]), (&json!(["red"]), &json!("r-1")));
}

#[tokio::test]
async fn checklist_19_2_13_continuations_and_metrics_go_out() {
    let body = Harness::new(extension().0).action("scan", json!({"do": "go on"})).await.body;
    assert_eq!(body["continuations"], json!([{"in_delay_sec": 5, "action": "scan", "state": {"page": 2}}]));
    assert_eq!(body["metrics"]["metrics"], json!([{"sku": "scans", "value": 3}]));
    assert!(body["metrics"]["idempotent_key"].is_string(), "spelled so");
}

#[tokio::test]
async fn checklist_19_2_16_organizations_do_not_mix() {
    let (extension, _) = extension();
    let calls = (0..50_u8).map(|at| {
        let extension = extension.clone();
        tokio::spawn(async move {
            let oid = muster_service::Oid(uuid::Uuid::from_bytes([at; 16]));
            let harness = Harness::new(extension).of(oid, "a.b.c").configured(json!({"at": at}));
            let got = harness.action("scan", json!({})).await.body["data"].clone();
            assert_eq!((&got["oid"], &got["config"]["at"]), (&json!(oid), &json!(at)));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("its own configuration");
    }
}

#[test]
fn an_event_is_spelled_as_published() {
    let event = Event { org: org(), event_name: "subscribe".into(), data: Map::new(), config: Map::new() };
    let text: Value = serde_json::from_slice(&Message::new("k", Subject::Event(event)).to_vec()).expect("JSON");
    assert_eq!(text["event"]["event_name"], json!("subscribe"));
}
