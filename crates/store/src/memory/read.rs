//! Reads of the memory store. They scan where SQLite has an index: it is small.

use super::State;
use crate::claim::Standing;
use crate::page::{PageBuilder, Place, whole_seconds};
use crate::row::*;
use crate::run::message;
use crate::store::{ENTRIES_PAGE_BYTES_MAX, ENTRIES_PAGE_MAX, OVERVIEW_SECONDS_MAX, Read, StoreError};
use muster_model::{Oid, Sid, Timestamp};
use muster_tasking::Target;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The state while no one changes it.
pub(super) struct View<'a>(pub(super) &'a State);

/// Entries with their order of arrival, oldest first.
type Found<'a> = Box<dyn DoubleEndedIterator<Item = (u64, &'a Entry)> + 'a>;

impl<'a> View<'a> {
    /// Entries of a stream with `from <= time <= to`.
    fn stream(&self, oid: Oid, stream: Stream, from: Timestamp, to: Timestamp) -> Found<'a> {
        if from > to {
            return Box::new(std::iter::empty());
        }
        let range = (oid, stream, from, 0)..=(oid, stream, to, u64::MAX);
        Box::new(self.0.entries.range(range).map(|(key, entry)| (key.3, entry)))
    }

    fn events_of(&self, oid: Oid, sid: Sid, from: Timestamp, to: Timestamp) -> Found<'a> {
        let found = self.stream(oid, Stream::Event, from, to);
        Box::new(found.filter(move |(_, entry)| entry.sid == Some(sid)))
    }
}

const EARLIEST: Timestamp = Timestamp::from_micros(i64::MIN);

impl Read for View<'_> {
    fn records(&mut self, oid: Option<Oid>, kind: Option<&str>) -> Result<Vec<Record>, StoreError> {
        let of =
            |record: &&Record| oid.is_none_or(|oid| record.oid == oid) && kind.is_none_or(|kind| record.kind == kind);
        Ok(self.0.records.values().filter(of).cloned().collect())
    }

    fn standing(&mut self, oid: Oid) -> Result<Standing, StoreError> {
        Ok(self.0.standings.get(&oid).copied().unwrap_or_default())
    }

    fn record(&mut self, oid: Oid, kind: &str, key: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.0.records.get(&(oid, kind.to_owned(), key.to_owned())).cloned())
    }

    fn sensors(
        &mut self,
        oid: Option<Oid>,
        each: &mut dyn FnMut(Result<SensorRow, Unreadable>),
    ) -> Result<(), StoreError> {
        let rows = self.0.sensors.iter().filter(|((of, _), _)| oid.is_none_or(|oid| *of == oid));
        rows.for_each(|(_, row)| each(Ok(row.clone())));
        Ok(())
    }

    fn spool(&mut self, oid: Oid, ordinal: u32, spool_id: [u8; 16]) -> Result<Option<u64>, StoreError> {
        let spool = self.0.spools.get(&(oid, ordinal)).filter(|(id, _)| *id == spool_id);
        Ok(spool.map(|(_, seq)| *seq))
    }

    fn tasks(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Result<TaskRow, Unreadable>)) -> Result<(), StoreError> {
        let rows = self.0.tasks.iter().filter(|((of, _), _)| oid.is_none_or(|oid| *of == oid));
        rows.for_each(|(_, row)| each(Ok(row.clone())));
        Ok(())
    }

    fn targets(&mut self, oid: Oid, task: u64, each: &mut dyn FnMut(u32, Target)) -> Result<(), StoreError> {
        let range = (oid, task, 0)..=(oid, task, u32::MAX);
        self.0.targets.range(range).for_each(|(key, target)| each(key.2, target.clone()));
        Ok(())
    }

    fn targets_of(&mut self, oid: Oid, task: u64, ordinals: &[u32]) -> Result<Vec<(u32, Target)>, StoreError> {
        let of = |ordinal: &u32| Some((*ordinal, self.0.targets.get(&(oid, task, *ordinal))?.clone()));
        Ok(ordinals.iter().filter_map(of).collect())
    }

    fn sensor_sizes(
        &mut self,
        oid: Oid,
        stream: Stream,
        each: &mut dyn FnMut(Option<Sid>, u64),
    ) -> Result<(), StoreError> {
        let of_stream = self.0.sensor_sizes.range((oid, stream, None)..);
        let of_stream = of_stream.take_while(|((owner, of, _), _)| (*owner, *of) == (oid, stream));
        of_stream.for_each(|((_, _, sid), size)| each(*sid, size.bytes));
        Ok(())
    }

    fn stream_size(&mut self, oid: Oid, stream: Stream) -> Result<(u64, u64), StoreError> {
        let size = self.0.stream_sizes.get(&(oid, stream)).copied().unwrap_or_default();
        Ok((size.count, size.bytes))
    }

    fn entries(&mut self, query: &EntryQuery) -> Result<EntryPage, StoreError> {
        let cursor = query.cursor_place()?;
        let found = self.stream(query.oid, query.stream, query.from, query.to);
        let found: Found<'_> = if query.forward { found } else { Box::new(found.rev()) };
        let mut page = PageBuilder::new(query.limit);
        for (arrival, entry) in found {
            let place = Place { time: entry.time, arrival };
            let is_after = cursor.is_none_or(|at| if query.forward { place > at } else { place < at });
            let is_wanted = query.sid.is_none_or(|sid| entry.sid == Some(sid))
                && query.kind.as_ref().is_none_or(|kind| **kind == *entry.kind)
                && query.investigation_id.as_ref().is_none_or(|id| entry.investigation_id.as_ref() == Some(id));
            if !is_after || !is_wanted {
                continue;
            }
            if page.is_full() {
                page.end();
                break;
            }
            page.push(place, entry.clone());
        }
        Ok(page.finish())
    }

    fn entry(&mut self, oid: Oid, stream: Stream, id: Uuid) -> Result<Option<Entry>, StoreError> {
        if !matches!(stream, Stream::Event | Stream::Detect) {
            return Ok(None);
        }
        let found = self.stream(oid, stream, EARLIEST, Timestamp::MAX).filter(|(_, entry)| entry.id == id);
        Ok(found.max_by_key(|(arrival, _)| *arrival).map(|(_, entry)| entry.clone()))
    }

    fn entry_by_atom(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Option<Entry>, StoreError> {
        let mut found = self.events_of(oid, sid, EARLIEST, Timestamp::MAX).rev();
        Ok(found.find(|(_, entry)| entry.this_atom == Some(atom)).map(|(_, entry)| entry.clone()))
    }

    fn children(&mut self, oid: Oid, sid: Sid, atom: [u8; 16]) -> Result<Vec<Entry>, StoreError> {
        let mut page = PageBuilder::new(ENTRIES_PAGE_MAX);
        for (arrival, entry) in self.events_of(oid, sid, EARLIEST, Timestamp::MAX) {
            let place = Place { time: entry.time, arrival };
            if entry.parent_atom == Some(atom) && !page.is_full() {
                page.push(place, entry.clone());
            }
        }
        Ok(page.finish().entries)
    }

    fn overview(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
        let (from, to) = whole_seconds(from, to);
        let seconds: BTreeSet<i64> =
            self.events_of(oid, sid, from, to).map(|(_, entry)| entry.time.as_secs()).collect();
        Ok(seconds.into_iter().take(OVERVIEW_SECONDS_MAX).collect())
    }

    fn event_counts(&mut self, oid: Oid, sid: Sid, from: i64, to: i64) -> Result<Vec<(String, u64)>, StoreError> {
        let (from, to) = whole_seconds(from, to);
        let mut counts = BTreeMap::<String, u64>::new();
        for (_, entry) in self.events_of(oid, sid, from, to) {
            *counts.entry(entry.kind.to_string()).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    fn queued(&mut self, oid: Oid, output: &str, limit: usize) -> Result<Vec<Queued>, StoreError> {
        let range = (oid, output.to_owned(), 0)..=(oid, output.to_owned(), u64::MAX);
        let mut bytes = 0;
        let queued = self.0.queued.range(range).take(limit).take_while(|(_, body)| {
            let has_room = bytes < ENTRIES_PAGE_BYTES_MAX;
            bytes += body.len();
            has_room
        });
        Ok(queued.map(|(key, body)| Queued { position: key.2, body: body.clone() }).collect())
    }

    fn queue_size(&mut self, oid: Oid, output: &str) -> Result<(u64, u64), StoreError> {
        let queue = self.0.queues.get(&(oid, output.to_owned())).copied().unwrap_or_default();
        Ok((queue.size.count, queue.size.bytes))
    }

    fn deliveries(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(Oid, Delivery)) -> Result<(), StoreError> {
        let rows = self.0.deliveries.iter().filter(|((of, _), _)| oid.is_none_or(|oid| *of == oid));
        rows.for_each(|((of, _), (delivery, _))| each(*of, delivery.clone()));
        let runs = self.0.runs.iter().filter(|((of, _), _)| oid.is_none_or(|oid| *of == oid));
        for ((of, _), (run, left)) in runs {
            left.numbers().for_each(|number| each(*of, message(&run.first, number)));
        }
        Ok(())
    }

    fn delivery_bodies(&mut self, oid: Oid, positions: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut bytes = 0;
        let found = positions.iter().filter_map(|at| Some((*at, self.0.delivery_body(oid, *at)?.clone())));
        let bounded = found.take_while(|(_, body)| {
            let has_room = bytes < ENTRIES_PAGE_BYTES_MAX;
            bytes += body.len();
            has_room
        });
        Ok(bounded.collect())
    }

    fn counters(&mut self, oid: Oid, each: &mut dyn FnMut(CounterRow)) -> Result<(), StoreError> {
        self.0.counters.range((oid, [0; 16])..=(oid, [u8::MAX; 16])).for_each(|(_, counter)| each(*counter));
        Ok(())
    }

    fn live_sessions(&mut self, oid: Option<Oid>, each: &mut dyn FnMut(LiveRow)) -> Result<(), StoreError> {
        let sessions =
            self.0.live.iter().filter(|(key, _)| key.2 == LivePart::Session && oid.is_none_or(|oid| key.0 == oid));
        sessions.for_each(|(_, row)| each(row.clone()));
        Ok(())
    }

    fn live(
        &mut self,
        oid: Oid,
        session: u64,
        part: LivePart,
        each: &mut dyn FnMut(LiveRow),
    ) -> Result<(), StoreError> {
        let range = (oid, session, part, 0)..=(oid, session, part, u32::MAX);
        self.0.live.range(range).for_each(|(_, row)| each(row.clone()));
        Ok(())
    }

    fn live_one(&mut self, oid: Oid, session: u64, part: LivePart, item: u32) -> Result<Option<LiveRow>, StoreError> {
        Ok(self.0.live.get(&(oid, session, part, item)).cloned())
    }
}
