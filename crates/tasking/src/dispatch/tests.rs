use super::*;
use crate::TargetState;
use crate::queue::RETRY_FIRST;
use crate::spec::{DEFAULT_TTL_S, Spec};
use muster_command::Command;
use muster_model::{Architecture, Iid, Oid, Platform, Sid, TaskId};
use muster_selector::Selector;
use roaring::RoaringBitmap;
use uuid::Uuid;

/// A machine, and a driver that stores nothing by itself.
struct World {
    dispatch: Dispatch,
    now: Timestamp,
    requests: u64,
    commits: VecDeque<Commit>,
    answers: Vec<Answer>,
    sent: Vec<TaskId>,
    recalled: Vec<TaskId>,
    cancelled: Vec<TaskId>,
}

impl World {
    fn new() -> Self {
        Self {
            dispatch: Dispatch::new(1),
            now: Timestamp::from_secs(1_000),
            requests: 0,
            commits: VecDeque::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            recalled: Vec::new(),
            cancelled: Vec::new(),
        }
    }

    fn tell(&mut self, input: impl FnOnce(&mut Dispatch, RequestId, Timestamp) -> Vec<Effect>) {
        self.requests += 1;
        for effect in input(&mut self.dispatch, RequestId(self.requests), self.now) {
            match effect {
                Effect::Commit(commit) => self.commits.push_back(commit),
                Effect::Answer(_, answer) => self.answers.push(answer),
                Effect::Send(_, Message::Deliver(delivery)) => self.sent.push(delivery.task_id),
                Effect::Send(_, Message::Recall(tasks)) => self.recalled.extend(tasks),
                Effect::Send(_, Message::Cancel(tasks)) => self.cancelled.extend(tasks),
                _ => {}
            }
        }
    }

    /// The store takes the oldest commit.
    fn store(&mut self) -> Commit {
        let commit = self.commits.pop_front().expect("something is to be stored");
        self.tell(|dispatch, _, now| dispatch.stored(commit.id, now));
        commit
    }

    fn store_all(&mut self) {
        while !self.commits.is_empty() {
            self.store();
        }
    }

    fn refuse(&mut self) {
        let commit = self.commits.pop_front().expect("something is to be stored");
        self.tell(|dispatch, _, now| dispatch.failed(commit.id, false, now));
    }

    fn enrol(&mut self, number: u128) -> u32 {
        let sid = Sid(Uuid::from_u128(number));
        let reported =
            Reported { platform: Platform::LINUX.0, architecture: Architecture::X64.0.into(), ..Reported::default() };
        let (oid, iid) = (Oid(Uuid::nil()), Iid(Uuid::nil()));
        let new = Enrolment {
            oid,
            sid,
            returns: false,
            iid,
            tags: &[],
            public_key: &[7; 32],
            reported: &reported,
            source: "",
        };
        self.tell(|dispatch, request, now| dispatch.enrol(request, &new, now));
        self.store_all();
        self.dispatch.fleet.ordinal(sid).unwrap()
    }

    fn connect(&mut self, ordinal: u32, link: u64) {
        self.tell(|dispatch, request, now| {
            let (link, reported) = (LinkId(link), Reported { journal_id: vec![1; 16], ..Reported::default() });
            let arrival = Arrival { request, ordinal, link, reported, source: String::new(), spool: None, quota: 0 };
            dispatch.connect(arrival, now)
        });
    }

    fn create(&mut self, number: u128, selector: &str, dynamic: bool) -> TaskId {
        self.create_at(number, selector, dynamic, crate::pace::Pace::default())
    }

    fn create_at(&mut self, number: u128, selector: &str, dynamic: bool, pace: crate::pace::Pace) -> TaskId {
        let spec = Spec {
            task_id: TaskId(Uuid::from_u128(number)),
            command: "os_version".into(),
            selector: selector.into(),
            context: None,
            ttl_s: DEFAULT_TTL_S,
            created_at: self.now,
            created_by: "test".into(),
            dynamic,
            urgent: false,
            conditions: None,
            pace,
            total: 0,
            tasked: 0,
            clock_us: 0,
        };
        let id = spec.task_id;
        let (command, selector) = (Command::parse("os_version").unwrap(), Selector::parse(selector).unwrap());
        self.tell(|dispatch, request, now| dispatch.create(request, Order { spec, command, selector }, now));
        id
    }

    fn state_of(&self, task: TaskId, ordinal: u32) -> Option<TargetState> {
        self.dispatch.queue.find(task).and_then(|task| task.state_of(ordinal))
    }

    fn confirm(&mut self, task_id: TaskId, ordinal: u32) {
        self.step(task_id, ordinal, TargetState::Confirmed);
    }

    fn step(&mut self, task_id: TaskId, ordinal: u32, state: TargetState) {
        let report = Report { task_id, state, at: self.now, code: 0, error: None };
        self.tell(|dispatch, request, now| dispatch.receipts(request, ordinal, vec![(1, report)], now));
    }
}

fn online() -> (World, u32) {
    let mut world = World::new();
    let ordinal = world.enrol(1);
    world.connect(ordinal, 1);
    world.store_all();
    world.answers.clear();
    (world, ordinal)
}

#[test]
fn nothing_is_answered_or_sent_before_what_it_rests_on_is_stored() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "*", false);
    assert!(world.answers.is_empty() && world.dispatch.queue.find(task).is_none());
    world.store();
    assert!(matches!(world.answers[..], [Answer::Created { total: 1, tasked: 1, .. }]), "{:?}", world.answers);
    assert!(world.sent.is_empty(), "that it is sent is not stored");
    let offer = world.store();
    assert!(matches!(&offer.writes[..], [Write::Targets(targets)] if targets[0].2.state == TargetState::Sent));
    assert_eq!(world.sent, [task]);
    world.confirm(task, ordinal);
    assert_eq!((world.answers.len(), world.state_of(task, ordinal)), (1, Some(TargetState::Sent)));
    world.store();
    assert_eq!((&world.answers[1], world.state_of(task, ordinal)), (&Answer::Stored, Some(TargetState::Confirmed)));
}

#[test]
fn what_the_store_refuses_leaves_no_trace() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "*", false);
    world.refuse();
    assert_eq!(world.answers, [Answer::Failed]);
    assert!(world.dispatch.queue.find(task).is_none());
    world.create(9, "*", false);
    world.store();
    world.refuse();
    assert_eq!((world.state_of(task, ordinal), world.sent.len()), (Some(TargetState::Queued), 0));
    // Nothing happens to the sensor, and it is asked for again.
    world.now = world.now.saturating_add(crate::queue::ASK_AGAIN);
    world.tell(|dispatch, _, now| dispatch.tick(now));
    world.store();
    assert_eq!(world.sent, [task]);
}

#[test]
fn what_is_taken_back_while_its_offer_is_stored_is_not_sent_and_counts_as_withdrawn() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "*", false);
    world.store();
    let choice = Choice { task_id: Some(task), selector: None };
    world.tell(|dispatch, request, now| dispatch.untask(request, choice, now));
    world.store_all();
    assert!(world.sent.is_empty());
    assert_eq!(world.state_of(task, ordinal), Some(TargetState::Removed));
    let Some(Answer::Untasked(untasked)) = world.answers.last() else { panic!("{:?}", world.answers) };
    assert!(untasked[0].deleted.is_empty() && untasked[0].withdrawn.contains(ordinal));
}

#[test]
fn of_one_sensor_one_change_at_a_time_and_others_do_not_wait() {
    let (mut world, first) = online();
    let second = world.enrol(2);
    let tag = |name: &str| Edit::PutTags { names: vec![name.into()], ttl: None, by: "test".into() };
    let both = RoaringBitmap::from_iter([first, second]);
    world
        .tell(|dispatch, request, now| dispatch.edit(Some(request), &RoaringBitmap::from_iter([first]), tag("a"), now));
    world.tell(|dispatch, request, now| dispatch.edit(Some(request), &both, tag("b"), now));
    assert_eq!(world.commits.len(), 1, "the second change waits for the first");
    world.store_all();
    let tags = |ordinal| world.dispatch.fleet.row(ordinal).unwrap().sensor.tag_names().collect::<Vec<_>>();
    assert_eq!((tags(first), tags(second)), (vec!["a", "b"], vec!["b"]));
    assert_eq!(world.answers[world.answers.len() - 2..], [Answer::Changed(1), Answer::Changed(2)]);
}

#[test]
fn a_link_that_ends_while_it_is_taken_in_is_not_the_current_one() {
    let (mut world, ordinal) = online();
    world.connect(ordinal, 2);
    world.tell(|dispatch, _, now| dispatch.disconnected(ordinal, LinkId(2), now));
    world.store_all();
    assert_eq!(world.dispatch.link(ordinal), Some(LinkId(1)));
    world.tell(|dispatch, _, now| dispatch.disconnected(ordinal, LinkId(1), now));
    assert!(!world.dispatch.is_online(ordinal));
}

#[test]
fn a_dynamic_task_reaches_who_began_to_match_while_it_was_stored() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "red in tags", true);
    let created = world.commits.pop_front().unwrap();
    let edit = Edit::PutTags { names: vec!["red".into()], ttl: None, by: "test".into() };
    world.tell(|dispatch, request, now| dispatch.edit(Some(request), &RoaringBitmap::from_iter([ordinal]), edit, now));
    world.store_all();
    world.tell(|dispatch, _, now| dispatch.stored(created.id, now));
    world.store_all();
    assert_eq!((world.state_of(task, ordinal), &world.sent[..]), (Some(TargetState::Sent), &[task][..]));
}

#[test]
fn retries_do_not_pile_up_while_the_store_stands_still() {
    let (mut world, _) = online();
    world.create(9, "*", false);
    world.store_all();
    for _ in 0..20 {
        world.now = world.now.saturating_add(RETRY_FIRST);
        world.tell(|dispatch, _, now| dispatch.tick(now));
    }
    assert_eq!(world.commits.len(), 1);
}

/// After a backup was restored on either side, nobody tells by itself how a task ended.
#[test]
fn what_a_sensor_is_said_to_have_is_asked_for_at_each_connection_and_ends() {
    let (mut world, first) = online();
    let pace = crate::pace::Pace { max_in_flight: Some(1), ..crate::pace::Pace::default() };
    let second = world.enrol(2);
    let task = world.create_at(9, "*", false, pace);
    world.store_all();
    world.confirm(task, first);
    world.store_all();
    world.step(task, first, TargetState::Started);
    world.store_all();
    world.connect(second, 2);
    world.store_all();
    assert_eq!((&world.sent[..], &world.recalled[..]), (&[task][..], &[][..]), "one at a time");

    world.connect(first, 3);
    world.store_all();
    assert_eq!(world.recalled, [task]);
    // The sensor no longer knows it.
    world.step(task, first, TargetState::Interrupted);
    world.store_all();
    assert_eq!(world.state_of(task, first), Some(TargetState::Interrupted));
    world.tell(|dispatch, _, now| dispatch.tick(now));
    world.store_all();
    assert_eq!((world.sent.len(), world.state_of(task, second)), (2, Some(TargetState::Sent)), "the roll-out goes on");
    world.connect(first, 4);
    world.store_all();
    assert_eq!(world.recalled.len(), 1, "what has ended is not asked for");
}

#[test]
fn what_a_lost_journal_has_closed_is_not_asked_for() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "*", false);
    world.store_all();
    world.confirm(task, ordinal);
    world.store_all();
    world.tell(|dispatch, request, now| {
        let (link, reported) = (LinkId(2), Reported { journal_id: vec![2; 16], ..Reported::default() });
        let arrival = Arrival { request, ordinal, link, reported, source: String::new(), spool: None, quota: 0 };
        dispatch.connect(arrival, now)
    });
    world.store_all();
    assert_eq!((world.state_of(task, ordinal), world.recalled.len()), (Some(TargetState::Interrupted), 0));
}

impl World {
    fn cancel(&mut self, task: TaskId) {
        self.tell(|dispatch, request, now| dispatch.cancel(request, task, None, now));
    }

    fn restarted(&self) -> Self {
        let mut fresh = Self { now: self.now, ..Self::new() };
        let fleet = &self.dispatch.fleet;
        fleet.live().iter().for_each(|ordinal| fresh.dispatch.restore_sensor(fleet.row(ordinal).unwrap().clone()));
        for task in self.dispatch.queue.tasks() {
            let new = || Task::new(task.number, task.spec.clone(), task.control.clone(), task.targets().clone());
            let mut loaded = new();
            task.targets().iter().for_each(|ordinal| loaded.restore(ordinal, task.known(ordinal).unwrap()));
            fresh.dispatch.restore_task(loaded);
        }
        fresh
    }
}

#[test]
fn a_cancel_is_stored_before_it_is_told_and_told_at_each_connection_until_the_end_is_known() {
    let (mut world, ordinal) = online();
    let never = world.enrol(2);
    let task = world.create(9, "*", false);
    world.store_all();
    world.confirm(task, ordinal);
    world.store_all();
    world.step(task, ordinal, TargetState::Started);
    world.store_all();
    world.answers.clear();
    world.cancel(task);
    assert_eq!((world.answers.len(), world.cancelled.len()), (0, 0), "nothing before it is stored");
    world.store_all();
    let [Answer::Untasked(one)] = &world.answers[..] else { panic!("{:?}", world.answers) };
    assert!(one[0].deleted.contains(never) && one[0].stopping.contains(ordinal));
    assert_eq!(world.cancelled, [task]);
    assert_eq!(world.state_of(task, ordinal), Some(TargetState::Started), "until the sensor says how it ended");
    assert_eq!(world.state_of(task, never), Some(TargetState::Removed));

    let mut world = world.restarted();
    world.connect(ordinal, 5);
    world.store_all();
    assert_eq!((&world.cancelled[..], world.recalled.len()), (&[task][..], 0), "a restart does not forget it");
    world.step(task, ordinal, TargetState::Cancelled);
    world.store_all();
    assert_eq!(world.state_of(task, ordinal), Some(TargetState::Cancelled));
    world.connect(ordinal, 6);
    world.store_all();
    assert_eq!(world.cancelled.len(), 1, "what has ended is not asked to end");
}

#[test]
fn a_task_that_had_ended_before_it_was_cancelled_says_so_and_one_that_is_confirmed_after_it_ends() {
    let (mut world, ordinal) = online();
    let done = world.create(9, "*", false);
    world.store_all();
    world.confirm(done, ordinal);
    world.store_all();
    world.cancel(done);
    world.store_all();
    world.step(done, ordinal, TargetState::Finished);
    world.store_all();
    assert_eq!(world.state_of(done, ordinal), Some(TargetState::Finished));

    let sent = world.create(10, "*", false);
    world.store_all();
    world.cancelled.clear();
    world.cancel(sent);
    world.store_all();
    assert_eq!((world.state_of(sent, ordinal), world.cancelled.len()), (Some(TargetState::Removed), 0));
    world.confirm(sent, ordinal);
    world.store_all();
    assert_eq!(world.cancelled, [sent], "the sensor has it after all");
}

#[test]
fn an_order_that_two_copies_of_a_sensor_began_is_doubled_and_not_finished() {
    let (mut world, ordinal) = online();
    let task = world.create(9, "*", false);
    world.store_all();
    // The copy takes the link over before the first machine has confirmed.
    world.connect(ordinal, 2);
    world.store_all();
    assert_eq!(world.sent, [task, task]);
    for state in [TargetState::Confirmed, TargetState::Started, TargetState::Finished] {
        world.step(task, ordinal, state);
        world.store_all();
    }
    let mut again = world.restarted();
    for world in [&mut world, &mut again] {
        world.step(task, ordinal, TargetState::Started);
        world.store_all();
        assert_eq!(world.state_of(task, ordinal), Some(TargetState::Finished), "the same word again");
        world.now = Timestamp::from_secs(1_001);
        world.step(task, ordinal, TargetState::Started);
        world.store_all();
        assert_eq!(world.state_of(task, ordinal), Some(TargetState::Doubled));
        world.step(task, ordinal, TargetState::Finished);
        world.store_all();
        assert_eq!(world.state_of(task, ordinal), Some(TargetState::Doubled));
    }
}

impl World {
    /// Whether a clone is told of when a sensor connects from this machine.
    fn sees_clone(&mut self, ordinal: u32, link: u64, hostname: &str, boot_id: &str) -> bool {
        self.tell(|dispatch, request, now| {
            let reported = Reported {
                hostname: hostname.to_owned(),
                boot_id: boot_id.to_owned(),
                journal_id: vec![1; 16],
                ..Reported::default()
            };
            let link = LinkId(link);
            let arrival = Arrival { request, ordinal, link, reported, source: String::new(), spool: None, quota: 0 };
            dispatch.connect(arrival, now)
        });
        let commit = self.store();
        self.store_all();
        commit.facts.iter().any(|fact| matches!(fact, Fact::Sensor(_, Happening::Cloned { .. })))
    }

    fn hang_up(&mut self, ordinal: u32, link: u64) {
        self.tell(|dispatch, _, now| dispatch.disconnected(ordinal, LinkId(link), now));
    }
}

#[test]
fn a_clone_is_seen_also_when_its_boot_or_its_name_is_the_same() {
    let mut world = World::new();
    let ordinal = world.enrol(1);
    assert!(!world.sees_clone(ordinal, 1, "a", "boot-1"));
    assert!(world.sees_clone(ordinal, 2, "b", "boot-2"), "another name and boot while it is online");

    let same_boot = world.enrol(2);
    assert!(!world.sees_clone(same_boot, 3, "a", "boot-1"));
    assert!(!world.sees_clone(same_boot, 4, "b", "boot-1"), "it may have been renamed");
    assert!(world.sees_clone(same_boot, 5, "a", "boot-1"), "but then it is not both");

    let same_name = world.enrol(3);
    assert!(!world.sees_clone(same_name, 6, "a", "boot-1"));
    world.hang_up(same_name, 6);
    assert!(!world.sees_clone(same_name, 7, "a", "boot-2"), "it booted");
    world.hang_up(same_name, 7);
    assert!(world.sees_clone(same_name, 8, "a", "boot-1"), "no boot comes back");
}

#[test]
fn an_identity_is_given_again_only_if_nobody_has_it() {
    let mut world = World::new();
    let ordinal = world.enrol(1);
    let sid = world.dispatch.fleet.row(ordinal).unwrap().sensor.sid;
    let reported = Reported::default();
    let (oid, iid) = (Oid(Uuid::nil()), Iid(Uuid::nil()));
    let ask = |world: &mut World, sid| {
        let new = Enrolment {
            oid,
            sid,
            returns: true,
            iid,
            tags: &[],
            public_key: &[8; 32],
            reported: &reported,
            source: "",
        };
        world.tell(|dispatch, request, now| dispatch.enrol(request, &new, now));
    };
    world.answers.clear();
    ask(&mut world, sid);
    assert_eq!(world.answers, [Answer::Denied]);
    let lost = Sid(Uuid::from_u128(77));
    ask(&mut world, lost);
    ask(&mut world, lost);
    assert_eq!(world.answers.len(), 2, "of two at once, one is refused");
    world.refuse();
    ask(&mut world, lost);
    world.store_all();
    assert_eq!(world.answers.last(), Some(&Answer::Enrolled(lost)));
    assert_eq!(world.dispatch.fleet.live().len(), 2);
}

/// What the ticker of a server goes by: it tells nothing to an organization before this.
#[test]
fn time_is_told_when_it_changes_something_and_not_before() {
    let idle = World::new();
    assert_eq!(idle.dispatch.due_in(idle.now), None);
    let (mut world, ordinal) = online();
    assert_eq!(world.dispatch.due_in(world.now), None, "a sensor that is online needs nothing");
    world.create(9, "*", false);
    world.store_all();
    assert_eq!(world.dispatch.due_in(world.now), Some(RETRY_FIRST), "a confirmation is waited for");
    world.now = world.now.saturating_add(RETRY_FIRST);
    assert_eq!(world.dispatch.due_in(world.now), Some(Duration::ZERO));
    world.tell(|dispatch, _, now| dispatch.tick(now));
    world.store_all();
    assert_eq!(world.dispatch.due_in(world.now), Some(RETRY_FIRST * 2));
    world.tell(|dispatch, _, now| dispatch.disconnected(ordinal, LinkId(1), now));
    let left = Duration::from_secs(DEFAULT_TTL_S) - RETRY_FIRST;
    assert_eq!(world.dispatch.due_in(world.now), Some(left), "it expires, whoever is there");
    world.dispatch.deposed();
    assert_eq!(world.dispatch.due_in(world.now), None);
}
