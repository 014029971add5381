//! A service that posts each detection of some rules to a chat: `CHAT_URL` takes `{"text": …}`.
//!
//! `LC_SHARED_SECRET=… CHAT_URL=… DETECTIONS=bad-binary,bad-domain cargo run -p muster-service --example chat_alert`

use muster_service::{Answer, Call, Error, Handle, Outcome, Program, Service, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A chat that takes longer is tried again: the server delivers the detection once more.
const POST_MAX: Duration = Duration::from_secs(20);

struct ChatAlert {
    chat: reqwest::Client,
    url: String,
    detections: Vec<String>,
}

impl ChatAlert {
    fn from_env() -> Result<Self, Error> {
        let chat = reqwest::Client::builder().timeout(POST_MAX).build()?;
        let detections = std::env::var("DETECTIONS")?.split(',').map(|name| name.trim().to_owned()).collect();
        Ok(Self { chat, url: std::env::var("CHAT_URL")?, detections })
    }
}

impl Service for ChatAlert {
    fn on_startup(&self, program: &Handle) {
        self.detections.iter().for_each(|name| program.subscribe_to_detect(name));
    }

    async fn on_detection(self: Arc<Self>, call: Call) -> Outcome {
        let of_routing =
            |name: &str| call.data.get("routing").and_then(|routing| routing.get(name)).and_then(Value::as_str);
        let text = format!("{} on {}", call.text("cat").unwrap_or("?"), of_routing("hostname").unwrap_or("?"));
        let response = self.chat.post(&self.url).json(&json!({"text": text})).send().await?;
        let status = response.status();
        match status.as_u16() {
            200..=299 => Ok(Answer::done()),
            // What the chat refuses now it refuses again.
            400..=499 => Ok(Answer::failed().with_error(format!("the chat answered {status}"))),
            _ => Ok(Answer::again().with_error(format!("the chat answered {status}"))),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = ChatAlert::from_env()?;
    muster_service::run(Program::new(service, Settings::from_env("chat-alert"))).await?;
    Ok(())
}
