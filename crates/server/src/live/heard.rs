//! What sensors say about live sessions.

use super::room::{Live, told};
use super::session::LiveSession;
use super::{Error, stored};
use crate::intake::Beside;
use crate::intake::event::Actor;
use crate::organization::Place;
use muster_live::{Found, Order, Step};
use muster_store::Write;
use muster_wire::{LiveEnded, LiveReport, live_report};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Live {
    /// Takes in what a sensor says. What cannot be stored is not acknowledged, so the sensor says it again.
    pub async fn heard(&self, place: &Place, report: LiveReport) {
        let (Some(live), Some(what)) = (self.of_number(place, report.session), report.what) else { return };
        let taken = match what {
            live_report::What::Joined(joined) => {
                self.turn(&live, |session, now| Ok(((), session.joined(joined, now), Beside::default()))).await
            }
            live_report::What::Started(command) => {
                self.turn(&live, |session, now| {
                    session.started(command, now);
                    Ok(((), Step::default(), Beside::default()))
                })
                .await
            }
            live_report::What::Cancelled(command) => {
                self.turn(&live, |session, now| Ok(((), session.cancelled(command, now), Beside::default()))).await
            }
            live_report::What::Progress(progress) => {
                if let Ok(found) = serde_json::from_slice::<Found>(&progress.found) {
                    live.progress.lock().insert(progress.command, found);
                    live.changed.send_modify(|changes| *changes += 1);
                }
                Ok(())
            }
            live_report::What::Ended(ended) => self.command_ended(&live, ended).await,
        };
        if let Err(error) = taken {
            tracing::warn!(session = %live.id(), %error, "what a sensor said about a live session could not be stored");
            live.is_owed.store(true, Ordering::Relaxed);
        }
    }

    /// A command ended: its file gets its name, and what became of it is stored with what it found.
    async fn command_ended(&self, live: &Arc<LiveSession>, mut ended: LiveEnded) -> Result<(), Error> {
        let _turn = live.turn.lock().await;
        let (oid, number) = (live.oid(), ended.command);
        let issued = live.state().command(number).map(|command| Arc::clone(&command.issued));
        let filed = issued.as_ref().filter(|issued| matches!(issued.order, Order::GetFile { .. }));
        let filed = filed.and_then(|issued| live.files.find(issued.file.as_deref()?));
        let record = match &filed {
            Some(filed) => Some(self.finish_file(live, filed, &mut ended).await?),
            None => None,
        };
        let sid = live.sid();
        self.turn_held(live, |session, now| {
            let step = session.ended(&ended, now);
            let mut beside = Beside::default();
            if step.result {
                let mut rows = vec![stored::found(oid, session.number, number, std::mem::take(&mut ended.found))];
                if let (Some(filed), Some(record)) = (&filed, &record) {
                    rows.push(stored::file(oid, session.number, filed.item, record)?);
                }
                let by = issued.as_ref().map(|issued| issued.by.as_str()).unwrap_or_default();
                let name = issued.as_ref().map_or("", |issued| issued.order.name().text());
                let mut detail = json!({"command_id": number, "command": name, "by": by, "result_code": ended.code});
                if let Some(record) = record.as_ref().filter(|record| record.is_whole) {
                    detail["size"] = record.size.into();
                    detail["sha256"] = record.sha256.clone().into();
                }
                let actor = Actor::system();
                let record = told(oid, &actor, "live command ended", "live_ended", &sid, session.id(), &detail);
                beside = Beside::from(record).and([Write::PutLive(rows)]);
            }
            Ok(((), step, beside))
        })
        .await?;
        if let (Some(filed), Some(record)) = (filed, record) {
            self.know_file(&filed, record);
        }
        live.progress.lock().remove(&number);
        Ok(())
    }

    /// Asks a sensor to say again what could not be stored.
    pub(super) fn ask_again(&self, live: &LiveSession) {
        if live.is_owed.swap(false, Ordering::Relaxed) {
            self.speak(live, &live.state().arrived().say);
        }
    }
}
