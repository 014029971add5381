//! The actions of reliable tasking, and the fields of each. Source: reference/sensor.md section 12.

use crate::extension::table::{Action, Extension, Field};
use muster_api_types::{
    CancelledTask, CreatedTask, Done, Explained, PendingTasks, TaskCommands, TaskOverview, TaskPreview,
    TaskWithTargets, Untasked, schema,
};

pub(in crate::extension) const TABLE: Extension =
    Extension { name: crate::tasking::EXTENSION, actions: ACTIONS, required_events: &["subscribe", "unsubscribe"] };

const SELECTOR: Field =
    Field::new("selector", "sensor_selector", "Selector", "sensor selector expression; * is every sensor")
        .or(&["sensor_selector"]);
const SID: Field = Field::new("sid", "sid", "Sensor", "one sensor id");
const TAG: Field = Field::new("tag", "tag", "Tag", "every sensor with this tag");
const PLAT: Field = Field::new("plat", "platform", "Platform", "every sensor of this platform");
const TASK_ID: Field = Field::new("task_id", "string", "Task", "id of a reliable task");
const LIMIT: Field = Field::new("limit", "integer", "Limit", "most entries in the answer");
const CONTEXT: Field =
    Field::new("context", "string", "Context", "becomes routing/investigation_id of the answers").or(&["inv_id"]);

const TARGETS: &[Field] = &[SELECTOR, SID, TAG, PLAT];
const ONE_TASK: &[Field] = &[TASK_ID];
const NEEDS_TASK: &[&[&str]] = &[&["task_id"]];

const ACTIONS: &[Action] = &[
    Action {
        fields: &[
            Field::new("task", "string", "Command", "one command line, such as os_version").or(&["command"]),
            CONTEXT,
            Field::new("ttl", "duration", "Time to live", "seconds for which the task is offered; default one week"),
            Field::new("dynamic", "bool", "Dynamic", "sensors that begin to match before expiry get it too"),
            Field::new("urgent", "bool", "Urgent", "overtakes tasks that are not urgent"),
            Field::new("conditions", "object", "Conditions", "what the sensor checks just before it runs it"),
            Field::new("pace", "object", "Pace", "limits of the roll-out"),
            Field::new(
                "task_id",
                "string",
                "Task",
                "id to give to the task: the same request again makes no second one",
            ),
            SELECTOR,
            SID,
            TAG,
            PLAT,
        ],
        requirements: &[&["sid", "tag", "selector", "plat"], &["task"]],
        answers: schema::of::<CreatedTask>,
        ..act("task", "Hold a command for sensors until each of them ran it")
    },
    Action { fields: TARGETS, answers: schema::of::<PendingTasks>, ..ask("list", "Pending tasks") },
    Action {
        fields: &[TASK_ID, SELECTOR, SID, TAG, PLAT],
        requirements: &[&["sid", "tag", "selector", "plat", "task_id"]],
        answers: schema::of::<Untasked>,
        ..act("untask", "Take back what was not delivered yet")
    },
    Action {
        fields: &[TASK_ID, SELECTOR, SID, TAG, PLAT],
        requirements: NEEDS_TASK,
        answers: schema::of::<CancelledTask>,
        ..act("cancel", "End a task wherever it is: what was not delivered is taken back, what runs is stopped")
    },
    Action {
        fields: &[
            TASK_ID,
            Field::new("state", "string", "State", "only targets in this state"),
            Field::new("cursor", "string", "Cursor", "of the page before"),
            Field::new("offset", "integer", "Offset", "targets to pass over, instead of a cursor"),
            Field::new(
                "sort",
                "string",
                "Order",
                "enrolled, hostname or alive, of the sensors; -hostname is the reverse; default enrolled",
            ),
            Field::new("fields", "string", "Fields", "only these fields of each target, joined by commas"),
            LIMIT,
        ],
        requirements: NEEDS_TASK,
        answers: schema::of::<TaskWithTargets>,
        ..ask("get", "Counts per state, and a page of targets")
    },
    Action {
        fields: &[SID, LIMIT],
        answers: schema::of::<TaskOverview>,
        ..ask("overview", "Every task with its counts, or every one of a sensor")
    },
    Action {
        fields: &[TASK_ID, SID],
        requirements: &[&["task_id"], &["sid"]],
        answers: schema::of::<Explained>,
        ..ask("explain", "Why a sensor does or does not have a task")
    },
    Action {
        fields: &[SELECTOR, SID, TAG, PLAT, LIMIT],
        answers: schema::of::<TaskPreview>,
        ..ask("preview", "Which sensors a request would reach")
    },
    Action {
        fields: &[Field::new("task", "string", "Command", "only the command of this line, once the line is checked")],
        answers: schema::of::<TaskCommands>,
        ..ask("commands", "The commands that there are, with how each is written and where it runs")
    },
    Action { fields: ONE_TASK, requirements: NEEDS_TASK, ..act("pause", "Hold a task back") },
    Action { fields: ONE_TASK, requirements: NEEDS_TASK, ..act("resume", "Let a task go on") },
    Action {
        fields: &[SID, CONTEXT],
        is_user_facing: false,
        requirements: &[&["sid"]],
        ..act("signal_attempt", "Internal")
    },
    Action {
        fields: &[SID, CONTEXT],
        is_user_facing: false,
        requirements: &[&["sid"]],
        ..act("signal_received", "Internal")
    },
];

/// An action that changes something.
const fn act(name: &'static str, about: &'static str) -> Action {
    let permission = Some("sensor.task");
    Action {
        name,
        about,
        is_user_facing: true,
        is_impersonated: false,
        permission,
        fields: &[],
        answers: schema::of::<Done>,
        requirements: &[],
    }
}

/// An action that tells of sensors.
const fn ask(name: &'static str, about: &'static str) -> Action {
    Action { permission: Some("sensor.list"), ..act(name, about) }
}
