//! `muster service` for services that the server calls.

use crate::program::{self, ProgramVerb, RegisterArgs};
use crate::{show, simulate};
use muster_client::{Client, Delivery, Protocol};

/// What to do with services that the server calls.
#[derive(clap::Subcommand)]
pub enum RegisteredVerb {
    /// Register a service of yours, so that organizations can subscribe to it
    ///
    ///   muster service register greeter --url https://example.org/greeter --secret-file secret.txt
    ///   muster service register greeter --url http://10.0.0.5:9000 --no-secret --allow-private --permission sensor.list
    #[command(verbatim_doc_comment)]
    Register(RegisterServiceArgs),
    #[command(flatten)]
    Program(ProgramVerb),
    /// Ask a service how it is now
    Health {
        /// Its name
        name: String,
    },
    /// Ask a service for something; prints the data of its answer
    ///
    ///   muster service request greeter '{"name": "Ada"}'
    #[command(verbatim_doc_comment)]
    Request {
        /// Its name
        name: String,
        /// What to ask: a JSON object
        #[arg(value_name = "JSON")]
        data: String,
        /// Do not wait for the answer
        #[arg(long = "async")]
        is_async: bool,
    },
    /// Messages that wait for a service, and those that were given up, and why
    Deliveries {
        /// Its name
        name: String,
        /// Only those that were given up
        #[arg(long)]
        failed: bool,
    },
    /// Deliver a message again that was given up
    Redeliver {
        /// Its id, as `muster service deliveries` shows it
        mid: String,
    },
}

/// Options of `register`.
#[derive(clap::Args)]
pub struct RegisterServiceArgs {
    #[command(flatten)]
    common: RegisterArgs,
    /// A detection that it gets besides those that it asks for; may be given several times
    #[arg(long = "detect", value_name = "NAME")]
    detects: Vec<String>,
}

/// Carries it out.
///
/// # Errors
///
/// If the options are wrong; else whatever the server says.
pub async fn run(verb: RegisteredVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        RegisteredVerb::Register(args) => {
            program::register(Protocol::Service, args.common, args.detects, client).await?;
        }
        RegisteredVerb::Program(verb) => program::run(Protocol::Service, verb, client, json).await?,
        RegisteredVerb::Health { name } => show::json(&client.service_health(&name).await?),
        RegisteredVerb::Request { name, data, is_async } => {
            let data = simulate::object("JSON", &data)?;
            show::json(&client.request_service(&name, &data, is_async).await?);
        }
        RegisteredVerb::Deliveries { name, failed } => deliveries(client, &name, failed, json).await?,
        RegisteredVerb::Redeliver { mid } => {
            client.redeliver(&mid).await?;
            show::line("It is delivered again.");
        }
    }
    Ok(())
}

async fn deliveries(client: &Client, name: &str, failed: bool, json: bool) -> anyhow::Result<()> {
    let found = client.service_deliveries(name, failed).await?;
    if json {
        show::json(&found);
        return Ok(());
    }
    let row = |delivery: &Delivery| {
        let state = if delivery.is_failed { "given up" } else { "waits" }.to_owned();
        let (etype, error) = (show::safe(&delivery.etype), show::shortened(&show::safe(&delivery.error), 80));
        vec![delivery.mid.clone(), etype, show::time(delivery.since), state, delivery.tries.to_string(), error]
    };
    let headings = ["ID", "EVENT", "SINCE", "STATE", "TRIES", "ERROR"];
    show::table(&headings, found.deliveries.iter().map(row), "Nothing waits, and nothing was given up.");
    if found.dropped > 0 {
        show::line(format_args!("{} were dropped, because too many waited.", found.dropped));
    }
    Ok(())
}
