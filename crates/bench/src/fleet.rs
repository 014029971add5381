//! Simulated sensors: the link protocol and nothing else.
//!
//! All share one key pair, and ids that follow from their number, so that a
//! million of them can be put into a store in seconds. They journal nothing:
//! what is measured is the server.

use anyhow::{Context as _, bail};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use futures_util::{SinkExt as _, StreamExt as _};
use muster_model::{Architecture, Iid, Oid, Platform, Sensor, Sid, Tag, Timestamp};
use muster_store::{SensorRow, Write};
use muster_wire::{
    Assembler, Claim, Deliver, Event, Events, FRAME_BYTES_MAX, FromSensor, FromServer, Hello, LINK_ALPN, LINK_PATH,
    Receipt, Receipts, Resume, SensorState, Step, encode, from_sensor, from_server, proof_bytes,
};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

/// Source addresses 127.0.0.2 and on: each has its own 28,000 ports.
const SOURCES: u32 = 16;

/// Seed of the key pair that all share; it protects nothing.
const SEED: [u8; 32] = [7; 32];

/// The id of a simulated sensor.
pub fn sid_of(ordinal: u32) -> Sid {
    Sid(Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000 + u128::from(ordinal)))
}

/// The public key of all of them.
pub fn public_key() -> anyhow::Result<Vec<u8>> {
    Ok(key_pair()?.public_key().as_ref().to_vec())
}

fn key_pair() -> anyhow::Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&SEED).context("the key pair cannot be made")
}

/// What the store holds of a simulated sensor.
pub fn row(oid: Oid, ordinal: u32, public_key: &[u8]) -> SensorRow {
    let at = Timestamp::from_secs(1_700_000_000);
    let tag = Tag { name: "fleet".into(), added_by: "bench".into(), added_at: at, expires_at: None };
    let iid = Iid(Uuid::from_u128(1));
    let mut sensor = Sensor::enrolled(sid_of(ordinal), oid, iid, Platform::LINUX, Architecture::X64, at);
    sensor.hostname = hostname(ordinal).into();
    sensor.mac_addr = "02-00-00-00-00-01".into();
    sensor.ext_ip = "127.0.0.2".into();
    sensor.int_ip = "10.0.0.1".into();
    sensor.version = "1.0.0".into();
    sensor.tags = vec![tag];
    let mut row = SensorRow::enrolled(ordinal, sensor, public_key);
    row.journal_id = own_id(ordinal);
    row.boot_id = "boot".into();
    row
}

/// The spool of a simulated sensor, of which nothing is stored yet: it has been online before.
pub fn spool(row: &SensorRow) -> Write {
    let spool_id = *row.sensor.sid.0.as_bytes();
    Write::PutSpool { oid: row.sensor.oid, ordinal: row.ordinal, spool_id, seq: 0, after: None }
}

fn hostname(ordinal: u32) -> String {
    format!("host-{ordinal}.example")
}

fn own_id(ordinal: u32) -> Vec<u8> {
    sid_of(ordinal).0.as_bytes().to_vec()
}

/// How simulated sensors find and trust their server.
pub struct Fleet {
    oid: Oid,
    key: Ed25519KeyPair,
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Makes TLS connections to a server whose certificate is of this authority, and says that it speaks these protocols.
pub fn connector(authority: CertificateDer<'static>, protocols: Vec<Vec<u8>>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = protocols;
    tls.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(tls)))
}

impl Fleet {
    /// Sensors of an organization whose server has a certificate of this authority.
    pub fn new(oid: Oid, authority: CertificateDer<'static>) -> anyhow::Result<Self> {
        let connector = connector(authority, vec![LINK_ALPN.to_vec()])?;
        Ok(Self { oid, key: key_pair()?, connector, name: ServerName::try_from(muster_server::SERVER_NAME)? })
    }

    /// TCP and TLS alone.
    pub async fn tls(&self, address: SocketAddr, ordinal: u32) -> anyhow::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 2)) + ordinal % SOURCES);
        socket.bind(SocketAddr::from((source, 0)))?;
        let tcp = socket.connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(self.connector.connect(self.name.clone(), tcp).await?)
    }

    /// Connects a sensor, up to its welcome.
    pub async fn connect(&self, address: SocketAddr, ordinal: u32) -> anyhow::Result<Link> {
        let tls = Box::pin(self.tls(address, ordinal)).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(1_024)
            .write_buffer_size(0)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let url = format!("ws://{}{LINK_PATH}", muster_server::SERVER_NAME);
        let (socket, _) = Box::pin(client_async_with_config(url, tls, Some(config))).await?;
        let mut link = Link { socket, assembler: Assembler::default(), ordinal, epoch: 0, seq: 0 };
        let from_server::Message::Challenge(challenge) = link.hear().await? else { bail!("expected a challenge") };
        let proof = proof_bytes(&challenge.nonce, self.oid, sid_of(ordinal));
        let resume = Resume {
            oid: self.oid.0.as_bytes().to_vec(),
            sid: sid_of(ordinal).0.as_bytes().to_vec(),
            signature: self.key.sign(&proof).as_ref().to_vec(),
        };
        let hello = Hello { claim: Some(Claim::Resume(resume)), state: Some(state(ordinal)), ..Hello::default() };
        link.say(from_sensor::Message::Hello(Box::new(hello))).await?;
        match link.hear().await? {
            from_server::Message::Welcome(welcome) => (link.epoch, link.seq) = (welcome.epoch, welcome.spool_seq),
            from_server::Message::Refused(refused) => bail!("refused: {}", refused.text),
            other => bail!("expected a welcome, heard {other:?}"),
        }
        Ok(link)
    }
}

fn state(ordinal: u32) -> SensorState {
    SensorState {
        version: "1.0.0".into(),
        boot_id: "boot".into(),
        hostname: hostname(ordinal),
        int_ip: "10.0.0.1".into(),
        mac_addr: "02-00-00-00-00-01".into(),
        platform: Platform::LINUX.0,
        architecture: Architecture::X64.0.into(),
        journal_id: own_id(ordinal),
        spool_id: own_id(ordinal),
        now_ms: now_ms(),
        ..SensorState::default()
    }
}

fn now_ms() -> i64 {
    muster_server::clock::now().as_millis()
}

/// What a link tells of what happened on it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Which sensor.
    pub ordinal: u32,
    /// What.
    pub what: What,
    /// When.
    pub at: Instant,
}

/// See [`Heard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A task arrived: a sensor would start it now.
    Delivered,
    /// The end of a task is acknowledged.
    Ended,
    /// The link broke.
    Broken,
}

/// A sensor with its link.
pub struct Link {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    assembler: Assembler,
    ordinal: u32,
    epoch: u64,
    seq: u64,
}

impl Link {
    /// The next message of the server.
    pub async fn hear(&mut self) -> anyhow::Result<from_server::Message> {
        loop {
            let frame = match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => frame,
                Some(Ok(Message::Close(_))) | None => bail!("the server closed the link"),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error.into()),
            };
            if let Some(FromServer { message: Some(message) }) = self.assembler.push(&frame)? {
                return Ok(message);
            }
        }
    }

    /// Waits for a task.
    pub async fn task(&mut self) -> anyhow::Result<Deliver> {
        loop {
            if let from_server::Message::Deliver(deliver) = self.hear().await? {
                return Ok(deliver);
            }
        }
    }

    /// Says something.
    pub async fn say(&mut self, message: from_sensor::Message) -> anyhow::Result<()> {
        for frame in encode(&FromSensor { message: Some(message) })? {
            self.socket.feed(Message::Binary(frame.into())).await?;
        }
        Ok(self.socket.flush().await?)
    }

    /// Reports steps of a task.
    pub async fn report(&mut self, task: &Deliver, steps: &[Step]) -> anyhow::Result<()> {
        let receipt = |step: &Step| Receipt {
            task_id: task.task_id.clone(),
            step: (*step).into(),
            at_ms: now_ms(),
            code: 0,
            error: String::new(),
            epoch: self.epoch,
        };
        let receipts = steps.iter().map(receipt).collect();
        self.say(from_sensor::Message::Receipts(Receipts { receipts })).await
    }

    /// Reports steps, and waits until the server has stored them.
    pub async fn confirm(&mut self, task: &Deliver, steps: &[Step]) -> anyhow::Result<()> {
        self.report(task, steps).await?;
        loop {
            if let from_server::Message::ReceiptsAck(_) = self.hear().await? {
                return Ok(());
            }
        }
    }

    /// Sends the answer to a task as an event.
    async fn answer(&mut self, task: &Deliver) -> anyhow::Result<()> {
        let event = Event {
            event_type: "OS_VERSION_REP".into(),
            investigation_id: task.investigation_id.clone(),
            task_id: task.task_id.clone(),
            body: br#"{"VERSION":"6.8.0","DISTRIBUTION":"Example 24.04","ERROR":0}"#.to_vec(),
            ..Event::default()
        };
        self.tell(event).await
    }

    /// Sends an event of a type, with this body.
    pub async fn event(&mut self, event_type: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let body = body.to_string().into_bytes();
        self.tell(Event { event_type: event_type.into(), body, ..Event::default() }).await
    }

    /// Waits until the server has stored every event that was sent.
    pub async fn stored(&mut self) -> anyhow::Result<()> {
        loop {
            match self.hear().await? {
                from_server::Message::EventsAck(ack) if ack.seq >= self.seq => return Ok(()),
                _ => {}
            }
        }
    }

    async fn tell(&mut self, event: Event) -> anyhow::Result<()> {
        self.seq += 1;
        let this_atom = Uuid::from_u128(u128::from(self.seq)).as_bytes().to_vec();
        let event = Event { seq: self.seq, time_ms: now_ms(), this_atom, ..event };
        self.say(from_sensor::Message::Events(Events { events: vec![event] })).await
    }

    /// Carries out every task at once, as a sensor does but for the journal:
    /// confirmed and started, then the answer, then finished. Ends with the link.
    pub async fn work(mut self, tell: UnboundedSender<Heard>) {
        let ordinal = self.ordinal;
        let told = |what| {
            // No one to tell is no harm: the benchmark has ended.
            let _ = tell.send(Heard { ordinal, what, at: Instant::now() });
        };
        let mut ending = None;
        loop {
            let done = match self.hear().await {
                Ok(from_server::Message::Deliver(task)) => {
                    told(What::Delivered);
                    ending = Some(task.task_id.clone());
                    self.carry_out(&task).await
                }
                Ok(from_server::Message::ReceiptsAck(ack)) => {
                    let is_end = |step: &muster_wire::AckedStep| step.step() == Step::Finished;
                    if ending.is_some() && ack.steps.iter().any(is_end) {
                        ending = None;
                        told(What::Ended);
                    }
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if done.is_err() {
                told(What::Broken);
                return;
            }
        }
    }

    async fn carry_out(&mut self, task: &Deliver) -> anyhow::Result<()> {
        self.report(task, &[Step::Confirmed, Step::Started]).await?;
        self.answer(task).await?;
        self.report(task, &[Step::Finished]).await
    }
}
