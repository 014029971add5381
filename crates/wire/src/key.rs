//! The installation key as it is handed to endpoints: one line of text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_model::{Iid, Oid};
use prost::Message;
use uuid::Uuid;

/// Everything a sensor needs to find its server, trust it, and enrol.
///
/// The text form is unpadded URL-safe base64 of a protobuf message, so that it
/// survives shells, unit files and chat windows.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationKey {
    /// Organization to enrol into.
    pub oid: Oid,
    /// The key's own id.
    pub iid: Iid,
    /// 32 random bytes. The server keeps them, so that operators can read a key again.
    pub secret: Vec<u8>,
    /// `host:port` of the sensor gateway.
    pub address: String,
    /// Name that the server's certificate carries.
    pub server_name: String,
    /// DER of the only certificate authority that the sensor trusts.
    pub ca_der: Vec<u8>,
}

/// Why a text is not an installation key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an installation key: {0}")]
pub struct KeyError(&'static str);

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Body {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    oid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    iid: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    secret: Vec<u8>,
    #[prost(string, tag = "5")]
    address: String,
    #[prost(string, tag = "6")]
    server_name: String,
    #[prost(bytes = "vec", tag = "7")]
    ca_der: Vec<u8>,
}

/// Longest key text: a certificate of a few kilobytes and no more.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const BODY_VERSION: u32 = 1;

impl InstallationKey {
    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let body = Body {
            version: BODY_VERSION,
            oid: self.oid.0.as_bytes().to_vec(),
            iid: self.iid.0.as_bytes().to_vec(),
            secret: self.secret.clone(),
            address: self.address.clone(),
            server_name: self.server_name.clone(),
            ca_der: self.ca_der.clone(),
        };
        URL_SAFE_NO_PAD.encode(body.encode_to_vec())
    }

    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong with the text.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError("it is empty"));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(KeyError("too long"));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| KeyError("it is cut short, or holds characters that are not base64"))?;
        let body = Body::decode(bytes.as_slice()).map_err(|_| KeyError("its content is damaged"))?;
        if body.version != BODY_VERSION {
            return Err(KeyError("made by a newer server; update this sensor"));
        }
        let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| KeyError("its content is damaged"));
        Ok(Self {
            oid: Oid(id(&body.oid)?),
            iid: Iid(id(&body.iid)?),
            secret: body.secret,
            address: body.address,
            server_name: body.server_name,
            ca_der: body.ca_der,
        })
    }
}

impl std::fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstallationKey")
            .field("iid", &self.iid)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form_and_a_damaged_one_is_refused() {
        let key = InstallationKey {
            oid: Oid(Uuid::from_u128(1)),
            iid: Iid(Uuid::from_u128(2)),
            secret: vec![3; 32],
            address: "server.example:8443".into(),
            server_name: "muster.local".into(),
            ca_der: vec![4; 400],
        };
        let text = key.to_text();
        assert_eq!(InstallationKey::from_text(&format!(" {text}\n")), Ok(key));
        assert!(InstallationKey::from_text(&text[..text.len() - 2]).is_err());
        assert!(InstallationKey::from_text("not a key").is_err());
        assert!(InstallationKey::from_text(" ").unwrap_err().to_string().ends_with("it is empty"));
    }
}
