//! Token exchange, and who the caller is. Source: reference/rest-api.md section 5.

use super::{Access, ApiError, Call, Method, Reply, Route};
use crate::access::Exchange;
use crate::clock;
use serde_json::{Map, Value, json};

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    let exchange_at = |path| {
        Route::new(Method::Post, path, Access::Public, "Exchange an API key for a token", exchange)
            .needs("secret", "API key")
            .form("oid", "Organization id; `-` for a token that names only the user; absent for all of the user's")
            .form("uid", "User id, with user keys only")
            .form("expiry", "Unix seconds, or a validity in seconds below 10^9; default one hour")
            .form("perms", "Comma-separated permissions to which the token is restricted")
    };
    vec![
        exchange_at("//jwt"),
        // The published token host is called at its root; so is the replay host, with JSON.
        exchange_at("//"),
        Route::new(Method::Get, "/who", Access::Token, "Who the token belongs to, and what it may do", who),
    ]
}

async fn exchange(call: Call) -> Result<Reply, ApiError> {
    if call.has_json() {
        return super::replay::run(call).await;
    }
    let permissions = call.form.get("perms").map(|names| names.split(',').map(str::trim).collect());
    let exchange = Exchange {
        secret: call.form.require("secret")?,
        oid: call.form.get("oid").unwrap_or_default(),
        uid: call.form.get("uid").unwrap_or_default(),
        expiry: call.form.number("expiry")?,
        permissions,
        source: call.source,
    };
    let jwt = call.app.secrets.exchange(&call.app.records, &exchange, clock::now())?;
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
