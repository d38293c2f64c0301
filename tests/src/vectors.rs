//! What is written down in `tests/vectors/invite.json` is what our code reads and writes.
//!
//! The vectors were encoded from the words of `docs/protocol.md` by `tests/vectors/invite.py`, not
//! by our code: so a change of the encoding that both our writer and our reader make is noticed.

use std::net::{IpAddr, SocketAddr};

use data_encoding::HEXLOWER;
use earshot_proto::wire::Wire;
use earshot_proto::wire::bounded::{Bytes, List, Text};
use earshot_proto::wire::certificate::{AgreeKey, VerifyKey};
use earshot_proto::wire::invite::{AuthorityPlace, BadInvite, Door, Invite};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    invites: Vec<InviteVector>,
    authorities: Vec<AuthorityVector>,
    refused: Vec<RefusedVector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InviteVector {
    what: String,
    network_name: String,
    root_key: String,
    super_peers: Vec<DoorVector>,
    policy_version: u64,
    token: Option<String>,
    network: String,
    /// Whether our writer makes exactly these bytes; else it only reads them.
    written: bool,
    cbor: String,
    uri: String,
}

#[derive(Deserialize)]
struct DoorVector {
    ip: IpAddr,
    port: u16,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityVector {
    what: String,
    root_key: String,
    door: DoorVector,
    cbor: String,
    uri: String,
}

#[derive(Deserialize)]
struct RefusedVector {
    what: String,
    uri: String,
    why: Why,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Why {
    NotAnInvite,
    Damaged,
    Unreadable,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/invite.json")).expect("the vectors are JSON")
}

fn key(hex: &str) -> [u8; 32] {
    let bytes = HEXLOWER.decode(hex.as_bytes()).expect("hex");
    bytes.try_into().expect("32 bytes")
}

impl DoorVector {
    fn door(&self) -> Door {
        Door { address: SocketAddr::new(self.ip, self.port), key: AgreeKey(key(&self.key)) }
    }
}

impl InviteVector {
    fn invite(&self) -> Invite {
        let doors = self.super_peers.iter().map(DoorVector::door).collect();
        let token = self.token.as_ref().map(|hex| Bytes::new(key(hex).to_vec()).expect("32 bytes"));
        Invite {
            name: Text::new(self.network_name.as_str()).expect("short"),
            root: VerifyKey(key(&self.root_key)),
            super_peers: List::new(doors).expect("four at most"),
            token,
            policy_version: self.policy_version,
            also: None,
        }
    }
}

#[test]
fn every_invite_of_the_vectors_is_read() {
    for vector in vectors().invites {
        let invite = vector.invite();
        assert_eq!(Invite::from_uri(&vector.uri), Ok(invite.clone()), "{}", vector.what);
        assert_eq!(invite.network().0, key(&vector.network), "{}", vector.what);
    }
}

#[test]
fn every_invite_of_the_vectors_is_written_to_the_byte() {
    let written = vectors().invites.into_iter().filter(|vector| vector.written);
    for vector in written {
        let invite = vector.invite();
        assert_eq!(HEXLOWER.encode(&invite.to_bytes()), vector.cbor, "{}", vector.what);
        assert_eq!(invite.to_uri(), vector.uri, "{}", vector.what);
    }
}

#[test]
fn every_authority_of_the_vectors_is_read_and_written() {
    for vector in vectors().authorities {
        let root = VerifyKey(key(&vector.root_key));
        let place = AuthorityPlace { root, door: vector.door.door(), v6: None };
        assert_eq!(AuthorityPlace::from_uri(&vector.uri), Ok(place), "{}", vector.what);
        assert_eq!(HEXLOWER.encode(&place.to_bytes()), vector.cbor, "{}", vector.what);
        assert_eq!(place.to_uri(), vector.uri, "{}", vector.what);
    }
}

#[test]
fn what_is_no_invite_is_refused_for_the_written_reason() {
    for vector in vectors().refused {
        let why = match vector.why {
            Why::NotAnInvite => BadInvite::NotAnInvite,
            Why::Damaged => BadInvite::Damaged,
            Why::Unreadable => BadInvite::Unreadable,
        };
        assert_eq!(Invite::from_uri(&vector.uri), Err(why), "{}", vector.what);
    }
}
