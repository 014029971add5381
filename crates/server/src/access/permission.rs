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
    "live.session",
    "live.file",
    "live.process",
    "live.registry",
    "live.memdump",
];

/// Whether a key may be given this permission.
#[must_use]
pub fn is_known_permission(name: &str) -> bool {
    let is_of_hive =
        || name.split_once('.').is_some_and(|(hive, verb)| HIVES.contains(&hive) && HIVE_VERBS.contains(&verb));
    PERMISSIONS.contains(&name) || is_of_hive()
}

/// Everything there is, in order: what the owner of an organization has.
#[must_use]
pub fn all() -> Vec<String> {
    let of_hives = HIVES.iter().flat_map(|hive| HIVE_VERBS.iter().map(move |verb| format!("{hive}.{verb}")));
    let mut all: Vec<String> = PERMISSIONS.iter().map(|name| (*name).to_owned()).chain(of_hives).collect();
    all.sort_unstable();
    all
}

/// What each role adds to the one before. Lists and no patterns: a permission that is added later is in no role but
/// Owner until someone decides that it is.
const BASIC: &[&str] = &["org.get", "sensor.list", "sensor.get"];

/// Sees what happens, and no secrets: neither those of the hive, nor keys, nor settings and outputs, which hold some.
const VIEWER: &[&str] = &[
    "dr.list",
    "dr.list.managed",
    "dr.list.service",
    "insight.list",
    "insight.evt.get",
    "insight.evt.get.simple",
    "insight.det.get",
    "insight.stat",
    "audit.get",
    "job.get",
    "ext.conf.get.mtd",
    "replicant.get",
    "secret.get.mtd",
    "lookup.get",
    "lookup.get.mtd",
    "model.get",
    "model.get.mtd",
    "query.get",
    "query.get.mtd",
    "yara.get",
    "yara.get.mtd",
    "playbook.get",
    "playbook.get.mtd",
    "sop.get",
    "sop.get.mtd",
    "org_notes.get",
    "org_notes.get.mtd",
    "ai_agent.get.mtd",
    "app.get.mtd",
    "cloudsensor.get.mtd",
    "externaladapter.get.mtd",
];

/// Works with endpoints, rules and what they need.
const OPERATOR: &[&str] = &[
    "live.session",
    "live.file",
    "live.process",
    "live.registry",
    "live.memdump",
    "sensor.task",
    "sensor.del",
    "sensor.tag",
    "payload.ctrl",
    "payload.use",
    "job.ctrl",
    "ikey.list",
    "ikey.set",
    "ikey.del",
    "dr.set",
    "dr.del",
    "dr.set.managed",
    "dr.del.managed",
    "dr.set.service",
    "dr.del.service",
    "fp.ctrl",
    "ext.request",
    "ext.sub",
    "ext.sub.mtd",
    "ext.conf.get",
    "ext.conf.set",
    "ext.conf.del",
    "ext.conf.set.mtd",
    "replicant.ctrl",
    "insight.ctrl",
    "audit.set",
    "output.list",
    "output.set",
    "output.del",
    "org.conf.get",
    "secret.set",
    "secret.set.mtd",
    "lookup.set",
    "lookup.set.mtd",
    "lookup.del",
    "model.set",
    "model.set.mtd",
    "model.del",
    "query.set",
    "query.set.mtd",
    "query.del",
    "yara.set",
    "yara.set.mtd",
    "yara.del",
    "playbook.set",
    "playbook.set.mtd",
    "playbook.del",
    "sop.set",
    "sop.set.mtd",
    "sop.del",
    "org_notes.set",
    "org_notes.set.mtd",
    "org_notes.del",
];

/// Sets the organization up, and says who may do what in it.
const ADMINISTRATOR: &[&str] = &[
    "org.set_quota",
    "org.conf.set",
    "apikey.ctrl",
    "user.ctrl",
    "module.update",
    "ingestkey.ctrl",
    "insight.del",
    "secret.get",
    "secret.del",
    "ai_agent.get",
    "ai_agent.set",
    "ai_agent.set.mtd",
    "ai_agent.del",
    "app.get",
    "app.set",
    "app.set.mtd",
    "app.del",
    "cloudsensor.get",
    "cloudsensor.set",
    "cloudsensor.set.mtd",
    "cloudsensor.del",
    "externaladapter.get",
    "externaladapter.set",
    "externaladapter.set.mtd",
    "externaladapter.del",
];

/// The permissions of a role; `None` for an unknown role.
#[must_use]
pub fn role_permissions(role: &str) -> Option<Vec<String>> {
    let lists: &[&[&str]] = match role {
        "Owner" => return Some(all()),
        "Administrator" => &[BASIC, VIEWER, OPERATOR, ADMINISTRATOR],
        "Operator" => &[BASIC, VIEWER, OPERATOR],
        "Viewer" => &[BASIC, VIEWER],
        "Basic" => &[BASIC],
        _ => return None,
    };
    Some(lists.concat().into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn two_2_roles_are_lists_of_permissions_that_there_are() {
        let of = |role: &str| role_permissions(role).unwrap().into_iter().collect::<BTreeSet<String>>();
        let roles = ["Basic", "Viewer", "Operator", "Administrator", "Owner"].map(of);
        for pair in roles.windows(2) {
            assert!(pair[0].is_subset(&pair[1]));
        }
        let only_owner: Vec<&String> = roles[4].difference(&roles[3]).collect();
        assert_eq!(only_owner, ["billing.ctrl", "org.del"]);
        let secrets = ["secret.get", "ikey.list", "insight.ctrl", "output.list", "org.conf.get", "ext.conf.get"];
        for name in secrets {
            assert!(!roles[1].contains(name), "Viewer has {name}");
        }
        let changes =
            |name: &&String| [".set", ".del", ".ctrl", ".task", ".tag", ".use"].iter().any(|end| name.ends_with(end));
        assert_eq!(roles[1].iter().find(changes), None);
        assert_eq!(role_permissions("viewer"), None);
    }
}
