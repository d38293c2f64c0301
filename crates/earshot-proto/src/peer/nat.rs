//! Does UDP get out and back? One STUN Binding to our home, repeated twice. RFC 8489; lecture,
//! slide 32.
//!
//! No answer to three questions: the peer is Restricted, as behind a firewall that blocks UDP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_rs::methods::BINDING;
use stun_rs::{MessageClass, MessageDecoder, MessageEncoder, StunMessageBuilder, TransactionId};

use crate::port::{Output, Transmit};
use crate::wire::knock;
use crate::wire::question::FIRST_BYTES;

use super::Peer;

/// Waits after each of the three questions. RFC 8489, section 6.2.1: the first 500 ms, then
/// doubled.
const WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(2000)];

/// The test under way.
#[derive(Debug, Default)]
pub(super) struct NatTest {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    server: SocketAddr,
    transaction: [u8; 12],
    sent: usize,
    due: Instant,
}

impl NatTest {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.due)
    }
}

impl Peer {
    /// Starts the test at our home.
    pub(super) fn start_nat_test(&mut self, now: Instant) {
        let Some((link, home)) = self.home_link() else { return };
        let server = self.links.datagrams_to(link, &home);
        let transaction = self.entropy.secrets.bytes();
        self.nat_test.running = Some(Running { server, transaction, sent: 0, due: now });
        self.nat_due(now);
    }

    pub(super) fn nat_due(&mut self, now: Instant) {
        let Some(running) = self.nat_test.running.as_mut().filter(|r| r.due <= now) else { return };
        let Some(wait) = WAITS.get(running.sent) else {
            self.nat_test.running = None;
            return self.udp_tested(now, false);
        };
        running.sent += 1;
        running.due = now + *wait;
        let transmit = Transmit { to: running.server, bytes: question(running.transaction) };
        self.out.push_back(Output::Send(transmit));
    }

    /// A datagram came: its first byte says for whom.
    pub(super) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match bytes.first() {
            Some(first) if FIRST_BYTES.contains(first) => {
                self.handle_question_datagram(now, from, bytes);
            }
            Some(&knock::FIRST_BYTE) => self.handle_knock(now, bytes),
            Some(_) | None => self.handle_stun(now, from, bytes),
        }
    }

    fn handle_stun(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let Some(running) = &self.nat_test.running else { return };
        if from == running.server && answers(bytes, running.transaction) {
            self.nat_test.running = None;
            self.udp_tested(now, true);
        }
    }
}

fn question(transaction: [u8; 12]) -> Vec<u8> {
    let message = StunMessageBuilder::new(BINDING, MessageClass::Request)
        .with_transaction_id(TransactionId::from(transaction))
        .build();
    let mut bytes = vec![0; 64];
    let length = MessageEncoder::default().encode(&mut bytes, &message);
    bytes.truncate(length.expect("a header of 20 bytes fits"));
    bytes
}

fn answers(bytes: &[u8], transaction: [u8; 12]) -> bool {
    let Ok((message, _)) = MessageDecoder::default().decode(bytes) else { return false };
    message.method() == BINDING
        && message.class() == MessageClass::SuccessResponse
        && *message.transaction_id() == TransactionId::from(transaction)
}
