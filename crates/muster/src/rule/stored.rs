//! `muster rule list`, `get`, `set`, `delete`, `enable` and `disable`: rules that a server keeps.

use super::read::{self, Lookups, Remark};
use crate::confirm::confirm;
use crate::exit::Usage;
use crate::show;
use clap::ValueEnum;
use muster_client::{Client, ClientError, ErrorCode, HiveChange, HiveRecord, UserMetadata};
use muster_rules::{RuleLoader, WrittenRule};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where rules are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Namespace {
    /// Those of the organization
    General,
    /// Those of whoever manages it
    Managed,
    /// Those of services
    Service,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::General, Self::Managed, Self::Service];

    /// The hive that holds them.
    pub fn hive(self) -> &'static str {
        match self {
            Self::General => "dr-general",
            Self::Managed => "dr-managed",
            Self::Service => "dr-service",
        }
    }
}

/// Which rules.
#[derive(clap::Args)]
pub struct ListArgs {
    /// Only of this namespace (default: of all that the key may read)
    #[arg(long)]
    namespace: Option<Namespace>,
}

/// Which rule.
#[derive(clap::Args)]
pub struct KeyArgs {
    /// Its name
    name: String,
    /// Its namespace
    #[arg(long, default_value = "general")]
    namespace: Namespace,
}

/// Which rule, and whether to ask.
#[derive(clap::Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// What to store.
#[derive(clap::Args)]
pub struct SetArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// File with the rule, YAML or JSON; of several rules, the one of this name; - is standard input
    file: PathBuf,
    /// Put it in force (a new rule is not, unless this is given)
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Put it out of force
    #[arg(long)]
    disable: bool,
    /// Labels instead of the ones it has; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A comment instead of the one it has
    #[arg(long)]
    comment: Option<String>,
}

/// Rules of the namespaces that the key may read, or of one.
///
/// # Errors
///
/// Whatever the server says of the namespace that is named, or of the first one.
pub async fn readable(
    client: &Client,
    namespaces: &[Namespace],
) -> anyhow::Result<Vec<(Namespace, BTreeMap<String, HiveRecord>)>> {
    let mut found = Vec::new();
    for (at, namespace) in namespaces.iter().enumerate() {
        match client.hive_records(namespace.hive()).await {
            Ok(records) => found.push((*namespace, records)),
            Err(ClientError::Refused { status: 401, code, message, .. })
                if at > 0 && code == Some(ErrorCode::MissingPermission) =>
            {
                eprintln!("muster: {} is left out: {}", namespace.hive(), show::safe(&message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Lists rules.
///
/// # Errors
///
/// Whatever the server says.
pub async fn list(args: &ListArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let namespaces = args.namespace.map_or(Namespace::ALL.to_vec(), |namespace| vec![namespace]);
    let found = readable(client, &namespaces).await?;
    if json {
        let by_hive: BTreeMap<_, _> = found.iter().map(|(namespace, rules)| (namespace.hive(), rules)).collect();
        show::json(&by_hive);
        return Ok(());
    }
    let row = |namespace: Namespace, name: &str, rule: &HiveRecord| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let detect = &rule.data["detect"];
        let looks_at = text(&detect["event"]).or_else(|| text(&detect["target"])).unwrap_or_else(|| "-".into());
        vec![
            name.to_owned(),
            namespace.hive().to_owned(),
            if rule.usr_mtd.enabled { "yes" } else { "no" }.to_owned(),
            looks_at,
            rule.usr_mtd.tags.join(", "),
            show::time_ms(Some(rule.sys_mtd.last_mod)),
            rule.sys_mtd.last_author.clone(),
        ]
    };
    let rows = found.iter().flat_map(|(namespace, rules)| {
        let namespace = *namespace;
        rules.iter().map(move |(name, rule)| row(namespace, name, rule))
    });
    let headings = ["NAME", "HIVE", "ENABLED", "LOOKS AT", "TAGS", "CHANGED", "BY"];
    show::table(&headings, rows.collect::<Vec<_>>(), "No rules.");
    Ok(())
}

/// Shows a rule.
///
/// # Errors
///
/// Whatever the server says.
pub async fn get(args: &KeyArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let record = client.hive_record(args.namespace.hive(), &args.name).await?;
    if json {
        show::json(&record);
    } else {
        show::line(show::safe(yaml(&record.data)?.trim_end()));
    }
    Ok(())
}

/// A rule as YAML.
///
/// # Errors
///
/// If it cannot be written, which no rule is known to cause.
pub fn yaml(rule: &Value) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(rule)?)
}

/// Stores a rule.
///
/// # Errors
///
/// If it cannot be loaded, with line and column; or whatever the server says.
pub async fn set(args: &SetArgs, client: &Client, json: bool) -> anyhow::Result<()> {
    let (name, hive) = (&args.key.name, args.key.namespace.hive());
    let data = checked_rule(&args.file, name)?;
    let stored = match client.hive_record(hive, name).await {
        Ok(record) => Some(record),
        Err(error) if error.code() == Some(ErrorCode::RecordNotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let is_new = stored.is_none();
    let etag = stored.as_ref().map(|stored| stored.sys_mtd.etag.clone());
    let change = HiveChange { data: Some(data), usr_mtd: metadata(args, stored), etag };
    client.set_hive_record(hive, name, &change).await?;
    let record = client.hive_record(hive, name).await?;
    if json {
        show::json(&record);
        return Ok(());
    }
    let what = if is_new { "Stored" } else { "Changed" };
    let force = if record.usr_mtd.enabled { "in force" } else { "not in force; `muster rule enable` puts it so" };
    show::line(format_args!("{what}; it is {force}."));
    Ok(())
}

/// The metadata to write; none if what is stored may stay.
fn metadata(args: &SetArgs, stored: Option<HiveRecord>) -> Option<UserMetadata> {
    if !args.enable && !args.disable && args.tags.is_empty() && args.comment.is_none() {
        return None;
    }
    let mut usr_mtd = stored.map(|stored| stored.usr_mtd).unwrap_or_default();
    if args.enable || args.disable {
        usr_mtd.enabled = args.enable;
    }
    if !args.tags.is_empty() {
        usr_mtd.tags.clone_from(&args.tags);
    }
    if let Some(comment) = &args.comment {
        usr_mtd.comment.clone_from(comment);
    }
    Some(usr_mtd)
}

/// The rule of a file, loaded and its tests run: the server's answer would name no line.
fn checked_rule(file: &Path, name: &str) -> anyhow::Result<Value> {
    let mut rules = read::rules(file)?.map_err(|remark| Usage(remark.to_string()))?;
    if rules.len() > 1 {
        rules.retain(|rule| rule.name == name);
    }
    let Some(written) = rules.first() else {
        return Err(Usage(format!("{} holds several rules, and none is called {name}", file.display())).into());
    };
    check(written).map_err(|error| Usage(Remark::error(file, &written.name, &error).to_string()))?;
    let mut data = written.value();
    if let Value::Object(fields) = &mut data {
        fields.remove("name");
        fields.entry("respond").or_insert_with(|| json!([]));
    }
    Ok(data)
}

/// Loads a rule. Its tests are left to the server if it refers to lookups, which are there.
fn check(written: &WrittenRule) -> Result<(), muster_rules::LoadError> {
    let lookups = Lookups::default();
    let loader = RuleLoader::new(&lookups, "");
    let rule = loader.written(written)?;
    let tests = loader.run_tests(&rule, written)?;
    let has_lookup = written.value().to_string().contains("\"lookup\"");
    match tests.into_iter().find_map(|test| test.failure).filter(|_| !has_lookup) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Deletes a rule.
///
/// # Errors
///
/// Whatever the server says.
pub async fn delete(args: &DeleteArgs, client: &Client) -> anyhow::Result<()> {
    let (name, hive) = (&args.key.name, args.key.namespace.hive());
    confirm(args.yes, &format!("delete the rule {name} of {hive}"))?;
    client.delete_hive_record(hive, name).await?;
    show::line("Deleted.");
    Ok(())
}

/// Puts a rule in force, or out of force.
///
/// # Errors
///
/// Whatever the server says; also if the rule is changed by someone else at this moment.
pub async fn switch(args: &KeyArgs, enabled: bool, client: &Client) -> anyhow::Result<()> {
    let hive = args.namespace.hive();
    let record = client.hive_record(hive, &args.name).await?;
    let usr_mtd = UserMetadata { enabled, ..record.usr_mtd };
    let change = HiveChange { data: None, usr_mtd: Some(usr_mtd), etag: Some(record.sys_mtd.etag) };
    client.set_hive_record(hive, &args.name, &change).await?;
    show::line(if enabled { "In force." } else { "Out of force." });
    Ok(())
}
