//! What was seen while the story was told: moments, answers and events, nothing judged yet.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

/// Everything seen. What did not happen is absent. Pairs are in the order of [`super::PEOPLE`].
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// `stretchMs` of each login.
    pub stretch_ms: Vec<f64>,
    /// From `login` sent to its result, less the stretch.
    pub login_ms: Vec<f64>,
    /// From `search` sent to the first exact result.
    pub search_ms: Option<f64>,
    /// Whether they met: buddies, and a message each way.
    pub met: bool,
    /// From `call.start` sent to `ringing` read at Bob's.
    pub ring_ms: Option<f64>,
    /// When `call.accept` was sent.
    pub accept_ns: Option<u64>,
    /// The last `callChanged.call` of each end before hanging up.
    pub calls: [Option<Value>; 2],
    /// `call.stats` of each end before hanging up.
    pub stats: [Option<Value>; 2],
    /// The last `callChanged.call` of each end after it.
    pub ended: [Option<Value>; 2],
    /// Which super-peers are their homes.
    pub homes: Option<[usize; 2]>,
    /// Of each super-peer: what it had done before the call, once both talked,
    /// and when the call was over.
    pub services: Vec<[Value; 3]>,
    /// What was found where.
    pub sealed: Option<Found>,
    /// What of any process's output broke the contract.
    pub breaches: Vec<String>,
    /// Every process that stopped: its name, exit code and how long that took.
    pub stopped: Vec<(String, Option<i32>, Duration)>,
    /// How many processes there were to stop.
    pub processes: usize,
}

/// Which kinds of secrets are in which memories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the super-peers and the authority, with the process.
    pub outside: BTreeSet<(String, &'static str)>,
    /// In Alice's and Bob's processes: the proof that the search finds.
    pub inside: BTreeSet<&'static str>,
}

impl Evidence {
    /// How the sound travelled at each end: `path.kind`, or why there was none.
    #[must_use]
    pub fn path_kinds(&self) -> [String; 2] {
        let kind = |end: usize| {
            let kind = self.calls[end].as_ref().and_then(|call| call["path"]["kind"].as_str());
            let ended = self.ended[end].as_ref().and_then(|call| call["end"]["reason"].as_str());
            kind.map_or_else(|| format!("none:{}", ended.unwrap_or("no_call")), str::to_owned)
        };
        [kind(0), kind(1)]
    }

    /// How the signals travelled, as each end says.
    #[must_use]
    pub fn signaling(&self) -> [String; 2] {
        let of = |end: usize| {
            let call = self.calls[end].as_ref().or(self.ended[end].as_ref());
            call.and_then(|call| call["signaling"].as_str()).unwrap_or("none").to_owned()
        };
        [of(0), of(1)]
    }

    /// The addresses of the path at Alice's end: hers and the one that she sends to.
    #[must_use]
    pub fn path_ends(&self) -> Vec<SocketAddr> {
        let path = self.calls[0].as_ref().map(|call| &call["path"]);
        let end = |name: &str| path?[name].as_str()?.parse().ok();
        ["local", "remote"].into_iter().filter_map(end).collect()
    }

    /// A counter of `call.stats` at an end.
    #[must_use]
    pub fn stat(&self, end: usize, name: &str) -> Option<f64> {
        self.stats[end].as_ref()?[name].as_f64()
    }

    /// What was lost on the way to an end, percent of what came and what did not.
    #[must_use]
    pub fn loss_pct(&self, end: usize) -> Option<f64> {
        let (lost, came) = (self.stat(end, "lostPackets")?, self.stat(end, "receivedPackets")?);
        (came + lost > 0.0).then(|| 100.0 * lost / (came + lost))
    }

    /// By how much a counter of a super-peer grew between two of its three moments.
    #[must_use]
    pub fn grown(&self, super_peer: usize, name: &str, from: usize, to: usize) -> Option<u64> {
        let moments = self.services.get(super_peer)?;
        moments[to][name].as_u64()?.checked_sub(moments[from][name].as_u64()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_did_not_happen_says_so() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.path_kinds(), ["none:no_call", "none:no_call"]);
        assert_eq!(evidence.loss_pct(0), None);
        evidence.ended[0] = Some(json!({ "signaling": "direct", "end": { "reason": "noPath" } }));
        assert_eq!(evidence.path_kinds()[0], "none:noPath");
        assert_eq!(evidence.signaling(), ["direct", "none"]);
    }

    #[test]
    fn loss_counts_what_came_and_what_did_not() {
        let mut evidence = Evidence::default();
        evidence.stats[1] = Some(json!({ "lostPackets": 1, "receivedPackets": 99 }));
        assert_eq!(evidence.loss_pct(1), Some(1.0));
        evidence.stats[1] = Some(json!({ "lostPackets": 0, "receivedPackets": 0 }));
        assert_eq!(evidence.loss_pct(1), None);
    }

    #[test]
    fn counters_grow_between_two_moments() {
        let status = |carried: u64| json!({ "throughUs": carried });
        let evidence =
            Evidence { services: vec![[status(3), status(5), status(9)]], ..Evidence::default() };
        assert_eq!(evidence.grown(0, "throughUs", 0, 1), Some(2));
        assert_eq!(evidence.grown(1, "throughUs", 0, 1), None);
    }
}
