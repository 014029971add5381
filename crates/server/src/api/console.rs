//! Signing in to the console, sessions, and one-time links. Source: reference/console.md sections 7 and 8.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::access::role_permissions;
use crate::clock;
use crate::console::{self, LinkFor, SessionFrom};
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER};
use muster_api_types::{Done, Link, LinkPurpose, NewLink, OwnSessions, Role, Session, SignedIn, UsersWithPassword};
use serde_json::{Value, json};

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::{May, Public, Token};
    use Method::{Delete, Get, Post};
    vec![
        Route::new(
            Post,
            "//console/api/sign-in",
            Public,
            "Sign in with a password; sets the cookie of a session",
            sign_in,
        )
        .answers::<SignedIn>("console_sign_in")
        .needs("user", Kind::Text, "E-mail address")
        .needs("password", Kind::Text, "Password"),
        Route::new(Post, "//console/api/link", Public, "What a one-time link is for; does not use it", look)
            .answers::<Link>("console_link_look")
            .needs("once", Kind::Text, "What the link holds after #once="),
        Route::new(Post, "//console/api/link/use", Public, "Use a one-time link; sets the cookie of a session", redeem)
            .answers::<SignedIn>("console_link_use")
            .needs("once", Kind::Text, "What the link holds after #once=")
            .form("user", Kind::Text, "E-mail address, for a new user")
            .form("password", Kind::Text, "The password to be, unless the link only signs in"),
        Route::new(Get, "//console/api/session", Token, "Who the caller is, and what they may do where", session)
            .answers::<Session>("console_session_get"),
        Route::new(Post, "//console/api/sign-out", Token, "End this session", sign_out)
            .answers::<Done>("console_sign_out")
            .form("everywhere", Kind::Flag, "true: all sessions of the user"),
        Route::new(Get, "//console/api/sessions", Token, "Sessions of the caller", sessions)
            .answers::<OwnSessions>("console_sessions_list"),
        Route::new(Delete, "//console/api/sessions/{id}", Token, "End a session of the caller", end)
            .answers::<Done>("console_session_end"),
        Route::new(
            Post,
            "//console/api/password",
            Token,
            "Change the caller's password; ends their other sessions",
            password,
        )
        .answers::<Done>("console_password_change")
        .needs("present", Kind::Text, "The present password")
        .needs("password", Kind::Text, "The new password"),
        Route::new(Get, "/orgs/{oid}/users/link", May("user.ctrl"), "Users who have a password", with_password)
            .answers::<UsersWithPassword>("users_with_password_list"),
        Route::new(
            Post,
            "/orgs/{oid}/users/link",
            May("user.ctrl"),
            "A one-time link into the console, for 15 minutes",
            link,
        )
        .answers::<NewLink>("user_link_create")
        .form("email", Kind::Text, "The user it is for; absent makes a new one")
        .form("purpose", Kind::OneOf(&["password", "sign-in"]), "password (choose a new one; default) or sign-in")
        .form(
            "role",
            Kind::OneOf(Role::NAMES),
            "Of a new user: Owner (default), Administrator, Operator, Viewer or Basic",
        ),
    ]
}

fn require_own_page(call: &Call) -> Result<SessionFrom, ApiError> {
    console::require_own_page(&call.app.console, &call.base, &call.headers)?;
    Ok(SessionFrom::new(call.source, &call.headers))
}

/// The digest of the session of a call: other credentials have nothing to do with sessions.
fn own_session(call: &Call) -> Result<&str, ApiError> {
    if call.caller.in_console {
        return Ok(&call.caller.credential);
    }
    Err(ApiError::forbidden("only a session of the console can do this"))
}

async fn sign_in(call: Call) -> Result<Reply, ApiError> {
    let from = require_own_page(&call)?;
    let (user, password) = (call.fields.require("user")?, call.fields.require("password")?);
    let opened = console::sign_in(&call.app.console, user, password, &from).await?;
    Ok(Reply::json(&json!({"user": opened.email})).header("set-cookie", console::cookie(&opened.token)))
}

async fn look(call: Call) -> Result<Reply, ApiError> {
    require_own_page(&call)?;
    console::count_link_try(&call.app.console, call.source)?;
    let link = console::look_at_link(&call.app.console, call.fields.require("once")?)?;
    console::forgive_link_try(&call.app.console, call.source);
    Ok(Reply::json(&json!({"purpose": link.purpose, "user": link.email, "expires": link.expires_at.as_secs()})))
}

async fn redeem(call: Call) -> Result<Reply, ApiError> {
    let from = require_own_page(&call)?;
    console::count_link_try(&call.app.console, call.source)?;
    let text = |name| call.fields.get(name).unwrap_or_default();
    let opened =
        console::redeem(&call.app.console, call.fields.require("once")?, (text("user"), text("password")), &from)
            .await?;
    console::forgive_link_try(&call.app.console, call.source);
    Ok(Reply::json(&json!({"user": opened.email})).header("set-cookie", console::cookie(&opened.token)))
}

async fn session(call: Call) -> Result<Reply, ApiError> {
    let organizations: Vec<Value> = call
        .caller
        .scope
        .0
        .iter()
        .filter_map(|(oid, permissions)| {
            let profile = call.app.records.get(ORGANIZATION_OWNER, ORGANIZATION, &oid.to_string())?;
            Some(json!({"oid": oid, "name": profile.name, "permissions": permissions}))
        })
        .collect();
    Ok(Reply::json(&json!({
        "user": call.caller.identity, "organizations": organizations, "version": env!("CARGO_PKG_VERSION"),
        "time": clock::now().as_millis(),
    })))
}

async fn sign_out(call: Call) -> Result<Reply, ApiError> {
    let digest = own_session(&call)?;
    let email = &call.caller.identity;
    if call.fields.flag("everywhere")? {
        console::end_sessions(&call.app.console, email, call.source).await?;
    } else {
        console::end_session(&call.app.console, email, digest, call.source).await?;
    }
    Ok(Reply::done().header("set-cookie", console::clearing_cookie()))
}

async fn sessions(call: Call) -> Result<Reply, ApiError> {
    let own = own_session(&call)?;
    let sessions = console::sessions_of(&call.app.console, &call.caller.identity);
    let sessions: Vec<Value> = sessions
        .into_iter()
        .map(|(digest, session)| {
            json!({
                "id": digest, "is_this": digest == own, "created": session.created_at.as_secs(),
                "seen": session.seen_at.as_secs(), "source": session.source, "agent": session.agent,
            })
        })
        .collect();
    Ok(Reply::json(&json!({"sessions": sessions})))
}

async fn end(call: Call) -> Result<Reply, ApiError> {
    own_session(&call)?;
    console::end_session(&call.app.console, &call.caller.identity, call.path("id"), call.source).await?;
    Ok(Reply::done())
}

async fn password(call: Call) -> Result<Reply, ApiError> {
    let own = own_session(&call)?;
    let passwords = (call.fields.require("present")?, call.fields.require("password")?);
    console::change_password(&call.app.console, &call.caller.identity, passwords, own, call.source).await?;
    Ok(Reply::done())
}

async fn with_password(call: Call) -> Result<Reply, ApiError> {
    let users = super::users::of(&call, call.organization()?.oid).map(|(email, _)| email);
    let users: Vec<String> = users.filter(|email| console::can_sign_in(&call.app.console, email)).collect();
    Ok(Reply::json(&json!({"can_sign_in": users})))
}

async fn link(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let email = call.fields.get("email").map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty());
    let purpose = match call.fields.get("purpose").filter(|purpose| !purpose.is_empty()) {
        None | Some("password") => LinkPurpose::Password,
        Some("sign-in") => LinkPurpose::SignIn,
        Some(other) => return Err(ApiError::bad_request(format!("unknown purpose: {other}; password or sign-in"))),
    };
    let whom = match &email {
        Some(email) => LinkFor::User(email, purpose),
        None => {
            let role = call.fields.get("role").filter(|role| !role.is_empty()).unwrap_or("Owner");
            let permissions = role_permissions(role);
            LinkFor::New(permissions.ok_or_else(|| ApiError::bad_request(format!("unknown role: {role}")))?)
        }
    };
    let entity = json!({"type": "user", "name": email});
    let audit = call.audit(oid, "one-time link made", &entity, "create_link", &json!({}));
    let (once, kept) = console::create_link(&call.app.console, &call.caller, oid, whom, audit).await?;
    Ok(Reply::json(&json!({
        "once": once, "path": format!("/console/sign-in#once={once}"), "purpose": kept.purpose, "user": kept.email,
        "expires": kept.expires_at.as_secs(),
    })))
}
