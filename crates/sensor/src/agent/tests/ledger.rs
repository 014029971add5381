use super::*;

#[test]
fn five_4_a_million_tasks_of_a_day_leave_a_ledger_that_is_bounded_and_never_full() {
    let mut ledger = Ledger::default();
    for number in 0..1_000_000_u128 {
        let (deliver, task_id) = (order(number), id(number).0.as_bytes().to_vec());
        ledger.apply(&Record::Accepted(Accepted { deliver: Some(deliver), ..Accepted::default() }));
        let step = Step::Finished as i32;
        ledger.apply(&Record::Step(Receipt { task_id: task_id.clone(), step, ..Receipt::default() }));
        ledger.apply(&Record::Acked(AckedStep { task_id, step }));
        assert!(ledger.owed() == 0 && ledger.remembered() <= SETTLED_MAX + ENDS_MAX, "task {number}");
    }
    assert_eq!(ledger.compact().len(), 3 * SETTLED_MAX + ENDS_MAX, "and so is the journal");
}

#[test]
fn what_the_server_has_not_acknowledged_is_kept_whatever_comes_after() {
    let mut ledger = Ledger::default();
    for number in 0..2 * SETTLED_MAX as u128 {
        let deliver = Deliver { wants_receipts: number % 2 == 0, ..order(number) };
        ledger.apply(&Record::Accepted(Accepted { deliver: Some(deliver), ..Accepted::default() }));
        let task_id = id(number).0.as_bytes().to_vec();
        ledger.apply(&Record::Step(Receipt { task_id, step: Step::Finished as i32, ..Receipt::default() }));
    }
    let mut again = Ledger::default();
    ledger.compact().iter().for_each(|record| again.apply(record));
    for ledger in [&ledger, &again] {
        assert_eq!((ledger.owed(), ledger.unacknowledged().len()), (SETTLED_MAX, SETTLED_MAX));
        assert!(ledger.get(id(0)).is_some() && ledger.get(id(1)).is_some() && ledger.end(id(1)).is_none());
    }
    assert_eq!(again.compact(), ledger.compact(), "nothing is lost in a compaction");
}
