//! The private certificate authority, and the certificate of this server.
//!
//! The authority is made at first start and kept; sensors and clients trust
//! nothing else. The server certificate is made anew at each start, so that it
//! always carries the names that are configured now.

use crate::config::Config;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name in every server certificate, by which sensors call the server whatever its address is.
pub const SERVER_NAME: &str = "muster.internal";

/// Years that the authority is valid: longer than any fleet lives.
const AUTHORITY_YEARS: i32 = 20;

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
    /// Making a certificate failed, such as for a name that is not one.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The TLS library refused the certificate.
    #[error("cannot use the certificate")]
    Tls(#[from] rustls::Error),
}

/// Certificates of one server.
pub struct Pki {
    /// DER of the authority.
    pub authority: CertificateDer<'static>,
    /// PEM file of the authority, for clients.
    pub authority_path: PathBuf,
    /// For the TLS listener.
    pub tls: Arc<rustls::ServerConfig>,
}

impl Pki {
    /// Loads the authority of a data directory, or makes it, and makes a server certificate.
    ///
    /// # Errors
    ///
    /// [`PkiError`] says which file is the matter.
    pub fn open(config: &Config) -> Result<Self, PkiError> {
        let folder = config.data_dir.join("pki");
        fs::create_dir_all(&folder).map_err(|source| PkiError::File { path: folder.clone(), source })?;
        let authority_path = folder.join("ca.pem");
        let key_path = folder.join("ca-key.pem");
        if !authority_path.exists() {
            let key = KeyPair::generate()?;
            let certificate = authority_params()?.self_signed(&key)?;
            write_private(&key_path, &key.serialize_pem())?;
            write_private(&authority_path, &certificate.pem())?;
        }
        let damaged = |path: &Path| PkiError::Damaged { path: path.to_owned() };
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source });
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|_| damaged(&key_path))?;
        let authority = CertificateDer::from_pem_slice(read(&authority_path)?.as_bytes())
            .map_err(|_| damaged(&authority_path))?
            .into_owned();
        let tls = server_tls(config, &authority, key)?;
        Ok(Self { authority, authority_path, tls })
    }
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
) -> Result<Arc<rustls::ServerConfig>, PkiError> {
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
    Ok(Arc::new(tls))
}

fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let at = |source| PkiError::File { path: path.to_owned(), source };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(at)?;
    file.write_all(text.as_bytes()).map_err(at)?;
    file.sync_all().map_err(at)
}
