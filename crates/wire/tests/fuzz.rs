//! Goal: nothing that arrives on a link can panic, and what is accepted stays
//! within its bounds. Method: seeded mutations of real frames and keys; coverage
//! guided fuzzing needs a toolchain that the test machines do not have.

use muster_model::{Iid, Oid};
use muster_wire::{
    Assembler, Deliver, Event, Events, FRAME_BYTES_MAX, FromSensor, FromServer, Hello, InstallationKey, Receipt, Receipts,
    encode, from_sensor, from_server,
};
use uuid::Uuid;

const ROUNDS: usize = 20_000;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = u8::try_from(self.below(256)).unwrap_or(0),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, 0xff),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes.truncate(2 * FRAME_BYTES_MAX);
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let receipt = Receipt { task_id: vec![1; 16], step: 3, at_ms: -1, code: -7, error: "x".into(), epoch: 2 };
    let event = Event { seq: u64::MAX, event_type: "NEW_PROCESS".into(), body: b"{}".to_vec(), ..Event::default() };
    let of_sensor = [
        from_sensor::Message::Hello(Box::new(Hello::default())),
        from_sensor::Message::Receipts(Receipts { receipts: vec![receipt; 3] }),
        from_sensor::Message::Events(Events { events: vec![event; 3] }),
    ];
    let deliver = Deliver { task_id: vec![1; 16], command: "os_version".into(), ..Deliver::default() };
    let of_server = FromServer { message: Some(from_server::Message::Deliver(deliver)) };
    let mut frames = encode(&of_server).unwrap();
    for message in of_sensor {
        frames.extend(encode(&FromSensor { message: Some(message) }).unwrap());
    }
    frames
}

#[test]
fn mutated_frames_are_refused_or_decoded_and_never_panic() {
    let corpus = corpus();
    let (mut accepted, mut refused) = (0, 0);
    for seed in 1..=4 {
        let mut random = Random(seed * 0x9e37_79b9);
        for _ in 0..ROUNDS / 4 {
            let mut frame = corpus[random.below(corpus.len())].clone();
            random.mutate(&mut frame);
            let mut assembler = Assembler::default();
            match assembler.push::<FromSensor>(&frame) {
                Ok(Some(message)) => {
                    accepted += 1;
                    assert!(encode(&message).is_ok_and(|frames| !frames.is_empty()));
                }
                Ok(None) => assert!(frame.len() <= FRAME_BYTES_MAX),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > ROUNDS / 50 && refused > ROUNDS / 50, "{accepted} accepted, {refused} refused: mutate less or more");
}

#[test]
fn mutated_keys_are_refused_or_read_and_never_panic() {
    let key = InstallationKey {
        oid: Oid(Uuid::from_u128(1)),
        iid: Iid(Uuid::from_u128(2)),
        secret: vec![3; 32],
        address: "server.example:8443".into(),
        server_name: "muster.internal".into(),
        ca_der: vec![4; 400],
    };
    let text = key.to_text().into_bytes();
    let mut random = Random(7);
    let refused = (0..ROUNDS / 4).filter(|_| {
        let mut bytes = text.clone();
        random.mutate(&mut bytes);
        InstallationKey::from_text(&String::from_utf8_lossy(&bytes)).is_err()
    });
    assert!(refused.count() > ROUNDS / 50);
}
