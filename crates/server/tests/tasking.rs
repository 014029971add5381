//! Tasking where the store refuses, changes collide, and sensors come back in odd ways.
//! The links are real, but nobody is at their other end.

#[path = "support/host.rs"]
mod host;

use host::{Host, OID};
use muster_model::{Architecture, Iid, Platform, Sid, TaskId};
use muster_selector::Selector;
use muster_server::intake::event::Actor;
use muster_server::link::Link;
use muster_server::organization::Organization;
use muster_server::organization::Place;
use muster_server::sensor::{self, Enrolment, Rejection};
use muster_server::tasking::{self, Choice, NewTask};
use muster_server::{clock, random};
use muster_store::{EntryQuery, Options, Store, StoreError, Stream};
use muster_tasking::{Control, Pace, TargetState};
use muster_wire::{Deliver, Receipt, Receipts, SensorState, Step, from_server};
use std::sync::Arc;

fn state(journal: u8) -> SensorState {
    SensorState {
        platform: Platform::LINUX.0,
        architecture: Architecture::X64.0.into(),
        hostname: "host".into(),
        boot_id: "boot".into(),
        journal_id: vec![journal; 16],
        spool_id: vec![journal; 16],
        ..SensorState::default()
    }
}

impl Host {
    fn organization(&self) -> Arc<Organization> {
        self.app().organization(OID).unwrap()
    }

    async fn enrol(&self) -> Place {
        let new = Enrolment {
            iid: Iid(random::uuid()),
            tags: &[],
            public_key: &[7; 32],
            state: &state(1),
            sid: None,
            source: None,
        };
        let sid = sensor::enrol(&self.app().sensors, &self.organization(), &new).await.unwrap().unwrap();
        self.place(sid)
    }

    fn place(&self, sid: Sid) -> Place {
        let organization = self.organization();
        let ordinal = organization.state.lock().fleet.ordinal(sid).unwrap();
        Place { organization, ordinal }
    }

    /// A link of the sensor, as the gateway takes one in.
    async fn connect(&self, place: &Place, journal: u8) -> Result<(Arc<Link>, u64), Rejection> {
        let link = Arc::new(Link::new(random::number()));
        let welcome = sensor::went_online(&self.app().sensors, place, &link, &state(journal), None).await?;
        Ok((link, welcome.epoch))
    }

    async fn ask(&self) -> TaskId {
        let new = NewTask {
            command: "os_version".into(),
            selector: Selector::parse("*").unwrap(),
            context: None,
            ttl_s: 3_600,
            task_id: None,
            dynamic: false,
            urgent: false,
            conditions: None,
            pace: Pace::default(),
        };
        tasking::create(&self.app().tasking, &self.organization(), new, &Actor::system()).await.unwrap().task_id
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(host::STUCK, wait).await.unwrap_or_else(|_| panic!("{what}: not in time"));
    }

    fn control(&self, id: TaskId) -> Control {
        self.organization().state.lock().queue.find(id).unwrap().control.clone()
    }

    fn state_of(&self, id: TaskId, place: &Place) -> TargetState {
        self.organization().state.lock().queue.find(id).unwrap().state_of(place.ordinal).unwrap()
    }

    async fn confirm(&self, place: &Place, link: &Link, deliver: &Deliver) {
        let receipt = Receipt {
            task_id: deliver.task_id.clone(),
            epoch: deliver.epoch,
            step: Step::Confirmed.into(),
            at_ms: clock::now().as_millis(),
            ..Receipt::default()
        };
        tasking::receive(&self.app().tasking, place, link, Receipts { receipts: vec![receipt] }).await;
    }
}

/// What was put on a link to be run.
fn deliveries(link: &Link) -> Vec<Deliver> {
    let messages = link.take().into_iter().filter_map(|message| message.message);
    let deliver = messages.filter_map(|message| match message {
        from_server::Message::Deliver(deliver) => Some(deliver),
        _ => None,
    });
    deliver.collect()
}

async fn delivered(link: &Link) -> Deliver {
    let mut all = Vec::new();
    while all.is_empty() {
        tokio::time::timeout(host::STUCK, link.woken()).await.expect("nothing was put on the link");
        all.extend(deliveries(link));
    }
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_changes_nothing() {
    let (store, faults) = Store::memory_with_faults();
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), store, |_| ()).await;
    let place = host.enrol().await;
    let (organization, actor) = (host.organization(), Actor::system());
    let id = host.ask().await;

    faults.fail_all(Some(StoreError::Full));
    let all = Choice { task_id: Some(id), selector: None };
    assert!(tasking::pause(&host.app().tasking, &organization, id, &actor).await.is_err());
    assert!(tasking::untask(&host.app().tasking, &organization, &all, &actor).await.is_err());
    faults.fail_all(None);
    assert_eq!(host.control(id), Control::default());

    // What was held back while the store was asked is free again; what is paused stays so.
    let (link, _) = host.connect(&place, 1).await.unwrap();
    delivered(&link).await;
    tasking::pause(&host.app().tasking, &organization, id, &actor).await.unwrap();
    faults.fail_all(Some(StoreError::Full));
    assert!(tasking::resume(&host.app().tasking, &organization, id, &actor).await.is_err());
    assert!(host.control(id).paused);
}

#[tokio::test]
async fn an_idle_sensor_whose_offer_could_not_be_stored_gets_it_without_a_reason_of_its_own() {
    let (store, faults) = Store::memory_with_faults();
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), store, |_| ()).await;
    let place = host.enrol().await;
    let (link, _) = host.connect(&place, 1).await.unwrap();
    faults.pass_next();
    faults.fail_all(Some(StoreError::Busy));
    let id = host.ask().await;
    host.until("the offer is given back", || host.state_of(id, &place) == TargetState::Queued).await;
    assert!(deliveries(&link).is_empty());
    faults.fail_all(None);
    assert_eq!(delivered(&link).await.task_id, id.0.as_bytes());
}

/// Goal: of changes that collide, memory and store end with the same. Method: many at once on
/// a store whose commits take time, then a restart.
#[tokio::test(flavor = "multi_thread")]
async fn changes_that_collide_are_stored_in_the_order_in_which_they_hold() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let open = || Store::open(Options { path: dir.path().join("muster.db"), bytes_max: None, seal: None }).unwrap();
    let host = Host::start_with(Arc::clone(&dir), open(), |_| ()).await;
    let mut sids = Vec::new();
    for _ in 0..24 {
        let place = host.enrol().await;
        sids.push(place.organization.state.lock().fleet.row(place.ordinal).unwrap().sensor.sid);
    }
    let id = host.ask().await;
    let mut changes = tokio::task::JoinSet::new();
    for (number, sid) in sids.into_iter().enumerate() {
        let (app, organization) = (Arc::clone(host.app()), host.organization());
        changes.spawn(async move {
            let actor = Actor::system();
            let selector = Selector::parse(&format!("sid == \"{sid}\"")).unwrap();
            let one = Choice { task_id: Some(id), selector: Some(selector) };
            match number % 3 {
                0 => tasking::pause(&app.tasking, &organization, id, &actor).await.unwrap(),
                1 => tasking::resume(&app.tasking, &organization, id, &actor).await.unwrap(),
                _ => assert_eq!(tasking::untask(&app.tasking, &organization, &one, &actor).await.unwrap(), (1, 0)),
            }
        });
    }
    while let Some(changed) = changes.join_next().await {
        changed.unwrap();
    }
    let before = host.control(id);
    assert_eq!(before.removed.len(), 8);
    let host = host.restart(open()).await;
    assert_eq!(host.control(id), before);
}

/// The end of a replaced link comes late: when the sensor is on its next link for long.
#[tokio::test]
async fn the_late_end_of_a_replaced_link_does_not_touch_the_one_that_replaced_it() {
    let host = Host::start().await;
    let place = host.enrol().await;
    let (ghost, _) = host.connect(&place, 1).await.unwrap();
    let first = host.ask().await;
    let lost = delivered(&ghost).await;
    let (link, _) = host.connect(&place, 1).await.unwrap();
    assert!(ghost.is_closed() && !link.is_closed());
    let again = delivered(&link).await;
    assert_eq!(again.task_id, lost.task_id);
    host.confirm(&place, &link, &again).await;
    assert_eq!(host.state_of(first, &place), TargetState::Confirmed);

    let second = host.ask().await;
    let under_way = delivered(&link).await;
    sensor::went_offline(&host.app().sensors, &place, &ghost).await;
    assert!(host.organization().state.lock().is_online(place.ordinal));
    assert!(deliveries(&link).is_empty(), "it is still under way there, and not sent twice");
    host.confirm(&place, &link, &under_way).await;
    assert_eq!(host.state_of(second, &place), TargetState::Confirmed);
    assert!(deliveries(&ghost).is_empty());
    assert_eq!(told(&host, "disconnected").await, 0);

    sensor::went_offline(&host.app().sensors, &place, &link).await;
    assert!(!host.organization().state.lock().is_online(place.ordinal));
    assert_eq!(told(&host, "disconnected").await, 1);
}

async fn told(host: &Host, kind: &str) -> usize {
    let query = EntryQuery { kind: Some(kind.into()), ..EntryQuery::all(OID, Stream::Deployment) };
    host.app().store.read(move |read| read.entries(&query)).await.unwrap().entries.len()
}

#[tokio::test]
async fn a_wiped_sensor_begins_a_new_epoch_and_runs_nothing_of_the_old_one() {
    let (store, faults) = Store::memory_with_faults();
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), store.clone(), |_| ()).await;
    let place = host.enrol().await;
    let (link, epoch) = host.connect(&place, 1).await.unwrap();
    assert_eq!(epoch, 1);
    let sent = host.ask().await;
    delivered(&link).await;
    let queued = host.ask().await;
    sensor::went_offline(&host.app().sensors, &place, &link).await;

    // What is stored must be all of the new epoch, or nothing.
    let epoch_of =
        |host: &Host, place: &Place| host.organization().state.lock().fleet.row(place.ordinal).unwrap().epoch;
    faults.fail_all(Some(StoreError::Full));
    assert!(host.connect(&place, 2).await.is_err(), "nothing could be stored");
    faults.fail_all(None);
    assert_eq!((epoch_of(&host, &place), host.state_of(sent, &place)), (1, TargetState::Sent));
    assert!(!host.organization().state.lock().is_online(place.ordinal));
    faults.pass_next();
    faults.fail_all(Some(StoreError::Full));
    assert_eq!(host.connect(&place, 2).await.unwrap().1, 2, "one commit takes it in");
    faults.fail_all(None);
    let sid = place.organization.state.lock().fleet.row(place.ordinal).unwrap().sensor.sid;
    let host = host.restart(store).await;
    let place = host.place(sid);
    assert_eq!(epoch_of(&host, &place), 2);
    assert_eq!(host.state_of(sent, &place), TargetState::Interrupted);
    assert_eq!(host.state_of(queued, &place), TargetState::Removed);

    let (link, epoch) = host.connect(&place, 2).await.unwrap();
    assert_eq!((epoch, deliveries(&link)), (2, vec![]));
    host.ask().await;
    assert_eq!(delivered(&link).await.epoch, 2);
}

/// A backup that is restored knows less than the sensors do, and a sensor whose state is an older copy less than
/// the server: either way a task would be under way for ever.
#[tokio::test]
async fn a_task_of_which_neither_side_knows_the_end_is_interrupted_and_says_why() {
    let store = Store::memory();
    let host = Host::start_with(Arc::new(tempfile::tempdir().unwrap()), store.clone(), |_| ()).await;
    let place = host.enrol().await;
    let (link, _) = host.connect(&place, 1).await.unwrap();
    let id = host.ask().await;
    let deliver = delivered(&link).await;
    host.confirm(&place, &link, &deliver).await;
    let sid = place.organization.state.lock().fleet.row(place.ordinal).unwrap().sensor.sid;
    let host = host.restart(store).await;
    let place = host.place(sid);
    let (link, epoch) = host.connect(&place, 1).await.unwrap();
    let recalled = link.take().into_iter().find_map(|message| match message.message {
        Some(from_server::Message::Recall(recall)) => Some(recall.task_ids),
        _ => None,
    });
    assert_eq!(recalled, Some(vec![deliver.task_id.clone()]));
    let step = Step::Forgotten.into();
    let receipt = Receipt { task_id: deliver.task_id.clone(), epoch, step, at_ms: 1, ..Receipt::default() };
    tasking::receive(&host.app().tasking, &place, &link, Receipts { receipts: vec![receipt] }).await;
    assert_eq!(host.state_of(id, &place), TargetState::Interrupted);
    let why = tasking::explain(&host.app().tasking, &host.organization(), id, sid).await.unwrap().to_string();
    assert!(why.contains("set back"), "{why}");
}
