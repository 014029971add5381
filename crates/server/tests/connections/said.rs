//! What sensors say that a server must not take as it is.

use crate::host::{Host, OID, ok, refusal};
use crate::sensor::{Endpoint, enrol, hear, say, state};
use muster_server::clock;
use muster_server::errors::ORG_ERROR;
use muster_store::{EntryQuery, Store, Stream};
use muster_wire::{
    EVENT_DEPTH_MAX, Event, Events, InstallationKey, LINK_ALPN, Refusal, SensorState, from_sensor, from_server,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;

type Link = WebSocketStream<TlsStream<TcpStream>>;

const DAY_MS: i64 = 86_400_000;

async fn connected() -> (Host, Endpoint, Link) {
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let host = Host::start_with(dir, Store::memory(), |config| config.metrics = free).await;
    let endpoint = Endpoint::enrolled(&host).await;
    let tls = endpoint.tls(&host, LINK_ALPN).await;
    let link = endpoint.connect(tls).await;
    (host, endpoint, link)
}

/// Tells events, and waits until those that are taken in are stored.
async fn tell(link: &mut Link, events: Vec<Event>) -> muster_wire::EventsAck {
    let last = events.last().unwrap().seq;
    say(link, from_sensor::Message::Events(Events { events })).await;
    loop {
        match hear(link).await {
            from_server::Message::EventsAck(ack) if ack.seq == last => return ack,
            _ => {}
        }
    }
}

fn event(seq: u64, time_ms: i64, body: String) -> Event {
    Event { seq, event_type: format!("TEST_{seq}"), time_ms, body: body.into_bytes(), ..Event::default() }
}

/// Types and times of what is stored.
async fn stored(host: &Host) -> Vec<(String, i64)> {
    let query = EntryQuery::all(OID, Stream::Event);
    let page = host.app().store.read(move |read| read.entries(&query)).await.unwrap();
    let tests = page.entries.into_iter().filter(|entry| entry.kind.starts_with("TEST_"));
    let mut tests: Vec<_> = tests.map(|entry| (entry.kind.to_string(), entry.time.as_millis())).collect();
    tests.sort();
    tests
}

#[tokio::test]
async fn four_4_events_that_rules_or_queries_could_not_see_are_refused_counted_and_told() {
    let (host, endpoint, mut link) = connected().await;
    let now = clock::now().as_millis();
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let (deepest, too_deep) = (nested(EVENT_DEPTH_MAX), nested(EVENT_DEPTH_MAX + 1));
    let events = vec![
        event(1, now, deepest),
        event(2, now, too_deep),
        event(3, now, nested(1_000)),
        event(4, -1, nested(1)),
        event(5, i64::MAX, nested(1)),
        event(6, now, "[1]".into()),
        event(7, now, nested(1)),
    ];
    tell(&mut link, events).await;
    let kept: Vec<String> = stored(&host).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kept, ["TEST_1", "TEST_7"], "what is refused holds nothing up");

    let page = host.client.get(format!("http://{}/metrics", host.server.bound.metrics.unwrap()));
    let page = page.send().await.unwrap().text().await.unwrap();
    for (reason, count) in [("too_deep", 2), ("impossible_time", 2), ("malformed", 1)] {
        let line = format!("muster_events_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
    let component = format!("sensors/{}/refused_events", endpoint.sid);
    let error = host.app().records.get(OID, ORG_ERROR, &component).expect("operators hear of it").error;
    assert!(error.contains("are refused"), "{error}");
}

#[test]
fn four_4_what_is_as_deep_as_may_be_is_seen_by_rules() {
    let nested = format!("{}\"deep\"{}", "{\"a\":".repeat(EVENT_DEPTH_MAX), "}".repeat(EVENT_DEPTH_MAX));
    let record = format!("{{\"routing\":{{}},\"event\":{nested}}}");
    // As the last of a chain of detections, each of which holds the one before.
    let mut chained = record;
    for _ in 0..muster_rules::CHAIN_DEPTH_MAX {
        chained = format!("{{\"detect\":{chained}}}");
    }
    assert!(muster_rules::Document::from_json(chained.as_bytes()).is_ok());
}

#[tokio::test]
async fn five_3_times_of_events_follow_the_clock_of_the_endpoint_when_it_is_set() {
    let (host, _, mut link) = connected().await;
    let now = clock::now().as_millis();
    let year = 365 * DAY_MS;
    let near = |at: i64| (at - now).abs() < DAY_MS;
    let mut seq = 0;
    for ahead_ms in [0, 10 * year, -10 * year, 300_000] {
        let told = SensorState { now_ms: now + ahead_ms, ..state() };
        say(&mut link, from_sensor::Message::Sync(told)).await;
        seq += 1;
        let ack = tell(&mut link, vec![event(seq, now + ahead_ms, "{}".into())]).await;
        assert!(near(ack.server_now_ms), "the sensor hears how late it is here");
        let (kind, at) = stored(&host).await.pop().unwrap();
        assert!(kind == format!("TEST_{seq}") && near(at), "set by {ahead_ms} ms: {at}");
    }
    // Made while the clock stood in the wrong year, told after it was set right.
    say(&mut link, from_sensor::Message::Sync(SensorState { now_ms: now, ..state() })).await;
    tell(&mut link, vec![event(seq + 1, now + 10 * year, "{}".into())]).await;
    assert!(near(stored(&host).await.pop().unwrap().1), "nothing comes from the future");
}

#[tokio::test]
async fn five_4_a_direct_task_for_a_sensor_that_takes_no_more_is_refused() {
    let (host, endpoint, mut link) = connected().await;
    let task = || host.request(Method::POST, &endpoint.sid.to_string()).form(&[("tasks", "os_version")]);
    ok(task().send().await.unwrap()).await;
    say(&mut link, from_sensor::Message::Sync(SensorState { full: true, ..state() })).await;
    // The next word of the server comes after it has heard that.
    tell(&mut link, vec![event(1, 0, "{}".into())]).await;
    while task().send().await.unwrap().status() == 200 {
        tokio::task::yield_now().await;
    }
    let response = task().send().await.unwrap();
    assert_eq!(response.status(), 409);
    assert_eq!(response.json::<Value>().await.unwrap()["error_code"], "sensor_full");
    assert!(refusal(task()).await.1.contains("takes no more tasks"));
    say(&mut link, from_sensor::Message::Sync(state())).await;
    while task().send().await.unwrap().status() == 409 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_8_a_key_enrols_so_many_sensors_in_a_minute_and_the_others_are_told_when_to_come_again() {
    const PER_MINUTE: u32 = 3;
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), Store::memory(), |config| {
        config.limits.enrolments_per_minute = PER_MINUTE;
    })
    .await;
    let key = async |name: &str| {
        let made = host.post("installationkeys/{oid}", &json!({"desc": name})).await;
        let iid = made["iid"].as_str().unwrap();
        let key = host.get(&format!("installationkeys/{{oid}}/{iid}")).await;
        InstallationKey::from_text(key["key"].as_str().unwrap()).unwrap()
    };
    let (laptops, servers) = (key("laptops").await, key("servers").await);
    for _ in 0..PER_MINUTE {
        let answer = enrol(&host, &laptops).await;
        assert!(matches!(answer, from_server::Message::Enrolled(_)), "{answer:?}");
    }
    for _ in 0..2 {
        let answer = enrol(&host, &laptops).await;
        let from_server::Message::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!(refused.reason(), Refusal::Busy, "it comes again by itself: {refused:?}");
        assert!((1..=60).contains(&refused.retry_after_s) && refused.text.contains("in a minute"), "{refused:?}");
    }
    let answer = enrol(&host, &servers).await;
    assert!(matches!(answer, from_server::Message::Enrolled(_)), "another key has a rate of its own: {answer:?}");
    assert_eq!(host.app().organization(OID).unwrap().state.lock().fleet.live().len(), u64::from(PER_MINUTE) + 1);

    let error = host.app().records.get(OID, ORG_ERROR, &format!("installation_keys/{}", laptops.iid)).unwrap().error;
    assert!(error.starts_with("more than 3 sensors enrol with this installation key"), "{error}");
    let query = EntryQuery::all(OID, Stream::Audit);
    let page = host.app().store.read(move |read| read.entries(&query)).await.unwrap();
    let told = page.entries.iter().filter(|entry| String::from_utf8_lossy(&entry.body).contains("refuse_enrolment"));
    assert_eq!(told.count(), 1, "the audit tells it, and is not flooded with it");
}
