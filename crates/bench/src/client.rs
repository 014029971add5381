//! The REST API, as one organization's key may use it.

use crate::fleet;
use anyhow::{Context as _, bail};
use muster_model::{Oid, Sid};
use muster_server::tasking::EXTENSION;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Answers may take this long: a request for a million sensors is one.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// An organization of a server, and a token for it.
#[derive(Clone)]
pub struct Client {
    oid: Oid,
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// Exchanges an API key for a token.
    pub async fn new(base: String, oid: Oid, api_key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_MAX).build()?;
        let text = oid.to_string();
        let exchange = [("oid", text.as_str()), ("secret", api_key)];
        let answer: Value = http.post(format!("{base}/jwt")).form(&exchange).send().await?.json().await?;
        let token = answer["jwt"].as_str().with_context(|| format!("no token: {answer}"))?.to_owned();
        Ok(Self { oid, http, base, token })
    }

    /// `http://host:port` of the server.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The organization.
    pub fn oid(&self) -> Oid {
        self.oid
    }

    /// Signs the first user in to the console, as a page of it does; gives the cookie of the session.
    pub async fn sign_in(&self) -> anyhow::Result<String> {
        let made = self.post(&format!("orgs/{}/users/link", self.oid), &[]).await?;
        let path = made["path"].as_str().with_context(|| format!("no link: {made}"))?;
        let (_, once) = path.split_once("#once=").with_context(|| format!("no link: {path}"))?;
        let form = [("once", once), ("user", "bench@example.org"), ("password", "correct horse battery")];
        let request = self.http.post(format!("{}/console/api/link/use", self.base)).form(&form);
        let answer = request.header("origin", &self.base).header("x-muster-console", "1").send().await?;
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.with_context(|| format!("no session: {}", answer.status()))?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// Asks the tasking extension; gives the answer, and the time until it was there.
    pub async fn ask(&self, action: &str, data: &Value) -> anyhow::Result<(Value, Duration)> {
        let (oid, data) = (self.oid.to_string(), data.to_string());
        let form = [("oid", oid.as_str()), ("action", action), ("data", data.as_str())];
        let began = Instant::now();
        let mut answer = self.post(&format!("extension/request/{EXTENSION}"), &form).await?;
        Ok((answer["data"].take(), began.elapsed()))
    }

    /// Asks for a task for these sensors; gives its id.
    pub async fn task(&self, selector: &str) -> anyhow::Result<(String, Duration)> {
        let (answer, took) = self.ask("task", &json!({"task": "os_version", "selector": selector})).await?;
        Ok((answer["task_id"].as_str().context("no task_id")?.to_owned(), took))
    }

    /// A new installation key, as sensors are given it.
    pub async fn installation_key(&self) -> anyhow::Result<String> {
        let path = format!("installationkeys/{}", self.oid);
        let made = self.post(&path, &[("desc", "bench")]).await?;
        let iid = made["iid"].as_str().with_context(|| format!("no installation key: {made}"))?;
        let key = self.get(&format!("{path}/{iid}")).await?;
        Ok(key["key"].as_str().with_context(|| format!("no key in {key}"))?.to_owned())
    }

    /// Ids of all sensors.
    pub async fn sids(&self) -> anyhow::Result<Vec<Sid>> {
        let all = self.get(&format!("sensors/{}", self.oid)).await?;
        let sids = all["sensors"].as_array().into_iter().flatten();
        Ok(sids.filter_map(|sensor| sensor["sid"].as_str()?.parse().ok()).collect())
    }

    /// Whether a sensor has a link.
    pub async fn is_online(&self, sid: Sid) -> anyhow::Result<bool> {
        Ok(self.get(&sid.to_string()).await?["is_online"] == true)
    }

    /// Puts a tag on a sensor.
    pub async fn tag(&self, ordinal: u32, tag: &str) -> anyhow::Result<()> {
        self.post(&format!("{}/tags", fleet::sid_of(ordinal)), &[("tags", tag)]).await.map(drop)
    }

    /// Sets a detection and response rule.
    pub async fn rule(&self, name: &str, rule: &Value) -> anyhow::Result<()> {
        self.set("dr-general", name, rule).await
    }

    /// Sets a record of a hive, and has it in force.
    pub async fn set(&self, hive: &str, name: &str, data: &Value) -> anyhow::Result<()> {
        let (data, enabled) = (data.to_string(), json!({"enabled": true}).to_string());
        let form = [("data", data.as_str()), ("usr_mtd", enabled.as_str())];
        self.post(&format!("hive/{hive}/{}/{name}/data", self.oid), &form).await.map(drop)
    }

    /// Deletes a record of a hive.
    pub async fn delete(&self, hive: &str, name: &str) -> anyhow::Result<()> {
        let request = self.http.delete(format!("{}/v1/hive/{hive}/{}/{name}", self.base, self.oid));
        self.answer(request).await.map(drop)
    }

    /// Creates an output.
    pub async fn output(&self, form: &[(&str, &str)]) -> anyhow::Result<()> {
        self.post(&format!("outputs/{}", self.oid), form).await.map(drop)
    }

    /// Registers a service of others, private addresses included, asks how it is, and subscribes to it.
    pub async fn subscribe(&self, name: &str, url: &str) -> anyhow::Result<()> {
        let path = format!("services/{}/{name}", self.oid);
        self.register(name, url).await?;
        self.post(&format!("{path}/health"), &[]).await?;
        self.post(&format!("{path}/subscription"), &[]).await.map(drop)
    }

    /// Registers a service that is dead, and subscribes to it all the same.
    pub async fn subscribe_to_dead(&self, name: &str, url: &str) -> anyhow::Result<()> {
        self.register(name, url).await?;
        self.post(&format!("services/{}/{name}/subscription", self.oid), &[]).await.map(drop)
    }

    async fn register(&self, name: &str, url: &str) -> anyhow::Result<()> {
        let form = [("url", url), ("secret", "bench"), ("allow_private", "true")];
        self.post(&format!("services/{}/{name}", self.oid), &form).await.map(drop)
    }

    /// Has a service asked for something later.
    pub async fn request_later(&self, name: &str) -> anyhow::Result<()> {
        let form = [("request_data", "{}"), ("is_async", "true")];
        self.post(&format!("service/{}/{name}", self.oid), &form).await.map(drop)
    }

    /// Tries a rule on events.
    pub async fn replay(&self, rule: &Value, events: &[Value]) -> anyhow::Result<Value> {
        let body = json!({"oid": self.oid, "rule_source": {"rule": rule}, "event_source": {"events": events}});
        self.answer(self.http.post(format!("{}/", self.base)).json(&body)).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.get(format!("{}/v1/{path}", self.base))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Value> {
        self.answer(self.http.post(format!("{}/v1/{path}", self.base)).form(form)).await
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.token).send().await?;
        let (path, status) = (answer.url().path().to_owned(), answer.status());
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{path}: no JSON: {text}"))
    }
}
