//! The configuration that an organization gives to an extension, and secrets that it refers to.
//!
//! Both are records of hives. What is stored is as it was written: what the schema puts in for absent fields, and what
//! is behind references to secrets, goes to the extension alone.
//!
//! Source: reference/extension-protocol.md sections 7 and 8.

use super::post::{Answered, Said, Verdict};
use super::program::Program;
use super::{Error, Services, registry};
use crate::random;
use muster_model::Oid;
use muster_webhook::extension::{
    ConfValidation, Message, ObjectSchema, Org, ResourceState, Schema, Subject, check_config, reveal,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// When each record that an extension is told of was changed last, by its address.
type ResourceStates = BTreeMap<String, ResourceState>;

/// What hives hold for extensions.
pub trait Kept: Send + Sync {
    /// The configuration of an extension that is in force, and when it was changed last, in milliseconds since 1970.
    fn config(&self, oid: Oid, extension: &str) -> Option<(Map<String, Value>, i64)>;

    /// The secret of a record.
    fn secret(&self, oid: Oid, name: &str) -> Option<String>;
}

impl Services {
    /// Checks a configuration that somebody writes: by the schema, and by the extension itself if the organization is
    /// subscribed to it. What is written for an extension that is not there yet is taken as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the reason of the extension; [`Error::Failed`] if it could not be asked.
    pub async fn check_config(&self, oid: Oid, name: &str, config: &Value, ident: &str) -> Result<(), Error> {
        let extension = Program::extension(name);
        let Some(found) = registry::subscribed(&self.records, oid, &extension) else { return Ok(()) };
        let schema = self.schema(found.owner, &extension).await?;
        let config = config.as_object().cloned().unwrap_or_default();
        let conf = check_config(&schema, config).map_err(|refusal| Error::Invalid(refusal.0))?;
        let conf = self.revealed(oid, &schema.config_schema, conf)?;
        let org = Org { oid, jwt: self.token(oid, &extension)?, ident: ident.to_owned() };
        let subject = Subject::ConfValidation(ConfValidation { org, conf });
        let said = Said::Message(Box::new(Message::new(random::uuid().to_string(), subject)));
        match self.call(&found, &extension, &said).await? {
            Verdict::Done(Answered::Extension(_)) => Ok(()),
            // Also where the extension says that another try may mend it: somebody waits, and can try again.
            Verdict::Again(reason) | Verdict::Failed(reason) => Err(Error::Invalid(format!("{name}: {reason}"))),
            Verdict::Closed(closed) => Err(Error::failed(&extension, closed)),
            Verdict::NotImplemented | Verdict::Done(Answered::Service(_)) => Ok(()),
        }
    }

    /// The configuration as an extension gets it, and when it was changed last.
    pub(super) fn config_of(
        &self,
        oid: Oid,
        program: &Program,
        schema: &Schema,
    ) -> Result<(Map<String, Value>, ResourceStates), Error> {
        let Some((stored, changed_ms)) = self.kept.config(oid, &program.name) else { return Ok(Default::default()) };
        // It was right when it was written; the schema may have changed since.
        let config = check_config(schema, stored.clone()).unwrap_or(stored);
        let config = self.revealed(oid, &schema.config_schema, config)?;
        let state = ResourceState { last_mod: changed_ms };
        Ok((config, BTreeMap::from([(format!("hive://extension_config/{}", program.name), state)])))
    }

    /// Values with the secrets in place of references to them.
    pub(super) fn revealed(
        &self,
        oid: Oid,
        schema: &ObjectSchema,
        values: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        reveal(schema, values, |name| self.kept.secret(oid, name)).map_err(|refusal| Error::Invalid(refusal.0))
    }
}
