//! Event names and their fields, and the ATT&CK layer.
//! Source: reference/events.md sections 4 to 7, reference/rest-api.md section 7.1.

use super::super::{Access, ApiError, Call, Method, Reply, Route};
use serde_json::{Value, json};

/// Events of Linux, and fields as `<type letter>:<path below event>`; `s` text, `i` number, `o` object, `l` list.
const EVENTS: &[(&str, &str)] = &[
    ("CLOUD_NOTIFICATION", "s:NOTIFICATION_ID s:NOTIFICATION o:HCP_IDENT i:EXPIRY"),
    ("CODE_IDENTITY", "s:FILE_PATH s:HASH s:HASH_SHA1 s:HASH_MD5 i:MEMORY_SIZE i:ERROR o:SIGNATURE"),
    ("CONNECTED", "s:HOST_NAME i:IS_SEGREGATED i:KERNEL_ACQ_AVAILABLE s:MAC_ADDRESS o:SEAL_STATUS"),
    ("DATA_DROPPED", "i:LOSS_EVICTED_EVENTS i:LOSS_EVICTED_BYTES"),
    ("DNS_REQUEST", "s:DOMAIN_NAME i:DNS_TYPE i:DNS_FLAGS i:MESSAGE_ID s:IP_ADDRESS s:CNAME i:PROCESS_ID"),
    ("EXISTING_PROCESS", PROCESS),
    ("FILE_CREATE", "s:FILE_PATH i:PROCESS_ID"),
    ("FILE_DELETE", "s:FILE_PATH i:PROCESS_ID"),
    ("FILE_MODIFIED", "s:FILE_PATH i:PROCESS_ID"),
    ("FILE_TYPE_ACCESSED", "i:PROCESS_ID i:RULE_NAME s:FILE_PATH"),
    ("FIM_HIT", "s:FILE_PATH i:PROCESS_ID o:PROCESS"),
    ("HIDDEN_MODULE_DETECTED", ""),
    ("MODULE_LOAD", "i:PROCESS_ID s:FILE_PATH s:MODULE_NAME i:BASE_ADDRESS i:MEMORY_SIZE"),
    ("MODULE_MEM_DISK_MISMATCH", "i:PROCESS_ID s:FILE_PATH i:BASE_ADDRESS"),
    (
        "NETWORK_CONNECTIONS",
        "i:PROCESS_ID i:PARENT_PROCESS_ID s:FILE_PATH s:COMMAND_LINE s:USER_NAME l:NETWORK_ACTIVITY",
    ),
    ("NETWORK_SUMMARY", "o:PROCESS"),
    ("NEW_DOCUMENT", "s:FILE_PATH s:HASH"),
    ("NEW_PROCESS", PROCESS),
    ("NEW_TCP4_CONNECTION", CONNECTION),
    ("NEW_TCP6_CONNECTION", CONNECTION),
    ("NEW_UDP4_CONNECTION", "i:PROCESS_ID s:IP_ADDRESS i:PORT"),
    ("NEW_UDP6_CONNECTION", "i:PROCESS_ID s:IP_ADDRESS i:PORT"),
    ("ONGOING_IDENTITY", "s:FILE_PATH s:HASH s:HASH_SHA1 s:HASH_MD5 i:MEMORY_SIZE i:ERROR o:SIGNATURE"),
    ("PROCESS_ENVIRONMENT", "i:PROCESS_ID l:ENVIRONMENT_VARIABLES"),
    ("RECEIPT", "i:ERROR s:ERROR_MESSAGE"),
    ("REJOIN_NETWORK", "i:ERROR"),
    ("SEGREGATE_NETWORK", "i:ERROR"),
    ("SERVICE_CHANGE", "s:SVC_NAME s:SVC_DISPLAY_NAME i:SVC_TYPE i:SVC_STATE s:EXECUTABLE s:DLL s:HASH i:PROCESS_ID"),
    ("SHUTTING_DOWN", ""),
    ("STARTING_UP", ""),
    ("SYNC", "s:HOST_NAME i:IS_SEGREGATED i:KERNEL_ACQ_AVAILABLE s:MAC_ADDRESS o:SEAL_STATUS"),
    ("TERMINATE_PROCESS", "i:PROCESS_ID i:PARENT_PROCESS_ID i:EXIT_CODE"),
    ("TERMINATE_TCP4_CONNECTION", CONNECTION),
    ("TERMINATE_TCP6_CONNECTION", CONNECTION),
    ("TERMINATE_UDP4_CONNECTION", "i:PROCESS_ID s:IP_ADDRESS i:PORT"),
    ("TERMINATE_UDP6_CONNECTION", "i:PROCESS_ID s:IP_ADDRESS i:PORT"),
    ("USER_OBSERVED", "s:USER_NAME"),
    ("VOLUME_MOUNT", "s:VOLUME_PATH s:DEVICE_NAME"),
    ("VOLUME_UNMOUNT", "s:VOLUME_PATH s:VOLUME_NAME"),
    ("YARA_DETECTION", ""),
];

const PROCESS: &str = "i:PROCESS_ID i:PARENT_PROCESS_ID s:FILE_PATH s:COMMAND_LINE s:USER_NAME i:USER_ID i:THREADS \
     i:MEMORY_USAGE i:BASE_ADDRESS s:HASH i:FILE_IS_SIGNED i:CREATION_TIME o:PARENT";

const CONNECTION: &str =
    "i:PROCESS_ID s:SOURCE/IP_ADDRESS i:SOURCE/PORT s:DESTINATION/IP_ADDRESS i:DESTINATION/PORT i:STATE";

/// Answers to commands; which fields they have is told by the command.
const REPLIES: &[&str] = &[
    "CONTAINER_LIST_REP",
    "DEBUG_DATA_REP",
    "DIR_FINDHASH_REP",
    "DIR_FIND_REP",
    "DIR_LIST_REP",
    "FILE_DEL_REP",
    "FILE_GET_REP",
    "FILE_GREP_REP",
    "FILE_HASH_REP",
    "FILE_INFO_REP",
    "FILE_MOV_REP",
    "FIM_ADD",
    "FIM_LIST_REP",
    "FIM_REMOVE",
    "GET_DOCUMENT_REP",
    "GET_EXFIL_EVENT_REP",
    "HISTORY_DUMP_REP",
    "LOG_GET_REP",
    "LOG_LIST_REP",
    "MEM_FIND_HANDLES_REP",
    "MEM_FIND_STRING_REP",
    "MEM_HANDLES_REP",
    "MEM_MAP_REP",
    "MEM_READ_REP",
    "MEM_STRINGS_REP",
    "NETSTAT_REP",
    "OS_AUTORUNS_REP",
    "OS_DRIVERS_REP",
    "OS_KILL_PROCESS_REP",
    "OS_PACKAGES_REP",
    "OS_PROCESSES_REP",
    "OS_RESUME_REP",
    "OS_SERVICES_REP",
    "OS_SUSPEND_REP",
    "OS_USERS_REP",
    "OS_VERSION_REP",
    "PCAP_LIST_INTERFACES_REP",
    "PCAP_START_REP",
    "PCAP_STOP_REP",
    "REGISTRY_GET_REP",
    "REGISTRY_LIST_REP",
    "USB_KEY_LIST_REP",
];

/// Events that only other platforms send, as (platforms, name).
const OTHERS: &[(&str, &str)] = &[
    ("windows", "AUTORUN_CHANGE"),
    ("windows", "DRIVER_CHANGE"),
    ("windows", "NEW_NAMED_PIPE"),
    ("windows", "NEW_REMOTE_THREAD"),
    ("windows", "OPEN_NAMED_PIPE"),
    ("windows", "REGISTRY_CREATE"),
    ("windows", "REGISTRY_DELETE"),
    ("windows", "REGISTRY_WRITE"),
    ("windows", "REMOTE_PROCESS_HANDLE"),
    ("windows", "SENSITIVE_PROCESS_ACCESS"),
    ("windows", "THREAD_INJECTION"),
    ("windows", "WEL"),
    ("macos", "MUL"),
    ("macos", "SSH_LOGIN"),
    ("macos", "SSH_LOGOUT"),
    ("macos", "USER_LOGIN"),
    ("macos", "USER_LOGOUT"),
    ("chrome", "HTTP_REQUEST"),
    ("chrome", "HTTP_REQUEST_HEADERS"),
    ("chrome", "HTTP_RESPONSE_HEADERS"),
];

/// Every event type, with the only platform that has it where there is but one.
pub fn event_types() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let common = EVENTS.iter().map(|(name, _)| *name).chain(REPLIES.iter().copied());
    common.map(|name| (name, None)).chain(OTHERS.iter().map(|(platform, name)| (*name, Some(*platform))))
}

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::Get;
    vec![
        Route::new(Get, "/orgs/{oid}/schema", May("org.get"), "Names of events", list)
            .query("platform", "Only events of this platform: linux, windows, macos, chrome"),
        Route::new(Get, "/orgs/{oid}/schema/{name}", May("org.get"), "Fields of an event", one),
        Route::new(Get, "/mitre/{oid}", May("org.get"), "ATT&CK techniques that rules cover", mitre),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let platform = call.fields.get("platform").unwrap_or_default().to_lowercase();
    let common = EVENTS.iter().map(|(name, _)| *name).chain(REPLIES.iter().copied());
    let is_wanted = |of: &str| platform.is_empty() || platform == of;
    let others = OTHERS.iter().filter(|(of, _)| is_wanted(of)).map(|(_, name)| *name);
    let mut names: Vec<String> = common.chain(others).map(|name| format!("evt:{name}")).collect();
    names.sort();
    Ok(Reply::json(&json!({"event_types": names})))
}

async fn one(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("name").trim_start_matches("evt:");
    let known = EVENTS.iter().copied().find(|(have, _)| *have == name);
    let is_listed = || REPLIES.contains(&name) || OTHERS.iter().any(|(_, have)| *have == name);
    let fields = match known {
        Some((_, fields)) => fields,
        None if is_listed() => "",
        None => return Err(ApiError::not_found(format!("no such event: {name}"))),
    };
    let elements: Vec<Value> = fields
        .split_whitespace()
        .chain(["i:TIMESTAMP"])
        .filter_map(|field| field.split_once(':'))
        .map(|(letter, path)| json!(format!("{letter}:event/{path}")))
        .collect();
    Ok(Reply::json(&json!({"schema": {"event_type": format!("evt:{name}"), "elements": elements}})))
}

async fn mitre(_call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&json!({
        "name": "muster", "versions": {"layer": "4.4", "navigator": "4.8.2"}, "sorting": 0,
        "description": "Techniques that the rules of this organization are tagged with", "domain": "enterprise-attack",
        "techniques": [],
    })))
}
