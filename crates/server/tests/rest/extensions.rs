//! Extensions of others, as programs of the framework: registered, subscribed to, asked, configured. Checklist 19.1 of
//! reference/extension-protocol.md.

use crate::actions::{eventually, pass};
use crate::detections::{receive, rule, set};
use crate::hooks::{hook, post};
use crate::world::World;
use flate2::read::GzDecoder;
use muster_model::Oid;
use muster_server::access::owner_permissions;
use muster_server::random;
use muster_service::extension::{
    ActionCall, ActionSchema, Answer, Continuation, DataType, Element, Extension, Metric, MetricReport, ObjectSchema,
    Reply, SUBSCRIBE, UNSUBSCRIBE, UPDATE,
};
use muster_service::{Settings, serve};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "extension-secret-0123456789abcdef";

/// What an extension got: what it is about, and all that came with it.
type Got = (String, Value);

/// An extension that keeps what it gets.
struct Running {
    got: Arc<Mutex<Vec<Got>>>,
    /// Answers of the action `do`, the next one first; then it is content.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Running {
    fn of(&self, what: &str) -> Vec<Value> {
        self.got.lock().iter().filter(|got| got.0 == what).map(|got| got.1.clone()).collect()
    }

    fn will_answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().extend(answers);
    }
}

async fn running(world: &World, secret: &str) -> Running {
    let (got, answers) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::<Mutex<VecDeque<Answer>>>::default());
    let keep = |got: &Arc<Mutex<Vec<Got>>>| {
        let got = Arc::clone(got);
        move |what: &str, value: Value| got.lock().push((what.to_owned(), value))
    };
    let text = |kind| Element::new(kind, "l", "d");
    let parameters = ObjectSchema::default()
        .field("what", text(DataType::String))
        .field("count", text(DataType::Integer).or(json!(3)))
        .field("key", text(DataType::Secret))
        .field("deep", text(DataType::Object))
        .needs(&["what"]);
    let config = ObjectSchema::default()
        .field("level", text(DataType::Integer).or(json!(1)))
        .field("token", text(DataType::Secret));
    let mut settings = Settings::new("recorder", Some(secret));
    settings.api_url = Some(format!("http://{}", world.server.bound.http.unwrap()));
    let act = |what: &'static str| {
        let (keep, answers) = (keep(&got), Arc::clone(&answers));
        move |call: ActionCall| {
            let (keep, answers) = (keep.clone(), Arc::clone(&answers));
            async move {
                let me = call.who.client()?.whoami().await?;
                keep(
                    what,
                    json!({
                        "oid": call.who.oid, "ident": call.who.ident, "key": call.who.idempotency_key, "inv_id": call.inv_id,
                        "data": call.data, "config": call.config, "acl": call.acl, "rule": call.automation_rule,
                        "state": call.resource_state.keys().collect::<Vec<_>>(), "me": json!(me)["ident"],
                    }),
                );
                let answer = answers.lock().pop_front();
                let answer = answer.unwrap_or_else(|| Answer::done(json!({"echo": call.data})));
                Ok::<Reply, muster_service::Error>(answer.into())
            }
        }
    };
    let validated = keep(&got);
    let mut extension = Extension::new(settings)
        .action("do", ActionSchema::new("Do", "does it", parameters.clone()), act("do"))
        .action("as-me", ActionSchema::new("As me", "acts as the caller", parameters).impersonated(), act("as-me"))
        .config(config, move |call| {
            validated("validate", json!({"conf": call.config, "ident": call.who.ident}));
            let is_high = call.config.get("level") == Some(&json!(9));
            async move { if is_high { Err("level 9 is too much".into()) } else { Ok(()) } }
        });
    for event in [SUBSCRIBE, UNSUBSCRIBE, UPDATE] {
        let keep = keep(&got);
        extension = extension.on(event, move |call| {
            let keep = keep.clone();
            async move {
                let works = call.who.client()?.whoami().await.is_ok();
                keep(event, json!({"oid": call.who.oid, "config": call.config, "works": works}));
                Ok(json!({}).into())
            }
        });
    }
    let errors = keep(&got);
    let extension = extension.on_error(move |oid, error| errors("error", json!({"oid": oid, "error": error})));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    Running { got, answers, url, serving: tokio::spawn(serve(listener, extension, std::future::pending())) }
}

async fn registered(world: &World, extension: &Running) {
    let form = [("url", extension.url.as_str()), ("secret", SECRET), ("perms", "org.get"), ("is_public", "true")];
    world.ok("POST", &format!("extensions/{}/ext-r", world.oid), &form).await;
}

fn subscription(oid: Oid) -> String {
    format!("orgs/{oid}/subscription/extension/ext-r")
}

async fn subscribed(world: &World, extension: &Running) {
    registered(world, extension).await;
    world.ok("POST", &subscription(world.oid), &[]).await;
    eventually("it is told of the subscription", async || extension.of(SUBSCRIBE).pop()).await;
}

async fn asked(world: &World, action: &str, data: &Value) -> (u16, Value) {
    let (oid, data) = (world.oid.to_string(), data.to_string());
    world.call("POST", "extension/request/ext-r", &[("oid", &oid), ("action", action), ("data", &data)]).await
}

async fn errors(world: &World) -> String {
    world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string()
}

#[tokio::test]
async fn checklist_19_1_4_an_extension_from_registration_to_its_end() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    assert_eq!(extension.of(SUBSCRIBE), [json!({"oid": world.oid, "config": {}, "works": true})]);
    let subscriptions = world.ok("GET", &format!("orgs/{}/subscriptions", world.oid), &[]).await;
    assert!(subscriptions["ext-r"]["since"].is_i64(), "{subscriptions}");
    let shown = world.ok("GET", &format!("extensions/{}/ext-r", world.oid), &[]).await;
    assert_eq!((&shown["actions"], &shown["is_well"]), (&json!(["as-me", "do"]), &json!(true)), "{shown}");
    assert!(!shown.to_string().contains(SECRET), "a secret is not shown again");
    let known = world.ok("GET", "extension/definition", &[]).await;
    let names: Vec<&Value> = known.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["ext-reliable-tasking", "ext-infrastructure", "ext-r"]);
    let schema = world.ok("GET", "extension/schema/ext-r", &[("oid", &world.oid.to_string())]).await;
    assert_eq!(schema["required_events"], json!([SUBSCRIBE, UNSUBSCRIBE, UPDATE]), "{schema}");
    assert_eq!(schema["request_schema"]["as-me"]["is_impersonated"], true);

    let (status, answer) = asked(&world, "do", &json!({"what": "it"})).await;
    assert_eq!((status, &answer["data"]["echo"]), (200, &json!({"what": "it", "count": 3})), "{answer}");

    world.ok("PATCH", &subscription(world.oid), &[]).await;
    assert_eq!(asked(&world, "do", &json!({"what": "it"})).await.0, 200, "with its new key");

    world.ok("DELETE", &subscription(world.oid), &[]).await;
    eventually("the identity ends once the extension was told", async || {
        let keys = world.ok("GET", &format!("orgs/{}/keys", world.oid), &[]).await.to_string();
        (!keys.contains("extension/ext-r")).then_some(())
    })
    .await;
    assert_eq!(extension.of(UNSUBSCRIBE), [json!({"oid": world.oid, "config": {}, "works": true})]);
    assert_eq!(asked(&world, "do", &json!({"what": "it"})).await.0, 403);
    world.ok("DELETE", &format!("extensions/{}/ext-r", world.oid), &[]).await;
    assert_eq!(asked(&world, "do", &json!({"what": "it"})).await.0, 404);
}

#[tokio::test]
async fn checklist_19_1_5_and_6_a_configuration_is_shown_to_the_extension_and_reaches_its_next_call() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    let secret = format!("hive/secret/{}/token/data", world.oid);
    world.ok("POST", &secret, &[("data", r#"{"secret": "s3cret"}"#)]).await;
    let one = format!("hive/extension_config/{}/ext-r", world.oid);
    let write = async |data: Value, verb: &str| {
        let data = data.to_string();
        world.call("POST", &format!("{one}/{verb}"), &[("data", &data)]).await
    };
    for verb in ["data", "validate"] {
        let (status, refused) = write(json!({"level": 9}), verb).await;
        assert_eq!((status, refused["error"].as_str()), (400, Some("ext-r: level 9 is too much")), "{refused}");
        let (status, refused) = write(json!({"depth": 1}), verb).await;
        assert_eq!((status, refused["error"].as_str()), (400, Some("unknown parameter name: depth")), "{refused}");
    }
    let right = json!({"token": "hive://secret/token"});
    assert_eq!(write(right.clone(), "validate").await.0, 200);
    assert_eq!(world.call("GET", &format!("{one}/data"), &[]).await.0, 400, "nothing was stored");
    assert_eq!(write(right.clone(), "data").await.0, 200);
    assert_eq!(world.ok("GET", &format!("{one}/data"), &[]).await["data"], right, "it stays as it was written");
    let validated = extension.of("validate");
    let shown = json!({"conf": {"level": 1, "token": "s3cret"}, "ident": "tester"});
    assert_eq!(validated.last(), Some(&shown), "defaults and secrets are put in for the extension");
    asked(&world, "do", &json!({"what": "it"})).await;
    let call = extension.of("do").pop().unwrap();
    assert_eq!(call["config"], json!({"level": 1, "token": "s3cret"}));
    assert_eq!(call["state"], json!(["hive://extension_config/ext-r"]));
}

#[tokio::test]
async fn checklist_19_1_7_to_9_what_the_schema_refuses_reaches_nobody_and_secrets_are_put_in() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    for (action, data, reason) in [
        ("undo", json!({}), "unknown request action: undo"),
        ("do", json!({}), "missing one of what"),
        ("do", json!({"what": "a", "why": 1}), "unknown parameter name: why"),
        ("do", json!({"what": 1}), "invalid value for what: not a string, a number"),
        ("do", json!({"what": "a", "key": "hive://secret/none"}), "invalid value for key: no secret none"),
    ] {
        let (status, refused) = asked(&world, action, &data).await;
        assert_eq!((status, refused["error"].as_str()), (400, Some(reason)), "{refused}");
    }
    assert!(errors(&world).await.contains("invalid value for what"), "and operators are told");
    assert_eq!(extension.of("do"), [] as [Value; 0]);
    let secret = format!("hive/secret/{}/door/data", world.oid);
    world.ok("POST", &secret, &[("data", r#"{"secret": "s3same"}"#)]).await;
    let data = json!({"what": "a", "key": "hive://secret/door", "deep": {"anything": ["hive://secret/door"]}});
    assert_eq!(asked(&world, "do", &data).await.0, 200);
    let got = extension.of("do").pop().unwrap();
    assert_eq!(got["data"]["key"], "s3same");
    assert_eq!(got["data"]["deep"], data["deep"], "nothing deeper is looked at");
}

#[tokio::test]
async fn checklist_19_1_10_and_23_an_impersonated_action_acts_as_its_caller_and_no_rule_calls_it() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    asked(&world, "do", &json!({"what": "a"})).await;
    let own = extension.of("do").pop().unwrap();
    assert_eq!((&own["me"], &own["ident"]), (&json!("extension/ext-r[bulk]"), &json!("tester")), "{own}");
    asked(&world, "as-me", &json!({"what": "a"})).await;
    let as_me = extension.of("as-me").pop().unwrap();
    assert_eq!((&as_me["me"], &as_me["ident"]), (&json!("tester"), &json!("tester")), "{as_me}");
    // 19.1.24: the block is the server's, whatever callers write.
    let acl = |source: &str| json!({"scopes": [], "global": false, "enforce": false, "source": source});
    assert_eq!((&own["acl"], &as_me["acl"]), (&acl("user"), &acl("impersonated")));

    // 19.1.21: as somebody else, whose token the caller hands on.
    let other = world.user("ana@example.com", [(world.oid, vec!["org.get".to_owned()])].into()).await;
    let form = [
        ("oid", world.oid.to_string()),
        ("action", "as-me".into()),
        ("data", r#"{"what": "b"}"#.into()),
        ("impersonator_jwt", other),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.ok("POST", "extension/request/ext-r", &form).await;
    let as_ana = extension.of("as-me").pop().unwrap();
    assert_eq!((&as_ana["me"], &as_ana["ident"]), (&json!("ana@example.com"), &json!("ana@example.com")));
}

#[tokio::test]
async fn checklist_19_1_12_a_call_is_tried_three_times_under_one_key_and_its_end_is_told() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    extension.will_answer([Answer::again("busy"), Answer::again("busy")]);
    assert_eq!(asked(&world, "do", &json!({"what": "a"})).await.0, 200, "the third try does it");
    let keys: Vec<Value> = extension.of("do").into_iter().map(|got| got["key"].clone()).collect();
    assert_eq!((keys.len(), keys[0] == keys[1], keys[1] == keys[2]), (3, true, true), "{keys:?}");

    // 19.1.11: what is final is not tried again.
    extension.will_answer([Answer::failed("never")]);
    let (status, refused) = asked(&world, "do", &json!({"what": "a"})).await;
    assert_eq!((status, refused["error"].as_str()), (502, Some("ext-r: never")));
    assert_eq!(extension.of("do").len(), 4);
    let told = eventually("the extension is told", async || extension.of("error").pop()).await;
    assert_eq!(told, json!({"oid": world.oid, "error": "never"}));
    assert!(errors(&world).await.contains("do: never"));
}

/// An extension that answers nothing or too much, whatever it is asked for but its schema; tells the keys of what it got.
async fn unhelpful(world: &World, answer: &'static str) -> (Arc<Mutex<Vec<String>>>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let keys = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&keys);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move { serve_unhelpful(stream, &kept, answer).await });
        }
    });
    let form = [("url", url.as_str()), ("secret", SECRET)];
    world.ok("POST", &format!("extensions/{}/ext-r", world.oid), &form).await;
    world.ok("POST", &subscription(world.oid), &[]).await;
    (keys, serving)
}

async fn serve_unhelpful(stream: TcpStream, keys: &Mutex<Vec<String>>, answer: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while stream.read_line(&mut line).await? > 2 {
        if let Some((name, value)) = line.split_once(": ") {
            length = if name.eq_ignore_ascii_case("content-length") { value.trim().parse().unwrap() } else { length };
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let mut text = String::new();
    GzDecoder::new(body.as_slice()).read_to_string(&mut text)?;
    let message: Value = serde_json::from_str(&text)?;
    if message["schema_request"].is_object() {
        let action = json!({"parameters": {"fields": {}}});
        let data = json!({"request_schema": {"do": action}, "required_events": []});
        let body = json!({"version": 20_221_218, "data": data}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        return stream.write_all((head + &body).as_bytes()).await;
    }
    // What it is told of its failure afterwards is no try.
    if message["request"].is_object() {
        keys.lock().push(message["idempotency_key"].as_str().unwrap().to_owned());
    }
    stream.write_all(answer.as_bytes()).await?;
    let piece = vec![b' '; 64 << 10];
    while !answer.is_empty() {
        // Whoever has had enough hangs up.
        stream.write_all(&piece).await?;
    }
    std::future::pending().await
}

fn were_three_tries_under_one_key(keys: &[String]) {
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn checklist_19_1_15_a_call_of_more_than_two_minutes_is_cut_off_and_tried_again_under_its_key() {
    let world = World::new().await;
    let (keys, serving) = unhelpful(&world, "").await;
    let nothing = json!({});
    let asking = asked(&world, "do", &nothing);
    let passing = async {
        for tries in 1..=3 {
            eventually("it is tried", async || Some(()).filter(|()| keys.lock().len() == tries)).await;
            pass(Duration::from_secs(110)).await;
            assert_eq!(keys.lock().len(), tries, "it has two minutes");
            pass(Duration::from_secs(11)).await;
        }
    };
    let ((status, refused), ()) = tokio::join!(asking, passing);
    assert_eq!(status, 502, "{refused}");
    were_three_tries_under_one_key(&keys.lock());
    serving.abort();
}

#[tokio::test]
async fn checklist_19_1_16_an_answer_without_end_is_refused_and_tried_again_as_one_that_got_lost() {
    let world = World::new().await;
    let (keys, serving) = unhelpful(&world, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
    let (status, refused) = asked(&world, "do", &json!({})).await;
    assert!(status == 502 && refused.to_string().contains("more than 8388608 bytes"), "{refused}");
    were_three_tries_under_one_key(&keys.lock());
    serving.abort();
}

#[tokio::test]
async fn checklist_19_1_23_the_investigation_of_an_event_reaches_the_extension_that_a_rule_asks() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    assert_eq!(asked(&world, "do", &json!({"what": "a"})).await.0, 200);
    assert_eq!(extension.of("do").pop().unwrap()["inv_id"], "", "a person has none");
    let request = json!([{"action": "extension request", "extension name": "ext-r", "extension action": "do",
                          "extension request": {"what": "of {{ .event.kind }}"}}]);
    let detect = json!({"event": "FED", "op": "exists", "path": "event/kind"});
    set(&world, "dr-general", "asks", json!({"detect": detect, "respond": request})).await;
    let path = hook(&world, "hook-secret").await;
    let event = json!({"kind": "FED", "of": {"case": "case/1 é {\"a\": 1}"}}).to_string();
    assert_eq!(post(&world, &path, event, None).await.0, 200);
    let asked = eventually("the rule asks", async || {
        extension.of("do").into_iter().find(|got| got["data"]["what"] == "of FED")
    })
    .await;
    assert_eq!(asked["inv_id"], "case/1 é {\"a\": 1}", "byte for byte");
}

#[tokio::test]
async fn checklist_19_1_17_continuations_are_called_later_with_their_state_once_each() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    let continuation = |page: u64| {
        let state = Map::from_iter([("page".to_owned(), json!(page))]);
        Continuation { in_delay_sec: 0, action: "do".into(), state }
    };
    let first = Answer { continuations: vec![continuation(1), continuation(2)], ..Answer::done(json!({})) };
    extension.will_answer([first]);
    assert_eq!(asked(&world, "do", &json!({"what": "a"})).await.0, 200);
    let calls = eventually("both are called", async || Some(extension.of("do")).filter(|got| got.len() == 3)).await;
    let key = calls[0]["key"].as_str().unwrap();
    let mut later: Vec<(String, Value)> =
        calls[1..].iter().map(|call| (call["key"].as_str().unwrap().to_owned(), call["data"].clone())).collect();
    later.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [(format!("{key}:1"), json!({"page": 1})), (format!("{key}:1.1"), json!({"page": 2}))];
    assert_eq!(later, expected, "the state is not checked by the schema");
    assert!(
        calls[1..].iter().all(|call| call["acl"]["source"] == "continuation" && call["me"] == "extension/ext-r[bulk]")
    );
}

#[tokio::test]
async fn checklist_19_1_18_what_an_extension_counts_is_counted_once_and_within_bounds() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    let counting = |key: &str, metrics: Vec<(&str, i64)>| {
        let metrics = metrics.into_iter().map(|(sku, value)| Metric { sku: sku.into(), value }).collect();
        let report = MetricReport { idempotent_key: key.into(), metrics };
        Answer { metrics: Some(report), ..Answer::done(json!({})) }
    };
    let many: Vec<String> = (0..11).map(|nth| format!("m{nth}")).collect();
    extension.will_answer([
        counting("1", vec![("scans", 3), ("bad", -1)]),
        counting("1", vec![("scans", 3)]),
        counting("2", vec![("scans", 4)]),
        counting("3", many.iter().map(|name| (name.as_str(), 1)).collect()),
    ]);
    for _ in 0..4 {
        assert_eq!(asked(&world, "do", &json!({"what": "a"})).await.0, 200);
    }
    let shown = world.ok("GET", &format!("extensions/{}/ext-r", world.oid), &[]).await;
    assert_eq!(shown["metrics"], json!({"scans": 7}), "{shown}");
    assert!(errors(&world).await.contains("too many metrics"));
}

#[tokio::test]
async fn checklist_19_1_13_another_secret_stops_calls() {
    let world = World::new().await;
    let extension = running(&world, "another secret").await;
    registered(&world, &extension).await;
    world.ok("POST", &subscription(world.oid), &[]).await;
    let (status, refused) = asked(&world, "do", &json!({"what": "a"})).await;
    assert_eq!((status, refused["error"].as_str().unwrap().contains("refuses the signature")), (502, true));
    let shown = world.ok("GET", &format!("extensions/{}/ext-r", world.oid), &[]).await;
    assert_eq!(shown["is_well"], false, "{shown}");
    assert_eq!(extension.of("do").len() + extension.of(SUBSCRIBE).len(), 0);
}

#[tokio::test]
async fn checklist_19_1_20_a_rule_asks_an_extension_for_something() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    let request = |action: &str| {
        json!([{"action": "extension request", "extension name": "ext-r", "extension action": action,
                "extension request": {"what": "number {{ .event.N }}", "deep": {"host": "routing.hostname"}}}])
    };
    set(&world, "dr-general", "asks", rule(request("do"))).await;
    let sid = world.sensor("host", &[]).await;
    receive(&world, sid, 1..=1).await;
    let got = eventually("it is asked", async || extension.of("do").pop()).await;
    assert_eq!((&got["data"]["what"], &got["data"]["count"]), (&json!("number 1"), &json!(3)), "{got}");
    assert_eq!((&got["ident"], &got["acl"]["source"]), (&json!("DR:general.asks"), &json!("dr")));
    assert!(uuid::Uuid::parse_str(got["key"].as_str().unwrap()).is_ok());
    // 19.1.10: nobody is there whose permissions an impersonated action could have.
    set(&world, "dr-general", "asks", rule(request("as-me"))).await;
    receive(&world, sid, 2..=2).await;
    eventually("it is an error of the organization", async || {
        errors(&world).await.contains("acts with the permissions of a caller").then_some(())
    })
    .await;
    assert_eq!(extension.of("as-me"), [] as [Value; 0]);
}

#[tokio::test]
async fn checklist_19_1_25_two_organizations_see_nothing_of_each_other() {
    let world = World::new().await;
    let extension = running(&world, SECRET).await;
    subscribed(&world, &extension).await;
    let other = Oid(random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &owner_permissions()).await;
    let call = async |method: &str, path: &str, form: &[(&str, &str)]| {
        world.call_as(Some(&stranger), method, path, form).await
    };
    assert_eq!(call("POST", &subscription(other), &[]).await.0, 200);
    let one = format!("hive/extension_config/{}/ext-r/data", world.oid);
    world.ok("POST", &one, &[("data", r#"{"level": 5}"#)]).await;
    let form = [("oid", other.to_string()), ("action", "do".into()), ("data", r#"{"what": "a"}"#.into())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(call("POST", "extension/request/ext-r", &form).await.0, 200);
    let got = extension.of("do").pop().unwrap();
    assert_eq!((&got["oid"], &got["config"]), (&json!(other), &json!({})), "{got}");
    let seen = call("GET", &format!("extensions/{other}/ext-r"), &[]).await.1;
    assert!(seen.get("url").is_none(), "its address is its owner's business: {seen}");
    assert_eq!(call("DELETE", &format!("extensions/{other}/ext-r"), &[]).await.0, 404);
}
