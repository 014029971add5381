//! Webhooks: what is posted to one becomes events. Source: reference/extension-protocol.md section 11.

use crate::transport::json_of;
use crate::{Client, ClientError};
use flate2::Compression;
use flate2::write::GzEncoder;
use muster_api_types::Urls;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::io::Write as _;

impl Client {
    /// Where webhooks of the organization are.
    ///
    /// # Errors
    ///
    /// Whatever the server says, and [`ClientError::Answer`] if that is no address.
    pub async fn hooks(&self) -> Result<Url, ClientError> {
        let Urls { url, .. } = self.get(&["orgs", self.oid(), "url"], Vec::new()).await?;
        let hooks = url.get("hooks").cloned().unwrap_or_default();
        let address = if hooks.contains("://") { hooks } else { format!("https://{hooks}") };
        let url = Url::parse(&address).ok().filter(|url| !url.cannot_be_a_base());
        url.ok_or_else(|| ClientError::Answer(format!("{address} is no address of webhooks")))
    }

    /// Posts an event, or a list of them, to a webhook at one of [`Client::hooks`]. Nobody is told who posts: whoever knows the
    /// secret may.
    ///
    /// # Errors
    ///
    /// Whatever the server says; what is not answered may have been taken in.
    pub async fn post_events(&self, hooks: &Url, name: &str, secret: &str, events: &Value) -> Result<(), ClientError> {
        let mut url = hooks.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([self.oid(), name, secret]);
        }
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        // Memory takes every byte.
        let packed = packer.write_all(events.to_string().as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        let request = self.http.post(url).header(CONTENT_TYPE, "application/json");
        let request = request.header(CONTENT_ENCODING, "gzip").body(packed);
        json_of::<IgnoredAny>(self.send(request).await?).await.map(drop)
    }
}
