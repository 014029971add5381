//! Calls of the actions of extensions: at once for whoever waits, or later for rules and continuations.
//!
//! What is asked is checked by the schema before the extension is called. A call that fails is repeated under the same
//! key; one that waits stands in the outbox as an [`Order`], with references to secrets and not with the secrets.
//!
//! Source: reference/extension-protocol.md sections 4, 8 and 13.

use super::fate::{Outcome, Patience};
use super::post::{Answered, Said, Verdict};
use super::program::Program;
use super::registry::Found;
use super::{ERROR_REPORT, Error, REQUEST, SCHEMA, Services, message};
use crate::access::{Caller, TOKEN_TTL_S};
use crate::{clock, random};
use muster_model::Oid;
use muster_store::Delivery;
use muster_webhook::extension::{Acl, Action, Answer, ErrorReport, Event, Message, Org, Schema, Subject, check_action};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::sleep;
use uuid::Uuid;

/// What someone asks an extension for.
pub struct Asked<'a> {
    /// Which action.
    pub action: &'a str,
    /// Its parameters.
    pub data: Map<String, Value>,
    /// An investigation that it belongs to; may be empty.
    pub inv_id: &'a str,
    /// Who asks.
    pub by: By<'a>,
}

/// Who asks an extension for something.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// Somebody with a token, which impersonated actions get.
    Caller(&'a Caller),
    /// A rule: its namespace and its name.
    Rule(&'a str, &'a str),
}

/// A call that waits.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) action: String,
    pub(super) data: Map<String, Value>,
    ident: String,
    inv_id: String,
    /// Whose scopes it has: `dr`, or `continuation`.
    pub(super) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Its key, if that is not the id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// How many continuations led to it.
    #[serde(default)]
    pub(super) level: u32,
}

/// Whose scopes the call of a continuation has. Source: reference/extension-protocol.md section 4.1.
const CONTINUATION: &str = "continuation";

impl By<'_> {
    fn ident(self) -> String {
        match self {
            Self::Caller(caller) => caller.identity.clone(),
            Self::Rule(namespace, rule) => format!("DR:{namespace}.{rule}"),
        }
    }
}

impl Order {
    /// A continuation of a call.
    pub(super) fn continuation(action: String, data: Map<String, Value>, key: String, level: u32) -> Self {
        let (ident, source) = (CONTINUATION.to_owned(), CONTINUATION.to_owned());
        Self { action, data, ident, inv_id: String::new(), source, rule: None, key: Some(key), level }
    }

    pub(super) fn message(&self, program: &Program, id: Uuid) -> super::Message {
        let fields = serde_json::to_value(self).ok();
        message(program, REQUEST, id, fields.as_ref().and_then(Value::as_object).unwrap_or(&Map::new()))
    }

    /// The key and the level of a message that waited.
    pub(super) fn key_of(delivery: &Delivery, body: &[u8]) -> (String, u32) {
        let order = serde_json::from_slice::<Self>(body).ok().filter(|_| delivery.kind == REQUEST);
        let level = order.as_ref().map_or(0, |order| order.level);
        (order.and_then(|order| order.key).unwrap_or_else(|| delivery.id.to_string()), level)
    }
}

impl Services {
    /// What an extension said that it offers.
    #[must_use]
    pub fn schema_of(&self, owner: Oid, name: &str) -> Option<Schema> {
        self.records.get(owner, SCHEMA, name)
    }

    /// What an extension offers; it is asked if that is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if it is not known, and the extension does not say.
    pub async fn schema(&self, owner: Oid, extension: &Program) -> Result<Schema, Error> {
        if let Some(schema) = self.schema_of(owner, &extension.name) {
            return Ok(schema);
        }
        self.ask(owner, extension).await?;
        self.schema_of(owner, &extension.name).ok_or_else(|| Error::Unknown(extension.clone()))
    }

    /// Calls an action of an extension, and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubscribed`], [`Error::Invalid`] if the schema does not allow it, and [`Error::Failed`].
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have been carried out.
    pub async fn act(&self, oid: Oid, name: &str, asked: Asked<'_>) -> Result<Answer, Error> {
        let extension = Program::extension(name);
        let found = self.subscribed(oid, &extension)?;
        let (order, token) = self.ordered(&found, oid, &extension, asked).await?;
        let key = random::uuid().to_string();
        let schema = self.schema(found.owner, &extension).await?;
        let patience = Patience::with(extension.protocol);
        let mut made = 0;
        let reason = loop {
            let said = self.call_of(oid, &extension, &schema, &order, (&key, token.clone()))?;
            let verdict = match self.call(&found, &extension, &Said::Message(Box::new(said))).await {
                Err(Error::Failed { reason, .. }) => Verdict::Again(reason),
                called => called?,
            };
            made += 1;
            match verdict {
                Verdict::Done(Answered::Extension(answer)) => {
                    self.take_aftermath(oid, &extension, (&key, 0), &answer).await?;
                    return Ok(answer);
                }
                Verdict::Again(_) if made < patience.tries_max => sleep(patience.pause(made, random::number())).await,
                Verdict::Again(reason) | Verdict::Failed(reason) => break reason,
                Verdict::Closed(closed) => break closed.into(),
                Verdict::NotImplemented | Verdict::Done(Answered::Service(_)) => break "it has no such action".into(),
            }
        };
        self.tell(oid, &extension, &format!("{}: {reason}", order.action)).await;
        self.tell_program(oid, &extension, (REQUEST, &key), &reason).await;
        Err(Error::failed(&extension, reason))
    }

    /// Has an action called later for a rule; the call is stored when this answers. `id` is its key.
    ///
    /// # Errors
    ///
    /// As [`Services::act`], and [`Error::NeedsCaller`], [`Error::Full`], and whatever the store says.
    pub async fn act_later(&self, oid: Oid, name: &str, asked: Asked<'_>, id: Uuid) -> Result<(), Error> {
        let extension = Program::extension(name);
        let found = self.subscribed(oid, &extension)?;
        let (order, _) = self.ordered(&found, oid, &extension, asked).await?;
        self.put(oid, &extension, vec![order.message(&extension, id)]).await
    }

    /// Checks what is asked, and gives the call with the token of the caller if the action acts as whoever calls it.
    async fn ordered(
        &self,
        found: &Found,
        oid: Oid,
        extension: &Program,
        asked: Asked<'_>,
    ) -> Result<(Order, Option<String>), Error> {
        let Asked { action, data, inv_id, by } = asked;
        let mut schema = self.schema(found.owner, extension).await?;
        if !schema.request_schema.contains_key(action) {
            // It may be newer than what is known.
            self.ask(found.owner, extension).await?;
            schema = self.schema(found.owner, extension).await?;
        }
        let data = match check_action(&schema, action, data) {
            Ok(data) => data,
            Err(refusal) => {
                self.tell(oid, extension, &refusal.0).await;
                return Err(Error::Invalid(refusal.0));
            }
        };
        let (is_impersonated, allows_rules) = schema
            .request_schema
            .get(action)
            .map_or((false, false), |action| (action.is_impersonated, action.allow_automation));
        let (source, rule, token) = match by {
            By::Rule(..) if is_impersonated && !allows_rules => {
                return Err(Error::NeedsCaller { program: extension.clone(), action: action.to_owned() });
            }
            By::Rule(_, rule) => ("dr", allows_rules.then(|| rule.to_owned()), None),
            By::Caller(caller) if is_impersonated => {
                let token = self.secrets.token(caller.clone(), TOKEN_TTL_S, None, clock::now());
                let token = token.map_err(|_| Error::failed(extension, "no token could be made"))?;
                ("impersonated", None, Some(token))
            }
            By::Caller(_) => ("user", None, None),
        };
        let (action, ident, inv_id, source) = (action.to_owned(), by.ident(), inv_id.to_owned(), source.to_owned());
        Ok((Order { action, data, ident, inv_id, source, rule, key: None, level: 0 }, token))
    }

    /// A call as it is sent now.
    fn call_of(
        &self,
        oid: Oid,
        program: &Program,
        schema: &Schema,
        order: &Order,
        (key, token): (&str, Option<String>),
    ) -> Result<Message, Error> {
        let jwt = token.map_or_else(|| self.token(oid, program), Ok)?;
        let parameters = schema.request_schema.get(&order.action).map(|action| &action.parameters);
        let data = match parameters.filter(|_| order.source != CONTINUATION) {
            Some(parameters) => self.revealed(oid, parameters, order.data.clone())?,
            // The state of a continuation is the extension's own.
            None => order.data.clone(),
        };
        let (config, resource_state) = self.config_of(oid, program, schema)?;
        let action = Action {
            org: Org { oid, jwt, ident: order.ident.clone() },
            action: order.action.clone(),
            data,
            config,
            resource_state,
            inv_id: order.inv_id.clone(),
            acl: Some(Acl::open(&order.source)),
            automation_rule: order.rule.clone(),
        };
        Ok(Message::new(key, Subject::Request(action)))
    }

    /// What a message that waited says now; `None` if the extension does not want to hear it.
    pub(super) async fn message_to_extension(
        &self,
        found: &Found,
        oid: Oid,
        program: &Program,
        delivery: &Delivery,
        data: Map<String, Value>,
    ) -> Result<Option<Message>, Outcome> {
        let schema = self.schema(found.owner, program).await.map_err(|error| Outcome::Again(error.to_string()))?;
        let (id, kind) = (delivery.id.to_string(), delivery.kind.as_str());
        match kind {
            REQUEST => {
                let Ok(order) = serde_json::from_value::<Order>(Value::Object(data)) else { return Ok(None) };
                let key = order.key.clone().unwrap_or(id);
                Ok(Some(self.call_of(oid, program, &schema, &order, (&key, None))?))
            }
            ERROR_REPORT => {
                let report = serde_json::from_value::<ErrorReport>(Value::Object(data)).ok();
                Ok(report.map(|report| Message::new(id, Subject::ErrorReport(report))))
            }
            event_name if schema.required_events.iter().any(|wanted| wanted == event_name) => {
                let org = Org { oid, jwt: self.token(oid, program)?, ident: program.target() };
                let (config, _) = self.config_of(oid, program, &schema)?;
                let event = Event { org, event_name: event_name.to_owned(), data, config };
                Ok(Some(Message::new(id, Subject::Event(event))))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_19_1_12_a_call_that_waited_keeps_its_key_and_its_level() {
        let delivery = Delivery {
            position: 1,
            target: "extension/a".into(),
            id: Uuid::from_u128(7),
            kind: REQUEST.into(),
            at: muster_model::Timestamp::ZERO,
            bytes: 0,
            tries: muster_store::Tries::default(),
        };
        let order = Order::continuation("more".into(), Map::new(), "k:1:2".into(), 2);
        let body = order.message(&Program::extension("a"), delivery.id).body;
        assert_eq!(Order::key_of(&delivery, &body), ("k:1:2".into(), 2));
        assert_eq!(Order::key_of(&delivery, b"{}"), (delivery.id.to_string(), 0));
    }
}
