//! `muster service`.

mod registered;

use crate::connection::{self, Global};
use crate::simulate::{self, Posted};
use crate::{exit, show};
use muster_webhook::service::{DEADLINE_S, Envelope, Etype, Verdict, judge};
use muster_webhook::{SERVICE_HEADER, sign};
use registered::RegisteredVerb;
use serde_json::Value;
use std::time::Duration;

/// What to do with services.
#[derive(clap::Subcommand)]
pub enum ServiceVerb {
    /// Send an event to a service that you write, and show what the server would make of its answer
    ///
    /// The event is signed if a secret is given. Ends with 1 unless the service says that it is done.
    ///
    ///   muster service simulate http://127.0.0.1:9000 health --secret-file secret.txt
    ///   muster service simulate http://127.0.0.1:9000 request --data '{"name": "Ada"}'
    ///   muster service simulate http://127.0.0.1:9000 org_install --with-token
    #[command(verbatim_doc_comment)]
    Simulate(SimulateArgs),
    #[command(flatten)]
    Registered(RegisteredVerb),
}

/// Options of `simulate`.
#[derive(clap::Args)]
pub struct SimulateArgs {
    /// Where the service listens
    url: String,
    /// What the event is about, such as health, request, detection, org_install, org_per_1h; other words are sent too
    etype: String,
    /// What else there is to say: a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    data: String,
    #[command(flatten)]
    sender: simulate::Sender,
}

/// Carries it out.
///
/// # Errors
///
/// If the options are wrong, or the service is not there or not content.
pub async fn run(verb: ServiceVerb, global: &Global) -> anyhow::Result<()> {
    match verb {
        ServiceVerb::Simulate(args) => simulate(args, global).await,
        ServiceVerb::Registered(verb @ RegisteredVerb::Register(_)) => {
            registered::run(verb, &connection::client(&global.without_url())?, global.json).await
        }
        ServiceVerb::Registered(verb) => registered::run(verb, &connection::client(global)?, global.json).await,
    }
}

async fn simulate(args: SimulateArgs, global: &Global) -> anyhow::Result<()> {
    let data = simulate::object("--data", &args.data)?;
    let mid = simulate::fresh_id();
    // The deadline and all else is as a server sends it; only the name may be one that no server sends.
    let mut event = Envelope::new(Etype::Health, &mid, simulate::now(), data);
    event.etype.clone_from(&args.etype);
    if let Some((oid, jwt)) = args.sender.token(global).await? {
        event = event.of(oid, jwt);
    } else if Etype::parse(&args.etype).is_some_and(Etype::has_organization) {
        simulate::note("servers send this event with an organization and a token: see --with-token");
    }
    let body = event.to_vec();
    let signature = args.sender.secret()?.map(|secret| sign(&secret, &body));
    let waiting = Duration::from_secs(u64::try_from(DEADLINE_S)?);
    let post = simulate::Post { header: SERVICE_HEADER, signature, is_gzip: false, waiting };
    let posted = post.send(&args.url, body).await?;
    let (verdict, reason) = match judge(posted.status, &posted.body) {
        Verdict::Done(answer) => (simulate::DONE, answer.error.unwrap_or_default()),
        Verdict::Again(reason) => ("deliver the event again, under the same message id", reason),
        Verdict::Failed(reason) => ("give the event up, and report it to the organization", reason),
        Verdict::NotImplemented => ("send no such events before the next health check", String::new()),
        Verdict::Busy => (simulate::BUSY, String::new()),
        Verdict::WrongSecret => ("send nothing more: secrets differ", String::new()),
    };
    conclude(&posted, verdict, &reason, global.json)
}

/// Shows an answer and what the server would do.
pub(crate) fn conclude(posted: &Posted, verdict: &str, reason: &str, json: bool) -> anyhow::Result<()> {
    let is_done = verdict == simulate::DONE;
    if json {
        let answer: Value = posted.answer();
        show::json(&serde_json::json!({
            "status": posted.status, "answer": answer, "is_done": is_done, "server": verdict, "reason": reason,
        }));
    } else {
        posted.show();
        show::line(format_args!("The server would {verdict}."));
        if !reason.is_empty() {
            show::line(format_args!("Reason: {}", show::safe(reason)));
        }
    }
    if is_done { Ok(()) } else { Err(exit::NotDone.into()) }
}
