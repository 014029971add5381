use muster_model::TaskId;
use muster_wire::{Deliver, Receipt, Step};
use uuid::Uuid;

use super::*;
use crate::agent::{Accepted, Journal as _};

fn records(number: u128) -> Vec<Record> {
    let task_id = Uuid::from_u128(number).as_bytes().to_vec();
    let deliver = Deliver { task_id: task_id.clone(), command: "os_version".to_owned(), ..Deliver::default() };
    vec![
        Record::Accepted(Accepted { deliver: Some(deliver), ..Accepted::default() }),
        Record::Step(Receipt { task_id: task_id.clone(), step: Step::Confirmed as i32, ..Receipt::default() }),
        Record::Step(Receipt { task_id, step: Step::Started as i32, ..Receipt::default() }),
    ]
}

fn knows(ledger: &Ledger, number: u128) -> bool {
    ledger.get(TaskId(Uuid::from_u128(number))).is_some_and(|task| task.has(Step::Started))
}

#[test]
fn a_write_torn_at_any_byte_leaves_whole_appends_and_no_part_of_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path, [1; 16]).unwrap().journal;
    journal.append(&records(1)).unwrap();
    let before = fs::metadata(&path).unwrap().len() as usize;
    // A process that dies while it appends has not moved the mark.
    let mark = fs::read(mark_of(&path)).unwrap();
    journal.append(&records(2)).unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in before..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        fs::write(mark_of(&path), &mark).unwrap();
        let mut opened = Journal::open(&path, [9; 16]).unwrap();
        assert_eq!(opened.journal.id(), [1; 16], "cut at {cut}");
        assert!(knows(&opened.ledger, 1) && !knows(&opened.ledger, 2), "cut at {cut}");
        opened.journal.append(&records(3)).unwrap();
        let again = Journal::open(&path, [9; 16]).unwrap();
        assert!(again.repair.is_none() && knows(&again.ledger, 3), "cut at {cut}");
    }
}

/// A folder with a journal of eight tasks, compacted in between, and what it is then.
fn eight_tasks(dir: &Path) -> (PathBuf, Vec<u8>) {
    let path = dir.join("journal");
    let Opened { mut journal, mut ledger, .. } = Journal::open(&path, [1; 16]).unwrap();
    for number in 0..8 {
        journal.append(&records(number)).unwrap();
        records(number).iter().for_each(|record| ledger.apply(record));
        if number == 2 {
            journal.replace(&ledger.compact()).unwrap();
        }
    }
    let whole = fs::read(&path).unwrap();
    (path, whole)
}

#[test]
fn a_journal_cut_anywhere_is_a_lost_one_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (path, whole) = eight_tasks(dir.path());
    let mark = fs::read(mark_of(&path)).unwrap();
    // Between blocks nothing looks torn.
    let between = checked::scan(&whole).0.into_iter().map(|block| block.end);
    for cut in between.filter(|end| *end < whole.len()).chain((0..whole.len()).step_by(9)).chain([whole.len() - 1]) {
        fs::write(&path, &whole[..cut]).unwrap();
        fs::write(mark_of(&path), &mark).unwrap();
        let opened = Journal::open(&path, [9; 16]).unwrap();
        assert_eq!(opened.journal.id(), [9; 16], "cut at {cut} of {}", whole.len());
        assert_eq!(opened.repair.is_some(), cut > 0, "cut at {cut}");
        assert!((0..8).all(|number| !knows(&opened.ledger, number)));
    }
    assert_eq!(Journal::open(&path, [5; 16]).unwrap().journal.id(), [9; 16], "the new one holds");
    fs::write(&path, &whole).unwrap();
    fs::write(mark_of(&path), &mark).unwrap();
    let opened = Journal::open(&path, [9; 16]).unwrap();
    assert!(opened.journal.id() == [1; 16] && opened.repair.is_none());
    assert!((0..8).all(|number| knows(&opened.ledger, number)));
}

#[test]
fn a_journal_is_lost_without_its_mark_and_when_it_is_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, whole) = eight_tasks(dir.path());
    let lost = |path: &Path| Journal::open(path, [9; 16]).unwrap().journal.id() == [9; 16];
    fs::remove_file(mark_of(&path)).unwrap();
    assert!(lost(&path));

    fs::write(&path, &whole).unwrap();
    assert!(lost(&path), "the mark is of another journal");

    let (path, older) = eight_tasks(tempfile::tempdir_in(dir.path()).unwrap().keep().as_path());
    let Opened { mut journal, ledger, .. } = Journal::open(&path, [9; 16]).unwrap();
    journal.replace(&ledger.compact()).unwrap();
    fs::write(&path, older).unwrap();
    assert!(lost(&path), "it was rewritten since");
}

#[test]
fn a_death_while_a_journal_begins_or_is_rewritten_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let Opened { journal, mut ledger, .. } = Journal::open(&path, [1; 16]).unwrap();
    drop(journal);
    fs::remove_file(mark_of(&path)).unwrap();
    assert_eq!(Journal::open(&path, [9; 16]).unwrap().journal.id(), [1; 16], "begun, and not marked yet");

    let mut journal = Journal::open(&path, [9; 16]).unwrap().journal;
    journal.append(&records(1)).unwrap();
    records(1).iter().for_each(|record| ledger.apply(record));
    let mark = fs::read(mark_of(&path)).unwrap();
    journal.replace(&ledger.compact()).unwrap();
    fs::write(mark_of(&path), mark).unwrap();
    let opened = Journal::open(&path, [9; 16]).unwrap();
    assert!(opened.journal.id() == [1; 16] && knows(&opened.ledger, 1), "rewritten, and not marked yet");
}

#[test]
fn damage_before_good_records_begins_a_new_journal_under_a_new_id() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path, [1; 16]).unwrap().journal;
    journal.append(&records(1)).unwrap();
    journal.append(&records(2)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let opened = Journal::open(&path, [9; 16]).unwrap();
    assert_eq!(opened.journal.id(), [9; 16]);
    assert!(opened.repair.is_some() && !knows(&opened.ledger, 1));
    assert!(path.with_extension("damaged").exists());
    assert_eq!(Journal::open(&path, [5; 16]).unwrap().journal.id(), [9; 16]);
}

#[test]
fn compaction_keeps_id_and_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let Opened { mut journal, mut ledger, .. } = Journal::open(&path, [1; 16]).unwrap();
    let mut appends = 0_u128;
    while !journal.is_grown() {
        let mut long = records(appends % 3);
        long.extend((0..200).flat_map(|_| records(appends % 3)));
        journal.append(&long).unwrap();
        long.iter().for_each(|record| ledger.apply(record));
        appends += 1;
    }
    journal.replace(&ledger.compact()).unwrap();
    assert!(!journal.is_grown());
    journal.append(&records(77)).unwrap();
    let opened = Journal::open(&path, [9; 16]).unwrap();
    assert_eq!(opened.journal.id(), [1; 16]);
    assert!([0, 1, 2, 77].into_iter().all(|number| knows(&opened.ledger, number)));
    assert!(fs::metadata(&path).unwrap().len() < 10_000);
}
