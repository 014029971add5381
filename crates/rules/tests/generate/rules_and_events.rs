//! Rules and events from a seed, over few words, so that they often meet.

use crate::random::Random;
use serde_json::{Value, json};

impl Random {
    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

const PATHS: &[&str] = &[
    "event/A",
    "event/B",
    "event/L",
    "event/L/?",
    "event/O/A",
    "event/*/A",
    "event/?/B",
    "routing/hostname",
    "event/N",
];
const TEXTS: &[&str] = &[
    "cmd.exe",
    "C:\\x\\CMD.exe",
    "ab",
    "b",
    "",
    "Éa",
    "éA",
    "\u{212A}",
    "\u{17F}.exe",
    "k.exe",
    "10.1.2.3",
    "::ffff:10.1.2.3",
    "2001:db8::1",
    "5",
    "a.b.c",
    "/x/ab",
];
const PATTERNS: &[&str] =
    &["cmd", "^C:.*\\.exe$", "[k]\\.exe", "(ab|cmd)+", "é", "\\d+", "a.?b", "(?-i)CMD", "x*", "s\\.exe"];
const NETWORKS: &[&str] = &["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "::/0"];
const KINDS: &[&str] = &["X", "Y", "Z"];

fn scalar(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(random.below(6)),
        1 => json!(5.0),
        2 => json!(random.chance(2)),
        3 => Value::Null,
        _ => json!(random.of(TEXTS)),
    }
}

pub fn event(random: &mut Random) -> Value {
    let mut fields = serde_json::Map::new();
    for name in ["A", "B", "N"] {
        if !random.chance(4) {
            fields.insert(name.into(), scalar(random));
        }
    }
    if random.chance(2) {
        let items: Vec<Value> = (0..random.below(3))
            .map(|_| if random.chance(2) { scalar(random) } else { json!({"A": scalar(random), "B": scalar(random)}) })
            .collect();
        fields.insert("L".into(), items.into());
    }
    if random.chance(3) {
        fields.insert("O".into(), json!({"A": scalar(random), "P": {"A": scalar(random)}}));
    }
    let time = 1_700_000_000_000_u64 + random.next() % 100_000;
    json!({"routing": {
        "event_type": random.of(KINDS), "sid": random.of(&["s1", "s2"]), "hostname": random.of(TEXTS), "event_time": time, "oid": "o",
        "plat": random.of(&[0x1000_0000_u32, 0x2000_0000]), "arch": 2, "tags": ["vip"], "this": random.below(6).to_string(), "parent": random.below(6).to_string(),
    }, "event": fields})
}

pub fn node(random: &mut Random, depth: usize, is_following: bool) -> Value {
    let composite = depth > 0 && random.chance(2);
    let mut node = if composite { composite_node(random, depth, is_following) } else { leaf(random) };
    if random.chance(5) {
        node["not"] = true.into();
    }
    if random.chance(6) {
        node["event"] = random.of(KINDS).into();
    }
    if depth > 0 && random.chance(9) {
        let relation = random.of(&["with child", "with descendant", "with events"]);
        node[relation] = self::node(random, depth - 1, true);
    }
    if is_following && random.chance(4) {
        node["count"] = (1 + random.below(3)).into();
        node["within"] = random.below(60).into();
    }
    node
}

fn composite_node(random: &mut Random, depth: usize, is_following: bool) -> Value {
    if random.chance(8) {
        return json!({"op": "scope", "path": random.of(&["event/L", "event/O"]), "rule": node(random, 0, false)});
    }
    let rules: Vec<Value> = (0..1 + random.below(3)).map(|_| node(random, depth - 1, is_following)).collect();
    json!({"op": random.of(&["and", "or"]), "rules": rules, "is stateless": random.chance(5)})
}

fn leaf(random: &mut Random) -> Value {
    let path = random.of(PATHS);
    let mut leaf = match random.below(16) {
        0..=5 => {
            let op = random.of(&["is", "contains", "starts with", "ends with", "is greater than", "is lower than"]);
            let value = match random.below(8) {
                0 => json!(format!("<<{}>>", random.of(PATHS))),
                1 => json!("[[seen]]"),
                2 => json!("{{ .event.A }}"),
                3 => json!(random.below(6)),
                _ => json!(random.of(TEXTS)),
            };
            json!({"op": op, "path": path, "value": value, "length of": random.chance(6)})
        }
        6 | 7 => json!({"op": "matches", "path": path, "re": random.of(PATTERNS)}),
        8 => json!({"op": "exists", "path": path, "truthy": random.chance(2)}),
        9 => json!({"op": "cidr", "path": path, "cidr": random.of(NETWORKS)}),
        10 => json!({"op": random.of(&["is public address", "is private address"]), "path": path}),
        11 => json!({"op": random.of(&["is windows", "is linux", "is 64 bit"])}),
        12 => json!({"op": "is tagged", "tag": random.of(&["vip", "x"])}),
        13 => json!({"op": "lookup", "path": path, "resource": "hive://lookup/words"}),
        14 => json!({"op": "string distance", "path": path, "value": random.of(TEXTS), "max": random.below(3)}),
        _ => json!({"op": "is older than", "path": "routing/event_time", "seconds": random.below(100)}),
    };
    if random.chance(3) {
        leaf["case sensitive"] = random.chance(2).into();
    }
    if random.chance(5) {
        leaf["file name"] = true.into();
    }
    if random.chance(8) {
        leaf["sub domain"] = random.of(&[":", "-1", "0:2", "-2:"]).into();
    }
    leaf
}

pub fn rule(random: &mut Random) -> Value {
    let actions = [
        json!({"action": "report", "name": "r {{ .routing.sid }}", "suppression": {"max_count": 2, "period": "10s", "keys": ["{{ .event.A }}"]}}),
        json!({"action": "add var", "name": "seen", "value": "<<event/A>>"}),
        json!({"action": "del var", "name": "seen", "value": "<<event/B>>"}),
        json!({"action": "task", "command": "run {{ .event.A }} <<event/B>>"}),
        json!({"action": "task", "command": "{{ .event.NOPE.DEEP }}"}),
    ];
    let respond: Vec<Value> = (0..1 + random.below(2)).map(|_| random.of(&actions)).collect();
    let mut detect = node(random, 3, false);
    if random.chance(8) {
        detect = json!({"target": "detection", "op": "is", "path": "detect/event/A", "value": random.of(TEXTS), "event": "*"});
    }
    json!({"detect": detect, "respond": respond})
}

fn letters(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| random.of(&['a', 'B', 'b', '\\', '.', '\u{e9}'])).collect()
}

fn text_leaf(random: &mut Random) -> Value {
    let length = 1 + random.below(9);
    let value = letters(random, length);
    let path = random.of(&["event/A", "event/B", "event/L", "event/O/A"]);
    let is_case_sensitive = random.chance(4);
    if random.chance(8) {
        let re = format!("{}.*[ab]{{2}}", value.replace('\\', "\\\\"));
        return json!({"op": "matches", "path": path, "re": re, "case sensitive": is_case_sensitive});
    }
    let op = random.of(&["is", "contains", "starts with", "ends with"]);
    let mut leaf = json!({"op": op, "path": path, "value": value, "case sensitive": is_case_sensitive});
    if op == "contains" && random.chance(6) {
        leaf["count"] = 2.into();
    }
    leaf
}

/// A rule on texts alone.
pub fn text_rule(random: &mut Random) -> Value {
    let list = |random: &mut Random| {
        let rules: Vec<Value> = (0..1 + random.below(5)).map(|_| text_leaf(random)).collect();
        json!({"op": "or", "rules": rules, "not": random.chance(4)})
    };
    let mut detect = match random.below(3) {
        0 => text_leaf(random),
        1 => list(random),
        _ => json!({"op": "and", "rules": [list(random), text_leaf(random)]}),
    };
    if random.chance(3) {
        detect["event"] = random.of(KINDS).into();
    }
    json!({"detect": detect, "respond": [{"action": "report", "name": "r"}]})
}

/// An event with texts alone.
pub fn text_event(random: &mut Random) -> Value {
    let mut text = |most: usize| {
        let length = random.below(most);
        Value::from(letters(random, length))
    };
    let event = json!({"A": text(40), "B": text(12), "L": [text(10), text(24)], "O": {"A": text(9)}});
    json!({"routing": {"event_type": random.of(KINDS), "sid": "s1", "event_time": 1_700_000_000_000_u64}, "event": event})
}
