//! `muster service` for services that the server calls.

use crate::confirm::confirm;
use crate::exit::Usage;
use crate::{show, simulate};
use muster_client::{Client, NewService, RegisteredService, ServiceDelivery};
use std::path::PathBuf;

/// What to do with services that the server calls.
#[derive(clap::Subcommand)]
pub enum RegisteredVerb {
    /// Register a service of yours, so that organizations can subscribe to it
    ///
    ///   muster service register greeter --url https://example.org/greeter --secret-file secret.txt
    ///   muster service register greeter --url http://10.0.0.5:8080 --no-secret --allow-private --permission sensor.list
    #[command(verbatim_doc_comment)]
    Register(RegisterServiceArgs),
    /// List services
    List,
    /// Show one service, and how it is
    Get {
        /// Its name
        name: String,
    },
    /// Ask a service how it is now
    Health {
        /// Its name
        name: String,
    },
    /// Subscribe the organization to a service
    Subscribe {
        /// Its name
        name: String,
    },
    /// End the organization's subscription
    Unsubscribe {
        /// Its name
        name: String,
    },
    /// Give the subscription another key: tokens that the service has end
    Rekey {
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

/// What services and extensions have in common.
#[derive(clap::Args)]
pub struct RegisterArgs {
    /// Its name
    name: String,
    /// Where it listens; the server is that of the profile or the environment
    #[arg(long)]
    url: String,
    /// File with the secret that signs what is sent
    #[arg(long, value_name = "FILE", conflicts_with = "no_secret")]
    secret_file: Option<PathBuf>,
    /// It checks no signature
    #[arg(long)]
    no_secret: bool,
    /// A permission of its identity where it is subscribed; may be given several times
    #[arg(long = "permission", value_name = "P")]
    permissions: Vec<String>,
    /// Offer it to every organization of the server
    #[arg(long)]
    public: bool,
    /// It may be at a private or loopback address
    #[arg(long)]
    allow_private: bool,
}

impl RegisterArgs {
    /// Its name, and what is to be registered.
    ///
    /// # Errors
    ///
    /// If nothing is said about a secret, or its file cannot be read.
    pub fn read(self) -> anyhow::Result<(String, NewService)> {
        let secret = match &self.secret_file {
            Some(path) => Some(simulate::secret_of(path)?),
            None if self.no_secret => None,
            None => return Err(Usage("give --secret-file FILE, or --no-secret".into()).into()),
        };
        let Self { name, url, permissions, public, allow_private, .. } = self;
        let detects = Vec::new();
        Ok((name, NewService { url, secret, permissions, detects, is_public: public, allow_private }))
    }
}

/// Carries it out.
///
/// # Errors
///
/// If the options are wrong; else whatever the server says.
pub async fn run(verb: RegisteredVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        RegisteredVerb::Register(args) => {
            let (name, new) = args.common.read()?;
            client.register_service(&name, &NewService { detects: args.detects, ..new }).await?;
            show::line(format_args!("{name} is registered. Subscribe to it with: muster service subscribe {name}"));
        }
        RegisteredVerb::List => list(client, json).await?,
        RegisteredVerb::Get { name } => get(&client.service(&name).await?, json),
        RegisteredVerb::Health { name } => show::json(&client.service_health(&name).await?),
        RegisteredVerb::Subscribe { name } => {
            client.subscribe_service(&name).await?;
            show::line("Subscribed; the service is told.");
        }
        RegisteredVerb::Unsubscribe { name } => {
            client.unsubscribe_service(&name).await?;
            show::line("Unsubscribed; its identity ends when the service has been told.");
        }
        RegisteredVerb::Rekey { name } => {
            client.rekey_service(&name).await?;
            show::line("Done: tokens that the service had are not valid any more.");
        }
        RegisteredVerb::Delete { name, yes } => {
            confirm(yes, &format!("delete the service {name} with all subscriptions to it"))?;
            client.delete_service(&name).await?;
            show::line("Deleted.");
        }
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

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let services = client.services().await?;
    if json {
        show::json(&services);
        return Ok(());
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let row = |service: &RegisteredService| {
        let name = show::safe(&service.name);
        vec![name, yes(service.is_subscribed), yes(service.is_well), yes(service.is_public), show::safe(&service.error)]
    };
    show::table(&["NAME", "SUBSCRIBED", "WELL", "PUBLIC", "ERROR"], services.values().map(row), "No services.");
    Ok(())
}

fn get(service: &RegisteredService, json: bool) {
    if json {
        return show::json(service);
    }
    let text = |name: &str| match service.rest.get(name) {
        Some(serde_json::Value::String(text)) => show::safe(text),
        Some(other) => show::safe(&other.to_string()),
        None => String::new(),
    };
    show::fields(&[
        ("name", show::safe(&service.name)),
        ("url", text("url")),
        ("subscribed", service.is_subscribed.to_string()),
        ("well", service.is_well.to_string()),
        ("error", show::safe(&service.error)),
        ("permissions", text("permissions")),
        ("events", show::safe(&service.callbacks.join(", "))),
        ("detections", text("detect_subscriptions")),
    ]);
}

async fn deliveries(client: &Client, name: &str, failed: bool, json: bool) -> anyhow::Result<()> {
    let found = client.service_deliveries(name, failed).await?;
    if json {
        show::json(&found);
        return Ok(());
    }
    let row = |delivery: &ServiceDelivery| {
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
