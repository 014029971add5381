//! `muster events`, `muster detections` and `muster audit`.

use crate::duration::parse_seconds;
use crate::exit::Usage;
use crate::show;
use muster_client::{Client, Filter, Historic, History, RecordStream, Span, StreamKind};
use serde_json::Value;

/// How much of an event's content fits on its line.
const CONTENT_CHARS_MAX: usize = 160;

/// Which events.
#[derive(clap::Args)]
pub struct EventArgs {
    /// Only of this sensor; needed for events that are kept
    #[arg(long)]
    sid: Option<String>,
    /// Show events as they happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only of this type, such as NEW_PROCESS
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only of sensors with this tag (with --follow)
    #[arg(long, requires = "follow")]
    tag: Option<String>,
    /// Only with this investigation id, which is the context of a reliable task
    #[arg(long, value_name = "ID")]
    investigation_id: Option<String>,
    /// Kept events this far back
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    since: Option<u64>,
    /// At most so many kept events
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Which detections.
#[derive(clap::Args)]
pub struct DetectionArgs {
    /// Show detections as they happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only of this category: the name that the rule reports
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only new ones of sensors with this tag (with --follow); kept ones are not shown then
    #[arg(long, requires = "follow")]
    tag: Option<String>,
    /// Kept detections this far back
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = parse_seconds)]
    since: u64,
    /// At most so many kept detections
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Which audit records.
#[derive(clap::Args)]
pub struct AuditArgs {
    /// Show records as they happen, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Kept records this far back
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = parse_seconds)]
    since: u64,
    /// At most so many kept records
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// What lies between so many seconds ago and now.
pub fn span_since(seconds: u64) -> Span {
    let end_s = show::now_s();
    Span { start_s: end_s.saturating_sub_unsigned(seconds).max(0), end_s }
}

/// Shows events.
///
/// # Errors
///
/// Whatever the server says.
pub async fn run(args: EventArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let filter = Filter {
        investigation_id: args.investigation_id.clone(),
        tag: args.tag,
        category: args.event_type.clone(),
        sid: args.sid.clone(),
    };
    // Connected before the kept ones are read, so that none falls between.
    let stream = if args.follow { Some(client.stream(StreamKind::Event, &filter).await?) } else { None };
    if args.since.is_some() || !args.follow {
        let sid = args.sid.ok_or_else(|| {
            Usage(
                "kept events are read sensor by sensor: add --sid SID, or use --follow alone to see new ones of all"
                    .into(),
            )
        })?;
        let span = span_since(args.since.unwrap_or(3_600));
        let of = Historic::Events { sid };
        let history = History { of, span, category: args.event_type, limit: args.limit as usize };
        let mut events = client.history(&history).await?;
        // The history cannot be asked for it.
        if let Some(id) = &args.investigation_id {
            events.retain(|event| event.pointer("/routing/investigation_id").and_then(Value::as_str) == Some(id));
        }
        show_all(&events, json && !args.follow, json, event_line, "No events in that time.", args.follow);
    }
    match stream {
        Some(stream) => follow(stream, json, event_line).await,
        None => Ok(()),
    }
}

/// Shows detections.
///
/// # Errors
///
/// Whatever the server says.
pub async fn detections(args: DetectionArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let filter = Filter { tag: args.tag, category: args.category.clone(), ..Filter::default() };
    let stream = if args.follow { Some(client.stream(StreamKind::Detect, &filter).await?) } else { None };
    // The history cannot be asked for a tag, and detections of all sensors before those of a few would mislead.
    if filter.tag.is_none() {
        let span = span_since(args.since);
        let history = History { of: Historic::Detections, span, category: args.category, limit: args.limit as usize };
        let kept = client.history(&history).await?;
        show_all(&kept, json && !args.follow, json, detection_line, "No detections in that time.", args.follow);
    }
    match stream {
        Some(stream) => follow(stream, json, detection_line).await,
        None => Ok(()),
    }
}

/// Shows audit records.
///
/// # Errors
///
/// Whatever the server says.
pub async fn audit(args: AuditArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let stream = if args.follow { Some(client.stream(StreamKind::Audit, &Filter::default()).await?) } else { None };
    let span = span_since(args.since);
    let history = History { of: Historic::Audit, span, category: None, limit: args.limit as usize };
    let records = client.history(&history).await?;
    show_all(&records, json && !args.follow, json, audit_line, "No audit records in that time.", args.follow);
    match stream {
        Some(stream) => follow(stream, json, audit_line).await,
        None => Ok(()),
    }
}

fn show_all(records: &[Value], as_list: bool, json: bool, line: fn(&Value) -> String, none: &str, is_followed: bool) {
    if as_list {
        show::json(&records);
        return;
    }
    for record in records {
        if json { show::json_line(record) } else { show::line(line(record)) }
    }
    if records.is_empty() && !is_followed {
        show::line(none);
    }
}

async fn follow(mut stream: RecordStream, json: bool, line: fn(&Value) -> String) -> anyhow::Result<()> {
    loop {
        let next = tokio::select! {
            next = stream.next() => next?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        match next {
            Some(record) if json => show::json_line(&record),
            Some(record) => match record.get("__trace") {
                Some(_) => eprintln!("muster: {} records were lost, this reader is too slow", record["n"]),
                None => show::line(line(&record)),
            },
            None => anyhow::bail!("the server ended the stream"),
        }
    }
}

/// Time, endpoint and type of an event.
pub fn headline(record: &Value) -> String {
    let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let at = show::time_ms(record.pointer("/routing/event_time").and_then(Value::as_i64));
    show::safe(&format!("{at}  {}  {}", text("/routing/hostname"), text("/routing/event_type")))
}

fn event_line(record: &Value) -> String {
    let content = record.get("event").map(Value::to_string).unwrap_or_default();
    format!("{}  {}", headline(record), show::safe(&show::shortened(&content, CONTENT_CHARS_MAX)))
}

/// Time, endpoint, category and priority of a detection, the rule, and what it found.
fn detection_line(record: &Value) -> String {
    let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let at = show::time_ms(record.pointer("/routing/event_time").and_then(Value::as_i64));
    let priority = record.get("priority").filter(|priority| !priority.is_null());
    let priority = priority.map(|priority| format!(" (priority {priority})")).unwrap_or_default();
    let found = record.pointer("/detect/event").or_else(|| record.get("detect"));
    let found = show::shortened(&found.map(Value::to_string).unwrap_or_default(), CONTENT_CHARS_MAX);
    let (host, category, rule) = (text("/routing/hostname"), text("/cat"), text("/source_rule"));
    show::safe(&format!("{at}  {host}  {category}{priority}  {rule}  {found}"))
}

fn audit_line(record: &Value) -> String {
    let text = |name: &str| match record.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "-".into(),
    };
    let at = match record.get("ts").and_then(Value::as_i64) {
        // Records of either generation: seconds, or milliseconds.
        Some(ts) if ts > 100_000_000_000 => show::time_ms(Some(ts)),
        Some(ts) => show::time(ts),
        None => text("ts"),
    };
    let entity = show::shortened(&text("entity"), CONTENT_CHARS_MAX);
    show::safe(&format!("{at}  {}  {}  {entity}", text("ident"), text("msg")))
}
