//! Properties of selectors over generated expressions and fleets.

#[path = "shared/roster.rs"]
mod roster;

use muster_model::{Architecture, Platform, Sensor, Tag, Timestamp};
use muster_selector::{Selector, Targeting};
use proptest::prelude::*;
use proptest::sample::select;
use roster::Roster;

/// An expression as a model: evaluated naively here, rendered for the parser.
#[derive(Clone, Debug)]
enum Model {
    Or(Vec<Model>),
    And(Vec<Model>),
    Not(Box<Model>),
    /// Field, operator without `not`, value, negated, spelling.
    Text(&'static str, &'static str, String, bool, Quote),
    Tagged(String, bool, Quote),
    Flag(&'static str),
    Instant(&'static str, i64, bool),
    Untagged(bool),
    /// `any` or `all`, then what is asked of the element.
    Each(&'static str, Box<Model>),
}

#[derive(Clone, Copy, Debug)]
enum Quote {
    Backtick,
    Double,
    Single,
}

const TEXT_FIELDS: [&str; 11] =
    ["sid", "oid", "iid", "did", "plat", "ext_plat", "arch", "hostname", "mac_addr", "ext_ip", "int_ip"];
const FLAG_FIELDS: [&str; 6] = ["isolated", "should_isolate", "sealed", "should_seal", "kernel", "is_del"];
const WORDS: [&str; 14] = [
    "",
    "linux",
    "windows",
    "7",
    "x64",
    "arm64",
    "web",
    "prod",
    "o'brien",
    "a\\b",
    "é\n",
    "00000000-0000-0000-0000-000000000001",
    "00000000-0000-0000-0000-00000000000A",
    "not",
];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn quote() -> impl Strategy<Value = Quote> {
    select(&[Quote::Backtick, Quote::Double, Quote::Single][..])
}

fn sensor() -> impl Strategy<Value = Sensor> {
    let place = (0_u128..4, proptest::option::of(0_u128..3), select(vec![0x1000_0000, 0x2000_0000, 7, 0]));
    let rest = (select(vec![0_u8, 2, 4, 9]), [word(), word(), word(), word()], proptest::collection::vec(word(), 0..4));
    (place, rest, any::<u8>(), 0_i64..3).prop_map(
        |((id, did, platform), (architecture, texts, tags), bits, instant)| {
            let [hostname, mac_addr, ext_ip, int_ip] = texts.map(String::into_boxed_str);
            let id = uuid::Uuid::from_u128(id);
            let mut sensor = Sensor {
                sid: muster_model::Sid(id),
                oid: muster_model::Oid(id),
                iid: muster_model::Iid(id),
                did: did.map(|did| muster_model::Did(uuid::Uuid::from_u128(did))),
                platform: Platform(platform),
                ext_platform: Platform(if bits & 64 == 0 { 0 } else { platform }),
                architecture: Architecture(architecture),
                hostname,
                mac_addr,
                ext_ip,
                int_ip,
                version: "".into(),
                enrolled_at: Timestamp::from_secs(instant),
                alive_at: Timestamp::from_millis(instant * 1_500),
                isolated: bits & 1 != 0,
                should_isolate: bits & 2 != 0,
                sealed: bits & 4 != 0,
                should_seal: bits & 8 != 0,
                kernel: bits & 16 != 0,
                deleted: bits & 32 != 0,
                tags: Vec::new(),
            };
            for name in tags {
                let added_by = "test".into();
                sensor.put_tag(Tag { name: name.into(), added_by, added_at: Timestamp::ZERO, expires_at: None });
            }
            sensor
        },
    )
}

fn roster() -> impl Strategy<Value = Roster> {
    proptest::collection::vec(sensor(), 0..12).prop_map(|mut sensors| {
        for (id, sensor) in (0_u128..).zip(&mut sensors) {
            sensor.sid = muster_model::Sid(uuid::Uuid::from_u128(id));
        }
        Roster::new(sensors)
    })
}

fn text_test(field: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Model> {
    let operator = select(&["==", "in", "contains", "matches", "is empty"][..]);
    (field, operator, word(), any::<bool>(), quote())
        .prop_map(|(field, operator, value, negated, quote)| Model::Text(field, operator, value, negated, quote))
}

fn connected<S: Strategy<Value = Model> + Clone + 'static>(inner: S) -> impl Strategy<Value = Model> {
    prop_oneof![
        proptest::collection::vec(inner.clone(), 2..4).prop_map(Model::Or),
        proptest::collection::vec(inner.clone(), 2..4).prop_map(Model::And),
        inner.prop_map(|part| Model::Not(Box::new(part))),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let about_element = text_test(Just("t")).boxed();
    let body = about_element.clone().prop_recursive(2, 6, 3, connected);
    let leaf = prop_oneof![
        4 => text_test(select(&TEXT_FIELDS[..])),
        3 => (word(), any::<bool>(), quote()).prop_map(|(tag, negated, quote)| Model::Tagged(tag, negated, quote)),
        2 => select(&FLAG_FIELDS[..]).prop_map(Model::Flag),
        1 => (select(&["enroll", "alive"][..]), 0_i64..4, any::<bool>())
            .prop_map(|(field, seconds, negated)| Model::Instant(field, seconds, negated)),
        1 => any::<bool>().prop_map(Model::Untagged),
        1 => (select(&["any", "all"][..]), body).prop_map(|(word, body)| Model::Each(word, Box::new(body))),
    ];
    leaf.prop_recursive(4, 24, 3, connected)
}

fn literal(value: &str, quote: Quote) -> String {
    match quote {
        Quote::Double => {
            let escaped: String = value
                .chars()
                .map(|c| match c {
                    '\n' => "\\n".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    'é' => "\\xc3\\xa9".to_owned(),
                    plain => plain.to_string(),
                })
                .collect();
            format!("\"{escaped}\"")
        }
        Quote::Backtick => format!("`{value}`"),
        Quote::Single => format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
    }
}

/// The value as a pattern which means the same text literally.
fn escaped(value: &str) -> String {
    value.chars().map(|c| if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }).collect()
}

/// The expression as text, with parentheses only where precedence needs them.
fn render(model: &Model) -> String {
    let not = |negated: bool| if negated { "not " } else { "" };
    let enclosed = |part: &Model| format!("( {})", render(part));
    let chain = |parts: &[Model], word: &str, is_loose: fn(&Model) -> bool| {
        let rendered = parts.iter().map(|part| if is_loose(part) { enclosed(part) } else { render(part) });
        rendered.collect::<Vec<_>>().join(word)
    };
    let is_connective = |part: &Model| matches!(part, Model::Or(_) | Model::And(_));
    match model {
        Model::Or(parts) => chain(parts, "\n or ", |part| matches!(part, Model::Or(_))),
        Model::And(parts) => chain(parts, " AND\t", is_connective),
        Model::Not(part) if is_connective(part) => format!("not {}", enclosed(part)),
        Model::Not(part) => format!("NOT {}", render(part)),
        Model::Text(field, "==", value, negated, quote) => {
            format!("{field}{}{}", if *negated { "!=" } else { " == " }, literal(value, *quote))
        }
        Model::Text(field, "in", value, negated, quote) => {
            format!("{} {}in {field}", literal(value, *quote), not(*negated))
        }
        Model::Text(field, "is empty", _, negated, _) => format!("{field} is {}empty", not(*negated)),
        Model::Text(field, "matches", value, negated, quote) => {
            format!("{field} {}matches {}", not(*negated), literal(&escaped(value), *quote))
        }
        Model::Text(field, operator, value, negated, quote) => {
            format!("{field} {}{operator} {}", not(*negated), literal(value, *quote))
        }
        Model::Tagged(tag, negated, quote) => format!("{} {}in tags", literal(tag, *quote), not(*negated)),
        Model::Flag(field) => (*field).to_owned(),
        Model::Instant(field, seconds, negated) => format!("{field} {}= {seconds}", if *negated { "!" } else { "=" }),
        Model::Untagged(negated) => format!("tags is {}empty", not(*negated)),
        Model::Each(word, body) => format!("({word} tags as t {{ {} }})", render(body)),
    }
}

/// The text of a field, by the table of fields.
fn text(field: &str, sensor: &Sensor, element: &str) -> String {
    match field {
        "t" => element.to_owned(),
        "sid" => sensor.sid.to_string(),
        "oid" => sensor.oid.to_string(),
        "iid" => sensor.iid.to_string(),
        "did" => sensor.did.map(|did| did.to_string()).unwrap_or_default(),
        "plat" => sensor.platform.name().into_owned(),
        "ext_plat" if sensor.ext_platform == Platform::NONE => String::new(),
        "ext_plat" => sensor.ext_platform.name().into_owned(),
        "arch" => sensor.architecture.name().into_owned(),
        "hostname" => sensor.hostname.to_string(),
        "mac_addr" => sensor.mac_addr.to_string(),
        "ext_ip" => sensor.ext_ip.to_string(),
        "int_ip" => sensor.int_ip.to_string(),
        other => unreachable!("{other} is not a text field"),
    }
}

fn holds(model: &Model, sensor: &Sensor, element: &str) -> bool {
    match model {
        Model::Or(parts) => parts.iter().any(|part| holds(part, sensor, element)),
        Model::And(parts) => parts.iter().all(|part| holds(part, sensor, element)),
        Model::Not(part) => !holds(part, sensor, element),
        Model::Text(field, operator, value, negated, _) => {
            let text = text(field, sensor, element);
            let is_true = match *operator {
                "==" => text == *value,
                "is empty" => text.is_empty(),
                _ => text.contains(value),
            };
            is_true != *negated
        }
        Model::Tagged(tag, negated, _) => sensor.tag_names().any(|name| name == tag) != *negated,
        Model::Flag(field) => match *field {
            "isolated" => sensor.isolated,
            "should_isolate" => sensor.should_isolate,
            "sealed" => sensor.sealed,
            "should_seal" => sensor.should_seal,
            "kernel" => sensor.kernel,
            _ => sensor.deleted,
        },
        Model::Instant(field, seconds, negated) => {
            let instant = if *field == "enroll" { sensor.enrolled_at } else { sensor.alive_at };
            (instant.as_secs() == *seconds) != *negated
        }
        Model::Untagged(negated) => sensor.tags.is_empty() != *negated,
        Model::Each(word, body) if *word == "any" => sensor.tag_names().any(|tag| holds(body, sensor, tag)),
        Model::Each(_, body) => sensor.tag_names().all(|tag| holds(body, sensor, tag)),
    }
}

proptest! {
    /// Goal: parsing, checking, evaluation and the index agree with the meaning of
    /// the language. Method: a generated expression is evaluated naively, and as
    /// rendered text by `matches` and by `select`, over a generated fleet.
    #[test]
    fn an_expression_means_what_its_model_means(model in model(), roster in roster()) {
        let rendered = render(&model);
        let selector = Selector::parse(&rendered).map_err(|error| TestCaseError::fail(error.render(&rendered)))?;

        let mentions_deleted = rendered.contains("is_del");
        prop_assert_eq!(selector.mentions_deleted(), mentions_deleted);
        let mut meant = Vec::new();
        for (ordinal, sensor) in (0_u32..).zip(roster.sensors()) {
            let is_true = holds(&model, sensor, "");
            prop_assert_eq!(selector.matches(sensor), is_true, "{} of {:?}", rendered, sensor);
            let is_meant = is_true && (mentions_deleted || !sensor.deleted);
            prop_assert_eq!(selector.selects(sensor), is_meant);
            meant.extend(is_meant.then_some(ordinal));
        }
        prop_assert_eq!(selector.select(&roster).iter().collect::<Vec<_>>(), meant, "{}", rendered);
    }

    /// Goal: whatever the older parameters hold, the selector made of them narrows by each one
    /// and its text says the same when it is read back, as it is after a restart.
    #[test]
    fn targeting_narrows_by_each_parameter(
        model in model(),
        tag in any::<String>(),
        sensor in sensor(),
        is_tagged in any::<bool>(),
    ) {
        let mut sensor = sensor;
        if is_tagged {
            let name = tag.as_str().into();
            sensor.put_tag(Tag { name, added_by: "test".into(), added_at: Timestamp::ZERO, expires_at: None });
        }
        let rendered = render(&model);
        let targeting = Targeting { selector: Some(&rendered), tag: Some(&tag), ..Targeting::default() };
        let selector = Selector::from_targeting(targeting).unwrap();

        let is_meant = holds(&model, &sensor, "") && sensor.has_tag(&tag);
        prop_assert_eq!(selector.matches(&sensor), is_meant);
        prop_assert_eq!(Selector::parse(selector.text()).unwrap().matches(&sensor), is_meant);
    }
}
