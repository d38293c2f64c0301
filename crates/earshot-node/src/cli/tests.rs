//! Command lines, right and wrong.

use earshot_proto::wire::bounded::List;
use earshot_proto::wire::certificate::VerifyKey;

use super::*;

fn read(line: &str) -> Result<Invocation, ErrorCode> {
    parse(line.split_whitespace().map(OsString::from), Role::ALL)
}

fn options(line: &str) -> Options {
    match read(line) {
        Ok(Invocation::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

fn invite() -> String {
    let invite = Invite {
        name: Text::new("home").expect("short"),
        root: VerifyKey([3; 32]),
        super_peers: List::default(),
        token: None,
        policy_version: 1,
        also: None,
    };
    invite.to_uri()
}

#[test]
fn every_role_is_read_with_all_its_flags() {
    let authority = "--data-dir /d --name home --listen 127.0.0.1:0 --public 192.0.2.7:4433";
    let network = options(&format!("network {authority} --log debug --ice-loopback"));
    assert!(matches!(network.role, RoleOptions::Network(_)) && network.ice_loopback);
    assert_eq!((network.listen.map(|a| a.port()), network.log), (Some(0), LevelFilter::DEBUG));

    let with_database = options(&format!("authority {authority} --database postgres://db/x"));
    let RoleOptions::Authority(with_database) = with_database.role else { panic!("an authority") };
    assert_eq!(with_database.name.as_str(), "home");
    assert_eq!(with_database.database.as_deref(), Some("postgres://db/x"));

    let super_peer = options(
        "super-peer --data-dir d --authority earshot-authority:x --enrol t --listen [::1]:7 \
         --public 192.0.2.7:1 --relay-ports 100-200 --relay-allow 127.0.0.0/8 --relay-allow ::1",
    );
    let RoleOptions::SuperPeer(super_peer) = super_peer.role else { panic!("a super-peer") };
    assert!(matches!(super_peer.joins, Joins::Authority(uri) if uri == "earshot-authority:x"));
    assert_eq!((super_peer.relay_ports, super_peer.relay_allow.len()), (Some(100..=200), 2));

    let peer = options(&format!(
        "peer --data-dir d --invite {} --rpc stdio --pretend-reachability restricted",
        invite()
    ));
    assert_eq!(peer.pretend_reachability, Some(Reachability::Restricted));
    let RoleOptions::Peer(peer) = peer.role else { panic!("a peer") };
    assert_eq!(peer.invite.map(|invite| invite.name.as_str().to_owned()), Some("home".into()));
}

#[test]
fn what_is_optional_may_be_absent() {
    let peer = options("peer --data-dir d --rpc stdio");
    assert_eq!((peer.listen, peer.log, peer.ice_loopback), (None, LevelFilter::WARN, false));
    assert_eq!(peer.pretend_reachability, None);
    assert!(matches!(peer.role, RoleOptions::Peer(PeerOptions { invite: None, .. })));
}

#[test]
fn a_wrong_command_line_is_told_what_is_wrong_with_it() {
    for (line, problem) in [
        ("", "a role is missing"),
        ("relay", "there is no such role"),
        ("peer --rpc stdio", "--data-dir is missing"),
        ("peer --data-dir d", "--rpc stdio is missing"),
        ("peer --data-dir d --rpc tcp", "--rpc stdio is missing"),
        ("peer --data-dir d --rpc stdio --name x", "--name is not for peer"),
        ("peer --data-dir d --rpc stdio --data-dir e", "--data-dir came twice"),
        ("peer --data-dir d --rpc stdio --listen", "--listen lacks a value"),
        ("peer --data-dir d --rpc stdio --listen 7", "the value of --listen is not IP:PORT"),
        ("peer --data-dir d --rpc stdio --log loud", "the value of --log is not a level"),
        ("peer --data-dir d --rpc stdio secret", "secret is not for peer"),
        ("network --data-dir d", "--name is missing"),
        ("network --data-dir d --name x --database u", "--database is not for network"),
        ("super-peer --data-dir d", "either --authority or --invite is needed"),
        (
            "super-peer --data-dir d --authority u --relay-ports 9-1",
            "the value of --relay-ports is not A-B",
        ),
        (
            "super-peer --data-dir d --authority u --relay-allow x",
            "the value of --relay-allow is not a range like 10.0.0.0/8",
        ),
    ] {
        let wrong = read(line).expect_err(line);
        assert_eq!(wrong, ErrorCode::Usage { problem: problem.into() }, "{line}");
        assert_eq!(wrong.exit_code(), 64);
    }
}

#[test]
fn a_damaged_invite_is_no_wrong_usage() {
    let uri = invite();
    let cut = &uri[..uri.len() - 1];
    let wrong = read(&format!("peer --data-dir d --rpc stdio --invite {cut}"));
    let wrong = wrong.expect_err("a damaged invite");
    assert!(matches!(wrong, ErrorCode::BadInvite { .. }), "{wrong:?}");
    assert_eq!(wrong.exit_code(), 1);
}

#[test]
fn version_and_help_may_stand_anywhere_a_flag_may() {
    assert!(matches!(read("--version"), Ok(Invocation::Version)));
    assert!(matches!(read("peer --version"), Ok(Invocation::Version)));
    assert!(matches!(read("--help"), Ok(Invocation::Help)));
    assert!(matches!(read("peer --help"), Ok(Invocation::Help)));
}

#[test]
fn a_role_that_the_program_lacks_is_no_role() {
    let line = ["peer", "--data-dir", "d", "--rpc", "stdio"].map(OsString::from);
    assert!(parse(line, &[Role::Authority]).is_err());
    assert!(!usage(&[Role::Authority]).contains("earshotd peer"));
}
