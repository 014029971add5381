//! Taking in events of sensors; as `event/ingest.rs` of the server.

use muster_model::Timestamp;
use muster_store::{Entry, Stream, Write};
use muster_wire::{Events, EventsAck, from_server};
use uuid::Uuid;

use super::{Node, OID, ServerLink};

pub(super) async fn receive(node: &Node, ordinal: u32, link: &ServerLink, events: Events) {
    let (spool_id, stored_seq, sid) = {
        let state = node.state.borrow();
        if state.links.get(&ordinal).is_none_or(|current| current.id != link.id) {
            return link.close(node);
        }
        let Some((spool_id, seq)) = state.spools.get(&ordinal).copied() else { return };
        let Some(row) = state.row(ordinal) else { return };
        (spool_id, seq, row.sensor.sid)
    };
    let mut seq = stored_seq;
    let mut entries = Vec::new();
    for event in &events.events {
        if event.seq <= seq {
            continue;
        }
        seq = event.seq;
        entries.push(Entry {
            oid: OID,
            stream: Stream::Event,
            sid: Some(sid),
            id: Uuid::new_v5(&Uuid::from_bytes(spool_id), &event.seq.to_be_bytes()),
            time: Timestamp::from_millis(event.time_ms),
            kind: event.event_type.clone(),
            this_atom: None,
            parent_atom: None,
            investigation_id: None,
            body: event.body.clone(),
        });
    }
    if seq > stored_seq {
        let after = Some(stored_seq);
        let writes = vec![Write::Append(entries), Write::PutSpool { oid: OID, ordinal, spool_id, seq, after }];
        if node.commit(writes).await.is_err() {
            link.close(node);
            return;
        }
        let mut state = node.state.borrow_mut();
        if let Some(spool) = state.spools.get_mut(&ordinal).filter(|spool| spool.0 == spool_id) {
            spool.1 = spool.1.max(seq);
        }
    }
    link.send(node, from_server::Message::EventsAck(EventsAck { seq }));
}
