//! A server that says what a test tells it to say.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use muster_model::{Iid, Oid, Sid};
use muster_wire::{
    Assembler, Challenge, Claim, Enrolled, FromSensor, FromServer, Hello, InstallationKey, LINK_ALPN, Welcome, encode,
    from_sensor, from_server, proof_bytes,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};
use uuid::Uuid;

const SERVER_NAME: &str = "muster.test";
const PATIENCE: Duration = Duration::from_secs(20);

pub struct FakeServer {
    pub key: InstallationKey,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    public_key: Mutex<Vec<u8>>,
}

/// One link, after the challenge.
pub struct Conversation {
    pub hello: Hello,
    socket: WebSocketStream<TlsStream<TcpStream>>,
    assembler: Assembler,
}

impl FakeServer {
    pub async fn start() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let pair = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap().signed_by(&pair, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        config.alpn_protocols = vec![LINK_ALPN.to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = InstallationKey {
            oid: Oid(Uuid::from_u128(1)),
            iid: Iid(Uuid::from_u128(2)),
            secret: vec![3; 32],
            address: listener.local_addr().unwrap().to_string(),
            server_name: SERVER_NAME.to_owned(),
            ca_der: issuer.der().to_vec(),
        };
        Self { key, listener, acceptor: TlsAcceptor::from(Arc::new(config)), public_key: Mutex::default() }
    }

    /// Takes the next link and challenges the sensor; a resumption must prove itself.
    pub async fn accept(&self) -> Conversation {
        let (tcp, _) = tokio::time::timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let socket = accept_async(self.acceptor.accept(tcp).await.unwrap()).await.unwrap();
        let mut link = Conversation { hello: Hello::default(), socket, assembler: Assembler::default() };
        let nonce = muster_sensor::random::uuid().as_bytes().repeat(2);
        link.say(from_server::Message::Challenge(Challenge { nonce: nonce.clone() })).await;
        let from_sensor::Message::Hello(hello) = link.hear().await else { panic!("the first message is no hello") };
        link.hello = *hello;
        match &link.hello.claim {
            Some(Claim::Enrol(enrol)) => self.public_key.lock().await.clone_from(&enrol.public_key),
            Some(Claim::Resume(resume)) => {
                let public_key = self.public_key.lock().await.clone();
                let proof = proof_bytes(&nonce, self.key.oid, Sid(Uuid::from_u128(9)));
                UnparsedPublicKey::new(&ED25519, public_key).verify(&proof, &resume.signature).unwrap();
            }
            None => panic!("a hello without a claim"),
        }
        link
    }
}

impl Conversation {
    pub async fn say(&mut self, message: from_server::Message) {
        for frame in encode(&FromServer { message: Some(message) }).unwrap() {
            self.socket.send(Message::Binary(Bytes::from(frame))).await.unwrap();
        }
    }

    pub async fn hear(&mut self) -> from_sensor::Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the sensor is silent");
            if let Message::Binary(frame) = next.expect("the sensor hung up").unwrap()
                && let Some(whole) = self.assembler.push::<FromSensor>(&frame).unwrap()
            {
                return whole.message.unwrap();
            }
        }
    }

    pub async fn enrol(mut self) {
        self.say(from_server::Message::Enrolled(Enrolled { sid: Uuid::from_u128(9).as_bytes().to_vec() })).await;
    }

    #[expect(clippy::disallowed_methods, reason = "a server has the time of its machine")]
    pub async fn welcome(&mut self, epoch: u64, spool_seq: u64) {
        let server_now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
        let welcome = Welcome { server_now_ms, epoch, spool_seq, ..Welcome::default() };
        self.say(from_server::Message::Welcome(welcome)).await;
    }
}

impl FakeServer {
    /// Serves one transfer: gives the request line and body that came, answers with status and body.
    pub async fn transfer(&self, status: &str, answer: &[u8]) -> (String, Vec<u8>) {
        let (tcp, _) = tokio::time::timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let mut tls = self.acceptor.accept(tcp).await.unwrap();
        let mut heard = Vec::new();
        let (head, length) = loop {
            tls.read_buf(&mut heard).await.unwrap();
            if let Some(end) = heard.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(heard.drain(..end + 4).collect()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                break (head, length.unwrap_or(0_usize));
            }
        };
        while heard.len() < length {
            tls.read_buf(&mut heard).await.unwrap();
        }
        let head_out = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
        tls.write_all(head_out.as_bytes()).await.unwrap();
        tls.write_all(answer).await.unwrap();
        tls.shutdown().await.unwrap();
        (head.lines().next().unwrap().to_owned(), heard)
    }
}
