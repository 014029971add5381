//! `muster sensors` and `muster sensor`.

use crate::duration::parse_seconds;
use crate::reach::{Reach, sensor_id};
use crate::show;
use muster_client::{Client, Listing, Sensor};
use std::time::Duration;

/// Which sensors to list.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only sensors that match this selector, such as 'plat == linux and "vip" in tags'
    #[arg(long, short)]
    selector: Option<String>,
    /// Only sensors that are online now
    #[arg(long)]
    online: bool,
    /// Only sensors that are offline now
    #[arg(long, conflicts_with = "online")]
    offline: bool,
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
        #[arg(value_parser = sensor_id)]
        sid: String,
    },
    /// Forget a sensor: its record, its tags, and what it is still owed
    Delete(Whom),
    /// Cut endpoints off the network, but for this server
    ///
    ///   muster sensor isolate SID
    ///   muster sensor isolate --selector '"breach-7" in tags' --yes --wait=10m
    #[command(verbatim_doc_comment)]
    Isolate(Act),
    /// Let endpoints back into the network
    Rejoin(Act),
    /// Protect sensors on their endpoints against being tampered with
    Seal(Act),
    /// End that protection
    Unseal(Act),
}

/// Which sensors an act reaches.
#[derive(clap::Args)]
pub struct Whom {
    /// Sensor ids
    #[arg(required_unless_present = "selector", conflicts_with = "selector", value_parser = sensor_id)]
    sids: Vec<String>,
    /// Every sensor that matches this selector; '*' is every sensor
    #[arg(long, short)]
    selector: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// An act that sensors carry out and report.
#[derive(clap::Args)]
pub struct Act {
    #[command(flatten)]
    whom: Whom,
    /// Wait until each sensor has reported it, for so long (default: 5m); fails if one has not
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true, default_missing_value = "5m",
          value_parser = parse_seconds)]
    wait: Option<u64>,
}

/// A state that is wanted of a sensor.
#[derive(Clone, Copy)]
enum Wanted {
    Isolation(bool),
    Seal(bool),
}

/// Lists sensors.
///
/// # Errors
///
/// Whatever the server says.
pub async fn list(args: ListArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let limit = args.limit.map(|limit| limit as usize);
    let listing = Listing { selector: args.selector, online_only: args.online, offline_only: args.offline, limit };
    let sensors = client.sensors(&listing).await?;
    if json {
        show::json(&sensors);
        return Ok(());
    }
    let rows = sensors.iter().map(row);
    let headings = ["SENSOR", "HOSTNAME", "PLATFORM", "ONLINE", "ADDRESS", "LAST SEEN (UTC)", "TAGS"];
    show::table(
        &headings,
        rows,
        "No sensors. Enrol one: muster-sensor run --key \"$MUSTER_INSTALL_KEY\" --state-dir DIR",
    );
    Ok(())
}

fn row(sensor: &Sensor) -> Vec<String> {
    vec![
        sensor.sid.to_string(),
        sensor.hostname.to_string(),
        sensor.plat.name().into_owned(),
        yes_or_no(sensor.is_online),
        sensor.int_ip.to_string(),
        sensor.alive.clone(),
        tags_of(sensor),
    ]
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn tags_of(sensor: &Sensor) -> String {
    sensor.tags.as_deref().unwrap_or_default().join(", ")
}

/// Does something with one sensor.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(verb: SensorVerb, client: &Client, json: bool) -> anyhow::Result<()> {
    match verb {
        SensorVerb::Get { sid } => get(&sid, client, json).await?,
        SensorVerb::Delete(whom) => {
            let reach = Reach::find(client, &whom.sids, whom.selector).await?;
            reach.ask(whom.yes, |sensors| format!("delete {sensors}, with all that is still owed to them"))?;
            for sid in reach.sids() {
                client.delete_sensor(&sid).await?;
                show::line(format_args!("Deleted {sid}."));
            }
        }
        SensorVerb::Isolate(act) => set(act, Wanted::Isolation(true), client).await?,
        SensorVerb::Rejoin(act) => set(act, Wanted::Isolation(false), client).await?,
        SensorVerb::Seal(act) => set(act, Wanted::Seal(true), client).await?,
        SensorVerb::Unseal(act) => set(act, Wanted::Seal(false), client).await?,
    }
    Ok(())
}

/// Asks, wants it of each sensor, and waits for their reports if that is asked for.
async fn set(act: Act, wanted: Wanted, client: &Client) -> anyhow::Result<()> {
    let Act { whom: Whom { sids, selector, yes }, wait } = act;
    let reach = Reach::find(client, &sids, selector).await?;
    reach.ask(yes, |sensors| match wanted {
        Wanted::Isolation(true) => format!("cut {sensors} off the network"),
        Wanted::Isolation(false) => format!("let {sensors} back into the network"),
        Wanted::Seal(true) => format!("seal {sensors}"),
        Wanted::Seal(false) => format!("end the seal of {sensors}"),
    })?;
    for sid in reach.sids() {
        match wanted {
            Wanted::Isolation(on) => client.set_isolation(&sid, on).await?,
            Wanted::Seal(on) => client.set_seal(&sid, on).await?,
        }
    }
    let count = reach.count();
    match wait {
        Some(seconds) => {
            let has_reported = |sensor: &Sensor| match wanted {
                Wanted::Isolation(on) => sensor.is_isolated == on,
                Wanted::Seal(on) => sensor.is_sealed == on,
            };
            reach.wait(client, has_reported, Duration::from_secs(seconds)).await?;
            show::line(format_args!("Done on {count} sensors, as they report."));
        }
        None => show::line(format_args!("Wanted of {count} sensors; each does it as soon as it hears of it.")),
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
    show::fields(&[
        ("sensor", sensor.sid.to_string()),
        ("hostname", sensor.hostname.to_string()),
        ("platform", sensor.plat.name().into_owned()),
        ("online", yes_or_no(state.is_online)),
        ("internal address", sensor.int_ip.to_string()),
        ("external address", sensor.ext_ip.to_string()),
        ("enrolled (UTC)", sensor.enroll.clone()),
        ("last seen (UTC)", sensor.alive.clone()),
        ("isolated", sensor.is_isolated.to_string()),
        ("should be isolated", sensor.should_isolate.to_string()),
        ("should be sealed", sensor.should_seal.to_string()),
        ("tags", tags_of(sensor)),
    ]);
    Ok(())
}
