//! Rules and events from a seed, so that a run needs nothing from elsewhere.

use crate::programs::{ORDINARY, TOOLS};
use crate::random::Random;
use crate::sigma::{Item, Rule, Scalar, Selection, Test};
use serde_json::{Map, Value, json};

const FOLDERS: &[&str] = &["Windows\\System32", "Program Files\\Vendor", "Users\\ada\\AppData\\Local", "ProgramData"];

impl Random {
    fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// A rule in the shape of the public corpora.
    pub fn rule(&mut self, at: usize) -> Rule {
        let (category, selections, condition) = match self.below(10) {
            0..=6 => self.process_rule(),
            7 | 8 => {
                let test = [Test::EndsWith, Test::Is][self.below(2)];
                let names = (0..1 + self.below(4)).map(|_| format!("{}.{}.com", self.word(), self.word())).collect();
                ("dns_query", vec![selection("selection", vec![texts("QueryName", test, names)])], "selection")
            }
            _ => {
                let port = Scalar::Number(1024 + self.below(60_000) as i64);
                let items = vec![
                    texts("Image", Test::EndsWith, vec![format!("\\{}.exe", self.of(TOOLS))]),
                    Item { field: "DestinationPort".into(), test: Test::Is, is_all: false, values: vec![port] },
                ];
                ("network_connection", vec![selection("selection", items)], "selection")
            }
        };
        Rule { title: format!("made {at}"), category: category.into(), selections, condition: condition.into() }
    }

    fn process_rule(&mut self) -> (&'static str, Vec<Selection>, &'static str) {
        let image = texts("Image", Test::EndsWith, vec![format!("\\{}.exe", self.of(TOOLS))]);
        let flags: Vec<String> = (0..1 + self.below(5)).map(|_| format!(" -{}", self.word())).collect();
        let parent = texts("ParentImage", Test::EndsWith, vec![format!("\\{}.exe", self.of(TOOLS))]);
        let filter = texts("ParentImage", Test::Contains, vec![format!("\\{}\\", self.word())]);
        let of_any = "all of selection_* and not 1 of filter_*";
        let parts = match self.below(10) {
            0..=4 => vec![
                selection("selection_img", vec![image]),
                selection("selection_cli", vec![texts("CommandLine", Test::Contains, flags)]),
                selection("filter_main", vec![filter]),
            ],
            5 | 6 => {
                let name = vec![format!("\\{}.exe", self.word())];
                let child = vec![parent, texts("Image", Test::EndsWith, name)];
                vec![selection("selection_child", child), selection("filter_main", vec![filter])]
            }
            7 | 8 => {
                let mut all = texts("CommandLine", Test::Contains, flags);
                all.is_all = all.values.len() > 1;
                vec![selection("selection_all", vec![all]), selection("filter_main", vec![filter])]
            }
            _ => {
                let re = format!("(?i){}\\s+.*-{}[0-9]{{2,4}}", self.of(TOOLS), self.word());
                let pattern = texts("CommandLine", Test::Pattern, vec![re]);
                vec![selection("selection_re", vec![pattern]), selection("filter_main", vec![filter])]
            }
        };
        ("process_creation", parts, of_any)
    }

    /// A category with the fields of an event.
    pub fn event(&mut self) -> (&'static str, Map<String, Value>) {
        let user = format!("CORP\\{}", self.word());
        let image = format!("C:\\{}\\{}.exe", self.of(FOLDERS), self.of(ORDINARY));
        let (category, fields) = match self.below(10) {
            0..=5 => {
                let (folder, word) = (self.of(FOLDERS), self.word());
                let line = format!(
                    "\"C:\\{folder}\\{word}.exe\" --type={} -{} /prefetch:{}",
                    self.word(),
                    self.word(),
                    self.below(9)
                );
                let parent = format!("C:\\{}\\{}.exe", self.of(FOLDERS), self.of(ORDINARY));
                let fields = json!({
                    "Image": image, "CommandLine": line, "ParentImage": parent, "ParentCommandLine": format!("{parent} -k {}", self.word()),
                    "User": user, "OriginalFileName": format!("{}.exe", self.of(ORDINARY)), "IntegrityLevel": "Medium",
                    "CurrentDirectory": format!("C:\\Users\\{}\\", self.word()), "Hashes": format!("MD5={},IMPHASH={}", self.hex(), self.hex()),
                    "Description": self.word(), "Company": "Example Corporation", "Product": self.word(), "FileVersion": "10.0.1.2",
                    "ProcessId": self.below(60_000), "ParentProcessId": self.below(60_000),
                });
                ("process_creation", fields)
            }
            6 | 7 => {
                let name = format!("{}.{}.com", self.word(), self.word());
                (
                    "dns_query",
                    json!({"QueryName": name, "QueryStatus": "0", "QueryResults": "203.0.113.9;", "Image": image, "ProcessId": 4120}),
                )
            }
            _ => {
                let to = format!("{}.0.113.9", 11 + self.below(200));
                let fields = json!({
                    "Image": image, "User": user, "Protocol": "tcp", "Initiated": "true", "SourceIp": "10.1.4.7", "SourcePort": 50_000 + self.below(9_000),
                    "DestinationIp": to, "DestinationPort": 443, "ProcessId": 4120,
                });
                ("network_connection", fields)
            }
        };
        (category, fields.as_object().cloned().unwrap_or_default())
    }
}

fn texts(field: &str, test: Test, values: Vec<String>) -> Item {
    Item { field: field.into(), test, is_all: false, values: values.into_iter().map(Scalar::Text).collect() }
}

fn selection(name: &str, items: Vec<Item>) -> Selection {
    Selection { name: name.into(), groups: vec![items] }
}
