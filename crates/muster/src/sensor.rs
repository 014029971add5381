//! `muster sensors` and `muster sensor`.

use crate::confirm::confirm;
use crate::show;
use muster_client::{Client, Listing, Sensor};
use muster_model::Platform;
use std::collections::HashSet;

/// Which sensors to list.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only sensors that match this selector, such as 'plat == linux and "vip" in tags'
    #[arg(long, short)]
    selector: Option<String>,
    /// Only sensors that are online now
    #[arg(long)]
    online: bool,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// What to do with one sensor.
#[derive(clap::Subcommand)]
pub enum SensorVerb {
    /// Show one sensor
    Get {
        /// Sensor id
        sid: String,
    },
    /// Forget a sensor: its record, its tags, and what it is still owed
    Delete {
        /// Sensor id
        sid: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Cut the endpoint off the network, but for this server
    Isolate {
        /// Sensor id
        sid: String,
    },
    /// Let the endpoint back into the network
    Rejoin {
        /// Sensor id
        sid: String,
    },
    /// Protect the sensor on its endpoint against being tampered with
    Seal {
        /// Sensor id
        sid: String,
    },
    /// End that protection
    Unseal {
        /// Sensor id
        sid: String,
    },
}

/// Lists sensors.
///
/// # Errors
///
/// Whatever the server says.
pub async fn list(args: ListArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let limit = args.limit.map(|limit| limit as usize);
    let sensors = client.sensors(&Listing { selector: args.selector, online_only: args.online, limit }).await?;
    if json {
        show::json(&sensors);
        return Ok(());
    }
    let sids: Vec<&str> = sensors.iter().map(|sensor| sensor.sid.as_str()).collect();
    let online = if args.online || sids.is_empty() {
        sids.iter().map(|sid| (*sid).to_owned()).collect()
    } else {
        client.online(&sids).await?
    };
    let rows = sensors.iter().map(|sensor| row(sensor, &online));
    let headings = ["SENSOR", "HOSTNAME", "PLATFORM", "ONLINE", "ADDRESS", "LAST SEEN (UTC)", "TAGS"];
    show::table(
        &headings,
        rows,
        "No sensors. Enrol one: muster-sensor run --key \"$MUSTER_INSTALL_KEY\" --state-dir DIR",
    );
    Ok(())
}

fn row(sensor: &Sensor, online: &HashSet<String>) -> Vec<String> {
    vec![
        sensor.sid.clone(),
        sensor.hostname.clone(),
        Platform(sensor.plat).name().into_owned(),
        if online.contains(&sensor.sid) { "yes" } else { "no" }.to_owned(),
        sensor.int_ip.clone(),
        sensor.alive.clone(),
        tags_of(sensor),
    ]
}

fn tags_of(sensor: &Sensor) -> String {
    let tags = sensor.rest.get("tags").and_then(|tags| tags.as_array());
    tags.map(|tags| tags.iter().filter_map(|tag| tag.as_str()).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

/// Does something with one sensor.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: SensorVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        SensorVerb::Get { sid } => get(&sid, client, json).await?,
        SensorVerb::Delete { sid, yes } => {
            let state = client.sensor(&sid).await?;
            let name = show::safe(&state.info.hostname);
            confirm(yes, &format!("delete the sensor {sid} ({name}) with all that it is still owed"))?;
            client.delete_sensor(&sid).await?;
            show::line(format_args!("Deleted {sid}."));
        }
        SensorVerb::Isolate { sid } => {
            client.set_isolation(&sid, true).await?;
            show::line("The endpoint is cut off as soon as its sensor hears of it.");
        }
        SensorVerb::Rejoin { sid } => {
            client.set_isolation(&sid, false).await?;
            show::line("The endpoint is let back in as soon as its sensor hears of it.");
        }
        SensorVerb::Seal { sid } => {
            client.set_seal(&sid, true).await?;
            show::line("The sensor seals itself as soon as it hears of it.");
        }
        SensorVerb::Unseal { sid } => {
            client.set_seal(&sid, false).await?;
            show::line("The sensor unseals itself as soon as it hears of it.");
        }
    }
    Ok(())
}

async fn get(sid: &str, client: &Client, json: bool) -> anyhow::Result<()> {
    let state = client.sensor(sid).await?;
    if json {
        show::json(&state);
        return Ok(());
    }
    let sensor = &state.info;
    let text = |name: &str| {
        sensor.rest.get(name).map_or_else(String::new, |value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    show::fields(&[
        ("sensor", sensor.sid.clone()),
        ("hostname", sensor.hostname.clone()),
        ("platform", Platform(sensor.plat).name().into_owned()),
        ("online", if state.is_online { "yes" } else { "no" }.to_owned()),
        ("internal address", sensor.int_ip.clone()),
        ("external address", sensor.ext_ip.clone()),
        ("enrolled (UTC)", text("enroll")),
        ("last seen (UTC)", sensor.alive.clone()),
        ("isolated", text("isolated")),
        ("should be isolated", text("should_isolate")),
        ("should be sealed", text("should_seal")),
        ("tags", tags_of(sensor)),
    ]);
    Ok(())
}
