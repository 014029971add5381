//! `muster output`.

use crate::confirm::confirm;
use crate::show;
use muster_client::{Client, Output};

/// What to do with outputs.
#[derive(clap::Subcommand)]
pub enum OutputVerb {
    /// List outputs
    List,
    /// Make an output, or replace the one of that name
    ///
    ///   muster output create siem --module syslog --type event --set dest_host=10.0.0.5:514
    ///   muster output create hook --module webhook --type detect --set dest_host=https://example.org/in
    #[command(verbatim_doc_comment)]
    Create {
        /// Its name
        name: String,
        /// How it sends, such as syslog, webhook, webhook_bulk, file
        #[arg(long)]
        module: String,
        /// What it sends: event, detect, audit, deployment, artifact, tailored
        #[arg(long = "type", value_name = "TYPE")]
        stream: String,
        /// A setting of the module; may be given several times
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
        settings: Vec<(String, String)>,
    },
    /// Delete an output, with what it has not sent yet
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: OutputVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        OutputVerb::List => {
            let outputs = client.outputs().await?;
            if json {
                show::json(&outputs);
                return Ok(());
            }
            let row = |(name, output): (&String, &Output)| {
                let to = output.settings.get("dest_host").and_then(|host| host.as_str()).unwrap_or_default();
                vec![name.clone(), output.stream.clone(), output.module.clone(), to.to_owned()]
            };
            show::table(&["NAME", "SENDS", "BY", "TO"], outputs.iter().map(row), "No outputs.");
        }
        OutputVerb::Create { name, module, stream, settings } => {
            let output = client.create_output(&name, &module, &stream, &settings).await?;
            if json {
                show::json(&output);
            } else {
                show::line(format_args!("{name} now sends every new record of {stream}."));
            }
        }
        OutputVerb::Delete { name, yes } => {
            confirm(yes, &format!("delete the output {name} with what it has not sent yet"))?;
            client.delete_output(&name).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}
