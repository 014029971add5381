//! A server, an organization with a key, and sensors that enrolled but never connect.

use crate::described;
use muster_model::{Architecture, Iid, Oid, Platform, Sid};
use muster_server::access::{API_KEY, ApiKey, Exchange, USER, USER_KEY, User, UserKey, owner_permissions};
use muster_server::config::Config;
use muster_server::link::Link;
use muster_server::organization::Place;
use muster_server::profile::Profile;
use muster_server::records::SERVER;
use muster_server::sensor::{self, Enrolment};
use muster_server::{Server, clock, random};
use muster_store::{EntryQuery, Expect, Options, Store, Stream};
use muster_wire::SensorState;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;

/// The spool of every sensor here.
pub const SPOOL_ID: [u8; 16] = [1; 16];

pub struct World {
    pub server: Server,
    pub oid: Oid,
    /// Token of a key with all permissions.
    pub token: String,
    /// Files of the server.
    pub folder: TempDir,
    store: Store,
    http: reqwest::Client,
}

impl World {
    pub async fn new() -> Self {
        Self::on(TempDir::new().unwrap(), Store::memory()).await
    }

    /// A world whose commits take time.
    pub async fn durable() -> Self {
        let folder = TempDir::new().unwrap();
        let store =
            Store::open(Options { path: folder.path().join("muster.db"), bytes_max: None, seal: None }).unwrap();
        Self::on(folder, store).await
    }

    pub async fn on(folder: TempDir, store: Store) -> Self {
        Self::with(folder, store, |_| ()).await
    }

    /// A world whose server is set up otherwise.
    pub async fn with(folder: TempDir, store: Store, set_up: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::loopback(folder.path().to_owned());
        set_up(&mut config);
        let server = Server::start_on(config, store.clone()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut world = Self { server, oid: Oid(random::uuid()), token: String::new(), folder, store, http };
        world.organization(world.oid).await;
        world.token = world.token_of(world.oid, &owner_permissions()).await;
        world
    }

    /// Ends the server, and starts it anew on what is stored.
    pub async fn restart(self) -> Self {
        self.server.stop().await;
        let config = Config::loopback(self.folder.path().to_owned());
        Self { server: Server::start_on(config, self.store.clone()).await.unwrap(), ..self }
    }

    /// Makes an organization.
    pub async fn organization(&self, oid: Oid) {
        let profile = Profile { name: format!("org {oid}"), created_at: clock::now(), sensor_quota: 0 };
        self.server.app.create_organization(oid, &profile).await.unwrap();
    }

    /// Makes a key with these permissions; gives the key.
    pub async fn key(&self, oid: Oid, permissions: &[String]) -> String {
        let secret = random::uuid().to_string();
        let key = ApiKey {
            name: "tester".into(),
            permissions: permissions.to_vec(),
            by: "test".into(),
            created_at: clock::now(),
            allowed_ip_range: String::new(),
        };
        let app = &self.server.app;
        let digest = app.secrets.digest(secret.as_bytes());
        app.records.put(oid, API_KEY, &digest, &key, Expect::Absent, Vec::new()).await.unwrap();
        secret
    }

    /// Makes a key with these permissions; gives a token for it.
    pub async fn token_of(&self, oid: Oid, permissions: &[String]) -> String {
        let secret = self.key(oid, permissions).await;
        self.exchanged(&Exchange { secret: &secret, oid: &oid.to_string(), ..Exchange::default() })
    }

    pub fn exchanged(&self, exchange: &Exchange<'_>) -> String {
        let app = &self.server.app;
        app.secrets.exchange(&app.records, exchange, clock::now()).unwrap()
    }

    /// Makes a user with a key; gives a token for it.
    pub async fn user(&self, email: &str, organizations: BTreeMap<Oid, Vec<String>>) -> String {
        let (secret, uid) = (random::uuid().to_string(), random::uuid().to_string());
        let app = &self.server.app;
        let of_key = organizations.keys().copied().collect();
        let user = User { uid: uid.clone(), organizations };
        app.records.put(SERVER, USER, email, &user, Expect::Absent, Vec::new()).await.unwrap();
        let key = UserKey { email: email.into(), name: "test".into(), created_at: clock::now(), organizations: of_key };
        let digest = app.secrets.digest(secret.as_bytes());
        app.records.put(SERVER, USER_KEY, &digest, &key, Expect::Absent, Vec::new()).await.unwrap();
        self.exchanged(&Exchange { secret: &secret, uid: &uid, ..Exchange::default() })
    }

    /// Enrols a Linux sensor.
    pub async fn sensor(&self, hostname: &str, tags: &[&str]) -> Sid {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let state = SensorState {
            platform: Platform::LINUX.0,
            architecture: Architecture::X64.0.into(),
            hostname: hostname.into(),
            int_ip: "10.1.2.3".into(),
            ..SensorState::default()
        };
        let iid = Iid(random::uuid());
        let new = Enrolment { iid, tags: &tags, public_key: &[7; 32], state: &state, sid: None, source: None };
        let app = &self.server.app;
        sensor::enrol(&app.sensors, &app.organization(self.oid).unwrap(), &new).await.unwrap().unwrap()
    }

    /// Gives a sensor a live link that nobody reads.
    pub async fn link(&self, sid: Sid) -> Arc<Link> {
        let app = &self.server.app;
        let organization = app.organization(self.oid).unwrap();
        let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
        let place = Place { organization, ordinal };
        let link = Arc::new(Link::new(random::number()));
        let state = SensorState { hostname: "host".into(), spool_id: SPOOL_ID.to_vec(), ..SensorState::default() };
        sensor::went_online(&app.sensors, &place, &link, &state, None).await.unwrap();
        link
    }

    /// Calls as the owner. What is answered is compared with the API description.
    pub async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.call_as(Some(&self.token), method, path, form).await
    }

    pub async fn call_as(&self, token: Option<&str>, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.request(method, path).form(form);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let answer: Value = answer.json().await.unwrap_or(Value::Null);
        if !answer.is_null() {
            let address = if path.starts_with('/') { path.to_owned() } else { format!("/v1/{path}") };
            let action = form.iter().find(|(name, _)| *name == "action").map(|(_, action)| *action);
            described::check(method, &address, action, status, &answer);
        }
        (status, answer)
    }

    /// A request without credentials; a path with a slash in front is outside `/v1`.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let address = self.server.bound.http.unwrap();
        let url = if path.starts_with('/') {
            format!("http://{address}{path}")
        } else {
            format!("http://{address}/v1/{path}")
        };
        self.http.request(method.parse().unwrap(), url)
    }

    /// Calls as the owner; panics unless it says yes.
    pub async fn ok(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Value {
        let (status, answer) = self.call(method, path, form).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Calls as the owner; gives the status and the error text.
    pub async fn refused(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, String) {
        let (status, answer) = self.call(method, path, form).await;
        (status, answer["error"].as_str().unwrap_or_default().to_owned())
    }

    /// The audit records so far: action, and whole record.
    pub async fn audited(&self) -> Vec<(String, Value)> {
        let query = EntryQuery::all(self.oid, Stream::Audit);
        let page = self.server.app.store.read(move |read| read.entries(&query)).await.unwrap();
        let records = page.entries.iter().map(|entry| serde_json::from_slice::<Value>(&entry.body).unwrap());
        records.map(|record| (record["mtd"]["action"].as_str().unwrap_or_default().to_owned(), record)).collect()
    }
}
