//! What breaks.

use muster_store::StoreError;

use super::{Mishap, World};
use crate::endpoint::disk::Death;
use crate::kernel::{Event, SECOND};
use crate::server::OID;

impl World {
    pub(super) fn break_something(&mut self) {
        let kernel = std::rc::Rc::clone(&self.kernel);
        let host = kernel.index(self.endpoints.len());
        match kernel.below(100) {
            0..28 => {
                let live = self.site.net.borrow().live();
                if !live.is_empty() {
                    let link = live[kernel.index(live.len())];
                    kernel.note(|| format!("link {link} is cut"));
                    self.site.net.borrow_mut().cut(link);
                }
            }
            28..38 => self.crash_server(),
            38..42 => self.depose_server(),
            42..50 => self.endpoints[host].die(if kernel.chance(50) { Death::Killed } else { Death::PowerLost }),
            50..68 => {
                let death = if kernel.chance(40) { Death::Killed } else { Death::PowerLost };
                self.endpoints[host].disk.borrow_mut().dies_in = Some((kernel.below(12), death));
            }
            68..73 => self.lose_state(host),
            73..79 => self.fill_store(),
            79..82 => self.faults.fail_next(StoreError::Busy),
            82..84 => self.faults.lose_next_answer(),
            84..88 => {
                kernel.note(|| format!("host {host}: its disk is full"));
                self.endpoints[host].disk.borrow_mut().is_full = true;
                kernel.after(kernel.between(SECOND, 60 * SECOND), Event::Room);
            }
            88..92 => {
                // What is set while no server runs cannot be told from time that passed.
                let leaps = self.server.is_some() && kernel.chance(30);
                let jump = if leaps { self.leap() } else { self.jump() };
                kernel.note(|| format!("the server's clock jumps by {jump} us"));
                self.site.clock_micros.set(self.site.clock_micros.get() + jump);
            }
            92..96 => {
                let jump = if kernel.chance(30) { self.leap() } else { self.jump() };
                kernel.note(|| format!("host {host}: its clock jumps by {jump} us"));
                self.endpoints[host].wall_micros += jump;
            }
            _ => self.switch(host),
        }
        kernel.after(kernel.between(SECOND / 10, 12 * SECOND), Event::Break);
    }

    fn jump(&self) -> i64 {
        let most = if self.kernel.chance(50) { 5 * SECOND } else { 900 * SECOND };
        let jump = i64::try_from(self.kernel.below(most)).unwrap_or(0);
        if self.kernel.chance(50) { jump } else { -jump }
    }

    /// Up to ten years: an empty battery, or someone who sets the wrong year.
    fn leap(&self) -> i64 {
        let leap = i64::try_from(self.kernel.below(10 * 365 * 24 * 3_600 * SECOND)).unwrap_or(0);
        if self.kernel.chance(50) { leap } else { -leap }
    }

    fn crash_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.truth.borrow_mut().counts.server_crashes += 1;
            server.crash();
            let kernel = &self.kernel;
            kernel.after(kernel.between(SECOND / 10, 15 * SECOND), Event::ServerUp);
        }
    }

    /// Another server takes over in the midst of what this one does, which hears of it by its next commit.
    fn depose_server(&mut self) {
        // On a full disk nobody can.
        if self.server.is_some() && self.site.store.claim(&[OID]).is_ok() {
            self.kernel.note(|| "the server is deposed".to_owned());
            self.truth.borrow_mut().counts.deposed += 1;
        }
    }

    /// The server that was deposed is gone, and the next one begins.
    pub(super) fn replace(&mut self, incarnation: u32) {
        if self.server.as_ref().is_some_and(|server| server.incarnation == incarnation) {
            self.crash_server();
        }
    }

    fn lose_state(&mut self, host: usize) {
        match (self.mishap, self.kernel.below(10)) {
            (Mishap::Clone, _) => self.clone_endpoint(host),
            (Mishap::Restore, 0..6) => self.back_up_or_restore(),
            (_, 0..3) => self.cut_journal(host),
            (_, 3..7) => self.copy_or_set_back(host),
            _ => self.wipe(host),
        }
    }

    /// Sets the server back to an earlier state of its store, if there is a backup; else makes one.
    fn back_up_or_restore(&mut self) {
        match self.backup.take() {
            None => {
                self.kernel.note(|| "a backup is made".to_owned());
                let promises = self.truth.borrow().promises();
                self.backup = self.site.store.copied().map(|store| (store, promises));
            }
            Some((store, promises)) => {
                self.crash_server();
                self.kernel.note(|| "the server is set back to its backup".to_owned());
                self.site.store = store;
                self.truth.borrow_mut().restored(promises);
                self.kernel.after(SECOND, Event::ServerUp);
            }
        }
    }

    /// Another machine begins with a copy of the disk of this one.
    fn clone_endpoint(&mut self, host: usize) {
        let number = self.endpoints.len();
        if self.pair.is_some() || self.endpoints[host].sid.is_none() {
            return;
        }
        self.kernel.note(|| format!("host {host}: is copied to host {number}"));
        let copy = self.endpoints[host].copied(number, self.kernel.chance(50));
        self.endpoints.push(copy);
        self.truth.borrow_mut().cloned(host, number);
        self.pair = Some((host, number));
        self.kernel.after(0, Event::HostUp(number));
    }

    /// Switches an endpoint off until someone switches it on.
    pub(super) fn rest(&mut self, host: usize) {
        self.endpoints[host].is_off = true;
        self.endpoints[host].die(Death::Killed);
    }

    /// The copy becomes a machine of its own, and the original goes on.
    pub(super) fn part(&mut self) {
        let Some((original, copy)) = self.pair.take() else { return };
        self.endpoints[copy].part();
        self.truth.borrow_mut().parted(copy);
        self.endpoints[original].is_off = false;
        self.kernel.after(0, Event::HostUp(original));
    }

    fn wipe(&mut self, host: usize) {
        let endpoint = &mut self.endpoints[host];
        endpoint.die(Death::PowerLost);
        self.kernel.note(|| format!("host {host}: its journal is lost"));
        endpoint.disk.borrow_mut().wipe(self.kernel.chance(60));
        self.truth.borrow_mut().wiped(host);
    }

    /// Brings back an earlier state of an endpoint's disk, if there is one; else keeps the present one for later.
    fn copy_or_set_back(&mut self, host: usize) {
        let endpoint = &mut self.endpoints[host];
        endpoint.die(Death::Killed);
        if endpoint.disk.borrow_mut().copy_or_set_back() {
            self.kernel.note(|| format!("host {host}: its disk is set back"));
            self.truth.borrow_mut().set_back(host);
        }
    }

    fn cut_journal(&mut self, host: usize) {
        let endpoint = &mut self.endpoints[host];
        endpoint.die(if self.kernel.chance(50) { Death::Killed } else { Death::PowerLost });
        self.kernel.note(|| format!("host {host}: its journal is cut"));
        endpoint.disk.borrow_mut().cut();
        self.truth.borrow_mut().wiped(host);
    }

    fn fill_store(&mut self) {
        self.kernel.note(|| "the server's disk is full".to_owned());
        self.faults.fail_all(Some(StoreError::Full));
        self.kernel.after(self.kernel.between(SECOND, 40 * SECOND), Event::Room);
    }

    /// Switches an endpoint off for a long time, or on again.
    fn switch(&mut self, host: usize) {
        let endpoint = &mut self.endpoints[host];
        endpoint.is_off = !endpoint.is_off;
        if endpoint.is_off {
            endpoint.die(Death::PowerLost);
        } else {
            self.kernel.after(0, Event::HostUp(host));
        }
    }

    pub(super) fn make_room(&mut self) {
        self.faults.fail_all(None);
        for endpoint in &self.endpoints {
            endpoint.disk.borrow_mut().is_full = false;
        }
    }
}
