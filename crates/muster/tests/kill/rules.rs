//! Rules at work on what the executions answer.

use crate::{BETWEEN_TRIES, Execution, Operator, TRIES_MAX};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// Answers of one sensor under one investigation; how many of them the suppressed rule reports.
pub const ANSWERS_PER_CASE: u64 = 10;
const REPORTED_PER_CASE: u32 = 9;

/// Longer than any run: what is counted is counted over all restarts.
const EVER: &str = "720h";

/// What came of the rules.
pub struct Verdict {
    /// Answers beyond one for each execution.
    more: usize,
    answers: usize,
    detections: usize,
    counted: usize,
    cases: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { more, answers, detections, counted, cases } = self;
        write!(f, "{answers} answers stored ({more} of interrupted executions that had answered before), ")?;
        write!(f, "{detections} detections of them: 0 lost, 0 doubled; ")?;
        write!(f, "a suppressed rule reported {counted} in {cases} windows, exactly")
    }
}

/// Puts the rules into force: one that reports every answer, and one that reports all but the last of a case.
pub async fn enforce(operator: &Operator) {
    let suppression =
        json!({"max_count": REPORTED_PER_CASE, "period": EVER, "keys": ["{{ .routing.investigation_id }}"]});
    let reports = [
        json!({"action": "report", "name": "every"}),
        json!({"action": "report", "name": "counted", "suppression": suppression}),
    ];
    for report in reports {
        let detect = json!({"event": "RECEIPT", "op": "exists", "path": "routing/investigation_id"});
        let data = json!({"detect": detect, "respond": [report]}).to_string();
        let path = format!("v1/hive/dr-general/{}/{}/data", operator.oid, report["name"].as_str().unwrap());
        operator.send(&path, &[("data", &data), ("usr_mtd", r#"{"enabled":true}"#)]).await;
    }
}

/// The sensor, its case and the id of a stored event.
fn place(event: &Value) -> (String, String, String) {
    let routing = |name: &str| event["routing"][name].as_str().unwrap().to_owned();
    (routing("sid"), routing("investigation_id"), routing("event_id"))
}

async fn answers(operator: &Operator, sids: &[String]) -> Vec<Value> {
    let mut answers = Vec::new();
    for sid in sids {
        let path = format!("v1/insight/{}/{sid}?event_type=RECEIPT", operator.oid);
        answers.extend(operator.all(&path, "events").await);
    }
    answers
}

async fn detections(operator: &Operator, cat: &str) -> Vec<Value> {
    operator.all(&format!("v1/insight/{}/detections?cat={cat}", operator.oid), "detects").await
}

/// Whether every execution has answered: a finished one once, an interrupted one at least with the word that it was
/// interrupted, and perhaps before, when it was killed between its answer and its end.
fn is_complete(answers: &[Value], executions: &[Execution], interrupted: &BTreeSet<u64>) -> bool {
    let mut answered: HashMap<u64, u32> = HashMap::new();
    let mut words = 0;
    for answer in answers {
        match answer["event"]["STDOUT"].as_str() {
            Some(number) => *answered.entry(number.trim().parse().unwrap()).or_default() += 1,
            None => words += 1,
        }
    }
    assert!(answered.values().all(|count| *count == 1), "an execution has answered twice: {answered:?}");
    words >= interrupted.len()
        && executions.iter().all(|one| interrupted.contains(&one.number) || answered.contains_key(&one.number))
}

/// Waits until every execution has answered, and looks at what is stored: one detection of each answer, and of each
/// case as many as its suppression lets through.
pub async fn judge(
    operator: &Operator,
    sids: &[String],
    executions: &[Execution],
    interrupted: &BTreeSet<u64>,
) -> Verdict {
    for _ in 0..TRIES_MAX {
        let answers_before = answers(operator, sids).await;
        if is_complete(&answers_before, executions, interrupted) {
            let (every, counted) = (detections(operator, "every").await, detections(operator, "counted").await);
            // Else a sensor has sent more meanwhile, and the lists cannot be compared.
            if answers(operator, sids).await.len() == answers_before.len() {
                return compare(executions, &answers_before, &every, &counted);
            }
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    panic!("not every execution has answered");
}

fn compare(executions: &[Execution], answers: &[Value], every: &[Value], counted: &[Value]) -> Verdict {
    let ids = |events: &mut dyn Iterator<Item = &Value>| {
        let mut ids: Vec<String> = events.map(|event| place(event).2).collect();
        ids.sort();
        ids
    };
    let (events, detected) = (ids(&mut answers.iter()), ids(&mut every.iter().map(|detection| &detection["detect"])));
    assert!(detected == events, "{} detections of {} answers, or others", detected.len(), events.len());

    let by_case = |events: &mut dyn Iterator<Item = &Value>| {
        let mut cases: BTreeMap<(String, String), u32> = BTreeMap::new();
        for event in events {
            let (sid, case, _) = place(event);
            *cases.entry((sid, case)).or_default() += 1;
        }
        cases
    };
    let cases = by_case(&mut answers.iter());
    let reported = by_case(&mut counted.iter().map(|detection| &detection["detect"]));
    let wanted: BTreeMap<_, _> =
        cases.iter().map(|(case, answers)| (case.clone(), REPORTED_PER_CASE.min(*answers))).collect();
    assert_eq!(reported, wanted, "reports of a suppressed rule; answers: {cases:?}");
    Verdict {
        more: answers.len() - executions.len(),
        answers: answers.len(),
        detections: detected.len(),
        counted: counted.len(),
        cases: cases.len(),
    }
}
