//! Both ends with a link that breaks, a sensor and a server that die, and an operator who does anything.

use muster_live::{
    Act, Command, Endpoint, Issued, Order, Refusal, Say, Session, SessionId, State, Status, Step, Timers,
};
use muster_model::Timestamp;
use muster_wire::{LiveClose, LiveEnded, LiveJoined, LiveOpen, LiveProgress, LiveRun, live_order, live_report};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const TIMERS: Timers = Timers { check_in_s: 60, session_s: 30, wait_s: None, command_s: Some(20) };

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    Issue,
    IssueInBackground,
    Cancel(u32),
    Close,
    KeepAlive,
    Connect,
    Cut,
    ToSensor,
    ToServer,
    Finish(usize),
    SensorDies,
    ServerDies,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Issue),
        2 => Just(Event::IssueInBackground),
        1 => (0_u32..6).prop_map(Event::Cancel),
        1 => Just(Event::Close),
        1 => Just(Event::KeepAlive),
        3 => Just(Event::Connect),
        1 => Just(Event::Cut),
        12 => Just(Event::ToSensor),
        12 => Just(Event::ToServer),
        6 => (0_usize..4).prop_map(Event::Finish),
        1 => Just(Event::SensorDies),
        1 => Just(Event::ServerDies),
        2 => (1_u64..40).prop_map(Event::Wait),
    ]
}

/// What is on the disk of the server.
#[derive(Default)]
struct Disk {
    header: Option<Vec<u8>>,
    commands: BTreeMap<u32, Vec<u8>>,
}

struct World {
    now: Duration,
    session: Session,
    disk: Disk,
    endpoint: Option<Endpoint>,
    instance: u8,
    is_linked: bool,
    to_sensor: VecDeque<live_order::What>,
    to_server: VecDeque<live_report::What>,
    running: Vec<u32>,
    /// Times that each command had its effect.
    begun: BTreeMap<u32, u32>,
    /// Ends that the server said it has stored.
    stored: BTreeSet<u32>,
}

impl World {
    fn new() -> Self {
        let session = Session::new(SessionId { number: 1, device: 7 }, TIMERS, "ana".into(), Timestamp::ZERO);
        let mut world = Self {
            now: Duration::ZERO,
            session,
            disk: Disk::default(),
            endpoint: None,
            instance: 1,
            is_linked: false,
            to_sensor: VecDeque::new(),
            to_server: VecDeque::new(),
            running: Vec::new(),
            begun: BTreeMap::new(),
            stored: BTreeSet::new(),
        };
        world.take(Step { header: true, ..Step::default() });
        world
    }

    fn at(&self) -> Timestamp {
        Timestamp::ZERO.saturating_add(self.now)
    }

    /// Stores what a step changed, and only then says what it says.
    fn take(&mut self, step: Step) {
        if step.header {
            self.disk.header = Some(serde_json::to_vec(&self.session).unwrap());
        }
        for number in step.commands {
            let command = serde_json::to_vec(self.session.command(number).unwrap()).unwrap();
            self.disk.commands.insert(number, command);
        }
        for say in step.say {
            let what = match say {
                Say::Open => live_order::What::Open(LiveOpen { idle_ms: 30_000 }),
                Say::Run(command) => {
                    let order = serde_json::to_vec(&self.session.command(command).unwrap().issued.order).unwrap();
                    live_order::What::Run(LiveRun { command, order, timeout_ms: 20_000, file: None })
                }
                Say::Cancel(command) => live_order::What::Cancel(command),
                Say::Close => live_order::What::Close(LiveClose {}),
                Say::Stored(command) => {
                    self.stored.insert(command);
                    live_order::What::Stored(command)
                }
            };
            if self.is_linked {
                self.to_sensor.push_back(what);
            }
        }
    }

    fn act(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Join => self.to_server.push_back(live_report::What::Joined(LiveJoined {
                    instance: vec![self.instance],
                    commands: vec!["process list".into(), "create process".into()],
                    ..LiveJoined::default()
                })),
                Act::Say(what) => self.to_server.push_back(what),
                Act::Begin { command, .. } => {
                    assert!(!self.endpoint.as_ref().unwrap().is_closed(), "a session that was left begins nothing");
                    let times = self.begun.entry(command).or_default();
                    *times += 1;
                    assert_eq!(*times, 1, "command {command} had its effect twice");
                    self.running.push(command);
                }
            }
        }
    }

    fn issue(&mut self, order: Order) {
        let issued = Issued {
            object: serde_json::Map::new(),
            timeout_s: TIMERS.command(None, &order),
            order,
            by: "ana".into(),
            at: self.at(),
            file: None,
        };
        let before = self.session.status();
        match self.session.issue(issued, self.at()) {
            Ok((_, step)) => self.take(step),
            Err(Refusal::NotEstablished) => assert_eq!(before, Status::Pending),
            Err(Refusal::Over) => assert!(matches!(before, Status::Close | Status::Timeout)),
            Err(refusal) => assert_eq!(refusal, Refusal::TooMany),
        }
    }

    fn cut(&mut self) {
        if std::mem::take(&mut self.is_linked) {
            self.to_sensor.clear();
            self.to_server.clear();
            let (at, now) = (self.at(), self.now);
            self.session.lost(at);
            if let Some(endpoint) = &mut self.endpoint {
                endpoint.lost(now);
            }
        }
    }

    /// The sensor hears the next thing.
    fn hear(&mut self) {
        let Some(what) = self.to_sensor.pop_front() else { return };
        if self.endpoint.is_none() && matches!(what, live_order::What::Open(_)) {
            self.endpoint = Some(Endpoint::default());
        }
        let now = self.now;
        let acts = self.endpoint.as_mut().map(|endpoint| endpoint.hear(what, now)).unwrap_or_default();
        self.act(acts);
    }

    fn happen(&mut self, event: Event) {
        let at = self.at();
        match event {
            Event::Issue => self.issue(Order::ProcessList),
            Event::IssueInBackground => self.issue(Order::CreateProcess {
                line: "x".into(),
                wait: true,
                working_directory: String::new(),
                output_file: String::new(),
            }),
            Event::Cancel(number) => {
                if let Ok((_, step)) = self.session.cancel(number, at) {
                    self.take(step);
                }
            }
            Event::Close => {
                if let Ok(step) = self.session.close(at) {
                    self.take(step);
                }
            }
            Event::KeepAlive => drop(self.session.keep_alive(at)),
            Event::Connect if !self.is_linked => {
                self.is_linked = true;
                self.take(self.session.arrived());
            }
            Event::Connect => {}
            Event::Cut => self.cut(),
            Event::ToSensor => self.hear(),
            Event::ToServer => {
                if let Some(what) = self.to_server.pop_front() {
                    let step = match what {
                        live_report::What::Joined(joined) => self.session.joined(joined, at),
                        live_report::What::Started(number) => {
                            self.session.started(number, at);
                            Step::default()
                        }
                        live_report::What::Ended(ended) => self.session.ended(&ended, at),
                        live_report::What::Cancelled(number) => self.session.cancelled(number, at),
                        live_report::What::Progress(_) => Step::default(),
                    };
                    self.take(step);
                }
            }
            Event::Finish(which) => {
                if !self.running.is_empty() {
                    let command = self.running.remove(which % self.running.len());
                    let (ended, now) = (LiveEnded { command, ..LiveEnded::default() }, self.now);
                    let acts = self.endpoint.as_mut().map(|endpoint| endpoint.ended(ended, now)).unwrap_or_default();
                    self.act(acts);
                }
            }
            Event::SensorDies => {
                self.cut();
                (self.endpoint, self.instance) = (None, self.instance.wrapping_add(1));
                self.running.clear();
            }
            Event::ServerDies => {
                self.cut();
                self.restart();
            }
            Event::Wait(seconds) => self.wait(seconds),
        }
        self.check();
    }

    fn restart(&mut self) {
        let header: Session = serde_json::from_slice(self.disk.header.as_ref().unwrap()).unwrap();
        let commands: Vec<Command> =
            self.disk.commands.values().map(|command| serde_json::from_slice(command).unwrap()).collect();
        self.session = header.restored(commands, self.at());
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            let (at, now) = (self.at(), self.now);
            let step = self.session.tick(at);
            self.take(step);
            let acts = self.endpoint.as_mut().map(|endpoint| endpoint.tick(now)).unwrap_or_default();
            if self.is_linked {
                self.act(acts);
            }
        }
    }

    fn check(&self) {
        for (number, command) in (0..).zip(self.session.commands()) {
            let times = self.begun.get(&number).copied().unwrap_or(0);
            let is_stored = self.stored.contains(&number);
            match command.state() {
                State::Complete => assert_eq!(times, 1, "command {number} completed and never ran"),
                State::Cancelled if is_stored => assert_eq!(times, 0, "command {number} was cancelled and ran"),
                _ => {}
            }
        }
    }

    /// Everything that can still be said is said.
    fn settle(&mut self) {
        for _ in 0..3 {
            self.happen(Event::Connect);
            for _ in 0..60 {
                self.happen(Event::ToSensor);
                self.happen(Event::ToServer);
                self.happen(Event::Finish(0));
            }
            self.cut();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_breaks_a_command_has_its_effect_at_most_once_and_its_end_is_known(
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new();
        world.happen(Event::Connect);
        for event in events {
            world.happen(event);
        }
        world.settle();
        world.wait(200);
        let begun = world.begun.clone();
        prop_assert!(matches!(world.session.status(), Status::Close | Status::Timeout));
        world.settle();
        prop_assert_eq!(&begun, &world.begun, "a session that is over began something");
        for (number, command) in (0..).zip(world.session.commands()) {
            prop_assert!(command.is_over(), "command {} has no end", number);
            // A run of the sensor that is still there has told all its ends.
            let has_ended = world.endpoint.is_some() && command.state() == State::Failed
                && command.ended.as_ref().is_some_and(|ended| ended.kind == muster_live::Kind::Server);
            if has_ended {
                let is_of_this_run = world.stored.contains(&number);
                prop_assert!(!is_of_this_run, "the end of {} was said and lost", number);
            }
        }
    }
}

#[test]
fn an_offline_sensor_is_waited_for_as_long_as_was_said() {
    let mut world = World::new();
    world.wait(59);
    assert_eq!(world.session.status(), Status::Pending);
    world.wait(1);
    assert_eq!(world.session.status(), Status::Timeout);
}

#[test]
fn keepalive_and_running_commands_hold_a_session_and_nothing_else_does() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer] {
        world.happen(event);
    }
    assert_eq!(world.session.status(), Status::Active);
    world.wait(20);
    world.happen(Event::KeepAlive);
    world.wait(29);
    world.happen(Event::Issue);
    world.wait(60);
    assert_eq!(world.session.status(), Status::Active, "a command is under way");
    for event in [Event::ToSensor, Event::Finish(0), Event::ToServer] {
        world.happen(event);
    }
    assert_eq!(world.session.command(0).unwrap().state(), State::Complete);
    world.wait(29);
    assert_eq!(world.session.status(), Status::Active);
    world.wait(1);
    assert_eq!(world.session.status(), Status::Timeout);
}

#[test]
fn what_was_accepted_before_a_session_is_closed_still_runs() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer, Event::Issue, Event::Issue, Event::Close] {
        world.happen(event);
    }
    assert_eq!(world.session.status(), Status::Close);
    assert!(matches!(world.session.close(world.at()), Ok(step) if step == Step::default()));
    world.settle();
    assert_eq!(world.begun.len(), 2);
    assert!(world.session.is_over());
    assert!(world.session.commands().all(|command| command.state() == State::Complete));
}

#[test]
fn what_did_not_begin_within_ten_seconds_of_the_close_is_cancelled() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer, Event::Issue, Event::Issue, Event::ToSensor] {
        world.happen(event);
    }
    world.happen(Event::Close);
    world.wait(10);
    assert!(world.session.is_over());
    world.settle();
    let states: Vec<State> = world.session.commands().map(Command::state).collect();
    assert_eq!(states, [State::Complete, State::Complete], "both had begun on the sensor before it heard of the end");
}

#[test]
fn it_is_said_of_a_command_that_it_runs_unless_it_ended_at_once() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer, Event::Issue, Event::ToSensor] {
        world.happen(event);
    }
    assert!(world.to_server.is_empty(), "it may end at once");
    world.wait(1);
    assert_eq!(world.to_server, [live_report::What::Started(0)]);
    for event in [Event::ToServer, Event::Finish(0), Event::Wait(1), Event::Issue, Event::ToSensor, Event::Finish(0)] {
        world.happen(event);
    }
    let ended = |command| live_report::What::Ended(LiveEnded { command, ..LiveEnded::default() });
    world.wait(1);
    assert_eq!(world.to_server, [ended(0), ended(1)], "the end says all");
    let mut endpoint = Endpoint::default();
    let order = serde_json::to_vec(&Order::ProcessList).unwrap();
    let run = LiveRun { command: 0, order, timeout_ms: 20_000, file: None };
    drop(endpoint.hear(live_order::What::Run(run), Duration::ZERO));
    let progress = LiveProgress { command: 0, ..LiveProgress::default() };
    let told = [live_report::What::Started(0), live_report::What::Progress(progress.clone())].map(Act::Say);
    assert_eq!(endpoint.progressed(progress.clone()), told);
    assert_eq!(endpoint.progressed(progress), told[1..]);
}

#[test]
fn a_command_that_the_sensor_has_is_cancelled_by_the_sensor_alone() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer, Event::Issue, Event::Issue] {
        world.happen(event);
    }
    for event in [Event::ToSensor, Event::ToSensor, Event::Wait(1), Event::ToServer, Event::Cancel(0), Event::Cancel(1)]
    {
        world.happen(event);
    }
    assert_eq!(world.session.command(1).unwrap().state(), State::Pending, "it is asked for, and not known yet");
    for event in [Event::ToSensor, Event::ToServer, Event::Finish(0), Event::ToServer, Event::ToServer] {
        world.happen(event);
    }
    let states: Vec<State> = world.session.commands().map(Command::state).collect();
    assert_eq!(states, [State::Complete, State::Cancelled]);
    assert!(matches!(world.session.cancel(0, world.at()), Err(Refusal::NotPending)));
    assert!(matches!(world.session.cancel(9, world.at()), Err(Refusal::NoCommand)));
}

#[test]
fn a_session_takes_so_many_commands_and_no_more() {
    let mut world = World::new();
    for event in [Event::Connect, Event::ToSensor, Event::ToServer] {
        world.happen(event);
    }
    for _ in 0..muster_live::COMMANDS_MAX + 1 {
        world.happen(Event::Issue);
    }
    assert_eq!(world.session.commands().len(), muster_live::COMMANDS_MAX);
}
