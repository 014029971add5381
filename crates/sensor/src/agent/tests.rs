mod ledger;

use std::collections::VecDeque;

use muster_wire::{AckedStep, Challenge, Conditions, EventsAck, Goaway};
use uuid::Uuid;

use super::*;

/// A disk that fails at its n-th write.
#[derive(Default)]
struct Disk {
    records: Vec<Record>,
    events: VecDeque<Event>,
    seq: u64,
    writes_left: Option<usize>,
    /// Bytes of records since the last rewriting, and the most there ever were.
    bytes: (usize, usize),
    base_bytes: usize,
}

/// As of a real journal, but small, so that tests get there.
const GROWN_BYTES: usize = 256 * 1024;

fn bytes_of(records: &[Record]) -> usize {
    use prost::Message as _;
    Batch::of(records).encoded_len()
}

impl Disk {
    fn write(&mut self) -> Result<(), StorageError> {
        match self.writes_left.as_mut() {
            Some(0) => return Err(StorageError("the power went".to_owned())),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.records.iter().for_each(|record| ledger.apply(record));
        ledger
    }
}

struct JournalOf<'a>(&'a std::cell::RefCell<Disk>);
struct SpoolOf<'a>(&'a std::cell::RefCell<Disk>);

impl Journal for JournalOf<'_> {
    fn append(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let mut disk = self.0.borrow_mut();
        disk.write()?;
        disk.records.extend_from_slice(records);
        disk.bytes.0 += bytes_of(records);
        disk.bytes.1 = disk.bytes.1.max(disk.bytes.0);
        Ok(())
    }
    fn is_grown(&self) -> bool {
        let disk = self.0.borrow();
        disk.bytes.0 > disk.base_bytes * 2 + GROWN_BYTES
    }
    fn replace(&mut self, records: &[Record]) -> Result<(), StorageError> {
        let mut disk = self.0.borrow_mut();
        disk.records = records.to_vec();
        (disk.bytes.0, disk.base_bytes) = (bytes_of(records), bytes_of(records));
        Ok(())
    }
}

impl Spool for SpoolOf<'_> {
    fn push(&mut self, mut event: Event) -> Result<u64, StorageError> {
        let mut disk = self.0.borrow_mut();
        disk.write()?;
        disk.seq += 1;
        event.seq = disk.seq;
        disk.events.push_back(event);
        Ok(disk.seq)
    }
    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
    fn read_after(&mut self, seq: u64, events_max: usize, _: usize) -> Result<Vec<Event>, StorageError> {
        Ok(self.0.borrow().events.iter().filter(|event| event.seq > seq).take(events_max).cloned().collect())
    }
    fn newest(&self) -> u64 {
        self.0.borrow().seq
    }
    fn acknowledge(&mut self, seq: u64) -> Result<(), StorageError> {
        self.0.borrow_mut().events.retain(|event| event.seq > seq);
        Ok(())
    }
}

fn look(line: &str) -> Look {
    let refusal = (line == "unknown").then(|| (events::NOT_SUPPORTED, "unknown command".to_owned()));
    let lane = if line.starts_with("run") { Lane::Long } else { Lane::Short };
    Look { request: "RUN_REQ".to_owned(), reply: "RECEIPT".to_owned(), refusal, is_silent: false, lane }
}

fn setup() -> Setup {
    let (oid, sid) = (Oid(Uuid::from_u128(1)), Some(Sid(Uuid::from_u128(2))));
    Setup { oid, sid, boot_id: "boot".to_owned(), owed_max: OWED_MAX, look }
}

fn at(boot_ms: u64) -> Now {
    Now { wall_ms: 1_700_000_000_000 + boot_ms.cast_signed(), boot_ms, utc_offset_s: 0 }
}

fn id(number: u128) -> TaskId {
    TaskId(Uuid::from_u128(number))
}

fn order(number: u128) -> Deliver {
    Deliver {
        task_id: id(number).0.as_bytes().to_vec(),
        epoch: 3,
        command: "run x".to_owned(),
        investigation_id: "case".to_owned(),
        lifetime_ms: 60_000,
        wants_receipts: true,
        ..Deliver::default()
    }
}

fn welcome(agent: &mut Agent, now: Now) {
    let welcome = Welcome { server_now_ms: now.wall_ms, epoch: 3, ..Welcome::default() };
    agent.hear(from_server::Message::Welcome(welcome), now);
}

/// An agent with its disk, on a link.
struct Bench {
    disk: std::cell::RefCell<Disk>,
    agent: Agent,
}

impl Bench {
    fn new(disk: Disk, now: Now) -> Self {
        let mut agent = Agent::new(setup(), disk.ledger(), now);
        welcome(&mut agent, now);
        Self { disk: disk.into(), agent }
    }

    fn settle(&mut self, _: Now) -> Result<Vec<Effect>, StorageError> {
        self.agent.settle(&mut JournalOf(&self.disk), &mut SpoolOf(&self.disk))
    }

    fn deliver(&mut self, deliver: Deliver, now: Now) -> Vec<Effect> {
        self.agent.hear(from_server::Message::Deliver(deliver), now);
        self.settle(now).unwrap()
    }

    fn crash(self) -> Disk {
        Disk { writes_left: None, ..self.disk.into_inner() }
    }
}

fn runs(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Run(_))).count()
}

fn sent(effects: &[Effect]) -> Vec<(Step, i32)> {
    let receipts = effects.iter().filter_map(|effect| match effect {
        Effect::Send(from_sensor::Message::Receipts(receipts)) => Some(&receipts.receipts),
        _ => None,
    });
    receipts.flatten().map(|receipt| (Step::try_from(receipt.step).unwrap(), receipt.code)).collect()
}

fn finished(number: u128) -> Answer {
    let body = serde_json::json!({"ERROR": 0});
    let events = vec![event("RECEIPT", body, Some((id(number), "case")), at(1))];
    Answer { task: id(number), verdict: Verdict::Finished(0, String::new()), events, afterwards: None }
}

#[test]
fn a_crash_at_any_write_runs_a_task_at_most_once_and_loses_neither_it_nor_its_answer() {
    for writes in 0..8 {
        let mut effects_count = 0;
        let disk = Disk { writes_left: Some(writes), ..Disk::default() };
        let mut bench = Bench::new(disk, at(0));
        bench.agent.hear(from_server::Message::Deliver(order(1)), at(0));
        let began = bench.settle(at(0)).map(|effects| runs(&effects));
        effects_count += began.clone().unwrap_or(0);
        if began == Ok(1) {
            bench.agent.answered(finished(1), at(1));
            let _ = bench.settle(at(1));
        }
        let disk = bench.crash();
        let had_confirmed = disk.ledger().get(id(1)).is_some();
        if !had_confirmed {
            assert!(disk.events.is_empty(), "an event of an unknown task would confirm it: {writes}");
        }

        let mut bench = Bench::new(disk, at(10));
        effects_count += runs(&bench.settle(at(10)).unwrap());
        effects_count += runs(&bench.deliver(order(1), at(10)));
        bench.agent.answered(finished(1), at(11));
        bench.settle(at(11)).unwrap();
        let task = bench.agent.ledger().get(id(1)).unwrap();
        assert!(task.has_ended(), "no task stays without an end: {writes}");
        assert_eq!(task.receipts().next().unwrap().step, Step::Confirmed as i32);
        if task.has(Step::Finished) {
            assert_eq!(effects_count, 1);
            let answers = bench.disk.borrow().events.iter().filter(|event| event.event_type == "RECEIPT").count();
            assert!(answers >= 1, "finished without an answer: {writes}");
        } else {
            assert!(task.has(Step::Interrupted) && effects_count <= 1, "{writes}");
        }
    }
}

#[test]
fn what_had_only_been_confirmed_runs_after_a_restart_unless_its_time_has_passed() {
    let mut first = Bench::new(Disk::default(), at(0));
    assert_eq!(runs(&first.deliver(order(1), at(0))), 1);
    assert_eq!(runs(&first.deliver(order(2), at(1))), 0, "the second waits for the first");
    let disk = first.crash();
    let records = disk.records.clone();

    let mut soon = Bench::new(disk, at(59_000));
    let effects = soon.settle(at(59_000)).unwrap();
    assert_eq!(runs(&effects), 1);
    assert!(sent(&effects).contains(&(Step::Interrupted, events::BROKEN_PIPE)));

    let mut late = Bench::new(Disk { records: records.clone(), ..Disk::default() }, at(60_001));
    let effects = late.settle(at(60_001)).unwrap();
    assert_eq!(runs(&effects), 0);
    assert!(sent(&effects).contains(&(Step::Expired, events::TIMEOUT)));

    // After a reboot the count since boot says nothing; the wall clock does, for want of the server's.
    let ledger = Disk { records, ..Disk::default() }.ledger();
    let now = Now { wall_ms: at(0).wall_ms + 60_002, boot_ms: 5, utc_offset_s: 0 };
    assert!(Agent::new(rebooted(), ledger, now).ledger().get(id(2)).unwrap().has(Step::Expired));
}

fn rebooted() -> Setup {
    Setup { boot_id: "another boot".to_owned(), ..setup() }
}

#[test]
fn after_a_reboot_the_servers_clock_tells_whether_the_time_of_a_task_has_passed() {
    let mut first = Bench::new(Disk::default(), at(0));
    let timed = |number| Deliver { not_after_ms: at(60_000).wall_ms, ..order(number) };
    first.deliver(timed(1), at(0));
    first.deliver(timed(2), at(0));
    let ledger = first.crash().ledger();
    // Ten years off, either way.
    for wrong_ms in [315_360_000_000, -315_360_000_000] {
        for (server_ms, step) in [(59_000, Step::Started), (60_000, Step::Expired)] {
            let now = Now { wall_ms: at(0).wall_ms + wrong_ms, boot_ms: 5, utc_offset_s: 0 };
            let mut agent = Agent::new(rebooted(), ledger.clone(), now);
            agent.tick(now);
            let has = |agent: &Agent, step| agent.ledger().get(id(2)).unwrap().has(step);
            assert!(!has(&agent, step), "it waits for the link");
            let welcome = Welcome { server_now_ms: at(server_ms).wall_ms, epoch: 3, ..Welcome::default() };
            agent.hear(from_server::Message::Welcome(welcome), now);
            assert!(has(&agent, step), "off by {wrong_ms} ms, the server is at {server_ms}");
        }
    }
}

#[test]
fn a_server_whose_clock_is_set_back_loses_no_task_and_a_late_offer_runs_no_task() {
    let hour = 3_600_000;
    for back_ms in [11_000, 2 * hour, 87_600 * hour] {
        let mut bench = Bench::new(Disk::default(), at(0));
        // Sent two hours ago by the clock that the welcome told: no one can tell whether that clock was set back.
        let sent_ms = at(1_000).wall_ms - back_ms;
        let offer = Deliver { not_after_ms: sent_ms + 60_000, ..order(1) };
        let effects = bench.deliver(offer.clone(), at(1_000));
        assert!(matches!(effects.last(), Some(Effect::Close(Duration::ZERO, _))), "{effects:?}");
        assert!(!bench.agent.is_connected() && bench.agent.ledger().get(id(1)).is_none());
        let direct = Deliver { wants_receipts: false, ..Deliver { not_after_ms: sent_ms + 60_000, ..order(2) } };
        welcome(&mut bench.agent, at(1_500));
        assert_eq!(runs(&bench.deliver(direct, at(1_500))), 0);
        let told = bench.disk.borrow().events.back().unwrap().clone();
        assert!(told.event_type == "RECEIPT" && String::from_utf8(told.body).unwrap().contains("give it again"));
        // The next link measures anew.
        let set_back = Welcome { server_now_ms: sent_ms + 1_000, epoch: 3, ..Welcome::default() };
        bench.agent.hear(from_server::Message::Welcome(set_back), at(2_000));
        let again = Deliver { lifetime_ms: 59_000, ..offer };
        assert_eq!(runs(&bench.deliver(again, at(2_000))), 1, "set back by {back_ms} ms");
    }
}

#[test]
fn a_server_whose_clock_is_set_ahead_or_drifts_costs_no_time_to_live() {
    let mut bench = Bench::new(Disk::default(), at(0));
    let offer = |number, sent_ms| Deliver { not_after_ms: sent_ms + 1_000, lifetime_ms: 1_000, ..order(number) };
    let ahead = at(86_400_000).wall_ms;
    assert_eq!(runs(&bench.deliver(offer(1, ahead), at(0))), 1);
    bench.agent.answered(finished(1), at(1));
    // The new offset counts from now on: this one was 900 ms under way.
    bench.deliver(offer(2, ahead + 100), at(1_000));
    bench.agent.answered(finished(2), at(1_000));
    bench.settle(at(1_000)).unwrap();
    assert!(bench.agent.ledger().get(id(2)).unwrap().has(Step::Finished));
    assert_eq!(bench.agent.ledger().get(id(2)).unwrap().deliver().unwrap().lifetime_ms, 1_000);
    bench.deliver(offer(3, ahead + 100), at(1_200));
    assert!(bench.agent.ledger().get(id(3)).unwrap().has(Step::Expired), "1,100 ms under way");
}

#[test]
fn five_3_a_link_that_lives_for_weeks_stays_measured_and_a_late_word_is_not_believed() {
    let mut bench = Bench::new(Disk::default(), at(0));
    let hear = |bench: &mut Bench, server_now_ms, now| {
        bench.agent.hear(from_server::Message::EventsAck(EventsAck { seq: 0, server_now_ms }), now);
    };
    // The server's clock is slow by 100 in a million: eleven seconds within 31 hours, 259 within a month.
    let server_ms = |boot_ms: u64| at(boot_ms).wall_ms - i64::try_from(boot_ms / 10_000).unwrap();
    let month = 30 * 86_400_000;
    for boot_ms in (0..=month).step_by(600_000) {
        hear(&mut bench, server_ms(boot_ms), at(boot_ms));
    }
    let direct = |number, sent_ms: i64| Deliver {
        not_after_ms: sent_ms + 60_000,
        lifetime_ms: 60_000,
        wants_receipts: false,
        ..order(number)
    };
    assert_eq!(runs(&bench.deliver(direct(1, server_ms(month)), at(month))), 1);
    assert!(bench.agent.is_connected());
    // What lay in a buffer for an hour comes with an old word about the time before it.
    let late = month + 3_600_000;
    hear(&mut bench, server_ms(month), at(late));
    assert_eq!(runs(&bench.deliver(direct(2, server_ms(month)), at(late))), 0);
    assert!(!bench.agent.is_connected(), "the next link measures anew");
}

#[test]
fn a_second_copy_is_answered_with_the_receipts_of_the_first() {
    let mut bench = Bench::new(Disk::default(), at(0));
    bench.deliver(order(1), at(0));
    bench.agent.answered(finished(1), at(5));
    bench.settle(at(5)).unwrap();
    let acked = [Step::Confirmed, Step::Started, Step::Finished]
        .map(|step| AckedStep { task_id: id(1).0.as_bytes().to_vec(), step: step as i32 });
    bench.agent.hear(from_server::Message::ReceiptsAck(ReceiptsAck { steps: acked.to_vec() }), at(6));
    bench.settle(at(6)).unwrap();
    assert!(bench.agent.ledger().unacknowledged().is_empty());
    let mut bench = Bench::new(bench.crash(), at(7));
    assert!(sent(&bench.settle(at(7)).unwrap()).is_empty(), "acknowledged receipts are not sent again");
    let effects = bench.deliver(order(1), at(8));
    assert_eq!(sent(&effects), [(Step::Confirmed, 0), (Step::Started, 0), (Step::Finished, 0)]);
    assert_eq!(runs(&effects), 0);
}

#[test]
fn a_task_that_must_not_run_says_why() {
    let mut bench = Bench::new(Disk::default(), at(1_000));
    let cases = [
        (Deliver { epoch: 2, ..order(1) }, Step::Refused),
        (Deliver { lifetime_ms: 0, ..order(2) }, Step::Expired),
        (Deliver { not_after_ms: at(500).wall_ms, lifetime_ms: 5_000, ..order(3) }, Step::Expired),
        (Deliver { command: "unknown".to_owned(), ..order(4) }, Step::Unsupported),
        (
            Deliver {
                // 2023-11-14T22:13:20Z
                conditions: Some(Conditions { window_start_min: 0, window_end_min: 60, ..Conditions::default() }),
                ..order(5)
            },
            Step::NotNow,
        ),
    ];
    for (deliver, step) in cases {
        let effects = bench.deliver(deliver, at(1_000));
        let steps: Vec<Step> = sent(&effects).into_iter().map(|(step, _)| step).collect();
        assert_eq!((steps, runs(&effects)), (vec![Step::Confirmed, step], 0));
    }
}

#[test]
fn tasks_begin_in_order_and_a_long_one_holds_the_next_for_two_seconds() {
    let mut bench = Bench::new(Disk::default(), at(0));
    for number in 1..=3 {
        bench.deliver(order(number), at(0));
    }
    assert_eq!((bench.agent.running(), bench.agent.deadline()), (1, Some(ORDER_WAIT_MS)));
    bench.agent.tick(at(ORDER_WAIT_MS - 1));
    assert_eq!(bench.agent.running(), 1);
    bench.agent.tick(at(ORDER_WAIT_MS));
    assert_eq!(bench.agent.running(), 2);
    bench.agent.answered(finished(1), at(2_100));
    bench.agent.answered(finished(2), at(2_200));
    assert_eq!(bench.agent.running(), 1, "the third follows the end of those before it");
    assert!(bench.agent.ledger().get(id(3)).unwrap().has(Step::Started));
}

#[test]
fn events_under_way_are_bounded_and_come_again_on_the_next_link() {
    let mut bench = Bench::new(Disk::default(), at(0));
    bench.settle(at(0)).unwrap();
    for _ in 0..2_000 {
        bench.agent.observed(event("NEW_PROCESS", serde_json::json!({}), None, at(1)));
    }
    let sequence = |effects: &[Effect]| -> Vec<u64> {
        let batches = effects.iter().filter_map(|effect| match effect {
            Effect::Send(from_sensor::Message::Events(events)) => Some(events.events.iter().map(|event| event.seq)),
            _ => None,
        });
        batches.flatten().collect()
    };
    let first = sequence(&bench.settle(at(1)).unwrap());
    assert_eq!(first, (1..=512).collect::<Vec<u64>>());
    bench.agent.hear(from_server::Message::EventsAck(EventsAck { seq: 100, server_now_ms: 0 }), at(2));
    assert_eq!(sequence(&bench.settle(at(2)).unwrap()), (513..=612).collect::<Vec<u64>>());
    bench.agent.disconnected();
    welcome(&mut bench.agent, at(3));
    assert_eq!(sequence(&bench.settle(at(3)).unwrap()).first(), Some(&101));
    bench.agent.hear(from_server::Message::EventsAck(EventsAck { seq: u64::MAX, server_now_ms: 0 }), at(4));
    bench.settle(at(4)).unwrap();
    assert!(!bench.disk.borrow().events.is_empty(), "what was not sent cannot be acknowledged");
}

/// Tells the end of a task and takes the server's acknowledgement of all its steps.
fn settle_task(bench: &mut Bench, number: u128, now: Now) {
    bench.agent.answered(finished(number), now);
    bench.settle(now).unwrap();
    let steps = [Step::Confirmed, Step::Started, Step::Finished]
        .map(|step| AckedStep { task_id: id(number).0.as_bytes().to_vec(), step: step as i32 });
    bench.agent.hear(from_server::Message::ReceiptsAck(ReceiptsAck { steps: steps.to_vec() }), now);
    bench.settle(now).unwrap();
}

#[test]
fn a_hundred_thousand_tasks_within_an_hour_leave_a_bounded_memory_and_journal() {
    let mut bench = Bench::new(Disk::default(), at(0));
    for number in 0..100_000 {
        let now = at(number as u64 * 36);
        assert_eq!(runs(&bench.deliver(order(number), now)), 1, "task {number}");
        settle_task(&mut bench, number, now);
        bench.disk.borrow_mut().events.clear();
    }
    let ledger = bench.agent.ledger();
    assert_eq!((ledger.owed(), ledger.remembered()), (0, SETTLED_MAX + ENDS_MAX));
    let (_, most_bytes) = bench.disk.borrow().bytes;
    assert!(most_bytes < 8 * 1024 * 1024, "{most_bytes} bytes of journal");
    // A server that was set back offers them again: it hears how they ended.
    for number in [99_999, 90_000, 100_000 - (SETTLED_MAX + ENDS_MAX) as u128] {
        let effects = bench.deliver(order(number), at(3_600_000));
        assert_eq!((sent(&effects).last(), runs(&effects)), (Some(&(Step::Finished, 0)), 0), "task {number}");
    }
    let mut again = Bench::new(bench.crash(), at(3_600_001));
    assert_eq!(again.agent.ledger().remembered(), SETTLED_MAX + ENDS_MAX);
    assert_eq!(runs(&again.deliver(order(90_000), at(3_600_002))), 0);
}

#[test]
fn a_challenge_is_answered_before_any_welcome() {
    let mut agent = Agent::new(setup(), Ledger::default(), at(0));
    agent.hear(from_server::Message::Challenge(Challenge { nonce: vec![5; 32] }), at(0));
    agent.hear(from_server::Message::Deliver(order(1)), at(0));
    let disk = std::cell::RefCell::new(Disk::default());
    let effects = agent.settle(&mut JournalOf(&disk), &mut SpoolOf(&disk)).unwrap();
    assert_eq!(effects, [Effect::Hello(vec![5; 32])], "and no task is taken before the welcome");
}

#[test]
fn a_full_sensor_says_so_and_takes_tasks_again_when_it_has_room() {
    let mut disk = Disk::default();
    for number in 0..OWED_MAX as u128 {
        let accepted = Accepted { deliver: Some(order(number)), wall_ms: at(0).wall_ms, ..Accepted::default() };
        disk.records.push(Record::Accepted(accepted));
        let task_id = id(number).0.as_bytes().to_vec();
        disk.records.push(Record::Step(Receipt { task_id, step: Step::Finished as i32, ..Receipt::default() }));
    }
    let mut bench = Bench::new(disk, at(0));
    bench.settle(at(0)).unwrap();
    assert!(bench.agent.is_full());
    let effects = bench.deliver(order(1 << 40), at(0));
    assert_eq!(sent(&effects), [(Step::Full, events::BUSY)], "it stays with the server, which can say why");
    assert!(bench.agent.ledger().get(id(1 << 40)).is_none());
    let direct = Deliver { wants_receipts: false, ..order(1 << 41) };
    assert_eq!(runs(&bench.deliver(direct.clone(), at(0))), 0);
    let told: Vec<Event> = bench.disk.borrow().events.iter().cloned().collect();
    let kinds: Vec<&str> = told.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(kinds, ["CLOUD_NOTIFICATION", "RECEIPT"]);
    assert!(String::from_utf8_lossy(&told[1].body).contains("takes no more"));
    assert!(bench.agent.ledger().get(id(1 << 41)).unwrap().has(Step::Refused), "a copy of it does not run either");

    let acked = |number| AckedStep { task_id: id(number).0.as_bytes().to_vec(), step: Step::Finished as i32 };
    bench.agent.hear(from_server::Message::ReceiptsAck(ReceiptsAck { steps: vec![acked(7)] }), at(1));
    let effects = bench.deliver(order(1 << 40), at(1));
    assert!(runs(&effects) == 1 && !effects.contains(&Effect::Report), "not told at every task");
    let steps = (8..8 + room_min(OWED_MAX) as u128).map(acked).collect();
    bench.agent.hear(from_server::Message::ReceiptsAck(ReceiptsAck { steps }), at(2));
    assert!(bench.settle(at(2)).unwrap().contains(&Effect::Report) && !bench.agent.is_full());
    for number in 0..room_min(OWED_MAX) as u128 {
        assert!(bench.agent.is_full() || !bench.deliver(order((1 << 50) + number), at(3)).is_empty());
    }
    assert!(bench.agent.is_full(), "and told again when it is");
}

#[test]
fn long_tasks_do_not_hold_short_ones_up_and_urgent_ones_wait_for_none() {
    let mut bench = Bench::new(Disk::default(), at(0));
    let order = |number, command: &str, urgent| Deliver { command: command.to_owned(), urgent, ..order(number) };
    for number in 0..12 {
        bench.deliver(order(number, "run sleep", false), at(0));
    }
    for second in 1..30 {
        bench.agent.tick(at(second * ORDER_WAIT_MS));
    }
    assert_eq!((bench.agent.running(), bench.agent.deadline()), (LONG_MAX, None));
    assert_eq!(runs(&bench.deliver(order(20, "run echo", false), at(59_000))), LONG_MAX - 1, "what began meanwhile");
    assert!(!bench.agent.ledger().get(id(20)).unwrap().has(Step::Started), "it is as long as those before it");
    assert_eq!(runs(&bench.deliver(order(21, "os_version", false), at(59_000))), 1);
    assert_eq!(runs(&bench.deliver(order(22, "os_version", false), at(59_000))), 0, "short ones keep their order");
    for number in 30..30 + URGENT_MAX as u128 {
        assert_eq!(runs(&bench.deliver(order(number, "run echo", true), at(59_000))), 1);
    }
    assert_eq!(runs(&bench.deliver(order(40, "run echo", true), at(59_000))), 0, "they too are bounded");
    bench.agent.answered(finished(30), at(59_001));
    assert_eq!(runs(&bench.settle(at(59_001)).unwrap()), 1);
    assert!(bench.agent.ledger().get(id(40)).unwrap().has(Step::Started));
}

#[test]
fn a_recall_is_answered_with_all_that_is_remembered_and_with_what_is_not_known() {
    let mut bench = Bench::new(Disk::default(), at(0));
    bench.deliver(order(1), at(0));
    bench.agent.answered(finished(1), at(1));
    bench.settle(at(1)).unwrap();
    let task_ids = [1, 2].map(|number| order(number).task_id).to_vec();
    bench.agent.hear(from_server::Message::Recall(muster_wire::Recall { task_ids }), at(2));
    let told = sent(&bench.settle(at(2)).unwrap());
    let of_first = [(Step::Confirmed, 0), (Step::Started, 0), (Step::Finished, 0)];
    assert_eq!((&told[..3], told[3].0, told.len()), (&of_first[..], Step::Forgotten, 4));
    assert!(bench.agent.ledger().get(id(2)).is_none(), "what is not known is not journalled either");
}

fn cancel(bench: &mut Bench, numbers: &[u128], now: Now) -> Vec<Effect> {
    let task_ids = numbers.iter().map(|number| order(*number).task_id).collect();
    bench.agent.hear(from_server::Message::Cancel(muster_wire::Cancel { task_ids }), now);
    bench.settle(now).unwrap()
}

#[test]
fn a_cancelled_task_does_not_begin_or_stops_and_one_that_has_ended_says_what_it_did() {
    let mut bench = Bench::new(Disk::default(), at(0));
    assert_eq!(runs(&bench.deliver(order(1), at(0))), 1);
    bench.deliver(order(2), at(1));
    let effects = cancel(&mut bench, &[1, 2, 9], at(2));
    assert!(effects.contains(&Effect::Stop(id(1))), "it runs: its end is told when it has one");
    assert_eq!(sent(&effects), [(Step::Cancelled, events::CANCELLED), (Step::Forgotten, events::BROKEN_PIPE)]);
    let mut stopped = finished(1);
    stopped.verdict = Verdict::Cancelled("stopped while it ran".to_owned());
    bench.agent.answered(stopped, at(3));
    assert_eq!(sent(&bench.settle(at(3)).unwrap()), [(Step::Cancelled, events::CANCELLED)]);
    assert_eq!(bench.agent.running(), 0, "the one that waited never begins");
    assert_eq!(runs(&bench.deliver(order(2), at(4))), 0, "nor does a copy of it");

    bench.deliver(order(3), at(5));
    bench.agent.answered(finished(3), at(6));
    bench.settle(at(6)).unwrap();
    let told = sent(&cancel(&mut bench, &[3], at(7)));
    assert_eq!(told, [(Step::Confirmed, 0), (Step::Started, 0), (Step::Finished, 0)], "it ended before the word came");
}

#[test]
fn a_task_that_was_cancelled_before_it_began_does_not_begin_after_a_restart() {
    let mut bench = Bench::new(Disk::default(), at(0));
    bench.deliver(order(1), at(0));
    bench.deliver(order(2), at(0));
    cancel(&mut bench, &[2], at(1));
    let mut bench = Bench::new(bench.crash(), at(10));
    let effects = bench.settle(at(10)).unwrap();
    assert_eq!(runs(&effects), 0);
    let told = sent(&effects);
    assert!(
        told.contains(&(Step::Cancelled, events::CANCELLED)) && told.contains(&(Step::Interrupted, 109)),
        "{told:?}"
    );
}

#[test]
fn a_hint_is_brought_back_if_it_is_short_and_whoever_is_sent_away_comes_again_soon() {
    let now = at(0);
    let mut bench = Bench::new(Disk::default(), now);
    assert!(bench.agent.cell_hint().is_empty());
    for (hint, kept) in [(vec![7; 64], vec![7; 64]), (vec![7; 65], vec![])] {
        let welcome = Welcome { epoch: 3, cell_hint: hint, ..Welcome::default() };
        bench.agent.hear(from_server::Message::Welcome(welcome), now);
        bench.agent.disconnected();
        assert_eq!(bench.agent.cell_hint(), kept, "the next hello needs it");
    }
    for (within_ms, within) in [(1_500, Duration::from_millis(1_500)), (u32::MAX, Duration::from_mins(5))] {
        welcome(&mut bench.agent, now);
        bench.settle(now).unwrap();
        bench.agent.hear(from_server::Message::Goaway(Goaway { within_ms }), now);
        let effects = bench.settle(now).unwrap();
        assert!(matches!(effects.as_slice(), [Effect::Away(span)] if *span == within), "{effects:?}");
    }
}
