//! What a program needs to know about itself.

use muster_client::{Client, ClientError};
use muster_model::Oid;
use std::fmt;
use std::path::PathBuf;

/// Name, secret, and where the API is.
#[derive(Clone)]
pub struct Settings {
    /// Name under which the program is registered.
    pub name: String,
    /// The secret that it shares with the server; `None` accepts whatever comes.
    pub secret: Option<String>,
    /// Root of the REST API, such as `https://muster.example:8443`; needed only by programs that call it.
    pub api_url: Option<String>,
    /// PEM file of the certificate authorities of that API; `None` trusts those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether each event and its answer go into the log, without the token.
    pub is_traced: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).field("api_url", &self.api_url).finish_non_exhaustive()
    }
}

impl Settings {
    /// Settings without an API.
    #[must_use]
    pub fn new(name: &str, secret: Option<&str>) -> Self {
        let secret = secret.map(str::to_owned);
        Self { name: name.to_owned(), secret, api_url: None, ca_file: None, is_traced: false }
    }

    /// Settings from the environment: `LC_SHARED_SECRET` (absent: no secret), `LC_API_URL`, `SSL_CERT_FILE`, and
    /// `LC_TRACE` (anything but empty and `0`).
    #[must_use]
    pub fn from_env(name: &str) -> Self {
        let text = |variable: &str| std::env::var(variable).ok().filter(|text| !text.is_empty());
        Self {
            name: name.to_owned(),
            secret: text("LC_SHARED_SECRET"),
            api_url: text("LC_API_URL"),
            ca_file: text("SSL_CERT_FILE").map(PathBuf::from),
            is_traced: text("LC_TRACE").is_some_and(|text| text != "0"),
        }
    }

    /// A caller of the API that acts with the token of one event; `None` if no API is set.
    pub(crate) fn client(&self, oid: Oid, jwt: &str) -> Result<Option<Client>, ClientError> {
        let Some(url) = self.api_url.clone() else { return Ok(None) };
        let settings = muster_client::Settings {
            url,
            oid: oid.to_string(),
            api_key: String::new(),
            uid: None,
            ca_file: self.ca_file.clone(),
            user_agent: format!("muster-service/{} {}", env!("CARGO_PKG_VERSION"), self.name),
        };
        Client::with_token(settings, jwt.to_owned()).map(Some)
    }
}
