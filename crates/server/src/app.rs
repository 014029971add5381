//! The object graph of one server, built by hand.

mod stored;

pub use stored::damaged;

use crate::access::Secrets;
use crate::address::Address;
use crate::arrival::Bodies;
use crate::clock;
use crate::config::Config;
use crate::console::{self, Console};
use crate::damage::{Damage, Row};
use crate::detect::{self, Detectors};
use crate::errors;
use crate::files::Files;
use crate::held::Waiting;
use crate::hive::{self, Hive, Hives, Lookups, Reloading};
use crate::intake::{Intake, Streams};
use crate::jobs::Jobs;
use crate::live::Live;
use crate::meter::Meter;
use crate::organization::{Organization, Organizations, State};
use crate::output::{Delivery, Outputs};
use crate::pki::Pki;
use crate::profile::{ORGANIZATION, ORGANIZATION_OWNER, Profile};
use crate::records::{Batch, Records, SERVER};
use crate::replay::Replays;
use crate::sensor::Sensors;
use crate::service::{self, Feed, Services};
use crate::tasking::{self, DirectTasks, Tasking};
use crate::telemetry::Telemetry;
use crate::transfer::{self, MayStill, Transfers};
use crate::turns::ReplayTurns;
use muster_model::Oid;
use muster_store::{Claim, Expect, Store, StoreError, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use stored::Stored;

/// Bytes of request bodies that come in at once: 32 of the longest, or 3 of the longest configurations.
const BODIES_BYTES_MAX: usize = 256 << 20;

/// The same of callers without a valid token, whose bodies are short.
const STRANGERS_BODIES_BYTES_MAX: usize = 32 << 20;

/// Everything that requests and links share.
pub struct App {
    /// How it is set up.
    pub config: Config,
    /// Durable state.
    pub store: Store,
    /// The one way for records to be stored and told.
    pub intake: Arc<Intake>,
    /// Configuration records.
    pub records: Arc<Records>,
    /// Secrets of the server.
    pub secrets: Secrets,
    /// The private certificate authority and the server's certificate.
    pub pki: Pki,
    /// Live readers.
    pub streams: Streams,
    /// Outputs.
    pub delivery: Arc<Delivery>,
    /// Services of others.
    pub services: Arc<Services>,
    /// Hives, to be changed one change at a time.
    pub hives: Arc<Hives>,
    /// Rules at work.
    pub detectors: Arc<Detectors>,
    /// Counters, for those who watch the server.
    pub telemetry: Telemetry,
    /// What runs beside its caller.
    pub jobs: Jobs,
    /// Bodies of requests with a valid token.
    pub bodies: Bodies,
    /// Bodies of all other requests: they cannot take the room of those.
    pub strangers_bodies: Bodies,
    /// Messages of sensors that wait to be worked on.
    pub waiting: Waiting,
    /// Files that are kept.
    pub files: Arc<Files>,
    /// One-time transfers of files.
    pub transfers: Transfers,
    /// Live sessions.
    pub live: Arc<Live>,
    /// Calls per credential.
    pub meter: Meter,
    /// Wrong credentials per address.
    pub wrong_credentials: Meter,
    /// Enrolments per installation key.
    pub enrolments: Meter,
    /// Events per sensor.
    pub events: Meter,
    /// Turns of replays.
    pub replay_turns: Arc<ReplayTurns>,
    /// Tries to sign in, and live connections of browsers.
    pub console: Arc<Console>,
    /// Where it is reached.
    pub address: Arc<Address>,
    /// All organizations.
    pub organizations: Arc<Organizations>,
    /// Tasking.
    pub tasking: Arc<Tasking>,
    /// Changes of sensors.
    pub sensors: Sensors,
}

/// The rules of a server, as its hives reach them.
struct InForce {
    app: Weak<App>,
    detectors: Arc<Detectors>,
    records: Arc<Records>,
}

impl hive::InForce for InForce {
    fn touch(&self, oid: Oid, hive: &Hive, key: &str) {
        self.detectors.touch(oid, hive, key);
    }

    fn is_changed(&self, oid: Oid) -> bool {
        self.detectors.is_changed(oid)
    }

    fn reload(&self, oid: Oid) -> Reloading {
        let app = self.app.clone();
        Box::pin(async move {
            match app.upgrade() {
                Some(app) => detect::reload(&app, oid).await,
                None => Err(StoreError::Failed("the server is stopping".into())),
            }
        })
    }

    fn lookups(&self, oid: Oid) -> Arc<Lookups> {
        self.detectors.lookups(&self.records, oid)
    }
}

/// The records of hives that extensions are given.
struct KeptInHives(Arc<Records>);

impl service::KeptFor for KeptInHives {
    fn config(&self, oid: Oid, extension: &str) -> Option<(serde_json::Map<String, serde_json::Value>, i64)> {
        let record = self.0.get(oid, hive::EXTENSION_CONFIG.kind, extension).filter(|record| record.usr_mtd.enabled)?;
        Some((record.data.as_object()?.clone(), record.sys_mtd.last_mod))
    }

    fn secret(&self, oid: Oid, name: &str) -> Option<String> {
        let record = self.0.get(oid, hive::SECRETS.kind, name).filter(|record| record.usr_mtd.enabled)?;
        record.data.get("secret")?.as_str().map(str::to_owned)
    }
}

fn hives(
    app: &Weak<App>,
    records: &Arc<Records>,
    secrets: &Secrets,
    jobs: &Jobs,
    detectors: &Arc<Detectors>,
    services: &Arc<Services>,
) -> Arc<Hives> {
    let (detectors, records) = (Arc::clone(detectors), Arc::clone(records));
    let in_force = InForce { app: app.clone(), detectors, records: Arc::clone(&records) };
    let (secrets, jobs, in_force) = (secrets.clone(), jobs.clone(), Arc::new(in_force));
    let services = Arc::clone(services);
    Arc::new(Hives::new(hive::Ports { records, secrets, jobs, in_force, services }))
}

/// Whether somebody who came with a key, or with a session of the console, still may do something.
fn grants_stay(records: &Arc<Records>, secrets: &Secrets, console: &Arc<Console>) -> MayStill {
    let (records, secrets, console) = (Arc::clone(records), secrets.clone(), Arc::clone(console));
    Box::new(move |caller, oid, permission| match caller.in_console {
        true => console::may_still(&console, &caller, oid, permission),
        false => secrets.still(&records, caller, oid, permission).is_ok(),
    })
}

fn transfers(config: &Config, may_still: MayStill, files: &Arc<Files>, tasking: &Arc<Tasking>) -> Transfers {
    let (records, files, file_bytes) = (Arc::clone(&tasking.records), Arc::clone(files), config.limits.file_bytes);
    Transfers::new(transfer::Ports { records, may_still, files, tasking: Arc::clone(tasking), file_bytes })
}

/// The calls that are remembered; those that are too old are forgotten.
async fn replays_in(records: &Records, store: &Store) -> Replays {
    let (replays, too_old) = Replays::load(records, clock::now());
    if !too_old.is_empty()
        && let Err(error) = store.commit(too_old).await
    {
        // On a full disk, say: they are forgotten at the next start.
        tracing::warn!(%error, "calls that are too old to be repeated could not be forgotten");
    }
    replays
}

/// What rooms keep their own in.
type Durable<'a> = (&'a Store, &'a Arc<Records>, &'a Secrets);

fn delivery_of(
    (store, records, secrets): Durable<'_>,
    outputs: Arc<Outputs>,
    telemetry: &Telemetry,
    config: &Config,
) -> Arc<Delivery> {
    Arc::new(Delivery {
        outputs,
        telemetry: telemetry.clone(),
        store: store.clone(),
        records: Arc::clone(records),
        secrets: secrets.clone(),
        data_dir: config.data_dir.clone(),
        allow_private: config.allow_private_destinations,
    })
}

fn services_of(
    (store, records, secrets): Durable<'_>,
    feed: Arc<Feed>,
    organizations: &Arc<Organizations>,
    config: &Config,
) -> Arc<Services> {
    Arc::new(Services::new(service::Ports {
        feed,
        organizations: Arc::clone(organizations),
        records: Arc::clone(records),
        store: store.clone(),
        secrets: secrets.clone(),
        allows_private: config.allow_private_destinations,
        kept: Arc::new(KeptInHives(Arc::clone(records))),
    }))
}

impl App {
    /// Loads all state of a store that is [`owned`].
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn load(config: Config, store: Store, pki: Pki) -> Result<Arc<Self>, StoreError> {
        let (streams, outputs, detectors) =
            (Streams::default(), Arc::<Outputs>::default(), Arc::<Detectors>::default());
        let telemetry = Telemetry::default();
        let (queues, rules) = (Arc::clone(&outputs), Arc::clone(&detectors));
        let (feed, told) = Feed::load(&store)?;
        let intake = Intake::new(store.clone(), telemetry.clone(), streams.clone(), queues, rules).and(told);
        let intake = Arc::new(intake);
        let (records, damaged) = Records::load(&store, Arc::clone(&intake))?;
        let records = Arc::new(records);
        let secrets = Secrets::load(&records).await?;
        let replays = replays_in(&records, &store).await;
        outputs.load(&records, &secrets);
        let (organizations, jobs) = (Arc::new(Organizations::default()), Jobs::default());
        let durable = (&store, &records, &secrets);
        let delivery = delivery_of(durable, outputs, &telemetry, &config);
        let services = services_of(durable, feed, &organizations, &config);
        let tasking = Arc::new(Tasking {
            store: store.clone(),
            intake: Arc::clone(&intake),
            records: Arc::clone(&records),
            organizations: Arc::clone(&organizations),
            replays,
            direct: DirectTasks::default(),
            jobs: jobs.clone(),
        });
        let address = Arc::new(Address::new(&config));
        let console = Arc::new(Console::new(console::Ports {
            records: Arc::clone(&records),
            secrets: secrets.clone(),
            organizations: Arc::clone(&organizations),
            streams: streams.clone(),
            jobs: jobs.clone(),
            address: Arc::clone(&address),
        }));
        let files = Arc::new(Files::new(config.data_dir.clone()));
        let transfers = transfers(&config, grants_stay(&records, &secrets, &console), &files, &tasking);
        let app = Arc::new_cyclic(|app| Self {
            streams,
            delivery,
            hives: hives(app, &records, &secrets, &jobs, &detectors, &services),
            services,
            detectors,
            telemetry,
            jobs,
            bodies: Bodies::new(BODIES_BYTES_MAX),
            strangers_bodies: Bodies::new(STRANGERS_BODIES_BYTES_MAX),
            waiting: Waiting::default(),
            files,
            transfers,
            live: Arc::new(Live::new(store.clone(), Arc::clone(&intake), &config.data_dir, config.limits.live.clone())),
            meter: Meter::default(),
            wrong_credentials: Meter::default(),
            enrolments: Meter::default(),
            events: Meter::default(),
            replay_turns: Arc::default(),
            console,
            address,
            sensors: Sensors { tasking: Arc::clone(&tasking), quota: config.limits.sensor_quota },
            organizations,
            tasking,
            config,
            store,
            intake,
            records,
            secrets,
            pki,
        });
        app.load_organizations(damaged).await?;
        app.live.restore(|oid| app.organization(oid), clock::now())?;
        Ok(app)
    }

    async fn tell_of_damage(&self, damaged: &[Damage]) {
        for damage in damaged {
            let (oid, component, text) = (damage.oid, damage.component(), damage.text());
            tracing::error!(%oid, component, text, "a stored row is damaged");
            if self.organization(oid).is_some() {
                errors::report(&self.records, oid, &component, &text).await;
            }
        }
    }

    /// Loads all organizations; tells what is damaged in them, and what was before.
    async fn load_organizations(&self, mut damaged: Vec<Damage>) -> Result<(), StoreError> {
        let mut organizations: BTreeMap<Oid, Organization> = self
            .records
            .list(ORGANIZATION_OWNER, ORGANIZATION)
            .into_iter()
            .filter_map(|(oid, _)| oid.parse().ok().map(|oid| (oid, Organization::new(oid))))
            .collect();
        self.store.read_blocking(|read| {
            for (oid, organization) in &mut organizations {
                let set_us = tasking::row::clock(*oid, read)?;
                organization.state.get_mut().dispatch().restore_clock(set_us);
            }
            let known: BTreeSet<Oid> = organizations.keys().copied().collect();
            stored::each(
                read,
                |oid| known.contains(&oid),
                |stored| {
                    let oid = match &stored {
                        Stored::Sensor(row) => row.sensor.oid,
                        Stored::Task(oid, _) => *oid,
                        Stored::Damaged(damage) => damage.oid,
                    };
                    if let Some(organization) = organizations.get_mut(&oid) {
                        damaged.extend(restore(organization.state.get_mut(), stored));
                    }
                },
            )
        })?;
        organizations.into_values().for_each(|organization| drop(self.organizations.insert(organization)));
        self.tell_of_damage(&damaged).await;
        Ok(())
    }

    /// An organization.
    #[must_use]
    pub fn organization(&self, oid: Oid) -> Option<Arc<Organization>> {
        self.organizations.get(oid)
    }

    /// All organizations.
    #[must_use]
    pub fn organizations(&self) -> Vec<Arc<Organization>> {
        self.organizations.all()
    }

    /// Makes an organization.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn create_organization(&self, oid: Oid, profile: &Profile) -> Result<Arc<Organization>, StoreError> {
        self.create_organization_with(oid, profile, || Ok(Batch::default())).await
    }

    /// Makes an organization together with the records that `decide` gives, in one
    /// commit: with its maker's permissions, or with what it is subscribed to.
    ///
    /// # Errors
    ///
    /// As [`Records::change`].
    pub async fn create_organization_with<E: From<StoreError>>(
        &self,
        oid: Oid,
        profile: &Profile,
        decide: impl FnOnce() -> Result<Batch, E>,
    ) -> Result<Arc<Organization>, E> {
        let key = oid.to_string();
        // Nobody ever owned it; where that is not so, it is there already, and the profile says so.
        let claim = Write::Claim(Claim { oid, term: 1 });
        let with = || {
            let batch = decide()?.put(ORGANIZATION_OWNER, ORGANIZATION, &key, profile, Expect::Absent)?;
            Ok(if self.organization(oid).is_some() { batch } else { batch.and(vec![claim]) })
        };
        self.records.change::<E>(with).await?;
        Ok(self.organizations.insert(Organization::new(oid)))
    }
}

/// Takes in what is stored; what cannot be read is left out, and its number kept.
fn restore(state: &mut State, stored: Stored) -> Option<Damage> {
    match stored {
        Stored::Sensor(row) => state.restore_sensor(row),
        Stored::Task(_, task) => state.restore_task(task),
        Stored::Damaged(damage) => {
            match &damage.row {
                Row::Sensor { ordinal } => state.set_sensor_aside(*ordinal),
                Row::Task { number, .. } => state.set_task_aside(*number),
                Row::Record { .. } => {}
            }
            return Some(damage);
        }
    }
    None
}

/// A handle that has claimed all that a server owns: what belongs to itself, and every organization. To be had before
/// anything of it is loaded.
///
/// # Errors
///
/// Whatever the store says.
pub fn owned(store: &Store) -> Result<Store, StoreError> {
    let store = store.owning();
    let organizations =
        store.read_blocking(|read| read.records(Some(ORGANIZATION_OWNER), Some(ORGANIZATION.word())))?;
    let oids = organizations.iter().filter_map(|record| record.key.parse().ok());
    store.claim(&std::iter::once(SERVER).chain(oids).collect::<Vec<_>>())?;
    Ok(store)
}
