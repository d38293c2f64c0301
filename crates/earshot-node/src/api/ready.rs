//! The first line of every `earshotd`: it is ready, or it says why not. INTERFACES 2.

use std::net::SocketAddr;

use earshot_proto::wire::certificate::{AgreeKey, VerifyKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::text::Spelled;

/// What an `earshotd` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Login authority and first super-peer in one process.
    Network,
    /// Login authority.
    Authority,
    /// Super-peer.
    SuperPeer,
    /// Ordinary peer.
    Peer,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Network, Self::Authority, Self::SuperPeer, Self::Peer];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Authority => "authority",
            Self::SuperPeer => "super-peer",
            Self::Peer => "peer",
        }
    }
}

/// The process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Always true.
    ready: bool,
    /// What it does.
    pub role: Role,
    /// Where it listens, TCP and UDP.
    #[schemars(with = "String", example = "127.0.0.1:40123")]
    pub listen: SocketAddr,
    /// The address that it tells others, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", example = "192.0.2.7:4433")]
    pub public: Option<SocketAddr>,
    /// The network's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"home")]
    pub network: Option<String>,
    /// The network itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_key: Option<Spelled<VerifyKey>>,
    /// The authority's URI: what a super-peer enrols with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "earshot-authority:ogBYIA…")]
    pub authority: Option<String>,
    /// A one-use token for the first super-peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "q83vASNFZ4k…")]
    pub enrol_token: Option<String>,
    /// An invite to the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "earshot:pQBkaG9tZQ…")]
    pub invite: Option<String>,
    /// The link key of a super-peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key: Option<Spelled<AgreeKey>>,
    /// The process.
    #[schemars(example = 4711)]
    pub pid: u32,
    /// The program's version.
    #[schemars(example = "0.1.0")]
    pub version: String,
}

impl Ready {
    /// This process, in this role, listening there; the rest is absent until set.
    #[must_use]
    pub fn new(role: Role, listen: SocketAddr) -> Self {
        Self {
            ready: true,
            role,
            listen,
            public: None,
            network: None,
            root_key: None,
            authority: None,
            enrol_token: None,
            invite: None,
            node_key: None,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The process could not start, and ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotReady {
    /// Always false.
    ready: bool,
    /// Why.
    pub error: Failure,
}

impl NotReady {
    /// The line that says why.
    #[must_use]
    pub const fn new(error: Failure) -> Self {
        Self { ready: false, error }
    }
}

#[cfg(test)]
mod tests {
    use super::super::errors::ErrorCode;
    use super::*;

    #[test]
    fn what_is_absent_is_omitted() {
        let ready = Ready::new(Role::SuperPeer, "127.0.0.1:40123".parse().expect("an address"));
        let json = serde_json::to_string(&ready).expect("serializable");
        let wanted = r#"{"ready":true,"role":"super-peer","listen":"127.0.0.1:40123","pid":"#;
        assert!(json.starts_with(wanted), "{json}");
    }

    #[test]
    fn a_failed_start_names_its_code_and_facts() {
        let line = NotReady::new(ErrorCode::PortInUse { port: 4433 }.into());
        let json = serde_json::to_string(&line).expect("serializable");
        let wanted = r#"{"ready":false,"error":{"code":"portInUse","facts":{"port":4433}}}"#;
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_str::<NotReady>(&json).ok(), Some(line));
    }

    #[test]
    fn a_code_without_facts_has_empty_ones() {
        let failure = Failure::from(ErrorCode::TooManyAttempts).retry_after(5_000);
        let json = serde_json::to_string(&failure).expect("serializable");
        assert_eq!(json, r#"{"code":"tooManyAttempts","facts":{},"retryAfterMs":5000}"#);
        assert_eq!(serde_json::from_str::<Failure>(&json).ok(), Some(failure));
    }
}
