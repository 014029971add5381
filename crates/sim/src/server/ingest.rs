//! Taking in events of sensors; as `gateway/events.rs` of the server.

use muster_model::Timestamp;
use muster_store::{Entry, Stream, Write};
use muster_tasking::dispatch;
use muster_wire::{Events, EventsAck, from_server};
use uuid::Uuid;

use super::act::{Commit, Whose};
use super::{OID, Server};
use crate::kernel::LinkId;

impl Server {
    pub(super) fn events(&mut self, link: LinkId, ordinal: u32, events: &Events) {
        let Some(spool) = self.dispatch.spool(ordinal, dispatch::LinkId(link)) else { return self.close(link) };
        let (Some((spool_id, stored)), Some(row)) = (spool, self.dispatch.fleet.row(ordinal)) else {
            return self.done(link);
        };
        let mut seq = stored;
        let mut entries = Vec::new();
        for event in &events.events {
            if event.seq <= seq {
                continue;
            }
            seq = event.seq;
            entries.push(Entry {
                oid: OID,
                stream: Stream::Event,
                sid: Some(row.sensor.sid),
                id: Uuid::new_v5(&Uuid::from_bytes(spool_id), &event.seq.to_be_bytes()),
                time: Timestamp::from_millis(event.time_ms),
                kind: event.event_type.as_str().into(),
                this_atom: None,
                parent_atom: None,
                investigation_id: None,
                body: event.body.clone().into(),
            });
        }
        if seq == stored {
            return self.acknowledge(link, seq);
        }
        let after = Some(stored);
        let writes = vec![Write::Append(entries), Write::PutSpool { oid: OID, ordinal, spool_id, seq, after }];
        self.commit(Commit { writes, whose: Whose::Events(link, ordinal, spool_id, seq) });
    }

    pub(super) fn events_stored(&mut self, link: LinkId, ordinal: u32, spool_id: [u8; 16], seq: u64, is_stored: bool) {
        if !is_stored {
            return self.close(link);
        }
        self.dispatch.spooled(ordinal, spool_id, seq);
        self.acknowledge(link, seq);
    }

    fn acknowledge(&mut self, link: LinkId, seq: u64) {
        let server_now_ms = self.dispatch.queue.steady(self.now()).as_millis();
        self.send(link, from_server::Message::EventsAck(EventsAck { seq, server_now_ms }));
        self.done(link);
    }
}
