//! Stored rows that cannot be read any more. One of them must not keep the server from starting: it is set aside, stays in
//! the store as it is, and is told, as an error of its organization and by `muster doctor`.

use muster_model::Oid;
use muster_store::{Record, Unreadable};
use serde::de::IgnoredAny;

/// What to do about such a row.
const ADVICE: &str = "it is set aside; restore a backup made by `muster backup`, or make it anew";

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its organization, or the owner of what belongs to none.
    pub oid: Oid,
    /// What it is.
    pub row: Row,
    /// Why it cannot be read.
    pub error: String,
}

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A sensor. It may enrol again, as another one.
    Sensor {
        /// Its number in the organization.
        ordinal: u32,
    },
    /// A reliable task, or one of its targets.
    Task {
        /// Its number in the organization.
        number: u64,
        /// Its id, or its number if that cannot be read.
        name: String,
    },
    /// A configuration record.
    Record {
        /// Word of its kind.
        kind: String,
        /// Its key.
        key: String,
    },
}

impl Damage {
    /// The component of the organization's error.
    #[must_use]
    pub fn component(&self) -> String {
        match &self.row {
            Row::Sensor { ordinal } => format!("store/sensor/{ordinal}"),
            Row::Task { name, .. } => format!("store/task/{name}"),
            Row::Record { kind, key } => format!("store/{kind}/{key}"),
        }
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn text(&self) -> String {
        format!("this stored row cannot be read ({}): {ADVICE}", self.error)
    }

    /// What the store says of a sensor.
    #[must_use]
    pub fn of_sensor(Unreadable { oid, number, error }: Unreadable) -> Self {
        Self { oid, row: Row::Sensor { ordinal: u32::try_from(number).unwrap_or(u32::MAX) }, error }
    }

    /// What the store says of a task.
    #[must_use]
    pub fn of_task(Unreadable { oid, number, error }: Unreadable) -> Self {
        Self { oid, row: Row::Task { number, name: number.to_string() }, error }
    }

    /// Whether a record is damaged: it is no JSON.
    #[must_use]
    pub fn of_record(record: &Record) -> Option<Self> {
        let error = serde_json::from_str::<IgnoredAny>(&record.body).err()?;
        let row = Row::Record { kind: record.kind.clone(), key: record.key.clone() };
        Some(Self { oid: record.oid, row, error: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;
    use crate::config::Config;
    use crate::errors::ORG_ERROR;
    use crate::profile::Profile;
    use crate::records::Kind;
    use muster_model::{TaskId, Timestamp};
    use muster_store::{Store, TaskRow, Write};
    use uuid::Uuid;

    /// Fault 5.6: one unreadable text kept the whole server from starting.
    #[tokio::test]
    async fn five_6_a_damaged_row_is_set_aside_and_told_and_the_server_starts() {
        let folder = tempfile::tempdir().unwrap();
        let (config, store) = (Config::loopback(folder.path().to_owned()), Store::memory());
        let oid = Oid(Uuid::from_u128(1));
        let server = Server::start_on(config.clone(), store.clone()).await.unwrap();
        let profile = Profile { name: "one".into(), created_at: Timestamp::from_secs(1), sensor_quota: 0 };
        server.app.create_organization(oid, &profile).await.unwrap();
        server.stop().await;
        let id = TaskId(Uuid::from_u128(7));
        let (spec, control) = ("{\"task\": \"os_ver".to_owned(), "{}".to_owned());
        let row = TaskRow { oid, number: 9, task_id: id, spec, control, targets: std::iter::empty::<u32>().collect() };
        let output = Kind::<()>::new("output").write(oid, "siem", "{\"module\":\u{7f}".to_owned());
        store.commit(vec![Write::CreateTask(Box::new(row)), output]).await.unwrap();

        let server = Server::start_on(config, store).await.unwrap();
        let organization = server.app.organization(oid).unwrap();
        assert_eq!(organization.state.lock().queue.next_number(), 10, "its number is not given again");
        for component in [format!("store/task/{id}"), "store/output/siem".to_owned()] {
            let told = server.app.records.get(oid, ORG_ERROR, &component).unwrap_or_else(|| panic!("{component}"));
            assert!(told.error.contains("restore a backup"), "{}", told.error);
        }
        server.stop().await;
    }
}
