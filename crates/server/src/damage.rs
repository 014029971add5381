//! Stored rows that cannot be read any more. One of them must not keep the server from starting: it is set aside, stays in
//! the store as it is, and is told, as an error of its organization and by `muster doctor`.

use muster_model::{Oid, TaskId};
use muster_store::{Read, StoreError, TaskRow};
use muster_tasking::{Control, Spec};
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
    /// A reliable task.
    Task {
        /// Its number in the organization.
        number: u64,
        /// Its id.
        id: TaskId,
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
            Row::Task { id, .. } => format!("store/task/{id}"),
            Row::Record { kind, key } => format!("store/{kind}/{key}"),
        }
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn text(&self) -> String {
        format!("this stored row cannot be read ({}): {ADVICE}", self.error)
    }
}

/// Looks at every task and record of a store.
///
/// # Errors
///
/// Whatever the store says.
pub fn find(read: &mut dyn Read) -> Result<Vec<Damage>, StoreError> {
    let mut found = Vec::new();
    read.tasks(&mut |row| {
        if let Err(error) = readable(&row) {
            let row_of = Row::Task { number: row.number, id: row.task_id };
            found.push(Damage { oid: row.oid, row: row_of, error: error.to_string() });
        }
    })?;
    for record in read.records(None, None)? {
        if let Err(error) = serde_json::from_str::<IgnoredAny>(&record.body) {
            let row = Row::Record { kind: record.kind, key: record.key };
            found.push(Damage { oid: record.oid, row, error: error.to_string() });
        }
    }
    Ok(found)
}

fn readable(row: &TaskRow) -> serde_json::Result<()> {
    serde_json::from_str::<Spec>(&row.spec)?;
    serde_json::from_str::<Control>(&row.control).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;
    use crate::config::Config;
    use crate::errors::ORG_ERROR;
    use crate::profile::Profile;
    use crate::records::Kind;
    use muster_model::Timestamp;
    use muster_store::{Store, Write};
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
