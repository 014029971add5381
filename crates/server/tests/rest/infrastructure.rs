//! The configuration of an organization as one document.

use crate::world::World;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use muster_model::Oid;
use muster_server::random;
use muster_service::extension::{DataType, Element, Extension, ObjectSchema};
use muster_service::{Settings, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ALL: &str = r#"{"sync_outputs":true,"sync_resources":true,"sync_extensions":true,"sync_org_values":true,
    "sync_artifacts":true,"sync_installation_keys":true,"sync_integrity":true,"sync_exfil":true,"sync_yara":true,
    "sync_hives":{"dr-general":true,"fp":true,"lookup":true,"secret":true,"dr-mail":true}}"#;

const DOCUMENT: &str = r#"%YAML 1.1
---
version: 3
outputs:
  o1: {module: syslog, for: event, dest_host: 'logs.example.com:514', is_tls: true}
resources:
  service: [exfil]
extensions: [ext-reliable-tasking]
org-value: {otx: some text}
artifact:
  logs: {patterns: [/var/log/a.log], tags: [], platforms: [linux], days_retention: 7}
installation_keys:
- {desc: laptops, tags: [b, a]}
- {desc: laptops, tags: [c]}
hives:
  dr-general:
    r1:
      data:
        detect: {event: DNS_REQUEST, op: lookup, path: event/DOMAIN_NAME, resource: 'hive://lookup/bad'}
        respond: [{action: report, name: bad}]
      usr_mtd: {enabled: true, tags: [t], comment: c, expiry: 0}
  fp:
    f1: {data: {op: is, path: cat, value: noisy}, usr_mtd: {enabled: true}}
  lookup:
    bad: {data: {lookup_data: {evil.example: {}}}, usr_mtd: {enabled: true}}
  secret:
    s1: {data: {secret: 1e3}}
"#;

impl World {
    async fn push(&self, config: &str, options: &Value) -> Value {
        let mut wanted: Value = serde_json::from_str(ALL).unwrap();
        wanted.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let data = json!({"config": config, "options": wanted}).to_string();
        let form = [("oid", self.oid.to_string()), ("action", "push".into()), ("data", data)];
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.ok("POST", "extension/request/ext-infrastructure", &form).await["data"].take()
    }

    async fn pull(&self) -> Value {
        let data = format!(r#"{{"options":{ALL}}}"#);
        let oid = self.oid.to_string();
        let form = [("oid", oid.as_str()), ("action", "fetch"), ("data", data.as_str())];
        self.ok("POST", "extension/request/ext-infrastructure", &form).await["data"]["org"].take()
    }
}

/// `+ type name` and so on, in order.
fn operations(answer: &Value) -> Vec<String> {
    assert_eq!(answer["errors"], json!([]), "{answer}");
    let word = |operation: &Value| match (operation["is_added"].as_bool(), operation["is_removed"].as_bool()) {
        (Some(true), Some(false)) => '+',
        (Some(false), Some(true)) => '-',
        (Some(false), Some(false)) => '=',
        other => panic!("{other:?}"),
    };
    let show = |operation: &Value| {
        let text = |name: &str| operation[name].as_str().unwrap().to_owned();
        format!("{} {} {}", word(operation), text("type"), text("name"))
    };
    answer["ops"].as_array().unwrap().iter().map(show).collect()
}

#[tokio::test]
async fn a_push_makes_the_organization_look_like_the_document() {
    let world = World::new().await;
    let expected = [
        "+ resource replicant/exfil",
        "+ extension ext-reliable-tasking",
        "+ org-value otx",
        "+ output o1",
        "+ artifact logs",
        "+ hives lookup/bad",
        "+ hives dr-general/r1",
        "+ hives fp/f1",
        "+ hives secret/s1",
        "+ installation_key laptops",
        "+ installation_key laptops",
    ];
    let dry = world.push(DOCUMENT, &json!({"is_dry_run": true})).await;
    assert_eq!(operations(&dry), expected);
    let nothing = world.pull().await;
    assert_eq!(
        (&nothing["outputs"], &nothing["hives"]["secret"]),
        (&json!({}), &json!({})),
        "a dry run changes nothing"
    );
    assert!(world.audited().await.is_empty());

    assert_eq!(operations(&world.push(DOCUMENT, &json!({})).await), expected);
    assert_eq!(world.audited().await.len(), expected.len());
    let pulled = world.pull().await;
    assert_eq!(pulled["hives"]["secret"]["s1"]["data"], json!({"secret": "1e3"}), "text of the older YAML stays text");
    assert_eq!(
        pulled["installation_keys"][0],
        json!({"desc": "laptops", "tags": ["a", "b"], "use_public_root_ca": false})
    );
    assert_eq!(pulled["resources"], json!({"replicant": ["exfil"]}));
    assert_eq!(pulled["extensions"], json!(["ext-reliable-tasking"]));
    assert_eq!(pulled["hives"]["dr-general"]["r1"]["usr_mtd"]["tags"], json!(["t"]));
    let outputs = world.ok("GET", &format!("outputs/{}", world.oid), &[]).await;
    assert_eq!(outputs[world.oid.to_string()]["o1"]["module"], "syslog");

    // What was pulled changes nothing, forced or not.
    for options in [json!({}), json!({"is_force": true})] {
        let again = operations(&world.push(&pulled.to_string(), &options).await);
        assert!(again.len() == expected.len() && again.iter().all(|operation| operation.starts_with('=')), "{again:?}");
    }
    assert_eq!(world.audited().await.len(), expected.len());
}

#[tokio::test]
async fn force_deletes_what_the_document_lacks_and_nothing_else() {
    let world = World::new().await;
    world.push(DOCUMENT, &json!({})).await;
    let settings = [
        ("name", "tmp"),
        ("module", "syslog"),
        ("type", "event"),
        ("dest_host", "h.example.com:1"),
        ("is_delete_on_failure", "true"),
    ];
    world.ok("POST", &format!("outputs/{}", world.oid), &settings).await;
    let document = "version: 3\nhives: {fp: {f1: {data: {op: is, path: cat, value: loud}}}}\ninstallation_keys: [{desc: laptops, tags: [z]}]";
    let unforced = operations(&world.push(document, &json!({})).await);
    assert_eq!(unforced, ["+ hives fp/f1", "+ installation_key laptops"]);
    let pulled = world.pull().await;
    assert_eq!(pulled["hives"]["fp"]["f1"]["usr_mtd"]["enabled"], true, "content alone keeps the metadata");

    // Outputs of clients are not configuration; sections on which access depends go only when they are there.
    let forced = operations(&world.push(document, &json!({"is_force": true})).await);
    let expected = [
        "- org-value otx",
        "- output o1",
        "- artifact logs",
        "- hives lookup/bad",
        "- hives dr-general/r1",
        "= hives fp/f1",
        "- hives secret/s1",
        "= installation_key laptops",
        "- installation_key laptops",
    ];
    assert_eq!(forced, expected);
    let pulled = world.pull().await;
    assert_eq!(pulled["extensions"], json!(["ext-reliable-tasking"]));
    assert_eq!(pulled["hives"]["dr-general"], json!({}));
    let outputs = world.ok("GET", &format!("outputs/{}", world.oid), &[]).await;
    assert_eq!(outputs[world.oid.to_string()].as_object().unwrap().keys().collect::<Vec<_>>(), ["tmp"]);
}

#[tokio::test]
async fn one_wrong_element_and_nothing_is_applied() {
    let world = World::new().await;
    let document = "
version: 3
outputs: {good: {module: syslog, for: event, dest_host: 'h.example.com:1'}, bad: {module: pigeon, for: event}}
extensions: [ext-of-nobody]
integrity: {watched: {patterns: [/etc/passwd]}}
hives:
  dr-mail: {m: {data: {}}}
  dr-general:
    good: {data: {detect: {op: exists, path: event, event: X}, respond: []}}
    bad: {data: {detect: {op: no such, event: X}, respond: []}}
    half: {data: {detect: {op: exists, path: event, event: X}, respond: {}}}
  secret: {s: {data: {secret: 5}}}
";
    let answer = world.push(document, &json!({})).await;
    assert_eq!(answer["ops"], json!([]));
    let errors: Vec<&str> = answer["errors"].as_array().unwrap().iter().map(|error| error.as_str().unwrap()).collect();
    let places: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    let expected = [
        "extensions/ext-of-nobody",
        "outputs/bad",
        "hives/dr-mail",
        "hives/dr-general/bad",
        "hives/dr-general/half",
        "hives/secret/s",
        "integrity",
    ];
    assert_eq!(places, expected, "{errors:?}");
    let pulled = world.pull().await;
    assert_eq!((&pulled["outputs"], &pulled["hives"]["dr-general"]), (&json!({}), &json!({})));
}

#[tokio::test]
async fn every_section_needs_its_own_permission() {
    let world = World::new().await;
    let permissions = ["ext.request", "output.list", "output.set", "dr.list"].map(str::to_owned);
    let token = world.token_of(world.oid, &permissions).await;
    let oid = world.oid.to_string();
    let call = async |action: &str, data: Value, more: &[(&str, &str)]| {
        let data = data.to_string();
        let form = [&[("oid", oid.as_str()), ("action", action), ("data", data.as_str())], more].concat();
        world.call_as(Some(&token), "POST", "extension/request/ext-infrastructure", &form).await
    };
    let cases = [
        ("fetch", json!({"options": {"sync_outputs": true, "sync_hives": {"dr-general": true}}}), None),
        ("fetch", json!({"options": {"sync_hives": {"secret": true}}}), Some("secret.get")),
        ("fetch", json!({"options": {"sync_installation_keys": true}}), Some("ikey.list")),
    ];
    for (action, data, missing) in cases {
        let (status, answer) = call(action, data, &[]).await;
        assert_eq!(status, if missing.is_some() { 401 } else { 200 }, "{answer}");
        assert!(missing.is_none_or(|name| answer["error"].as_str().unwrap().ends_with(name)), "{answer}");
    }
    let config = "version: 3\noutputs: {o: {module: file, for: event, dir: d}}\nhives: {dr-general: {r: {data: {detect: {op: exists, path: event, event: X}, respond: []}}}}";
    let push = |options: Value| json!({"config": config, "options": options});
    let both = json!({"sync_outputs": true, "sync_hives": {"dr-general": true}});
    let (status, answer) = call("push", push(both.clone()), &[]).await;
    assert_eq!((status, answer["error"].as_str().unwrap()), (401, "missing permission: dr.set"));
    assert_eq!(world.pull().await["outputs"], json!({}), "nothing is half applied");
    let mut able = both;
    able["ignore_inaccessible"] = json!(true);
    let (_, answer) = call("push", push(able.clone()), &[]).await;
    assert_eq!(operations(&answer["data"]), ["+ output o"]);

    // The extension acts as whoever's token is handed on, if it is one of this organization.
    let (_, answer) = call("push", push(able.clone()), &[("impersonator_jwt", &world.token)]).await;
    assert_eq!(operations(&answer["data"]), ["= output o", "+ hives dr-general/r"]);
    let other = Oid(random::uuid());
    world.organization(other).await;
    let stranger = world.token_of(other, &permissions).await;
    for token in ["nonsense", &stranger] {
        assert_eq!(call("push", push(able.clone()), &[("impersonator_jwt", token)]).await.0, 401);
    }
}

#[tokio::test]
async fn older_clients_have_older_sections_and_texts() {
    let world = World::new().await;
    let path = format!("service/{}/infrastructure-service", world.oid);
    let ask = async |data: Value| {
        let packed = BASE64_STANDARD.encode(data.to_string());
        world.call("POST", &path, &[("request_data", packed.as_str()), ("is_async", "False")]).await
    };
    let rule = |value: &str| {
        format!("{{namespace: managed, detect: {{op: is, event: X, path: event/A, value: {value}}}, respond: []}}")
    };
    let config = |value: &str| {
        format!("version: 3\nrules: {{r: {}}}\nfps: {{f: {{data: {{op: is, path: cat, value: é}}}}}}", rule(value))
    };
    let push = |value: &str, force: bool| json!({"action": "push", "config": config(value), "sync_dr": true, "sync_fp": true, "is_force": force, "sync_hives": {}});
    let (_, answer) = ask(push("a", false)).await;
    assert_eq!(operations(&answer), ["+ dr-rule r", "+ fp-rule f"]);
    let record = world.ok("GET", &format!("hive/dr-managed/{}/r/data", world.oid), &[]).await;
    assert_eq!(record["usr_mtd"]["enabled"], true);
    let (_, answer) = ask(json!({"action": "fetch", "sync_dr": true, "sync_fp": true})).await;
    let text = answer["org"].as_str().unwrap();
    assert!(text.is_ascii() && text.contains("\\u00e9"), "{text}");
    let push_back = json!({"action": "push", "config": text, "sync_dr": true, "sync_fp": true, "is_force": true});
    assert_eq!(operations(&ask(push_back).await.1), ["= dr-rule r", "= fp-rule f"]);
    let (status, answer) = ask(push("{}", false)).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().starts_with("rules/r: invalid rule"), "{answer}");
}

#[tokio::test]
async fn what_the_server_has_nothing_for_is_passed_over_when_that_is_asked_for_and_told() {
    let world = World::new().await;
    let config = "version: 3\npigeons: {a: 1}\nexfil: {list: {a: {events: [SYNC]}}}\nextensions: [ext-other]\n\
                  outputs: {o: {module: s3, for: event, bucket: b}, p: {module: syslog, for: event, dest_host: 'h:1'}}\n\
                  hives: {dr-mail: {r: {data: {}}}}\n";
    let skip = |more: Value| {
        let mut options = json!({"skip_unknown": true, "sync_installation_keys": false});
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    };
    let answer = world.push(config, &skip(json!({}))).await;
    assert_eq!(operations(&answer), ["+ output p"]);
    let skipped: Vec<&str> = answer["skipped"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let places = ["extensions/ext-other: ", "outputs/o: ", "hives/dr-mail: ", "exfil: ", "pigeons: "];
    assert_eq!(skipped.len(), places.len(), "{skipped:?}");
    assert!(skipped.iter().zip(places).all(|(text, place)| text.starts_with(place)), "{skipped:?}");

    // A misspelled filter is a mistake, whatever is passed over.
    let misspelled = "version: 3\noutputs: {q: {module: syslog, for: event, dest_host: 'h:1', event_whitelist: A}}";
    assert_eq!(world.push(misspelled, &skip(json!({}))).await["errors"].as_array().unwrap().len(), 1);
    // What is stored under the name of something that was passed over stays, also by force.
    let other = "version: 3\noutputs: {p: {module: s3, for: event, bucket: b}}";
    let answer = world.push(other, &skip(json!({"is_force": true}))).await;
    assert!(operations(&answer).iter().all(|operation| !operation.starts_with("- output")), "{answer}");
    assert_eq!(world.pull().await["outputs"]["p"]["module"], "syslog");
}

#[tokio::test]
async fn an_older_section_counts_where_its_hive_is_asked_for() {
    let world = World::new().await;
    let rule = "detect: {op: exists, event: X, path: event}, respond: []";
    let config = format!(
        "version: 3\nrules: {{old: {{namespace: general, {rule}}}, both: {{namespace: general, {rule}}}}}\n\
         fps: {{f: {{data: {{op: is, path: cat, value: x}}}}}}\n\
         hives: {{dr-general: {{both: {{data: {{{rule}}}, usr_mtd: {{enabled: false}}}}}}}}"
    );
    let expected = ["+ hives fp/f", "+ hives dr-general/both", "+ hives dr-general/old"];
    let sorted = |mut operations: Vec<String>| {
        operations.sort();
        operations
    };
    assert_eq!(
        sorted(operations(&world.push(&config, &json!({})).await)),
        sorted(expected.map(str::to_owned).to_vec())
    );
    let hives = world.pull().await["hives"].take();
    assert_eq!(hives["dr-general"]["both"]["usr_mtd"]["enabled"], false, "the hive says more");
    assert_eq!(hives["dr-general"]["old"]["usr_mtd"]["enabled"], true);
    let again = world.push(&config, &json!({"is_force": true})).await;
    assert!(operations(&again).iter().all(|operation| operation.starts_with('=')), "{again}");
}

/// Issue 9: extensions and services of others are in documents, and subscribed to by them.
#[tokio::test]
async fn nine_4_programs_of_others_are_subscribed_to_by_a_document_and_by_force_not_any_more() {
    let world = World::new().await;
    let oid = world.oid;
    let far = [("url", "https://far.example/"), ("perms", "org.get")];
    world.ok("POST", &format!("extensions/{oid}/ext-far"), &far).await;
    world.ok("POST", &format!("services/{oid}/far"), &far).await;
    let document = "version: 3\nextensions: [ext-reliable-tasking, ext-far]\nresources: {replicant: [far, exfil]}\n";
    let told = |sign: &str| {
        [
            format!("{sign} resource replicant/exfil"),
            format!("{sign} resource replicant/far"),
            format!("{sign} extension ext-reliable-tasking"),
            format!("{sign} extension ext-far"),
        ]
    };
    let dry = world.push(document, &json!({"is_dry_run": true})).await;
    assert_eq!(operations(&dry), told("+"));
    let is_subscribed = async |path: &str| world.ok("GET", path, &[]).await["is_subscribed"] == json!(true);
    let (extension, service) = (format!("extensions/{oid}/ext-far"), format!("services/{oid}/far"));
    assert!(!is_subscribed(&extension).await && !is_subscribed(&service).await, "a dry run changes nothing");
    assert_eq!(operations(&world.push(document, &json!({})).await), told("+"));
    assert!(is_subscribed(&extension).await && is_subscribed(&service).await);
    let waiting = world.ok("GET", &format!("{service}/deliveries"), &[]).await.to_string();
    assert!(waiting.contains("org_install"), "it is told, as with any subscription: {waiting}");
    assert_eq!(operations(&world.push(document, &json!({})).await), told("="));
    let pulled = world.pull().await;
    assert_eq!(pulled["extensions"], json!(["ext-reliable-tasking", "ext-far"]));
    assert_eq!(pulled["resources"], json!({"replicant": ["exfil", "far"]}));
    let without = "version: 3\nextensions: [ext-reliable-tasking]\nresources: {replicant: [exfil]}\n";
    world.push(without, &json!({})).await;
    assert!(is_subscribed(&extension).await, "only force takes away");
    world.push(without, &json!({"is_force": true})).await;
    assert!(!is_subscribed(&extension).await && !is_subscribed(&service).await);

    // Who lacks what a program asks for cannot give it by a document either.
    let poor = world.token_of(oid, &["ext.request", "ext.sub", "org.conf.set"].map(str::to_owned)).await;
    let data =
        json!({"config": "version: 3\nextensions: [ext-far]\n", "options": {"sync_extensions": true}}).to_string();
    let id = oid.to_string();
    let form = [("oid", id.as_str()), ("action", "push"), ("data", data.as_str())];
    let (_, answer) = world.call_as(Some(&poor), "POST", "extension/request/ext-infrastructure", &form).await;
    assert!(answer.to_string().contains("asks for org.get, which you do not have yourself"), "{answer}");
}

/// Issue 9: a configuration is shown to its extension by whichever door it comes.
#[tokio::test]
async fn nine_4_a_configuration_in_a_document_is_shown_to_its_extension() {
    let world = World::new().await;
    let oid = world.oid;
    let size = ObjectSchema::default().field("size", Element::new(DataType::Integer, "Size", "of the shoe"));
    let program = Extension::new(Settings::new("ext-picky", None)).config(size, async |call| {
        let config: Value = call.config()?;
        if config["size"] == json!(13) { Err("13 is too much".into()) } else { Ok(()) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(serve(listener, program, std::future::pending()));
    world.ok("POST", &format!("extensions/{oid}/ext-picky"), &[("url", &url)]).await;
    world.ok("POST", &format!("extensions/{oid}/ext-picky/schema"), &[]).await;
    world.ok("POST", &format!("orgs/{oid}/subscription/extension/ext-picky"), &[]).await;
    let options = json!({"sync_hives": {"extension_config": true}});
    let document =
        |size: u32| format!("version: 3\nhives: {{extension_config: {{ext-picky: {{data: {{size: {size}}}}}}}}}\n");
    let errors = world.push(&document(13), &options).await["errors"].to_string();
    assert!(errors.contains("hives/extension_config/ext-picky: ext-picky: 13 is too much"), "{errors}");
    assert_eq!(operations(&world.push(&document(12), &options).await), ["+ hives extension_config/ext-picky"]);
    serving.abort();
}
