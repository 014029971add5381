//! What a callback gets.

use crate::interactive::Target;
use crate::{Client, Error, Handle};
use muster_model::Oid;
use muster_webhook::service::{InvestigationId, callback_key};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

/// One event, and what a callback needs to deal with it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What the event is about, such as `detection`.
    pub etype: String,
    /// Message id: the same each time one event is delivered.
    pub mid: String,
    /// The organization; `None` where the event has none.
    pub oid: Option<Oid>,
    /// What else was said; depends on the event.
    pub data: Map<String, Value>,
    /// A fresh id that ties tasks of this call to their answers.
    pub investigation_id: String,
    /// The program: its log, its resources, its background work.
    pub program: Handle,
    pub(crate) client: Option<Arc<Client>>,
}

impl Call {
    /// A caller of the REST API, authenticated for the organization.
    ///
    /// # Errors
    ///
    /// If the event belongs to no organization, or the program does not know where the API is.
    pub fn client(&self) -> Result<&Client, Error> {
        self.client.as_deref().ok_or_else(|| {
            let no_api = self.program.settings().api_url.is_none();
            let why = if no_api { "set LC_API_URL: where the API is" } else { "the event belongs to no organization" };
            why.into()
        })
    }

    /// A text of `data`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }

    /// `data` as a type of yours.
    ///
    /// # Errors
    ///
    /// Says which field is wrong or missing.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(Value::Object(self.data.clone()))?)
    }

    /// Sends a command line to a sensor; its answers lead to a callback of [`Service::replies`](crate::Service::replies).
    ///
    /// # Errors
    ///
    /// As [`Call::client`], and whatever the server says: it refuses if the sensor is offline.
    pub async fn task(&self, sid: &str, command: &str, target: &Target<'_>) -> Result<(), Error> {
        let settings = self.program.settings();
        let id = InvestigationId {
            callback_key: callback_key(settings.secret.as_deref(), target.callback),
            job: target.job.map(|job| job.id.clone()).unwrap_or_default(),
            context: target.context.to_owned(),
        };
        self.client()?.task(sid, command, Some(&id.of(&settings.name))).await?;
        Ok(())
    }
}
