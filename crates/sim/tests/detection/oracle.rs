//! What must have come of a run, told from the stored events alone, by models so simple that they are plainly right.

use crate::rules::{GLOBAL_MAX, THRESHOLD};
use crate::sensors::{Endpoint, ordinal_of};
use crate::world::{OID, World};
use muster_store::{EntryQuery, Read, Store, StoreError, Stream};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// The number of a sensor, and that of one of its events.
type Place = (u32, u64);

fn read<T>(store: &Store, f: impl FnOnce(&mut dyn Read) -> Result<T, StoreError>) -> T {
    store.read_blocking(f).unwrap()
}

fn entries(store: &Store, stream: Stream, kind: Option<&str>) -> Vec<Value> {
    let query = EntryQuery { kind: kind.map(str::to_owned), ..EntryQuery::all(OID, stream) };
    let page = read(store, |read| read.entries(&query));
    assert!(page.cursor.is_none(), "a run is small");
    page.entries.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect()
}

fn place(event: &Value) -> Place {
    (ordinal_of(event["routing"]["sid"].as_str().unwrap().parse().unwrap()), event["event"]["N"].as_u64().unwrap())
}

/// The stored events, in the order in which they were committed.
pub fn stored(store: &Store) -> Vec<Place> {
    entries(store, Stream::Event, Some("TEST")).iter().map(place).collect()
}

/// All that is stored of the organization: records, sensors, tasks, and what its streams keep, in order.
pub fn everything(store: &Store) -> Vec<String> {
    let mut all: Vec<String> =
        read(store, |read| read.records(Some(OID), None)).iter().map(|record| format!("{record:?}")).collect();
    read(store, |read| read.sensors(None, &mut |row| all.push(format!("{:?}", row.unwrap()))));
    read(store, |read| read.tasks(None, &mut |task| all.push(format!("{:?}", task.unwrap()))));
    for stream in [Stream::Event, Stream::Detect, Stream::Audit, Stream::Deployment, Stream::Artifact] {
        all.extend(entries(store, stream, None).iter().map(Value::to_string));
    }
    all
}

/// How many actions wait in the store.
pub fn waiting_actions(store: &Store) -> usize {
    read(store, |read| read.records(Some(OID), Some("action"))).len()
}

/// Looks at the end of a run.
pub fn judge(world: &mut World) {
    let stored = stored(&world.store);
    world.counts.events += stored.len() as u64;
    let mut faults = Vec::new();
    let mut same = |what: &str, have: &dyn Debug, wanted: &dyn Debug| {
        let (have, wanted) = (format!("{have:?}"), format!("{wanted:?}"));
        if have != wanted {
            faults.push(format!("{what}: {have}, but it must be {wanted}"));
        }
    };
    let mut detections: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for detection in entries(&world.store, Stream::Detect, None) {
        let cat = detection["cat"].as_str().unwrap().to_owned();
        detections.entry(cat).or_default().push(place(&detection["detect"]));
    }
    let mut detected = |cat: &str| detections.remove(cat).unwrap_or_default();
    same("detections of every event, in order", &detected("seen"), &stored);
    same("the first few of all sensors", &detected("global"), &&stored[..GLOBAL_MAX.min(stored.len())]);
    let restarts = &world.restarts;
    let (threshold, mut pair, mut recall, mut waited) =
        (detected("threshold"), detected("pair"), detected("recall"), detected("waited"));
    [&mut pair, &mut recall, &mut waited].into_iter().for_each(|list| list.sort());
    let mut wanted = Wanted::default();
    for endpoint in &world.endpoints {
        let own: Vec<(usize, u64)> = stored
            .iter()
            .enumerate()
            .filter(|(_, (sensor, _))| *sensor == endpoint.ordinal)
            .map(|(at, (_, n))| (at, *n))
            .collect();
        let numbers: Vec<u64> = own.iter().map(|(_, number)| *number).collect();
        let all: Vec<u64> = (1..=endpoint.spool.len() as u64).collect();
        same(&format!("events of sensor {}", endpoint.ordinal), &numbers, &all);
        let of_sensor: Vec<u64> =
            threshold.iter().filter(|(sensor, _)| *sensor == endpoint.ordinal).map(|(_, number)| *number).collect();
        same("the event at the threshold", &of_sensor, &[THRESHOLD as u64]);
        wanted.walk(endpoint, &own, restarts);
        same(&format!("tags of sensor {}", endpoint.ordinal), &tags(&world.store, endpoint), &wanted.tags);
        let (ids, first) = deliveries(endpoint);
        same("direct tasks, in order", &first, &wanted.tasks);
        same("ids of direct tasks", &ids.len(), &wanted.tasks.len());
        let mut made = reliable(&world.store, endpoint);
        made.sort_unstable();
        same("reliable tasks", &made, &wanted.reliable);
        let mut told = audited(&world.store, endpoint);
        told.sort_unstable();
        let mut tasks = wanted.tasks.clone();
        tasks.sort_unstable();
        same("direct tasks told to operators", &told, &tasks);
    }
    same("pairs", &pair, &wanted.pair);
    same("events that variables recall", &recall, &wanted.recall);
    same("events after a wait", &waited, &wanted.waited);
    let is_quiet = world.counts.crashes == 0 && world.counts.full_disks == 0;
    let has_failed = world.endpoints.iter().any(|endpoint| endpoint.spool.iter().any(|event| event.kind == "F"));
    if is_quiet && has_failed {
        let errors = read(&world.store, |read| read.records(Some(OID), Some("org_error")));
        let components: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        same("errors of the organization", &components, &["dr-general/failing"]);
    }
    world.faults_found.extend(faults);
}

/// What rules make of the events of sensors.
#[derive(Default)]
struct Wanted {
    pair: Vec<Place>,
    recall: Vec<Place>,
    waited: Vec<Place>,
    /// Of the last sensor.
    tags: BTreeSet<String>,
    tasks: Vec<u64>,
    reliable: Vec<u64>,
}

impl Wanted {
    /// Takes the events of a sensor with their places among all; `restarts` are such places.
    fn walk(&mut self, endpoint: &Endpoint, own: &[(usize, u64)], restarts: &[usize]) {
        let mut seen = BTreeSet::new();
        let mut opened = None;
        (self.tags, self.tasks, self.reliable) = Default::default();
        for (at, number) in own {
            let place = (endpoint.ordinal, *number);
            let event = &endpoint.spool[*number as usize - 1];
            // What stateful rules wait for is in memory alone.
            opened = opened.filter(|(opened, _)| !restarts.iter().any(|restart| opened < restart && restart <= at));
            if self.tags.contains("waited") {
                self.waited.push(place);
            }
            match event.kind {
                "A" => {
                    opened = opened.or(Some((*at, *number)));
                    seen.insert(*number);
                    self.tags.insert("mark".into());
                }
                "B" => {
                    // A report shows the event that opened the match.
                    self.pair.extend(opened.take().map(|(_, opened)| (endpoint.ordinal, opened)));
                    if seen.contains(&event.refers_to) {
                        self.recall.push(place);
                    }
                    self.tags.remove("mark");
                }
                "T" => self.tasks.push(*number),
                "R" => self.reliable.push(*number),
                "F" => drop(self.tags.insert("after".into())),
                "W" => drop(self.tags.insert("waited".into())),
                _ => {}
            }
        }
    }
}

fn tags(store: &Store, endpoint: &Endpoint) -> BTreeSet<String> {
    let mut tags = BTreeSet::new();
    read(store, |read| {
        read.sensors(None, &mut |row| {
            let row = row.unwrap();
            if row.sensor.sid == endpoint.sid {
                tags.extend(row.sensor.tag_names().map(str::to_owned));
            }
        })
    });
    tags
}

/// Ids of the direct tasks that reached a sensor, and their numbers in the order in which each came first.
fn deliveries(endpoint: &Endpoint) -> (BTreeSet<&[u8]>, Vec<u64>) {
    let mut first = Vec::new();
    for (_, investigation) in &endpoint.delivered {
        let number = investigation.parse().unwrap();
        if !first.contains(&number) {
            first.push(number);
        }
    }
    (endpoint.delivered.iter().map(|(id, _)| id.as_slice()).collect(), first)
}

/// Numbers of the events for which a reliable task was made.
fn reliable(store: &Store, endpoint: &Endpoint) -> Vec<u64> {
    let mut numbers = Vec::new();
    read(store, |read| {
        read.tasks(None, &mut |task| {
            let task = task.unwrap();
            let spec: Value = serde_json::from_str(&task.spec).unwrap();
            let (sid, number) = spec["context"].as_str().unwrap().split_once('/').unwrap();
            if sid == endpoint.sid.to_string() {
                numbers.push(number.parse().unwrap());
            }
        })
    });
    numbers
}

/// Numbers of the events whose direct task was told to operators.
fn audited(store: &Store, endpoint: &Endpoint) -> Vec<u64> {
    let records = entries(store, Stream::Audit, None);
    let tasked = records
        .iter()
        .filter(|record| record["mtd"]["action"] == "task" && record["entity"]["sid"] == endpoint.sid.to_string());
    tasked.map(|record| record["mtd"]["investigation_id"].as_str().unwrap().parse().unwrap()).collect()
}
