//! How the server stands that holds an organization, as far as its operators have to know it.

use super::super::health::readiness;
use super::super::{Access, ApiError, Call, Method, Reply, Route};
use crate::clock;
use crate::pki::{RENEW_CERTIFICATE, REPLACE_AUTHORITY, Standing, Validity};
use muster_api_types::{CertificateStanding, ServerStanding};
use std::collections::BTreeMap;

pub(super) fn routes() -> Vec<Route> {
    let about =
        "Whether the server takes changes, until when its certificates are valid, and the versions of its sensors";
    vec![
        Route::new(Method::Get, "/orgs/{oid}/standing", Access::May("org.get"), about, standing)
            .answers::<ServerStanding>("organization_standing"),
    ]
}

async fn standing(call: Call) -> Result<Reply, ApiError> {
    let sensor_versions = versions(&call)?;
    let pki = &call.app.pki;
    Ok(Reply::json(&ServerStanding {
        certificates: vec![
            certificate("private CA", pki.authority_validity, REPLACE_AUTHORITY),
            certificate("server certificate", pki.validity, RENEW_CERTIFICATE),
        ],
        sensor_versions,
        unready: readiness(&call.app).await.err(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

fn versions(call: &Call) -> Result<BTreeMap<String, u64>, ApiError> {
    let state = call.organization()?.state.lock();
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for row in state.fleet.live().iter().filter_map(|ordinal| state.fleet.row(ordinal)) {
        *versions.entry(&row.sensor.version).or_default() += 1;
    }
    Ok(versions.into_iter().map(|(version, count)| (version.to_owned(), count)).collect())
}

fn certificate(name: &str, validity: Validity, advice: &str) -> CertificateStanding {
    let advice = match validity.standing(clock::now()) {
        Standing::Valid(_) => None,
        Standing::Ending(_) | Standing::Expired => Some(advice),
        Standing::NotYet => Some("the clock of the server is wrong: set it, and keep it right with NTP"),
    };
    CertificateStanding { advice: advice.map(str::to_owned), name: name.to_owned(), until: validity.until.as_secs() }
}
