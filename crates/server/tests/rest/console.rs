//! Signing in to the console, its sessions, and what a foreign page cannot do with them.

use crate::world::World;
use muster_model::Oid;
use muster_server::access::{owner_permissions, role_permissions};
use muster_server::{console, random};
use reqwest::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

/// A browser with the cookie of a session, on a page of this server.
struct Browser<'a> {
    world: &'a World,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Comes in by the link that `muster up` prints, as a new owner.
    async fn of_owner(world: &'a World, email: &str) -> Self {
        let once = console::create_for_owner(&world.server.app.console, world.oid).await.unwrap();
        let form = [("once", once.as_str()), ("user", email), ("password", PASSWORD)];
        let (status, cookie, answer) = own_page(world, "POST", "/console/api/link/use", &form).await;
        assert_eq!(status, 200, "{answer}");
        Self { world, cookie }
    }

    async fn call(&self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.world.request(method, path).header("cookie", &self.cookie);
        if method != "GET" {
            request = request.header("sec-fetch-site", "same-origin").header("x-muster-console", "1").form(form);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }
}

/// A call of a page of this server without a session; gives the status, the cookie that it sets, and the answer.
async fn own_page(world: &World, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, String, Value) {
    let request = world.request(method, path).header("sec-fetch-site", "same-origin").header("x-muster-console", "1");
    let answer = request.form(form).send().await.unwrap();
    let cookie = answer.headers().get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
    let cookie = cookie.unwrap_or_default();
    for part in ["__Host-muster-session=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.is_empty() || cookie.contains(part), "{cookie} lacks {part}");
    }
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    (answer.status().as_u16(), cookie, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_first_user_comes_in_by_a_link_that_works_once_and_later_with_a_password() {
    let world = World::new().await;
    let once = console::create_for_owner(&world.server.app.console, world.oid).await.unwrap();
    let (status, _, link) = own_page(&world, "POST", "/console/api/link", &[("once", &once)]).await;
    assert_eq!((status, &link["purpose"]), (200, &"new-user".into()));
    let short = [("once", once.as_str()), ("user", "ana@example.org"), ("password", "short")];
    let (status, cookie, _) = own_page(&world, "POST", "/console/api/link/use", &short).await;
    assert_eq!((status, cookie.as_str()), (400, ""), "a bad password must not spend the link");
    let form = [("once", once.as_str()), ("user", "Ana@Example.org"), ("password", PASSWORD)];
    let (status, cookie, _) = own_page(&world, "POST", "/console/api/link/use", &form).await;
    assert!(status == 200 && !cookie.is_empty());
    let audited = world.audited().await;
    assert!(audited.iter().any(|(_, record)| record["entity"]["name"] == "ana@example.org"), "who came in is told");
    let other = [("once", once.as_str()), ("user", "eve@example.org"), ("password", PASSWORD)];
    assert_eq!(own_page(&world, "POST", "/console/api/link/use", &other).await.0, 404, "a link works once");

    let ana = Browser { world: &world, cookie };
    let (_, session) = ana.call("GET", "/console/api/session", &[]).await;
    assert_eq!(session["user"], "ana@example.org");
    assert_eq!(session["organizations"][0]["oid"], world.oid.to_string());
    assert_eq!(ana.call("GET", &format!("orgs/{}", world.oid), &[]).await.0, 200, "the same API as with a token");

    let right = [("user", "ANA@example.org"), ("password", PASSWORD)];
    let (status, cookie, _) = own_page(&world, "POST", "/console/api/sign-in", &right).await;
    assert!(status == 200 && !cookie.is_empty() && cookie != ana.cookie, "each session has an id of its own");
    let unknown = own_page(&world, "POST", "/console/api/sign-in", &[("user", "x@y"), ("password", PASSWORD)]).await;
    let wrong = [("user", "ana@example.org"), ("password", "wrong horse battery")];
    let wrong = own_page(&world, "POST", "/console/api/sign-in", &wrong).await;
    assert_eq!((unknown.0, &unknown.2), (wrong.0, &wrong.2), "who exists is not told");
    let origins: Vec<Value> = world.audited().await.into_iter().map(|(_, record)| record["origin"].clone()).collect();
    assert!(origins.contains(&"console".into()), "{origins:?}");
}

#[tokio::test]
async fn who_is_signed_in_makes_an_organization_and_is_in_it_at_once() {
    let world = World::new().await;
    let ana = Browser::of_owner(&world, "ana@example.org").await;
    let (status, made) = ana.call("POST", "orgs/new", &[("name", "second")]).await;
    assert_eq!(status, 200, "{made}");
    let oid = made["data"]["oid"].as_str().unwrap();
    let (_, session) = ana.call("GET", "/console/api/session", &[]).await;
    let of_session = session["organizations"].as_array().unwrap();
    assert!(of_session.iter().any(|one| one["oid"] == oid && one["name"] == "second"), "{session}");
    assert_eq!(ana.call("GET", &format!("orgs/{oid}"), &[]).await.0, 200, "without signing in again");
    let preview = [("oid", oid), ("action", "preview"), ("data", "{}")];
    let (status, answer) = ana.call("POST", "extension/request/ext-reliable-tasking", &preview).await;
    assert_eq!((status, &answer["data"]["total_sensors"]), (200, &0.into()), "{answer}");
}

#[tokio::test]
async fn a_file_travels_for_a_session_and_not_after_it() {
    let world = World::new().await;
    let ana = Browser::of_owner(&world, "ana@example.org").await;
    let address = |answer: &Value, name: &str| {
        let url = answer[name].as_str().unwrap();
        format!("/{}", url.splitn(4, '/').last().unwrap())
    };
    let path = format!("payload/{}/tool.sh", world.oid);
    let (_, answer) = ana.call("POST", &path, &[]).await;
    let sent = world.request("PUT", &address(&answer, "put_url")).body("echo tool").send().await.unwrap();
    assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
    let (_, answer) = ana.call("GET", &path, &[]).await;
    let (_, late) = ana.call("GET", &path, &[]).await;
    let read = world.request("GET", &address(&answer, "get_url")).send().await.unwrap();
    assert_eq!(read.text().await.unwrap(), "echo tool");
    assert_eq!(ana.call("POST", "/console/api/sign-out", &[]).await.0, 200);
    let read = world.request("GET", &address(&late, "get_url")).send().await.unwrap();
    assert_eq!(read.status(), 404, "an address ends with the session that it was given to");
}

#[tokio::test]
async fn requests_of_other_pages_are_refused() {
    let world = World::new().await;
    let ana = Browser::of_owner(&world, "ana@example.org").await;
    let path = format!("orgs/{}/name", world.oid);
    let request = || world.request("POST", &path).header("cookie", &ana.cookie).form(&[("name", "taken over")]);
    let origin = format!("http://{}", world.server.bound.http.unwrap());
    let cases = [
        ("a form of another site", request().header("sec-fetch-site", "cross-site").header("x-muster-console", "1")),
        (
            "a form of another site of the same domain",
            request().header("sec-fetch-site", "same-site").header("x-muster-console", "1"),
        ),
        ("a form that cannot set the header", request().header("sec-fetch-site", "same-origin")),
        (
            "an older browser on another site",
            request().header("origin", "http://evil.example").header("x-muster-console", "1"),
        ),
        ("nothing that says where it was made", request().header("x-muster-console", "1")),
        (
            "another name that leads here",
            request().header("origin", &origin).header("x-muster-console", "1").header("host", "evil.example"),
        ),
    ];
    for (what, request) in cases {
        assert_eq!(request.send().await.unwrap().status(), 403, "{what}");
    }
    let rebound = world.request("GET", &format!("orgs/{}", world.oid)).header("cookie", &ana.cookie);
    assert_eq!(rebound.header("host", "evil.example").send().await.unwrap().status(), 403, "not even to read");
    let sign_in = world.request("POST", "/console/api/sign-in").header("sec-fetch-site", "cross-site");
    let sign_in = sign_in.form(&[("user", "ana@example.org"), ("password", PASSWORD)]).send().await.unwrap();
    assert_eq!(sign_in.status(), 403, "nobody is signed in by another site");
    let own = request().header("origin", &origin).header("x-muster-console", "1").send().await.unwrap();
    assert_eq!(own.status(), 200, "an older browser on the console's own page");
    let name = world.ok("GET", &format!("orgs/{}", world.oid), &[]).await["name"].clone();
    assert_eq!(name, "taken over");
}

#[tokio::test]
async fn sessions_end_when_they_are_ended_when_the_password_changes_and_when_the_user_goes() {
    let world = World::new().await;
    let ana = Browser::of_owner(&world, "ana@example.org").await;
    let sign_in = || async {
        let form = [("user", "ana@example.org"), ("password", PASSWORD)];
        let (_, cookie, _) = own_page(&world, "POST", "/console/api/sign-in", &form).await;
        Browser { world: &world, cookie }
    };
    let (second, third) = (sign_in().await, sign_in().await);
    let (_, listed) = ana.call("GET", "/console/api/sessions", &[]).await;
    let others: Vec<&Value> =
        listed["sessions"].as_array().unwrap().iter().filter(|one| one["is_this"] == false).collect();
    assert_eq!(others.len(), 2);
    let bo = Browser::of_owner(&world, "bo@example.org").await;
    let id = others[0]["id"].as_str().unwrap();
    assert_eq!(bo.call("DELETE", &format!("/console/api/sessions/{id}"), &[]).await.0, 404, "not somebody else's");
    assert_eq!(ana.call("DELETE", &format!("/console/api/sessions/{id}"), &[]).await.0, 200);
    let ended = [&second, &third];
    let mut statuses = Vec::new();
    for browser in ended {
        statuses.push(browser.call("GET", "/console/api/session", &[]).await.0);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "one of the two was ended");

    let change = [("present", PASSWORD), ("password", "another horse battery")];
    assert_eq!(ana.call("POST", "/console/api/password", &change).await.0, 200);
    for browser in ended {
        let (status, answer) = browser.call("GET", "/console/api/session", &[]).await;
        assert_eq!((status, &answer["error_code"]), (401, &"signed_out".into()));
    }
    assert_eq!(ana.call("GET", "/console/api/session", &[]).await.0, 200, "who changes it stays");
    let world_of_ana = format!("orgs/{}/users", world.oid);
    assert_eq!(bo.call("DELETE", &world_of_ana, &[("email", "ana@example.org")]).await.0, 200);
    assert_eq!(ana.call("GET", &world_of_ana, &[]).await.0, 404, "what was taken is taken at once");
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_wrong_passwords_are_slowed_down() {
    let world = World::durable().await;
    let cookie = Browser::of_owner(&world, "ana@example.org").await.cookie;
    let world = world.restart().await;
    let ana = Browser { world: &world, cookie };
    assert_eq!(ana.call("GET", "/console/api/session", &[]).await.0, 200);
    for _ in 0..5 {
        let wrong = [("user", "ana@example.org"), ("password", "wrong horse battery")];
        assert_eq!(own_page(&world, "POST", "/console/api/sign-in", &wrong).await.0, 401);
    }
    let right = [("user", "ana@example.org"), ("password", PASSWORD)];
    let (status, cookie, answer) = own_page(&world, "POST", "/console/api/sign-in", &right).await;
    assert_eq!((status, &answer["error_code"], cookie.as_str()), (429, &"too_many_tries".into(), ""));
    assert_eq!(ana.call("GET", "/console/api/session", &[]).await.0, 200, "who is in stays in");
}

#[tokio::test]
async fn a_link_makes_nobody_more_than_its_maker() {
    let world = World::new().await;
    let ana = Browser::of_owner(&world, "ana@example.org").await;
    let link = format!("orgs/{}/users/link", world.oid);
    let manager: Vec<String> = vec!["user.ctrl".into(), "org.get".into()];
    let manager = world.token_of(world.oid, &manager).await;
    let calls: [&[(&str, &str)]; 3] = [&[("email", "ana@example.org")], &[], &[("role", "Administrator")]];
    for form in calls {
        assert_eq!(world.call_as(Some(&manager), "POST", &link, form).await.0, 403, "{form:?}");
    }
    // A user who also belongs elsewhere is out of reach of those who rule only here.
    let other = Oid(random::uuid());
    world.organization(other).await;
    let both = [(world.oid, role_permissions("Viewer").unwrap()), (other, owner_permissions())];
    world.user("both@example.org", both.into()).await;
    let (status, _) = ana.call("POST", &link, &[("email", "both@example.org")]).await;
    assert_eq!(status, 403);
    let (status, made) = ana.call("POST", &link, &[("role", "Viewer")]).await;
    assert_eq!((status, &made["purpose"]), (200, &"new-user".into()));
}

#[tokio::test]
async fn pages_carry_the_security_policy_and_are_served_to_loopback_names_alone() {
    let world = World::new().await;
    let answer = world.request("GET", "/console/anything").send().await.unwrap();
    let built = muster_console::is_built();
    assert_eq!(answer.status(), if built { 200 } else { 503 });
    let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    for part in ["default-src 'none'", "script-src 'self'", "trusted-types 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy} lacks {part}");
    }
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let text = answer.text().await.unwrap();
    assert!(built || text.contains("not in this build"), "{text}");
    let missing = world.request("GET", "/console/assets/no-such-file.js").send().await.unwrap();
    assert_eq!(missing.status(), if built { 404 } else { 503 }, "a missing script is not the page");
    let rebound = world.request("GET", "/console/").header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
    let api = world.request("POST", "/console/api/sign-in").send().await.unwrap();
    assert_eq!((api.status().as_u16(), api.headers()["x-content-type-options"].to_str().unwrap()), (403, "nosniff"));
}
