//! `muster org`, `muster whoami`, `muster token`.

use crate::show;
use muster_client::{Client, Whoami};
use serde_json::Value;

/// What to do with organizations.
#[derive(clap::Subcommand)]
pub enum OrgVerb {
    /// Make an organization, in which you may do everything; needs the key of a user
    Create {
        /// Its name
        name: String,
    },
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: OrgVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    let OrgVerb::Create { name } = verb;
    let oid = client.create_organization(&name).await?;
    if json {
        show::json(&serde_json::json!({"oid": oid, "name": name}));
    } else {
        show::fields(&[("organization", oid), ("name", name)]);
    }
    Ok(())
}

/// Shows the organization.
///
/// # Errors
///
/// Whatever the server says.
pub async fn show_organization(client: &Client, json: bool) -> anyhow::Result<()> {
    let organization = client.organization().await?;
    if json {
        show::json(&organization);
        return Ok(());
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let Value::Object(fields) = serde_json::to_value(&organization)? else { return Ok(()) };
    let fields: Vec<(String, String)> = fields.into_iter().map(|(name, value)| (name, text(value))).collect();
    show::fields(&fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>());
    Ok(())
}

/// Shows who calls.
///
/// # Errors
///
/// Whatever the server says.
pub async fn whoami(client: &Client, json: bool) -> anyhow::Result<()> {
    let me = client.whoami().await?;
    if json {
        show::json(&me);
        return Ok(());
    }
    let (identity, permissions) = match me {
        Whoami::User { ident, .. } => (ident, 0),
        Whoami::Key { ident, perms, .. } => (ident, perms.map_or(0, |perms| perms.len())),
    };
    show::fields(&[
        ("identity", identity),
        ("organization", client.oid().to_owned()),
        ("server", client.url().to_string()),
        ("permissions", format!("{permissions} (--json lists them)")),
    ]);
    Ok(())
}

/// Prints a fresh token for use with curl.
///
/// # Errors
///
/// Whatever the server says.
pub async fn token(client: &Client, validity_s: Option<u64>, json: bool) -> anyhow::Result<()> {
    let token = client.token(validity_s).await?;
    if json {
        show::json(&serde_json::json!({"jwt": token}));
    } else {
        show::line(token);
    }
    Ok(())
}
