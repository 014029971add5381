//! A service that publishes a lookup for rules: `lcr://service/lookup-publisher/domains`, read anew from a file every hour.
//!
//! `LC_SHARED_SECRET=… DOMAINS=domains.txt cargo run -p muster-service --example lookup_publisher`

use muster_service::{Answer, Call, Error, Handle, Outcome, Program, Service, Settings};
use std::path::PathBuf;
use std::sync::Arc;

struct LookupPublisher {
    file: PathBuf,
}

impl LookupPublisher {
    fn publish(&self, program: &Handle) -> Result<(), Error> {
        program.publish_resource("domains", "lookup", std::fs::read(&self.file)?);
        Ok(())
    }
}

impl Service for LookupPublisher {
    fn on_startup(&self, program: &Handle) {
        if let Err(error) = self.publish(program) {
            program.log_critical(&format!("{}: {error}", self.file.display()));
        }
    }

    async fn every_1_hour_globally(self: Arc<Self>, call: Call) -> Outcome {
        self.publish(&call.program)?;
        Ok(Answer::done())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let file = std::env::var("DOMAINS")?.into();
    muster_service::run(Program::new(LookupPublisher { file }, Settings::from_env("lookup-publisher"))).await?;
    Ok(())
}
