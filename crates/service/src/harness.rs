//! A test harness: sends events to a program in this process, signed as a server signs them.

use crate::extension::Extension;
use crate::{Handler, Program, Service, fresh_id, now};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use muster_model::Oid;
use muster_webhook::extension::{Action, ConfValidation, Event, Message, Org, Subject};
use muster_webhook::service::{Envelope, Etype};
use muster_webhook::{EXTENSION_HEADER, SERVICE_HEADER, sign};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Sends events to a program of this process.
#[derive(Debug)]
pub struct Harness<H> {
    handler: H,
    org: Option<(Oid, String)>,
    config: Map<String, Value>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// The answer; `null` if there was none.
    pub body: Value,
}

impl<H: Handler> Harness<H> {
    /// Events without an organization.
    #[must_use]
    pub fn new(handler: H) -> Self {
        Self { handler, org: None, config: Map::new() }
    }

    /// Events of this organization, with a token for its API.
    #[must_use]
    pub fn of(self, oid: Oid, jwt: &str) -> Self {
        Self { org: Some((oid, jwt.to_owned())), ..self }
    }

    /// The program.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Sends any body under a signature of your own.
    pub async fn send_raw(&self, header: &'static str, signature: Option<&str>, body: impl Into<Bytes>) -> Received {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature.and_then(|signature| HeaderValue::from_str(signature).ok()) {
            headers.insert(header, signature);
        }
        let response = self.handler.receive(&headers, body.into()).await;
        Received { status: response.status, body: serde_json::from_slice(&response.body).unwrap_or_default() }
    }

    async fn send_signed(&self, header: &'static str, body: Vec<u8>) -> Received {
        let signature = sign(self.handler.secret().unwrap_or_default(), &body);
        self.send_raw(header, Some(&signature), body).await
    }
}

impl<S: Service> Harness<Program<S>> {
    /// Sends an event with `data`; anything but an object is sent as an empty one.
    pub async fn send(&self, etype: &str, data: Value) -> Received {
        let data = object(data);
        let mut event = Envelope::new(Etype::Health, &fresh_id(), now(), data);
        event.etype = etype.to_owned();
        if let Some((oid, jwt)) = &self.org {
            event = event.of(*oid, jwt.clone());
        }
        self.send_signed(SERVICE_HEADER, event.to_vec()).await
    }
}

impl Harness<Extension> {
    /// The configuration that comes along with each message.
    #[must_use]
    pub fn configured(self, config: Value) -> Self {
        Self { config: object(config), ..self }
    }

    /// Sends a message about `subject`.
    pub async fn message(&self, subject: Subject) -> Received {
        let message = Message::new(fresh_id(), subject);
        self.send_signed(EXTENSION_HEADER, message.to_vec()).await
    }

    /// Asks for the schema.
    pub async fn schema(&self) -> Received {
        self.message(Subject::SchemaRequest {}).await
    }

    /// Calls an action. Nothing checks the parameters before, as a server would.
    pub async fn action(&self, action: &str, data: Value) -> Received {
        let action = Action {
            org: self.org_block(),
            action: action.to_owned(),
            data: object(data),
            config: self.config.clone(),
            resource_state: BTreeMap::new(),
            inv_id: fresh_id(),
            acl: None,
            automation_rule: None,
        };
        self.message(Subject::Request(action)).await
    }

    /// Tells of an event, such as `subscribe`.
    pub async fn event(&self, name: &str) -> Received {
        let (org, config) = (self.org_block(), self.config.clone());
        self.message(Subject::Event(Event { org, event_name: name.to_owned(), data: Map::new(), config })).await
    }

    /// Asks whether a configuration is right.
    pub async fn validate(&self, config: Value) -> Received {
        self.message(Subject::ConfValidation(ConfValidation { org: self.org_block(), conf: object(config) })).await
    }

    /// The organization; an empty one if none was named, since these messages always have one.
    fn org_block(&self) -> Org {
        let nobody = || (Oid(uuid::Uuid::nil()), String::new());
        let (oid, jwt) = self.org.clone().unwrap_or_else(nobody);
        Org { oid, jwt, ident: "harness".to_owned() }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
