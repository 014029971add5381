//! `muster extension`.

mod registered;

use crate::connection::{self, Global};
use crate::exit::Usage;
use crate::service::conclude;
use crate::simulate;
use muster_model::Oid;
use muster_webhook::extension::{
    Acl, Action, ConfValidation, ErrorReport, Event, Message, Org, Subject, Verdict, judge,
};
use muster_webhook::{EXTENSION_HEADER, sign};
use registered::RegisteredVerb;
use serde_json::Map;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a server waits for an extension. Source: reference/extension-protocol.md section 2.
const WAITING: Duration = Duration::from_secs(120);

/// What to do with extensions.
#[derive(clap::Subcommand)]
pub enum ExtensionVerb {
    /// Send a message to an extension that you write, and show what the server would make of its answer
    ///
    /// The message is signed if a secret is given. Ends with 1 unless the extension says that it is done.
    ///
    ///   muster extension simulate http://127.0.0.1:9000 schema --secret-file secret.txt
    ///   muster extension simulate http://127.0.0.1:9000 request greet --data '{"name": "Ada"}'
    ///   muster extension simulate http://127.0.0.1:9000 event subscribe --with-token
    #[command(verbatim_doc_comment)]
    Simulate(SimulateArgs),
    #[command(flatten)]
    Registered(RegisteredVerb),
}

/// Options of `simulate`.
#[derive(clap::Args)]
pub struct SimulateArgs {
    /// Where the extension listens
    url: String,
    /// What the message is about
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the action or event, or the text of the error
    name: Option<String>,
    /// Parameters: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    data: String,
    /// Configuration of the organization: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config: String,
    /// Send the body as it is; servers compress it
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    sender: simulate::Sender,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Is the extension well?
    Heartbeat,
    /// What does it offer?
    Schema,
    /// May an organization have the configuration of --config?
    Validate,
    /// Call the action NAME
    Request,
    /// Tell of the event NAME: subscribe, unsubscribe, update
    Event,
    /// Tell of the error NAME
    Error,
}

/// Carries it out.
///
/// # Errors
///
/// If the options are wrong, or the extension is not there or not content.
pub async fn run(verb: ExtensionVerb, global: &Global) -> anyhow::Result<()> {
    match verb {
        ExtensionVerb::Simulate(args) => simulate(args, global).await,
        ExtensionVerb::Registered(verb @ RegisteredVerb::Register(_)) => {
            registered::run(verb, &connection::client(&global.without_url())?, global.json).await
        }
        ExtensionVerb::Registered(verb) => registered::run(verb, &connection::client(global)?, global.json).await,
    }
}

async fn simulate(args: SimulateArgs, global: &Global) -> anyhow::Result<()> {
    let (data, config) = (simulate::object("--data", &args.data)?, simulate::object("--config", &args.config)?);
    let token = args.sender.token(global).await?;
    let (oid, jwt) = token.unwrap_or_else(|| (Oid(Default::default()), "simulated".to_owned()));
    let org = Org { oid, jwt, ident: "muster extension simulate".to_owned() };
    let name = || args.name.clone().ok_or_else(|| Usage("say which: a NAME is missing after the kind".into()));
    let subject = match args.kind {
        Kind::Heartbeat => Subject::Heartbeat {},
        Kind::Schema => Subject::SchemaRequest {},
        Kind::Validate => Subject::ConfValidation(ConfValidation { org, conf: config }),
        Kind::Error => Subject::ErrorReport(ErrorReport { error: name()?, oid: None }),
        Kind::Event => Subject::Event(Event { org, event_name: name()?, data: Map::new(), config }),
        Kind::Request => Subject::Request(Action {
            org,
            action: name()?,
            data,
            config,
            resource_state: BTreeMap::new(),
            inv_id: simulate::fresh_id(),
            acl: Some(Acl::open("user")),
            automation_rule: None,
        }),
    };
    let text = Message::new(simulate::fresh_id(), subject).to_vec();
    let signature = args.sender.secret()?.map(|secret| sign(&secret, &text));
    let post = simulate::Post { header: EXTENSION_HEADER, signature, is_gzip: !args.plain, waiting: WAITING };
    let posted = post.send(&args.url, text).await?;
    let (verdict, reason) = match judge(posted.status, &posted.body, args.kind == Kind::Heartbeat) {
        Verdict::Done(_) => (simulate::DONE, String::new()),
        Verdict::Again(reason) => ("call again, under the same key", reason),
        Verdict::Failed(reason) => ("give the call up, and report it to the organization", reason),
        Verdict::Busy => (simulate::BUSY, String::new()),
        Verdict::WrongSecret => ("send nothing more: secrets differ", String::new()),
    };
    conclude(&posted, verdict, &reason, global.json)
}
