//! Event names and their fields, and the ATT&CK layer.
//! Source: reference/events.md sections 4 to 7, reference/rest-api.md section 7.1.

use super::super::{Access, ApiError, Call, Kind, Method, Reply, Route};
use muster_api_types::{EventSchema, EventTypes, MitreLayer};
use serde_json::{Value, json};

/// Events of Linux, and fields as `<type letter>:<path below event>`; `s` text, `i` number, `o` object, `l` list. A path
/// leads through lists as if they were what they list. What the sensor of this project sends is compared with it by
/// `event_schema_tells_the_fields_that_the_sensor_really_sends` in `tests/end_to_end`; the others are as published.
const EVENTS: &[(&str, &str)] = &[
    (
        "CLOUD_NOTIFICATION",
        "s:NOTIFICATION_ID o:NOTIFICATION s:NOTIFICATION/INVESTIGATION_ID o:HCP_IDENT s:HCP_IDENT/HCP_ORG_ID \
         s:HCP_IDENT/HCP_SENSOR_ID s:HCP_IDENT/HCP_INSTALLER_ID i:HCP_IDENT/HCP_ARCHITECTURE \
         i:HCP_IDENT/HCP_PLATFORM i:EXPIRY",
    ),
    ("CODE_IDENTITY", IDENTITY),
    ("CONNECTED", STATE),
    (
        "DATA_DROPPED",
        "i:LOSS_EVICTED_EVENTS i:LOSS_EVICTED_BYTES i:LOSS_REFUSED_EVENTS i:LOSS_REFUSED_BYTES s:ERROR_MESSAGE",
    ),
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
    ("ONGOING_IDENTITY", IDENTITY),
    ("PROCESS_ENVIRONMENT", "i:PROCESS_ID l:ENVIRONMENT_VARIABLES"),
    (
        "RECEIPT",
        "i:ERROR s:ERROR_MESSAGE s:COMMAND_LINE s:PAYLOAD_NAME s:FILE_PATH s:PAYLOAD_ID i:PROCESS_ID i:DURATION_MS \
         s:STDOUT i:STDOUT_BYTES s:STDOUT_ARTIFACT s:STDERR i:STDERR_BYTES s:STDERR_ARTIFACT s:DOMAIN_NAME \
         o:SEAL_STATUS i:SEAL_STATUS/ERROR i:SEAL_STATUS/IS_DISABLED",
    ),
    ("REJOIN_NETWORK", "i:ERROR s:ERROR_MESSAGE"),
    ("SEGREGATE_NETWORK", "i:ERROR s:ERROR_MESSAGE"),
    ("SERVICE_CHANGE", "s:SVC_NAME s:SVC_DISPLAY_NAME i:SVC_TYPE i:SVC_STATE s:EXECUTABLE s:DLL s:HASH i:PROCESS_ID"),
    ("SHUTTING_DOWN", ""),
    ("STARTING_UP", ""),
    ("SYNC", STATE),
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

const IDENTITY: &str = "s:FILE_PATH s:HASH s:HASH_SHA1 s:HASH_MD5 i:MEMORY_SIZE i:ERROR";

const STATE: &str = "s:HOST_NAME i:IS_SEGREGATED i:KERNEL_ACQ_AVAILABLE s:MAC_ADDRESS o:SEAL_STATUS \
     i:SEAL_STATUS/ERROR i:SEAL_STATUS/IS_DISABLED";

const PROCESS: &str = "i:PROCESS_ID i:PARENT_PROCESS_ID s:FILE_PATH s:COMMAND_LINE s:USER_NAME i:USER_ID i:THREADS \
     i:MEMORY_USAGE s:HASH i:CREATION_TIME o:PARENT i:PARENT/PROCESS_ID i:PARENT/PARENT_PROCESS_ID \
     s:PARENT/FILE_PATH s:PARENT/COMMAND_LINE s:PARENT/USER_NAME i:PARENT/USER_ID i:PARENT/THREADS \
     i:PARENT/MEMORY_USAGE i:PARENT/CREATION_TIME s:PARENT/THIS_ATOM s:PARENT/PARENT_ATOM";

const CONNECTION: &str =
    "i:PROCESS_ID s:SOURCE/IP_ADDRESS i:SOURCE/PORT s:DESTINATION/IP_ADDRESS i:DESTINATION/PORT i:STATE";

/// Answers to commands with fields of their own, beside those of [`REPLY`]. Those without any are of commands that the
/// sensor does not have.
const REPLIES: &[(&str, &str)] = &[
    ("BATCH_REP", "l:STEPS s:STEPS/COMMAND_LINE i:STEPS/ERROR s:STEPS/ERROR_MESSAGE"),
    ("CONTAINER_LIST_REP", ""),
    (
        "DEBUG_DATA_REP",
        "s:PACKAGE_VERSION_STRING i:UPTIME i:PROCESS_ID i:MEMORY_USAGE i:KERNEL_ACQ_AVAILABLE s:ACQUISITION_TIER \
         o:LOSS_ACCOUNTING i:LOSS_ACCOUNTING/LOSS_EVICTED_EVENTS i:LOSS_ACCOUNTING/LOSS_EVICTED_BYTES \
         i:LOSS_ACCOUNTING/LOSS_REFUSED_EVENTS i:LOSS_ACCOUNTING/LOSS_REFUSED_BYTES \
         i:LOSS_ACCOUNTING/LOSS_QUEUED_EVENTS i:LOSS_ACCOUNTING/LOSS_QUEUED_BYTES i:LOSS_ACCOUNTING/LOSS_MAX_EVENTS \
         i:LOSS_ACCOUNTING/LOSS_MAX_BYTES",
    ),
    (
        "DIR_FINDHASH_REP",
        "s:DIRECTORY_PATH s:FILE_PATH l:HASH i:DIRECTORY_LIST_DEPTH l:DIRECTORY_LIST s:DIRECTORY_LIST/FILE_NAME \
         s:DIRECTORY_LIST/FILE_PATH s:DIRECTORY_LIST/HASH i:DIRECTORY_LIST/FILE_SIZE i:DIRECTORY_LIST/ATTRIBUTES \
         i:DIRECTORY_LIST/CREATION_TIME i:DIRECTORY_LIST/ACCESS_TIME i:DIRECTORY_LIST/MODIFICATION_TIME \
         i:SKIPPED_FILES",
    ),
    ("DIR_FIND_REP", ""),
    (
        "DIR_LIST_REP",
        "s:DIRECTORY_PATH s:FILE_PATH i:DIRECTORY_LIST_DEPTH l:DIRECTORY_LIST s:DIRECTORY_LIST/FILE_NAME \
         s:DIRECTORY_LIST/FILE_PATH i:DIRECTORY_LIST/FILE_SIZE i:DIRECTORY_LIST/ATTRIBUTES \
         i:DIRECTORY_LIST/CREATION_TIME i:DIRECTORY_LIST/ACCESS_TIME i:DIRECTORY_LIST/MODIFICATION_TIME",
    ),
    ("FILE_DEL_REP", "s:FILE_PATH"),
    ("FILE_GET_REP", "s:FILE_PATH i:FILE_SIZE s:FILE_CONTENT"),
    ("FILE_GREP_REP", ""),
    ("FILE_HASH_REP", "s:FILE_PATH s:HASH s:HASH_SHA1 s:HASH_MD5 i:FILE_SIZE i:FILE_IS_SIGNED s:SHA256 s:SHA1 s:MD5"),
    (
        "FILE_INFO_REP",
        "s:FILE_PATH i:FILE_SIZE i:ATTRIBUTES i:CREATION_TIME i:ACCESS_TIME i:MODIFICATION_TIME i:FILE_IS_SIGNED \
         i:FILE_MODE i:USER_ID i:GROUP_ID s:USER_NAME s:LINK_TARGET",
    ),
    ("FILE_MOV_REP", "s:SOURCE s:DESTINATION"),
    ("FIM_ADD", ""),
    ("FIM_LIST_REP", ""),
    ("FIM_REMOVE", ""),
    ("GET_DOCUMENT_REP", ""),
    ("GET_EXFIL_EVENT_REP", "l:LIST_NOTIFICATIONS"),
    ("HISTORY_DUMP_REP", "i:COUNT"),
    ("LOG_GET_REP", ""),
    ("LOG_LIST_REP", ""),
    ("MEM_FIND_HANDLES_REP", HANDLES),
    (
        "MEM_FIND_STRING_REP",
        "i:PROCESS_ID l:PROCESSES i:PROCESSES/PROCESS_ID l:PROCESSES/STRINGS_FOUND s:PROCESSES/STRINGS_FOUND/STRING \
         i:PROCESSES/STRINGS_FOUND/MEMORY_ADDRESS",
    ),
    ("MEM_HANDLES_REP", HANDLES_OF_ONE),
    (
        "MEM_MAP_REP",
        "i:PROCESS_ID l:MEMORY_MAP i:MEMORY_MAP/BASE_ADDRESS i:MEMORY_MAP/MEMORY_SIZE i:MEMORY_MAP/MEMORY_TYPE \
         i:MEMORY_MAP/MEMORY_ACCESS s:MEMORY_MAP/FILE_PATH s:MEMORY_MAP/MODULE_NAME",
    ),
    ("MEM_READ_REP", "i:PROCESS_ID i:BASE_ADDRESS i:MEMORY_SIZE s:MEMORY_DUMP i:UNREADABLE_BYTES"),
    ("MEM_STRINGS_REP", "i:PROCESS_ID l:STRINGSA l:STRINGSW"),
    (
        "NETSTAT_REP",
        "i:FRIENDLY l:NETWORK_ACTIVITY s:NETWORK_ACTIVITY/PROTOCOL o:NETWORK_ACTIVITY/SOURCE \
         s:NETWORK_ACTIVITY/SOURCE/IP_ADDRESS i:NETWORK_ACTIVITY/SOURCE/PORT o:NETWORK_ACTIVITY/DESTINATION \
         s:NETWORK_ACTIVITY/DESTINATION/IP_ADDRESS i:NETWORK_ACTIVITY/DESTINATION/PORT \
         i:NETWORK_ACTIVITY/PROCESS_ID i:NETWORK_ACTIVITY/STATE",
    ),
    ("OS_AUTORUNS_REP", ""),
    ("OS_DRIVERS_REP", SERVICES),
    ("OS_KILL_PROCESS_REP", "i:PROCESS_ID"),
    (
        "OS_PACKAGES_REP",
        "l:PACKAGES s:PACKAGES/PACKAGE_NAME s:PACKAGES/PACKAGE_VERSION s:PACKAGES/PACKAGE_SOURCE \
         s:PACKAGES/ARCHITECTURE s:PACKAGES/PUBLISHER",
    ),
    (
        "OS_PROCESSES_REP",
        "i:PROCESS_ID l:PROCESSES i:PROCESSES/PROCESS_ID i:PROCESSES/PARENT_PROCESS_ID s:PROCESSES/COMMAND_LINE \
         i:PROCESSES/THREADS i:PROCESSES/MEMORY_USAGE i:PROCESSES/CREATION_TIME s:PROCESSES/THIS_ATOM \
         s:PROCESSES/PARENT_ATOM s:PROCESSES/FILE_PATH i:PROCESSES/USER_ID s:PROCESSES/USER_NAME l:PROCESSES/MODULES \
         i:PROCESSES/MODULES/BASE_ADDRESS i:PROCESSES/MODULES/MEMORY_SIZE s:PROCESSES/MODULES/MODULE_NAME \
         s:PROCESSES/MODULES/FILE_PATH i:PROCESSES/MODULES/PROCESS_ID",
    ),
    ("OS_RESUME_REP", "i:PROCESS_ID"),
    ("OS_SERVICES_REP", SERVICES),
    ("OS_SUSPEND_REP", "i:PROCESS_ID"),
    (
        "OS_USERS_REP",
        "l:USERS s:USERS/USER_NAME i:USERS/USER_ID i:USERS/GROUP_ID s:USERS/HOME s:USERS/SHELL s:USERS/FULL_NAME \
         l:USERS/GROUPS i:USERS/IS_DISABLED",
    ),
    ("OS_VERSION_REP", "s:OS_NAME s:OS_VERSION s:OS_ID i:BUILD_NUMBER s:ARCHITECTURE s:KERNEL_VERSION s:HOST_NAME"),
    ("PCAP_LIST_INTERFACES_REP", ""),
    ("PCAP_START_REP", ""),
    ("PCAP_STOP_REP", ""),
    ("REGISTRY_GET_REP", ""),
    ("REGISTRY_LIST_REP", ""),
    ("USB_KEY_LIST_REP", ""),
];

/// What every answer to a command may have: its result, and where it is one of several parts.
const REPLY: &str = "i:ERROR s:ERROR_MESSAGE i:PART i:PARTS";

const HANDLES: &str =
    "l:HANDLES i:HANDLES/PROCESS_ID s:HANDLES/HANDLE_TYPE s:HANDLES/HANDLE_NAME i:HANDLES/HANDLE_VALUE";

const HANDLES_OF_ONE: &str =
    "i:PROCESS_ID l:HANDLES i:HANDLES/PROCESS_ID s:HANDLES/HANDLE_TYPE s:HANDLES/HANDLE_NAME i:HANDLES/HANDLE_VALUE";

const SERVICES: &str = "l:SVCS s:SVCS/SVC_NAME s:SVCS/SVC_DISPLAY_NAME s:SVCS/EXECUTABLE s:SVCS/FILE_PATH \
     i:SVCS/SVC_TYPE i:SVCS/SVC_STATE i:SVCS/PROCESS_ID";

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
    let common = EVENTS.iter().map(|(name, _)| *name).chain(REPLIES.iter().map(|(name, _)| *name));
    common.map(|name| (name, None)).chain(OTHERS.iter().map(|(platform, name)| (*name, Some(*platform))))
}

pub(super) fn routes() -> Vec<Route> {
    use Access::May;
    use Method::Get;
    vec![
        Route::new(Get, "/orgs/{oid}/schema", May("org.get"), "Names of events", list)
            .answers::<EventTypes>("event_types_list")
            .query(
                "platform",
                Kind::OneOf(&["linux", "windows", "macos", "chrome"]),
                "Only events of this platform: linux, windows, macos, chrome",
            ),
        Route::new(Get, "/orgs/{oid}/schema/{name}", May("org.get"), "Fields of an event", one)
            .answers::<EventSchema>("event_type_get"),
        Route::new(Get, "/mitre/{oid}", May("org.get"), "ATT&CK techniques that rules cover", mitre)
            .answers::<MitreLayer>("mitre_get"),
    ]
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let platform = call.fields.get("platform").unwrap_or_default().to_lowercase();
    let common = EVENTS.iter().map(|(name, _)| *name).chain(REPLIES.iter().map(|(name, _)| *name));
    let is_wanted = |of: &str| platform.is_empty() || platform == of;
    let others = OTHERS.iter().filter(|(of, _)| is_wanted(of)).map(|(_, name)| *name);
    let mut names: Vec<String> = common.chain(others).map(|name| format!("evt:{name}")).collect();
    names.sort();
    Ok(Reply::json(&json!({"event_types": names})))
}

async fn one(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("name").trim_start_matches("evt:");
    let of = |table: &'static [(&str, &'static str)]| table.iter().find(|(have, _)| *have == name).map(|row| row.1);
    let others = || OTHERS.iter().any(|(_, have)| *have == name).then_some("");
    let (fields, of_all) = match (of(EVENTS).or_else(others), of(REPLIES)) {
        (Some(fields), _) => (fields, ""),
        (None, Some(fields)) => (fields, REPLY),
        (None, None) => return Err(ApiError::not_found(format!("no such event: {name}"))),
    };
    let elements: Vec<Value> = fields
        .split_whitespace()
        .chain(of_all.split_whitespace())
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
