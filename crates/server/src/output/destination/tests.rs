use super::*;
use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

/// What a test takes of an answer, in bytes.
const TAKEN: usize = 1_000;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn private_addresses_are_known_in_every_disguise() {
    let private = "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 \
                   224.0.0.1 198.18.0.1 192.0.0.1 ::1 :: fe80::1 fd00::1 ff02::1 ::ffff:10.0.0.1 ::127.0.0.1 \
                   64:ff9b::7f00:1 2002:7f00:1::1 2001:db8::1 2001:0:7f00:1::1";
    for text in private.split_whitespace() {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    let public = "8.8.8.8 172.32.0.1 100.128.0.1 2606:4700::1111 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808";
    for text in public.split_whitespace() {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn host_and_port() {
    let place = |text| HostPort::parse(text).map(|place| (place.host, place.port));
    assert_eq!(place("logs.example.com:514"), Some(("logs.example.com".into(), 514)));
    assert_eq!(place("[::1]:6514"), Some(("::1".into(), 6514)));
    for text in ["host", "host:", "host:0", "host:70000", ":514", "::1:514", "a b:1", "user@host:1"] {
        assert_eq!(place(text), None, "{text}");
    }
}

/// A target that does something to each connection.
struct Target {
    url: Url,
    visits: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Target {
    async fn new<F: Future<Output = ()> + Send>(behave: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                // A client takes no answer before it has asked.
                let _ = stream.read(&mut [0; 1_024]).await;
                behave(stream).await;
            }
        });
        Self { url, visits, serving }
    }

    /// One that gives this head, and then this piece again and again until nobody takes it.
    async fn endless(head: &'static str, piece: &'static [u8], pause: Duration) -> Self {
        Self::new(move |mut stream| async move {
            let mut taken = stream.write_all(head.as_bytes()).await;
            while taken.is_ok() {
                taken = stream.write_all(piece).await;
                sleep(pause).await;
            }
        })
        .await
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap()
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

fn guarded<N: Names>(names: N, allow_private: bool) -> Guarded<N> {
    Guarded::knowing(names, allow_private).unwrap()
}

fn something(within: Duration) -> Post {
    Post { headers: Vec::new(), body: Bytes::from_static(b"{}"), within, bytes_max: Some(TAKEN) }
}

/// The answer of a target, which has to come to an end of some kind by itself.
async fn asked(url: &Url, within: Duration) -> Result<Vec<u8>, String> {
    let client = guarded(System, true);
    let asked = timeout(LONG, client.post(url.as_str(), something(within)));
    Ok(asked.await.expect("it ends by itself")?.body)
}

async fn refused(target: &Target, within: Duration) -> String {
    asked(&target.url, within).await.unwrap_err()
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_target_that_never_answers_is_left_at_the_deadline() {
    let silent = Target::new(async |stream| {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert!(refused(&silent, SHORT).await.contains("timed out"));
}

#[tokio::test]
async fn headers_that_come_a_byte_now_and_then_are_left_at_the_deadline() {
    let slow = Target::endless("HTTP/1.1 200 OK\r\na: ", b"h", Duration::from_millis(20)).await;
    assert!(refused(&slow, SHORT).await.contains("timed out"));
}

#[tokio::test]
async fn a_body_that_comes_a_byte_now_and_then_is_left_at_the_deadline() {
    let slow = Target::endless("HTTP/1.1 200 OK\r\n\r\n", b" ", Duration::from_millis(20)).await;
    assert!(refused(&slow, SHORT).await.contains("timed out"));
}

#[tokio::test]
async fn headers_without_end_are_left_long_before_the_deadline() {
    let endless = Target::endless("HTTP/1.1 200 OK\r\na: ", &[b'b'; 4_096], Duration::ZERO).await;
    assert!(!refused(&endless, LONG).await.contains("timed out"));
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_its_bound() {
    let endless = Target::endless(CHUNKED, b"10\r\n0123456789abcdef\r\n", Duration::ZERO).await;
    assert!(refused(&endless, LONG).await.contains("more than 1000 bytes"));
}

#[tokio::test]
async fn an_answer_of_100_mb_is_read_up_to_the_bound() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
    let huge = Target::endless(huge, &[b'a'; 4_096], Duration::ZERO).await;
    assert!(refused(&huge, LONG).await.contains("more than 1000 bytes"));
}

#[tokio::test]
async fn a_bomb_of_gzip_is_not_unpacked() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&[b' '; 500_000]).unwrap();
    let packed = packer.finish().unwrap();
    assert!(packed.len() < TAKEN, "{} bytes fit the bound as they are", packed.len());
    let sent = packed.clone();
    let bomb = Target::new(move |mut stream| {
        let packed = sent.clone();
        async move {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&packed).await;
        }
    })
    .await;
    assert_eq!(asked(&bomb.url, LONG).await, Ok(packed));
}

#[tokio::test]
async fn a_redirect_to_loopback_is_not_followed() {
    let inner = Target::new(async |_| {}).await;
    let location = inner.url.to_string();
    let outer = Target::new(move |mut stream| {
        let head = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 2\r\n\r\nno");
        async move { drop(stream.write_all(head.as_bytes()).await) }
    })
    .await;
    assert_eq!(asked(&outer.url, LONG).await, Ok(b"no".to_vec()));
    assert_eq!((outer.visits(), inner.visits()), (1, 0));
}

#[tokio::test]
async fn a_private_address_is_refused_as_it_stands() {
    let client = guarded(System, false);
    for url in ["http://127.0.0.1:9/", "http://2130706433:9/", "http://[::1]:9/", "http://[::ffff:10.0.0.1]:9/"] {
        let refused = client.post(url, something(LONG)).await.unwrap_err();
        assert!(refused.contains("is a private address"), "{url}: {refused}");
    }
}

#[tokio::test]
async fn a_name_of_the_machine_that_leads_to_a_private_address_is_refused() {
    let target = Target::new(async |_| {}).await;
    let url = format!("http://localhost:{}/", target.port());
    let refused = guarded(System, false).post(&url, something(LONG)).await.unwrap_err();
    assert!(refused.contains("is a private address"), "{refused}");
    assert_eq!(target.visits(), 0);
}

/// Gives one list of addresses after the other, the last one for ever.
struct Turncoat {
    asked: AtomicUsize,
    answers: Vec<Vec<IpAddr>>,
}

impl Turncoat {
    fn new(answers: &[&[&str]]) -> Self {
        let read = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Self { asked: AtomicUsize::new(0), answers: answers.iter().map(read).collect() }
    }
}

impl Names for Arc<Turncoat> {
    async fn addresses(&self, of: &HostPort) -> io::Result<Vec<SocketAddr>> {
        let at = self.asked.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        Ok(self.answers[at].iter().map(|ip| SocketAddr::new(*ip, of.port)).collect())
    }
}

#[tokio::test]
async fn a_name_that_is_public_when_it_is_checked_and_private_when_it_is_connected_to_is_refused() {
    let target = Target::new(async |_| {}).await;
    let names = Arc::new(Turncoat::new(&[&["8.8.8.8"], &["127.0.0.1"]]));
    let place = HostPort { host: "two.faced.example".into(), port: target.port() };
    assert!(allowed(&names, &place, false).await.is_ok(), "the check of whoever sets it up");
    let url = format!("http://two.faced.example:{}/", target.port());
    let refused = guarded(Arc::clone(&names), false).post(&url, something(LONG)).await.unwrap_err();
    assert!(refused.contains("127.0.0.1 is a private address"), "{refused}");
    assert_eq!(target.visits(), 0);
    assert_eq!(names.asked.load(Ordering::Relaxed), 2, "the addresses that were checked are those that are used");
}

#[tokio::test]
async fn a_name_with_one_private_address_among_public_ones_is_refused() {
    let names = Arc::new(Turncoat::new(&[&["8.8.8.8", "10.0.0.1"]]));
    let url = "http://mixed.example/";
    let refused = guarded(names, false).post(url, something(LONG)).await.unwrap_err();
    assert!(refused.contains("10.0.0.1 is a private address"), "{refused}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let names = Arc::new(Turncoat::new(&[&[]]));
    let url = "http://nobody.example/";
    let refused = guarded(names, true).post(url, something(LONG)).await.unwrap_err();
    assert!(refused.contains("nobody.example does not resolve"), "{refused}");
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers a call that was read, and those that come after it, and hangs up after so many.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), calls: usize) {
    for call in 0..calls {
        if call > 0 && stream.read(&mut [0; 1_024]).await.unwrap_or(0) == 0 {
            return;
        }
        let _ = stream.write_all(OK.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_other_side_hangs_up() {
    let target = Target::new(|mut stream| async move { answer(&mut stream, 3).await }).await;
    let client = guarded(System, true);
    for (call, visits) in [1, 1, 1, 2, 2, 2, 3].into_iter().enumerate() {
        assert_eq!(client.post(target.url.as_str(), something(LONG)).await.unwrap().body, b"ok", "{call}");
        assert_eq!(target.visits(), visits, "{call}");
    }
}

#[tokio::test]
async fn a_call_is_not_lost_in_a_connection_that_was_closed_meanwhile() {
    let (leave, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let both = (Arc::clone(&leave), Arc::clone(&left));
    let target = Target::new(move |mut stream| {
        let (leave, left) = both.clone();
        async move {
            answer(&mut stream, 1).await;
            leave.notified().await;
            drop(stream);
            left.notify_one();
        }
    })
    .await;
    let client = guarded(System, true);
    for visits in 1..4 {
        assert_eq!(client.post(target.url.as_str(), something(LONG)).await.unwrap().body, b"ok");
        assert_eq!(target.visits(), visits);
        leave.notify_one();
        left.notified().await;
        // The runtime looks at its sockets when nobody else has anything to do.
        for _ in 0..100 {
            yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connection_whose_call_was_given_up_is_not_used_again() {
    let target = Target::new(|mut stream| async move {
        let _ = stream.read(&mut [0; 1_024]).await;
    })
    .await;
    let client = guarded(System, true);
    for visits in 1..4 {
        assert!(client.post(target.url.as_str(), something(SHORT)).await.unwrap_err().contains("timed out"));
        assert_eq!(target.visits(), visits);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_to_be_looked_at_ends_with_its_head() {
    let endless = Target::endless(CHUNKED, b"10\r\n0123456789abcdef\r\n", Duration::ZERO).await;
    let post = Post { bytes_max: None, ..something(LONG) };
    let answer = guarded(System, true).post(endless.url.as_str(), post).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[tokio::test]
async fn an_address_that_takes_no_connection_holds_up_none_that_does() {
    let target = Target::new(|mut stream| async move { answer(&mut stream, 1).await }).await;
    let names = Arc::new(Turncoat::new(&[&["127.0.0.2", "127.0.0.3", "127.0.0.1"]]));
    let url = format!("http://many.example:{}/", target.port());
    assert_eq!(guarded(names, true).post(&url, something(LONG)).await.unwrap().body, b"ok");
}

#[tokio::test]
async fn where_nobody_listens_the_reason_is_told() {
    let names = Arc::new(Turncoat::new(&[&["127.0.0.2", "127.0.0.1"]]));
    let refused = guarded(names, true).post("http://nobody.example:1/", something(LONG)).await.unwrap_err();
    assert!(refused.contains("Connection refused"), "{refused}");
}

#[tokio::test]
async fn what_a_url_says_is_sent_and_what_is_posted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut text, mut piece) = (String::new(), [0; 1_024]);
        while !text.ends_with("\r\n\r\n{}") {
            let count = stream.read(&mut piece).await.unwrap();
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        stream.write_all(OK.as_bytes()).await.unwrap();
        text
    });
    let headers = vec![(http::header::USER_AGENT, http::HeaderValue::from_static("me"))];
    let url = format!("http://us%20er:p%40ss@{address}/a%2fb/c?d=e&f");
    guarded(System, true).post(&url, Post { headers, ..something(LONG) }).await.unwrap();
    let text = timeout(LONG, reading).await.unwrap().unwrap();
    let (line, rest) = text.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /a%2fb/c?d=e&f HTTP/1.1");
    for field in
        [&format!("host: {address}"), "authorization: Basic dXMgZXI6cEBzcw==", "user-agent: me", "content-length: 2"]
    {
        assert!(rest.contains(&format!("{field}\r\n")), "{field} in {rest}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_and_one_that_is_has_to_be_of_the_name() {
    let own = rcgen::generate_simple_self_signed(["secret.example".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.der().clone(), own.signing_key.serialize_der().try_into().unwrap());
    let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _serving = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1_024]).await;
                answer(&mut stream, 1).await;
                let _ = stream.shutdown().await;
            }
        }
    }));
    let names = || Arc::new(Turncoat::new(&[&["127.0.0.1"]]));
    let url = |name: &str| format!("https://{name}:{port}/");
    let refused = guarded(names(), true).post(&url("secret.example"), something(LONG)).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let trusting = Guarded::trusting(names(), true, config.with_root_certificates(roots).with_no_client_auth());
    assert_eq!(trusting.post(&url("secret.example"), something(LONG)).await.unwrap().body, b"ok");
    let refused = trusting.post(&url("other.example"), something(LONG)).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
}
