//! What a rule does for whoever saves it: the permissions that its actions take by their direct routes.

use super::{Hive, Hives, Verb, find};
use crate::access;
use crate::settings::{RULES_NEED_RIGHTS, is_on};
use muster_command::Command;
use muster_model::Oid;
use serde_json::Value;

/// The extension that tasks, and the older service behind which it stands.
const TASKING: [&str; 2] = ["ext-reliable-tasking", "reliable-tasking"];

impl Hives {
    /// Checks that whoever saves a rule may do what its actions do, where the organization asks for that.
    ///
    /// # Errors
    ///
    /// [`access::Error::MissingPermission`].
    pub fn require_rights(
        &self,
        oid: Oid,
        hive: &Hive,
        data: &Value,
        may: impl Fn(&str) -> bool,
    ) -> Result<(), access::Error> {
        if hive.namespace().is_none() || !is_on(&self.records, oid, RULES_NEED_RIGHTS) {
            return Ok(());
        }
        match rights_of(data).into_iter().find(|permission| !may(permission)) {
            Some(missing) => Err(access::Error::MissingPermission(missing.to_owned())),
            None => Ok(()),
        }
    }
}

/// Permissions that the actions of a rule take.
fn rights_of(rule: &Value) -> Vec<&'static str> {
    let actions = rule.get("respond").and_then(Value::as_array).into_iter().flatten();
    actions.flat_map(rights_of_action).collect()
}

fn rights_of_action(action: &Value) -> Vec<&'static str> {
    let text = |name: &str| action.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("action") {
        "task" => of_task(action.get("command")),
        "isolate network" | "rejoin network" | "seal" | "unseal" | "re-enroll" => vec!["sensor.task"],
        "add tag" | "remove tag" => vec!["sensor.tag"],
        "undelete sensor" => vec!["sensor.del"],
        "extension request" => of_request(text("extension name"), action.get("extension request")),
        "service request" => of_request(text("name"), action.get("request")),
        "add hive tag" | "remove hive tag" => match find(text("hive name")) {
            Some(hive) => vec![hive.permission(Verb::SetMetadata)],
            // Which one is known only when it runs: it may be any.
            None => super::HIVES.iter().map(|hive| hive.permission(Verb::SetMetadata)).collect(),
        },
        // They tell, count or wait.
        _ => Vec::new(),
    }
}

fn of_request(name: &str, request: Option<&Value>) -> Vec<&'static str> {
    let mut rights = vec!["ext.request"];
    if TASKING.contains(&name) {
        let task = request.and_then(|request| request.get("task"));
        rights.extend(task.map_or_else(|| vec!["sensor.task"], |task| of_task(Some(task))));
    }
    rights
}

/// A command that cannot be read before it runs may use a payload.
fn of_task(command: Option<&Value>) -> Vec<&'static str> {
    let word = |word: &Value| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
    let line = match command {
        Some(Value::Array(words)) => words.iter().map(word).collect::<Vec<_>>().join(" "),
        Some(line) => word(line),
        None => String::new(),
    };
    let needs_none = Command::parse(&line).is_ok_and(|command| command.payloads().next().is_none());
    if needs_none { vec!["sensor.task"] } else { vec!["sensor.task", "payload.use"] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_1_each_action_takes_what_its_direct_route_takes() {
        let of = |action: Value| rights_of(&json!({"detect": {}, "respond": [action]}));
        assert_eq!(of(json!({"action": "report", "name": "x"})), Vec::<&str>::new());
        assert_eq!(of(json!({"action": "task", "command": "os_version"})), ["sensor.task"]);
        assert_eq!(
            of(json!({"action": "task", "command": ["run", "--payload-name", "x"]})),
            ["sensor.task", "payload.use"]
        );
        assert_eq!(of(json!({"action": "task", "command": "{{ .event.X }}"})), ["sensor.task", "payload.use"]);
        assert_eq!(of(json!({"action": "isolate network"})), ["sensor.task"]);
        assert_eq!(of(json!({"action": "add tag", "tag": "x"})), ["sensor.tag"]);
        let request = json!({"action": "extension request", "extension name": "ext-reliable-tasking",
            "extension action": "task", "extension request": {"task": "put --payload-name x", "selector": "*"}});
        assert_eq!(of(request), ["ext.request", "sensor.task", "payload.use"]);
        assert_eq!(of(json!({"action": "add hive tag", "hive name": "secret"})), ["secret.set.mtd"]);
        assert_eq!(rights_of(&json!({"detect": {}, "respond": null})), Vec::<&str>::new());
    }
}
