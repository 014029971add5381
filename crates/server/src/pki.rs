//! The private certificate authority, and the certificate of this server.
//!
//! The authority is made at first start and kept; sensors and clients trust
//! nothing else. The server certificate is made anew at each start, so that it
//! always carries the names that are configured now.

use crate::clock;
use crate::config::Config;
use muster_model::Timestamp;
use muster_store::{Seal, is_sealed};
use rcgen::PublicKeyData as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _};
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Name in every server certificate, by which sensors call the server whatever its address is.
pub const SERVER_NAME: &str = "muster.internal";

/// Years that the authority is valid: longer than any fleet lives.
const AUTHORITY_YEARS: i32 = 20;

/// Fewer days than this are a reason to act: replacing the authority means to enrol every sensor again.
pub const DAYS_LEFT_MIN: u64 = 30;

/// What to do about an authority whose time is over.
pub const REPLACE_AUTHORITY: &str = "stop the server, move that folder away and start with --new-authority: it makes a new CA, and every sensor must enrol \
     again";

/// What to do about a server certificate whose time is over.
pub const RENEW_CERTIFICATE: &str = "restart the server, which makes a new one";

/// A server that does not finish the handshake in this time does not serve.
const SERVED_MAX: Duration = Duration::from_secs(5);

/// Where the authority is, in the data directory.
const FOLDER: &str = "pki";
const AUTHORITY_FILE: &str = "pki/ca.pem";
const AUTHORITY_KEY_FILE: &str = "pki/ca-key.pem";

/// Names of the published service, so that its clients accept this server through the compatibility proxy.
const COMPAT_NAMES: [&str; 2] = ["limacharlie.io", "*.limacharlie.io"];

/// Why the certificates are not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A stored key or certificate is damaged.
    #[error(
        "{path} is damaged; restore it from a backup, or delete the folder to make a new authority (every sensor must then enrol again)"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// A file of the authority is gone, though there are sensors that trust it.
    #[error(
        "{path} is missing, and the sensors of this server trust no other authority; restore it from a backup, or move the folder away and start with --new-authority to make a new one (every sensor must then enrol again)"
    )]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// The key of the authority is sealed, and not by the key of this database.
    #[error(
        "{path} is sealed by another key than the database; restore both of the same backup, or put back the sealing key"
    )]
    Sealed {
        /// Which.
        path: PathBuf,
    },
    /// Making a certificate failed, such as for a name that is not one.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused the certificate.
    #[error("cannot use the certificate")]
    Tls(#[from] rustls::Error),
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: Timestamp,
    /// The last second.
    pub until: Timestamp,
}

/// How a validity stands at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun: the clock is wrong.
    NotYet,
    /// It has this many whole days left, at least [`DAYS_LEFT_MIN`].
    Valid(u64),
    /// It has this many whole days left, and they are few.
    Ending(u64),
    /// It is over.
    Expired,
}

impl Validity {
    /// Reads the validity of a certificate (DER); `None` if it is none.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        let at = |time: x509_parser::time::ASN1Time| Timestamp::from_secs(time.timestamp());
        Some(Self { from: at(validity.not_before), until: at(validity.not_after) })
    }

    /// How it stands.
    #[must_use]
    pub fn standing(self, now: Timestamp) -> Standing {
        let days_left = self.until.since(now).as_secs() / (24 * 3_600);
        match days_left {
            _ if now < self.from => Standing::NotYet,
            _ if now > self.until => Standing::Expired,
            days if days < DAYS_LEFT_MIN => Standing::Ending(days),
            days => Standing::Valid(days),
        }
    }
}

/// The authority of a data directory, as it is on disk.
pub struct Authority {
    /// DER of its certificate.
    pub certificate: CertificateDer<'static>,
    /// How long it is valid.
    pub validity: Validity,
    path: PathBuf,
    key: KeyPair,
}

impl Authority {
    /// Reads the certificate and its key, and looks whether they belong together.
    ///
    /// # Errors
    ///
    /// [`PkiError`] says which file is the matter.
    pub fn read(data_dir: &Path, seal: Option<&Seal>) -> Result<Self, PkiError> {
        let (path, key_path) = (data_dir.join(AUTHORITY_FILE), data_dir.join(AUTHORITY_KEY_FILE));
        let damaged = |path: &Path| PkiError::Damaged { path: path.to_owned() };
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source });
        let key = opened(&key_path, read(&key_path)?, seal)?;
        let key = KeyPair::from_pem(&key).map_err(|_| damaged(&key_path))?;
        let certificate = CertificateDer::from_pem_slice(read(&path)?.as_bytes()).map_err(|_| damaged(&path))?;
        let certificate = certificate.into_owned();
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| damaged(&path))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged(&key_path));
        }
        let validity = Validity::of(&certificate).ok_or_else(|| damaged(&path))?;
        Ok(Self { certificate, validity, path, key })
    }
}

/// Certificates of one server.
pub struct Pki {
    /// DER of the authority.
    pub authority: CertificateDer<'static>,
    /// PEM file of the authority, for clients.
    pub authority_path: PathBuf,
    /// How long the authority is valid.
    pub authority_validity: Validity,
    /// For the TLS listener.
    pub tls: Arc<rustls::ServerConfig>,
    /// How long the certificate of the TLS listener is valid.
    pub validity: Validity,
}

impl Pki {
    /// Loads the authority of a data directory, or makes it, and makes a server certificate. One that `is_in_use` is
    /// made anew only if the configuration says so.
    ///
    /// # Errors
    ///
    /// [`PkiError`] says which file is the matter.
    pub fn open(config: &Config, is_in_use: bool, seal: Option<&Seal>) -> Result<Self, PkiError> {
        let (authority_path, key_path) =
            (config.data_dir.join(AUTHORITY_FILE), config.data_dir.join(AUTHORITY_KEY_FILE));
        let folder = config.data_dir.join(FOLDER);
        let may_make = !is_in_use || config.new_authority;
        let missing = [&authority_path, &key_path].into_iter().find(|path| !path.exists());
        if let Some(path) = missing.filter(|_| !may_make || authority_path.exists()) {
            return Err(PkiError::Missing { path: path.clone() });
        }
        fs::create_dir_all(&folder).map_err(|source| PkiError::File { path: folder.clone(), source })?;
        if !authority_path.exists() {
            let key = KeyPair::generate()?;
            let certificate = authority_params()?.self_signed(&key)?;
            // Its key first: an authority that is there is whole.
            write_private(&key_path, &sealed(key.serialize_pem(), seal))?;
            write_private(&authority_path, &certificate.pem())?;
        }
        let authority = Authority::read(&config.data_dir, seal)?;
        seal_if_plain(&key_path, seal)?;
        tell_of_expiry(&authority, clock::now());
        let (tls, validity) = server_tls(config, &authority.certificate, authority.key)?;
        Ok(Self {
            authority: authority.certificate,
            authority_path: authority.path,
            authority_validity: authority.validity,
            tls,
            validity,
        })
    }
}

/// The server's own certificate is made anew with each start; the authority is what every
/// sensor trusts, so it is for people to replace it.
fn tell_of_expiry(authority: &Authority, now: Timestamp) {
    let folder = authority.path.parent().unwrap_or(&authority.path).display();
    let until = clock::text(authority.validity.until);
    match authority.validity.standing(now) {
        Standing::Valid(_) => {}
        Standing::NotYet => {
            tracing::error!(
                "the private CA in {folder} is not valid yet: the clock is wrong, or nobody trusts this server"
            );
        }
        Standing::Ending(days) => {
            tracing::warn!("the private CA in {folder} expires in {days} days ({until}); {REPLACE_AUTHORITY}")
        }
        Standing::Expired => tracing::error!(
            "the private CA in {folder} expired at {until}: clients no longer trust this server; {REPLACE_AUTHORITY}"
        ),
    }
}

/// The certificate with which a running server answers at an address, once it was checked
/// as a sensor checks it.
///
/// # Errors
///
/// If nobody answers there, or a sensor would not trust the answer.
pub async fn served_certificate(
    address: SocketAddr,
    authority: &CertificateDer<'static>,
) -> std::io::Result<CertificateDer<'static>> {
    let other = |error: &dyn std::fmt::Display| std::io::Error::other(error.to_string());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).map_err(|error| other(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| other(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(SERVER_NAME).map_err(|error| other(&error))?;
    let connect = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let stream = tokio::time::timeout(SERVED_MAX, connect).await??;
    let certificates = stream.get_ref().1.peer_certificates();
    let first = certificates.and_then(<[_]>::first).cloned();
    Ok(first.ok_or_else(|| other(&"the server showed no certificate"))?.into_owned())
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "muster private CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2024 + AUTHORITY_YEARS, 1, 1);
    Ok(params)
}

fn server_tls(
    config: &Config,
    authority: &CertificateDer<'static>,
    authority_key: KeyPair,
) -> Result<(Arc<rustls::ServerConfig>, Validity), PkiError> {
    let mut names: Vec<String> = vec![SERVER_NAME.into(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
    names.extend(COMPAT_NAMES.map(str::to_owned));
    let listen = config.listen.ip();
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    if let Some((host, _)) = config.public_address.as_deref().and_then(|address| address.rsplit_once(':')) {
        names.push(host.trim_matches(['[', ']']).to_owned());
    }
    names.extend(config.names.iter().cloned());
    names.sort();
    names.dedup_by(|a, b| a == b || a.parse::<IpAddr>().is_ok_and(|ip| b.parse() == Ok(ip)));
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2024 + AUTHORITY_YEARS, 1, 1);
    let [from, until] = [params.not_before, params.not_after].map(|time| Timestamp::from_secs(time.unix_timestamp()));
    let validity = Validity { from, until };
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(authority_params()?, authority_key);
    let certificate = params.signed_by(&key, &issuer)?;
    let chain = vec![certificate.der().clone(), authority.clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![muster_wire::LINK_ALPN.to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(tls), validity))
}

fn sealed(key: String, seal: Option<&Seal>) -> String {
    match seal {
        Some(seal) => seal.seal(AUTHORITY_KEY_FILE, &key),
        None => key,
    }
}

fn opened(path: &Path, text: String, seal: Option<&Seal>) -> Result<String, PkiError> {
    if !is_sealed(&text) {
        return Ok(text);
    }
    let opened = seal.and_then(|seal| seal.open(AUTHORITY_KEY_FILE, &text));
    opened.ok_or_else(|| PkiError::Sealed { path: path.to_owned() })
}

/// Takes over a key of before there was sealing.
fn seal_if_plain(path: &Path, seal: Option<&Seal>) -> Result<(), PkiError> {
    let at = |source| PkiError::File { path: path.to_owned(), source };
    let plain = fs::read_to_string(path).map_err(at)?;
    if seal.is_none() || is_sealed(&plain) {
        return Ok(());
    }
    write_private(path, &sealed(plain, seal))?;
    tracing::info!("the key of the private CA, {}, was not sealed: it is from now on", path.display());
    Ok(())
}

/// Writes a file as a whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let at = |source| PkiError::File { path: path.to_owned(), source };
    let fresh = path.with_extension("new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(at)?;
    file.write_all(text.as_bytes()).map_err(at)?;
    file.sync_all().map_err(at)?;
    fs::rename(&fresh, path).map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_ends_after_its_last_second_and_is_told_of_in_its_last_month() {
        let day = |days: i64| Timestamp::from_secs(days * 24 * 3_600);
        let validity = Validity { from: day(100), until: day(200) };
        let standing = |at: Timestamp| validity.standing(at);
        assert_eq!(standing(Timestamp::from_secs(day(100).as_secs() - 1)), Standing::NotYet);
        assert_eq!(standing(day(100)), Standing::Valid(100));
        assert_eq!((standing(day(170)), standing(day(171))), (Standing::Valid(30), Standing::Ending(29)));
        assert_eq!(standing(day(200)), Standing::Ending(0));
        assert_eq!(standing(Timestamp::from_secs(day(200).as_secs() + 1)), Standing::Expired);
    }

    /// So the server's certificate cannot run out while the authority is good.
    #[tokio::test]
    async fn each_start_makes_a_server_certificate_of_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::loopback(folder.path().to_owned());
        let mut shown = Vec::new();
        for _ in 0..2 {
            let server = crate::Server::start_on(config.clone(), muster_store::Store::memory()).await.unwrap();
            let authority = &server.app.pki.authority;
            shown.push((authority.clone(), served_certificate(server.bound.tls, authority).await.unwrap()));
        }
        assert_eq!(shown[0].0, shown[1].0);
        assert_ne!(shown[0].1, shown[1].1);
        let until = |certificate: &[u8]| Validity::of(certificate).unwrap().until;
        assert_eq!(until(&shown[1].1), until(&shown[1].0));

        let other = KeyPair::generate().unwrap();
        fs::write(folder.path().join(AUTHORITY_KEY_FILE), other.serialize_pem()).unwrap();
        let wrong = Pki::open(&config, true, None).err().unwrap().to_string();
        assert!(wrong.contains("ca-key.pem is damaged"), "a key of another authority: {wrong}");
    }
}
