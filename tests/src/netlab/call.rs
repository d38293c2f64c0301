//! One call between two people, and what came of it.
//!
//! Invariant: that they talked is believed neither of them: what each heard is looked for in what
//! the other said.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::people::{Person, SOON};
use crate::align;
use crate::demo::sound::Recording;
use crate::harness::{Daemon, Mark, Trouble, monotonic_ns, ms_between};

/// How long it rings before somebody picks up: about what a hand takes to the button.
const RINGS_FOR: Duration = Duration::from_secs(1);
/// From picking up to talking or giving up: more than all that the product waits for.
const PATH_WITHIN: Duration = Duration::from_secs(30);
/// How long they talk before they are judged.
const TALK_FOR: Duration = Duration::from_millis(1_200);
/// How long a call that began over a relay is given to find the direct way that there is.
const UPGRADE_WITHIN: Duration = Duration::from_secs(5);
/// What was heard is looked for so long before it was heard. Gates of INTERFACES 1, and a slow
/// line each way.
const DELAYS_MS: std::ops::RangeInclusive<f64> = -50.0..=900.0;
/// Pieces of what was heard, of a quarter of a second; so many found again are speech.
const PIECES: usize = 8;
const PIECES_MIN: usize = 3;
const PIECE: usize = 12_000;
const PER_MS: f64 = 48.0;

/// What came of a call, as far as it came. Pairs are caller, callee.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// From `call.start` to `ringing` read at the callee.
    pub ring_ms: Option<f64>,
    /// From `call.accept` to the later `talking`.
    pub talk_ms: Option<f64>,
    /// From `call.accept` to the first sample that is not silence, at the later end.
    pub first_sound_ms: Option<f64>,
    /// `path.kind` at both ends, at last.
    pub paths: [Option<String>; 2],
    /// The super-peer that relays the path at last, if one does.
    pub relay: Option<String>,
    /// How many pieces of what each heard the other had said.
    pub pieces: [usize; 2],
    /// Packets that did not come, percent, the worse end.
    pub loss_pct: Option<f64>,
    /// Why it broke off.
    pub trouble: Option<String>,
}

impl Attempt {
    /// Both heard the other.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.trouble.is_none() && self.pieces.iter().all(|pieces| *pieces >= PIECES_MIN)
    }

    /// `direct`, `relay` or `tcp`; nothing where there is no path.
    #[must_use]
    pub fn way(&self) -> Option<&'static str> {
        let [Some(here), Some(there)] = &self.paths else { return None };
        let both = [here.as_str(), there.as_str()];
        Some(if both.contains(&"relayTcp") {
            "tcp"
        } else if both.contains(&"relayUdp") {
            "relay"
        } else {
            "direct"
        })
    }
}

/// Makes a call and hangs up.
#[must_use]
pub fn make(caller: &Person, callee: &Person, may_be_direct: bool) -> Attempt {
    let mut attempt = Attempt::default();
    let told = Talk::begin(caller, callee, &mut attempt).and_then(|talk| {
        talk.go_on(TALK_FOR)?;
        if may_be_direct {
            talk.wait_for_direct();
        }
        attempt.relay = talk.relay();
        let talked = talk.end(&mut attempt);
        talk.listen(&mut attempt);
        talked
    });
    if let Err(trouble) = told {
        attempt.trouble = Some(trouble.to_string());
        for person in [caller, callee] {
            hang_up_all(person);
        }
    }
    attempt
}

/// A call that both are in.
#[derive(Debug)]
pub struct Talk<'a> {
    people: [&'a Person; 2],
    marks: [Mark; 2],
    id: Value,
    accepted_ns: u64,
    speakers: [PathBuf; 2],
}

impl<'a> Talk<'a> {
    /// From buddies to talking.
    ///
    /// # Errors
    /// What did not happen.
    pub fn begin(
        caller: &'a Person,
        callee: &'a Person,
        attempt: &mut Attempt,
    ) -> Result<Self, Trouble> {
        let (one, two) = (caller.peer()?, callee.peer()?);
        caller.befriend(callee)?;
        let name = format!("{}-{}", caller.kind().name, callee.kind().name);
        let speakers = [caller.sit_down(&name)?, callee.sit_down(&name)?];
        let marks = [one.mark(), two.mark()];
        let start = one.ask("call.start", json!({ "to": callee.name }))?;
        let id = start.result["callId"].clone();
        let mut talk = Self { people: [caller, callee], marks, id, accepted_ns: 0, speakers };
        let ringing = talk.wait(1, SOON, "ringing", &["ringing", "ended"])?;
        attempt.ring_ms = Some(ms_between(start.sent_ns, ringing.1));
        talk.go_on(RINGS_FOR)?;
        let accept = two.ask("call.accept", json!({ "callId": talk.id }))?;
        talk.accepted_ns = accept.sent_ns;
        let mut later = 0;
        for end in [0, 1] {
            let (call, at_ns) = talk.wait(end, PATH_WITHIN, "talking", &["talking", "ended"])?;
            attempt.paths[end] = kind_of(&call);
            later = at_ns.max(later);
        }
        attempt.talk_ms = Some(ms_between(accept.sent_ns, later));
        Ok(talk)
    }

    /// Both stay in it so long.
    ///
    /// # Errors
    /// That it ended.
    pub fn go_on(&self, so_long: Duration) -> Result<(), Trouble> {
        let until_ns = monotonic_ns() + so_long.as_nanos() as u64;
        for end in [0, 1] {
            let left = Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()));
            match self.wait(end, left, "end", &["ended"]) {
                Err(Trouble::Missing { .. }) => {}
                Err(other) => return Err(other),
                Ok((call, _)) => return Err(self.unexpected(end, &call)),
            }
        }
        Ok(())
    }

    /// Until both say that they hear each other from one to the other, or for so long as one can
    /// wait for that.
    fn wait_for_direct(&self) {
        let begun = std::time::Instant::now();
        for end in [0, 1] {
            let Ok(peer) = self.people[end].peer() else { return };
            if self.last(end).is_some_and(|call| is_direct(&call)) {
                continue;
            }
            let left = UPGRADE_WITHIN.saturating_sub(begun.elapsed());
            // Where it does not come it is judged later.
            drop(peer.wait_event(peer.mark(), left, "direct path", |event| {
                event["call"]["id"] == self.id && is_direct(&event["call"])
            }));
        }
    }

    /// Notes how it stands, and hangs up.
    ///
    /// # Errors
    /// What did not happen.
    pub fn end(&self, attempt: &mut Attempt) -> Result<(), Trouble> {
        let mut losses = Vec::new();
        for end in [0, 1] {
            let peer = self.people[end].peer()?;
            let stats = peer.rpc("call.stats", json!({ "callId": self.id }))?;
            losses.extend(stats["lossPct"].as_f64());
            let last = self.last(end).and_then(|call| kind_of(&call));
            attempt.paths[end] = last.or_else(|| attempt.paths[end].take());
        }
        attempt.loss_pct = losses.into_iter().reduce(f64::max);
        self.people[0].peer()?.rpc("call.hang_up", json!({ "callId": self.id }))?;
        for end in [0, 1] {
            self.wait(end, SOON, "end", &["ended"])?;
        }
        Ok(())
    }

    /// What each heard, judged.
    pub fn listen(&self, attempt: &mut Attempt) {
        let mut sounds = Vec::new();
        for (ear, mouth) in [(0, 1), (1, 0)] {
            let Some([heard, said]) = self.recordings(ear, mouth) else { continue };
            attempt.pieces[ear] = pieces(&heard, &said);
            let sounded = heard.first_sound_ns();
            sounds.extend(sounded.map(|at_ns| ms_between(self.accepted_ns, at_ns)));
        }
        attempt.first_sound_ms =
            (sounds.len() == 2).then(|| sounds.into_iter().fold(0.0, f64::max));
    }

    /// What an end heard, and what the other said.
    #[must_use]
    pub fn recordings(&self, ear: usize, mouth: usize) -> Option<[Recording; 2]> {
        let read = |path: &PathBuf| Recording::read(path).map_err(|why| eprintln!("{why}")).ok();
        Some([read(&self.speakers[ear])?, read(&self.people[mouth].microphone)?])
    }

    /// The call as an end told it last.
    #[must_use]
    pub fn last(&self, end: usize) -> Option<Value> {
        let events = self.people[end].peer().ok()?.events_since(self.marks[end]);
        let mut of_it =
            events.into_iter().rev().filter(|event| event.value["call"]["id"] == self.id);
        of_it.next().map(|mut event| event.value["call"].take())
    }

    /// The relay's address, as either end tells it.
    #[must_use]
    pub fn relay(&self) -> Option<String> {
        let told = |end| Some(self.last(end)?["path"]["relay"].as_str()?.to_owned());
        told(0).or_else(|| told(1))
    }

    /// Whether an end was relayed at first and is direct in the end.
    #[must_use]
    pub fn was_relayed_first(&self) -> bool {
        [0, 1].into_iter().any(|end| {
            let Ok(peer) = self.people[end].peer() else { return false };
            let events = peer.events_since(self.marks[end]);
            let mut of_it = events.iter().filter(|event| event.value["call"]["id"] == self.id);
            let relayed = of_it.by_ref().find(|event| {
                let kind = event.value["call"]["path"]["kind"].as_str();
                kind.is_some_and(|kind| kind.starts_with("relay"))
            });
            relayed.is_some() && of_it.any(|event| is_direct(&event.value["call"]))
        })
    }

    /// Waits until an end tells one of these states; one that is not the first is a trouble.
    fn wait(
        &self,
        end: usize,
        within: Duration,
        what: &str,
        states: &[&str],
    ) -> Result<(Value, u64), Trouble> {
        let peer: &Daemon = self.people[end].peer()?;
        let found = peer.wait_event(self.marks[end], within, what, |event| {
            let call = &event["call"];
            let state = call["state"].as_str().unwrap_or_default();
            event["type"] == "callChanged" && call["id"] == self.id && states.contains(&state)
        })?;
        let call = found.value["call"].clone();
        if call["state"] == states[0] {
            Ok((call, found.at_ns))
        } else {
            Err(self.unexpected(end, &call))
        }
    }

    fn unexpected(&self, end: usize, call: &Value) -> Trouble {
        let what = format!("the call ended: {}", call["end"]);
        Trouble::Unexpected { name: self.people[end].name.clone(), what }
    }
}

fn kind_of(call: &Value) -> Option<String> {
    call["path"]["kind"].as_str().map(str::to_owned)
}

fn is_direct(call: &Value) -> bool {
    ["host", "srflx", "prflx"].map(Value::from).contains(&call["path"]["kind"])
}

/// Nothing of a call that broke off may disturb the next.
pub fn hang_up_all(person: &Person) {
    let Ok(peer) = person.peer() else { return };
    let Ok(state) = peer.rpc("state.get", json!({})) else { return };
    for call in state["calls"].as_array().into_iter().flatten() {
        drop(peer.rpc("call.hang_up", json!({ "callId": call["id"] })));
    }
}

/// How many pieces of what was heard are found in what was said, at the moment that they can be of.
fn pieces(heard: &Recording, said: &Recording) -> usize {
    let (Some(heard_ns), Some(said_ns)) = (heard.sample0_ns, said.sample0_ns) else { return 0 };
    let Some(first) = heard.samples.iter().position(|sample| *sample != 0.0) else { return 0 };
    let sounding = &heard.samples[first..];
    let apart = ms_between(said_ns, heard_ns) + first as f64 / PER_MS;
    let lag_of = |delay_ms: f64| ((apart - delay_ms) * PER_MS) as i64;
    let lags = lag_of(*DELAYS_MS.end())..=lag_of(*DELAYS_MS.start());
    align::windows(sounding, &said.samples, PIECES, PIECE, lags).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{speech, with_noise};

    fn said() -> Recording {
        Recording { samples: speech(3, 4, 48_000), sample0_ns: Some(1_000_000_000) }
    }

    #[test]
    fn what_was_said_a_moment_ago_is_heard() {
        let said = said();
        // Recording began two seconds after the speaking, and it takes 80 ms to be heard.
        let heard = Recording {
            samples: with_noise(&said.samples[1_920 * 48..], 1, 0.001),
            sample0_ns: Some(3_000_000_000),
        };
        assert!(pieces(&heard, &said) >= PIECES_MIN);
        let stale = Recording { sample0_ns: Some(9_000_000_000), ..heard };
        assert!(pieces(&stale, &said) < PIECES_MIN);
    }

    #[test]
    fn silence_and_somebody_else_are_not_heard() {
        let silence = Recording { samples: vec![0.0; 96_000], sample0_ns: Some(1_000_000_000) };
        let other = Recording { samples: speech(4, 2, 48_000), ..silence.clone() };
        assert_eq!(pieces(&silence, &said()), 0);
        assert!(pieces(&other, &said()) < PIECES_MIN);
    }

    #[test]
    fn a_relay_at_either_end_is_a_relayed_call() {
        let paths = |here: &str, there: &str| Attempt {
            paths: [Some(here.to_owned()), Some(there.to_owned())],
            ..Attempt::default()
        };
        assert_eq!(paths("host", "prflx").way(), Some("direct"));
        assert_eq!(paths("relayUdp", "prflx").way(), Some("relay"));
        assert_eq!(paths("relayUdp", "relayTcp").way(), Some("tcp"));
        assert_eq!(Attempt::default().way(), None);
    }
}
