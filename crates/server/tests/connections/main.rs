//! Clients that do not behave: what they do to the server, and to those who do.

#[path = "../support/host.rs"]
mod host;
mod said;
mod sensor;

use host::{Host, OID, STUCK};
use muster_store::{Options, Store};
use muster_wire::{Event, Events, LINK_ALPN, Receipt, Receipts, Step, from_sensor, from_server};
use reqwest::Method;
use sensor::{Endpoint, hear};
use serde_json::Value;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Half of those that locked sensors out before first bytes were awaited outside the turn for a handshake.
const SILENT: u32 = 1_500;

async fn limited(edit: impl FnOnce(&mut muster_server::config::Limits)) -> Host {
    Host::start_with(Arc::new(tempfile::tempdir().unwrap()), Store::memory(), |config| edit(&mut config.limits)).await
}

async fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// What the server sends until it closes the connection, whichever way.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = timeout(STUCK, stream.read_to_end(&mut all)).await.expect("the connection was not closed");
    if let Err(error) = read {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_do_not_keep_a_sensor_out() {
    let host = Host::start().await;
    let address = host.server.bound.tls;
    let mut silent = Vec::new();
    for number in 0..SILENT {
        silent.push(connect_from(2 + u8::try_from(number % 3).unwrap(), address).await);
    }
    let endpoint = Endpoint::enrolled(&host).await;
    let tls = endpoint.tls(&host, LINK_ALPN).await;
    let _link = timeout(STUCK, endpoint.connect(tls)).await.expect("the sensor does not get in");
    for stream in &silent {
        let read = stream.try_read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(read, Err(ErrorKind::WouldBlock), "the sensor got in only after others had been cut off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_stand_still_hold_up_only_their_own_address() {
    let host = limited(|limits| limits.handshakes = 4).await;
    let endpoint = Endpoint::enrolled(&host).await;
    // A hello of TLS, and nothing after it.
    let hello = sensor::client_hello(&host);
    let mut still = Vec::new();
    for _ in 0..8 {
        let mut stream = connect_from(9, host.server.bound.tls).await;
        stream.write_all(&hello).await.unwrap();
        still.push(stream);
    }
    // The first of them has its turn: the server has answered it.
    timeout(STUCK, still[0].readable()).await.unwrap().unwrap();
    let tls = endpoint.tls(&host, LINK_ALPN).await;
    let _link = timeout(STUCK, endpoint.connect(tls)).await.expect("the sensor does not get in");
    let last = still.last().unwrap().try_read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(last, Err(ErrorKind::WouldBlock), "the last of them still waits for its turn");
}

#[tokio::test]
async fn a_stranger_cannot_have_a_long_body_kept() {
    let host = Host::start().await;
    let address = host.server.bound.http.unwrap();
    let mut open = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /jwt HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        open.push(stream);
    }
    for stream in &mut open {
        // Not finished: more could come.
        let piece = format!("{:x}\r\n{}\r\n", 70_000, "x".repeat(70_000));
        // The server may have closed it already.
        let _ = stream.write_all(piece.as_bytes()).await;
        let answer = read_all(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let long = host.client.post(format!("{}/jwt", host.base())).body(vec![b'x'; 70_000]).send().await.unwrap();
    assert_eq!(long.status(), 413);
    let error: Value = long.json().await.unwrap();
    assert_eq!(error["error_code"], "too_large");
    // With a token in its header, the same route takes what it took before.
    let known = host.client.post(format!("{}/jwt", host.base())).bearer_auth(&host.token);
    let known = known.form(&[("perms", "x".repeat(70_000))]).send().await.unwrap();
    assert_eq!(known.status(), 400);
    assert!(known.text().await.unwrap().contains("secret is required"));
}

#[tokio::test]
async fn a_header_without_end_is_cut_off() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.server.bound.http.unwrap()).await.unwrap();
    stream.write_all(b"GET /v1/who HTTP/1.1\r\nx: ").await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let mut written = 0_usize;
        while writer.write_all(&[b'x'; 4_096]).await.is_ok() {
            written += 4_096;
        }
        written
    };
    let mut answer = Vec::new();
    let read = reader.read_to_end(&mut answer);
    // The answer may be lost, since the server does not read what comes after it.
    let (written, _) = timeout(STUCK, async { tokio::join!(write, read) }).await.expect("it goes on for ever");
    assert!(written < 16 << 20, "{written} bytes were taken");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn one_address_has_only_its_share_of_connections() {
    let host = limited(|limits| limits.connections_per_address = 2).await;
    let address = host.server.bound.http.unwrap();
    let held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let mut refused = TcpStream::connect(address).await.unwrap();
    let answer = read_all(&mut refused).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 5"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["error_code"], "unavailable");
    // By TLS it counts the same; the refusal comes before anything is spent on it.
    let endpoint = Endpoint::enrolled(&host).await;
    let mut client = connect_from(1, host.server.bound.tls).await;
    client.write_all(&sensor::client_hello_with(&host, b"http/1.1")).await.unwrap();
    assert_eq!(read_all(&mut client).await, "");
    // Others, and links of sensors from the same address, have room.
    let mut other = connect_from(7, address).await;
    other.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(&mut other).await.starts_with("HTTP/1.1 200"));
    let tls = endpoint.tls(&host, LINK_ALPN).await;
    let _link = timeout(STUCK, endpoint.connect(tls)).await.unwrap();
    drop(held);
    let again = async {
        loop {
            let who = host.request(Method::GET, "who").send().await;
            if who.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(STUCK, again).await.expect("who has left still counts");
}

#[tokio::test]
async fn a_proxied_client_that_says_nothing_is_cut_off() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.server.bound.proxy.unwrap()).await.unwrap();
    stream.write_all(b"CONNECT api.limacharlie.io:443 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "HTTP/1.1 200 Connection established\r\n\r\n");
}

/// Published clients that have the proxy set send through it whatever is `https`, also what they were told of this
/// server: replays and uploads.
#[tokio::test]
async fn one_5_the_proxy_leads_to_the_addresses_that_clients_are_told() {
    let host = Host::start().await;
    let tls = host.server.bound.tls;
    let told = host.get("orgs/{oid}/url").await["url"]["replay"].as_str().unwrap().to_owned();
    assert_eq!(told, tls.to_string());
    let ask = async |target: &str| {
        let mut stream = TcpStream::connect(host.server.bound.proxy.unwrap()).await.unwrap();
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        timeout(STUCK, stream.read_exact(&mut head)).await.unwrap().unwrap();
        String::from_utf8_lossy(&head).into_owned()
    };
    for target in [told.clone(), format!("localhost:{}", tls.port()), "logs.limacharlie.io:443".into()] {
        assert_eq!(ask(&target).await, "HTTP/1.1 200", "{target}");
    }
    let other_port = tls.port().wrapping_add(1);
    for target in [format!("127.0.0.1:{other_port}"), format!("192.0.2.1:{}", tls.port()), "127.0.0.1:443".into()] {
        assert_eq!(ask(&target).await, "HTTP/1.1 403", "{target}: this is no open proxy");
    }
    // Who came by a published name finds everything under it.
    let by_name =
        host.request(Method::GET, "orgs/{oid}/url").header("host", "api.limacharlie.io").send().await.unwrap();
    assert_eq!(by_name.json::<Value>().await.unwrap()["url"]["replay"], "api.limacharlie.io");
}

/// In a time of its own: a sensor that does not read goes offline, whatever it still says.
#[tokio::test(start_paused = true)]
async fn a_sensor_that_reads_nothing_goes_offline() {
    let host = Host::start().await;
    let endpoint = Endpoint::enrolled(&host).await;
    let (near, far) = tokio::io::duplex(16 * 1024);
    let edge = Arc::clone(&host.server.edge);
    let serving = tokio::spawn(muster_server::gateway::serve(edge, Box::pin(near), None));
    let _link = endpoint.connect(far).await;
    serving.await.unwrap();
    let organization = host.app().organization(OID).unwrap();
    let link = organization.state.lock().links().next().cloned().unwrap();
    for _ in 0..64 {
        link.send(sensor::padding());
    }
    let gone = async {
        while !organization.state.lock().online.is_empty() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    // Long before it would count as silent.
    timeout(std::time::Duration::from_secs(60), gone).await.expect("the sensor still looks as if it were online");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answers_what_was_begun_and_ends_the_rest() {
    let host = Host::start().await;
    let address = host.server.bound.http.unwrap();
    let oid = OID.to_string();
    let live = [("type", "event"), ("jwt", &host.token)];
    let mut live = host.client.post(format!("{}/{oid}", host.base())).form(&live).send().await.unwrap();
    assert!(live.chunk().await.unwrap().is_some_and(|line| line.starts_with(b"{\"__trace\":\"connected\"")));
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut silent = TcpStream::connect(host.server.bound.tls).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v1/who HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        host.token
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: it has begun with the request.
    let mut asked = [0; 25];
    timeout(STUCK, begun.read_exact(&mut asked)).await.unwrap().unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = tokio::spawn(host.server.stop());
    assert_eq!(timeout(STUCK, live.chunk()).await.unwrap().unwrap(), None, "live readers are told the end");
    assert_eq!(read_all(&mut idle).await + &read_all(&mut silent).await, "");
    assert!(!stopping.is_finished(), "a request was begun and not answered");
    begun.write_all(b"&&&").await.unwrap();
    let answer = read_all(&mut begun).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    timeout(STUCK, stopping).await.expect("the server does not stop").unwrap();
}

/// Goal: the sensors of a server that stops do not come back all at once. Method: two links; each is told the span for
/// two of them, and then its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_sends_its_sensors_away_and_tells_them_when_to_come_again() {
    let host = Host::start().await;
    let mut links = Vec::new();
    for _ in 0..2 {
        let endpoint = Endpoint::enrolled(&host).await;
        links.push(endpoint.connect(endpoint.tls(&host, LINK_ALPN).await).await);
    }
    let stopping = tokio::spawn(host.server.stop());
    for link in &mut links {
        let away = async {
            loop {
                if let from_server::Message::Goaway(away) = hear(link).await {
                    return away;
                }
            }
        };
        assert_eq!(timeout(STUCK, away).await.unwrap().within_ms, 2);
    }
    timeout(STUCK, stopping).await.expect("the server does not stop").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_under_load_fails_no_request() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let store = Store::open(Options { path: dir.path().join("muster.db"), bytes_max: None, seal: None }).unwrap();
    let host = Host::start_with(dir, store, |_| ()).await;
    let url = format!("{}/v1/configs/{OID}/otx", host.base());
    let answered = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for number in 0..16 {
        let request = host.client.post(&url).bearer_auth(&host.token).form(&[("value", number.to_string())]);
        let answered = Arc::clone(&answered);
        clients.spawn(async move {
            let mut wrong = Vec::new();
            // Until no one listens any more.
            while let Ok(answer) = request.try_clone().unwrap().send().await {
                answered.fetch_add(1, Ordering::Relaxed);
                if ![200, 503].contains(&answer.status().as_u16()) {
                    wrong.push(answer.status());
                }
            }
            wrong
        });
    }
    let busy = async {
        while answered.load(Ordering::Relaxed) < 64 {
            tokio::task::yield_now().await;
        }
    };
    timeout(STUCK, busy).await.unwrap();
    timeout(STUCK, host.server.stop()).await.expect("the server does not stop");
    while let Some(wrong) = clients.join_next().await {
        assert_eq!(wrong.unwrap(), Vec::<reqwest::StatusCode>::new());
    }
}

fn numbered(numbers: std::ops::RangeInclusive<u64>) -> from_sensor::Message {
    let event = |seq| Event { seq, event_type: "NEW_PROCESS".into(), body: b"{}".to_vec(), ..Event::default() };
    from_sensor::Message::Events(Events { events: numbers.map(event).collect() })
}

/// Issue 7, points 10 and 11: one sensor took as much of the server as it liked, and nobody saw it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_sends_more_than_it_may_waits_and_that_is_seen() {
    let host = limited(|limits| limits.events_per_minute = 3).await;
    let endpoint = Endpoint::enrolled(&host).await;
    let mut link = endpoint.connect(endpoint.tls(&host, LINK_ALPN).await).await;
    sensor::say(&mut link, numbered(1..=3)).await;
    let acknowledged = async |link: &mut _| {
        loop {
            if let from_server::Message::EventsAck(ack) = sensor::hear(link).await {
                return ack.seq;
            }
        }
    };
    assert_eq!(timeout(STUCK, acknowledged(&mut link)).await.unwrap(), 3);
    sensor::say(&mut link, numbered(4..=5)).await;
    let sid = endpoint.sid();
    let held_back = async {
        while host.get(&sid.to_string()).await["events_held_back"] != 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(STUCK, held_back).await.expect("nothing is held back");
    let told = async {
        loop {
            let errors = host.get("errors/{oid}").await["errors"].clone();
            let component = serde_json::json!(format!("sensors/{sid}/events"));
            if errors.as_array().unwrap().iter().any(|error| error["component"] == component) {
                return;
            }
        }
    };
    timeout(STUCK, told).await.expect("operators are not told");
    // What is acknowledged may wait a moment for company, and not for what is held back.
    let step = Receipt { task_id: vec![7; 16], step: Step::Started.into(), ..Receipt::default() };
    sensor::say(&mut link, from_sensor::Message::Receipts(Receipts { receipts: vec![step] })).await;
    let heard = async { while !matches!(sensor::hear(&mut link).await, from_server::Message::ReceiptsAck(_)) {} };
    timeout(STUCK, heard).await.expect("the receipt is not acknowledged");
    let kept = host.get(&format!("insight/{{oid}}/{sid}?event_type=NEW_PROCESS")).await;
    assert_eq!(kept["events"].as_array().unwrap().len(), 3, "the others wait on the sensor");
}
