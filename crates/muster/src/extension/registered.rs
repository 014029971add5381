//! `muster extension` for extensions that the server calls.

use crate::confirm::confirm;
use crate::service::RegisterArgs;
use crate::{show, simulate};
use anyhow::Context as _;
use muster_client::{Client, HiveChange, RegisteredExtension};
use serde_json::Value;
use std::io::Read as _;
use std::path::PathBuf;

/// The hive of what organizations set in extensions.
const CONFIGURATIONS: &str = "extension_config";

/// What to do with extensions that the server calls.
#[derive(clap::Subcommand)]
pub enum RegisteredVerb {
    /// Register an extension of yours, so that organizations can subscribe to it
    ///
    ///   muster extension register greeter --url https://example.org/greeter --secret-file secret.txt
    ///   muster extension register greeter --url http://10.0.0.5:8080 --no-secret --allow-private
    #[command(verbatim_doc_comment)]
    Register(RegisterArgs),
    /// List extensions of others
    List,
    /// Show one extension, and how it is
    Get {
        /// Its name
        name: String,
    },
    /// Subscribe the organization to an extension
    Subscribe {
        /// Its name
        name: String,
    },
    /// End the organization's subscription
    Unsubscribe {
        /// Its name
        name: String,
    },
    /// Give the subscription another key: tokens that the extension has end
    Rekey {
        /// Its name
        name: String,
    },
    /// Show what an extension takes and gives
    Schema {
        /// Its name
        name: String,
    },
    /// Delete a registration, with all subscriptions to it
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Ask an extension for something; prints the data of its answer
    ///
    ///   muster extension request greeter greet '{"name": "Ada"}'
    #[command(verbatim_doc_comment)]
    Request {
        /// Its name
        name: String,
        /// What to do
        action: String,
        /// The parameters of the action: a JSON object
        #[arg(value_name = "JSON", default_value = "{}")]
        data: String,
    },
    /// What the organization sets in an extension
    #[command(subcommand)]
    Config(ConfigVerb),
}

/// What to do with what the organization sets.
#[derive(clap::Subcommand)]
pub enum ConfigVerb {
    /// Show it
    Get {
        /// Name of the extension
        name: String,
    },
    /// Set it: a JSON object, from a file or from standard input. The extension says whether it is right
    Set {
        /// Name of the extension
        name: String,
        /// File with the JSON object; without it, standard input
        file: Option<PathBuf>,
    },
}

/// Carries it out.
///
/// # Errors
///
/// If the options are wrong; else whatever the server says.
pub async fn run(verb: RegisteredVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        RegisteredVerb::Register(args) => {
            let (name, new) = args.read()?;
            client.register_extension(&name, &new).await?;
            show::line(format_args!("{name} is registered. Subscribe to it with: muster extension subscribe {name}"));
        }
        RegisteredVerb::List => list(client, json).await?,
        RegisteredVerb::Get { name } => get(&client.extension(&name).await?, json),
        RegisteredVerb::Schema { name } => show::json(&client.extension_schema(&name).await?),
        RegisteredVerb::Subscribe { name } => {
            client.subscribe_extension(&name).await?;
            show::line("Subscribed; the extension is told if it wants to know.");
        }
        RegisteredVerb::Unsubscribe { name } => {
            client.unsubscribe_extension(&name).await?;
            show::line("Unsubscribed; its identity ends when the extension has been told.");
        }
        RegisteredVerb::Rekey { name } => {
            client.rekey_extension(&name).await?;
            show::line("Done: tokens that the extension had are not valid any more.");
        }
        RegisteredVerb::Delete { name, yes } => {
            confirm(yes, &format!("delete the extension {name} with all subscriptions to it"))?;
            client.delete_extension(&name).await?;
            show::line("Deleted.");
        }
        RegisteredVerb::Request { name, action, data } => {
            let data = Value::Object(simulate::object("JSON", &data)?);
            show::json(&client.request_extension::<Value>(&name, &action, &data).await?);
        }
        RegisteredVerb::Config(ConfigVerb::Get { name }) => {
            show::json(&client.hive_record(CONFIGURATIONS, &name).await?.data);
        }
        RegisteredVerb::Config(ConfigVerb::Set { name, file }) => {
            let text = match &file {
                Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
                None => {
                    let mut text = String::new();
                    std::io::stdin().read_to_string(&mut text)?;
                    text
                }
            };
            let data = Some(Value::Object(simulate::object("FILE", &text)?));
            client.set_hive_record(CONFIGURATIONS, &name, &HiveChange { data, ..HiveChange::default() }).await?;
            show::line("Set.");
        }
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let extensions = client.extensions().await?;
    if json {
        show::json(&extensions);
        return Ok(());
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let row = |one: &RegisteredExtension| {
        vec![
            show::safe(&one.name),
            yes(one.is_subscribed),
            yes(one.is_well),
            yes(one.is_public),
            show::safe(&one.error),
        ]
    };
    let headings = ["NAME", "SUBSCRIBED", "WELL", "PUBLIC", "ERROR"];
    show::table(&headings, extensions.values().map(row), "No extensions of others.");
    Ok(())
}

fn get(extension: &RegisteredExtension, json: bool) {
    if json {
        return show::json(extension);
    }
    let text = |name: &str| match extension.rest.get(name) {
        Some(Value::String(text)) => show::safe(text),
        Some(other) => show::safe(&other.to_string()),
        None => String::new(),
    };
    show::fields(&[
        ("name", show::safe(&extension.name)),
        ("url", text("url")),
        ("subscribed", extension.is_subscribed.to_string()),
        ("well", extension.is_well.to_string()),
        ("error", show::safe(&extension.error)),
        ("permissions", text("permissions")),
        ("actions", show::safe(&extension.actions.join(", "))),
        ("events", text("required_events")),
        ("metrics", text("metrics")),
    ]);
}
