use super::*;
use crate::{Conditions, Control, FailureLimit, Pace, Spec};
use proptest::prelude::*;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

fn spec(number: u64) -> Spec {
    Spec {
        task_id: id(number),
        command: "os_version".into(),
        selector: "*".into(),
        context: None,
        ttl_s: 100,
        created_at: at(0),
        created_by: "test".into(),
        dynamic: false,
        urgent: false,
        conditions: None::<Conditions>,
        pace: Pace::default(),
        total: 0,
        tasked: 0,
        clock_us: 0,
    }
}

fn create(queue: &mut Queue, targets: std::ops::Range<u32>, change: impl FnOnce(&mut Spec)) -> u64 {
    let number = queue.next_number();
    let mut spec = spec(number);
    change(&mut spec);
    queue.insert(Task::new(number, spec, Control::default(), targets.collect()));
    number
}

fn report(number: u64, state: TargetState) -> Report {
    Report { task_id: id(number), state, at: at(1), code: 0, error: None }
}

fn confirm(queue: &mut Queue, number: u64, ordinal: u32, state: TargetState, code: i32) -> bool {
    let (number, mut target) = queue.receipt(ordinal, &report(number, state)).unwrap().unwrap();
    target.code = code;
    queue.apply(number, ordinal, target)
}

fn taken_back(
    queue: &mut Queue,
    number: Option<u64>,
    sensors: Option<&RoaringBitmap>,
    now: Timestamp,
) -> Vec<ControlChange> {
    let changes = queue.untask(number, sensors, now);
    changes.iter().for_each(|change| assert!(!queue.apply_change(change)));
    changes
}

fn id(number: u64) -> TaskId {
    TaskId(Uuid::from_u128(u128::from(number)))
}

fn fan_out(queue: &mut Queue, number: u64, online: &RoaringBitmap, now: Timestamp) -> Vec<Offer> {
    let waiting = queue.waiting(number, online, now, &mut || 4);
    queue.offer_each(number, &waiting, now)
}

#[test]
fn a_sensor_gets_its_tasks_in_order_and_urgent_ones_first() {
    let mut queue = Queue::default();
    let first = create(&mut queue, 0..2, |_| {});
    let second = create(&mut queue, 0..10_000, |_| {});
    let urgent = create(&mut queue, 0..2, |spec| spec.urgent = true);

    let mut order = Vec::new();
    while let Some(offer) = queue.offer(1, at(1)) {
        order.push(offer.number);
        confirm(&mut queue, offer.number, 1, TargetState::Confirmed, 0);
    }
    assert_eq!(order, [urgent, first, second]);
    assert_eq!(queue.offer(10_000, at(1)), None, "not a target of anything");
}

#[test]
fn expiry_is_half_open_and_final_for_what_was_never_sent() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..2, |_| {});
    assert!(queue.offer(0, at(99)).is_some());
    assert_eq!(queue.offer(1, at(100)), None);
    queue.expire(at(100));
    assert_eq!(queue.task(number).unwrap().state_of(1), Some(TargetState::Expired));
    assert_eq!(queue.receipt(1, &report(number, TargetState::Confirmed)), Ok(None), "a lie: it was never sent");

    let late = queue.receipt(0, &report(number, TargetState::Confirmed)).unwrap();
    assert_eq!(late.map(|(_, target)| target.state), Some(TargetState::Confirmed), "it was sent in time");
}

#[test]
fn untask_counts_only_what_cannot_arrive_any_more() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..3, |_| {});
    let sent = queue.offer(0, at(1)).unwrap();
    let untasked = taken_back(&mut queue, Some(number), None, at(2));
    assert_eq!((untasked[0].deleted.len(), untasked[0].withdrawn.len()), (2, 1));
    queue.disconnected(0);
    assert_eq!((0..3).filter_map(|o| queue.offer(o, at(3))).count(), 0);

    // The copy that was under way arrived after all: the truth wins.
    confirm(&mut queue, number, sent.ordinal, TargetState::Confirmed, 0);
    assert_eq!(queue.task(number).unwrap().state_of(0), Some(TargetState::Confirmed));
    assert_eq!(queue.untask(Some(number), None, at(4)), vec![]);
}

#[test]
fn an_offer_that_was_not_stored_is_offered_again_unless_taken_back() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..2, |_| {});
    let offer = queue.offer(0, at(1)).unwrap();
    queue.revert(offer, at(1));
    let again = queue.offer(0, at(1)).unwrap();
    assert_eq!(again.target.attempts, 1);
    taken_back(&mut queue, None, None, at(2));
    queue.revert(again, at(2));
    let known = queue.task(number).unwrap().known(0).unwrap();
    assert_eq!((known.state, known.attempts), (TargetState::Removed, 0), "it was never sent");
    assert_eq!(queue.receipt(0, &report(number, TargetState::Confirmed)), Ok(None), "a lie");
}

#[test]
fn whom_a_failing_store_left_out_is_asked_for_again() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..4, |_| {});
    assert!(queue.take_postponed(at(1)).is_empty());
    let offer = queue.offer(0, at(1)).unwrap();
    queue.revert(offer, at(1));
    let untasked = queue.untask(Some(number), Some(&RoaringBitmap::from_iter([2, 9])), at(1));
    queue.undo_change(&untasked[0], at(1));
    assert!(queue.take_postponed(at(1)).is_empty(), "a store that just failed has a moment");
    assert_eq!(queue.take_postponed(at(2)), RoaringBitmap::from_iter([0, 2]));
    assert!(queue.take_postponed(at(3)).is_empty());

    let pause = queue.pause(id(number)).unwrap();
    queue.undo_change(&pause, at(5_000));
    assert_eq!(queue.take_postponed(at(0)).len(), 4, "the clock was set back");
}

#[test]
fn giving_up_an_old_offer_leaves_what_came_after_it() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..2, |_| {});
    let old = queue.offer(0, at(1)).unwrap();
    queue.disconnected(0);
    let new = queue.offer(0, at(2)).unwrap();
    queue.revert(old, at(2));
    assert_eq!(queue.offer(0, at(3)), None, "the second offer still waits for its confirmation");
    assert_eq!(queue.task(number).unwrap().known(0), Some(new.target.clone()));

    confirm(&mut queue, number, 0, TargetState::Confirmed, 0);
    queue.revert(new, at(3));
    assert_eq!(queue.task(number).unwrap().state_of(0), Some(TargetState::Confirmed));
}

#[test]
fn what_an_untask_chose_is_not_sent_while_it_is_stored_and_free_again_if_that_fails() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..4, |_| {});
    let under_way = queue.offer(1, at(1)).unwrap();
    let online: RoaringBitmap = (0..4).collect();
    let untasked = queue.untask(None, None, at(2));
    assert_eq!(fan_out(&mut queue, number, &online, at(2)), vec![]);
    assert!(!queue.task(number).unwrap().may_send(1, at(2)), "nor is the offer that is being stored handed over");
    assert_eq!(queue.task(number).unwrap().counts()[..2], [3, 1], "it is not removed before that is stored");

    // Meanwhile one sensor confirms, one is enrolled again, and the time of the others runs out.
    confirm(&mut queue, number, under_way.ordinal, TargetState::Confirmed, 0);
    for (number, target) in queue.abandon(2, at(3), "enrolled again", true) {
        queue.apply(number, 2, target);
    }
    queue.expire(at(100));
    let mut stored = queue.clone();
    untasked.iter().for_each(|change| assert!(!stored.apply_change(change)));
    let states = |queue: &Queue| [0, 1, 2].map(|ordinal| queue.task(number).unwrap().state_of(ordinal).unwrap());
    use TargetState::{Confirmed, Expired, Removed};
    assert_eq!(states(&stored), [Removed, Confirmed, Removed]);
    assert_eq!(stored.task(number).unwrap().control, untasked[0].control, "memory has what is stored");

    untasked.iter().for_each(|change| queue.undo_change(change, at(100)));
    queue.expire(at(100));
    assert_eq!(states(&queue), [Expired, Confirmed, Removed]);
    assert_eq!(queue.task(number).unwrap().control, Control::default());
}

#[test]
fn giving_up_a_pause_or_resume_keeps_that_the_task_stopped_itself_meanwhile() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..9, |spec| spec.pace.stop_on_failures = Some(FailureLimit::Count(1)));
    (0..9).for_each(|ordinal| assert!(queue.offer(ordinal, at(1)).is_some()));
    let fail = |queue: &mut Queue, ordinal| confirm(queue, number, ordinal, TargetState::Finished, 1);
    let stopped = |queue: &Queue| queue.task(number).unwrap().control.stopped.is_some();

    let pause = queue.pause(id(number)).unwrap();
    assert!(queue.task(number).unwrap().is_held(), "at once");
    assert!(!fail(&mut queue, 0));
    assert!(fail(&mut queue, 1));
    queue.undo_change(&pause, at(1));
    assert!(stopped(&queue) && !queue.task(number).unwrap().is_paused());

    // Too many fail again while the resume is stored.
    let resume = queue.resume(id(number)).unwrap();
    assert!(queue.task(number).unwrap().is_held(), "not before it is stored");
    assert!(!fail(&mut queue, 2) && !fail(&mut queue, 3));
    assert!(queue.apply_change(&resume), "it stops again, and this is to be stored");
    assert!(stopped(&queue));
    let resume = queue.resume(id(number)).unwrap();
    assert!(!queue.apply_change(&resume) && !queue.task(number).unwrap().is_held());
}

#[test]
fn a_restart_stops_a_task_again_whose_stop_was_not_stored() {
    let limited = Spec { pace: Pace { stop_on_failures: Some(FailureLimit::Count(1)), ..Pace::default() }, ..spec(1) };
    let unsupported: RoaringBitmap = (4..9).collect();
    let control = Control { unsupported, ..Control::default() };
    let task = Task::new(1, limited, control, (0..9).collect());
    let mut fresh = Queue::default();
    fresh.insert(task.clone());
    assert!(!fresh.task(1).unwrap().is_held(), "what is unsupported does not stop a task before it begins");

    let mut task = task;
    let failed = Target { state: TargetState::Finished, attempts: 1, code: 1, ..Target::default() };
    (0..2).for_each(|ordinal| task.restore(ordinal, failed.clone()));
    let mut loaded = Queue::default();
    loaded.insert(task);
    assert!(loaded.task(1).unwrap().is_held());
}

#[test]
fn a_missing_confirmation_is_asked_for_again_with_longer_waits() {
    let mut queue = Queue::default();
    create(&mut queue, 0..1, |spec| spec.ttl_s = 100_000);
    let mut now = at(0);
    let mut waits = Vec::new();
    assert!(queue.offer(0, now).is_some());
    for _ in 0..6 {
        let sent = now;
        while queue.overdue(now).is_empty() {
            now = now.saturating_add(Duration::from_secs(1));
        }
        waits.push(now.since(sent).as_secs());
        assert!(queue.offer(0, now).is_some());
    }
    assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_up_what_waits_for_a_confirmation() {
    let mut queue = Queue::default();
    create(&mut queue, 0..3, |spec| spec.ttl_s = 1_000_000);
    for (ordinal, sent) in [(0, at(5_000)), (1, at(5_030)), (2, at(1_000))] {
        assert!(queue.offer(ordinal, sent).is_some());
    }
    assert!(queue.overdue(at(1_000)).contains(&0), "not in more than an hour");
    assert!(queue.offer(0, at(1_000)).is_some());
    assert_eq!(queue.overdue(at(1_000)), [1], "the others wait as long as is meant");
    // What two threads call "now" is not in order; that is no reason to send twice.
    assert_eq!(queue.offer(2, Timestamp::from_millis(at(1_000).as_millis() - 900)), None);
    assert_eq!(queue.overdue(at(1_060)), [2, 1]);
    assert_eq!(queue.overdue(at(1_120)), [2, 1, 0], "the second wait is twice as long");
}

#[test]
fn pace_limits_flight_and_failures_stop_the_rest() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..100, |spec| {
        spec.pace.max_in_flight = Some(10);
        spec.pace.stop_on_failures = Some(FailureLimit::Count(2));
    });
    let online: RoaringBitmap = (0..100).collect();
    let offers = fan_out(&mut queue, number, &online, at(1));
    assert_eq!(offers.len(), 10);
    let stops: Vec<bool> =
        (0..4).map(|ordinal| confirm(&mut queue, number, ordinal, TargetState::Finished, 1)).collect();
    assert_eq!(stops, [false, false, true, false]);
    assert_eq!(fan_out(&mut queue, number, &online, at(2)), vec![]);
    assert_eq!(queue.task(number).unwrap().control.stopped.as_deref(), Some("3 of 100 targets failed"));
}

#[test]
fn dynamic_tasks_gain_and_lose_targets_before_delivery_only() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..1, |spec| spec.dynamic = true);
    let joined = queue.join(number, 7, at(1)).unwrap();
    queue.apply(number, 7, joined);
    assert_eq!(queue.join(number, 7, at(1)), None, "joined already");
    let left = queue.leave(number, 0, at(1)).unwrap();
    queue.apply(number, 0, left);
    assert_eq!(queue.offer(0, at(2)), None);
    assert!(queue.join(number, 0, at(2)).is_some(), "matches again");
    assert!(queue.offer(7, at(2)).is_some());
    assert_eq!(queue.leave(number, 7, at(3)), None, "it may have it");
}

#[test]
fn a_new_epoch_leaves_nothing_unknown() {
    let mut queue = Queue::default();
    let running = create(&mut queue, 0..1, |_| {});
    let waiting = create(&mut queue, 0..1, |_| {});
    queue.offer(0, at(1)).unwrap();
    confirm(&mut queue, running, 0, TargetState::Started, 0);
    for (number, target) in queue.abandon(0, at(2), "enrolled again", true) {
        queue.apply(number, 0, target);
    }
    assert_eq!(queue.task(running).unwrap().state_of(0), Some(TargetState::Interrupted));
    assert_eq!(queue.task(waiting).unwrap().state_of(0), Some(TargetState::Removed));
    assert_eq!(queue.offer(0, at(3)), None);
}

proptest! {
    /// Goal: counts always add up to the target set, nothing is offered after it
    /// expired or was taken back, and a restart (restore from what was stored)
    /// gives the same states. Method: random offers, receipts, untasks, link
    /// losses and time steps over two tasks and eight sensors.
    #[test]
    fn states_add_up_and_survive_a_restart(steps in prop::collection::vec((0u8..7, 0u32..8, 0i64..30), 1..120)) {
        let mut queue = Queue::default();
        let numbers = [create(&mut queue, 0..8, |_| {}), create(&mut queue, 2..6, |spec| spec.ttl_s = 40)];
        let mut stored: BTreeMap<(u64, u32), Target> = BTreeMap::new();
        let mut now = at(0);
        for (kind, ordinal, value) in steps {
            let number = numbers[usize::from(value % 2 == 0)];
            match kind {
                0 => now = now.saturating_add(Duration::from_secs(value.unsigned_abs())),
                1 | 2 => if let Some(offer) = queue.offer(ordinal, now) {
                    let task = queue.task(offer.number).unwrap();
                    prop_assert!(now < task.spec.expires_at());
                    prop_assert!(!task.control.removed.contains(ordinal));
                    stored.insert((offer.number, ordinal), offer.target);
                },
                3 => if let Ok(Some((number, target))) = queue.receipt(ordinal, &report(number, TargetState::Confirmed)) {
                    stored.insert((number, ordinal), target.clone());
                    queue.apply(number, ordinal, target);
                },
                4 => if let Ok(Some((number, target))) = queue.receipt(ordinal, &report(number, TargetState::Finished)) {
                    stored.insert((number, ordinal), target.clone());
                    queue.apply(number, ordinal, target);
                },
                5 => queue.disconnected(ordinal),
                _ => { taken_back(&mut queue, Some(number), Some(&RoaringBitmap::from_iter([ordinal])), now); }
            }
            queue.expire(now);
            for number in numbers {
                let task = queue.task(number).unwrap();
                prop_assert_eq!(task.counts().iter().sum::<u64>(), task.targets().len());
            }
        }
        for number in numbers {
            let task = queue.task(number).unwrap();
            let targets = if number == 1 { 0..8 } else { 2..6u32 };
            let mut restored = Task::new(number, task.spec.clone(), task.control.clone(), targets.collect());
            for ((of, ordinal), target) in &stored {
                if *of == number {
                    restored.restore(*ordinal, target.clone());
                }
            }
            restored.expire(now);
            prop_assert_eq!(restored.counts(), task.counts());
        }
    }
}

/// The indexes must find exactly what looking at every task would find.
#[test]
fn every_owed_task_is_found_whatever_its_size_and_whoever_joined() {
    let mut queue = Queue::default();
    let mut expected = Vec::new();
    for at_place in 0..200_u32 {
        let first = at_place % 7;
        let end = if at_place % 3 == 0 { first + 20 } else { first + 5_000 };
        let number = create(&mut queue, first..end, |spec| spec.ttl_s = 10 + u64::from(at_place % 2) * 90);
        if at_place % 2 == 1 && (first..end).contains(&3) {
            expected.push(number);
        }
    }
    let dynamic = create(&mut queue, 0..0, |spec| spec.dynamic = true);
    let joined = queue.join(dynamic, 3, at(1)).expect("it matches now");
    queue.apply(dynamic, 3, joined);
    expected.push(dynamic);

    let over = queue.expire(at(50));
    let owed: Vec<u64> = queue.owed(3, at(50)).iter().map(|task| task.number).collect();
    assert_eq!(owed, expected);
    assert_eq!(over.len(), 100, "those with the short time to live");
    assert!(queue.expire(at(50)).is_empty(), "each is closed once");
    assert_eq!(queue.expire(at(200)).len(), 101);
    assert!(queue.owed(3, at(50)).is_empty() && queue.dynamic(at(50)).is_empty());
}

#[test]
fn a_deleted_sensor_does_not_hold_up_a_paced_task_and_its_receipts_count_if_it_returns() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..2, |spec| spec.pace.max_in_flight = Some(1));
    assert!(queue.offer(0, at(1)).is_some());
    confirm(&mut queue, number, 0, TargetState::Started, 0);
    assert_eq!(queue.offer(1, at(2)), None, "one is in flight");
    for (number, target) in queue.abandon(0, at(3), "deleted", false) {
        queue.apply(number, 0, target);
    }
    assert!(queue.offer(1, at(4)).is_some());
    confirm(&mut queue, number, 0, TargetState::Finished, 0);
    assert_eq!(queue.task(number).unwrap().state_of(0), Some(TargetState::Finished));
}

#[test]
fn a_lost_journal_ends_also_what_was_sent_and_has_expired() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..2, |_| {});
    assert!(queue.offer(0, at(1)).is_some());
    queue.expire(at(100));
    let ended: Vec<_> = queue.abandon(0, at(101), "wiped", true).into_iter().map(|(_, target)| target.state).collect();
    assert_eq!(ended, [TargetState::Interrupted], "stored as sent, it could be offered after a clock was set back");
    assert_eq!(queue.abandon(1, at(101), "wiped", true), [], "it was never sent");
    assert_eq!(queue.task(number).unwrap().state_of(1), Some(TargetState::Expired));
}

#[test]
fn a_dynamic_task_may_expire_while_a_sensor_that_joins_it_is_stored() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..1, |spec| spec.dynamic = true);
    let joined = queue.join(number, 1, at(99)).unwrap();
    queue.expire(at(100));
    queue.apply(number, 1, joined);
    assert_eq!(queue.offer(1, at(100)), None);
    queue.expire(at(101));
    assert_eq!(queue.task(number).unwrap().state_of(1), Some(TargetState::Expired));
}

#[test]
fn a_task_that_waits_on_the_sensor_is_explained_by_those_that_run_there() {
    let mut queue = Queue::default();
    let (first, second) = (create(&mut queue, 0..1, |_| {}), create(&mut queue, 0..1, |_| {}));
    for number in [first, second] {
        queue.offer(0, at(0)).unwrap();
        confirm(&mut queue, number, 0, TargetState::Confirmed, 0);
    }
    let explain = |queue: &Queue| queue.explain(queue.task(second).unwrap(), 0, None, true, at(1));
    assert_eq!(explain(&queue).code, "confirmed");
    confirm(&mut queue, first, 0, TargetState::Started, 0);
    assert_eq!(explain(&queue).code, "behind_running");
    assert!(explain(&queue).text.contains("behind 1 that run"), "{}", explain(&queue).text);
    confirm(&mut queue, first, 0, TargetState::Finished, 0);
    assert_eq!(explain(&queue).code, "confirmed");
}

#[test]
fn a_sensor_without_room_leaves_the_task_with_the_server_which_says_why_and_tries_again() {
    let mut queue = Queue::default();
    let number = create(&mut queue, 0..1, |_| {});
    queue.offer(0, at(0)).unwrap();
    let full = Report { error: Some("no room".into()), ..report(number, TargetState::Sent) };
    let (_, target) = queue.receipt(0, &full).unwrap().unwrap();
    assert!(!queue.apply(number, 0, target.clone()));
    assert_eq!(queue.receipt(0, &full), Ok(None), "told again it is no news");
    let explain = |queue: &Queue| queue.explain(queue.task(number).unwrap(), 0, Some(&target), true, at(1));
    assert_eq!(explain(&queue).code, "not_taken");
    assert!(explain(&queue).text.contains("no room"));
    assert!(queue.offer(0, at(1)).is_none(), "not at once");
    let again = queue.offer(0, at(61)).unwrap().target;
    assert_eq!((again.state, again.attempts), (TargetState::Sent, 2));
    confirm(&mut queue, number, 0, TargetState::Confirmed, 0);
    assert_eq!(queue.task(number).unwrap().known(0).unwrap().error, None, "it has found room");
}
