//! What a handler gets and gives.

use super::{ApiError, Form};
use crate::access::{Caller, Reach};
use crate::app::App;
use crate::clock;
use crate::intake::Record;
use crate::intake::event::{self, Actor};
use crate::organization::Organization;
use crate::organization::Place;
use crate::transfer::Grantee;
use bytes::Bytes;
use http::{Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use muster_model::{Oid, Sid};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Body of every response.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An authorized request.
pub struct Call {
    /// The server.
    pub app: Arc<App>,
    /// Who calls; a caller without any scope on public routes.
    pub caller: Caller,
    /// The organization the call is about, as far as the route says one.
    pub organization: Option<Arc<Organization>>,
    /// Fields of the query and of the body, which wins where both have one. All of them are in the route's entry
    /// of the table, unless the route is open.
    pub fields: Form,
    /// The body; empty on streaming routes.
    pub body: Bytes,
    /// The object in a long body, which was read beside those who serve connections; see [`Call::take_json`].
    pub(super) read: Option<Map<String, Value>>,
    /// The body of a streaming route.
    pub stream: Option<Incoming>,
    /// Headers.
    pub headers: http::HeaderMap,
    /// `https://host:port`, as the client addressed this server; begins URLs that are given out.
    pub base: String,
    /// Where it comes from.
    pub source: Option<IpAddr>,
    /// Its sender is dropped when nobody waits for the answer any more.
    pub gone: tokio::sync::watch::Receiver<()>,
    pub(super) path: HashMap<&'static str, String>,
}

impl Call {
    /// A decoded segment of the path; empty if the route has no such name.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// The organization of the call.
    ///
    /// # Errors
    ///
    /// 400 if the route does not say one and the token has several.
    pub fn organization(&self) -> Result<&Arc<Organization>, ApiError> {
        self.organization.as_ref().ok_or_else(|| ApiError::bad_request("oid is required"))
    }

    /// The sensor id in the path.
    ///
    /// # Errors
    ///
    /// 404 if it is not an id.
    pub fn sid(&self) -> Result<Sid, ApiError> {
        bare_sensor_id(self.path("sid")).parse().map_err(|_| ApiError::not_found("sensor not found"))
    }

    /// The sensor in the path, deleted ones too.
    ///
    /// # Errors
    ///
    /// 404 if the organization of the call has no such sensor.
    pub fn place_even_deleted(&self) -> Result<Place, ApiError> {
        let (organization, sid) = (self.organization()?, self.sid()?);
        let ordinal = organization.state.lock().fleet.ordinal(sid);
        let ordinal = ordinal.ok_or_else(|| ApiError::not_found("sensor not found"))?;
        Ok(Place { organization: Arc::clone(organization), ordinal })
    }

    /// The sensor in the path.
    ///
    /// # Errors
    ///
    /// 404 if the organization of the call has no such sensor, or it was deleted.
    pub fn place(&self) -> Result<Place, ApiError> {
        let place = self.place_even_deleted()?;
        let is_live = place.organization.state.lock().fleet.live().contains(place.ordinal);
        if is_live { Ok(place) } else { Err(ApiError::not_found("sensor not found")) }
    }

    /// The caller, as one to whom a transfer is granted with this permission.
    #[must_use]
    pub fn grantee(&self, permission: &'static str) -> Grantee {
        Grantee { caller: self.caller.clone(), permission }
    }

    /// Who calls, for audit records.
    #[must_use]
    pub fn actor(&self) -> Actor {
        self.caller.actor(self.source)
    }

    /// How far the caller reaches in an organization.
    #[must_use]
    pub fn reach(&self, oid: Oid) -> Reach<'_> {
        Reach::of(&self.app.records, oid, &self.actor())
    }

    /// The audit record of a change, to be stored in the same commit as the change.
    #[must_use]
    pub fn audit(&self, oid: Oid, message: &str, entity: &Value, action: &str, detail: &Value) -> Record {
        event::audit(oid, &self.actor(), message, entity, action, detail, clock::now())
    }

    /// The JSON object in the body, which is read no second time if it is long; `None` if the body is a form.
    ///
    /// # Errors
    ///
    /// As [`Call::json`].
    pub fn take_json(&mut self) -> Result<Option<Map<String, Value>>, ApiError> {
        match self.read.take() {
            Some(object) => Ok(Some(object)),
            None => self.json(),
        }
    }

    /// The JSON object in the body; `None` if the body is a form.
    ///
    /// # Errors
    ///
    /// 400 saying where it is wrong.
    pub fn json(&self) -> Result<Option<Map<String, Value>>, ApiError> {
        let has_json = super::fields::holds_json(&self.headers, &self.body);
        has_json.then(|| super::fields::object(&self.body)).transpose()
    }

    /// All fields with their values as the client gave them: text, or whatever stood in a JSON body.
    ///
    /// # Errors
    ///
    /// As [`Call::json`].
    pub fn object(&self) -> Result<Map<String, Value>, ApiError> {
        let mut object = self.json()?.unwrap_or_default();
        object.retain(|_, value| !value.is_null());
        for (name, value) in self.fields.pairs() {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), value.into());
            }
        }
        Ok(object)
    }
}

/// The sensor id of an agent id (`OID.IID.SID.PLATFORM.ARCH`), which is accepted wherever a sensor id is.
pub(super) fn bare_sensor_id(text: &str) -> &str {
    text.split('.').nth(2).unwrap_or(text)
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

impl Reply {
    /// 200 with a JSON body.
    pub fn json(value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
        Self::bytes("application/json", Bytes::from(bytes))
    }

    /// 200 with an empty object.
    #[must_use]
    pub fn done() -> Self {
        Self::bytes("application/json", Bytes::from_static(b"{}"))
    }

    /// 200 with bytes of a media type.
    #[must_use]
    pub fn bytes(media_type: &str, bytes: Bytes) -> Self {
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Self { status: 200, headers: vec![("content-type", media_type.to_owned())], body }
    }

    /// 200 with a body that is produced as it goes.
    #[must_use]
    pub fn stream(media_type: &str, body: Body) -> Self {
        Self { status: 200, headers: vec![("content-type", media_type.to_owned())], body }
    }

    /// The same reply with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same reply with another JSON body.
    #[must_use]
    pub(super) fn with_body(self, value: &impl Serialize) -> Self {
        Self { body: Self::json(value).body, ..self }
    }

    /// The same reply with another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl Reply {
    /// The response that a client gets.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status).header(header::CACHE_CONTROL, "no-store");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(self.body).unwrap_or_else(|error| {
            let reply = Self::from(&ApiError::internal(error));
            let mut response = Response::new(reply.body);
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

impl From<&ApiError> for Reply {
    fn from(error: &ApiError) -> Self {
        let body = serde_json::json!({"error": error.message, "error_code": error.code});
        let mut reply = Self::json(&body).status(error.code.status());
        if let Some(seconds) = error.retry_after_s {
            reply = reply.header("retry-after", seconds.to_string());
        }
        // Source: reference/rest-api.md section 4: both headers, both integers.
        if let Some(calls) = error.calls_per_minute {
            reply = reply.header("x-ratelimit-quota", calls.to_string()).header("x-ratelimit-period", "60");
        }
        if !error.allowed.is_empty() {
            let names: Vec<&str> = error.allowed.iter().map(|method| method.name()).collect();
            reply = reply.header("allow", names.join(", "));
        }
        reply
    }
}
