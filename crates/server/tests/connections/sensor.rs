//! The sensor's end of a link, and less than that.

use crate::host::{Host, OID};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use futures_util::{SinkExt as _, StreamExt as _};
use muster_model::{Architecture, Iid, Platform, Sid};
use muster_server::sensor::{self, Enrolment};
use muster_server::{SERVER_NAME, random};
use muster_wire::{
    Assembler, Claim, Enrol, FromSensor, FromServer, Hello, InstallationKey, LINK_ALPN, LINK_PATH, Refused, Resume,
    SensorState, encode, from_sensor, from_server, proof_bytes,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A sensor that enrolled.
pub struct Endpoint {
    pub sid: Sid,
    key: Ed25519KeyPair,
}

/// What every sensor of these tests says of itself.
pub fn state() -> SensorState {
    SensorState {
        platform: Platform::LINUX.0,
        architecture: Architecture::X64.0.into(),
        hostname: "host".into(),
        boot_id: "boot".into(),
        journal_id: vec![1; 16],
        spool_id: vec![1; 16],
        ..SensorState::default()
    }
}

fn config(host: &Host, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(host.app().pki.authority.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    ServerName::try_from(SERVER_NAME).unwrap()
}

/// The first message of a TLS client that wants to be a sensor's link.
pub fn client_hello(host: &Host) -> Vec<u8> {
    client_hello_with(host, LINK_ALPN)
}

/// The first message of a TLS client.
pub fn client_hello_with(host: &Host, alpn: &[u8]) -> Vec<u8> {
    let mut hello = Vec::new();
    ClientConnection::new(config(host, alpn), name()).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// A message that fills buffers: about 1 KB.
pub fn padding() -> from_server::Message {
    from_server::Message::Refused(Refused { text: "x".repeat(1_000), ..Refused::default() })
}

async fn tls(host: &Host, alpn: &[u8]) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(host.server.bound.tls).await.unwrap();
    TlsConnector::from(config(host, alpn)).connect(name(), tcp).await.unwrap()
}

/// A link on which the server has asked who is there.
async fn challenged<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (WebSocketStream<S>, Vec<u8>) {
    let url = format!("ws://{SERVER_NAME}{LINK_PATH}");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let from_server::Message::Challenge(challenge) = hear(&mut socket).await else { panic!("no challenge") };
    (socket, challenge.nonce)
}

/// What the server answers to a machine that asks for an identity with an installation key.
pub async fn enrol(host: &Host, key: &InstallationKey) -> from_server::Message {
    let (mut socket, _) = challenged(tls(host, LINK_ALPN).await).await;
    let enrol = Enrol {
        oid: key.oid.0.as_bytes().to_vec(),
        iid: key.iid.0.as_bytes().to_vec(),
        secret: key.secret.clone(),
        public_key: random::bytes::<32>().to_vec(),
        ..Enrol::default()
    };
    let hello = Hello { claim: Some(Claim::Enrol(enrol)), state: Some(state()), ..Hello::default() };
    say(&mut socket, from_sensor::Message::Hello(Box::new(hello))).await;
    hear(&mut socket).await
}

impl Endpoint {
    pub async fn enrolled(host: &Host) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&random::bytes::<32>()).unwrap();
        let public_key = key.public_key().as_ref();
        let new =
            Enrolment { iid: Iid(random::uuid()), tags: &[], public_key, sid: None, state: &state(), source: None };
        let organization = host.app().organization(OID).unwrap();
        let sid = sensor::enrol(&host.app().sensors, &organization, &new).await.unwrap().unwrap();
        Self { sid, key }
    }

    /// Its id.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// TCP and TLS.
    pub async fn tls(&self, host: &Host, alpn: &[u8]) -> TlsStream<TcpStream> {
        tls(host, alpn).await
    }

    /// Says who it is, up to its welcome.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> WebSocketStream<S> {
        let (mut socket, nonce) = challenged(stream).await;
        let proof = proof_bytes(&nonce, OID, self.sid);
        let resume = Resume {
            oid: OID.0.as_bytes().to_vec(),
            sid: self.sid.0.as_bytes().to_vec(),
            signature: self.key.sign(&proof).as_ref().to_vec(),
        };
        let hello = Hello { claim: Some(Claim::Resume(resume)), state: Some(state()), ..Hello::default() };
        say(&mut socket, from_sensor::Message::Hello(Box::new(hello))).await;
        let heard = hear(&mut socket).await;
        assert!(matches!(heard, from_server::Message::Welcome(_)), "{heard:?}");
        socket
    }
}

/// Says something on a link.
pub async fn say<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, message: from_sensor::Message) {
    for frame in encode(&FromSensor { message: Some(message) }).unwrap() {
        socket.send(Message::Binary(frame.into())).await.unwrap();
    }
}

/// The next message of the server.
pub async fn hear<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> from_server::Message {
    let mut assembler = Assembler::default();
    loop {
        let Message::Binary(frame) = socket.next().await.unwrap().unwrap() else { continue };
        if let Some(FromServer { message: Some(message) }) = assembler.push(&frame).unwrap() {
            return message;
        }
    }
}
