//! Goal: whatever is killed and whenever, no execution is lost, doubled or unknown
//! (design, invariants 2, 3 and 5). Method: a real server and real sensors as
//! processes; while tasks run, and rules report what they answer, one of them is
//! killed with SIGKILL again and again and started anew; at the end the lines that
//! the tasks wrote on the endpoints are counted against what the server says, and
//! detections against the stored events.
//!
//! `MUSTER_KILL_EXECUTIONS` sets the number of executions, `MUSTER_SEED` the order of kills.

mod batch;
mod cut;
#[path = "../shared/env_file.rs"]
mod env_file;
mod rules;

use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const SENSORS: usize = 6;
const EXECUTIONS_DEFAULT: u64 = 3_000;

/// Requests and looks are repeated while the server is down; two minutes of it are a failure.
const TRIES_MAX: u32 = 1_200;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// The programs of one test, and what is needed to start them again.
struct Programs {
    folder: PathBuf,
    listen: String,
    http: String,
    key: String,
    server: Child,
    sensors: Vec<Child>,
}

impl Programs {
    fn start(folder: &Path) -> Self {
        let (listen, http) = (free_address(), free_address());
        let server = start_server(folder, &listen, &http);
        let key = wait_for_env(folder)["MUSTER_INSTALL_KEY"].clone();
        let sensors = (0..SENSORS).map(|at| start_sensor(folder, &key, at)).collect();
        Self { folder: folder.to_owned(), listen, http, key, server, sensors }
    }

    fn kill_server(&mut self) {
        end(&mut self.server);
        self.server = start_server(&self.folder, &self.listen, &self.http);
    }

    fn kill_sensor(&mut self, at: usize) {
        end(&mut self.sensors[at]);
        self.sensors[at] = start_sensor(&self.folder, &self.key, at);
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        end(&mut self.server);
        self.sensors.iter_mut().for_each(end);
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn log(folder: &Path, name: &str) -> Stdio {
    std::fs::File::options().create(true).append(true).open(folder.join(name)).unwrap().into()
}

fn start_server(folder: &Path, listen: &str, http: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["up", "--no-sensor", "--listen", listen, "--http", http, "--data-dir"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(folder, "server.log"))
        .spawn()
        .unwrap()
}

fn start_sensor(folder: &Path, key: &str, at: usize) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_muster")).with_file_name("muster-sensor");
    assert!(program.exists(), "{} is missing; build it first: cargo build -p muster-sensor", program.display());
    Command::new(program)
        .args(["run", "--key", key, "--state-dir"])
        .arg(folder.join(format!("sensor-{at}")))
        .env("MUSTER_TEST_BACKOFF_MS", "20")
        .env("MUSTER_TEST_SANDBOX", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(folder, &format!("sensor-{at}.log")))
        .spawn()
        .unwrap()
}

fn wait_for_env(folder: &Path) -> HashMap<String, String> {
    for _ in 0..TRIES_MAX {
        if let Some(env) = env_file::read(&folder.join("data")) {
            return env;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    panic!("the env file was not written; server log:\n{}", read(&folder.join("server.log")));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// An operator who repeats every request until it is answered.
struct Operator {
    http: reqwest::Client,
    base: String,
    oid: String,
    token: String,
}

impl Operator {
    async fn new(folder: &Path) -> Self {
        let env = wait_for_env(folder);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let mut operator =
            Self { http, base: env["LC_API_URL"].clone(), oid: env["LC_OID"].clone(), token: String::new() };
        let form = [("oid", env["LC_OID"].as_str()), ("secret", env["LC_API_KEY"].as_str())];
        operator.token = operator.send("jwt", &form).await["jwt"].as_str().unwrap().to_owned();
        operator
    }

    async fn send(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.repeat(path, || self.http.post(format!("{}/{path}", self.base)).form(form)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.repeat(path, || self.http.get(format!("{}/{path}", self.base))).await
    }

    /// All pages of a list; the path has a query already.
    async fn all(&self, path: &str, name: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), "-".to_owned());
        loop {
            let mut page = self.get(&format!("{path}&limit=10000&cursor={cursor}")).await;
            all.append(page[name].as_array_mut().unwrap());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return all,
            }
        }
    }

    async fn repeat(&self, path: &str, request: impl Fn() -> reqwest::RequestBuilder) -> Value {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            match request().bearer_auth(&self.token).send().await {
                Ok(answer) if answer.status().is_success() => match answer.json().await {
                    Ok(value) => return value,
                    Err(error) => last = error.to_string(),
                },
                Ok(answer) if answer.status().as_u16() == 503 => last = answer.text().await.unwrap_or_default(),
                Ok(answer) => panic!("{path}: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        panic!("{path} was not answered: {last}");
    }

    async fn ask(&self, action: &str, data: &Value) -> Value {
        let data = data.to_string();
        let form = [("oid", self.oid.as_str()), ("action", action), ("data", data.as_str())];
        self.send("v1/extension/request/ext-reliable-tasking", &form).await["data"].clone()
    }

    /// Asks until the answer is good; panics with the last one if it never is.
    async fn ask_until(&self, action: &str, data: &Value, is_good: impl Fn(&Value) -> bool) -> Value {
        let mut answer = Value::Null;
        for _ in 0..TRIES_MAX {
            answer = self.ask(action, data).await;
            if is_good(&answer) {
                return answer;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        panic!("{action} did not come to an end: {answer}");
    }
}

/// A small seeded generator (splitmix64), so that a failure can be looked at again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn kill_at_random(programs: &mut Programs, is_over: &AtomicBool, random: &mut Random) -> (u32, u32) {
    let (mut of_server, mut of_sensors) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100 + random.below(1_400)));
        if random.below(3) == 0 {
            programs.kill_server();
            of_server += 1;
        } else {
            programs.kill_sensor(usize::try_from(random.below(SENSORS as u64)).unwrap());
            of_sensors += 1;
        }
    }
    (of_server, of_sensors)
}

/// How often each task wrote its line.
fn count(file: &Path) -> HashMap<u64, u32> {
    let mut counts = HashMap::new();
    for line in read(file).lines() {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

/// One execution: a task for one sensor.
struct Execution {
    number: u64,
    sid: String,
    task_id: String,
}

/// Waits until all sensors are online, and makes them silent but for what tasks cause.
async fn sensors_of(operator: &Operator) -> Vec<String> {
    let everyone = json!({"selector": "*", "limit": SENSORS});
    let preview = operator.ask_until("preview", &everyone, |answer| answer["online_sensors"] == SENSORS).await;
    let sensors = preview["sensors"].as_array().unwrap();
    let sids: Vec<String> = sensors.iter().map(|sensor| sensor["sid"].as_str().unwrap().to_owned()).collect();
    for sid in &sids {
        // They carry out tasks, and do not report what else happens on the machine.
        operator.send(&format!("v1/{sid}/tags"), &[("tags", "lc:sleeper")]).await;
    }
    sids
}

/// Tasks one sensor after the other; each task writes its number to a file of its sensor, and answers with it.
async fn task(operator: &Operator, sids: &[String], effects: &Path, executions: u64) -> Vec<Execution> {
    let of_sensor = executions.div_ceil(SENSORS as u64);
    let cases = of_sensor.div_ceil(rules::ANSWERS_PER_CASE);
    let mut all = Vec::new();
    for number in 0..executions {
        let sid = sids[usize::try_from(number).unwrap() % sids.len()].clone();
        // The id is the caller's, so that a request whose answer was lost can be repeated.
        let task_id = format!("00000000-0000-4000-8000-{number:012}");
        let command = format!("run --shell-command \"echo {number} >> {}/{sid}; echo {number}\"", effects.display());
        // Answers of one case are spread over the whole run.
        let case = format!("case-{}", number / SENSORS as u64 % cases);
        let data = json!({"task": command, "sid": sid, "task_id": task_id, "context": case});
        assert_eq!(operator.ask("task", &data).await["total_sensors"], 1);
        all.push(Execution { number, sid, task_id });
    }
    all
}

/// Compares what the server says of each execution with its lines; gives those that were interrupted.
async fn compare(operator: &Operator, sids: &[String], effects: &Path, executions: &[Execution]) -> BTreeSet<u64> {
    let lines: HashMap<&String, HashMap<u64, u32>> = sids.iter().map(|sid| (sid, count(&effects.join(sid)))).collect();
    let has_ended = |answer: &Value| {
        !["queued", "sent", "confirmed", "started"]
            .contains(&answer["targets"][0]["state"].as_str().unwrap_or("queued"))
    };
    let mut interrupted = BTreeSet::new();
    for Execution { number, sid, task_id } in executions {
        let answer = operator.ask_until("get", &json!({"task_id": task_id}), has_ended).await;
        let target = &answer["targets"][0];
        let effects = lines[sid].get(number).copied().unwrap_or(0);
        match target["state"].as_str() {
            Some("finished") => assert_eq!(effects, 1, "task {number}: {target}"),
            Some("interrupted") => {
                interrupted.insert(*number);
                assert!(effects <= 1, "task {number}: {effects} effects, {target}");
            }
            _ => panic!("task {number} is lost or unknown: {target}"),
        }
    }
    interrupted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_and_double_nothing() {
    let folder = TempDir::new().unwrap();
    let executions = number_from_env("MUSTER_KILL_EXECUTIONS", EXECUTIONS_DEFAULT);
    let seed = number_from_env("MUSTER_SEED", 1);
    println!("seed {seed}");
    let mut programs = Programs::start(folder.path());
    let operator = Operator::new(folder.path()).await;
    let sids = sensors_of(&operator).await;
    rules::enforce(&operator).await;
    let effects = folder.path().join("effects");
    std::fs::create_dir(&effects).unwrap();

    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    let killer = std::thread::spawn(move || {
        let kills = kill_at_random(&mut programs, &ends, &mut Random(seed));
        (programs, kills)
    });
    let tasked = task(&operator, &sids, &effects, executions).await;
    operator.ask_until("list", &json!({}), |answer| answer["tasks"] == json!({})).await;
    is_over.store(true, Ordering::Relaxed);
    let (_programs, (of_server, of_sensors)) = killer.join().unwrap();

    let interrupted = compare(&operator, &sids, &effects, &tasked).await;
    let verdict = rules::judge(&operator, &sids, &tasked, &interrupted).await;
    assert!(of_server > 0 && of_sensors > 0, "nothing was killed: the test shows nothing");
    println!(
        "{executions} executions, {of_server} kills of the server and {of_sensors} of sensors, \
         {} interrupted; 0 lost, 0 doubled, 0 unknown; {verdict} (seed {seed})",
        interrupted.len()
    );
}
