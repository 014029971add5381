//! Users of the organization and what they may do. Source: reference/rest-api.md section 7.4.

use super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use crate::access::{USER, User, Without, checked_email, require_grantable, require_keeper, role_permissions};
use crate::random;
use crate::records::{Batch, SERVER};
use muster_api_types::{Done, Role, RoleGiven, UserPermissions, Users};
use muster_model::Oid;
use muster_store::Expect;
use serde_json::{Map, Value, json};

/// Users of the whole server.
const USERS_MAX: usize = 10_000;

const ROLES: &str = "Owner, Administrator, Operator, Viewer, Basic";

/// The routes of this area.
pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::{Delete, Get, Post, Put};
    let users = "/orgs/{oid}/users";
    let permissions = "/orgs/{oid}/users/permissions";
    vec![
        Route::new(Get, users, May("user.ctrl"), "E-mail addresses of the users", list).answers::<Users>("users_list"),
        Route::new(Post, users, May("user.ctrl"), "Make someone a user of the organization", invite)
            .answers::<Done>("user_add")
            .needs("email", Kind::Text, "E-mail address")
            .form(
                "role",
                Kind::OneOf(Role::NAMES),
                "Owner, Administrator, Operator, Viewer or Basic; absent is no permission at all",
            )
            .form("invite_missing", Kind::Flag, "Accepted and ignored: nobody is written to"),
        Route::new(Delete, users, May("user.ctrl"), "Remove a user from the organization", remove)
            .answers::<Done>("user_remove")
            .needs("email", Kind::Text, "E-mail address"),
        Route::new(Get, permissions, May("user.ctrl"), "Permissions of each user", list_permissions)
            .answers::<UserPermissions>("user_permissions_list"),
        Route::new(Post, permissions, May("user.ctrl"), "Give a user a permission that the caller has", grant)
            .answers::<Done>("user_permission_give")
            .needs("email", Kind::Text, "E-mail address")
            .needs("perm", Kind::Text, "Permission"),
        Route::new(Delete, permissions, May("user.ctrl"), "Take a permission from a user", revoke)
            .answers::<Done>("user_permission_take")
            .needs("email", Kind::Text, "E-mail address")
            .needs("perm", Kind::Text, "Permission"),
        Route::new(Put, "/orgs/{oid}/users/role", May("user.ctrl"), "Give a user the permissions of a role", set_role)
            .answers::<RoleGiven>("user_role_set")
            .needs("email", Kind::Text, "E-mail address")
            .needs("role", Kind::OneOf(Role::NAMES), "Owner, Administrator, Operator, Viewer or Basic"),
    ]
}

/// Users of an organization with their permissions there.
pub(super) fn of(call: &Call, oid: Oid) -> impl Iterator<Item = (String, Vec<String>)> {
    let users = call.app.records.list(SERVER, USER).into_iter();
    users.filter_map(move |(email, mut user)| Some((email, user.organizations.remove(&oid)?)))
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let emails: Vec<String> = of(&call, oid).map(|(email, _)| email).collect();
    Ok(Reply::json(&json!({"users": emails})))
}

async fn list_permissions(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let permissions: Map<String, Value> = of(&call, oid).map(|(email, names)| (email, json!(names))).collect();
    let direct: Vec<String> = permissions.keys().cloned().collect();
    let roles: Map<String, Value> =
        Role::NAMES.iter().map(|role| ((*role).to_owned(), json!(role_permissions(role)))).collect();
    Ok(Reply::json(&json!({
        "roles": roles, "user_permissions": permissions, "direct_users": direct, "from_groups": {}, "group_info": {},
    })))
}

fn of_role(role: &str) -> Result<Vec<String>, ApiError> {
    role_permissions(role).ok_or_else(|| ApiError::bad_request(format!("unknown role: {role}; one of {ROLES}")))
}

/// A user of this organization with its revision. Users of others are not told.
fn member(call: &Call, oid: Oid, email: &str) -> Result<(User, u64), ApiError> {
    let stored = call.app.records.get_with_revision(SERVER, USER, email);
    let stored = stored.filter(|(user, _)| user.organizations.contains_key(&oid));
    stored.ok_or_else(|| ApiError::not_found("user not found"))
}

/// Stores what `edit` makes of a user of this organization: decided while nothing else changes,
/// since whether someone can still manage the organization depends on all keys and users.
async fn change(
    call: &Call,
    oid: Oid,
    email: &str,
    (message, action): (&str, &str),
    edit: impl FnOnce(&mut User) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let decide = || {
        let (mut user, revision) = member(call, oid, email)?;
        let before = user.organizations.get(&oid).cloned();
        edit(&mut user)?;
        if user.organizations.get(&oid) == before.as_ref() {
            return Ok(Batch::default());
        }
        put(call, oid, (email, &user, Expect::Revision(revision)), (message, action))
    };
    call.app.records.change(&[SERVER, oid], decide).await
}

fn put(
    call: &Call,
    oid: Oid,
    (email, user, expect): (&str, &User, Expect),
    (message, action): (&str, &str),
) -> Result<Batch, ApiError> {
    let entity = json!({"type": "user", "name": email});
    let detail = json!({"permissions": user.organizations.get(&oid)});
    let beside = call.audit(oid, message, &entity, action, &detail);
    Ok(Batch::beside(beside).put(SERVER, USER, email, user, expect)?)
}

async fn invite(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let email = checked_email(call.fields.get("email"))?;
    let permissions = match call.fields.get("role").filter(|role| !role.is_empty()) {
        Some(role) => of_role(role)?,
        None => Vec::new(),
    };
    require_grantable(&call.caller, oid, &permissions)?;
    let records = &call.app.records;
    let decide = || {
        let (mut user, expect) = match records.get_with_revision(SERVER, USER, &email) {
            Some((user, revision)) => (user, Expect::Revision(revision)),
            None if records.count(SERVER, USER) >= USERS_MAX => {
                return Err(ApiError::bad_request(format!("a server has at most {USERS_MAX} users")));
            }
            None => (User { uid: random::uuid().to_string(), ..User::default() }, Expect::Absent),
        };
        if user.organizations.contains_key(&oid) {
            return Ok(Batch::default());
        }
        user.organizations.insert(oid, permissions);
        put(&call, oid, (&email, &user, expect), ("user added", "add_user"))
    };
    records.change(&[SERVER], decide).await?;
    Ok(Reply::done())
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let email = checked_email(call.fields.get("email"))?;
    let edit = |user: &mut User| {
        user.organizations.remove(&oid);
        Ok(require_keeper(&call.app.records, oid, &Without::User(&email))?)
    };
    change(&call, oid, &email, ("user removed", "remove_user"), edit).await?;
    Ok(Reply::done())
}

fn permission(call: &Call) -> Result<String, ApiError> {
    let name = call.fields.get("perm").map(str::trim).filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| ApiError::bad_request("perm is required"))
}

async fn grant(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let (email, name) = (checked_email(call.fields.get("email"))?, permission(&call)?);
    require_grantable(&call.caller, oid, [&name])?;
    let edit = |user: &mut User| {
        let have = user.organizations.entry(oid).or_default();
        if !have.contains(&name) {
            have.push(name);
            have.sort_unstable();
        }
        Ok(())
    };
    change(&call, oid, &email, ("permission given", "grant"), edit).await?;
    Ok(Reply::done())
}

async fn revoke(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let (email, name) = (checked_email(call.fields.get("email"))?, permission(&call)?);
    let edit = |user: &mut User| {
        let have = user.organizations.entry(oid).or_default();
        if !have.contains(&name) {
            return Err(ApiError::not_found(format!("this user does not have {name}")));
        }
        have.retain(|have| *have != name);
        require_keeper_unless_same(&call, oid, &email, user)
    };
    change(&call, oid, &email, ("permission taken", "revoke"), edit).await?;
    Ok(Reply::done())
}

/// A user that keeps the means to manage the organization locks nobody out.
fn require_keeper_unless_same(call: &Call, oid: Oid, email: &str, changed: &User) -> Result<(), ApiError> {
    let names = changed.organizations.get(&oid);
    let still = |name: &str| names.is_some_and(|names| names.iter().any(|have| have == name));
    if still("apikey.ctrl") || still("user.ctrl") {
        return Ok(());
    }
    Ok(require_keeper(&call.app.records, oid, &Without::User(email))?)
}

async fn set_role(call: Call) -> Result<Reply, ApiError> {
    let oid = call.organization()?.oid;
    let email = checked_email(call.fields.get("email"))?;
    let role = call.fields.get("role").filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| ApiError::bad_request(format!("role is required: one of {ROLES}")))?;
    let permissions = of_role(role)?;
    require_grantable(&call.caller, oid, &permissions)?;
    let edit = |user: &mut User| {
        user.organizations.insert(oid, permissions.clone());
        require_keeper_unless_same(&call, oid, &email, user)
    };
    change(&call, oid, &email, ("role given", "set_role"), edit).await?;
    Ok(Reply::json(&json!({"success": true, "role": role, "permissions": permissions})))
}
