//! What a service sees on the wire: bytes, headers, and when they come.

use crate::actions::{eventually, pass};
use crate::artifacts::{ingestion_key, upload};
use crate::world::World;
use muster_model::Oid;
use muster_server::access::owner_permissions;
use muster_server::{clock, random};
use muster_webhook::service::{DEADLINE_S, Etype, Per, Period};
use muster_webhook::{SERVICE_HEADER, sign};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SECRET: &str = "shared-secret-123";

const DONE: &str = r#"{"success": true, "data": {}}"#;

/// What came with one call.
#[derive(Clone)]
struct Posted {
    request_line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    event: Value,
}

impl Posted {
    fn is_of(&self, etype: &str) -> bool {
        self.event["etype"] == etype
    }
}

/// A service that keeps what it gets, to the byte.
struct Wire {
    url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    serving: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Wire {
    /// One with these callbacks; `answer` gives the whole answer to an event, or nothing to hang up.
    async fn new(callbacks: &[String], answer: fn(&Value, usize) -> Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let metadata = json!({"callbacks": callbacks, "detect_subscriptions": null, "request_params": {}});
        let health = ok(&json!({"success": true, "data": {"version": 1, "mtd": metadata}}).to_string());
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posted);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, health) = (Arc::clone(&kept), health.clone());
                tokio::spawn(async move {
                    // Whoever calls hangs up in the end.
                    let _ = serve(stream, &kept, &health, answer).await;
                });
            }
        });
        Self { url, posted, serving }
    }

    fn of(&self, etype: &str) -> Vec<Posted> {
        self.posted.lock().iter().filter(|posted| posted.is_of(etype)).cloned().collect()
    }

    /// How often each event came.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for posted in self.posted.lock().iter() {
            *counts.entry(posted.event["etype"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Posted>>,
    health: &str,
    answer: fn(&Value, usize) -> Option<String>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut line) = (Vec::new(), String::new());
        while stream.read_line(&mut line).await? > 2 {
            head.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        if head.is_empty() {
            return Ok(());
        }
        let request_line = head.remove(0);
        let split = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: BTreeMap<String, String> = head.iter().filter_map(split).collect();
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        stream.read_exact(&mut body).await?;
        let event: Value = serde_json::from_slice(&body).unwrap();
        if event["etype"] == "health" {
            stream.write_all(health.as_bytes()).await?;
            continue;
        }
        let before = kept.lock().iter().filter(|posted| posted.event["mid"] == event["mid"]).count();
        kept.lock().push(Posted { request_line, headers, body, event: event.clone() });
        let Some(answer) = answer(&event, before) else { return Ok(()) };
        sleep(Duration::from_millis(event["data"]["busy_ms"].as_u64().unwrap_or_default())).await;
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Registers and subscribes.
async fn subscribed(world: &World, url: &str) {
    let one = format!("services/{}/wire", world.oid);
    world.ok("POST", &one, &[("url", url), ("secret", SECRET)]).await;
    world.ok("POST", &format!("{one}/health"), &[]).await;
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
}

async fn waiting(world: &World) -> usize {
    let answer = world.ok("GET", &format!("services/{}/wire/deliveries", world.oid), &[]).await;
    answer["deliveries"].as_array().unwrap().len()
}

#[tokio::test]
async fn checklist_21_1_3_4_and_13_every_try_is_plain_and_signed_anew_with_a_later_deadline() {
    let world = World::new().await;
    let again = |_: &Value, before: usize| {
        let again = r#"{"success": false, "retry": true, "data": {}}"#;
        Some(ok(if before == 0 { again } else { DONE }))
    };
    let service = Wire::new(&named(&["health", "request"]), again).await;
    subscribed(&world, &service.url).await;
    let form = [("request_data", r#"{"a": "é ☃ 😀"}"#), ("is_async", "true")];
    let mid = world.ok("POST", &format!("service/{}/wire", world.oid), &form).await["mid"].clone();
    let tries = eventually("both tries", async || Some(service.of("request")).filter(|tries| tries.len() == 2)).await;
    for posted in &tries {
        assert_eq!(posted.request_line, "POST / HTTP/1.1");
        let header = |name: &str| posted.headers.get(name).map(String::as_str);
        assert_eq!((header("content-type"), header("content-encoding")), (Some("application/json"), None));
        assert_eq!(header("user-agent"), Some("lc-services"));
        assert_eq!(header(SERVICE_HEADER), Some(sign(SECRET, &posted.body).as_str()));
        assert!(
            posted.body.is_ascii() && !posted.body.ends_with(b"\n"),
            "the spelling that the oldest framework checks"
        );
        assert_eq!((&posted.event["mid"], &posted.event["data"]["a"]), (&mid, &json!("é ☃ 😀")));
    }
    let deadlines = deadlines(&tries);
    assert!(deadlines[1] >= deadlines[0] + 4, "four seconds pass before the second try at least");
    assert_ne!(tries[0].headers[SERVICE_HEADER], tries[1].headers[SERVICE_HEADER]);
}

#[tokio::test]
async fn checklist_21_1_15_an_early_413_and_a_closed_connection_are_failures_and_the_next_request_is_answered() {
    let world = World::new().await;
    let by_request = |event: &Value, _: usize| match event["data"]["do"].as_str() {
        Some("close") => None,
        Some("empty") => Some("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned()),
        _ => Some(ok(DONE)),
    };
    let service = Wire::new(&named(&["health", "request"]), by_request).await;
    subscribed(&world, &service.url).await;
    let path = format!("service/{}/wire", world.oid);
    for what in ["close", "empty"] {
        let data = json!({"do": what}).to_string();
        assert_eq!(world.refused("POST", &path, &[("request_data", &data)]).await.0, 502, "{what}");
        world.ok("POST", &path, &[("request_data", "{}")]).await;
    }

    // It says that the body is too large before it has read it, and closes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let hasty = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbig!")
                .await;
        }
    });
    let one = format!("services/{}/hasty", world.oid);
    world.ok("POST", &one, &[("url", &url)]).await;
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
    let large = json!({"a": "a".repeat(500_000)}).to_string();
    let path = format!("service/{}/hasty", world.oid);
    assert_eq!(world.refused("POST", &path, &[("request_data", &large)]).await.0, 502);
    hasty.abort();
}

fn deadlines(posted: &[Posted]) -> Vec<i64> {
    posted.iter().map(|posted| posted.event["deadline"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn nine_4_a_service_that_is_called_too_often_is_left_alone_for_as_long_as_it_says_and_told_again() {
    let world = World::new().await;
    let busy = |event: &Value, before: usize| {
        let is_first = before == 0 && event["data"]["n"] == 1;
        Some(if is_first {
            "HTTP/1.1 429 Slow Down\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n".into()
        } else {
            ok(DONE)
        })
    };
    let service = Wire::new(&named(&["health", "request"]), busy).await;
    subscribed(&world, &service.url).await;
    let path = format!("service/{}/wire", world.oid);
    let first = world.ok("POST", &path, &[("request_data", r#"{"n": 1}"#), ("is_async", "true")]).await["mid"].clone();
    eventually("the first call", async || Some(()).filter(|()| service.of("request").len() == 1)).await;
    let one = format!("services/{}/wire", world.oid);
    let error = eventually("the answer", async || {
        let error = world.ok("GET", &one, &[]).await["error"].as_str().unwrap().to_owned();
        Some(error).filter(|error| !error.is_empty())
    })
    .await;
    assert!(error.contains("429"), "{error}");
    let (status, refused) = world.refused("POST", &path, &[("request_data", "{}")]).await;
    assert!(
        status == 502 && refused.to_string().contains("less often"),
        "it is left alone by whoever waits, too: {refused}"
    );
    world.ok("POST", &path, &[("request_data", r#"{"n": 2}"#), ("is_async", "true")]).await;
    let posted = eventually("all", async || Some(service.of("request")).filter(|all| all.len() == 3)).await;
    assert_eq!(
        [&posted[0].event["mid"], &posted[1].event["mid"]],
        [&first, &first],
        "in their order, under the same id"
    );
    let deadlines = deadlines(&posted);
    assert!(deadlines[1] >= deadlines[0] + 3 && deadlines[2] >= deadlines[0] + 3, "{deadlines:?}");
    // What came of a call is stored after the call.
    eventually("nothing that waits: it counts as no try", async || (waiting(&world).await == 0).then_some(())).await;
}

#[tokio::test]
async fn nine_4_a_service_gets_no_more_calls_in_a_second_than_its_registration_says() {
    let world = World::new().await;
    let service = Wire::new(&named(&["health", "request"]), |_, _| Some(ok(DONE))).await;
    let one = format!("services/{}/wire", world.oid);
    for rate in ["0", "1001", "many"] {
        let form = [("url", service.url.as_str()), ("rate", rate)];
        assert_eq!(world.refused("POST", &one, &form).await.0, 400, "{rate}");
    }
    world.ok("POST", &one, &[("url", &service.url), ("secret", SECRET), ("rate", "1")]).await;
    world.ok("POST", &format!("{one}/health"), &[]).await;
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
    assert_eq!(world.ok("GET", &one, &[]).await["rate"], 1);
    let path = format!("service/{}/wire", world.oid);
    for _ in 0..3 {
        world.ok("POST", &path, &[("request_data", "{}"), ("is_async", "true")]).await;
    }
    world.ok("POST", &path, &[("request_data", "{}")]).await;
    let posted = eventually("all", async || Some(service.of("request")).filter(|all| all.len() == 4)).await;
    let mut deadlines = deadlines(&posted);
    deadlines.sort_unstable();
    assert!(deadlines[3] >= deadlines[0] + 2, "four calls take three seconds: {deadlines:?}");
}

#[tokio::test]
async fn checklist_21_1_25_a_call_beyond_its_deadline_is_given_up_then_and_not_made_twice_meanwhile() {
    let world = World::new().await;
    let service = Wire::new(&named(&["health", "request"]), |event, before| {
        let is_slow = event["data"]["do"] == "sleep" && before == 0;
        Some(if is_slow { String::new() } else { ok(DONE) })
    })
    .await;
    subscribed(&world, &service.url).await;
    let path = format!("service/{}/wire", world.oid);
    let of_sleeper =
        || service.of("request").into_iter().filter(|posted| posted.event["data"]["do"] == "sleep").collect::<Vec<_>>();
    world.ok("POST", &path, &[("request_data", r#"{"do": "sleep"}"#), ("is_async", "true")]).await;
    eventually("it is called", async || of_sleeper().pop()).await;
    pass(Duration::from_secs(DEADLINE_S.unsigned_abs() - 30)).await;
    world.ok("POST", &path, &[("request_data", "{}"), ("is_async", "true")]).await;
    eventually("others go on", async || Some(()).filter(|()| service.of("request").len() == 2)).await;
    assert_eq!(of_sleeper().len(), 1, "until the deadline there is one call");
    pass(Duration::from_secs(60)).await;
    let calls = eventually("it is called again", async || Some(of_sleeper()).filter(|calls| calls.len() == 2)).await;
    assert_eq!(calls[0].event["mid"], calls[1].event["mid"]);
    while waiting(&world).await > 0 {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn nine_4_a_server_that_stops_waits_for_calls_that_end_soon_and_stores_what_came_of_them() {
    let world = World::new().await;
    let service = Wire::new(&named(&["health", "request"]), |event, before| {
        let hangs = event["data"]["do"] == "hang" && before == 0;
        Some(if hangs { String::new() } else { ok(DONE) })
    })
    .await;
    subscribed(&world, &service.url).await;
    let path = format!("service/{}/wire", world.oid);
    for data in [r#"{"do": "work", "busy_ms": 300}"#, r#"{"do": "hang"}"#] {
        world.ok("POST", &path, &[("request_data", data), ("is_async", "true")]).await;
    }
    let of = |what: &str| service.of("request").iter().filter(|posted| posted.event["data"]["do"] == what).count();
    eventually("both calls", async || Some(()).filter(|()| of("work") + of("hang") == 2)).await;
    let world = world.restart().await;
    eventually("the one that hung comes again", async || Some(()).filter(|()| of("hang") == 2)).await;
    eventually("nothing waits", async || (waiting(&world).await == 0).then_some(())).await;
    assert_eq!(of("work"), 1, "it was done, and that is stored");
}

#[tokio::test]
async fn programs_that_never_answer_hold_up_no_question_how_another_is() {
    const HANGING: usize = 128;
    let world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    for number in 0..HANGING {
        let room = if number.is_multiple_of(2) { "services" } else { "extensions" };
        world.ok("POST", &format!("{room}/{}/silent-{number}", world.oid), &[("url", &url)]).await;
    }
    let mut asked = Vec::new();
    while asked.len() < HANGING {
        asked.push(timeout(Duration::from_secs(20), silent.accept()).await.expect("all are asked at once").unwrap());
    }
    let other = Oid(random::uuid());
    world.organization(other).await;
    let (token, one) = (world.token_of(other, &owner_permissions()).await, format!("services/{other}/wire"));
    let service = Wire::new(&named(&["health"]), |_, _| None).await;
    assert_eq!(world.call_as(Some(&token), "POST", &one, &[("url", &service.url)]).await.0, 200);
    let is_well = async || {
        let (_, shown) = world.call_as(Some(&token), "GET", &one, &[]).await;
        (shown["is_well"] == true).then_some(())
    };
    eventually("it is asked, too", is_well).await;
    assert_eq!(asked.len(), HANGING, "and they are still asked");
}

/// Names of all periodic events of these periods, with the number of those whom each is about.
fn periodic(periods: &[Period], sensors: usize) -> BTreeMap<String, usize> {
    let per = |etype: Etype| match etype {
        Etype::Every(period, Per::Sensor) if periods.contains(&period) => Some((etype.to_string(), sensors)),
        Etype::Every(period, Per::Organization | Per::Service) if periods.contains(&period) => {
            Some((etype.to_string(), 1))
        }
        _ => None,
    };
    Etype::all().filter_map(per).collect()
}

#[tokio::test]
async fn checklist_21_1_20_all_eighteen_periodic_events_come_at_their_period() {
    use Period::{Day7, Day30, Hour1, Hour3, Hour12, Hour24};
    let world = World::new().await;
    let sids =
        BTreeSet::from([world.sensor("one", &[]).await, world.sensor("two", &[]).await].map(|sid| sid.to_string()));
    let all = periodic(&[Hour1, Hour3, Hour12, Hour24, Day7, Day30], sids.len());
    assert_eq!(all.len(), 18);
    let callbacks: Vec<String> = all.keys().cloned().collect();
    let service = Wire::new(&callbacks, |_, _| Some(ok(DONE))).await;
    subscribed(&world, &service.url).await;
    // An instant of the future at which periods of every length begin.
    let lengths = Duration::from_secs(210 * 24 * 3_600);
    let passed = u64::try_from(clock::now().as_secs()).unwrap() / lengths.as_secs() + 2;
    let begin = muster_model::Timestamp::ZERO.saturating_add(lengths * u32::try_from(passed).unwrap());
    let services = &world.server.app.services;
    let hour = Duration::from_secs(3_600);
    let told = async |due: &BTreeMap<String, usize>| {
        eventually("what is due is told", async || (service.counts() == *due).then_some(())).await;
        eventually("nothing waits", async || (waiting(&world).await == 0).then_some(())).await;
        assert_eq!(service.counts(), *due);
        let posted = std::mem::take(&mut *service.posted.lock());
        let sids_of = |etype: &String| -> BTreeSet<String> {
            let of = posted.iter().filter(|posted| posted.is_of(etype));
            of.filter_map(|posted| Some(posted.event["data"]["sid"].as_str()?.to_owned())).collect()
        };
        for etype in due.keys() {
            let wanted = if etype.starts_with("sensor_") { sids.clone() } else { BTreeSet::new() };
            assert_eq!(sids_of(etype), wanted, "{etype}");
        }
        let global = posted.iter().filter(|posted| posted.event["etype"].as_str().unwrap().starts_with("once_"));
        assert!(
            global.into_iter().all(|posted| posted.event.get("oid").is_none() && posted.event.get("jwt").is_none())
        );
    };
    // The first look finds where each stands; all have been due since.
    services.put_due(clock::now()).await;
    services.put_due(begin).await;
    told(&all).await;
    for (hours, periods) in [
        (1, &[Hour1] as &[Period]),
        (3, &[Hour1, Hour3]),
        (12, &[Hour1, Hour3, Hour12]),
        (24, &[Hour1, Hour3, Hour12, Hour24]),
        (7 * 24, &[Hour1, Hour3, Hour12, Hour24, Day7]),
        (30 * 24, &[Hour1, Hour3, Hour12, Hour24, Day7, Day30]),
    ] {
        services.put_due(begin.saturating_add(hour * hours)).await;
        told(&periodic(periods, sids.len())).await;
        services.put_due(begin.saturating_add(hour * hours + hour / 2)).await;
        assert_eq!(waiting(&world).await, 0, "nothing is due twice in a period");
    }
}

#[tokio::test]
async fn checklist_21_1_21_deployment_and_log_events_have_their_published_shapes() {
    let world = World::new().await;
    let service =
        Wire::new(&named(&["health", "deployment_event", "log_event", "new_sensor"]), |_, _| Some(ok(DONE))).await;
    subscribed(&world, &service.url).await;
    let sid = world.sensor("host", &[]).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let first = async |etype: &str| {
        eventually(etype, async || service.of(etype).into_iter().next()).await.event["data"].clone()
    };
    let deployed = first("deployment_event").await;
    assert_eq!(keys(&deployed["event"]), BTreeSet::from(["public_ip", "internal_ip", "host_name"].map(String::from)));
    let routing = &deployed["routing"];
    assert_eq!((&routing["event_type"], &routing["sid"]), (&json!("enrollment"), &json!(sid)));
    assert!(routing["plat"].is_i64() && routing["arch"].is_i64() && routing["event_time"].is_i64(), "{routing}");
    assert!(routing["oid"].is_string() && routing["iid"].is_string(), "{routing}");
    let new = first("new_sensor").await;
    assert_eq!((&new["sid"], &new["hostname"]), (&json!(sid), &json!("host")));

    let key = ingestion_key(&world).await;
    upload(&world, &key, ("log-1", "txt", "/var/log/a", "a machine"), b"line\n".to_vec()).await;
    let logged = first("log_event").await;
    let (routing, event) = (&logged["routing"], &logged["event"]);
    assert_eq!((&routing["event_type"], &routing["log_type"]), (&json!("ingest"), &json!("txt")), "{logged}");
    assert!(routing["log_id"].is_string() && routing["oid"].is_string() && routing["event_time"].is_i64(), "{logged}");
    assert_eq!((&event["size"], &event["source"]), (&json!(5), &json!("a machine")), "{logged}");
    assert_eq!(event["original_path"], "/var/log/a", "{logged}");
}
