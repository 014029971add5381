//! What the REST API takes and answers, once for the server and for its clients.
//!
//! Pure: no runtime, no files, no clock.
//!
//! Answers are in the order of their names where the server wrote them so before there were types: clients that
//! compare texts find no difference. Each type is also a schema of the API description (`docs/openapi.json`).
//!
//! Source: reference/rest-api.md.

#![forbid(unsafe_code)]

mod code;
mod done;
mod error;
mod extension;
mod file;
mod history;
mod hive;
mod infrastructure;
mod job;
mod key;
mod live;
mod organization;
mod output;
mod replay;
mod role;
pub mod schema;
mod sensor;
mod task;
mod token;
mod user;

pub use code::{ErrorCode, UnknownCode};
pub use done::Done;
pub use error::Error;
pub use extension::{
    Deliveries, Delivery, ExtensionAnswer, ExtensionDefinition, ExtensionSchema, PublishedResource,
    RegisteredExtension, RegisteredExtensions, RegisteredProgram, RegisteredService, RegisteredServices,
    ServiceMetadata, Services, Subscription, Subscriptions,
};
pub use file::{
    Artifact, ArtifactAddress, ArtifactPage, ArtifactRule, ArtifactRules, GetAddress, IngestedArtifact, Payload,
    Payloads, PutAddress,
};
pub use history::{
    AuditPage, AuditRecord, Detection, DetectionPage, Event, EventCount, EventPage, Overview, Records, Retention,
    Routing, StreamLine,
};
pub use hive::{
    BatchAnswer, BatchData, BatchResponse, FalsePositive, FalsePositives, HiveListing, HivePage, HivePlace, HiveRecord,
    HiveSchema, Rule, Rules, SystemMetadata, UserMetadata, WrittenRecord,
};
pub use infrastructure::{InfrastructureDocument, InfrastructureOperation, InfrastructurePush};
pub use job::{Job, JobAnswer, JobEntry, JobOrPacked, JobRecord, Jobs, JobsById};
pub use key::{
    ApiKey, ApiKeys, IngestionKey, IngestionKeys, InstallationKey, InstallationKeys, NewApiKey, NewUserKey,
    PutInstallationKey, UserKey, UserKeys,
};
pub use live::{
    LiveArrived, LiveCommandV3, LiveCommandV6, LiveDevice, LiveDeviceAnswer, LiveDeviceNumber, LiveDevicePage,
    LiveDevices, LiveError, LiveFile, LiveMoved, LiveSessionV3, LiveSessionV6, LiveTranscript, LiveTyped,
};
pub use organization::{
    CertificateStanding, EventFields, EventSchema, EventTypes, MadeOid, MadeOrganization, MitreLayer, NameAvailable,
    OrgError, OrgErrors, Organization, OrganizationName, Organizations, QuotaOfKind, QuotaUsage, Resources,
    ServerStanding, Setting, Urls, Usage, UsageNow,
};
pub use output::{Output, OutputStanding, OutputStandings, OutputTrial, Outputs};
pub use replay::{Price, Replay, ReplayMatch, ReplayResult, ReplayStats};
pub use role::{Role, UnknownRole};
pub use sensor::{
    CompressedSensorPage, HostnameEntry, Hostnames, Isolation, OnlineBySensor, OnlineCount, OnlineState, Seal, Sensor,
    SensorExport, SensorFields, SensorFieldsPage, SensorList, SensorPage, SensorState, SensorTags, TagCarriers,
    TagEntry, Tags,
};
pub use task::{
    CancelledTask, Conditions, CreatedTask, Explained, FailureLimit, NewTask, Pace, PendingRequest, PendingTask,
    PendingTasks, PreviewedSensor, Target, TargetFields, Targeting, TaskCommand, TaskCommands, TaskFieldsPage,
    TaskOverview, TaskPage, TaskPreview, TaskSummary, TaskWithTargets, Untasked, Window,
};
pub use token::{Token, TokenOrReplay, Whoami};
pub use user::{
    Link, LinkPurpose, NewLink, OwnSession, OwnSessions, RoleGiven, Session, SessionOrganization, SignedIn,
    UserPermissions, Users, UsersWithPassword,
};
