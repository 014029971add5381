//! Requests and answers: tokens, forms, errors, bounds.

use crate::ClientError;
use muster_api_types::{ErrorCode, Token};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// A server that does not accept a connection in this time is not there.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Longest silence of the server; streams send a keepalive more often than this.
const SILENCE_MAX: Duration = Duration::from_secs(121);

/// Largest answer: a page of 10,000 sensors or events stays far below it.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Longest error text that is shown when the server did not answer with JSON.
const ERROR_CHARS_MAX: usize = 200;

/// Where a server is, and who calls.
#[derive(Clone)]
pub struct Settings {
    /// Root of the API, such as `https://127.0.0.1:8443`; a path prefix is allowed.
    pub url: String,
    /// Organization id.
    pub oid: String,
    /// API key of the organization, or of a user.
    pub api_key: String,
    /// User id, with user keys only.
    pub uid: Option<String>,
    /// PEM file of the only certificate authorities to trust; `None` trusts those of the system.
    pub ca_file: Option<PathBuf>,
    /// Name and version of the calling program.
    pub user_agent: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("oid", &self.oid).finish_non_exhaustive()
    }
}

/// A caller of one organization's API.
pub struct Client {
    pub(crate) settings: Settings,
    pub(crate) http: reqwest::Client,
    root: Url,
    token: Mutex<Option<String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Names and values of a query or form; names may repeat.
pub(crate) type Pairs<'a> = Vec<(&'a str, String)>;

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Settings`] if the address or the certificate file cannot be used.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let wrong = |what: String| ClientError::Settings(what);
        let root = Url::parse(settings.url.trim_end_matches('/'))
            .map_err(|error| wrong(format!("{} is not a server address: {error}", settings.url)))?;
        if !matches!(root.scheme(), "http" | "https") || root.cannot_be_a_base() {
            return Err(wrong(format!(
                "{} is not a server address: it must begin with https:// or http://",
                settings.url
            )));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(&settings.user_agent)
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = settings.ca_file.as_ref().filter(|_| root.scheme() == "https") {
            let pem = std::fs::read(path).map_err(|source| ClientError::File { path: path.clone(), source })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| wrong(format!("{} holds no certificates in PEM form", path.display())))?;
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|error| wrong(format!("cannot set up connections: {error}")))?;
        Ok(Self { settings, http, root, token: Mutex::new(None) })
    }

    /// A client that acts with a token that somebody else obtained; `api_key` of the settings is not used.
    ///
    /// When the token is over, calls fail with status 401.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn with_token(settings: Settings, token: String) -> Result<Self, ClientError> {
        let settings = Settings { api_key: String::new(), ..settings };
        Ok(Self { token: Mutex::new(Some(token)), ..Self::new(settings)? })
    }

    /// The organization that this client calls for.
    #[must_use]
    pub fn oid(&self) -> &str {
        &self.settings.oid
    }

    /// The root of the API.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.root
    }

    /// An address below the root, each segment percent-encoded.
    pub(crate) fn at(&self, segments: &[&str]) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// A fresh token with a validity of its own, in seconds.
    ///
    /// # Errors
    ///
    /// 401 if the key is not valid for the organization.
    pub async fn token(&self, validity_s: Option<u64>) -> Result<String, ClientError> {
        let mut form: Pairs<'_> = vec![("secret", self.settings.api_key.clone()), ("oid", self.settings.oid.clone())];
        form.extend(self.settings.uid.clone().map(|uid| ("uid", uid)));
        form.extend(validity_s.map(|seconds| ("expiry", seconds.to_string())));
        let request = self.http.request(Method::POST, self.at(&["jwt"])).form(&form);
        Ok(json_of::<Token>(self.send(request).await?).await?.jwt)
    }

    /// The token in use, or a fresh one.
    pub(crate) async fn current_token(&self) -> Result<String, ClientError> {
        let mut token = self.token.lock().await;
        match &*token {
            Some(token) => Ok(token.clone()),
            None => Ok(token.insert(self.token(None).await?).clone()),
        }
    }

    /// Calls the API; one more time with a fresh token if the server says that the token is over.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Pairs<'_>,
        form: Pairs<'_>,
    ) -> Result<T, ClientError> {
        let segments: Vec<&str> = std::iter::once("v1").chain(path.iter().copied()).collect();
        let mut url = self.at(&segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(&query);
        }
        let request = |token: &str| {
            let request = self.http.request(method.clone(), url.clone()).bearer_auth(token);
            if method == Method::GET { request } else { request.form(&form) }
        };
        json_of(self.authorized(request).await?).await
    }

    /// A call with a JSON body, or none, anywhere below the root.
    pub(crate) async fn call_at<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let request = |token: &str| {
            let request = self.http.request(method.clone(), self.at(path)).bearer_auth(token).query(query);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        json_of(self.authorized(request).await?).await
    }

    /// Sends a request; one more time with a fresh token if the server says that the token is over.
    async fn authorized(&self, request: impl Fn(&str) -> RequestBuilder) -> Result<Response, ClientError> {
        for is_last in [false, true] {
            let token = self.current_token().await?;
            match self.send(request(&token)).await {
                Ok(response) => return Ok(response),
                Err(ClientError::Refused { status: 401, code, .. })
                    if !is_last && code != Some(ErrorCode::MissingPermission) && self.can_renew() =>
                {
                    let mut current = self.token.lock().await;
                    if current.as_deref() == Some(token.as_str()) {
                        *current = None;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::Answer("the server refuses its own tokens".into()))
    }

    /// Whether there is a key to get another token with.
    fn can_renew(&self) -> bool {
        !self.settings.api_key.is_empty()
    }

    /// A call without query or form.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: Pairs<'_>) -> Result<T, ClientError> {
        self.call(Method::GET, path, query, Vec::new()).await
    }

    /// A call whose answer says nothing more than that it was done.
    pub(crate) async fn act(&self, method: Method, path: &[&str], form: Pairs<'_>) -> Result<(), ClientError> {
        self.call::<IgnoredAny>(method, path, Vec::new(), form).await.map(drop)
    }

    /// Sends a request; gives responses of status 2xx only.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let url = error.url().unwrap_or(&self.root);
        ClientError::Unreachable { address: url.origin().ascii_serialization(), cause: innermost(error) }
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

async fn refusal(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|text| text.parse().ok());
    let body = body_of(response).await.unwrap_or_default();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, mut message) = (text("error_code").parse().ok(), text("error"));
    if message.is_empty() {
        message = format!("HTTP {status} {}", String::from_utf8_lossy(&body));
        message = message.trim().chars().take(ERROR_CHARS_MAX).collect();
    }
    ClientError::Refused { status, code, message, retry_after_s }
}

/// The whole body, up to the bound.
async fn body_of(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::Answer(innermost(&error)))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Answer(format!("it is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

pub(crate) async fn json_of<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let body = body_of(response).await?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(body).map_err(|error| ClientError::Answer(error.to_string()))
}
