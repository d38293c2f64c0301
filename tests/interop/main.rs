//! Our code against what nobody here wrote: coturn's clients against our relay, and our paths
//! through coturn's.
//!
//! coturn's programs are killed after a minute, so a test that hangs fails.

mod client;
mod driver;

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use earshot_proto::super_peer::relay::{Refusal, RelayConfig, RelayCounters};

use crate::driver::RunningRelay;

/// Seconds after which coturn's programs are killed.
const PATIENCE_S: &str = "60";
/// Messages that each client sends, and clients.
const MESSAGES: &str = "50";
const CLIENTS: &str = "2";

/// A relay on loopback to which the owner has given loopback.
fn relay() -> RunningRelay {
    let allow = vec!["127.0.0.0/8".parse().expect("a range")];
    RunningRelay::start(RelayConfig { allow, ..RelayConfig::default() })
}

/// Runs a program of coturn's to its end and gives what it printed.
fn coturn(program: &str, arguments: &[&str]) -> String {
    let output = Command::new("timeout")
        .args([PATIENCE_S, program])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} of coturn is needed: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{program} ended with {}: {printed}", output.status);
    printed
}

/// Lets coturn's client send its messages and says what it counted and what the relay did.
fn uclient(how: &[&str]) -> (String, RelayCounters) {
    let relay = relay();
    let grant = relay.grant("alice");
    let port = relay.address.port().to_string();
    let mut arguments = vec!["-u", &grant.username, "-w", &grant.password, "-p", &port];
    arguments.extend(["-c", "-n", MESSAGES, "-m", CLIENTS, "-l", "172"]);
    arguments.extend(how);
    arguments.push("127.0.0.1");
    let printed = coturn("turnutils_uclient", &arguments);
    (printed, relay.stop())
}

fn assert_all_arrived(printed: &str) {
    let totals = printed.lines().rev().find(|line| line.contains("Total lost packets"));
    let totals = totals.unwrap_or_else(|| panic!("no totals: {printed}"));
    assert!(totals.contains("Total lost packets 0 (0.000000%)"), "{totals}");
    assert!(printed.contains("tot_recv_msgs=100"), "{printed}");
}

/// A peer that says everything back; it lives until the test process ends.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    let address = socket.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
        }
    });
    address
}

#[test]
fn coturns_client_loses_nothing_over_channels_to_a_peer() {
    let peer = echo().port().to_string();
    let (printed, counters) = uclient(&["-e", "127.0.0.1", "-r", &peer]);
    assert_all_arrived(&printed);
    assert!(counters.relayed_packets >= 200, "{counters:?}");
    assert_eq!(counters.looped_packets, 0);
}

#[test]
fn coturns_client_loses_nothing_over_send_indications_to_a_peer() {
    let peer = echo().port().to_string();
    let (printed, counters) = uclient(&["-s", "-e", "127.0.0.1", "-r", &peer]);
    assert_all_arrived(&printed);
    assert!(counters.relayed_packets >= 200, "{counters:?}");
}

#[test]
fn coturns_client_by_tcp_loses_nothing_over_channels_to_a_peer() {
    let peer = echo().port().to_string();
    let (printed, counters) = uclient(&["-t", "-e", "127.0.0.1", "-r", &peer]);
    assert_all_arrived(&printed);
    assert!(counters.relayed_packets >= 200, "{counters:?}");
}

#[test]
fn coturns_client_by_tcp_loses_nothing_over_send_indications_to_a_peer() {
    let peer = echo().port().to_string();
    let (printed, counters) = uclient(&["-t", "-s", "-e", "127.0.0.1", "-r", &peer]);
    assert_all_arrived(&printed);
    assert!(counters.relayed_packets >= 200, "{counters:?}");
}

#[test]
fn coturns_clients_by_tcp_reach_each_other_inside_the_relay() {
    for how in [&["-t", "-y"][..], &["-t", "-y", "-s"]] {
        let (printed, counters) = uclient(how);
        assert_all_arrived(&printed);
        assert!(counters.looped_packets >= 100, "{counters:?}");
    }
}

#[test]
fn coturns_clients_reach_each_other_inside_the_relay_over_channels() {
    let (printed, counters) = uclient(&["-y"]);
    assert_all_arrived(&printed);
    assert!(counters.looped_packets >= 100, "{counters:?}");
}

#[test]
fn coturns_clients_reach_each_other_inside_the_relay_over_send_indications() {
    let (printed, counters) = uclient(&["-y", "-s"]);
    assert_all_arrived(&printed);
    assert!(counters.looped_packets >= 100, "{counters:?}");
}

#[test]
fn coturns_client_with_a_wrong_password_gets_no_allocation() {
    let relay = relay();
    let grant = relay.grant("alice");
    let port = relay.address.port().to_string();
    let who = ["-u", &grant.username, "-w", "wrong", "-p", &port, "-c", "-n", "1", "-y"];
    let ended = Command::new("timeout")
        .args([PATIENCE_S, "turnutils_uclient"])
        .args(who)
        .arg("127.0.0.1")
        .output()
        .expect("turnutils_uclient of coturn is needed");
    assert!(!ended.status.success());
    let counters = relay.stop();
    assert_eq!(counters.allocated, 0);
    assert!(counters.refused(Refusal::Unauthorized) >= 2, "{counters:?}");
}

#[test]
fn coturns_stun_client_learns_its_address() {
    let relay = relay();
    let port = relay.address.port().to_string();
    let printed = coturn("turnutils_stunclient", &["-p", &port, "127.0.0.1"]);
    assert!(printed.contains("UDP reflexive addr: 127.0.0.1:"), "{printed}");
    assert_eq!(relay.stop().answers, 1);
}

#[test]
fn coturns_nat_discovery_tells_mapping_and_filtering_by_two_partners() {
    let allow = vec!["127.0.0.0/8".parse().expect("a range")];
    let pair = RunningRelay::pair(&RelayConfig { allow, ..RelayConfig::default() });
    let port = pair[0].address.port().to_string();
    let printed = coturn("turnutils_natdiscovery", &["-m", "-f", "-p", &port, "127.0.0.1"]);
    for told in [
        "NAT with Endpoint Independent Mapping!",
        "NAT with Endpoint Independent Filtering!",
        &format!("Other addr: : 127.0.0.2:{}", pair[0].address.port() + 1),
        &format!("Response origin: : 127.0.0.2:{}", pair[0].address.port() + 1),
    ] {
        assert!(printed.contains(told), "{told} is not told: {printed}");
    }
    let [one, other] = pair.map(RunningRelay::stop);
    assert!(one.answers >= 2 && other.answers >= 2, "{one:?} {other:?}");
}
