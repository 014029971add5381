//! Which server is the right one.
//!
//! The authority of the installation key must have signed its certificate for the name in the key, as
//! everywhere. One thing is different: a clock that stands before the certificate is taken to be wrong, not the
//! certificate. See docs/adr/0013-a-clock-before-the-certificate.md.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Trusts one authority.
#[derive(Debug)]
pub(super) struct Trust(Arc<WebPkiServerVerifier>);

impl Trust {
    /// Trusts the authority with this certificate.
    pub(super) fn new(ca_der: &[u8], provider: Arc<CryptoProvider>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca_der)).map_err(io::Error::other)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().map(Self).map_err(io::Error::other)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |now| self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verify(now) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before })) => {
                let behind_s = not_before.as_secs().saturating_sub(time.as_secs());
                tracing::warn!(behind_s, "this endpoint's clock stands before the certificate of its server");
                verify(not_before)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2034, 1, 1);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_clock_before_the_certificate_is_forgiven_and_nothing_else_is() {
        let (ours, other) = (authority(), authority());
        let mut params = CertificateParams::new(vec!["muster.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &ours).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let is_right = |authority: &CertifiedIssuer<'_, KeyPair>, name: &str, at_s: u64| {
            let trust = Trust::new(authority.der(), Arc::clone(&provider)).unwrap();
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at_s));
            trust.verify_server_cert(leaf.der(), &[], &name, &[], now).is_ok()
        };
        // 1970, between the births of authority and certificate, its life, and after its end.
        for (at_s, right) in [(0, true), (1_750_000_000, true), (1_780_000_000, true), (1_800_000_000, false)] {
            assert_eq!(is_right(&ours, "muster.test", at_s), right, "at {at_s}");
            assert!(!is_right(&ours, "other.test", at_s) && !is_right(&other, "muster.test", at_s), "at {at_s}");
        }
    }
}
