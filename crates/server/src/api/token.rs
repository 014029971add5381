//! Token exchange, and who the caller is. Source: reference/rest-api.md section 5.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route, credential};
use crate::access::Exchange;
use crate::{clock, names};
use muster_api_types::{Token, TokenOrReplay, Whoami};
use serde_json::{Map, Value, json};

/// The field that tells an exchange of a key from a replay.
const SECRET: &str = "secret";

/// Fields of an exchange.
const EXCHANGE: &[&str] = &[SECRET, "oid", "uid", "expiry", "perms"];

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let described = |route: Route| {
        route
            .needs(SECRET, Kind::Text, "API key")
            .form(
                "oid",
                Kind::Text,
                "Organization id; `-` for a token that names only the user; absent for all of the user's",
            )
            .form("uid", Kind::Text, "User id, with user keys only")
            .form(
                "expiry",
                Kind::Whole(0, i64::MAX),
                "Unix seconds, or a validity in seconds below 10^9; default one hour",
            )
            .form("perms", Kind::List, "Comma-separated permissions to which the token is restricted")
    };
    let summary = "Exchange an API key for a token";
    let of_both = "Exchange an API key for a token; or, with a JSON body of other fields, a replay of a rule";
    vec![
        described(
            Route::new(Method::Post, "//jwt", Access::Public, summary, exchange).answers::<Token>("token_exchange"),
        ),
        // The published token host is called at its root; so is the replay host, with JSON.
        described(
            Route::new(Method::Post, "//", Access::Public, of_both, exchange_or_replay)
                .answers::<TokenOrReplay>("token_exchange_or_replay"),
        )
        .open(),
        Route::new(Method::Get, "/who", Access::Token, "Who the token belongs to, and what it may do", who)
            .answers::<Whoami>("token_who"),
    ]
}

async fn exchange_or_replay(mut call: Call) -> Result<Reply, ApiError> {
    match call.take_json()? {
        Some(object) if !object.contains_key(SECRET) => super::replay::run(call, object).await,
        _ => {
            names::require_known(call.fields.pairs().map(|(name, _)| name), EXCHANGE)?;
            exchange(call).await
        }
    }
}

async fn exchange(call: Call) -> Result<Reply, ApiError> {
    let permissions = call.fields.get("perms").map(|names| names.split(',').map(str::trim).collect());
    let exchange = Exchange {
        secret: call.fields.require(SECRET)?,
        oid: call.fields.get("oid").unwrap_or_default(),
        uid: call.fields.get("uid").unwrap_or_default(),
        expiry: call.fields.number("expiry")?,
        permissions,
        source: call.source,
    };
    let (app, now) = (&call.app, clock::now());
    let jwt = match app.secrets.exchange(&app.records, &exchange, now) {
        Ok(jwt) => jwt,
        Err(error) => return Err(credential::refused(app, exchange.oid.parse().ok(), call.source, error.into()).await),
    };
    let (caller, expires_at) = app.secrets.verify_until(&jwt, now)?;
    credential::made(app, &caller, expires_at, call.source).await;
    Ok(Reply::json(&json!({"jwt": jwt})))
}

async fn who(call: Call) -> Result<Reply, ApiError> {
    let caller = &call.caller;
    if caller.is_user() {
        let by: Map<String, Value> =
            caller.scope.0.iter().map(|(oid, permissions)| (oid.to_string(), json!(permissions))).collect();
        return Ok(Reply::json(&json!({"user_perms": by, "ident": caller.identity, "uid": caller.uid})));
    }
    let oids: Vec<_> = caller.scope.0.keys().collect();
    let permissions = caller.scope.0.values().next();
    Ok(Reply::json(&json!({"orgs": oids, "perms": permissions, "ident": caller.identity})))
}
