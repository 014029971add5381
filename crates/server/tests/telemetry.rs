//! What the server tells of itself to those who watch it.

#[path = "support/host.rs"]
mod host;

use host::{Host, event};
use muster_store::{Store, StoreError};
use reqwest::Method;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

/// Status and text of a GET at an address.
async fn ask(host: &Host, address: SocketAddr, path: &str) -> (u16, String) {
    let response = host.client.get(format!("http://{address}{path}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The value of a series on the page.
async fn series(host: &Host, name: &str) -> u64 {
    let (status, page) = ask(host, host.server.bound.metrics.unwrap(), "/metrics").await;
    assert!(status == 200 && page.ends_with("# EOF\n"), "{status}: {page}");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

async fn watched() -> (Host, muster_store::Faults) {
    let (store, faults) = Store::memory_with_faults();
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let dir = Arc::new(tempfile::tempdir().unwrap());
    (Host::start_with(dir, store, |config| config.metrics = free).await, faults)
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (host, _) = watched().await;
    let (events, commits) = ("muster_records_total{stream=\"event\"}", "muster_store_commits_total");
    assert_eq!(series(&host, events).await, 0);
    let before = series(&host, commits).await;
    host.emit(&[event(1, "TEST"), event(2, "TEST")]).await;
    assert_eq!(series(&host, events).await, 2);
    assert!(series(&host, commits).await > before);
    assert_eq!(series(&host, "muster_organizations").await, 1);

    let refused = "muster_requests_total{status=\"4xx\"}";
    let before = series(&host, refused).await;
    assert_eq!(ask(&host, host.server.bound.http.unwrap(), "/v1/no/such/route").await.0, 404);
    assert_eq!(series(&host, refused).await, before + 1);
}

#[tokio::test]
async fn a_server_whose_store_refuses_is_alive_and_not_ready() {
    let (host, faults) = watched().await;
    for address in [host.server.bound.metrics.unwrap(), host.server.bound.http.unwrap()] {
        assert_eq!(ask(&host, address, "/healthz").await, (200, "alive\n".to_owned()));
        assert_eq!(ask(&host, address, "/readyz").await, (200, "ready\n".to_owned()));
        faults.fail_all(Some(StoreError::Full));
        assert_eq!(ask(&host, address, "/healthz").await.0, 200);
        let (status, why) = ask(&host, address, "/readyz").await;
        assert!(status == 503 && why.contains("not ready"), "{status}: {why}");
        faults.fail_all(None);
    }
}

#[tokio::test]
async fn five_8_a_volume_that_cannot_be_written_is_503_and_is_taken_up_again_without_a_restart() {
    let (host, faults) = watched().await;
    let make = || host.request(Method::POST, "installationkeys/{oid}").form(&[("desc", "laptops")]).send();
    let is_ready = || ask(&host, host.server.bound.http.unwrap(), "/readyz");
    for _ in 0..3 {
        faults.fail_all(Some(StoreError::Unavailable("attempt to write a readonly database".into())));
        let refused = make().await.unwrap();
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(refused.json::<Value>().await.unwrap()["error_code"], "unavailable");
        assert_eq!(is_ready().await.0, 503);
        faults.fail_all(None);
        assert_eq!(make().await.unwrap().status(), 200);
        assert_eq!(is_ready().await, (200, "ready\n".to_owned()));
    }
}

#[tokio::test]
async fn the_figures_are_on_their_own_listener_only() {
    let (host, _) = watched().await;
    assert_eq!(ask(&host, host.server.bound.http.unwrap(), "/metrics").await.0, 404);
    assert_eq!(ask(&host, host.server.bound.metrics.unwrap(), "/v1/who").await.0, 404);
}
