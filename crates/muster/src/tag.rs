//! `muster tag`.

use crate::duration::parse_seconds;
use crate::reach::{Reach, sensor_id};
use crate::show;
use muster_client::{Client, SensorTags};

/// Which sensors.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// One sensor
    #[arg(long, value_parser = sensor_id)]
    sid: Option<String>,
    /// Every sensor that matches this selector; '*' is every sensor
    #[arg(long, short)]
    selector: Option<String>,
}

/// What to do with tags.
#[derive(clap::Subcommand)]
pub enum TagVerb {
    /// Put a tag on sensors
    ///
    ///   muster tag add vip --sid SID
    ///   muster tag add patched --selector 'plat == windows' --ttl 7d
    #[command(verbatim_doc_comment)]
    Add {
        /// The tag
        tag: String,
        #[command(flatten)]
        whom: Whom,
        /// Takes itself off again after this span
        #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
        ttl: Option<u64>,
        /// Do not ask, with --selector
        #[arg(long, short)]
        yes: bool,
    },
    /// Take a tag off sensors
    Remove {
        /// The tag
        tag: String,
        #[command(flatten)]
        whom: Whom,
        /// Do not ask, with --selector
        #[arg(long, short)]
        yes: bool,
    },
    /// List tags: all that are in use, or those of one sensor
    List {
        /// Only of this sensor
        #[arg(long, value_parser = sensor_id)]
        sid: Option<String>,
    },
    /// List the sensors that have a tag
    Find {
        /// The tag
        tag: String,
    },
}

/// Carries it out.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: TagVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        TagVerb::Add { tag, whom, ttl, yes } => {
            let reach = asked(whom, client, yes, &format!("put the tag {tag} on")).await?;
            for sid in reach.sids() {
                client.add_tags(&sid, std::slice::from_ref(&tag), ttl).await?;
            }
            show::line(format_args!("Tagged {} sensors.", reach.count()));
        }
        TagVerb::Remove { tag, whom, yes } => {
            let reach = asked(whom, client, yes, &format!("take the tag {tag} off")).await?;
            for sid in reach.sids() {
                client.remove_tag(&sid, &tag).await?;
            }
            show::line(format_args!("Took the tag off {} sensors.", reach.count()));
        }
        TagVerb::List { sid: None } => {
            let tags = client.tags().await?;
            if json {
                show::json(&tags);
            } else {
                show::table(&["TAG"], tags.into_iter().map(|tag| vec![tag]), "No tags are in use.");
            }
        }
        TagVerb::List { sid: Some(sid) } => {
            let answer = client.tags_of(&sid).await?;
            if json {
                show::json(&answer);
            } else {
                let rows = rows_of(&answer, &sid);
                show::table(&["TAG", "ADDED BY", "ADDED"], rows, "This sensor has no tags.");
            }
        }
        TagVerb::Find { tag } => {
            let sensors = client.sensors_with_tag(&tag).await?;
            if json {
                show::json(&sensors);
            } else {
                show::table(&["SENSOR"], sensors.into_keys().map(|sid| vec![sid]), "No sensor has this tag.");
            }
        }
    }
    Ok(())
}

/// Whom it reaches; a person is asked about more than the one sensor that was named.
async fn asked(whom: Whom, client: &Client, yes: bool, act: &str) -> anyhow::Result<Reach> {
    let is_one = whom.sid.is_some();
    let reach = Reach::find(client, whom.sid.as_slice(), whom.selector).await?;
    reach.ask(yes || is_one, |sensors| format!("{act} {sensors}"))?;
    Ok(reach)
}

/// Tags of the sensor, who put them there, and when.
fn rows_of(answer: &SensorTags, sid: &str) -> Vec<Vec<String>> {
    let tags = answer.tags.get(sid).into_iter().flatten();
    tags.map(|(tag, (_, _, by, at))| vec![tag.clone(), by.clone(), at.clone()]).collect()
}
