//! Watches the endpoint and makes events of what happens. Source: reference/events.md section 5.1.
//!
//! Processes are told by the kernel where it lets the sensor listen, and polled
//! elsewhere. One thread; it sleeps unless something happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use muster_wire::Event;
use serde_json::{Value, json};

use crate::agent::event;
use crate::atom::{self, Atom};
use crate::clock;
use crate::commands::process::description;
use crate::executor::{ToSensor, Toolbox};
use crate::image::{Images, Look};
use crate::platform::accounts::Names;
use crate::platform::process;
use crate::platform::process_events::Listener;
use crate::platform::shapes::{Change, Process};
use crate::told::Told;

/// Interval of polling: short enough to see what people start, cheap enough to not be seen.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Stack of the thread; it recurses nowhere.
const STACK_BYTES: usize = 256 * 1024;
/// Processes remembered for their end; more than any kernel's default limit of ids.
const KNOWN_MAX: usize = 65_536;

/// Events of existing processes that wait for the sensor at the same time.
const RUSH_MAX: usize = 4;
/// How long it is waited for the sensor to take one.
const RUSH_WAIT: Duration = Duration::from_millis(1);

/// Name of the file of the users that were seen, in the state directory.
pub const USERS: &str = "users";

struct Collector {
    tools: Arc<Toolbox>,
    known: HashMap<u32, Known>,
    names: Names,
    images: Images,
    users: Told,
}

#[derive(Clone, Copy)]
struct Known {
    atom: Atom,
    parent_pid: u32,
}

/// Begins to watch; ends by itself when nobody listens to the toolbox any more.
///
/// # Errors
///
/// An [`std::io::Error`] when no thread can be had.
pub fn start(tools: Arc<Toolbox>) -> std::io::Result<()> {
    let images = Images::open(&tools.state_dir, tools.to_sensor.clone());
    let users = Told::open(tools.state_dir.join(USERS));
    let collector = Collector { tools, known: HashMap::new(), names: Names::read(), images, users };
    thread::Builder::new().name("collector".to_owned()).stack_size(STACK_BYTES).spawn(|| collector.run()).map(drop)
}

impl Collector {
    fn run(mut self) {
        // Listening begins before the look around, so that nothing falls between.
        let listener = Listener::open();
        self.tools.has_process_events.store(listener.is_ok(), Ordering::Relaxed);
        for pid in process::pids() {
            // One after the other: memory that a rush at the start takes is never given back.
            while self.tools.to_sensor.capacity() < self.tools.to_sensor.max_capacity() - RUSH_MAX {
                thread::sleep(RUSH_WAIT);
            }
            self.appeared(pid, "EXISTING_PROCESS");
        }
        match listener {
            Ok(listener) => self.listen(&listener),
            Err(error) => {
                tracing::debug!(%error, "the kernel does not tell of processes; they are polled");
                self.poll();
            }
        }
    }

    fn listen(&mut self, listener: &Listener) {
        let mut changes = Vec::new();
        while !self.tools.to_sensor.is_closed() {
            changes.clear();
            if listener.wait(&mut changes).is_err() {
                // Overrun: some changes are lost; a look around finds what they left.
                self.look_around();
            }
            for change in &changes {
                match *change {
                    Change::Executed(pid) => self.appeared(pid, "NEW_PROCESS"),
                    Change::Exited(pid, exit_code) => self.ended(pid, Some(exit_code)),
                }
            }
        }
    }

    fn poll(&mut self) {
        while !self.tools.to_sensor.is_closed() {
            thread::sleep(POLL_EVERY);
            self.look_around();
        }
    }

    fn look_around(&mut self) {
        let pids = process::pids();
        let gone: Vec<u32> = self.known.keys().filter(|pid| !pids.contains(pid)).copied().collect();
        gone.into_iter().for_each(|pid| self.ended(pid, None));
        for pid in pids {
            if !self.known.contains_key(&pid) {
                self.appeared(pid, "NEW_PROCESS");
            }
        }
    }

    fn appeared(&mut self, pid: u32, event_type: &str) {
        let Some(process) = process::describe(pid) else { return };
        // Kernel threads are reported once, as existing. Source: reference/events.md section 5.1.
        if process.path.is_none() && process.command_line.is_empty() && event_type == "NEW_PROCESS" {
            return;
        }
        let atom = self.atom(&process);
        if self.known.len() < KNOWN_MAX {
            self.known.insert(pid, Known { atom, parent_pid: process.parent_pid });
        }
        if self.tools.is_asleep.load(Ordering::Relaxed) {
            return;
        }
        self.meet(&process, atom);
        let parent = process::describe(process.parent_pid);
        let mut body = description(&process, &self.names, &self.tools);
        // On the event itself these are in its routing.
        body.remove("THIS_ATOM");
        body.remove("PARENT_ATOM");
        let program = self.look(&process, atom);
        if let Some(sha256) = program.sha256 {
            body.insert("HASH".to_owned(), sha256.into());
        }
        if let Some(parent) = &parent {
            body.insert("PARENT".to_owned(), Value::Object(description(parent, &self.names, &self.tools)));
        }
        let mut happened = event(event_type, Value::Object(body), None, clock::now());
        happened.this_atom = atom.to_vec();
        happened.parent_atom = parent.map(|parent| self.atom(&parent).to_vec()).unwrap_or_default();
        self.tell(happened);
        if let Some(identity) = program.identity {
            self.tell(identity);
        }
    }

    /// What is known of the program of a process.
    fn look(&self, process: &Process, atom: Atom) -> Look {
        let program = process::open_image(process.pid).zip(process.path.as_deref());
        program.map(|(file, path)| self.images.look(file, path, atom)).unwrap_or_default()
    }

    /// Tells of a user whose first process this is.
    fn meet(&mut self, process: &Process, atom: Atom) {
        let Some(id) = &process.account else { return };
        if self.names.get(id).is_none() {
            self.names = Names::read();
        }
        let Some(name) = self.names.get(id) else { return };
        if !self.users.holds(&name) && self.users.add(&name) {
            let mut seen = event("USER_OBSERVED", json!({"USER_NAME": name}), None, clock::now());
            seen.this_atom = atom::random().to_vec();
            seen.parent_atom = atom.to_vec();
            self.tell(seen);
        }
    }

    fn ended(&mut self, pid: u32, exit_code: Option<u32>) {
        // What was never reported as running is not reported as ended.
        let Some(known) = self.known.remove(&pid) else { return };
        if self.tools.is_asleep.load(Ordering::Relaxed) {
            return;
        }
        let mut body = json!({"PROCESS_ID": pid, "PARENT_PROCESS_ID": known.parent_pid});
        if let Some(exit_code) = exit_code {
            body["EXIT_CODE"] = exit_code.into();
        }
        let mut happened = event("TERMINATE_PROCESS", body, None, clock::now());
        happened.this_atom = atom::random().to_vec();
        happened.parent_atom = known.atom.to_vec();
        self.tell(happened);
    }

    fn atom(&self, process: &Process) -> Atom {
        self.tools.process_atom_bytes(process.pid, process.start_ticks)
    }

    fn tell(&self, happened: Event) {
        // Nobody is left to tell when the sensor stops; the loop then ends.
        let _ = self.tools.to_sensor.blocking_send(ToSensor::Observed(happened));
    }
}
