//! Services of others, as programs of the framework: registered, subscribed to, told, asked.

use crate::actions::eventually;
use crate::detections::{receive, rule, set, stored};
use crate::world::World;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use muster_model::Oid;
use muster_server::access::owner_permissions;
use muster_server::intake::Record;
use muster_server::{clock, random};
use muster_service::{Answer, Call, Outcome, Program, Service, Settings, serve};
use muster_store::{Store, Stream};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

const SECRET: &str = "shared-secret-123";

/// What a service got: event, message id, organization, data.
type Got = (String, String, Option<Oid>, Value);

/// Keeps what it gets; does what requests ask it to do.
struct Recorder {
    got: Mutex<Vec<Got>>,
    /// Answers to detections, the next one first; then it is content.
    answers: Mutex<Vec<Answer>>,
    /// Whether the token of the last event without a request worked.
    whoami: Mutex<Vec<bool>>,
}

impl Recorder {
    fn keep(&self, call: &Call) {
        let got = (call.etype.clone(), call.mid.clone(), call.oid, Value::Object(call.data.clone()));
        self.got.lock().push(got);
    }

    fn of(&self, etype: &str) -> Vec<Got> {
        self.got.lock().iter().filter(|got| got.0 == etype).cloned().collect()
    }

    async fn try_token(&self, call: &Call) {
        let works = call.client().unwrap().whoami().await.is_ok();
        self.whoami.lock().push(works);
    }
}

impl Service for Recorder {
    fn on_startup(&self, program: &muster_service::Handle) {
        program.subscribe_to_detect("bad");
    }

    async fn on_org_installed(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        self.try_token(&call).await;
        Ok(Answer::done())
    }

    async fn on_org_uninstalled(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        self.try_token(&call).await;
        Ok(Answer::done())
    }

    async fn on_detection(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        Ok(self.answers.lock().pop().unwrap_or_else(Answer::done))
    }

    async fn on_deployment_event(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        Ok(Answer::done())
    }

    async fn on_request(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        if call.text("do") == Some("job") {
            let now = muster_service::now();
            let mut job = match call.text("cause") {
                Some(cause) => muster_service::Job::new("work/1", now, cause).unwrap(),
                None => muster_service::Job::open("work/1"),
            };
            let table = muster_service::Attachment::table("t", &["a"], vec![vec![json!(1)]]);
            job.narrate(now, call.text("say").unwrap_or_default(), vec![table]);
            if call.text("cause").is_none() {
                job.close(now);
            }
            return Ok(Answer::done().with_job(job));
        }
        if call.text("do") == Some("fail") {
            return Ok(Answer::failed().with_error("out of paper"));
        }
        Ok(Answer::done().with("echo", json!(call.data)))
    }

    async fn every_1_hour_per_org(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        Ok(Answer::done())
    }

    async fn every_1_hour_globally(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        Ok(Answer::done())
    }

    async fn every_1_hour_per_sensor(self: Arc<Self>, call: Call) -> Outcome {
        self.keep(&call);
        Ok(Answer::done())
    }
}

/// A service that runs, and where.
struct Running {
    recorder: Arc<Recorder>,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The service, shared with the test.
struct Shared(Arc<Recorder>);

macro_rules! forward {
    ($($method:ident)*) => {
        impl Service for Shared {
            fn on_startup(&self, program: &muster_service::Handle) {
                self.0.on_startup(program);
            }
            $(async fn $method(self: Arc<Self>, call: Call) -> Outcome {
                Arc::clone(&self.0).$method(call).await
            })*
        }
    };
}

forward! {
    on_org_installed on_org_uninstalled on_detection on_deployment_event on_request every_1_hour_per_org
    every_1_hour_globally every_1_hour_per_sensor
}

async fn running(world: &World, secret: Option<&str>) -> Running {
    let recorder = Arc::new(Recorder { got: Mutex::default(), answers: Mutex::default(), whoami: Mutex::default() });
    let mut settings = Settings::new("recorder", secret);
    settings.api_url = Some(format!("http://{}", world.server.bound.http.unwrap()));
    let program = Program::new(Shared(Arc::clone(&recorder)), settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    Running { recorder, url, serving: tokio::spawn(serve(listener, program, std::future::pending())) }
}

/// Registers and subscribes, and waits until the service is well and was told.
async fn subscribed(world: &World, service: &Running) {
    let one = format!("services/{}/recorder", world.oid);
    let form = [("url", service.url.as_str()), ("secret", SECRET), ("perms", "org.get,sensor.list")];
    world.ok("POST", &one, &form).await;
    world.ok("POST", &format!("{one}/health"), &[]).await;
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
    eventually("it is told of the subscription", async || service.recorder.of("org_install").pop()).await;
}

fn detection(oid: Oid, name: &str) -> Record {
    let id = random::uuid();
    let detection = json!({
        "cat": name, "detect_id": id, "routing": {"oid": oid}, "detect": {"event": {"é": "☃"}, "routing": {"oid": oid}},
    });
    Record {
        oid,
        stream: Stream::Detect,
        sid: None,
        tags: Arc::from([]),
        kind: name.into(),
        id,
        time: clock::now(),
        this_atom: None,
        parent_atom: None,
        investigation_id: None,
        body: serde_json::to_vec(&detection).unwrap().into(),
    }
}

async fn detected(world: &World, name: &str) {
    world.server.app.intake.commit(detection(world.oid, name)).await.unwrap();
}

async fn deliveries(world: &World) -> Vec<Value> {
    let path = format!("services/{}/recorder/deliveries", world.oid);
    world.ok("GET", &path, &[]).await["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn checklist_21_1_7_a_service_is_told_of_both_ends_of_a_subscription_with_a_token_that_works() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    let (_, mid, oid, data) = service.recorder.of("org_install").pop().unwrap();
    assert_eq!((oid, data), (Some(world.oid), json!({})));
    assert!(uuid::Uuid::parse_str(&mid).is_ok(), "{mid}");

    let listed = world.ok("GET", &format!("services/{}", world.oid), &[]).await;
    let shown = &listed["services"]["recorder"];
    assert_eq!(
        (&shown["is_well"], &shown["is_subscribed"], &shown["has_secret"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert!(!listed.to_string().contains(SECRET), "a secret is not shown again");
    let keys = world.ok("GET", &format!("orgs/{}/keys", world.oid), &[]).await.to_string();
    assert!(keys.contains(r#""name":"service/recorder","priv":["org.get","sensor.list"]"#), "{keys}");

    world.ok("DELETE", &format!("services/{}/recorder/subscription", world.oid), &[]).await;
    eventually("the identity ends once the service was told", async || {
        let keys = world.ok("GET", &format!("orgs/{}/keys", world.oid), &[]).await.to_string();
        (!keys.contains("service/recorder")).then_some(())
    })
    .await;
    assert_eq!(service.recorder.of("org_uninstall").len(), 1);
    assert_eq!(*service.recorder.whoami.lock(), [true, true], "the token worked at both ends");
    let (status, error) =
        world.refused("POST", &format!("service/{}/recorder", world.oid), &[("request_data", "{}")]).await;
    assert_eq!((status, error.contains("not subscribed")), (403, true), "{error}");
}

#[tokio::test]
async fn checklist_21_1_23_requests_are_answered_at_once_or_later_and_refusals_have_a_reason() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    let path = format!("service/{}/recorder", world.oid);
    let ask = |data: Value| BASE64_STANDARD.encode(data.to_string());
    let answer = world.ok("POST", &path, &[("request_data", &ask(json!({"a": "é", "n": [1, true]})))]).await;
    assert_eq!(answer, json!({"echo": {"a": "é", "n": [1, true]}}), "types are as the caller wrote them");

    let (status, error) = world.refused("POST", &path, &[("request_data", &ask(json!({"do": "fail"})))]).await;
    assert_eq!((status, error.as_str()), (502, "recorder: out of paper"));

    let later = [("request_data", ask(json!({"later": 1}))), ("is_async", "True".to_owned())];
    let later: Vec<(&str, &str)> = later.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mid = world.ok("POST", &path, &later).await["mid"].as_str().unwrap().to_owned();
    let got =
        eventually("it is asked later", async || service.recorder.of("request").into_iter().find(|got| got.1 == mid))
            .await;
    assert_eq!(got.3, json!({"later": 1}));
    assert_eq!(world.refused("POST", &format!("service/{}/nobody", world.oid), &later).await.0, 404);
}

#[tokio::test]
async fn checklist_21_1_11_detections_go_to_those_that_named_them_and_new_sensors_to_those_with_the_callback() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    detected(&world, "other").await;
    detected(&world, "bad").await;
    let got = eventually("the detection comes", async || service.recorder.of("detection").pop()).await;
    assert_eq!(got.3["cat"], "bad");
    assert_eq!(got.3["detect"]["event"], json!({"é": "☃"}));
    assert!(got.3["routing"].is_object() && got.3["detect"]["routing"].is_object());
    let sid = world.sensor("new", &[]).await;
    let got = eventually("the enrolment comes", async || service.recorder.of("deployment_event").pop()).await;
    assert_eq!((&got.3["routing"]["event_type"], &got.3["routing"]["sid"]), (&json!("enrollment"), &json!(sid)));
    eventually("nothing waits", async || deliveries(&world).await.is_empty().then_some(())).await;
    assert_eq!(service.recorder.of("detection").len(), 1, "the other one was not asked for");
}

#[tokio::test]
async fn checklist_21_1_9_a_detection_that_is_not_published_goes_to_services_alone() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    let form = [("url", service.url.as_str()), ("secret", SECRET), ("detects", "__hidden,quiet")];
    world.ok("POST", &format!("services/{}/recorder", world.oid), &form).await;
    world.ok("POST", &format!("services/{}/recorder/subscription", world.oid), &[]).await;
    let reports =
        json!([{"action": "report", "name": "__hidden"}, {"action": "report", "name": "quiet", "publish": false}]);
    set(&world, "dr-general", "r", rule(reports)).await;
    let sid = world.sensor("one", &[]).await;
    receive(&world, sid, 1..=1).await;
    let told = async || Some(service.recorder.of("detection")).filter(|got| got.len() == 2);
    let told = eventually("the service hears of both", told).await;
    let mut names: Vec<&str> = told.iter().filter_map(|got| got.3["cat"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["__hidden", "quiet"]);
    assert_eq!(told[0].3["detect"]["event"]["N"], 1);
    assert!(stored(&world, Stream::Detect).await.is_empty(), "they are kept nowhere");
}

#[tokio::test]
async fn checklist_21_1_13_what_is_to_be_tried_again_comes_under_the_same_id_and_holds_nobody_up() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    service.recorder.answers.lock().push(Answer::again());
    detected(&world, "bad").await;
    let first = eventually("the first try", async || service.recorder.of("detection").pop()).await.1;
    detected(&world, "bad").await;
    let mids = |count: usize| {
        let recorder = Arc::clone(&service.recorder);
        async move {
            let mids: Vec<String> = recorder.of("detection").into_iter().map(|got| got.1).collect();
            (mids.len() == count).then_some(mids)
        }
    };
    let mids = eventually("the second try", async || mids(3).await).await;
    assert_eq!((&mids[0], &mids[2]), (&first, &first));
    assert_ne!(mids[1], first, "the detection after it did not wait");
    eventually("nothing waits", async || deliveries(&world).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_failed_for_good_is_kept_over_a_restart_and_can_be_delivered_again() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    service.recorder.answers.lock().push(Answer::failed().with_error("no room"));
    detected(&world, "bad").await;
    let failed = async || deliveries(&world).await.into_iter().find(|one| one["is_failed"] == true);
    let kept = eventually("it is given up", failed).await;
    assert_eq!((&kept["etype"], &kept["error"], &kept["tries"]), (&json!("detection"), &json!("no room"), &json!(1)));
    let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string();
    assert!(errors.contains("no room"), "operators are told: {errors}");

    let world = world.restart().await;
    let mid = kept["mid"].as_str().unwrap();
    world.ok("POST", &format!("deliveries/{}/{mid}", world.oid), &[]).await;
    let mids = eventually("it comes again", async || {
        let got = service.recorder.of("detection");
        (got.len() == 2).then(|| got.into_iter().map(|got| got.1).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(mids, [mid, mid]);
    eventually("it is done", async || deliveries(&world).await.is_empty().then_some(())).await;
    assert_eq!(world.refused("POST", &format!("deliveries/{}/{mid}", world.oid), &[]).await.0, 404);
}

#[tokio::test]
async fn checklist_21_1_14_another_secret_stops_deliveries_until_a_health_check_is_accepted() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    let one = format!("services/{}/recorder", world.oid);
    world.ok("POST", &one, &[("url", &service.url), ("secret", "another")]).await;
    let (status, error) = world.refused("POST", &format!("{one}/health"), &[]).await;
    assert_eq!((status, error.contains("refuses the signature")), (502, true), "{error}");
    world.ok("POST", &format!("{one}/subscription"), &[]).await;
    let shown = world.ok("GET", &one, &[]).await;
    assert_eq!(shown["is_well"], false, "{shown}");
    let waiting = deliveries(&world).await;
    assert_eq!(
        (waiting.len(), &waiting[0]["etype"], &waiting[0]["is_failed"]),
        (1, &json!("org_install"), &json!(false))
    );
    assert!(service.recorder.of("org_install").is_empty());
}

#[tokio::test]
async fn a_service_is_its_organizations_own_unless_it_is_public_and_nobody_grants_what_they_have_not() {
    let world = World::new().await;
    let service = running(&world, None).await;
    let other = Oid(random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &owner_permissions()).await;
    for (name, is_public) in [("private", "false"), ("public", "true")] {
        let form = [("url", service.url.as_str()), ("is_public", is_public), ("perms", "sensor.list")];
        world.ok("POST", &format!("services/{}/{name}", world.oid), &form).await;
    }
    let seen = world.call_as(Some(&stranger), "GET", &format!("services/{other}"), &[]).await.1;
    assert_eq!(seen["services"].as_object().unwrap().keys().collect::<Vec<_>>(), ["public"]);
    assert!(seen["services"]["public"].get("url").is_none(), "its address is its owner's business: {seen}");
    let subscribe = |name: &str| format!("services/{other}/{name}/subscription");
    assert_eq!(world.call_as(Some(&stranger), "POST", &subscribe("private"), &[]).await.0, 404);

    let weak = world.token_of(other, &["ext.sub".to_owned(), "replicant.get".to_owned()]).await;
    let (status, refused) = world.call_as(Some(&weak), "POST", &subscribe("public"), &[]).await;
    assert_eq!((status, refused["error"].as_str().unwrap().contains("sensor.list")), (403, true), "{refused}");
    let reach = [("url", service.url.as_str()), ("allow_private", "true")];
    assert_eq!(world.call_as(Some(&weak), "POST", &format!("services/{other}/x"), &reach).await.0, 401);

    assert_eq!(world.call_as(Some(&stranger), "POST", &subscribe("public"), &[]).await.0, 200);
    assert_eq!(world.call_as(Some(&stranger), "DELETE", &format!("services/{other}/public"), &[]).await.0, 404);
    eventually("it is told of the other organization", async || {
        service.recorder.of("org_install").pop().filter(|got| got.2 == Some(other))
    })
    .await;
    world.ok("DELETE", &format!("services/{}/public", world.oid), &[]).await;
    let seen = world.call_as(Some(&stranger), "GET", &format!("services/{other}"), &[]).await.1;
    assert_eq!(seen["services"], json!({}), "it went with all subscriptions");
}

#[tokio::test]
async fn a_private_address_needs_the_word_of_the_server_or_of_the_registration() {
    let world =
        World::with(TempDir::new().unwrap(), Store::memory(), |config| config.allow_private_destinations = false).await;
    let service = running(&world, None).await;
    for (name, allow_private, expected) in [("a", "false", 502), ("b", "true", 200)] {
        let one = format!("services/{}/{name}", world.oid);
        world.ok("POST", &one, &[("url", &service.url), ("allow_private", allow_private)]).await;
        let (status, answer) = world.call("POST", &format!("{one}/health"), &[]).await;
        assert_eq!(status, expected, "{answer}");
        assert_eq!(answer["error"].as_str().unwrap_or_default().contains("private address"), status == 502, "{answer}");
    }
}

#[tokio::test]
async fn checklist_21_1_17_jobs_are_made_continued_and_closed_by_answers_and_kept_over_a_restart() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    let ask = async |world: &World, data: Value| {
        let data = BASE64_STANDARD.encode(data.to_string());
        world.ok("POST", &format!("service/{}/recorder", world.oid), &[("request_data", &data)]).await;
    };
    ask(&world, json!({"do": "job", "cause": "a request", "say": "begun"})).await;
    let world = world.restart().await;
    let one = format!("job/{}/work%2F1", world.oid);
    let running = world.ok("GET", &one, &[]).await;
    assert_eq!((&running["job"]["cause"], running["job"].get("stopped")), (&json!("a request"), None), "{running}");
    ask(&world, json!({"do": "job", "say": "found"})).await;
    let job = world.ok("GET", &one, &[]).await["job"].clone();
    assert_eq!(
        (&job["replicant"], &job["cause"], &job["last_narration"]),
        (&json!("recorder"), &json!("a request"), &json!("found"))
    );
    assert!(job["stopped"].is_i64() && job["created"].is_i64());
    let told: Vec<&Value> = job["record"]["hist"].as_array().unwrap().iter().map(|entry| &entry["msg"]).collect();
    assert_eq!(told, ["begun", "found"]);
    assert_eq!(job["record"]["hist"][0]["attachments"][0]["rows"], json!([[1]]));

    let listed = world
        .ok("GET", &format!("job/{}?start=1&end=9999999999&is_compressed=true&with_data=false", world.oid), &[])
        .await;
    let packed = BASE64_STANDARD.decode(listed["jobs"].as_str().unwrap()).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut text).unwrap();
    let listed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&listed["work/1"]["job_id"], listed["work/1"].get("record")), (&json!("work/1"), None), "{listed}");
    world.ok("DELETE", &one, &[]).await;
    assert_eq!(world.refused("GET", &one, &[]).await.0, 404);
    assert_eq!(world.restart().await.refused("GET", &one, &[]).await.0, 404);
}

#[tokio::test]
async fn checklist_21_1_20_periodic_events_come_once_per_period_also_over_a_restart() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    let sids = [world.sensor("one", &[]).await, world.sensor("two", &[]).await];
    subscribed(&world, &service).await;
    let now = clock::now();
    let hour = |hours: u64| now.saturating_add(std::time::Duration::from_secs(hours * 3_600));
    let counts = || ["sensor_per_1h", "org_per_1h", "once_per_1h"].map(|etype| service.recorder.of(etype).len());
    world.server.app.services.put_due(now).await;
    world.server.app.services.put_due(hour(1)).await;
    eventually("all have their event", async || (counts() == [2, 1, 1]).then_some(())).await;
    let mut told: Vec<String> =
        service.recorder.of("sensor_per_1h").into_iter().map(|got| got.3["sid"].as_str().unwrap().to_owned()).collect();
    let mut expected = sids.map(|sid| sid.to_string());
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(service.recorder.of("org_per_1h")[0].2, Some(world.oid));
    assert_eq!(service.recorder.of("once_per_1h")[0].2, None, "it belongs to no organization");

    eventually("nothing waits", async || deliveries(&world).await.is_empty().then_some(())).await;
    let world = world.restart().await;
    world.server.app.services.put_due(hour(1)).await;
    world.server.app.services.put_due(hour(3)).await;
    eventually("the next period", async || (counts() == [4, 2, 2]).then_some(())).await;
    eventually("nothing waits", async || deliveries(&world).await.is_empty().then_some(())).await;
    assert_eq!(counts(), [4, 2, 2], "the second period that was left behind is not made up for");
}

#[tokio::test]
async fn published_clients_subscribe_by_the_resource_of_the_service() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    let one = format!("services/{}/recorder", world.oid);
    world.ok("POST", &one, &[("url", &service.url), ("secret", SECRET)]).await;
    let (path, resource) =
        (format!("orgs/{}/resources", world.oid), [("res_cat", "replicant"), ("res_name", "recorder")]);
    world.ok("POST", &path, &resource).await;
    eventually("it is told", async || service.recorder.of("org_install").pop()).await;
    assert_eq!(world.ok("GET", &path, &[]).await["resources"], json!({"replicant": ["recorder"]}));
    let replicants = world.ok("GET", &format!("service/{}", world.oid), &[]).await;
    assert!(replicants["replicants"].as_array().unwrap().contains(&json!("recorder")), "{replicants}");
    world.ok("DELETE", &path, &resource).await;
    eventually("it is told of the end", async || service.recorder.of("org_uninstall").pop()).await;
    assert_eq!(world.ok("GET", &path, &[]).await["resources"], json!({}));
}

#[tokio::test]
async fn what_exceeds_the_room_of_a_lane_is_counted_and_told() {
    let world = World::new().await;
    let service = running(&world, Some(SECRET)).await;
    subscribed(&world, &service).await;
    eventually("nothing waits", async || deliveries(&world).await.is_empty().then_some(())).await;
    let most = muster_server::service::WAITING_MAX;
    // One commit, before which nobody can deliver any of them.
    let records: Vec<Record> = (0..most + 2).map(|_| detection(world.oid, "bad")).collect();
    world.server.app.intake.commit(records).await.unwrap();
    let told = eventually("operators are told", async || {
        let errors = world.ok("GET", &format!("errors/{}", world.oid), &[]).await.to_string();
        errors.contains("new ones are dropped").then_some(())
    });
    told.await;
    let answer = world.ok("GET", &format!("services/{}/recorder/deliveries", world.oid), &[]).await;
    assert_eq!(answer["dropped"], 2);
}
