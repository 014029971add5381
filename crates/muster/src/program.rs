//! What `muster service` and `muster extension` have in common: programs of others that the server calls.

use crate::confirm::confirm;
use crate::exit::Usage;
use crate::{show, simulate};
use muster_client::{Client, NewProgram, Program, Protocol};
use std::path::PathBuf;

/// What to do with one that is registered.
#[derive(clap::Subcommand)]
pub enum ProgramVerb {
    /// List those of others
    List,
    /// Show one, and how it is
    Get {
        /// Its name
        name: String,
    },
    /// Subscribe the organization
    Subscribe {
        /// Its name
        name: String,
    },
    /// End the organization's subscription
    Unsubscribe {
        /// Its name
        name: String,
    },
    /// Give the subscription another key: tokens that were handed out end
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
}

/// Options of `register`.
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
    /// Flair of its identity: lock (only it changes what it made), secret (only it reads that), segment (it sees only
    /// that), bulk (it may call more often); may be given several times
    #[arg(long, value_name = "F", value_parser = ["lock", "secret", "segment", "bulk"])]
    flair: Vec<String>,
    /// Offer it to every organization of the server
    #[arg(long)]
    public: bool,
    /// It may be at a private or loopback address
    #[arg(long)]
    allow_private: bool,
    /// Calls in a second that it gets at most, 1 to 1,000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(muster_server::service::RATE_MAX)))]
    rate: Option<u32>,
}

/// Registers a program; only services get detections that they did not ask for.
///
/// # Errors
///
/// If nothing is said about a secret, or its file cannot be read; else whatever the server says.
pub async fn register(
    protocol: Protocol,
    args: RegisterArgs,
    detects: Vec<String>,
    client: &Client,
) -> anyhow::Result<()> {
    let secret = match &args.secret_file {
        Some(path) => Some(simulate::secret_of(path)?),
        None if args.no_secret => None,
        None => return Err(Usage("give --secret-file FILE, or --no-secret".into()).into()),
    };
    let RegisterArgs { name, url, permissions, flair, public, allow_private, rate, .. } = args;
    let new = NewProgram { url, secret, permissions, flair, detects, is_public: public, allow_private, rate };
    client.register_program(protocol, &name, &new).await?;
    let noun = protocol.noun();
    show::line(format_args!("{name} is registered. Subscribe to it with: muster {noun} subscribe {name}"));
    Ok(())
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(protocol: Protocol, verb: ProgramVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    let noun = protocol.noun();
    match verb {
        ProgramVerb::List => list(protocol, client, json).await?,
        ProgramVerb::Get { name } => get(&client.program(protocol, &name).await?, json),
        ProgramVerb::Subscribe { name } => {
            client.subscribe(protocol, &name).await?;
            show::line(match protocol {
                Protocol::Service => "Subscribed; the service is told.",
                Protocol::Extension => "Subscribed; the extension is told if it wants to know.",
            });
        }
        ProgramVerb::Unsubscribe { name } => {
            client.unsubscribe(protocol, &name).await?;
            show::line(format_args!("Unsubscribed; its identity ends when the {noun} has been told."));
        }
        ProgramVerb::Rekey { name } => {
            client.rekey(protocol, &name).await?;
            show::line(format_args!("Done: tokens that the {noun} had are not valid any more."));
        }
        ProgramVerb::Delete { name, yes } => {
            confirm(yes, &format!("delete the {noun} {name} with all subscriptions to it"))?;
            client.delete_program(protocol, &name).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}

async fn list(protocol: Protocol, client: &Client, json: bool) -> anyhow::Result<()> {
    let programs = client.programs(protocol).await?;
    if json {
        show::json(&programs);
        return Ok(());
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let row = |program: &Program| {
        let one = program.registered();
        let (name, error) = (show::safe(&one.name), show::safe(&one.error));
        vec![name, yes(one.is_subscribed), yes(one.is_well), yes(one.is_public), error]
    };
    let none = format!("No {}s of others.", protocol.noun());
    show::table(&["NAME", "SUBSCRIBED", "WELL", "PUBLIC", "ERROR"], programs.values().map(row), &none);
    Ok(())
}

fn get(program: &Program, json: bool) {
    if json {
        return show::json(program);
    }
    let names = |names: &[String]| show::safe(&names.join(", "));
    let registered = program.registered();
    let mut fields = vec![
        ("name", show::safe(&registered.name)),
        ("url", show::safe(registered.url.as_deref().unwrap_or_default())),
        ("subscribed", registered.is_subscribed.to_string()),
        ("well", registered.is_well.to_string()),
        ("error", show::safe(&registered.error)),
        ("permissions", names(&registered.permissions)),
    ];
    fields.extend(match program {
        Program::Service(service) => {
            vec![("events", names(&service.callbacks)), ("detections", names(&service.detect_subscriptions))]
        }
        Program::Extension(extension) => {
            let metrics = extension.metrics.iter().map(|(name, count)| format!("{name} {count}"));
            vec![
                ("actions", names(&extension.actions)),
                ("events", names(&extension.required_events)),
                ("metrics", show::safe(&metrics.collect::<Vec<_>>().join(", "))),
            ]
        }
    });
    show::fields(&fields);
}
