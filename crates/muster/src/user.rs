//! `muster user`: who may do what in the organization, and with which keys.

use crate::confirm::confirm;
use crate::show;
use muster_client::{Client, LinkPurpose};

/// What to do with users.
#[derive(clap::Subcommand)]
pub enum UserVerb {
    /// List the users of the organization
    List,
    /// Make someone a user of the organization
    ///
    ///   muster user add eve@example.com --role Operator
    #[command(verbatim_doc_comment, visible_alias = "create")]
    Add {
        /// E-mail address
        email: String,
        /// Owner, Administrator, Operator, Viewer or Basic
        #[arg(long)]
        role: String,
    },
    /// Give a user another role
    Role {
        /// E-mail address
        email: String,
        /// Owner, Administrator, Operator, Viewer or Basic
        role: String,
    },
    /// Print a one-time link by which a user chooses a password for the web console
    ///
    /// When it is used, what the user is signed in to ends.
    #[command(verbatim_doc_comment)]
    Reset {
        /// E-mail address
        email: String,
    },
    /// Remove a user from the organization
    #[command(visible_alias = "delete")]
    Remove {
        /// E-mail address
        email: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Make a key for a user; it is shown this once
    Key {
        /// E-mail address
        email: String,
        /// Name of the key, for people
        #[arg(long)]
        name: String,
    },
    /// List the keys of users
    Keys,
    /// End a key of a user
    DeleteKey {
        /// Hash of the key, as the list has it
        key_hash: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: UserVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        UserVerb::List => {
            let users = client.users().await?;
            if json {
                show::json(&users);
            } else {
                let rows = users.into_iter().map(|(email, permissions)| vec![email, permissions.len().to_string()]);
                show::table(&["USER", "PERMISSIONS"], rows, "No users. Add one: muster user add EMAIL --role ROLE");
            }
        }
        UserVerb::Add { email, role } => {
            client.add_user(&email, &role).await?;
            show::line(format_args!("Added {email}. A key for it: muster user key {email} --name NAME"));
            show::line(format_args!("A link by which to choose a password: muster user reset {email}"));
        }
        UserVerb::Role { email, role } => {
            client.set_role(&email, &role).await?;
            show::line(format_args!("{email} has the role {role}."));
        }
        UserVerb::Reset { email } => {
            let link = client.console_link(Some((&email, LinkPurpose::Password))).await?;
            if json {
                show::json(&link);
            } else {
                show::line(format_args!("{}{}", client.url().as_str().trim_end_matches('/'), link.path));
                eprintln!("By this link {} chooses a password, once, within 15 minutes.", show::safe(&email));
            }
        }
        UserVerb::Remove { email, yes } => {
            confirm(yes, &format!("remove {email} from the organization"))?;
            client.remove_user(&email).await?;
            show::line(format_args!("Removed {email}."));
        }
        UserVerb::Key { email, name } => {
            let made = client.create_user_key(&email, &name).await?;
            if json {
                show::json(&made);
            } else {
                show::fields(&[("key", made.api_key), ("uid", made.uid), ("hash", made.key_hash)]);
            }
        }
        UserVerb::Keys => show::json(&client.user_keys().await?),
        UserVerb::DeleteKey { key_hash, yes } => {
            confirm(yes, &format!("end the key {key_hash}; whoever uses it is locked out"))?;
            client.delete_user_key(&key_hash).await?;
            show::line(format_args!("Ended {key_hash}."));
        }
    }
    Ok(())
}
