//! An interactive service: asks each new sensor for its packages, and closes a job when they come.
//!
//! Permissions: `sensor.task`, `dr.list.managed`, `dr.set.managed`, `dr.del.managed`.
//! `LC_SHARED_SECRET=… LC_API_URL=… cargo run -p muster-service --example packages`

use muster_service::{Answer, Attachment, Call, Job, Outcome, Program, Replies, Reply, Service, Settings, Target, now};
use serde_json::Value;
use std::sync::Arc;

struct Packages;

impl Service for Packages {
    fn replies() -> Replies<Self> {
        Replies::none().on("packages", Self::packages)
    }

    async fn on_deployment_event(self: Arc<Self>, call: Call) -> Outcome {
        let routing = call.data.get("routing").cloned().unwrap_or_default();
        if routing["event_type"] != "enrollment" {
            return Ok(Answer::done());
        }
        let Some(sid) = routing["sid"].as_str() else { return Ok(Answer::failed().with_error("no sensor is named")) };
        // The message id names the job: if this event comes twice, both deliveries are one job.
        let mut job = Job::new(&call.mid, now(), "a sensor enrolled")?;
        job.narrate(now(), format!("asking {sid} for its packages"), Vec::new());
        let target = Target { callback: "packages", job: Some(&job), context: sid };
        call.task(sid, "os_packages", &target).await?;
        Ok(Answer::done().with_job(job))
    }
}

impl Packages {
    async fn packages(self: Arc<Self>, reply: Reply) -> Outcome {
        let Some(mut job) = reply.job else { return Ok(Answer::failed()) };
        let event = reply.detect.get("event").cloned().unwrap_or_default();
        let Some(packages) = event.get("PACKAGES").and_then(Value::as_array) else {
            // Receipts carry the id too.
            return Ok(Answer::done());
        };
        let evidence = vec![Attachment::json("packages", &event)];
        job.narrate(now(), format!("{} has {} packages", reply.context, packages.len()), evidence);
        job.close(now());
        Ok(Answer::done().with_job(job))
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    muster_service::run(Program::new(Packages, Settings::from_env("packages"))).await
}
