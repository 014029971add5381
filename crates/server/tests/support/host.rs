//! A server in this process, one organization on it, and a client for its REST API.

#![allow(dead_code, reason = "each test target uses a part")]

use muster_model::Oid;
use muster_server::access::{API_KEY, ApiKey, Exchange, owner_permissions};
use muster_server::app::App;
use muster_server::config::Config;
use muster_server::intake::Record;
use muster_server::intake::event;
use muster_server::profile::Profile;
use muster_server::{Server, clock};
use muster_store::{Expect, Store, Stream};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Nothing here takes this long unless it is stuck.
pub const STUCK: Duration = Duration::from_secs(30);

pub const OID: Oid = Oid(Uuid::from_u128(0x0f2d_9a3c_6a51_4e0a_9d0c_5c1f_0e7a_2b11));

const KEY: &str = "6d7f3a52-1c55-4a51-9d3e-0a7d1f1f5c11";

pub struct Host {
    pub server: Server,
    pub dir: Arc<TempDir>,
    pub client: reqwest::Client,
    pub token: String,
}

impl Host {
    pub async fn start() -> Self {
        Self::start_with(Arc::new(tempfile::tempdir().unwrap()), Store::memory(), |_| ()).await
    }

    /// Starts on a store; the organization is made if it is not there.
    pub async fn start_with(dir: Arc<TempDir>, store: Store, edit: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::loopback(dir.path().to_owned());
        edit(&mut config);
        let server = Server::start_on(config, store).await.unwrap();
        let app = &server.app;
        if app.organization(OID).is_none() {
            let profile = Profile { name: "test".into(), created_at: clock::now(), sensor_quota: 0 };
            app.create_organization(OID, &profile).await.unwrap();
            let key = ApiKey {
                name: "tester".into(),
                permissions: owner_permissions(),
                by: "test".into(),
                created_at: clock::now(),
                allowed_ip_range: String::new(),
            };
            let digest = app.secrets.digest(KEY.as_bytes());
            app.records.put(OID, API_KEY, &digest, &key, Expect::Any, Vec::new()).await.unwrap();
        }
        let oid = OID.to_string();
        let exchange = Exchange { secret: KEY, oid: &oid, ..Exchange::default() };
        let token = app.secrets.exchange(&app.records, &exchange, clock::now()).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { server, dir, client, token }
    }

    pub fn app(&self) -> &Arc<App> {
        &self.server.app
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.server.bound.http.unwrap())
    }

    /// A request with the token; `{oid}` in the path is filled in.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let path = path.replace("{oid}", &OID.to_string());
        self.client.request(method, format!("{}/v1/{path}", self.base())).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        ok(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, form: &Value) -> Value {
        ok(self.request(Method::POST, path).form(form).send().await.unwrap()).await
    }

    pub async fn delete(&self, path: &str, form: &Value) -> Value {
        ok(self.request(Method::DELETE, path).form(form).send().await.unwrap()).await
    }

    /// Brings records in, as every source of records does.
    pub async fn emit(&self, records: &[Record]) {
        self.app().intake.commit(records.to_vec()).await.unwrap();
    }

    pub async fn restart(self, store: Store) -> Self {
        let dir = Arc::clone(&self.dir);
        self.server.stop().await;
        Self::start_with(dir, store, |_| ()).await
    }
}

pub async fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Status and error text of a refusal.
pub async fn refusal(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"].as_str().unwrap_or_default().to_owned())
}

/// An event of no sensor, numbered.
pub fn event(number: u32, kind: &str) -> Record {
    record(
        Stream::Event,
        kind,
        &json!({"routing": {"event_type": kind, "event_time": 1_731_403_200_456_i64, "hostname": "web01"}, "event": {"N": number}}),
    )
}

pub fn record(stream: Stream, kind: &str, body: &Value) -> Record {
    let record = event::activity(OID, "test", kind, &json!({}), clock::now());
    Record { stream, body: body.to_string().into(), ..record }
}
