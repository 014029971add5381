//! Syslog over TCP or TLS, one line per record. Source: reference/events.md section 12; RFC 5424, RFC 6587.

use super::Error;
use super::destination::{self, HostPort};
use super::format::{Format, Head};
use super::settings;
use crate::clock;
use muster_model::Timestamp;
use muster_store::Queued;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Connection and TLS handshake must be over in this time.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A batch must be written in this time; a receiver that reads slower is a failed one.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Facility user-level, severity informational.
const PRIORITY: u8 = 14;

/// Longest header fields, in bytes. Source: RFC 5424 section 6.
const HOSTNAME_MAX: usize = 255;
const MSGID_MAX: usize = 32;

/// Settings of `syslog`.
pub(super) struct Settings {
    pub(super) to: HostPort,
    is_tls: bool,
    is_strict_tls: bool,
    is_no_header: bool,
    structured_data: String,
}

impl Settings {
    pub(super) fn read(settings: &settings::Settings<'_>) -> Result<Self, Error> {
        let to = HostPort::parse(&settings.require("dest_host")?);
        let is_strict_tls = settings.flag("is_strict_tls")?;
        let data = settings.text("structured_data").unwrap_or_default();
        if data.chars().any(char::is_control) {
            return Err(Error::setting("structured_data must be one line"));
        }
        let structured_data = match data.as_str() {
            "" => "-".to_owned(),
            element if element.starts_with('[') => element.to_owned(),
            inner => format!("[{inner}]"),
        };
        Ok(Self {
            to: to.ok_or_else(|| Error::setting("dest_host must be host:port"))?,
            is_tls: settings.flag("is_tls")? || is_strict_tls,
            is_strict_tls,
            is_no_header: settings.flag("is_no_header")?,
            structured_data,
        })
    }

    /// One line with its line end.
    fn frame(&self, body: &[u8], line: &[u8], now: Timestamp, to: &mut Vec<u8>) {
        if !self.is_no_header {
            let head = Head::read(body);
            let time = head.time_ms().map_or(now, Timestamp::from_millis);
            let (hostname, id) = (printable(head.hostname(), HOSTNAME_MAX), printable(head.kind(), MSGID_MAX));
            let time = clock::rfc3339(time);
            let data = &self.structured_data;
            to.extend_from_slice(format!("<{PRIORITY}>1 {time} {hostname} muster - {id} {data} ").as_bytes());
        }
        to.extend_from_slice(line);
        to.push(b'\n');
    }
}

/// A header field: printable ASCII without blanks, `-` for nothing.
fn printable(text: &str, bytes_max: usize) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

trait Wire: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Wire for T {}

/// The connection of one output, kept open between batches.
pub(super) struct Sink {
    allow_private: bool,
    wire: Option<Pin<Box<dyn Wire>>>,
}

impl Sink {
    pub(super) fn new(allow_private: bool) -> Self {
        Self { allow_private, wire: None }
    }

    /// Writes all records; all or none are done with.
    pub(super) async fn deliver(
        &mut self,
        settings: &Settings,
        format: &Format,
        records: &[Queued],
    ) -> (usize, Result<(), String>) {
        let now = clock::now();
        let mut text = Vec::new();
        for record in records {
            if let Some(line) = format.line(&record.body) {
                settings.frame(&record.body, &line, now, &mut text);
            }
        }
        match self.write(settings, &text).await {
            Ok(()) => (records.len(), Ok(())),
            Err(error) => {
                self.wire = None;
                (0, Err(error))
            }
        }
    }

    async fn write(&mut self, settings: &Settings, text: &[u8]) -> Result<(), String> {
        // TCP tells too late that the other end is gone: what it sent (its end, mostly) is looked at before.
        if let Some(wire) = &mut self.wire
            && has_ended(wire).await
        {
            self.wire = None;
        }
        let wire = match &mut self.wire {
            Some(wire) => wire,
            None => {
                let connected = timeout(CONNECT_MAX, connect(settings, self.allow_private)).await;
                let wire = connected.map_err(|_| "the receiver did not answer in time".to_owned())??;
                self.wire.insert(wire)
            }
        };
        let written = timeout(WRITE_MAX, async {
            wire.write_all(text).await?;
            wire.flush().await
        });
        let written = written.await.map_err(|_| "the receiver reads too slowly".to_owned())?;
        written.map_err(|error| error.to_string())
    }
}

/// Throws away what the receiver says; tells whether it closed the connection.
async fn has_ended(wire: &mut Pin<Box<dyn Wire>>) -> bool {
    let mut said = [0; 1024];
    loop {
        // Whether something is there now; waiting for it would hold the batch.
        match timeout(Duration::ZERO, wire.read(&mut said)).await {
            Err(_) => return false,
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
        }
    }
}

async fn connect(settings: &Settings, allow_private: bool) -> Result<Pin<Box<dyn Wire>>, String> {
    let addresses = destination::resolve(&settings.to, allow_private).await.map_err(|error| error.to_string())?;
    let text = |error: io::Error| error.to_string();
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(text)?;
    let _ = stream.set_nodelay(true);
    if !settings.is_tls {
        return Ok(Box::pin(stream));
    }
    let name = ServerName::try_from(settings.to.host.clone()).map_err(|error| error.to_string())?;
    let config = tls_config(settings.is_strict_tls).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(text)?;
    Ok(Box::pin(stream))
}

fn tls_config(is_strict: bool) -> Result<ClientConfig, rustls::Error> {
    if is_strict {
        return destination::verified();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let any = Arc::new(AnyCertificate(provider));
    Ok(config.dangerous().with_custom_certificate_verifier(any).with_no_client_auth())
}

/// Takes any certificate: `is_tls` alone encrypts and does not verify, as published.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_header_cannot_be_broken_by_what_a_sensor_says() {
        let settings = json!({"dest_host": "h:514", "structured_data": "muster@1 a=\"b\""});
        let settings = Settings::read(&settings::Settings(settings.as_object().unwrap())).unwrap();
        let body = json!({"routing": {"event_type": "A\nB C", "hostname": "web 01\n<14>", "event_time": 1_731_403_200_456_i64}});
        let mut text = Vec::new();
        settings.frame(body.to_string().as_bytes(), b"{}", Timestamp::ZERO, &mut text);
        let expected = "<14>1 2024-11-12T09:20:00Z web01<14> muster - ABC [muster@1 a=\"b\"] {}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
