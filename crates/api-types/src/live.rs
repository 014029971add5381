//! Live Response, in the two forms that clients speak: `V3` is that of the first published document, `V6` the later
//! one. Source: reference/live-response.md sections 3.2, 4.4, 6.1, 7 and 10.

use crate::schema;
use muster_model::Sid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What went wrong, in the form of Live Response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveError {
    /// The same as `message`.
    pub error: String,
    /// The same as `status`.
    pub error_code: String,
    /// For people; says what to do.
    pub message: String,
    /// The same as `message`.
    pub reason: String,
    /// The status as a word, such as `NOT_FOUND`.
    pub status: String,
    /// Always false.
    pub success: bool,
}

/// A session in the first form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveSessionV3 {
    /// Address of the endpoint; null before it has come.
    pub address: Option<String>,
    /// Seconds that the sensor is waited for.
    pub check_in_timeout: u64,
    /// When it was opened.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub create_time: i64,
    /// Commands so far.
    pub current_command_index: usize,
    /// Folder in which relative paths begin; null before the endpoint has come.
    pub current_working_directory: Option<String>,
    /// Seconds that a command may take which does not say so; null if the session says nothing.
    pub default_command_timeout: Option<u64>,
    /// Drives of the endpoint; null before it has come.
    pub drives: Option<Vec<String>>,
    /// Name of the endpoint; null before it has come.
    pub hostname: Option<String>,
    /// Its id.
    pub id: String,
    /// Operating system; null before the endpoint has come.
    pub os_version: Option<String>,
    /// When the sensor came; null before.
    #[schemars(with = "Option<schema::UnixMilliseconds>")]
    pub sensor_check_in_time: Option<i64>,
    /// Number of the device.
    pub sensor_id: u32,
    /// Seconds in which something must be ordered.
    pub sensor_wait_timeout: u64,
    /// Seconds that the sensor may be away.
    pub session_timeout: u64,
    /// `pending`, `active`, `close` and so on.
    pub status: String,
    /// Commands that the endpoint knows; null before it has come.
    pub supported_commands: Option<Vec<String>>,
}

/// A session in the later form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveSessionV6 {
    /// Address of the endpoint; null before it has come.
    pub address: Option<String>,
    /// Seconds that the sensor is waited for.
    pub check_in_timeout: u64,
    /// When it was opened: RFC 3339.
    pub create_time: String,
    /// Commands so far.
    pub current_command_index: usize,
    /// Folder in which relative paths begin; null before the endpoint has come.
    pub current_working_directory: Option<String>,
    /// When the sensor came: RFC 3339; null before.
    pub device_check_in_time: Option<String>,
    /// Number of the device.
    pub device_id: u32,
    /// Drives of the endpoint; null before it has come.
    pub drives: Option<Vec<String>>,
    /// Name of the endpoint; null before it has come.
    pub hostname: Option<String>,
    /// Its id.
    pub id: String,
    /// Operating system; null before the endpoint has come.
    pub os_version: Option<String>,
    /// Seconds that the sensor may be away.
    pub session_timeout: u64,
    /// `PENDING`, `ACTIVE` and so on.
    pub status: String,
    /// Commands that the endpoint knows; null before it has come.
    pub supported_commands: Option<Vec<String>>,
}

/// A command in the first form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveCommandV3 {
    /// Seconds that it may take.
    pub command_timeout: u64,
    /// When it ended; 0 before.
    #[schemars(with = "schema::UnixSeconds")]
    pub completion_time: i64,
    /// When it was ordered.
    #[schemars(with = "schema::UnixSeconds")]
    pub creation_time: i64,
    /// Its number in the session, from 0.
    pub id: u32,
    /// Such as `directory list`.
    pub name: String,
    /// The order, as the client gave it.
    #[schemars(with = "schema::Open")]
    pub obj: Map<String, Value>,
    /// What the order is about.
    #[schemars(with = "schema::Anything")]
    pub object: Value,
    /// 0, or what went wrong, as `result_type` numbers it.
    pub result_code: i64,
    /// What went wrong, for people; empty if nothing did.
    pub result_desc: String,
    /// `WinHresult` or `CbError`; null before it has ended.
    pub result_type: Option<String>,
    /// Number of the device.
    pub sensor_id: u32,
    /// Id of the session.
    pub session_id: String,
    /// `pending`, `in progress`, `complete`, `error` or `cancel`.
    pub status: String,
    /// Always null.
    pub username: Option<String>,
    /// What was found; which fields there are depends on the command.
    #[serde(flatten)]
    pub found: Map<String, Value>,
}

impl LiveCommandV3 {
    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "complete" | "error" | "cancel")
    }

    /// Whether it did what it was to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == "complete"
    }
}

/// A command in the later form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveCommandV6 {
    /// Seconds that it may take.
    pub command_timeout: u64,
    /// When it was ordered: RFC 3339.
    pub create_time: String,
    /// Number of the device.
    pub device_id: u32,
    /// Entries of a folder.
    #[schemars(with = "Vec<schema::Open>")]
    pub files: Vec<Value>,
    /// When it ended: RFC 3339; null before.
    pub finish_time: Option<String>,
    /// Its number in the session, from 0.
    pub id: u32,
    /// The order, as the client gave it.
    #[schemars(with = "schema::Open")]
    pub input: Map<String, Value>,
    /// Such as `directory list`.
    pub name: String,
    /// Processes.
    #[schemars(with = "Vec<schema::Open>")]
    pub processes: Vec<Value>,
    /// 0, or what went wrong, as `result_type` numbers it.
    pub result_code: i64,
    /// What went wrong, for people; empty if nothing did.
    pub result_desc: String,
    /// `WinHresult` or `CbError`; null before it has ended.
    pub result_type: Option<String>,
    /// Id of the session.
    pub session_id: String,
    /// `PENDING`, `IN PROGRESS`, `COMPLETE`, `ERROR` or `CANCELLED`.
    pub status: String,
    /// Keys below a key of the registry.
    #[schemars(with = "Vec<schema::Anything>")]
    pub sub_keys: Vec<Value>,
    /// Values of a key of the registry.
    #[schemars(with = "Vec<schema::Open>")]
    pub values: Vec<Value>,
    /// `file_details`, `process_details`, `mem_dump` or `value`, for commands that have them.
    #[serde(flatten)]
    pub found: Map<String, Value>,
}

/// A file of a session, in both forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveFile {
    /// It was deleted.
    pub delete: bool,
    /// Its name.
    pub file_name: String,
    /// Its id.
    pub id: String,
    /// SHA-256 of its content in hexadecimal digits, once it is whole; empty before.
    pub sha256: String,
    /// Bytes, once it is whole; 0 before.
    pub size: u64,
    /// Bytes that have arrived.
    pub size_uploaded: u64,
    /// 0, or why it is not there.
    pub status: i64,
    /// Always null.
    pub upload_url: Option<String>,
}

/// A device, as the first form asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveDeviceAnswer {
    /// The device.
    #[serde(rename = "deviceInfo")]
    #[schemars(with = "schema::Open")]
    pub device_info: Map<String, Value>,
    /// Always `Success`.
    pub message: String,
    /// Always true.
    pub success: bool,
}

/// A page of devices, as the first form asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveDevicePage {
    /// Always 0.
    pub elapsed: u64,
    /// Now.
    #[schemars(with = "schema::UnixMilliseconds")]
    pub latest_time: i64,
    /// Always `Success`.
    pub message: String,
    /// Devices of this page.
    #[schemars(with = "Vec<schema::Open>")]
    pub results: Vec<Value>,
    /// Always true.
    pub success: bool,
    /// How many there are.
    pub total_results: usize,
}

/// A device, as the later form knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveDevice {
    /// Number of the device.
    pub id: u32,
    /// Name of the endpoint.
    pub name: String,
    /// The sensor.
    pub device_guid: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A page of devices, as the later form asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveDevices {
    /// How many there are.
    pub num_found: usize,
    /// Devices of this page.
    pub results: Vec<LiveDevice>,
}

/// The number by which Live Response knows a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveDeviceNumber {
    /// The number.
    pub device_id: u32,
    /// The sensor.
    #[schemars(with = "schema::Sid")]
    pub sid: Sid,
}

/// All that was done in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveTranscript {
    /// Who opened it.
    pub by: String,
    /// Its commands, in the order in which they were given.
    pub commands: Vec<LiveTyped>,
    /// Number of the device.
    pub device_id: u32,
    /// When it ended: RFC 3339; null before.
    pub ended: Option<String>,
    /// Files that were moved.
    pub files: Vec<LiveMoved>,
    /// Id of the session.
    pub id: String,
    /// When it was opened: RFC 3339.
    pub opened: String,
    /// How it stands.
    pub status: String,
}

/// A command as the first form shows it, with who ordered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveTyped {
    /// Who.
    pub by: String,
    /// Id of the file that it moved.
    pub file: Option<String>,
    /// The command.
    #[serde(flatten)]
    pub command: LiveCommandV3,
}

/// A file that was moved, with its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveMoved {
    /// When: RFC 3339.
    pub at: String,
    /// Its id.
    pub id: String,
    /// It was deleted.
    pub is_deleted: bool,
    /// It came from a client, and not from the endpoint.
    pub is_upload: bool,
    /// Path on the endpoint, or the name that was uploaded.
    pub name: String,
    /// SHA-256 in hexadecimal digits; empty if it never was whole.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// 0, or why it is not there.
    pub status: i64,
}

/// How much of a file has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveArrived {
    /// Bytes.
    pub size: u64,
}
