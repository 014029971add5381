//! Outputs over real connections: what is configured is delivered, in order, at least once.

#[path = "support/host.rs"]
mod host;

use host::{Host, STUCK, event, record, refusal};
use muster_store::{Options, Store, Stream};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(STUCK, listener.accept()).await.unwrap().unwrap().0
}

async fn line<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    timeout(STUCK, lines.next_line()).await.unwrap().unwrap().unwrap()
}

fn number(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["event"]["N"].as_u64().unwrap()
}

/// One HTTP request as its header (lower case) and body; answered with `status`.
async fn answer(listener: &TcpListener, status: u16) -> (String, String) {
    let mut stream = BufReader::new(accept(listener).await);
    let (mut header, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        timeout(STUCK, stream.read_line(&mut line)).await.unwrap().unwrap();
        let lower = line.trim_end().to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if lower.is_empty() {
            break;
        }
        header.push_str(&lower);
        header.push('\n');
    }
    let mut body = vec![0; length];
    timeout(STUCK, stream.read_exact(&mut body)).await.unwrap().unwrap();
    let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).await.unwrap();
    (header, String::from_utf8(body).unwrap())
}

fn hmac_hex(key: &str, text: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn data_field(body: &str) -> String {
    let encoded = body.strip_prefix("data=").unwrap().replace('+', " ");
    percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn settings_are_written_with_type_and_read_with_for() {
    let host = Host::start().await;
    let form = json!({"name": "o1", "module": "syslog", "type": "detection", "dest_host": "127.0.0.1:9",
                      "is_no_header": "True", "sample_rate": "2"});
    let stored = host.post("outputs/{oid}", &form).await;
    assert_eq!((&stored["for"], &stored["type"]), (&json!("detect"), &Value::Null));
    let listed = host.get("outputs/{oid}").await;
    assert_eq!(listed[host::OID.to_string()]["o1"], stored);
    assert_eq!(stored["sample_rate"], "2");

    let bad = json!({"name": "o2", "module": "kafka", "type": "event"});
    let (status, text) = refusal(host.request(Method::POST, "outputs/{oid}").form(&bad)).await;
    assert_eq!(status, 400);
    assert!(text.contains("module kafka is not available"), "{text}");

    host.delete("outputs/{oid}", &json!({"name": "o1"})).await;
    assert_eq!(host.get("outputs/{oid}").await[host::OID.to_string()], json!({}));
    let again = host.request(Method::DELETE, "outputs/{oid}").form(&json!({"name": "o1"}));
    assert_eq!(refusal(again).await.0, 404);
}

#[tokio::test]
async fn syslog_sends_what_the_filters_want_in_order_and_nothing_private() {
    let host = Host::start().await;
    let (listener, address) = listener().await;
    let form = json!({"name": "s", "module": "syslog", "type": "event", "dest_host": address,
                      "is_no_header": "true", "event_black_list": "NOISE"});
    host.post("outputs/{oid}", &form).await;
    let mut private = event(100, "A");
    private.investigation_id = Some("__internal/1".into());
    host.emit(&[event(1, "A"), private, event(2, "NOISE"), event(3, "B")]).await;
    host.emit(&[event(4, "A")]).await;
    let mut lines = BufReader::new(accept(&listener).await).lines();
    for expected in [1, 3, 4] {
        assert_eq!(number(&line(&mut lines).await), expected);
    }

    // A receiver that goes away and comes back gets what was made meanwhile.
    drop(lines);
    let changed = json!({"name": "s", "module": "syslog", "type": "event", "dest_host": address});
    host.post("outputs/{oid}", &changed).await;
    host.emit(&[event(5, "A")]).await;
    let mut lines = BufReader::new(accept(&listener).await).lines();
    let first = line(&mut lines).await;
    let (header, body) = first.split_at(first.find('{').unwrap());
    assert_eq!(header, "<14>1 2024-11-12T09:20:00Z web01 muster - A - ");
    assert_eq!(number(body), 5);
}

#[tokio::test]
async fn syslog_over_tls_verifies_only_when_it_is_strict() {
    let host = Host::start().await;
    // The server's own listener certificate serves: it is from a private authority.
    let (listener, address) = listener().await;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&host.app().pki.tls));
    let form = |strict: &str| {
        json!({"name": "t", "module": "syslog", "type": "event", "dest_host": address, "is_tls": "true",
               "is_strict_tls": strict, "is_no_header": "true"})
    };
    host.post("outputs/{oid}", &form("true")).await;
    host.emit(&[event(1, "A")]).await;
    let refused = timeout(STUCK, acceptor.accept(accept(&listener).await)).await.unwrap();
    assert!(refused.is_err(), "an unknown authority is refused");

    host.post("outputs/{oid}", &form("false")).await;
    // The strict worker may have connected once more before it ended.
    let stream = loop {
        if let Ok(stream) = timeout(STUCK, acceptor.accept(accept(&listener).await)).await.unwrap() {
            break stream;
        }
    };
    assert_eq!(number(&line(&mut BufReader::new(stream).lines()).await), 1);
}

#[tokio::test]
async fn webhook_signs_and_tries_again() {
    let host = Host::start().await;
    let (listener, address) = listener().await;
    let form = json!({"name": "w", "module": "webhook", "type": "detect", "dest_host": format!("http://{address}/in"),
                      "secret_key": "s3", "auth_header_name": "Authorization", "auth_header_value": "Splunk T"});
    host.post("outputs/{oid}", &form).await;
    let detection =
        record(Stream::Detect, "curl & co", &json!({"cat": "curl & co", "detect": {"event": {"X": "ü=1"}}}));
    let private = record(Stream::Detect, "__internal", &json!({"cat": "__internal"}));
    host.emit(&[private, detection.clone()]).await;
    let (_, refused) = answer(&listener, 500).await;
    let (header, taken) = answer(&listener, 200).await;
    assert_eq!(refused, taken);
    let text = data_field(&taken);
    assert_eq!(text.as_bytes(), &detection.body[..]);
    assert!(header.starts_with("post /in http/1.1\n"), "{header}");
    assert!(header.contains(&format!("lc-signature: {}\n", hmac_hex("s3", &text))), "{header}");
    assert!(header.contains("authorization: splunk t\n"), "{header}");
    assert!(header.contains("content-type: application/x-www-form-urlencoded\n"), "{header}");
}

#[tokio::test]
async fn webhook_bulk_sends_one_signed_list() {
    let host = Host::start().await;
    let (listener, address) = listener().await;
    let form = json!({"name": "b", "module": "webhook_bulk", "type": "event", "dest_host": format!("http://{address}/"),
                      "secret_key": "k", "sec_per_file": "1", "is_json_list": "true", "is_no_routing": "true",
                      "body": "json"});
    host.post("outputs/{oid}", &form).await;
    host.emit(&[event(1, "A"), event(2, "A")]).await;
    host.emit(&[event(3, "A")]).await;
    let (header, body) = answer(&listener, 200).await;
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!([{"N": 1}, {"N": 2}, {"N": 3}]));
    assert!(header.contains(&format!("lc-signature: {}\n", hmac_hex("k", &body))), "{header}");
    assert!(header.contains("content-type: application/json\n"), "{header}");
}

#[tokio::test]
async fn an_output_deleted_on_failure_goes_and_private_addresses_are_refused() {
    let host = Host::start().await;
    let (listener, address) = listener().await;
    drop(listener);
    let form = json!({"name": "tmp_live_x", "module": "syslog", "type": "event", "dest_host": address,
                      "is_delete_on_failure": "True"});
    host.post("outputs/{oid}", &form).await;
    host.emit(&[event(1, "A")]).await;
    until(|| async { host.get("outputs/{oid}").await[host::OID.to_string()] == json!({}) }).await;

    let closed = Host::start_with(Arc::clone(&host.dir), Store::memory(), |config| {
        config.allow_private_destinations = false;
    })
    .await;
    for (module, to) in
        [("syslog", "127.0.0.1:514"), ("webhook", "http://[::1]/x"), ("webhook", "http://169.254.169.254")]
    {
        let form = json!({"name": "x", "module": module, "type": "event", "dest_host": to, "secret_key": "k"});
        let (status, text) = refusal(closed.request(Method::POST, "outputs/{oid}").form(&form)).await;
        assert_eq!(status, 400);
        assert!(text.contains("private address"), "{to}: {text}");
    }
}

#[tokio::test]
async fn tailored_outputs_get_only_what_is_sent_to_them() {
    let host = Host::start().await;
    let (listener, address) = listener().await;
    let form =
        json!({"name": "mine", "module": "syslog", "type": "tailored", "dest_host": address, "is_no_header": "true"});
    host.post("outputs/{oid}", &form).await;
    let detect = json!({"event": "B", "op": "exists", "path": "event"});
    let data = json!({"detect": detect, "respond": [{"action": "output", "name": "mine"}]}).to_string();
    let enabled = json!({"enabled": true}).to_string();
    host.post("hive/dr-general/{oid}/r/data", &json!({"data": data, "usr_mtd": enabled})).await;
    host.emit(&[event(1, "A"), event(2, "B")]).await;
    assert_eq!(number(&line(&mut BufReader::new(accept(&listener).await).lines()).await), 2);
}

async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waited = timeout(STUCK, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it never came to hold");
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Numbers of the events in all (compressed) files below a directory, sorted.
fn numbers_below(dir: &Path) -> Vec<u64> {
    let mut text = String::new();
    for path in files_below(dir) {
        let file = std::fs::File::open(path).unwrap();
        // A record that is being written is not there yet; those before it are.
        let _ = flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text);
    }
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut numbers: Vec<u64> = whole.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn a_compressed_file_grows_by_whole_records() {
    let host = Host::start().await;
    let form = json!({"name": "f", "module": "file", "type": "event", "dir": "a/b", "is_compression": "true"});
    host.post("outputs/{oid}", &form).await;
    let dir = host.dir.path().join("outputs").join(host::OID.to_string()).join("a/b");
    host.emit(&[event(1, "A")]).await;
    until(|| async { numbers_below(&dir) == [1] }).await;
    host.emit(&[event(2, "A")]).await;
    until(|| async { numbers_below(&dir) == [1, 2] }).await;
    assert_eq!(files_below(&dir).len(), 1, "one file per period");
}

#[tokio::test]
async fn what_waits_is_delivered_after_a_restart_in_order() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let open = || Store::open(Options { path: dir.path().join("muster.db"), bytes_max: None, seal: None }).unwrap();
    let host = Host::start_with(Arc::clone(&dir), open(), |_| ()).await;
    let (listener, address) = listener().await;
    // Accepted by the kernel, never answered: the delivery hangs until the server stops.
    let form = json!({"name": "w", "module": "webhook", "type": "event", "dest_host": format!("http://{address}/"), "secret_key": "k"});
    host.post("outputs/{oid}", &form).await;
    for number in 1..=5 {
        host.emit(&[event(number, "A")]).await;
    }
    drop(accept(&listener).await);
    let store = host.app().store.clone();
    host.server.stop().await;
    store.close();

    let host = Host::start_with(Arc::clone(&dir), open(), |_| ()).await;
    host.emit(&[event(6, "A")]).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&6) {
        seen.push(number(&data_field(&answer(&listener, 200).await.1)));
    }
    seen.dedup();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}
