//! What is on the endpoint: packages, services, drivers, users. Source: reference/commands.md section 6.5.

use serde_json::{Value, json};

use super::{Fields, Job, Outcome, fields};
use crate::platform::accounts;
use crate::platform::packages;
use crate::platform::services;
use crate::platform::shapes::Service;

/// An object without its empty texts: absent is better than empty. Source: reference/events.md section 3.
fn filled(value: Value) -> Value {
    let mut found = fields(value);
    found.retain(|_, value| value.as_str() != Some(""));
    Value::Object(found)
}

pub(super) fn packages(_: &Job) -> Outcome {
    let all: Vec<Value> = packages::packages()
        .into_iter()
        .map(|package| {
            filled(json!({
                "PACKAGE_NAME": package.name,
                "PACKAGE_VERSION": package.version,
                "PACKAGE_SOURCE": package.source,
                "ARCHITECTURE": package.architecture,
                "PUBLISHER": package.publisher,
            }))
        })
        .collect();
    Ok(fields(json!({"PACKAGES": all})))
}

pub(super) fn services(_: &Job) -> Outcome {
    Ok(listed(services::services()))
}

pub(super) fn drivers(_: &Job) -> Outcome {
    Ok(listed(services::modules()))
}

fn listed(all: Vec<Service>) -> Fields {
    let service = |service: Service| {
        filled(json!({
            "SVC_NAME": service.name,
            "SVC_DISPLAY_NAME": service.display_name,
            "EXECUTABLE": service.executable,
            "FILE_PATH": service.path,
            "SVC_TYPE": service.kind,
            "SVC_STATE": service.state,
            "PROCESS_ID": service.pid,
        }))
    };
    fields(json!({"SVCS": all.into_iter().map(service).collect::<Vec<_>>()}))
}

pub(super) fn users(_: &Job) -> Outcome {
    let all: Vec<Value> = accounts::accounts()?
        .into_iter()
        .map(|account| {
            let mut user = fields(filled(json!({
                "USER_NAME": account.name,
                "USER_ID": account.id,
                "GROUP_ID": account.group,
                "HOME": account.home,
                "SHELL": account.shell,
                "FULL_NAME": account.full_name,
                "GROUPS": account.groups,
            })));
            if let Some(is_locked) = account.is_locked {
                user.insert("IS_DISABLED".to_owned(), u8::from(is_locked).into());
            }
            Value::Object(user)
        })
        .collect();
    Ok(fields(json!({"USERS": all})))
}
