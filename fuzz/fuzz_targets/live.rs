//! What clients and sensors say of live sessions: ids, command objects with their ranges, and what commands found.
//! Anything is read, or refused with an error that fits a log; what was read is written as it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_live::{Found, Name, Order, SessionId};
use serde_json::{Map, Value};

/// Longest error text: it repeats the name that was asked for.
const ERROR_BYTES_PER_INPUT: usize = 8;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'), "{text:?}");
    }
    if let Ok(found) = serde_json::from_str::<Found>(text) {
        let written = serde_json::to_vec(&found).unwrap();
        let again: Found = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
    let Ok(request) = serde_json::from_str::<Map<String, Value>>(text) else { return };
    match Order::parse(&request) {
        Ok(order) => {
            assert_eq!(Name::parse(order.name().text()), Some(order.name()));
            // As it goes to the sensor.
            let written = serde_json::to_vec(&order).unwrap();
            assert_eq!(serde_json::from_slice::<Order>(&written).unwrap(), order);
            if let Order::Kill { pid } | Order::Memdump { pid: Some(pid), .. } = order {
                assert!(pid > 0 && i32::try_from(pid).is_ok());
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.len() <= 200 + ERROR_BYTES_PER_INPUT * text.len());
            assert!(!told.contains(char::is_control), "{told:?}");
        }
    }
});
