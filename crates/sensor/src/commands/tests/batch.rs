use super::*;

#[tokio::test]
async fn a_batch_goes_on_line_by_line_until_one_fails_and_tells_how_each_ended() {
    let mut bench = Bench::new();
    let (here, gone) = (bench.file("here", "x"), bench.file("gone", "x"));
    let line = format!("batch 'file_info {here}' 'file_del {gone}' 'run \"exit 3\"' 'file_del {here}'");
    let (answer, reply, before) = bench.answer_after(&line).await;
    let types: Vec<&str> = before.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["FILE_INFO_REP", "FILE_DEL_REP", "RECEIPT"], "each line answers as by itself");
    assert!(before.iter().all(|event| event.investigation_id == "case" && event.task_id == answer.events[0].task_id));
    assert!(fs::exists(&here).unwrap() && !fs::exists(&gone).unwrap(), "nothing comes after a failure");
    let ends: Vec<i64> = reply["STEPS"].as_array().unwrap().iter().map(|end| end["ERROR"].as_i64().unwrap()).collect();
    assert_eq!((ends, &reply["ERROR"]), (vec![0, 0, 3], &json!(3)));
    assert_eq!(reply["ERROR_MESSAGE"], "line 3 of 4 failed: it ended with 3");
    assert!(matches!(answer.verdict, Verdict::Finished(3, _)));

    let (answer, reply, _) = bench.answer_after(&format!("batch os_version 'file_info {here}'")).await;
    assert_eq!((answer.verdict, reply["STEPS"].as_array().unwrap().len()), (Verdict::Finished(0, String::new()), 2));
    assert_eq!(look("batch os_version 'yara_scan x'").refusal.unwrap().0, 50, "nothing is begun that cannot be ended");
}
