//! Asking services for what they publish: what rules name of it is kept, over restarts too.
//!
//! A service is asked for digests after each time that it said that it is well, and for content whose digest is new. What
//! cannot be had stays as it was last, and is told to the organizations whose rules name it.
//!
//! Source: reference/service-protocol.md section 9.

use super::Services;
use super::post::{Answered, Said, Verdict};
use super::program::Program;
use super::registry::{self, Found};
use super::resource::{self, ALL_BYTES_MAX, Kept, Named, Published, RESOURCE, Resource, named};
use crate::records::Records;
use crate::{clock, random};
use muster_model::{Oid, Timestamp};
use muster_store::Write;
use muster_webhook::service::{Envelope, Etype, Names, ResourceAnswer, ResourceRequest};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Content of one service that is kept: all of it is asked for each few minutes.
const RESOURCES_MAX: usize = 64;

/// How long a service may take to give content.
const RESOURCE_MAX: Duration = Duration::from_secs(30);

/// How long whoever saves a rule waits for content that it names first.
const FIRST_MAX: Duration = Duration::from_secs(15);

/// How long content stays that no rule names: a rule may be about to be saved.
const UNNAMED_MAX: Duration = Duration::from_secs(10 * 60);

/// Services that are asked at once.
const ASKED_MAX: usize = 16;

/// Calls in a row that do not reach a service, after which the rest is not asked for.
const UNREACHED_MAX: usize = 2;

const PUBLISHES_NOTHING: &str = "it publishes nothing";

/// What the rules of each organization name.
pub type Uses = HashMap<Oid, BTreeSet<Named>>;

/// Content that is kept.
#[derive(Default)]
pub(super) struct Resources {
    kept: RwLock<Kept>,
    asked: Mutex<HashMap<(Oid, String), Asked>>,
    /// Grows with each change of what is kept.
    version: AtomicU64,
}

/// How a service was asked for content last.
#[derive(Default)]
struct Asked {
    /// When it was asked, it had last said that it is well.
    well_at: Option<Timestamp>,
    /// Why it was not asked.
    ill: String,
    names: BTreeSet<String>,
    is_under_way: bool,
}

/// Whose rules name what of one service.
struct Users {
    found: Found,
    names: BTreeMap<Oid, BTreeSet<String>>,
}

/// Services whose content rules name, by their registrations.
type Wanted = BTreeMap<(Oid, String), Users>;

/// A service that is to be asked, what for, and whose rules name it.
pub(crate) struct Wish {
    found: Found,
    service: Program,
    names: Vec<String>,
    users: BTreeMap<Oid, BTreeSet<String>>,
    /// Why there is no use in asking it.
    ill: Option<String>,
}

/// Why content did not come.
enum Refusal {
    /// The service was not reached.
    Unreached(String),
    /// It has none, or says something else.
    Refused(String),
}

impl Refusal {
    fn text(self) -> String {
        match self {
            Self::Unreached(text) | Self::Refused(text) => text,
        }
    }
}

/// Answers by name, or why there is none.
type Answers<T> = BTreeMap<String, Result<T, Refusal>>;

impl Resources {
    pub(super) fn load(records: &Records) -> Self {
        Self { kept: RwLock::new(resource::load(records)), ..Self::default() }
    }

    /// What is stored of the services of one owner, and nothing else of them.
    pub(super) fn take_up(&self, records: &Records, owner: Oid) {
        let mut kept = self.kept.write();
        kept.retain(|(of, _), _| *of != owner);
        kept.extend(resource::stored(records, owner));
        drop(kept);
        self.changed();
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets what a service published; gives what takes that out of the store.
    pub(super) fn removals(&self, owner: Oid, service: &str) -> Vec<Write> {
        let of = (owner, service.to_owned());
        self.asked.lock().remove(&of);
        let gone = self.kept.write().remove(&of).unwrap_or_default();
        self.changed();
        gone.keys().map(|name| RESOURCE.removal(owner, &key_of(service, name))).collect()
    }

    fn of(&self, owner: Oid, service: &str) -> BTreeMap<String, Arc<Resource>> {
        self.kept.read().get(&(owner, service.to_owned())).cloned().unwrap_or_default()
    }
}

impl Services {
    /// What services publish that an organization sees.
    #[must_use]
    pub fn published(&self, oid: Oid) -> Published {
        let mut published = Published::default();
        let of = self.resources.kept.read().keys().cloned().collect::<Vec<_>>();
        for (owner, name) in of {
            if registry::find(&self.records, oid, &Program::service(&name)).is_some_and(|found| found.owner == owner) {
                published.add(&name, self.resources.of(owner, &name));
            }
        }
        published
    }

    /// What is kept of one service.
    #[must_use]
    pub fn kept_of(&self, owner: Oid, service: &str) -> BTreeMap<String, Arc<Resource>> {
        self.resources.of(owner, service)
    }

    /// Grows with each change of what services publish.
    pub(crate) fn published_version(&self) -> u64 {
        self.resources.version.load(Ordering::Acquire)
    }

    /// Asks for content that a rule names and that is not known yet. What cannot be had in time is missing: the rule has a
    /// warning then.
    pub async fn fetch_named(&self, oid: Oid, rule: &Value) {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (service, name) in named(rule) {
            wanted.entry(service).or_default().push(name);
        }
        let ask = async {
            for (name, mut names) in wanted {
                let service = Program::service(&name);
                let Some(found) = registry::find(&self.records, oid, &service) else { continue };
                let kept = self.resources.of(found.owner, &name);
                names.retain(|name| !kept.contains_key(name));
                names.truncate(RESOURCES_MAX);
                if !names.is_empty() && self.publishes(found.owner, &name) {
                    self.take_resources(&found, &service, &names).await;
                }
            }
        };
        // What came until then is kept.
        let _ = timeout(FIRST_MAX, ask).await;
    }

    fn publishes(&self, owner: Oid, service: &str) -> bool {
        let wanted = Etype::GetResource.to_string();
        self.metadata(owner, service).is_some_and(|metadata| metadata.callbacks.contains(&wanted))
    }

    /// Who is to be asked now, given what all rules name; what none names any more is forgotten.
    pub(crate) async fn wishes(&self, uses: &Uses) -> Vec<Wish> {
        let now = clock::now();
        let mut wanted = Wanted::new();
        for (oid, named) in uses {
            for (service, name) in named {
                let Some(found) = registry::find(&self.records, *oid, &Program::service(service)) else { continue };
                let new = || Users { found: found.clone(), names: BTreeMap::new() };
                let users = wanted.entry((found.owner, service.clone())).or_insert_with(new);
                users.names.entry(*oid).or_default().insert(name.clone());
            }
        }
        // Services of owners that another server has taken over are that one's to ask.
        wanted.retain(|(owner, _), _| self.organizations.get(*owner).is_some());
        self.forget_unnamed(&wanted, now).await;
        let wishes = wanted.into_iter().filter_map(|((_, name), users)| self.wish(Program::service(&name), users));
        wishes.take(ASKED_MAX).collect()
    }

    /// What is wanted of a service; what is known comes first, so that names which it has not push nothing out.
    fn names_of(&self, service: &Program, users: &Users) -> Vec<String> {
        let kept = self.resources.of(users.found.owner, &service.name);
        let all: BTreeSet<&String> = users.names.values().flatten().collect();
        let mut names: Vec<String> = all.into_iter().cloned().collect();
        names.sort_by_key(|name| !kept.contains_key(name));
        names.truncate(RESOURCES_MAX);
        names
    }

    fn wish(&self, service: Program, users: Users) -> Option<Wish> {
        let (state, names) = (self.state(users.found.owner, &service), self.names_of(&service, &users));
        let Users { found, names: users } = users;
        let ill = match state.error.is_empty() {
            true if state.well_at.is_none() => return None,
            true if self.publishes(found.owner, &service.name) => String::new(),
            true => PUBLISHES_NOTHING.to_owned(),
            false => state.error,
        };
        let mut all = self.resources.asked.lock();
        let asked = all.entry((found.owner, service.name.clone())).or_default();
        let is_new = names.iter().any(|name| !asked.names.contains(name));
        let is_due = is_new || asked.ill != ill || (ill.is_empty() && asked.well_at != state.well_at);
        if asked.is_under_way || !is_due {
            return None;
        }
        let names_now = names.iter().cloned().collect();
        *asked = Asked { well_at: state.well_at, ill: ill.clone(), names: names_now, is_under_way: true };
        drop(all);
        Some(Wish { found, service, names, users, ill: (!ill.is_empty()).then_some(ill) })
    }

    async fn forget_unnamed(&self, wanted: &Wanted, now: Timestamp) {
        let is_named = |of: &(Oid, String), name: &String| {
            wanted.get(of).is_some_and(|users| users.names.values().any(|names| names.contains(name)))
        };
        let mut gone = Vec::new();
        for (of, resources) in self.resources.kept.read().iter() {
            let is_over =
                |(name, one): &(&String, &Arc<Resource>)| now.since(one.at) >= UNNAMED_MAX && !is_named(of, name);
            gone.extend(resources.iter().filter(is_over).map(|(name, _)| (of.clone(), name.clone())));
        }
        if gone.is_empty() {
            return;
        }
        let removal =
            |((owner, service), name): &((Oid, String), String)| RESOURCE.removal(*owner, &key_of(service, name));
        if let Err(error) = self.store.commit(gone.iter().map(removal).collect()).await {
            tracing::warn!(%error, "content of services that no rule names could not be forgotten");
            return;
        }
        let mut kept = self.resources.kept.write();
        for (of, name) in gone {
            kept.get_mut(&of).and_then(|resources| resources.remove(&name));
        }
        kept.retain(|_, resources| !resources.is_empty());
        drop(kept);
        self.resources.changed();
    }

    /// Asks a service for what rules name, and tells organizations what cannot be had.
    pub(crate) async fn fulfil(&self, wish: Wish) {
        let Wish { found, service, names, users, ill } = wish;
        let troubles = match ill {
            Some(ill) => names.into_iter().map(|name| (name, ill.clone())).collect(),
            None => self.take_resources(&found, &service, &names).await,
        };
        for (oid, names) in users {
            let first = troubles.iter().find(|(name, _)| names.contains(*name));
            if let Some((name, reason)) = first {
                let known = self.resources.of(found.owner, &service.name).contains_key(name);
                let so = if known { "what it published last is in force" } else { "rules find nothing there" };
                self.tell(oid, &service, &format!("its content {name} cannot be had: {reason}; {so}")).await;
            }
        }
        if let Some(asked) = self.resources.asked.lock().get_mut(&(found.owner, service.name)) {
            asked.is_under_way = false;
        }
    }

    /// Takes over what a service publishes under these names, as far as it is new; gives what went wrong.
    async fn take_resources(&self, found: &Found, service: &Program, names: &[String]) -> BTreeMap<String, String> {
        let mut troubles = BTreeMap::new();
        let kept = self.resources.of(found.owner, &service.name);
        let mut new = Vec::new();
        for (name, answer) in self.ask_for(found, service, names, false).await {
            match answer {
                Ok(answer) if kept.get(&name).is_some_and(|kept| kept.hash == answer.hash) => {}
                Ok(_) => new.push(name),
                Err(refusal) => drop(troubles.insert(name, refusal.text())),
            }
        }
        if new.is_empty() {
            return troubles;
        }
        for (name, answer) in self.ask_for(found, service, &new, true).await {
            let taken = match answer {
                Ok(answer) => self.take_resource(found.owner, service, &name, answer).await,
                Err(refusal) => Err(refusal.text()),
            };
            if let Err(reason) = taken {
                troubles.insert(name, reason);
            }
        }
        troubles
    }

    async fn take_resource(
        &self,
        owner: Oid,
        service: &Program,
        name: &str,
        answer: ResourceAnswer,
    ) -> Result<(), String> {
        let resource = Resource::read(&answer, clock::now())?;
        let of = (owner, service.name.clone());
        let kept = self.resources.of(owner, &service.name);
        if kept.len() >= RESOURCES_MAX && !kept.contains_key(name) {
            return Err(format!("{RESOURCES_MAX} others of this service are kept already"));
        }
        let beside: usize = {
            let kept = self.resources.kept.read();
            let owned = kept.iter().filter(|((of, _), _)| *of == owner);
            let others = owned.flat_map(|((_, of), all)| all.iter().map(move |(other, one)| (of, other, one)));
            others.filter(|(of, other, _)| **of != service.name || *other != name).map(|(_, _, one)| one.bytes).sum()
        };
        if beside.saturating_add(resource.bytes) > ALL_BYTES_MAX {
            return Err(format!("with it, all services of its owner publish more than {ALL_BYTES_MAX} bytes"));
        }
        let body = serde_json::to_string(&answer).map_err(|error| error.to_string())?;
        let write = RESOURCE.write(owner, &key_of(&service.name, name), body);
        self.store.commit(vec![write]).await.map_err(|error| format!("it could not be stored: {error}"))?;
        self.resources.kept.write().entry(of).or_default().insert(name.to_owned(), Arc::new(resource));
        self.resources.changed();
        Ok(())
    }

    /// Asks for several at once. One name that is unknown takes all others away with it, and so may one that is large: then
    /// each is asked for by itself.
    async fn ask_for(
        &self,
        found: &Found,
        service: &Program,
        names: &[String],
        is_include_data: bool,
    ) -> Answers<ResourceAnswer> {
        if let [_, _, ..] = names
            && let Ok(mut answer) =
                self.get_resource(found, service, Names::Many(names.to_vec()), is_include_data).await
            && let Some(Value::Object(mut all)) = answer.as_object_mut().and_then(|data| data.remove("resources"))
        {
            return names.iter().map(|name| (name.clone(), one_of(all.remove(name)))).collect();
        }
        let (mut answers, mut unreached) = (Answers::new(), Vec::<String>::new());
        for name in names {
            let answer = match unreached.first() {
                Some(first) if unreached.len() >= UNREACHED_MAX => Err(Refusal::Unreached(first.clone())),
                _ => self.get_resource(found, service, Names::One(name.clone()), is_include_data).await,
            };
            match &answer {
                Err(Refusal::Unreached(reason)) => unreached.push(reason.clone()),
                _ => unreached.clear(),
            }
            answers.insert(name.clone(), answer.and_then(|answer| one_of(Some(answer))));
        }
        answers
    }

    async fn get_resource(
        &self,
        found: &Found,
        service: &Program,
        resource: Names,
        is_include_data: bool,
    ) -> Result<Value, Refusal> {
        let request = serde_json::to_value(ResourceRequest { resource, is_include_data });
        let data = request.ok().and_then(|data| data.as_object().cloned()).unwrap_or_default();
        let id = random::uuid().to_string();
        let said = Said::from(Envelope::new(Etype::GetResource, &id, clock::now(), data));
        let verdict = self.call_within(found, service, &said, RESOURCE_MAX).await;
        match verdict.map_err(|error| Refusal::Unreached(error.to_string()))? {
            Verdict::Done(Answered::Service(answer)) => Ok(Value::Object(answer.data)),
            // Who has none may ask for another try: the next time is soon enough.
            Verdict::Again(reason) | Verdict::Failed(reason) => Err(Refusal::Refused(reason)),
            Verdict::Closed(closed) => Err(Refusal::Unreached(closed.into())),
            Verdict::NotImplemented | Verdict::Done(Answered::Extension(_)) => {
                Err(Refusal::Refused(PUBLISHES_NOTHING.to_owned()))
            }
        }
    }
}

fn key_of(service: &str, name: &str) -> String {
    format!("{service}/{name}")
}

fn one_of(answer: Option<Value>) -> Result<ResourceAnswer, Refusal> {
    let answer = answer.ok_or_else(|| Refusal::Refused("the answer lacks it".to_owned()))?;
    serde_json::from_value(answer).map_err(|error| Refusal::Refused(format!("the answer cannot be read: {error}")))
}
