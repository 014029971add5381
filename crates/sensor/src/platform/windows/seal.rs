//! Protection of the sensor's own program.

/// Protects program and service, or ends that; gives what was not possible.
#[must_use]
pub fn protect(is_sealed: bool) -> Vec<String> {
    let unprotected = is_sealed.then(|| "program and service, which administrators can change".to_owned());
    unprotected.into_iter().collect()
}
