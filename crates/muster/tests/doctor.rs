//! The real program: what `muster doctor` says of certificates, on a server that runs and on one that does not.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

fn muster(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(arguments).arg("--data-dir").arg(data_dir);
    command
}

/// Starts a server, and waits until it is ready.
fn up(data_dir: &Path) -> Child {
    let arguments = ["up", "--no-sensor", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut child = muster(data_dir, &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("To use it from another shell")));
    child
}

fn stop(mut child: Child) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Whether it found nothing broken; and verdict and text of one finding.
fn doctor(data_dir: &Path, what: &str) -> (bool, Option<(String, String)>) {
    let output = muster(data_dir, &["--json", "doctor"]).output().unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |finding: &Value| ["verdict", "text"].map(|name| finding[name].as_str().unwrap().to_owned());
    let finding = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what).map(of);
    (output.status.success(), finding.map(|[verdict, text]| (verdict, text)))
}

/// Replaces the authority by one that ends in so many days.
#[expect(clippy::disallowed_methods, reason = "a certificate is of today")]
fn replace_authority(data_dir: &Path, days: i64) {
    let now = SystemTime::now();
    let day = Duration::from_secs(24 * 3_600);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let half_a_day = day / 2;
    let span = day * u32::try_from(days.unsigned_abs()).unwrap();
    params.not_before = (now - 100 * day).into();
    params.not_after = (if days < 0 { now - span } else { now + span + half_a_day }).into();
    let key = KeyPair::generate().unwrap();
    std::fs::write(data_dir.join("pki/ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(data_dir.join("pki/ca-key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn certificates_are_told_of_before_they_end_and_fail_after() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let server = up(&data_dir);
    for what in ["private CA", "server certificate"] {
        let (_, finding) = doctor(&data_dir, what);
        let (verdict, text) = finding.unwrap();
        assert!(verdict == "ok" && text.starts_with("valid for "), "{what}: {text}");
    }
    stop(server);
    assert_eq!(doctor(&data_dir, "server certificate").1, None, "it is made with each start");

    replace_authority(&data_dir, 10);
    let (is_fine, finding) = doctor(&data_dir, "private CA");
    let (verdict, text) = finding.unwrap();
    assert!(is_fine && verdict == "warn" && text.starts_with("expires in 10 days"), "{text}");

    replace_authority(&data_dir, -1);
    let (is_fine, finding) = doctor(&data_dir, "private CA");
    let (verdict, text) = finding.unwrap();
    assert!(!is_fine && verdict == "fail" && text.contains("every sensor must enrol again"), "{text}");
}
