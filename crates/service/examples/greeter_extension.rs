//! An extension with a configuration, an action that consoles show, and a daily run.
//!
//! `LC_SHARED_SECRET=… cargo run -p muster-service --example greeter_extension`

use muster_service::Settings;
use muster_service::extension::{ActionCall, ActionSchema, DataType, Element, Extension, ObjectSchema, Reply, UPDATE};
use serde::Deserialize;
use serde_json::json;

/// Parameters of the action.
#[derive(Deserialize)]
struct Greet {
    name: String,
}

/// Configuration of an organization.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    greeting: Option<String>,
}

async fn greet(call: ActionCall) -> Result<Reply, muster_service::Error> {
    let (greet, config): (Greet, Config) = (call.data()?, call.config()?);
    let greeting = config.greeting.as_deref().unwrap_or("Hello");
    Ok(json!({"text": format!("{greeting}, {}!", greet.name), "asked_by": call.who.ident}).into())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let text = |label, description| Element::new(DataType::String, label, description);
    let parameters = ObjectSchema::default().field("name", text("Name", "whom to greet")).needs(&["name"]);
    let settings = ObjectSchema::default().field("greeting", text("Greeting", "instead of Hello"));
    let extension = Extension::new(Settings::from_env("greeter"))
        .action("greet", ActionSchema::new("Greet", "Say hello to somebody", parameters), greet)
        .config(settings, async |call| {
            let config: Config = call.config()?;
            if config.greeting.as_deref() == Some("") { Err("a greeting is not empty".into()) } else { Ok(()) }
        })
        .on(UPDATE, async |call| Ok(json!({"seen": call.who.oid}).into()));
    muster_service::run(extension).await
}
