//! The service side of the service protocol, by raw posts: checklist 21.2 of reference/service-protocol.md, numbered.

use muster_service::{
    Answer, Call, Etype, Harness, Job, Log, Outcome, Parameter, Parameters, Per, Program, Replies, Reply, Service,
    Settings, Stream, now,
};
use muster_webhook::service::{Envelope, InvestigationId, callback_key};
use muster_webhook::{SERVICE_HEADER, sign};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const SECRET: &str = "shared-secret-123";
const OID: &str = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd";

/// Log lines as they were written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Stream, Value)>>>);

impl Lines {
    fn log(&self, name: &str) -> Log {
        let lines = Arc::clone(&self.0);
        Log::to(name, move |stream, line| {
            assert!(!line.contains('\n'), "one line: {line}");
            lines.lock().push((stream, serde_json::from_str(line).expect("JSON")));
        })
    }

    fn messages(&self, wanted: Stream) -> Vec<String> {
        let lines = self.0.lock();
        let of_stream = lines.iter().filter(|(stream, _)| *stream == wanted);
        of_stream.filter_map(|(_, line)| line["message"].as_str().map(str::to_owned)).collect()
    }
}

/// Has a callback for each event and says which was called with what.
struct Echo;

macro_rules! echo {
    ($($method:ident)*) => {
        impl Service for Echo {
            $(
                async fn $method(self: Arc<Self>, call: Call) -> Outcome {
                    let said = json!([stringify!($method), call.etype, call.mid, call.data]);
                    Ok(Answer::done().with("said", said))
                }
            )*
        }
    };
}

echo! {
    on_org_installed on_org_uninstalled on_detection on_request on_deployment_event on_log_event on_service_error on_new_sensor
    every_1_hour_per_org every_3_hours_per_org every_12_hours_per_org every_24_hours_per_org every_7_days_per_org every_30_days_per_org
    every_1_hour_globally every_3_hours_globally every_12_hours_globally every_24_hours_globally every_7_days_globally every_30_days_globally
    every_1_hour_per_sensor every_3_hours_per_sensor every_12_hours_per_sensor every_24_hours_per_sensor every_7_days_per_sensor every_30_days_per_sensor
}

/// Has a callback for requests only; `data.do` says what it does.
struct Requests;

impl Service for Requests {
    async fn on_request(self: Arc<Self>, call: Call) -> Outcome {
        match call.text("do").unwrap_or_default() {
            "fail" => Ok(Answer::failed()),
            "again" => Ok(Answer::again()),
            "throw" => Err("out of paper".into()),
            "panic" => panic!("the printer burns"),
            "job" => Ok(Answer::done().with_job(Job::new("j", now(), "a request")?)),
            "job without cause" => Ok(Answer::done().with_job(Job::new("j", now(), "")?)),
            "custom" => Ok(Answer::done().with("n", json!(1)).with_error("half of it")),
            _ => Ok(Answer::done()),
        }
    }
}

fn echo() -> Harness<Program<Echo>> {
    Harness::new(Program::with_log(Echo, Settings::new("echo", Some(SECRET)), Lines::default().log("echo")))
}

fn requests() -> Harness<Program<Requests>> {
    Harness::new(Program::with_log(Requests, Settings::new("requests", Some(SECRET)), Lines::default().log("requests")))
}

async fn posted<S: Service>(harness: &Harness<Program<S>>, body: &str) -> (u16, Value) {
    let received = harness.send_raw(SERVICE_HEADER, Some(&sign(SECRET, body.as_bytes())), body.to_owned()).await;
    (received.status, received.body)
}

#[tokio::test]
async fn checklist_21_2_1_health_says_version_and_itself_in_progress() {
    let received = requests().send("health", json!({})).await;
    assert_eq!((received.status, &received.body["success"]), (200, &json!(true)));
    let data = &received.body["data"];
    assert_eq!((&data["version"], &data["calls_in_progress"]), (&json!(1), &json!(1)));
    assert!(data["start_time"].as_i64().is_some_and(|start| start > 1_700_000_000), "{data}");
}

#[tokio::test]
async fn checklist_21_2_2_a_version_is_not_needed_and_more_than_needed_does_no_harm() {
    let body = format!(r#"{{"etype":"health","oid":"{OID}","jwt":"a.b.c","mid":"m","surplus":1}}"#);
    for body in [r#"{"etype":"health"}"#, body.as_str()] {
        let (status, answer) = posted(&requests(), body).await;
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{body}");
    }
}

#[tokio::test]
async fn checklist_21_2_3_what_is_not_signed_right_is_refused_without_a_word() {
    let body = r#"{"etype":"health"}"#;
    let right = sign(SECRET, body.as_bytes());
    for wrong in [None, Some(""), Some(sign("other", body.as_bytes()).as_str()), Some(right.to_uppercase().as_str())] {
        let received = requests().send_raw(SERVICE_HEADER, wrong, body).await;
        assert_eq!((received.status, received.body), (401, Value::Null), "{wrong:?}");
    }
}

#[tokio::test]
async fn checklist_21_2_4_without_a_secret_everything_is_accepted_and_that_is_said_once() {
    let lines = Lines::default();
    let harness = Harness::new(Program::with_log(Requests, Settings::new("open", None), lines.log("open")));
    for signature in [None, Some("nonsense")] {
        let received = harness.send_raw(SERVICE_HEADER, signature, r#"{"etype":"health"}"#).await;
        assert_eq!(received.status, 200);
    }
    assert_eq!(lines.messages(Stream::Err), ["there is no secret: whatever comes is accepted"]);
}

#[tokio::test]
async fn checklist_21_2_5_any_spelling_is_accepted_under_the_signature_of_its_bytes() {
    for body in [
        r#"{"etype":"request","data":{"z":1,"a":"é☃"}}"#,
        "{ \"mid\" : \"m\",\n \"etype\": \"request\", \"data\": {} }\n",
        r#"{"etype": "request", "data": {"a": "\u00e9"}}"#,
    ] {
        assert_eq!(posted(&echo(), body).await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn checklist_21_2_6_callbacks_are_those_that_the_service_has() {
    let callbacks = |body: &Value| -> BTreeSet<String> {
        serde_json::from_value(body["data"]["mtd"]["callbacks"].clone()).expect("names")
    };
    let few = callbacks(&requests().send("health", json!({})).await.body);
    assert_eq!(few, BTreeSet::from(["get_resource".into(), "health".into(), "request".into()]));
    let all = callbacks(&echo().send("health", json!({})).await.body);
    assert_eq!(all, Etype::all().map(|etype| etype.to_string()).collect());
}

#[tokio::test]
async fn checklist_21_2_7_each_event_reaches_its_callback() {
    let harness = echo();
    let mut called = BTreeSet::new();
    for etype in Etype::all().filter(|etype| !matches!(etype, Etype::Health | Etype::GetResource)) {
        let mut event = Envelope::new(etype, "m-7", now(), Map::new());
        event.data.insert("sid".to_owned(), json!("s"));
        let (_, answer) = posted(&harness, &String::from_utf8_lossy(&event.to_vec())).await;
        let said = &answer["data"]["said"];
        assert_eq!((&said[1], &said[2]), (&json!(etype.to_string()), &json!("m-7")), "{etype}");
        assert_eq!(said[3], json!({"sid": "s"}));
        let method = said[0].as_str().unwrap_or_default().to_owned();
        if let Etype::Every(period, per) = etype {
            let number = period.name().trim_end_matches(['h', 'd']);
            let suffix = match per {
                Per::Organization => "_per_org",
                Per::Service => "_globally",
                Per::Sensor => "_per_sensor",
            };
            assert!(method.starts_with(&format!("every_{number}_")) && method.ends_with(suffix), "{etype}: {method}");
        }
        called.insert(method);
    }
    assert_eq!(called.len(), 26, "each has a callback of its own");
}

#[tokio::test]
async fn checklist_21_2_8_what_has_no_callback_is_not_implemented() {
    let refused = json!({"success": false, "data": {"error": "not implemented"}, "retry": false});
    for etype in ["detection", "org_per_1h", "command", "org_per_2h", ""] {
        let received = requests().send(etype, json!({})).await;
        assert_eq!((received.status, received.body), (200, refused.clone()), "{etype}");
    }
}

#[tokio::test]
async fn checklist_21_2_9_a_later_version_is_refused() {
    let (status, answer) = posted(&requests(), r#"{"etype":"health","version":2}"#).await;
    let refused = json!({"success": false, "data": {"error": "unsupported version (> 1)"}, "retry": false});
    assert_eq!((status, answer), (200, refused));
}

#[tokio::test]
async fn checklist_21_2_10_each_return_value_has_its_body_and_a_panic_ends_nothing_else() {
    let harness = requests();
    let cases = [
        ("", json!({"success": true, "data": {}})),
        ("fail", json!({"success": false, "data": {}, "retry": false})),
        ("again", json!({"success": false, "data": {}, "retry": true})),
        ("custom", json!({"success": true, "data": {"n": 1}, "error": "half of it"})),
        ("throw", json!({"success": false, "data": {"exception": "out of paper"}, "retry": true})),
        ("panic", json!({"success": false, "data": {"exception": "panicked: the printer burns"}, "retry": true})),
        ("", json!({"success": true, "data": {}})),
    ];
    for (what, expected) in cases {
        let received = harness.send("request", json!({"do": what})).await;
        assert_eq!((received.status, received.body), (200, expected), "{what}");
    }
}

#[tokio::test]
async fn checklist_21_2_11_requests_are_checked_once_parameters_are_declared() {
    let harness = echo();
    let declared = Parameters::from([
        ("count".to_owned(), Parameter::int("how many").required()),
        ("how".to_owned(), Parameter::one_of(&["loud"], "how")),
    ]);
    harness.handler().handle().set_request_parameters(declared);
    let health = harness.send("health", json!({})).await.body;
    assert_eq!(health["data"]["mtd"]["request_params"]["count"]["type"], json!("int"));
    let refused = |text: &str| json!({"success": false, "data": {}, "retry": false, "error": text});
    let cases = [
        (json!({"count": true}), refused("invalid parameter count: wrong data type")),
        (json!({"count": 1, "how": "soft"}), refused("invalid parameter how: enum has invalid value")),
        (json!({"how": "loud"}), refused("missing parameter count")),
    ];
    for (data, expected) in cases {
        assert_eq!(harness.send("request", data).await.body, expected);
    }
    assert_eq!(harness.send("request", json!({"count": 1, "more": []})).await.body["success"], json!(true));
    assert_eq!(harness.send("detection", json!({"count": "x"})).await.body["success"], json!(true), "requests only");
}

#[tokio::test]
async fn checklist_21_2_12_published_resources_are_given() {
    let harness = requests();
    harness.handler().handle().publish_resource("bad", "lookup", "evil.com\nbad.net\n");
    let received = harness.send("get_resource", json!({"resource": "bad", "is_include_data": true})).await.body;
    assert_eq!(received["data"]["res_data"], json!("ZXZpbC5jb20KYmFkLm5ldAo="));
    harness.handler().handle().publish_resource("bad", "lookup", "good.org\n");
    let replaced = harness.send("get_resource", json!({"resource": ["bad"], "is_include_data": false})).await.body;
    assert_ne!(replaced["data"]["resources"]["bad"]["hash"], received["data"]["hash"]);
    let unknown = harness.send("get_resource", json!({"resource": "x", "is_include_data": false})).await.body;
    assert_eq!(unknown["data"]["error"], json!("resource not available"));
}

#[tokio::test]
async fn checklist_21_2_13_jobs_go_out_with_the_answer() {
    let received = requests().send("request", json!({"do": "job"})).await.body;
    assert_eq!((&received["jobs"][0]["id"], &received["jobs"][0]["cause"]), (&json!("j"), &json!("a request")));
    let received = requests().send("request", json!({"do": "job without cause"})).await.body;
    assert_eq!(received["jobs"], Value::Null, "nothing of it is sent");
    assert!(received["data"]["exception"].as_str().is_some_and(|text| text.contains("cause")), "{received}");
}

/// Sends answers of sensors back into `reports`.
struct Packages;

impl Service for Packages {
    fn replies() -> Replies<Self> {
        Replies::none().on("processPackages", Self::process_packages)
    }
}

impl Packages {
    async fn process_packages(self: Arc<Self>, reply: Reply) -> Outcome {
        let job = reply.job.map(|job| job.id);
        Ok(Answer::done().with("got", json!([reply.context, job, reply.detect["event"]])))
    }
}

fn packages() -> Harness<Program<Packages>> {
    Harness::new(Program::with_log(Packages, Settings::new("packages", Some(SECRET)), Lines::default().log("packages")))
}

#[tokio::test]
async fn checklist_21_2_14_answers_of_sensors_come_back_to_their_callback() {
    let harness = packages();
    let health = harness.send("health", json!({})).await.body;
    assert_eq!(health["data"]["mtd"]["detect_subscriptions"], json!(["__svc-packages-ex"]));
    let callbacks = json!(["detection", "get_resource", "health", "org_install", "org_per_1h", "org_uninstall"]);
    assert_eq!(health["data"]["mtd"]["callbacks"], callbacks);

    let key = callback_key(Some(SECRET), "processPackages");
    assert_eq!(key, "ea32893a", "the same in every instance");
    let detection = |id: &str| json!({"cat": "c", "detect": {"event": {"n": 1}, "routing": {"investigation_id": id}}});
    let id = InvestigationId { callback_key: key, job: "j-1".into(), context: "a/b ☃".into() };
    // Another instance answers what this one asked.
    let received = packages().send("detection", detection(&id.of("packages"))).await.body;
    assert_eq!(received["data"]["got"], json!(["a/b ☃", "j-1", {"n": 1}]));

    let answer = |id: &str| {
        let data = detection(id);
        let harness = &harness;
        async move { harness.send("detection", data).await.body }
    };
    assert_eq!(answer("svc-packages-ex/00000000//").await, json!({"success": false, "data": {}, "retry": false}));
    let broken = answer("svc-packages-ex/ea32893a").await;
    assert_eq!((&broken["success"], &broken["retry"]), (&json!(false), &json!(true)));
    assert!(broken["data"]["exception"].is_string(), "{broken}");
    assert_eq!(answer("svc-other-ex/ea32893a//").await["success"], json!(true), "on_detection was left out: content");
}

#[tokio::test]
async fn checklist_21_2_14_without_a_token_the_rule_cannot_be_kept_and_the_server_tries_again() {
    let received = packages().send("org_install", json!({})).await.body;
    assert_eq!((&received["success"], &received["retry"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn checklist_21_2_15_a_late_event_is_answered_and_told() {
    let lines = Lines::default();
    let harness = Harness::new(Program::with_log(Requests, Settings::new("late", Some(SECRET)), lines.log("late")));
    let (status, answer) = posted(&harness, r#"{"etype":"request","mid":"m-15","deadline":1700000000}"#).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    let told = lines.messages(Stream::Err);
    assert!(told.iter().any(|line| line.contains("m-15") && line.contains("deadline passed")), "{told:?}");
}

#[tokio::test]
async fn checklist_21_2_17_what_is_no_event_is_400() {
    for body in
        ["", "{", "[]", "null", r#"{"version":"1","etype":"health"}"#, "{}", r#"{"etype":"a","oid":"b","jwt":"c"}"#]
    {
        let (status, answer) = posted(&requests(), body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].is_string(), "{body}: {answer}");
    }
}

#[tokio::test]
async fn checklist_21_2_18_calls_in_progress_go_back_after_errors_and_panics() {
    let harness = requests();
    for what in ["throw", "panic", "fail", "again"] {
        harness.send("request", json!({"do": what})).await;
    }
    assert_eq!(harness.send("health", json!({})).await.body["data"]["calls_in_progress"], json!(1));
}

#[tokio::test]
async fn checklist_21_2_20_lines_are_json_and_no_token_is_among_them() {
    let lines = Lines::default();
    let settings = Settings { is_traced: true, ..Settings::new("traced", Some(SECRET)) };
    let program = Program::with_log(Requests, settings, lines.log("traced"));
    let harness = Harness::new(program).of(OID.parse().expect("a UUID"), "tok.en.secret");
    harness.send("request", json!({"do": "throw"})).await;
    harness.handler().handle().log_with("counted", &Map::from_iter([("count".to_owned(), json!(3))]));
    let all = lines.0.lock().clone();
    let text = json!(all.iter().map(|(_, line)| line).collect::<Vec<_>>()).to_string();
    assert!(text.contains("REQ (") && text.contains("REP ("), "{text}");
    assert!(!text.contains("tok.en.secret") && !text.contains(SECRET), "{text}");
    for (stream, line) in &all {
        let (who, severity) = if *stream == Stream::Out { ("service", "INFO") } else { ("actor", "ERROR") };
        assert_eq!((&line[who], &line["severity"]), (&json!("traced"), &json!(severity)));
        assert!(line["timestamp"]["seconds"].is_i64() && line["timestamp"]["nanos"].is_i64(), "{line}");
    }
    assert!(all.iter().any(|(_, line)| line["count"] == json!(3)), "fields stand beside the message");
}
