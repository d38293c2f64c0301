//! Real agents in one process: they find each other, carry packets, and end.

use std::time::Instant;

use earshot_proto::port::{
    Output, PathDown, PathEvent, PathFacts, PathKind, PathOrder, PathPolicy,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::PathGone;
use crate::puppet::{Heard, PATIENCE, Stage, meet, path, path_event, with_loopback_candidates};

struct Connected {
    alice: Stage,
    bob: Stage,
    facts: PathFacts,
}

async fn connect() -> Connected {
    let mut alice = Stage::with(with_loopback_candidates(), &[]).await;
    let mut bob = Stage::with(with_loopback_candidates(), &[]).await;
    let nobody = [Vec::new(), Vec::new()];
    let [facts, theirs] = meet(&mut alice, &mut bob, nobody, PathPolicy::Any).await;
    assert_eq!((facts.local, facts.remote), (theirs.remote, theirs.local));
    Connected { alice, bob, facts }
}

fn open(controlling: bool, policy: PathPolicy) -> Output<Heard, u32> {
    path(PathOrder::Open { controlling, servers: Vec::new(), policy })
}

#[tokio::test]
async fn two_agents_meet_between_host_addresses_and_packets_flow() {
    let Connected { mut alice, mut bob, facts } = connect().await;
    assert!(matches!(facts.kind, PathKind::Host | PathKind::PeerReflexive), "{facts:?}");
    assert_eq!(facts.relay, None);
    let (from, to) = (alice.path(1).await, bob.path(1).await);
    let (tell, mut came) = mpsc::unbounded_channel();
    to.attach(Box::new(move |_: Instant, packet| drop(tell.send(packet.to_vec()))));
    // From a thread of no runtime, as sound does.
    let sender = std::thread::spawn(move || {
        for number in 0..50_u8 {
            from.send(&[0x80, number]).expect("the path is up");
        }
    });
    for number in 0..50 {
        let packet = timeout(PATIENCE, came.recv()).await.expect("it comes in time");
        assert_eq!(packet, Some(vec![0x80, number]));
    }
    sender.join().expect("the sender ends well");
}

#[tokio::test]
async fn a_closed_path_takes_nothing_more_and_is_silent() {
    let Connected { mut alice, bob: _bob, .. } = connect().await;
    let handle = alice.path(1).await;
    alice.order([path(PathOrder::Close)]).await;
    let closed = async {
        while handle.send(&[0x80]) != Err(PathGone) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it is closed in time");
    alice.order([Output::Notify(Heard::Said("quiet"))]).await;
    // Gathering may have gone on until the close.
    let mut heard = alice.hears().await;
    while matches!(heard, Heard::Path(..)) {
        heard = alice.hears().await;
    }
    assert_eq!(heard, Heard::Said("quiet"));
}

#[tokio::test]
async fn without_a_relay_there_is_no_hidden_path() {
    let mut alice = Stage::with(with_loopback_candidates(), &[]).await;
    alice.order([open(true, PathPolicy::RelayOnly)]).await;
    assert!(matches!(path_event(&mut alice).await, PathEvent::Local { .. }));
    assert_eq!(path_event(&mut alice).await, PathEvent::EndOfCandidates);
    assert_eq!(path_event(&mut alice).await, PathEvent::Tried(Vec::new()));
    assert_eq!(path_event(&mut alice).await, PathEvent::Down(PathDown::Unavailable));
}

#[tokio::test]
async fn a_peer_that_never_answers_is_no_path() {
    let mut alice = Stage::with(with_loopback_candidates(), &[]).await;
    alice.order([open(true, PathPolicy::Any)]).await;
    let remote = PathOrder::Remote { ufrag: "nobody".into(), password: "p".repeat(32) };
    alice.order([path(remote)]).await;
    let down = async {
        loop {
            if let PathEvent::Down(down) = path_event(&mut alice).await {
                return down;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, down).await.expect("it gives up"), PathDown::NoPair);
}

#[tokio::test]
async fn a_path_is_lively_until_its_other_end_dies_and_then_silent() {
    let Connected { mut alice, bob, .. } = connect().await;
    let told = async |alice: &mut Stage| loop {
        let event = path_event(alice).await;
        if matches!(event, PathEvent::Lively { .. } | PathEvent::Silent) {
            return event;
        }
    };
    let lively = timeout(PATIENCE, told(&mut alice)).await.expect("its probe is answered");
    assert!(matches!(lively, PathEvent::Lively { .. }), "{lively:?}");
    bob.driver.clone().stop().await;
    let silent = async { while told(&mut alice).await != PathEvent::Silent {} };
    timeout(PATIENCE, silent).await.expect("it is noticed");
}
