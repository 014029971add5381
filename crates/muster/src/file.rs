//! `muster payload` and `muster artifact`.

use crate::confirm::confirm;
use crate::duration::parse_seconds;
use crate::event::span_since;
use crate::exit::Usage;
use crate::show;
use anyhow::Context as _;
use muster_client::{Artifact, Client, Payload};
use std::path::{Path, PathBuf};

/// What to do with payloads.
#[derive(clap::Subcommand)]
pub enum PayloadVerb {
    /// List payloads
    List,
    /// Upload a file, so that tasks can bring it to endpoints
    ///
    ///   muster payload upload fix.sh
    ///   muster reliable-task create 'run --payload-name fix.sh' --selector 'plat == linux'
    #[command(verbatim_doc_comment)]
    Upload {
        /// The file
        file: PathBuf,
        /// Name of the payload (default: that of the file)
        #[arg(long)]
        name: Option<String>,
    },
    /// Download a payload
    Download {
        /// Its name
        name: String,
        /// New file to write (default: the payload's name, in this directory)
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Delete a payload; tasks that need it fail from then on
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What to do with artifacts.
#[derive(clap::Subcommand)]
pub enum ArtifactVerb {
    /// List files that came from endpoints
    List {
        /// How far back
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_seconds)]
        since: u64,
        /// Only of this sensor
        #[arg(long)]
        sid: Option<String>,
    },
    /// Download one of them
    Download {
        /// Its id, from `muster artifact list`
        id: String,
        /// New file to write (default: the id, in this directory)
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

/// Carries out what is asked about payloads.
///
/// # Errors
///
/// Whatever the server or the file system says.
pub async fn run_payload(verb: PayloadVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        PayloadVerb::List => {
            let payloads = client.payloads().await?;
            if json {
                show::json(&payloads);
                return Ok(());
            }
            let row = |(name, payload): (&String, &Payload)| {
                vec![name.clone(), show::bytes(payload.size), payload.by.clone()]
            };
            show::table(&["NAME", "SIZE", "BY"], payloads.iter().map(row), "No payloads.");
        }
        PayloadVerb::Upload { file, name } => {
            let of_file = || file.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let name = name.or_else(of_file).ok_or_else(|| Usage("give the payload a name with --name".into()))?;
            client.upload_payload(&name, &file).await?;
            show::line(format_args!("Uploaded {name}."));
        }
        PayloadVerb::Download { name, to } => {
            let to = to.map_or_else(|| plain_name(&name), Ok)?;
            done(client.download_payload(&name, &to).await, &to)?;
        }
        PayloadVerb::Delete { name, yes } => {
            confirm(yes, &format!("delete the payload {name}; tasks that need it fail from then on"))?;
            client.delete_payload(&name).await?;
            show::line("Deleted.");
        }
    }
    Ok(())
}

/// Carries out what is asked about artifacts.
///
/// # Errors
///
/// Whatever the server or the file system says.
pub async fn run_artifact(verb: ArtifactVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        ArtifactVerb::List { since, sid } => {
            let artifacts = client.artifacts(span_since(since), sid.as_deref()).await?;
            if json {
                show::json(&artifacts);
                return Ok(());
            }
            let row = |artifact: &Artifact| {
                let size = show::bytes(artifact.size);
                vec![
                    artifact.payload_id.clone(),
                    artifact.source.clone(),
                    artifact.path.clone(),
                    artifact.hint.clone(),
                    size,
                ]
            };
            let headings = ["ID", "SOURCE", "PATH", "KIND", "SIZE"];
            show::table(&headings, artifacts.iter().map(row), "No artifacts in that time.");
        }
        ArtifactVerb::Download { id, to } => {
            let to = to.map_or_else(|| plain_name(&id), Ok)?;
            done(client.download_artifact(&id, &to).await, &to)?;
        }
    }
    Ok(())
}

/// A name that stays in this directory: names of payloads are chosen by others.
fn plain_name(name: &str) -> anyhow::Result<PathBuf> {
    let is_plain = Path::new(name).file_name().is_some_and(|last| last == name);
    if is_plain {
        Ok(name.into())
    } else {
        Err(Usage(format!("{name} is not a file name; choose one with --to")).into())
    }
}

fn done(downloaded: Result<u64, muster_client::ClientError>, to: &Path) -> anyhow::Result<()> {
    let size = downloaded.with_context(|| format!("nothing was written to {}", to.display()))?;
    show::line(format_args!("Wrote {} to {}.", show::bytes(size), to.display()));
    Ok(())
}
