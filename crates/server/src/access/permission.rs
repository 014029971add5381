//! Permission names. Source: reference/rest-api.md section 5.5.

/// Hives that have permissions of their own, as `<hive>.get` and so on.
const HIVES: &[&str] = &[
    "secret",
    "lookup",
    "model",
    "query",
    "yara",
    "ai_agent",
    "cloudsensor",
    "playbook",
    "sop",
    "org_notes",
    "app",
    "externaladapter",
];

const HIVE_VERBS: &[&str] = &["get", "set", "del", "get.mtd", "set.mtd"];

/// Every permission that does not belong to a hive.
pub const PERMISSIONS: &[&str] = &[
    "org.get",
    "org.del",
    "org.set_quota",
    "org.conf.get",
    "org.conf.set",
    "apikey.ctrl",
    "user.ctrl",
    "billing.ctrl",
    "module.update",
    "sensor.list",
    "sensor.get",
    "sensor.task",
    "sensor.del",
    "sensor.tag",
    "ikey.list",
    "ikey.set",
    "ikey.del",
    "ingestkey.ctrl",
    "dr.list",
    "dr.set",
    "dr.del",
    "dr.list.managed",
    "dr.set.managed",
    "dr.del.managed",
    "dr.list.service",
    "dr.set.service",
    "dr.del.service",
    "fp.ctrl",
    "ext.request",
    "ext.sub",
    "ext.sub.mtd",
    "ext.conf.get",
    "ext.conf.set",
    "ext.conf.del",
    "ext.conf.get.mtd",
    "ext.conf.set.mtd",
    "replicant.get",
    "replicant.ctrl",
    "insight.list",
    "insight.ctrl",
    "insight.del",
    "insight.evt.get",
    "insight.evt.get.simple",
    "insight.det.get",
    "insight.stat",
    "audit.get",
    "audit.set",
    "output.list",
    "output.set",
    "output.del",
    "payload.ctrl",
    "payload.use",
    "job.get",
    "job.ctrl",
];

/// Whether a key may be given this permission.
#[must_use]
pub fn is_known_permission(name: &str) -> bool {
    let is_of_hive =
        || name.split_once('.').is_some_and(|(hive, verb)| HIVES.contains(&hive) && HIVE_VERBS.contains(&verb));
    PERMISSIONS.contains(&name) || is_of_hive()
}

/// Everything there is: what the owner of an organization has.
#[must_use]
pub fn all() -> Vec<String> {
    let of_hives = HIVES.iter().flat_map(|hive| HIVE_VERBS.iter().map(move |verb| format!("{hive}.{verb}")));
    PERMISSIONS.iter().map(|name| (*name).to_owned()).chain(of_hives).collect()
}

/// The permissions of a role; `None` for an unknown role.
#[must_use]
pub fn role_permissions(role: &str) -> Option<Vec<String>> {
    let reads = |name: &String| {
        name.ends_with(".get") || name.ends_with(".list") || name.ends_with(".get.mtd") || name.starts_with("insight.")
    };
    let denied: &[&str] = match role {
        "Owner" => &[],
        "Administrator" => &["org.del", "billing.ctrl"],
        "Operator" => {
            &["org.del", "billing.ctrl", "user.ctrl", "apikey.ctrl", "org.set_quota", "org.conf.set", "insight.del"]
        }
        "Viewer" => return Some(all().into_iter().filter(|name| reads(name) && name != "insight.del").collect()),
        "Basic" => return Some(vec!["org.get".to_owned(), "sensor.list".to_owned(), "sensor.get".to_owned()]),
        _ => return None,
    };
    Some(all().into_iter().filter(|name| !denied.contains(&name.as_str())).collect())
}
