//! `ext-infrastructure`: the configuration of an organization as one document.
//!
//! `fetch` writes the asked sections down, `push` makes the organization look like a
//! document: what is new or differs is set and, with `is_force`, what the document does
//! not have goes. A push is planned and checked as a whole before anything is touched,
//! and made in one commit: all of it, or nothing. A dry run is the same plan without
//! the commit.
//!
//! It acts with the permissions of the caller, section by section, and so needs no
//! subscription. Rules cannot call it.
//!
//! Source: reference/rest-api.md sections 7.7, 7.8; reference/detection-response.md section 1.2.

mod document;
mod fetch;
mod hives;
mod keys;
mod options;
mod plan;
mod sections;

pub use document::yaml_text;

use super::table::{Action, Extension, Field};
use super::{Error, Extensions};
use crate::access::{self, Caller};
use crate::hive;
use crate::intake::event::Actor;
use crate::organization::Organization;
use crate::service::Changed;
use document::Document;
use muster_api_types::{InfrastructureDocument, InfrastructurePush, schema};
use options::Options;
use plan::{Plan, Planned};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Name of the extension.
pub const EXTENSION: &str = "ext-infrastructure";

pub(super) const TABLE: Extension = Extension { name: EXTENSION, actions: ACTIONS, required_events: &[] };

const OPTIONS: &str = "sync_outputs and so on: true; sync_hives: hive to true";

const ACTIONS: &[Action] = &[
    Action {
        name: "fetch",
        about: "The configuration as one document",
        is_user_facing: true,
        is_impersonated: true,
        permission: None,
        fields: &[Field::new("options", "object", "Options", OPTIONS)],
        answers: schema::of::<InfrastructureDocument>,
        requirements: &[],
    },
    Action {
        name: "push",
        about: "Make the organization look like a document",
        is_user_facing: true,
        is_impersonated: true,
        permission: None,
        fields: &[
            Field::new("config", "yaml", "Configuration", "YAML text with version: 3 and sections"),
            Field::new(
                "options",
                "object",
                "Options",
                "as for fetch, and is_dry_run, is_force, ignore_inaccessible, skip_unknown",
            ),
        ],
        answers: schema::of::<InfrastructurePush>,
        requirements: &[&["config"]],
    },
];

/// Name of the older service that does the same.
pub const SERVICE: &str = "infrastructure-service";

/// What the caller may do in the organization.
struct Rights(Arc<BTreeSet<String>>);

impl Rights {
    fn may(&self, permission: &str) -> bool {
        self.0.contains(permission)
    }

    fn require(&self, permission: &str) -> Result<(), Error> {
        if self.may(permission) { Ok(()) } else { Err(access::Error::MissingPermission(permission.to_owned()).into()) }
    }
}

/// Carries out an action of the extension for a caller: `fetch` gives `org`, `push` gives `ops` and `errors`.
///
/// # Errors
///
/// For unknown actions and options and for a document that cannot be read; [`Error::Access`] naming the permission
/// that a section needs; [`Error::Store`] if something was changed meanwhile; [`Error::TooLarge`].
pub async fn request(
    extensions: &Arc<Extensions>,
    organization: &Arc<Organization>,
    action: &Action,
    data: &Value,
    caller: &Caller,
    actor: &Actor,
) -> Result<Value, Error> {
    let oid = organization.oid;
    let rights = Rights(caller.scope.0.get(&oid).cloned().unwrap_or_default());
    let data = action.read(data)?;
    let options = Options::read(data.get("options").unwrap_or(&Value::Null))?;
    match action.name {
        "fetch" => {
            // Millions of values take a second, in which the thread would serve nobody else.
            let (shared, by) = (Arc::clone(extensions), actor.clone());
            let fetching = tokio::task::spawn_blocking(move || fetch::fetch(&shared, oid, &options, &rights, &by));
            let document = fetching.await.map_err(|error| Error::Fault(error.to_string()))??;
            Ok(Value::Object(Map::from_iter([("org".to_owned(), document)])))
        }
        "push" => {
            let Some(config) = data.get("config").and_then(Value::as_str) else {
                return Err(Error::invalid("config is required: the configuration as YAML text"));
            };
            push(extensions, organization, config.to_owned(), options, rights, (caller, actor)).await
        }
        other => Err(Error::Fault(format!("{EXTENSION} has no action {other}"))),
    }
}

async fn push(
    extensions: &Arc<Extensions>,
    organization: &Arc<Organization>,
    config: String,
    options: Options,
    rights: Rights,
    (caller, actor): (&Caller, &Actor),
) -> Result<Value, Error> {
    let oid = organization.oid;
    let (is_dry_run, reads_errors) = (options.is_dry_run, options.reads_errors);
    // From the plan to the commit nobody else changes records.
    let _one_at_a_time = extensions.hives.lock(oid).await;
    let (shared, planner, by) = (Arc::clone(extensions), caller.clone(), actor.clone());
    let planning = tokio::task::spawn_blocking(move || {
        let document = Document::parse(&config, options.skip_unknown)?;
        let mut plan = Plan::new(&shared, oid, &options, &rights, (&planner, &by));
        sections::plan(&mut plan, &document)?;
        hives::plan(&mut plan, &document)?;
        keys::plan(&mut plan, &document)?;
        document.check_unavailable(&mut plan);
        Ok::<Planned, Error>(plan.done())
    });
    let planned = planning.await.map_err(|error| Error::Fault(error.to_string()))??;
    if !planned.errors.is_empty() && !reads_errors {
        return Err(Error::invalid(planned.errors.join("; ")));
    }
    if !planned.errors.is_empty() {
        return told(&InfrastructurePush { errors: planned.errors, ..InfrastructurePush::default() });
    }
    let is_over = is_dry_run || planned.is_empty();
    let answer = told(&InfrastructurePush { errors: Vec::new(), ops: planned.operations, skipped: planned.skipped })?;
    if is_over {
        return Ok(answer);
    }
    let (services, by, mut posted) = (&extensions.services, Changed { actor, caller }, Vec::new());
    let decide = || {
        let mut changes = planned.changes.and(planned.beside).about(planned.audit);
        for program in &planned.begun {
            changes = changes.join(services.begun(oid, program, by, &mut posted)?);
        }
        for program in &planned.ended {
            changes = changes.join(services.ended(oid, program, by, &mut posted)?);
        }
        Ok::<_, Error>(changes)
    };
    extensions.records.change(&[oid], decide).await?;
    services.subscriptions_changed(oid, posted);
    if !planned.outputs.is_empty() {
        extensions.delivery.restart(oid, &planned.outputs.iter().map(String::as_str).collect::<Vec<_>>());
    }
    planned.records.iter().for_each(|(hive, key)| extensions.hives.touch(oid, hive, key));
    hive::changed(&extensions.hives, oid).await?;
    Ok(answer)
}

fn told(push: &InfrastructurePush) -> Result<Value, Error> {
    serde_json::to_value(push).map_err(|error| Error::Fault(error.to_string()))
}
