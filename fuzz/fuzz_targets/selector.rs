//! Any text is a selector or an error with a place in it. A selector says the same
//! of one sensor and of the fleet, alone and narrowed by a tag, and printed and read again.

#![no_main]

#[path = "../../crates/selector/tests/shared/roster.rs"]
mod roster;

use libfuzzer_sys::fuzz_target;
use muster_fuzz::expression;
use muster_model::{Architecture, Did, Iid, Oid, Platform, Sensor, Sid, Tag, Timestamp};
use muster_selector::{Selector, SelectorError, Targeting};
use roster::Roster;
use std::sync::LazyLock;
use uuid::Uuid;

static FLEET: LazyLock<Roster> = LazyLock::new(|| Roster::new((0..12).map(sensor).collect()));

/// Sensors that differ in everything a selector can ask for.
fn sensor(number: u8) -> Sensor {
    let id = Uuid::from_u128(u128::from(number));
    let bit = |at: u8| number >> at & 1 == 1;
    let at = |seconds: u8| Timestamp::from_secs(i64::from(seconds));
    let platforms = [0x1000_0000, 0x2000_0000, 0x3000_0000, 7];
    let names = ["", "web-1", "db.example", "o'brien", "é\n"];
    let mut sensor = Sensor {
        sid: Sid(id),
        oid: Oid(Uuid::nil()),
        iid: Iid(id),
        did: bit(0).then_some(Did(id)),
        platform: Platform(platforms[usize::from(number) % platforms.len()]),
        ext_platform: Platform(if bit(1) { platforms[0] } else { 0 }),
        architecture: Architecture(number % 5),
        hostname: names[usize::from(number) % names.len()].into(),
        mac_addr: "00-11-22-33-44-55".into(),
        ext_ip: "203.0.113.7".into(),
        int_ip: format!("10.0.0.{number}").into(),
        version: "1.0.0".into(),
        enrolled_at: at(number),
        alive_at: at(number * 2),
        isolated: bit(0),
        should_isolate: bit(1),
        sealed: bit(2),
        should_seal: bit(3),
        kernel: number.is_multiple_of(3),
        deleted: number == 11,
        tags: Vec::new(),
    };
    for (at, name) in ["web", "prod", "a`b", ""].into_iter().enumerate() {
        if number >> at & 1 == 1 {
            sensor.put_tag(Tag {
                name: name.into(),
                added_by: "seed".into(),
                added_at: Timestamp::ZERO,
                expires_at: None,
            });
        }
    }
    sensor
}

fuzz_target!(|text: &str| {
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => {
            assert!(text.is_char_boundary(error.offset));
            assert!(error.render(text).starts_with(&error.message) && error.render(text).contains('^'));
            return;
        }
    };
    assert_eq!(selector.text(), text);
    let found = selector.select(&*FLEET);
    for (ordinal, sensor) in (0_u32..).zip(FLEET.sensors()) {
        assert_eq!(found.contains(ordinal), selector.selects(sensor), "{}", sensor.sid);
    }
    let targeting = Targeting { selector: Some(text), tag: Some("a`b"), ..Targeting::default() };
    match Selector::from_targeting(targeting) {
        Ok(narrowed) => {
            for sensor in FLEET.sensors() {
                assert_eq!(narrowed.matches(sensor), selector.matches(sensor) && sensor.has_tag("a`b"));
            }
        }
        Err(error) => assert!(is_bound(&error), "within parentheses: {error}"),
    }
    printed_and_read_again(&selector);
});

fn printed_and_read_again(selector: &Selector) {
    let Some(printed) = expression::of_tree(&selector.explain()) else { return };
    match Selector::parse(&printed) {
        Ok(again) => {
            assert_eq!(again.explain(), selector.explain(), "{printed}");
            assert_eq!(again.mentions_deleted(), selector.mentions_deleted(), "{printed}");
            for sensor in FLEET.sensors() {
                assert_eq!(again.matches(sensor), selector.matches(sensor), "{printed} of {}", sensor.sid);
            }
        }
        Err(error) => assert!(is_bound(&error), "{printed}: {error}"),
    }
}

/// Whether it is about size: parentheses and spelled bytes may lift a text above a bound.
fn is_bound(error: &SelectorError) -> bool {
    ["bytes long", "too many steps", "levels deep"].iter().any(|bound| error.message.contains(bound))
}
