//! `muster key` and `muster install-key`.

use crate::confirm::confirm;
use crate::show;
use muster_client::Client;

/// What to do with API keys.
#[derive(clap::Subcommand)]
pub enum KeyVerb {
    /// List API keys
    List,
    /// Make an API key; it is shown this one time
    ///
    ///   muster key create ci --permissions sensor.list,sensor.task
    #[command(verbatim_doc_comment)]
    Create {
        /// For people
        name: String,
        /// Permission names, separated by commas
        #[arg(long, value_delimiter = ',', required = true)]
        permissions: Vec<String>,
        /// CIDR from which it may be used (default: anywhere)
        #[arg(long, value_name = "CIDR")]
        allowed_ip_range: Option<String>,
    },
    /// Delete an API key: whoever uses it is locked out at once
    Delete {
        /// Its hash, from `muster key list`
        key_hash: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What to do with installation keys.
#[derive(clap::Subcommand)]
pub enum InstallKeyVerb {
    /// List installation keys
    List,
    /// Print one, as an endpoint needs it
    Get {
        /// Its id, from `muster install-key list`
        iid: String,
    },
    /// Make an installation key
    ///
    ///   muster install-key create "Berlin laptops" --tags berlin,laptop
    #[command(verbatim_doc_comment)]
    Create {
        /// For people
        description: String,
        /// Tags for every sensor that enrols with it, separated by commas
        #[arg(long, value_delimiter = ',')]
        tags: Vec<String>,
    },
    /// Delete an installation key: nobody enrols with it any more; sensors that did stay
    Delete {
        /// Its id, from `muster install-key list`
        iid: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Carries out what is asked about API keys.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: KeyVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        KeyVerb::List => {
            let keys = client.api_keys().await?;
            if json {
                show::json(&keys);
                return Ok(());
            }
            let row = |(hash, key): (&String, &muster_client::ApiKey)| {
                let permissions = key.permissions.len();
                vec![key.name.clone(), format!("{permissions} permissions"), key.by.clone(), hash.clone()]
            };
            show::table(&["NAME", "MAY", "MADE BY", "HASH"], keys.iter().map(row), "No API keys.");
        }
        KeyVerb::Create { name, permissions, allowed_ip_range } => {
            let created = client.create_api_key(&name, &permissions, allowed_ip_range.as_deref()).await?;
            if json {
                show::json(&created);
            } else {
                show::line(&created.api_key);
                eprintln!("This key is not shown again. Its hash is {}.", created.key_hash);
            }
        }
        KeyVerb::Delete { key_hash, yes } => {
            confirm(yes, &format!("delete the API key {key_hash}; whoever uses it is locked out"))?;
            client.delete_api_key(&key_hash).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}

/// Carries out what is asked about installation keys.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run_install(verb: InstallKeyVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        InstallKeyVerb::List => {
            let keys = client.installation_keys().await?;
            if json {
                show::json(&keys);
                return Ok(());
            }
            let rows = keys.values().map(|key| vec![key.iid.clone(), key.desc.clone(), key.tags.clone()]);
            show::table(&["ID", "DESCRIPTION", "TAGS"], rows, "No installation keys.");
        }
        InstallKeyVerb::Get { iid } => {
            let key = client.installation_key(&iid).await?;
            if json { show::json(&key) } else { show::line(&key.key) }
        }
        InstallKeyVerb::Create { description, tags } => {
            let key = client.create_installation_key(&description, &tags).await?;
            if json {
                show::json(&key);
            } else {
                show::line(&key.key);
                eprintln!("Its id is {}. On an endpoint: muster-sensor run --key KEY --state-dir DIR", key.iid);
            }
        }
        InstallKeyVerb::Delete { iid, yes } => {
            confirm(yes, &format!("delete the installation key {iid}; nobody can enrol with it any more"))?;
            client.delete_installation_key(&iid).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}
