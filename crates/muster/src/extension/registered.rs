//! `muster extension` for extensions that the server calls.

use crate::program::{self, ProgramVerb, RegisterArgs};
use crate::{show, simulate};
use anyhow::Context as _;
use muster_client::{Client, HiveChange, Protocol};
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
    ///   muster extension register greeter --url http://10.0.0.5:9000 --no-secret --allow-private
    #[command(verbatim_doc_comment)]
    Register(RegisterArgs),
    #[command(flatten)]
    Program(ProgramVerb),
    /// Show what an extension takes and gives
    Schema {
        /// Its name
        name: String,
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
            program::register(Protocol::Extension, args, Vec::new(), client).await?;
        }
        RegisteredVerb::Program(verb) => program::run(Protocol::Extension, verb, client, json).await?,
        RegisteredVerb::Schema { name } => show::json(&client.extension_schema(&name).await?),
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
