//! The standalone transport and background work, over a real socket and on a paused clock.

use muster_service::{
    Answer, Call, Handler as _, Log, NoResult, Outcome, Program, Service, Settings, Stream, parallel, serve,
};
use muster_webhook::{SERVICE_HEADER, sign};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

const SECRET: &str = "shared-secret-123";

/// Counts its shutdowns; a request waits until it is let go.
#[derive(Default)]
struct Slow {
    shutdowns: Arc<AtomicUsize>,
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
    finished: Arc<Notify>,
}

impl Service for Slow {
    fn on_shutdown(&self) {
        self.shutdowns.fetch_add(1, Ordering::SeqCst);
    }

    async fn on_request(self: Arc<Self>, _call: Call) -> Outcome {
        self.begun.notify_one();
        self.go_on.notified().await;
        self.finished.notify_one();
        Ok(Answer::done())
    }
}

fn silent(name: &str) -> Log {
    Log::to(name, |_, _| {})
}

struct Served {
    url: String,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

async fn served(service: Slow) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel();
    let program = Program::with_log(service, Settings::new("slow", Some(SECRET)), silent("slow"));
    let ended = tokio::spawn(serve(listener, program, async move { drop(stopped.await) }));
    Served { url, stop, ended }
}

async fn post(url: &str, body: Vec<u8>) -> (u16, Value) {
    let signature = sign(SECRET, &body);
    let request = reqwest::Client::new().post(url).header(SERVICE_HEADER, signature).body(body);
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

const HEALTH: &[u8] = br#"{"etype":"health"}"#;

#[tokio::test]
async fn checklist_21_2_16_events_are_posted_to_the_root() {
    let server = served(Slow::default()).await;
    assert_eq!(post(&server.url, HEALTH.to_vec()).await.0, 200);
    assert_eq!(post(&format!("{}/", server.url), HEALTH.to_vec()).await.0, 200);
    assert_eq!(post(&format!("{}/more", server.url), HEALTH.to_vec()).await.0, 404);
    let got = reqwest::get(&server.url).await.expect("an answer");
    assert_eq!(got.status().as_u16(), 405);
}

#[tokio::test]
async fn checklist_21_2_17_fifty_mebibytes_are_accepted_and_no_more() {
    let server = served(Slow::default()).await;
    let mut body = br#"{"etype":"health","data":{"x":""#.to_vec();
    body.resize(50 * 1024 * 1024 - 3, b'a');
    body.extend_from_slice(br#""}}"#);
    assert_eq!(body.len(), 50 * 1024 * 1024);
    assert_eq!(post(&server.url, body.clone()).await.0, 200);
    body.push(b' ');
    assert_eq!(post(&server.url, body).await.0, 413);
}

#[tokio::test]
async fn an_event_in_work_is_answered_before_the_end_and_on_shutdown_is_called_once() {
    let service = Slow::default();
    let (shutdowns, begun, go_on) =
        (Arc::clone(&service.shutdowns), Arc::clone(&service.begun), Arc::clone(&service.go_on));
    let server = served(service).await;
    let url = server.url.clone();
    let asked = tokio::spawn(async move { post(&url, br#"{"etype":"request"}"#.to_vec()).await });
    begun.notified().await;
    assert_eq!(post(&server.url, HEALTH.to_vec()).await.1["data"]["calls_in_progress"], json!(2), "and answers others");
    server.stop.send(()).expect("it runs");
    go_on.notify_one();
    assert_eq!(asked.await.expect("no panic"), (200, json!({"success": true, "data": {}})));
    server.ended.await.expect("it ended");
    assert_eq!(shutdowns.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_callback_runs_to_its_end_when_the_server_hangs_up() {
    let service = Slow::default();
    let (begun, go_on, finished) =
        (Arc::clone(&service.begun), Arc::clone(&service.go_on), Arc::clone(&service.finished));
    let program = Program::with_log(service, Settings::new("slow", None), silent("slow"));
    let asked =
        tokio::spawn(async move { program.receive(&http::HeaderMap::new(), r#"{"etype":"request"}"#.into()).await });
    begun.notified().await;
    asked.abort();
    assert!(asked.await.is_err(), "nobody waits for the answer any more");
    go_on.notify_one();
    tokio::time::timeout(Duration::from_secs(30), finished.notified()).await.expect("the callback ended");
}

fn background(log: Log) -> Program<Slow> {
    Program::with_log(Slow::default(), Settings::new("slow", Some(SECRET)), log)
}

#[tokio::test(start_paused = true)]
async fn checklist_21_2_19_a_delay_runs_once_and_a_shutdown_drops_what_has_not_begun() {
    let program = background(silent("slow"));
    let runs = Arc::new(AtomicUsize::new(0));
    let handle = program.handle().clone();
    for after in [1, 60] {
        let runs = Arc::clone(&runs);
        let counted = async move {
            runs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        handle.background().delay(Duration::from_secs(after), counted).expect("there is room");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    handle.background().shut_down().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the other one was dropped");
    assert!(handle.background().delay(Duration::ZERO, async { Ok(()) }).is_err(), "no more is taken");
}

#[tokio::test(start_paused = true)]
async fn checklist_21_2_19_a_schedule_runs_at_once_and_goes_on_after_an_error() {
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let program = background(Log::to("slow", move |stream, line| {
        counted.fetch_add(usize::from(stream == Stream::Err && line.contains("no luck")), Ordering::SeqCst);
    }));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let work = move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move { if run == 1 { Err("no luck".into()) } else { Ok(()) } }
    };
    program.handle().background().schedule(Duration::from_secs(60), work).await.expect("the first run went well");
    assert_eq!(runs.load(Ordering::SeqCst), 1, "at once");
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!((runs.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (3, 1));
    let first =
        program.handle().background().schedule(Duration::from_secs(60), || async { Err("at once".into()) }).await;
    assert_eq!(first.expect_err("the caller hears of it").to_string(), "at once");
}

#[tokio::test(start_paused = true)]
async fn checklist_21_2_19_a_shutdown_waits_for_what_runs_but_not_for_ever() {
    let program = background(silent("slow"));
    let handle = program.handle().clone();
    handle.background().delay(Duration::ZERO, async { std::future::pending().await }).expect("there is room");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = tokio::time::Instant::now();
    handle.background().shut_down().await;
    assert_eq!(before.elapsed().as_secs(), 30, "on the paused clock");
}

#[tokio::test(start_paused = true)]
async fn checklist_21_2_19_parallel_work_keeps_its_order_its_bound_and_its_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let results = parallel(vec![3_u64, 1, 90, 0, 2], 2, Duration::from_secs(10), |seconds| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            assert!(seconds != 0, "no seconds");
            seconds
        }
    })
    .await;
    let late = Err(NoResult::TimedOut(Duration::from_secs(10)));
    assert_eq!(results, [Ok(3), Ok(1), late, Err(NoResult::Panicked("panicked: no seconds".into())), Ok(2)]);
    assert!(most.load(Ordering::SeqCst) <= 3, "two at once, and one that was given up without counting down");
}
