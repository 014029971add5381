//! Commands on the registry: what the sensor is asked, and how each form shows what it found. Numbers are those of
//! reference/live-response.md section 14.

use super::*;
use muster_live::VALUE_TYPES;

/// Data of a type, as a client writes it.
fn sample(kind: &str) -> Value {
    match kind {
        "REG_DWORD" | "REG_DWORD_BIG_ENDIAN" => json!(258),
        "REG_QWORD" => json!(1_u64 << 40),
        "REG_MULTI_SZ" => json!(["one", "two words"]),
        "REG_SZ" | "REG_EXPAND_SZ" | "REG_LINK" => json!("%PATH% ä"),
        _ => json!("00ff10"),
    }
}

/// Orders a command that is answered at once; gives it as both forms show it.
async fn ask(world: &World, sensor: &Played, id: &str, request: &Value, code: u32, found: &Value) -> [Value; 2] {
    let (status, command) = call(world, "POST", &format!("{BASE}/session/{id}/command"), request).await;
    assert_eq!(status, 200, "{request}: {command}");
    let number = u32::try_from(command["id"].as_u64().unwrap()).unwrap();
    sensor.end_with(world, 1, number, code, found).await;
    let later = format!("/appservices/v6/orgs/{}/liveresponse/sessions/{id}/commands/{number}", world.oid);
    let first = call(world, "GET", &format!("{BASE}/session/{id}/command/{number}"), &Value::Null).await.1;
    // Clients fetch what has ended twice.
    assert_eq!(first, call(world, "GET", &format!("{BASE}/session/{id}/command/{number}"), &Value::Null).await.1);
    [first, call(world, "GET", &later, &Value::Null).await.1]
}

#[tokio::test]
async fn p60_values_of_every_type_reach_the_sensor_as_written_and_are_shown_typed_in_both_forms() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    sensor.told();
    for kind in VALUE_TYPES.iter().copied() {
        let (path, data) = (format!("HKLM\\Software\\x\\{kind}"), sample(kind));
        let set = json!({"name": "reg set value", "object": path, "value_type": kind, "value_data": data});
        ask(&world, &sensor, &id, &set, 0, &json!({})).await;
        let order: Value = serde_json::from_slice(&sensor.runs()[0].order).unwrap();
        let wanted = json!({"order": "reg_set_value", "path": path, "kind": kind, "data": data, "overwrite": false});
        assert_eq!(order, wanted);
        let query = json!({"name": "reg query value", "object": path});
        let found = json!({"values": [{"name": kind, "kind": kind, "data": data}]});
        let [first, later] = ask(&world, &sensor, &id, &query, 0, &found).await;
        assert_eq!(first["value"], json!({"value_name": kind, "value_type": kind, "value_data": data}));
        let text = match &data {
            Value::Array(_) => "one,two words".to_owned(),
            data => data.as_str().map_or_else(|| data.to_string(), str::to_owned),
        };
        let registry = json!({"registry_name": kind, "registry_type": kind, "registry_data": text});
        for (field, value) in registry.as_object().unwrap().iter().chain(first["value"].as_object().unwrap()) {
            assert_eq!(later["value"][field], *value, "{kind} {field}");
        }
        sensor.told();
    }
    // Who names no type means one by the data.
    for (data, kind) in [(json!(1), "REG_DWORD"), (json!(["a"]), "REG_MULTI_SZ"), (json!("a"), "REG_SZ")] {
        let set = json!({"name": "reg set value", "object": "HKLM\\x\\v", "value_data": data, "overwrite": "True"});
        ask(&world, &sensor, &id, &set, 0, &json!({})).await;
        let order: Value = serde_json::from_slice(&sensor.runs()[0].order).unwrap();
        assert_eq!((&order["kind"], &order["overwrite"]), (&json!(kind), &json!(true)));
        sensor.told();
    }
    let commands = format!("{BASE}/session/{id}/command");
    for wrong in [json!({"value_data": 1, "value_type": "REG_FLOAT"}), json!({"value_type": "REG_SZ"})] {
        let mut set = json!({"name": "reg set value", "object": "HKLM\\x\\v"});
        set.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(call(&world, "POST", &commands, &set).await.0, 400, "{wrong}");
    }
    assert!(sensor.runs().is_empty());
}

#[tokio::test]
async fn p59_p61_p62_keys_show_what_is_in_them_and_failures_keep_their_codes() {
    let (world, sensor, id) = opened().await;
    sensor.join(&world, 1, 1).await;
    let list = json!({"name": "reg enum key", "object": "HKLM\\Software\\x"});
    let found = json!({"sub_keys": ["a", "b"], "values": [
        {"name": "", "kind": "REG_SZ", "data": "the default"}, {"name": "odd", "kind": "REG_77", "data": "0a"},
    ]});
    let [first, later] = ask(&world, &sensor, &id, &list, 0, &found).await;
    assert_eq!((&first["sub_keys"], &later["sub_keys"]), (&json!(["a", "b"]), &json!(["a", "b"])));
    assert_eq!(first["values"][0]["value_name"], "");
    assert_eq!(
        (&first["values"][1]["value_type"], &first["values"][1]["value_data"]),
        (&json!("REG_77"), &json!("0a"))
    );
    assert_eq!(later["values"][1]["registry_type"], "REG_77");
    for (request, code) in [
        (json!({"name": "reg create key", "object": "HKLM\\x"}), 0),
        (json!({"name": "reg set value", "object": "HKLM\\x\\v", "value_data": "again", "overwrite": false}), 183),
        (json!({"name": "reg set value", "object": "HKLM\\x\\v", "value_data": "x", "value_type": "REG_DWORD"}), 1_804),
        (json!({"name": "reg delete value", "object": "HKLM\\x\\none"}), 2),
        (json!({"name": "reg delete key", "object": "HKLM\\x"}), 5),
        (json!({"name": "reg query value", "object": "HKXX\\x\\v"}), 1_010),
    ] {
        let hresult = if code == 0 { 0 } else { 0x8007_0000_u32 + code };
        for shown in ask(&world, &sensor, &id, &request, code, &json!({})).await {
            let is_done = shown["status"].as_str().unwrap().eq_ignore_ascii_case("complete");
            assert_eq!((is_done, &shown["result_code"]), (code == 0, &json!(hresult)), "{request}: {shown}");
            assert_eq!(shown["result_type"], "WinHresult");
        }
    }
}
