//! Connections: handshake, one message after the other, and what waits to go out; as `gateway/{admit,connection}.rs`
//! of the server. Signatures are taken as proven.

use std::collections::VecDeque;

use muster_model::{Iid, Sid, Timestamp};
use muster_server::organization::message;
use muster_tasking::dispatch::{self, Answer, Arrival, Edit, Enrolment, SpoolSeen};
use muster_wire::{
    AckedStep, Challenge, Claim, Enrolled, Receipt, Receipts, ReceiptsAck, Refusal, Refused, SensorState, from_sensor,
    from_server,
};
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::ask::Asked;
use super::{HANDED_OVER, OID, Server};
use crate::kernel::{Event, LinkId};
use crate::world::Sabotage;

/// As in `gateway/admit.rs`, but short enough to be seen within a run.
const RETRY_REFUSED_S: u32 = 300;
const RETRY_BUSY_S: u32 = 30;

/// Messages that may wait for one link.
const WAITING_MAX: usize = 1_024;

/// One connection as the server sees it.
#[derive(Default)]
pub(super) struct Connection {
    /// The sensor, once it is taken in.
    ordinal: Option<u32>,
    /// What it said of itself, and who it is, while it is being taken in.
    arriving: Option<(u32, SensorState)>,
    waiting: VecDeque<from_server::Message>,
    heard: VecDeque<from_sensor::Message>,
    /// What it said last is being worked on.
    is_busy: bool,
    is_closed: bool,
    /// The other end is gone.
    is_gone: bool,
}

impl Server {
    /// A sensor process connects.
    pub fn accept(&mut self, link: LinkId) {
        self.connections.insert(link, Connection::default());
        let challenge = from_server::Message::Challenge(Challenge { nonce: vec![7; 32] });
        self.site.net.borrow_mut().send_down(link, challenge);
    }

    /// A message or the end of a link arrives.
    pub fn arrive(&mut self, link: LinkId, is_end: bool) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        if is_end {
            connection.is_gone = true;
            // Some handshakes are given up at once, others once they come to something.
            if let Some((ordinal, _)) = connection.arriving.take_if(|_| self.site.kernel.chance(50)) {
                connection.ordinal = Some(ordinal);
                return self.end(link);
            }
        } else if let Some(message) = self.site.net.borrow_mut().take_up(link) {
            connection.heard.push_back(message);
        }
        self.soon(HANDED_OVER, Event::Hear(link));
    }

    /// Takes up the next message, if the one before is done with.
    pub(super) fn hear_next(&mut self, link: LinkId) {
        let Some(connection) = self.connections.get_mut(&link).filter(|connection| !connection.is_busy) else { return };
        let Some(message) = connection.heard.pop_front() else {
            if connection.is_gone {
                self.end(link);
            }
            return;
        };
        connection.is_busy = true;
        match (connection.ordinal, message) {
            (None, from_sensor::Message::Hello(hello)) => {
                self.admit(link, hello.claim, hello.state.unwrap_or_default());
            }
            (None, _) => self.end(link),
            (Some(ordinal), from_sensor::Message::Receipts(receipts)) => self.receipts(link, ordinal, receipts),
            (Some(ordinal), from_sensor::Message::Events(events)) => self.events(link, ordinal, &events),
            (Some(ordinal), from_sensor::Message::Sync(state)) => {
                let (one, edit) =
                    (RoaringBitmap::from_iter([ordinal]), Edit::Report(Box::new(message::reported(&state))));
                self.tell(|dispatch, now| dispatch.edit(None, &one, edit, now));
                self.done(link);
            }
            (Some(_), from_sensor::Message::Hello(_)) => self.close(link),
            (Some(_), from_sensor::Message::Transfer(_) | from_sensor::Message::Live(_)) => self.done(link),
        }
    }

    /// What was heard last is done with.
    pub(super) fn done(&mut self, link: LinkId) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.is_busy = false;
            self.soon(HANDED_OVER, Event::Hear(link));
        }
    }

    /// Queues a message; a link whose queue is full is closed instead.
    pub(super) fn send(&mut self, link: LinkId, message: from_server::Message) {
        if self.dispatch.is_deposed() {
            self.site.truth.borrow_mut().fault("a server that knows that it was deposed sends something".to_owned());
        }
        let Some(connection) = self.connections.get_mut(&link) else { return };
        if connection.waiting.len() >= WAITING_MAX {
            connection.is_closed = true;
        } else {
            connection.waiting.push_back(message);
        }
        self.soon(HANDED_OVER, Event::Flush(link));
    }

    /// Ends a link once what is queued was written.
    pub(super) fn close(&mut self, link: LinkId) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.is_closed = true;
            self.soon(HANDED_OVER, Event::Flush(link));
        }
    }

    pub(super) fn flush(&mut self, link: LinkId) {
        // Nothing goes out before the welcome.
        let Some(connection) = self.connections.get_mut(&link).filter(|connection| connection.ordinal.is_some()) else {
            return;
        };
        for message in connection.waiting.drain(..) {
            self.site.net.borrow_mut().send_down(link, message);
        }
        if connection.is_closed {
            self.end(link);
        }
    }

    fn end(&mut self, link: LinkId) {
        let Some(connection) = self.connections.remove(&link) else { return };
        if let Some(ordinal) = connection.ordinal {
            self.tell(|dispatch, now| dispatch.disconnected(ordinal, dispatch::LinkId(link), now));
        }
        self.site.net.borrow_mut().close_down(link);
    }

    fn refuse(&mut self, link: LinkId, reason: Refusal, retry_after_s: u32) {
        let refused = Refused { reason: reason.into(), text: String::new(), retry_after_s };
        self.site.net.borrow_mut().send_down(link, from_server::Message::Refused(refused));
        self.end(link);
    }

    fn admit(&mut self, link: LinkId, claim: Option<Claim>, state: SensorState) {
        match claim {
            Some(Claim::Enrol(new)) => {
                let own = Uuid::from_slice(&new.sid).ok().map(Sid);
                let sid = own.unwrap_or_else(|| Sid(Uuid::from_bytes(self.site.kernel.id())));
                let reported = message::reported(&state);
                let enrolment = Enrolment {
                    oid: OID,
                    sid,
                    returns: own.is_some(),
                    iid: Iid(Uuid::from_u128(9)),
                    tags: &[],
                    public_key: &new.public_key,
                    reported: &reported,
                    source: "",
                };
                self.ask(Asked::Enrol(link), |dispatch, request, now| dispatch.enrol(request, &enrolment, now));
            }
            Some(Claim::Resume(resume)) => {
                let sid = Uuid::from_slice(&resume.sid).ok().map(Sid);
                let Some(ordinal) = sid.and_then(|sid| self.dispatch.fleet.ordinal(sid)) else {
                    return self.refuse(link, Refusal::Identity, RETRY_REFUSED_S);
                };
                if let Some(connection) = self.connections.get_mut(&link) {
                    connection.arriving = Some((ordinal, state));
                }
                self.soon(HANDED_OVER, Event::SpoolRead(link));
            }
            None => self.refuse(link, Refusal::Identity, RETRY_REFUSED_S),
        }
    }

    /// It is known what is stored of the spool of a sensor that wants in.
    pub(super) fn spool_read(&mut self, link: LinkId) {
        let arriving = self.connections.get(&link).and_then(|connection| connection.arriving.clone());
        let Some((ordinal, state)) = arriving else { return };
        let seen = message::spool_of(&state).map(|id| {
            let stored = self.site.store.read_blocking(|read| read.spool(OID, ordinal, id));
            stored.map(|stored| SpoolSeen { id, stored })
        });
        let Ok(spool) = seen.transpose() else { return self.refuse(link, Refusal::Busy, RETRY_BUSY_S) };
        let reported = message::reported(&state);
        self.ask(Asked::Arrive(link, ordinal), |dispatch, request, now| {
            let link = dispatch::LinkId(link);
            let arrival = Arrival { request, ordinal, link, reported, source: String::new(), spool, quota: 0 };
            dispatch.connect(arrival, now)
        });
    }

    pub(super) fn enrolled(&mut self, link: LinkId, answer: &Answer) {
        match answer {
            Answer::Enrolled(sid) => {
                let enrolled = from_server::Message::Enrolled(Enrolled { sid: sid.0.as_bytes().to_vec() });
                self.site.net.borrow_mut().send_down(link, enrolled);
                self.end(link);
            }
            Answer::Denied => self.refuse(link, Refusal::Identity, RETRY_REFUSED_S),
            _ => self.refuse(link, Refusal::Busy, RETRY_BUSY_S),
        }
    }

    pub(super) fn arrived(&mut self, link: LinkId, ordinal: u32, answer: &Answer) {
        match answer {
            Answer::Welcome(welcome) => {
                let welcome = message::welcome(welcome, self.dispatch.queue.steady(self.now()));
                self.site.kernel.note(|| format!("server: sensor {ordinal} is online in epoch {}", welcome.epoch));
                self.site.net.borrow_mut().send_down(link, from_server::Message::Welcome(welcome));
                if let Some(connection) = self.connections.get_mut(&link) {
                    (connection.ordinal, connection.arriving) = (Some(ordinal), None);
                }
                self.soon(HANDED_OVER, Event::Flush(link));
                self.done(link);
            }
            Answer::Denied => self.refuse(link, Refusal::Deleted, RETRY_REFUSED_S),
            _ => self.refuse(link, Refusal::Busy, RETRY_BUSY_S),
        }
    }

    fn receipts(&mut self, link: LinkId, ordinal: u32, receipts: Receipts) {
        let mut reports = message::reports(&receipts.receipts);
        if self.site.sabotage == Some(Sabotage::TellNoInstant) {
            reports.iter_mut().for_each(|(_, report)| report.at = Timestamp::ZERO);
        }
        self.ask(Asked::Receipts(link, receipts.receipts), |dispatch, request, now| {
            dispatch.receipts(request, ordinal, reports, now)
        });
    }

    /// Steps are stored, or cannot be: then the sensor tells them again at its next connection.
    pub(super) fn receipts_taken(&mut self, link: LinkId, receipts: Vec<Receipt>, answer: &Answer) {
        if *answer != Answer::Stored {
            return self.close(link);
        }
        let acked = |receipt: Receipt| AckedStep { task_id: receipt.task_id, step: receipt.step };
        let steps = receipts.into_iter().map(acked).collect();
        self.send(link, from_server::Message::ReceiptsAck(ReceiptsAck { steps }));
        self.done(link);
    }
}
