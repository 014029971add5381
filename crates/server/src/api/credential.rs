//! Credentials that are shown: tokens that are made of them are told in the audit, and so are those that nobody has, which
//! are counted by address and told to wait. Who shows a right one never waits.

use super::{ApiError, ErrorCode};
use crate::access::Caller;
use crate::address::counted;
use crate::app::App;
use crate::clock;
use crate::intake::event::{self, Actor};
use muster_model::{Oid, Timestamp};
use serde_json::json;
use std::net::IpAddr;

/// Wrong credentials of one address in a minute; whoever shows more is told to wait.
const WRONG_PER_MINUTE: u32 = 30;

/// What to answer to a credential that was refused. The organization that it was shown for hears of the first of an address
/// in a minute, and of the one from which on they are told to wait.
pub(super) async fn refused(app: &App, oid: Option<Oid>, source: Option<IpAddr>, error: ApiError) -> ApiError {
    app.telemetry.credentials_refused.inc();
    let address = source.map_or_else(|| "unknown".to_owned(), |source| counted(source).to_string());
    let (count, error) = match app.wrong_credentials.count(&address, WRONG_PER_MINUTE) {
        Ok(count) => (count, error),
        Err(too_many) => {
            let text = "too many wrong credentials from this address; wait, and check which key your programs use";
            let error = ApiError {
                retry_after_s: Some(too_many.retry_after_s),
                ..ApiError::new(ErrorCode::TooManyTries, text)
            };
            (too_many.calls, error)
        }
    };
    if let Some(oid) = oid.filter(|oid| app.organization(*oid).is_some() && [1, WRONG_PER_MINUTE + 1].contains(&count))
    {
        let actor = Actor { identity: "unknown".into(), origin: "api", source, called_by: None };
        let entity = json!({"type": "credential"});
        let detail = json!({"count_this_minute": count, "error": error.message});
        let told = event::audit(oid, &actor, "credential refused", &entity, "refuse_credential", &detail, clock::now());
        tell(app, vec![told]).await;
    }
    error
}

/// Tells of a token in each organization in which it holds.
pub(super) async fn made(app: &App, caller: &Caller, expires_at: Timestamp, source: Option<IpAddr>) {
    let detail = json!({"expires": expires_at.as_secs(), "uid": caller.uid});
    let of = |oid: &Oid| {
        let entity = json!({"type": "token", "name": caller.identity});
        event::audit(*oid, &caller.actor(source), "token made", &entity, "make_token", &detail, clock::now())
    };
    tell(app, caller.scope.0.keys().map(of).collect()).await;
}

/// On a full disk, say, one must still be able to come in and look.
async fn tell(app: &App, records: Vec<crate::intake::Record>) {
    if let Err(error) = app.intake.commit(records).await {
        tracing::warn!(%error, "what a credential was shown for could not be told in the audit");
    }
}
