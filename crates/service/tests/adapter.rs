//! The webhook by which an extension feeds events back, against an API of few words: checklist 19.2.15 of
//! reference/extension-protocol.md.

use flate2::read::GzDecoder;
use muster_service::extension::{ActionCall, ActionSchema, Adapter, Extension, Mapping, ObjectSchema, Reply};
use muster_service::{Error, Harness, Log, Oid, Received, Settings};
use parking_lot::Mutex;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const NAME: &str = "ext-feed";
const SECRET: &str = "extension-secret-0123456789abcdef";
const OID: &str = "8cbe27f4-bfa1-4afb-ba19-138cd51389cd";
/// Source: reference/extension-protocol.md section 11.
const HOOK_SECRET: &str = "cbe384abe5d0b39da857be62a4cde0a7a0fe86193c6ce9df9cce4527b43b2b7f";

fn oid() -> Oid {
    OID.parse().expect("a UUID")
}

#[test]
fn checklist_19_2_15_tag_description_record_and_secret_are_as_published() {
    let adapter = Adapter::new(NAME, SECRET, oid());
    assert_eq!(
        (adapter.tag().as_str(), adapter.description().as_str()),
        ("ext:ext-feed", "ext ext-feed webhook adapter")
    );
    assert_eq!(adapter.tags(), ["lc:system", "ext:ext-feed"]);
    assert_eq!(adapter.secret(), HOOK_SECRET);
    let mapping = Mapping {
        event_type_path: Some("kind".into()),
        investigation_id_path: Some("of/case".into()),
        ..Mapping::default()
    };
    let expected = json!({"sensor_type": "webhook", "webhook": {"secret": HOOK_SECRET, "client_options": {
        "hostname": NAME, "identity": {"oid": OID, "installation_key": "i-1"}, "platform": "json", "sensor_seed_key": NAME,
        "mapping": {"event_type_path": "kind", "investigation_id_path": "of/case"},
    }}});
    assert_eq!(adapter.record("i-1", &mapping), expected);
    assert!(!format!("{adapter:?}").contains(HOOK_SECRET), "no log line holds it");
}

/// What the API holds.
#[derive(Default)]
struct Held {
    /// Description and tags of installation keys, by id.
    keys: BTreeMap<String, (String, String)>,
    /// Data and metadata of the webhook.
    record: Option<(Value, Value)>,
    /// Path and text of what was posted to webhooks.
    posted: Vec<(String, Value)>,
    /// What was asked of it.
    calls: Vec<String>,
}

struct Api {
    url: String,
    held: Arc<Mutex<Held>>,
}

impl Api {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let held = Arc::<Mutex<Held>>::default();
        let (kept, address) = (Arc::clone(&held), url.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &kept, &address).await;
            }
        });
        Self { url, held }
    }

    fn add_key(&self, iid: &str, desc: &str) {
        self.held.lock().keys.insert(iid.to_owned(), (desc.to_owned(), String::new()));
    }

    fn iids(&self) -> Vec<String> {
        self.held.lock().keys.keys().cloned().collect()
    }
}

/// One request and its answer; the connection is closed then.
async fn answer(stream: TcpStream, held: &Mutex<Held>, address: &str) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.is_ok_and(|read| read > 0) {}
    for line in head.lines() {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body");
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
    let (status, value) = held.lock().act(method, path, &body, address);
    let text = value.to_string();
    let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    stream.write_all((head + &text).as_bytes()).await.expect("sent");
}

impl Held {
    fn key(&self, iid: &str) -> Value {
        let (desc, tags) = &self.keys[iid];
        json!({"created": 1, "desc": desc, "iid": iid, "json_key": "", "key": "", "oid": OID, "quota": 0, "tags": tags,
               "use_public_root_ca": false})
    }

    fn act(&mut self, method: &str, path: &str, body: &[u8], address: &str) -> (u16, Value) {
        let form = format!("http://form/?{}", String::from_utf8_lossy(body));
        let form: BTreeMap<String, String> =
            Url::parse(&form).map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
        let json = |name: &str| serde_json::from_str(&form[name]).expect("JSON");
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        self.calls.push(format!("{method} {path}"));
        let done = (200, json!({}));
        match (method, &segments[..]) {
            ("GET", ["v1", "orgs", OID, "url"]) => {
                (200, json!({"url": {"hooks": address}, "certs": {}, "site_name": "muster"}))
            }
            ("GET", ["v1", "installationkeys", OID]) => {
                let keys: Map<String, Value> = self.keys.keys().map(|iid| (iid.clone(), self.key(iid))).collect();
                (200, json!({OID: keys}))
            }
            ("GET", ["v1", "installationkeys", OID, iid]) => (200, self.key(iid)),
            ("POST", ["v1", "installationkeys", OID]) => {
                let iid = format!("00000000-0000-0000-0000-{:012}", self.keys.len());
                self.keys.insert(iid.clone(), (form["desc"].clone(), form["tags"].clone()));
                (200, json!({"iid": iid, "oid": OID}))
            }
            ("DELETE", ["v1", "installationkeys", OID]) => {
                self.keys.remove(&form["iid"]);
                done
            }
            ("POST", ["v1", "hive", "cloud_sensor", OID, NAME, "data"]) => {
                self.record = Some((json("data"), json("usr_mtd")));
                done
            }
            ("DELETE", ["v1", "hive", "cloud_sensor", OID, NAME]) => match self.record.take() {
                Some(_) => done,
                None => (400, json!({"error": "RECORD_NOT_FOUND", "error_code": "RECORD_NOT_FOUND"})),
            },
            ("POST", [OID, ..]) => {
                let mut text = String::new();
                GzDecoder::new(body).read_to_string(&mut text).expect("gzip");
                self.posted.push((path.to_owned(), serde_json::from_str(&text).expect("JSON")));
                done
            }
            _ => (404, json!({"error": format!("what is {method} {path}?")})),
        }
    }
}

async fn act(call: ActionCall) -> Result<Reply, Error> {
    let (adapter, client) = (call.who.adapter(), call.who.client()?);
    match call.data["do"].as_str() {
        Some("make") => {
            adapter.create(client, &Mapping { event_type_path: Some("kind".into()), ..Mapping::default() }).await?;
        }
        Some("feed") => adapter.send(client, &json!([{"kind": "FED"}, {"kind": "FED é"}])).await?,
        _ => adapter.delete(client).await?,
    }
    Ok(json!({}).into())
}

#[tokio::test]
async fn checklist_19_2_15_an_extension_makes_feeds_and_takes_away_its_webhook() {
    let api = Api::new().await;
    api.add_key("of-others", "for laptops");
    let settings = Settings { api_url: Some(api.url.clone()), ..Settings::new(NAME, Some(SECRET)) };
    let extension = Extension::with_log(settings, Log::to(NAME, |_, _| {}));
    let extension = extension.action("act", ActionSchema::new("Act", "Act", ObjectSchema::default()), act);
    let harness = Harness::new(extension).of(oid(), "a.b.c");
    let ask = async |what: &str| {
        let Received { status, body } = harness.action("act", json!({"do": what})).await;
        assert_eq!(status, 200, "{what}: {body}");
    };
    ask("take").await;
    ask("make").await;
    let of_its_own = format!("00000000-0000-0000-0000-{:012}", 1);
    assert_eq!(
        api.held.lock().keys[&of_its_own],
        ("ext ext-feed webhook adapter".into(), "lc:system,ext:ext-feed".into())
    );
    let (data, usr_mtd) = api.held.lock().record.clone().expect("the webhook");
    assert_eq!(data["webhook"]["client_options"]["identity"]["installation_key"], json!(of_its_own));
    assert_eq!((&usr_mtd["enabled"], &usr_mtd["tags"]), (&json!(true), &json!(["lc:system", "ext:ext-feed"])));

    // A second time it keeps its key; one that came from elsewhere in the meantime goes.
    api.add_key("10000000-0000-0000-0000-000000000000", "ext ext-feed webhook adapter");
    ask("make").await;
    assert_eq!(api.iids(), [of_its_own.as_str(), "of-others"]);
    ask("feed").await;
    let posted = (format!("/{OID}/{NAME}/{HOOK_SECRET}"), json!([{"kind": "FED"}, {"kind": "FED é"}]));
    assert_eq!(api.held.lock().posted, [posted]);
    ask("take").await;
    assert_eq!((api.iids(), api.held.lock().record.is_none()), (vec!["of-others".to_owned()], true));
}
