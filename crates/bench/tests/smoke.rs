//! Every benchmark runs, at sizes that say nothing about speed, and prints what it should.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn run(name: &str, args: &[&str], scratch: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-bench"));
    command.arg(name).args(["--runs", "1", "--seconds", "1", "--scratch"]).arg(scratch).args(args).output().unwrap()
}

fn lines(name: &str, args: &[&str]) -> Vec<Value> {
    let scratch = tempfile::tempdir().unwrap();
    let output = run(name, args, scratch.path());
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{name} left {left:?} behind");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_benchmark_prints_json_lines_with_name_value_and_unit() {
    let sensor = Path::new(env!("CARGO_BIN_EXE_muster-bench")).with_file_name("muster-sensor");
    assert!(sensor.exists(), "{} is missing; build it first: cargo build -p muster-sensor", sensor.display());
    let small: [(&str, &[&str], &[&str]); 14] = [
        ("create", &["--sensors", "50", "60"], &["create", "create.stored", "create", "create.stored"]),
        ("fanout", &["--sensors", "5"], &["fanout.last"]),
        ("return", &["--sensors", "5"], &["return.p50", "return.sensor.p50"]),
        ("cpu", &["--sensors", "5"], &["cpu"]),
        ("storm", &["--sensors", "20"], &["storm", "confirm.store", "confirm.tls", "confirm.tls.p99"]),
        ("idle", &["--sensors", "5"], &["idle.alone", "idle"]),
        ("match", &["--sensors", "3", "--requests", "1", "3"], &["match"; 4]),
        ("status", &["--sensors", "300"], &["status.counts", "status.page", "newly"]),
        ("detect", &["--sensors", "3"], &["detect", "detect"]),
        ("tabs", &["--sensors", "3", "--tabs", "2"], &["tabs.memory", "tabs.fanout"]),
        ("rules", &["--rules", "20"], &["rules.set", "rules.load", "rules.row"]),
        ("webhook", &["--messages", "300", "--targets", "4"], &["webhook", "webhook.cpu", "webhook.dead"]),
        ("cron", &["--sensors", "300"], &["cron", "cron.all"]),
        ("tenants", &["--rules", "20", "--records", "0"], &["tenants.order", "tenants.call", "tenants.handshake"]),
    ];
    for (name, args, expected) in small {
        let lines = lines(name, args);
        let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, expected);
        for line in lines {
            let value = line["value"].as_f64();
            assert!(value.is_some_and(|value| value >= 0.0) && line["unit"].is_string(), "{line}");
        }
    }
}

#[test]
fn more_sensors_than_files_may_be_open_are_refused_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["storm", "fanout", "idle", "cpu", "detect"] {
        let output = run(name, &["--sensors", "4294967295"], scratch.path());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("open files, and the limit is"), "{name}: {text}");
    }
}
