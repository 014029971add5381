//! Sensors enrol, come and go, and have their records changed; dynamic tasks follow them.

use super::edit::{Abandonment, Edit, Reported, apply_report, is_over};
use super::effect::{Answer, Effect, Fact, Happening, LinkId, Message, RequestId, Welcome, Write};
use super::turns::JobId;
use super::{Dispatch, FADE_EVERY, Flight, Presence, RECALLED_MAX, Work, wanted_flags};
use crate::clock::CLOCK_JITTER;
use crate::sensor::SensorRow;
use crate::target::Target;
use crate::task::Task;
use muster_model::{Architecture, Iid, Oid, Platform, Sensor, Sid, Tag, Timestamp};
use roaring::RoaringBitmap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Changes of one commit. A mass change is several commits, each of which is idempotent, so that a failure half
/// way is mended by asking again.
const SENSORS_PER_COMMIT: usize = 2_000;

/// The tag by which a sensor stops all collection.
const SLEEPER: &str = "lc:sleeper";

/// A sensor that asks for an identity, with a key that was checked.
#[derive(Clone, Debug)]
pub struct Enrolment<'a> {
    /// Owner.
    pub oid: Oid,
    /// Its identity, if it gets one: random, or the one that it has.
    pub sid: Sid,
    /// It has that identity from an earlier state of this server, which knows it no more.
    pub returns: bool,
    /// The installation key.
    pub iid: Iid,
    /// Tags of the key.
    pub tags: &'a [String],
    /// Ed25519 public key of the sensor.
    pub public_key: &'a [u8],
    /// What it says of itself.
    pub reported: &'a Reported,
    /// Address that it connects from; empty is unknown.
    pub source: &'a str,
}

/// A sensor that proved who it is on a new link.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who asks.
    pub request: RequestId,
    /// The sensor.
    pub ordinal: u32,
    /// Its new link.
    pub link: LinkId,
    /// What it says of itself.
    pub reported: Reported,
    /// Address that it connects from; empty is unknown.
    pub source: String,
    /// Its spool, if it has one.
    pub spool: Option<SpoolSeen>,
    /// Most sensors that may be online; 0 is no limit.
    pub quota: u32,
}

/// A spool that a sensor reports.
#[derive(Clone, Copy, Debug)]
pub struct SpoolSeen {
    /// Which.
    pub id: [u8; 16],
    /// The highest number that is stored of it; `None` if it was never seen.
    pub stored: Option<u64>,
}

/// An arrival that waits for its turn, or for the store.
pub(super) type Arriving = Arrival;

/// A change of many records, one part after the other.
pub(super) struct Editing {
    request: Option<RequestId>,
    edit: Arc<Edit>,
    ordinals: Vec<u32>,
    /// How many of them had their turn.
    done: usize,
    changed: u64,
}

/// Records that changed, and what follows.
pub(super) struct Change {
    rows: Vec<SensorRow>,
    targets: Vec<(u64, u32, Target)>,
    then: Then,
}

enum Then {
    Edit(Box<Editing>),
    Enrol(RequestId, Sid),
    Arrive(Box<Arriving>),
    /// Nothing but that dynamic tasks follow.
    Follow,
}

impl Dispatch {
    /// A sensor asks for an identity. Answers [`Answer::Enrolled`] or [`Answer::Failed`]; [`Answer::Denied`] if the
    /// one that it asks for is taken.
    pub fn enrol(&mut self, request: RequestId, new: &Enrolment<'_>, now: Timestamp) -> Vec<Effect> {
        if self.known.fleet.ordinal(new.sid).is_some() || !self.enrolling.insert(new.sid) {
            self.answer(request, Answer::Denied);
            return self.settle(now);
        }
        let ordinal = self.known.fleet.reserve_ordinal();
        let row = Box::new(new_row(ordinal, new, now));
        self.turns.enter(vec![ordinal], Work::Enrol(request, row, new.returns));
        self.settle(now)
    }

    /// A sensor proved who it is on a new link. Answers [`Answer::Welcome`], and the link is the current one from
    /// then on; or [`Answer::Denied`], [`Answer::OverQuota`] or [`Answer::Failed`]. No answer comes if
    /// [`Dispatch::disconnected`] was told of the link meanwhile.
    pub fn connect(&mut self, arrival: Arrival, now: Timestamp) -> Vec<Effect> {
        self.arriving.insert(arrival.link);
        self.turns.enter(vec![arrival.ordinal], Work::Arrive(Box::new(arrival)));
        self.settle(now)
    }

    /// A link of a sensor ended, also if it was not taken in yet. Only the current link counts.
    pub fn disconnected(&mut self, ordinal: u32, link: LinkId, now: Timestamp) -> Vec<Effect> {
        self.arriving.remove(&link);
        if self.link(ordinal) == Some(link) {
            self.links.remove(&ordinal);
            self.known.online.remove(ordinal);
            self.known.queue.disconnected(ordinal);
            let fact = self.known.fleet.row(ordinal).map(|row| happened(row, Happening::Disconnected));
            self.tell(fact.into_iter().collect());
        }
        self.settle(now)
    }

    /// Records of sensors are to be changed. Answers [`Answer::Changed`] or [`Answer::Failed`], if anyone asks.
    pub fn edit(
        &mut self,
        request: Option<RequestId>,
        ordinals: &RoaringBitmap,
        edit: Edit,
        now: Timestamp,
    ) -> Vec<Effect> {
        let ordinals = ordinals.iter().collect();
        self.edit_next(Box::new(Editing { request, edit: Arc::new(edit), ordinals, done: 0, changed: 0 }));
        self.settle(now)
    }

    pub(super) fn fade(&mut self, now: Timestamp) {
        let set_back = self.fade_at.since(now) > FADE_EVERY + CLOCK_JITTER;
        if self.is_fading || (now < self.fade_at && !set_back) {
            return;
        }
        self.fade_at = now.saturating_add(FADE_EVERY);
        let has_over = |row: &SensorRow| row.sensor.tags.iter().any(|tag| is_over(tag, now));
        let fleet = &self.known.fleet;
        let over = fleet.fading().iter().filter(|ordinal| fleet.row(*ordinal).is_some_and(has_over));
        let ordinals: Vec<u32> = over.collect();
        if !ordinals.is_empty() {
            self.is_fading = true;
            self.edit_next(Box::new(Editing {
                request: None,
                edit: Arc::new(Edit::Fade),
                ordinals,
                done: 0,
                changed: 0,
            }));
        }
    }

    fn edit_next(&mut self, mut editing: Box<Editing>) {
        let part = editing.ordinals.iter().skip(editing.done).take(SENSORS_PER_COMMIT);
        let part: Vec<u32> = part.copied().collect();
        editing.done += part.len();
        if part.is_empty() {
            self.end_edit(&editing, Answer::Changed(editing.changed));
        } else {
            self.turns.enter(part, Work::Edit(editing));
        }
    }

    fn end_edit(&mut self, editing: &Editing, answer: Answer) {
        if *editing.edit == Edit::Fade {
            self.is_fading = false;
        }
        if let Some(request) = editing.request {
            self.answer(request, answer);
        }
    }

    pub(super) fn edit_some(&mut self, job: JobId, editing: Box<Editing>, now: Timestamp) {
        let edit = Arc::clone(&editing.edit);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for before in self.turns.ordinals(job).iter().filter_map(|ordinal| self.known.fleet.row(*ordinal)) {
            let mut row = before.clone();
            if !edit.apply(&mut row, now) {
                continue;
            }
            if let Some(end) = edit.ends() {
                targets.extend(self.abandoned(row.ordinal, end, now));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            self.turns.leave(job);
            return self.edit_next(editing);
        }
        let (request, mut facts) = (editing.request, Vec::new());
        if edit.is_told() {
            facts.extend(rows.iter().map(|row| edited(&edit, row)));
        }
        if matches!(*edit, Edit::Deny) {
            facts.extend(rows.iter().map(|row| happened(row, Happening::Denied)));
        }
        let change = Change { rows, targets, then: Then::Edit(editing) };
        self.store_change(job, request, Vec::new(), facts, change);
    }

    fn abandoned(&self, ordinal: u32, end: Abandonment, now: Timestamp) -> Vec<(u64, u32, Target)> {
        let closed = self.known.queue.abandon(ordinal, now, end.reason, end.journal_is_lost);
        closed.into_iter().map(|(number, target)| (number, ordinal, target)).collect()
    }

    /// Stores records, what became of targets through them, and more.
    fn store_change(
        &mut self,
        job: JobId,
        request: Option<RequestId>,
        mut writes: Vec<Write>,
        facts: Vec<Fact>,
        change: Change,
    ) {
        writes.extend(change.rows.iter().map(|row| Write::Sensor(Box::new(row.clone()))));
        if !change.targets.is_empty() {
            writes.push(Write::Targets(change.targets.clone()));
        }
        self.commit(request, writes, facts, Flight::Change(job, Box::new(change)));
    }

    pub(super) fn enrol_one(&mut self, job: JobId, request: RequestId, row: SensorRow, returns: bool) {
        let facts = vec![happened(&row, if returns { Happening::Returned } else { Happening::Enrolled })];
        let then = Then::Enrol(request, row.sensor.sid);
        let change = Change { rows: vec![row], targets: Vec::new(), then };
        self.store_change(job, Some(request), Vec::new(), facts, change);
    }

    pub(super) fn arrive(&mut self, job: JobId, arriving: Box<Arriving>, now: Timestamp) {
        let (request, ordinal) = (arriving.request, arriving.ordinal);
        let Some(before) = self.known.fleet.row(ordinal).filter(|_| self.arriving.contains(&arriving.link)) else {
            self.turns.leave(job);
            return self.answer(request, Answer::Denied);
        };
        if before.sensor.deleted {
            self.arriving.remove(&arriving.link);
            return self.deny(job, request, before.clone(), now);
        }
        let online = self.known.online.len();
        let is_over = arriving.quota != 0 && !self.is_online(ordinal) && online >= u64::from(arriving.quota);
        if is_over {
            let fact = happened(before, Happening::OverQuota);
            self.arriving.remove(&arriving.link);
            self.turns.leave(job);
            self.tell(vec![fact]);
            return self.answer(request, Answer::OverQuota);
        }
        let reported = &arriving.reported;
        let mut row = before.clone();
        let lost_journal = !row.journal_id.is_empty() && row.journal_id != reported.journal_id;
        row.epoch += u64::from(lost_journal);
        row.journal_id.clone_from(&reported.journal_id);
        row.boot_id.clone_from(&reported.boot_id);
        row.sensor.alive_at = now;
        if !arriving.source.is_empty() {
            row.sensor.ext_ip = arriving.source.as_str().into();
        }
        apply_report(&mut row, reported);
        let reason = "the sensor was wiped and enrolled again, or lost its journal";
        let end = Abandonment { reason, journal_is_lost: true };
        let targets = if lost_journal { self.abandoned(ordinal, end, now) } else { Vec::new() };
        let before = before.clone();
        let facts = self.clone_seen(&before, &row).into_iter().collect();
        let new_spool = arriving.spool.filter(|spool| spool.stored.is_none());
        let writes = new_spool.map(|spool| Write::Spool { ordinal, id: spool.id }).into_iter().collect();
        let change = Change { rows: vec![row], targets, then: Then::Arrive(arriving) };
        self.store_change(job, Some(request), writes, facts, change);
    }

    /// Whether a sensor connects from two machines. The record is what its present link reported.
    ///
    /// It is so if it is online elsewhere, by name and boot; and if the machine before the present one is back: a
    /// boot that ended does not come back, and a name that comes back while the other one is online has two bearers.
    fn clone_seen(&mut self, before: &SensorRow, after: &SensorRow) -> Option<Fact> {
        let (previous, new) = (&before.sensor.hostname, &after.sensor.hostname);
        let (is_renamed, is_booted) = (previous != new, before.boot_id != after.boot_id);
        if before.boot_id.is_empty() || !(is_renamed || is_booted) {
            return None;
        }
        let is_online = self.is_online(before.ordinal);
        let earlier = self.machines.insert(before.ordinal, machine(before));
        let is_back = earlier == Some(machine(after)) && (is_booted || is_online);
        let happening = || Happening::Cloned {
            previous: previous.clone(),
            new: new.clone(),
            addresses: [before.sensor.ext_ip.clone(), after.sensor.ext_ip.clone()],
        };
        (is_back || is_online && is_renamed && is_booted).then(|| happened(after, happening()))
    }

    fn deny(&mut self, job: JobId, request: RequestId, mut row: SensorRow, now: Timestamp) {
        if !Edit::Deny.apply(&mut row, now) {
            self.turns.leave(job);
            return self.answer(request, Answer::Denied);
        }
        let (writes, facts) = (vec![Write::Sensor(Box::new(row.clone()))], vec![happened(&row, Happening::Denied)]);
        self.commit(Some(request), writes, facts, Flight::Denied(job, request, Box::new(row)));
    }

    pub(super) fn denied(&mut self, job: JobId, request: RequestId, row: SensorRow) {
        self.known.fleet.put(row);
        self.turns.leave(job);
        self.answer(request, Answer::Denied);
    }

    /// Changed records are stored.
    pub(super) fn changed(&mut self, job: JobId, mut change: Box<Change>, now: Timestamp) {
        if let Then::Edit(editing) = &mut change.then {
            editing.changed += change.rows.len() as u64;
        }
        self.apply(std::mem::take(&mut change.targets));
        for row in change.rows.drain(..) {
            match &change.then {
                Then::Edit(editing) => self.enforce(&editing.edit, &row),
                Then::Arrive(arriving) => self.attach(arriving, &row),
                Then::Enrol(..) | Then::Follow => {}
            }
            self.known.fleet.put(row);
        }
        self.follow_change(job, change, now);
    }

    /// Dynamic tasks follow the present records of a job's sensors.
    fn follow_change(&mut self, job: JobId, change: Box<Change>, now: Timestamp) {
        let targets = self.following(job, now);
        if targets.is_empty() {
            return self.finish_change(job, *change, false, now);
        }
        let writes = vec![Write::Targets(targets.clone())];
        self.commit(None, writes, Vec::new(), Flight::Follow(job, change, targets));
    }

    pub(super) fn change_failed(&mut self, job: JobId, change: Change) {
        self.turns.leave(job);
        match change.then {
            Then::Edit(editing) => self.end_edit(&editing, Answer::Failed),
            Then::Enrol(request, sid) => {
                self.enrolling.remove(&sid);
                self.answer(request, Answer::Failed);
            }
            Then::Follow => {}
            Then::Arrive(arriving) => {
                self.arriving.remove(&arriving.link);
                self.answer(arriving.request, Answer::Failed);
            }
        }
    }

    /// Carries out on the link of a sensor what its changed record asks for.
    fn enforce(&mut self, edit: &Edit, row: &SensorRow) {
        let Some(link) = self.link(row.ordinal) else { return };
        match edit {
            Edit::Flag(..) => self.out.push(Effect::Send(link, Message::Flags(wanted_flags(row)))),
            Edit::Delete => self.out.push(Effect::Close(link)),
            _ => {}
        }
    }

    /// Makes a link the current one of its sensor, unless it ended meanwhile.
    fn attach(&mut self, arriving: &Arriving, row: &SensorRow) {
        if !self.arriving.remove(&arriving.link) {
            return;
        }
        let spool = arriving.spool.map(|spool| (spool.id, spool.stored.unwrap_or(0)));
        let presence = Presence { link: arriving.link, spool };
        if let Some(replaced) = self.links.insert(row.ordinal, presence) {
            self.out.push(Effect::Close(replaced.link));
        }
        self.known.online.insert(row.ordinal);
        // Whatever was sent on an earlier link may be lost: it is offered again.
        self.known.queue.disconnected(row.ordinal);
        let welcome = Welcome {
            epoch: row.epoch,
            flags: wanted_flags(row),
            sleeper: row.sensor.has_tag(SLEEPER),
            spool_seq: spool.map_or(0, |(_, seq)| seq),
        };
        self.answer(arriving.request, Answer::Welcome(welcome));
        // Should either side have been set back to an earlier state, nobody would ever tell how these end.
        let (ending, others): (Vec<&Task>, Vec<&Task>) =
            self.known.queue.held(row.ordinal).partition(|task| task.is_cancelling(row.ordinal));
        for (tasks, message) in [(others, Message::Recall as fn(_) -> _), (ending, Message::Cancel)] {
            for some in tasks.chunks(RECALLED_MAX) {
                let ids = some.iter().map(|task| task.spec.task_id).collect();
                self.out.push(Effect::Send(arriving.link, message(ids)));
            }
        }
    }

    /// What dynamic tasks gain and lose by the present records of a job's sensors.
    fn following(&mut self, job: JobId, now: Timestamp) -> Vec<(u64, u32, Target)> {
        let queue = &self.known.queue;
        self.followers.retain(|number, _| queue.task(*number).is_some_and(|task| !queue.is_over(task, now)));
        let mut targets = Vec::new();
        for number in queue.dynamic(now) {
            let Some(follower) = self.followers.get(&number) else { continue };
            for ordinal in self.turns.ordinals(job) {
                let Some(row) = self.known.fleet.row(*ordinal) else { continue };
                let is_able = follower.command.supports(row.sensor.platform, row.sensor.architecture);
                let change = if is_able && follower.selector.selects(&row.sensor) {
                    queue.join(number, *ordinal, now)
                } else {
                    queue.leave(number, *ordinal, now)
                };
                targets.extend(change.map(|target| (number, *ordinal, target)));
            }
        }
        targets
    }

    /// A dynamic task was decided upon before these sensors became what they are now, and came to be after.
    pub(super) fn catch_up(&mut self, job: JobId, now: Timestamp) {
        let change = Change { rows: Vec::new(), targets: Vec::new(), then: Then::Follow };
        self.follow_change(job, Box::new(change), now);
    }

    pub(super) fn followed(&mut self, job: JobId, change: Change, targets: Vec<(u64, u32, Target)>, now: Timestamp) {
        self.apply(targets);
        self.finish_change(job, change, true, now);
    }

    /// A change is stored, with all that follows but offers. `has_joined` tells that there may be new ones.
    pub(super) fn finish_change(&mut self, job: JobId, change: Change, has_joined: bool, now: Timestamp) {
        match change.then {
            Then::Edit(editing) => {
                self.edit_next(editing);
                if has_joined { self.offer_next(job, now) } else { self.turns.leave(job) }
            }
            Then::Enrol(request, sid) => {
                self.enrolling.remove(&sid);
                self.turns.leave(job);
                self.answer(request, Answer::Enrolled(sid));
            }
            Then::Follow if !has_joined => self.turns.leave(job),
            Then::Arrive(_) | Then::Follow => self.offer_next(job, now),
        }
    }
}

fn new_row(ordinal: u32, new: &Enrolment<'_>, now: Timestamp) -> SensorRow {
    let by: Arc<str> = "installation key".into();
    let platform = Platform(new.reported.platform);
    let architecture = Architecture(u8::try_from(new.reported.architecture).unwrap_or(0));
    let mut sensor = Sensor::enrolled(new.sid, new.oid, new.iid, platform, architecture, now);
    sensor.ext_ip = new.source.into();
    let mut row = SensorRow::enrolled(ordinal, sensor, new.public_key);
    apply_report(&mut row, new.reported);
    for name in new.tags {
        let tag = Tag { name: name.as_str().into(), added_by: Arc::clone(&by), added_at: now, expires_at: None };
        row.sensor.put_tag(tag);
    }
    row
}

/// Tells one machine from another that has the same identity.
fn machine(row: &SensorRow) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&row.sensor.hostname, &row.boot_id).hash(&mut hasher);
    hasher.finish()
}

fn happened(row: &SensorRow, happening: Happening) -> Fact {
    Fact::Sensor(Box::new(row.sensor.clone()), happening)
}

fn edited(edit: &Arc<Edit>, row: &SensorRow) -> Fact {
    Fact::Edited { edit: Arc::clone(edit), sid: row.sensor.sid, hostname: row.sensor.hostname.clone() }
}
