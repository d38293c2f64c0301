//! A machine that breaks the rule of order on purpose: it walks through a `HashMap`. The test of
//! equal logs must notice it, or it notices nothing.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use earshot_proto::port::{Input, Machine, Output, Transmit, WaitReason};

/// Datagrams that it sends: 64 orders are never the same by chance.
const DATAGRAMS: usize = 64;

/// The machine.
pub(super) struct Sloppy(VecDeque<Transmit>);

impl Sloppy {
    pub(super) fn new(to: SocketAddr) -> Self {
        let sizes: HashMap<usize, SocketAddr> = (1..=DATAGRAMS).map(|size| (size, to)).collect();
        let datagrams = sizes.into_iter().map(|(size, to)| Transmit { to, bytes: vec![0; size] });
        Self(datagrams.collect())
    }
}

impl Machine for Sloppy {
    type Notice = ();
    type Record = ();

    fn handle(&mut self, _: Instant, _: Input<'_>) {}

    fn poll_output(&mut self) -> Output<(), ()> {
        match self.0.pop_front() {
            Some(transmit) => Output::Send(transmit),
            None => Output::Wait(None, WaitReason::Idle),
        }
    }
}
