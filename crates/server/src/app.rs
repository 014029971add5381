//! The object graph of one server, built by hand.

mod ownership;
mod stored;

pub use ownership::owned;
pub use stored::damaged;

use crate::access::Secrets;
use crate::address::Address;
use crate::arrival::Bodies;
use crate::artifact::{self, ARTIFACT, Artifacts};
use crate::clock;
use crate::config::Config;
use crate::console::{self, Console};
use crate::damage::{Damage, Row};
use crate::detect::{Detect, Detectors, InForce};
use crate::errors;
use crate::extension::Extensions;
use crate::files::Files;
use crate::held::Waiting;
use crate::hive::{self, HIVES, Hives};
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
use crate::retention::Retention;
use crate::sensor::Sensors;
use crate::service::{self, Feed, Services};
use crate::tasking::{self, DirectTasks, Tasking};
use crate::telemetry::Telemetry;
use crate::transfer::{self, MayStill, Transfers};
use crate::turns::{ReadingTurns, ReplayTurns};
use muster_model::Oid;
use muster_store::{Claim, Expect, Store, StoreError, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
    /// Detection and response.
    pub detect: Arc<Detect>,
    /// Artifacts.
    pub artifacts: Arc<Artifacts>,
    /// The extensions that are built in.
    pub extensions: Arc<Extensions>,
    /// Counters, for those who watch the server.
    pub telemetry: Telemetry,
    /// What runs beside its caller.
    pub jobs: Jobs,
    /// Bodies of requests with a valid token.
    pub bodies: Bodies,
    /// Bodies of all other requests: they cannot take the room of those.
    pub strangers_bodies: Bodies,
    /// Turns of long bodies that are read.
    pub reading_turns: Arc<ReadingTurns>,
    /// Messages of sensors that wait to be worked on.
    pub waiting: Waiting,
    /// Files that are kept.
    pub files: Arc<Files>,
    /// One-time transfers of files.
    pub transfers: Arc<Transfers>,
    /// Live sessions.
    pub live: Arc<Live>,
    /// Calls per credential.
    pub meter: Meter,
    /// Wrong credentials per address.
    pub wrong_credentials: Meter,
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
    /// What is forgotten by itself.
    pub retention: Arc<Retention>,
}

/// Loads the records of the server, then those of its organizations; tells what is damaged.
fn load_records(records: &Records, store: &Store) -> Result<Vec<Damage>, StoreError> {
    let mut damaged = records.load(store, SERVER)?;
    let organizations = records.list(ORGANIZATION_OWNER, ORGANIZATION).into_iter();
    for oid in organizations.filter_map(|(oid, _)| oid.parse().ok()) {
        damaged.extend(records.load(store, oid)?);
        index(records, oid);
    }
    Ok(damaged)
}

/// Has records that have their time found by it.
fn index(records: &Records, oid: Oid) {
    records.index(oid, ARTIFACT);
    HIVES.iter().for_each(|hive| records.index(oid, hive.kind));
}

/// The calls that are remembered; those that are too old are forgotten.
async fn replays_in(records: &Records, store: &Store) -> Replays {
    let (replays, too_old) = Replays::load(records, clock::now());
    forget(too_old, store).await;
    replays
}

/// Forgets calls that are too old to be repeated.
async fn forget(too_old: Vec<Write>, store: &Store) {
    if !too_old.is_empty()
        && let Err(error) = store.commit(too_old).await
    {
        // On a full disk, say: they are forgotten at the next start.
        tracing::warn!(%error, "calls that are too old to be repeated could not be forgotten");
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

/// What rooms stand on.
struct Ground {
    config: Config,
    store: Store,
    intake: Arc<Intake>,
    records: Arc<Records>,
    secrets: Secrets,
    telemetry: Telemetry,
    streams: Streams,
    organizations: Arc<Organizations>,
    files: Arc<Files>,
    jobs: Jobs,
    address: Arc<Address>,
}

impl Ground {
    fn delivery(&self, outputs: Arc<Outputs>) -> Arc<Delivery> {
        Arc::new(Delivery {
            outputs,
            telemetry: self.telemetry.clone(),
            store: self.store.clone(),
            records: Arc::clone(&self.records),
            secrets: self.secrets.clone(),
            data_dir: self.config.data_dir.clone(),
            allow_private: self.config.allow_private_destinations,
        })
    }

    fn services(&self, feed: Arc<Feed>) -> Arc<Services> {
        Arc::new(Services::new(service::Ports {
            feed,
            organizations: Arc::clone(&self.organizations),
            records: Arc::clone(&self.records),
            store: self.store.clone(),
            secrets: self.secrets.clone(),
            allows_private: self.config.allow_private_destinations,
            kept: Arc::new(KeptInHives(Arc::clone(&self.records))),
        }))
    }

    fn tasking(&self, replays: Replays) -> Arc<Tasking> {
        Arc::new(Tasking {
            store: self.store.clone(),
            intake: Arc::clone(&self.intake),
            records: Arc::clone(&self.records),
            organizations: Arc::clone(&self.organizations),
            replays,
            direct: DirectTasks::default(),
            jobs: self.jobs.clone(),
        })
    }

    fn console(&self) -> Arc<Console> {
        Arc::new(Console::new(console::Ports {
            records: Arc::clone(&self.records),
            secrets: self.secrets.clone(),
            organizations: Arc::clone(&self.organizations),
            streams: self.streams.clone(),
            jobs: self.jobs.clone(),
            address: Arc::clone(&self.address),
        }))
    }

    /// Rules with all that they reach. They reach hives, which put them in force.
    fn detect(
        &self,
        detectors: Arc<Detectors>,
        delivery: &Arc<Delivery>,
        services: &Arc<Services>,
        sensors: &Sensors,
    ) -> Arc<Detect> {
        Arc::new_cyclic(|detect| {
            let in_force = InForce {
                detect: detect.clone(),
                detectors: Arc::clone(&detectors),
                records: Arc::clone(&self.records),
                services: Arc::clone(services),
            };
            let hives = Arc::new(Hives::new(hive::Ports {
                records: Arc::clone(&self.records),
                secrets: self.secrets.clone(),
                jobs: self.jobs.clone(),
                in_force: Arc::new(in_force),
                services: Arc::clone(services),
            }));
            let extensions = Arc::new(Extensions {
                records: Arc::clone(&self.records),
                hives: Arc::clone(&hives),
                delivery: Arc::clone(delivery),
                tasking: Arc::clone(&sensors.tasking),
                services: Arc::clone(services),
                require_targeting: self.config.require_targeting,
            });
            Detect {
                detectors,
                store: self.store.clone(),
                intake: Arc::clone(&self.intake),
                records: Arc::clone(&self.records),
                secrets: self.secrets.clone(),
                telemetry: self.telemetry.clone(),
                organizations: Arc::clone(&self.organizations),
                outputs: Arc::clone(&delivery.outputs),
                files: Arc::clone(&self.files),
                tasking: Arc::clone(&sensors.tasking),
                sensors: sensors.clone(),
                hives,
                services: Arc::clone(services),
                extensions,
            }
        })
    }

    fn artifacts(&self, readers: Arc<Detect>) -> Arc<Artifacts> {
        Arc::new(Artifacts::new(artifact::Ports {
            records: Arc::clone(&self.records),
            intake: Arc::clone(&self.intake),
            files: Arc::clone(&self.files),
            organizations: Arc::clone(&self.organizations),
            readers,
            file_bytes: self.config.limits.file_bytes,
            retention_days: self.config.limits.retention_days,
        }))
    }

    fn transfers(&self, console: &Arc<Console>, tasking: &Arc<Tasking>) -> Arc<Transfers> {
        Arc::new(Transfers::new(transfer::Ports {
            records: Arc::clone(&self.records),
            may_still: self.grants_stay(console),
            files: Arc::clone(&self.files),
            tasking: Arc::clone(tasking),
            file_bytes: self.config.limits.file_bytes,
        }))
    }

    /// Whether somebody who came with a key, or with a session of the console, still may do something.
    fn grants_stay(&self, console: &Arc<Console>) -> MayStill {
        let (records, secrets, console) = (Arc::clone(&self.records), self.secrets.clone(), Arc::clone(console));
        Box::new(move |caller, oid, permission| match caller.in_console {
            true => console::may_still(&console, &caller, oid, permission),
            false => secrets.still(&records, caller, oid, permission).is_ok(),
        })
    }

    fn retention(&self, live: &Arc<Live>) -> Arc<Retention> {
        let limits = &self.config.limits;
        Arc::new(Retention::new(
            (self.store.clone(), Arc::clone(&self.intake), self.telemetry.clone()),
            (Arc::clone(&self.organizations), Arc::clone(live)),
            (limits.retention_days, limits.retention_bytes),
        ))
    }

    fn live(&self) -> Arc<Live> {
        let (intake, limits) = (Arc::clone(&self.intake), self.config.limits.live.clone());
        Arc::new(Live::new(self.store.clone(), intake, &self.config.data_dir, limits))
    }
}

impl App {
    /// Loads all state of a store that is [`owned`].
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn load(config: Config, store: Store, pki: Pki) -> Result<Arc<Self>, StoreError> {
        let (outputs, detectors) = (Arc::<Outputs>::default(), Arc::<Detectors>::default());
        let (streams, telemetry) = (Streams::default(), Telemetry::default());
        let (queues, rules) = (Arc::clone(&outputs), Arc::clone(&detectors));
        let (feed, told) = Feed::load(&store)?;
        let intake = Intake::new(store.clone(), telemetry.clone(), streams.clone(), queues, rules).and(told);
        let intake = Arc::new(intake);
        let records = Arc::new(Records::new(Arc::clone(&intake)));
        let damaged = load_records(&records, &store)?;
        let secrets = Secrets::load(&records).await?;
        let replays = replays_in(&records, &store).await;
        outputs.load(&records, &secrets);
        let ground = Ground {
            files: Arc::new(Files::new(config.data_dir.clone())),
            address: Arc::new(Address::new(&config)),
            config,
            store,
            intake,
            records,
            secrets,
            telemetry,
            streams,
            organizations: Arc::default(),
            jobs: Jobs::default(),
        };
        let app = Self::on(ground, pki, replays, (outputs, feed, detectors));
        app.load_organizations(None, damaged).await?;
        app.live.restore(None, |oid| app.organization(oid), clock::now())?;
        Ok(app)
    }

    /// Puts the rooms together.
    fn on(
        ground: Ground,
        pki: Pki,
        replays: Replays,
        (outputs, feed, detectors): (Arc<Outputs>, Arc<Feed>, Arc<Detectors>),
    ) -> Arc<Self> {
        let (delivery, services) = (ground.delivery(outputs), ground.services(feed));
        let (tasking, console) = (ground.tasking(replays), ground.console());
        let sensors = Sensors { tasking: Arc::clone(&tasking), quota: ground.config.limits.sensor_quota };
        let detect = ground.detect(detectors, &delivery, &services, &sensors);
        let live = ground.live();
        Arc::new(Self {
            artifacts: ground.artifacts(Arc::clone(&detect)),
            transfers: ground.transfers(&console, &tasking),
            retention: ground.retention(&live),
            live,
            delivery,
            services,
            tasking,
            sensors,
            console,
            hives: Arc::clone(&detect.hives),
            extensions: Arc::clone(&detect.extensions),
            detect,
            bodies: Bodies::new(BODIES_BYTES_MAX),
            strangers_bodies: Bodies::new(STRANGERS_BODIES_BYTES_MAX),
            reading_turns: Arc::default(),
            waiting: Waiting::default(),
            meter: Meter::default(),
            wrong_credentials: Meter::default(),
            replay_turns: Arc::default(),
            pki,
            config: ground.config,
            store: ground.store,
            intake: ground.intake,
            records: ground.records,
            secrets: ground.secrets,
            telemetry: ground.telemetry,
            streams: ground.streams,
            organizations: ground.organizations,
            files: ground.files,
            jobs: ground.jobs,
            address: ground.address,
        })
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

    /// Loads one organization, or all; tells what is damaged in them, and what was before.
    async fn load_organizations(&self, of: Option<Oid>, mut damaged: Vec<Damage>) -> Result<(), StoreError> {
        let mut organizations: BTreeMap<Oid, Organization> = self
            .records
            .list(ORGANIZATION_OWNER, ORGANIZATION)
            .into_iter()
            .filter_map(|(oid, _)| oid.parse().ok())
            .filter(|oid| of.is_none_or(|of| *oid == of))
            .map(|oid| (oid, Organization::new(oid)))
            .collect();
        self.store.read_blocking(|read| {
            for (oid, organization) in &mut organizations {
                let set_us = tasking::row::clock(*oid, read)?;
                organization.state.get_mut().dispatch().restore_clock(set_us);
                organization.state.get_mut().set_task_aside(tasking::row::last_number(*oid, read)?);
            }
            let known: BTreeSet<Oid> = organizations.keys().copied().collect();
            stored::each(
                read,
                of,
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
        self.records.change::<E>(&[SERVER, oid], with).await?;
        Ok(self.organizations.insert(Organization::new(oid)))
    }
}

/// Takes in what is stored; what cannot be read is left out, and its number kept.
fn restore(state: &mut State, stored: Stored) -> Option<Damage> {
    match stored {
        Stored::Sensor(row) => state.restore_sensor(*row),
        Stored::Task(_, task) => state.restore_task(*task),
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
