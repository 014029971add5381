//! Commands on the network. Source: reference/commands.md section 6.7.

use std::net::{SocketAddr, ToSocketAddrs as _};

use serde_json::{Value, json};

use super::{Failure, Fields, Job, Outcome, code, fields};
use crate::platform::sockets;

pub(super) fn netstat(_: &Job) -> Outcome {
    let end = |address: SocketAddr| json!({"IP_ADDRESS": address.ip().to_string(), "PORT": address.port()});
    let activity: Vec<Value> = sockets::sockets()?
        .into_iter()
        .map(|socket| {
            let mut found = fields(json!({
                "PROTOCOL": socket.protocol,
                "SOURCE": end(socket.local),
                "DESTINATION": end(socket.remote),
                "PROCESS_ID": socket.pid,
            }));
            if let Some(state) = socket.state {
                found.insert("STATE".to_owned(), state.into());
            }
            Value::Object(found)
        })
        .collect();
    Ok(fields(json!({"FRIENDLY": 0, "NETWORK_ACTIVITY": activity})))
}

pub(super) fn resolve(job: &Job) -> Outcome {
    let domain = job.arguments.text("domain").unwrap_or_default();
    match (domain, 0).to_socket_addrs() {
        Ok(_) => Ok(Fields::new()),
        Err(error) => Err(Failure::new(code::BAD_NET_NAME, error.to_string())),
    }
}
