//! The figures and the checks, from the evidence and the recordings.
//!
//! Invariant: what comes first is what others build on, so that the first failed check names the
//! cause; what could not be measured has no figure but a failed check of its name.

use std::io::Write;
use std::path::Path;

use super::PEOPLE;
use super::evidence::Evidence;
use super::options::{Case, Options};
use super::sabotage::Sabotage;
use super::script::Script;
use super::sealed::{PASSWORD, TEXT, VOICE};
use super::sound::{Judgement, Recording, WINDOWS_MIN, median};
use crate::harness::ms_between;
use crate::report::{Outcome, Report, decimal};

/// What a call must reach to pass. INTERFACES 1: the figures to reach are tighter; gates are wide
/// so that a busy machine does not flake.
const STOI_MIN: f64 = 0.90;
const DELAY_MS: std::ops::RangeInclusive<f64> = 0.0..=500.0;
const LOSS_PCT_MAX: f64 = 1.0;
const LENGTH_OFF_MAX: f64 = 0.02;
/// Of the packets of a relayed call the relay must have relayed so many.
const RELAYED_MIN: f64 = 0.9;
/// Of a direct one it may have relayed a tenth of what two voices without a pause would be: the
/// checks and probes of the path that is kept warm.
const WARM_MAX: f64 = 0.1;
/// Packets a second that two voices are, of 20 ms each.
const TWO_VOICES: f64 = 100.0;
/// What one end sent and what the other says came or was lost may differ by so many packets, since
/// each tells its numbers once a second: 1.5 seconds of voice.
const UNACCOUNTED_MAX: f64 = 75.0;
/// A round trip between processes of one machine, however busy it is.
const RTT_MS: std::ops::Range<f64> = 0.0..250.0;
/// The ways of the sound, by who speaks and who hears.
const WAYS: [(usize, usize, &str); 2] = [(0, 1, "alice_to_bob"), (1, 0, "bob_to_alice")];

/// Reports everything.
pub fn judge<W: Write>(
    options: &Options,
    out: &Path,
    script: &Script,
    evidence: &Evidence,
    report: &mut Report<W>,
) {
    let relayed = evidence.path_kinds().iter().any(|kind| kind.starts_with("relay"));
    let path = if relayed { "relay" } else { "direct" };
    let mut verdict = Verdict { options, evidence, path, report };
    verdict.facts();
    verdict.meeting();
    verdict.road();
    verdict.packets();
    let heard = hearings(options, out, script);
    verdict.sound(&heard);
    verdict.first_sound(&heard);
    verdict.secrecy();
    verdict.manners();
}

/// What one heard, and how that compares with what the other said.
struct Hearing {
    heard: Option<Recording>,
    judgement: Option<Judgement>,
}

/// Of each way of [`WAYS`]. The files in `out` are what microphones and speakers really had.
fn hearings(options: &Options, out: &Path, script: &Script) -> Vec<Hearing> {
    let read = |person: usize, way: &str| {
        let read = Recording::read(&out.join(format!("{}-{way}.wav", PEOPLE[person])));
        read.inspect_err(|why| eprintln!("{why}")).ok()
    };
    let texts = [&script.alice, &script.bob];
    let hear = |(speaker, listener, _)| {
        let swapped = options.sabotage == Some(Sabotage::SwapWav);
        let compared = if swapped { listener } else { speaker };
        let said = read(speaker, "in")
            .map(|said| Recording { samples: texts[compared].samples.clone(), ..said });
        let heard = read(listener, "out");
        let judgement = said.zip(heard.as_ref()).map(|(said, heard)| Judgement::of(&said, heard));
        Hearing { heard, judgement }
    };
    WAYS.into_iter().map(hear).collect()
}

struct Verdict<'a, W> {
    options: &'a Options,
    evidence: &'a Evidence,
    /// For `path=`.
    path: &'static str,
    report: &'a mut Report<W>,
}

impl<W: Write> Verdict<'_, W> {
    fn facts(&mut self) {
        let [here, there] = self.evidence.path_kinds();
        let transport = if here == "relayTcp" || there == "relayTcp" { "tcp" } else { "udp" };
        self.report.fact("demo.path", &format!("{here}↔{there} {transport}"));
        self.report.fact("demo.signaling", &self.evidence.signaling()[0]);
    }

    fn meeting(&mut self) {
        let evidence = self.evidence;
        self.claim("demo.met", evidence.met, "buddies,messages", "not_all");
        self.figure("demo.stretch_ms", worst(&evidence.stretch_ms), "ms");
        self.figure("demo.login_ms", worst(&evidence.login_ms), "ms");
        self.figure("demo.search_ms", evidence.search_ms, "ms");
    }

    /// Which way the sound and the signals went, as both ends say and as the counters of those in
    /// between prove.
    fn road(&mut self) {
        let kinds = self.evidence.path_kinds();
        let direct = ["host", "srflx", "prflx"];
        let wanted = |kind: &String| {
            if self.options.relayed() {
                kind.starts_with("relay")
            } else {
                direct.contains(&kind.as_str())
            }
        };
        let expected = if self.options.relayed() { "relay" } else { "direct" };
        let held = kinds.iter().all(wanted);
        self.check("demo.path", Outcome::of(held), expected, &kinds.join(","));
        self.figure("demo.ring_ms", self.evidence.ring_ms, "ms");

        let signaling = self.evidence.signaling();
        let expected = self.options.case.map_or("alike", Case::signaling);
        let alike = signaling[0] == signaling[1] && signaling[0] != "none";
        let held = alike && self.options.case.is_none_or(|case| case.signaling() == signaling[0]);
        self.check("demo.signaling", Outcome::of(held), expected, &signaling.join(","));
        if let Some(case) = self.options.case {
            self.carried(case);
        }
    }

    /// The homes count what they carry and who brought it: nothing for a direct call; to the
    /// callee's home, the caller as a visitor or the caller's home for its client.
    fn carried(&mut self, case: Case) {
        let grown = self.evidence.homes.map_or([None; 3], |[alices, bobs]| {
            [
                self.evidence.grown(alices, "throughUs", 0, 1),
                self.evidence.grown(bobs, "fromVisitors", 0, 1),
                self.evidence.grown(bobs, "fromSuperPeers", 0, 1),
            ]
        });
        let wanted = match case {
            Case::Direct => [false, false, false],
            Case::CalleeSuperPeer => [false, true, false],
            Case::BothSuperPeers => [true, false, true],
        };
        let held = grown.iter().zip(wanted).all(|(n, some)| n.is_some_and(|n| (n > 0) == some));
        let expected = wanted.map(|some| if some { ">0" } else { "0" });
        let got = grown.map(|grown| grown.map_or("unknown".into(), |n| n.to_string()));
        let (expected, got) = (expected.join(","), got.join(","));
        self.check("demo.carried", Outcome::of(held), &expected, &got);
    }

    /// The relay counts what it relays: all of the voice, or none of it. What ICE tried over the
    /// relay before the talk began is no voice: of a direct call it is left out. A call that loses
    /// packets is right to go over two paths, and so this comes after the losses.
    fn relayed(&mut self) {
        let homes = 0..self.evidence.services.len();
        let from = if self.options.relayed() { 0 } else { 1 };
        let relayed: Option<u64> =
            homes.map(|home| self.evidence.grown(home, "relayedPackets", from, 2)).sum();
        let relayed = relayed.filter(|_| !self.evidence.services.is_empty());
        let sent = [0, 1].map(|end| self.evidence.stat(end, "sentPackets")).into_iter().sum();
        let sent: Option<f64> = sent;
        let voices = if self.options.relayed() {
            sent.filter(|sent| *sent > 0.0)
        } else {
            Some(TWO_VOICES * f64::from(self.options.seconds))
        };
        let share = relayed.zip(voices).map(|(relayed, voices)| relayed as f64 / voices);
        let (held, expected) = if self.options.relayed() {
            (share.is_some_and(|share| share >= RELAYED_MIN), ">=0.9")
        } else {
            (share.is_some_and(|share| share <= WARM_MAX), "<=0.1")
        };
        self.check("demo.relayed", Outcome::of(held), expected, &shown(share));
    }

    fn packets(&mut self) {
        let losses = [0, 1].map(|end| self.evidence.loss_pct(end));
        for (person, loss) in PEOPLE.into_iter().zip(losses) {
            let held = loss.is_some_and(|loss| loss <= LOSS_PCT_MAX);
            let name = format!("demo.loss.{person}");
            self.check(&name, Outcome::of(held), "<=1", &shown(loss));
        }
        let worst = losses[0].zip(losses[1]).map(|(alice, bob)| alice.max(bob));
        self.figure("demo.loss_pct", worst, "%");
        self.relayed();
        for (speaker, listener, way) in WAYS {
            let evidence = self.evidence;
            let sent = evidence.stat(speaker, "sentPackets").filter(|sent| *sent > 0.0);
            let came = evidence.stat(listener, "receivedPackets");
            let lost = evidence.stat(listener, "lostPackets");
            let off = sent.zip(came.zip(lost)).map(|(sent, (came, lost))| came + lost - sent);
            let held = off.is_some_and(|off| off.abs() <= UNACCOUNTED_MAX);
            let name = format!("demo.accounted.{way}");
            self.check(&name, Outcome::of(held), "-75..75", &shown(off));
        }
        self.round_trips();
    }

    /// Each end measures the way there and back by the other's reports.
    fn round_trips(&mut self) {
        let measured = [0, 1].map(|end| self.evidence.stat(end, "rttMs"));
        for (person, ms) in PEOPLE.into_iter().zip(measured) {
            let held = ms.is_some_and(|ms| RTT_MS.contains(&ms));
            self.check(&format!("demo.rtt.{person}"), Outcome::of(held), "0..250", &shown(ms));
        }
        let worst = measured[0].zip(measured[1]).map(|(alice, bob)| alice.max(bob));
        self.figure("demo.rtt_ms", worst, "ms");
    }

    fn sound(&mut self, hearings: &[Hearing]) {
        let judged: Vec<Option<&Judgement>> =
            hearings.iter().map(|hearing| hearing.judgement.as_ref()).collect();
        for ((_, _, way), judged) in WAYS.into_iter().zip(&judged) {
            let ratio = judged.map(|judged| judged.length_ratio);
            let held = ratio.is_some_and(|ratio| (ratio - 1.0).abs() <= LENGTH_OFF_MAX);
            let name = format!("demo.length.{way}");
            self.check(&name, Outcome::of(held), "0.98..1.02", &shown(ratio));
        }
        for ((_, _, way), judged) in WAYS.into_iter().zip(&judged) {
            let stoi = judged.and_then(|judged| judged.stoi);
            let held = stoi.is_some_and(|stoi| stoi >= STOI_MIN);
            self.check(&format!("demo.stoi.{way}"), Outcome::of(held), ">=0.90", &shown(stoi));
        }
        let stois: Option<Vec<f64>> = judged.iter().map(|judged| judged.as_ref()?.stoi).collect();
        let least = stois.and_then(|stois| stois.into_iter().min_by(f64::total_cmp));
        self.figure("demo.stoi", least, "stoi");
        for ((_, _, way), judged) in WAYS.into_iter().zip(&judged) {
            let delay = judged.and_then(Judgement::delay_ms);
            let held = delay.is_some_and(|delay| DELAY_MS.contains(&delay));
            let windows = judged.map_or(0, |judged| judged.delays_ms.len());
            let got = format!("{}_in_{windows}_windows", shown(delay));
            let expected = format!("0..500_in_>={WINDOWS_MIN}_windows");
            self.check(&format!("demo.delay.{way}"), Outcome::of(held), &expected, &got);
        }
        let both = judged.iter().all(|judged| judged.and_then(Judgement::delay_ms).is_some());
        let all = judged.iter().flatten().flat_map(|judged| judged.delays_ms.iter().copied());
        let delay = median(&all.collect::<Vec<_>>()).filter(|_| both);
        self.figure("demo.mouth_to_ear_ms", delay, "ms");
    }

    fn first_sound(&mut self, hearings: &[Hearing]) {
        let accepted = self.evidence.accept_ns;
        let each: Option<Vec<f64>> = hearings
            .iter()
            .map(|hearing| {
                let sounded = hearing.heard.as_ref()?.first_sound_ns()?;
                Some(ms_between(accepted?, sounded))
            })
            .collect();
        self.figure("demo.first_sound_ms", each.as_deref().and_then(worst), "ms");
    }

    /// Nothing that was said or written in plain is outside, and the same search finds it inside.
    fn secrecy(&mut self) {
        let expected = format!("inside:{TEXT}+{VOICE},outside:nothing");
        let Some(found) = &self.evidence.sealed else {
            return self.check("demo.sealed", Outcome::Failed, &expected, "not_searched");
        };
        let inside = found.inside.iter().copied().filter(|kind| *kind != PASSWORD);
        let inside = inside.collect::<Vec<_>>().join("+");
        let outside = found.outside.iter().map(|(process, kind)| format!("{kind}@{process}"));
        let outside = outside.collect::<Vec<_>>().join("+");
        let outside = if outside.is_empty() { "nothing" } else { &outside };
        let got = format!("inside:{inside},outside:{outside}");
        self.check("demo.sealed", Outcome::of(got == expected), &expected, &got);
    }

    /// What every process owes to whoever speaks to it.
    fn manners(&mut self) {
        let evidence = self.evidence;
        let reasons: Vec<String> = evidence
            .ended
            .iter()
            .map(|call| {
                let reason = call.as_ref().and_then(|call| call["end"]["reason"].as_str());
                reason.unwrap_or("none").to_owned()
            })
            .collect();
        let held = reasons.iter().all(|reason| reason == "hungUp");
        self.check("demo.ended", Outcome::of(held), "hungUp,hungUp", &reasons.join(","));
        let first = evidence.breaches.first().map_or("a_breach", String::as_str);
        self.claim("demo.contract", evidence.breaches.is_empty(), "kept", first);
        let polite = evidence.stopped.iter().filter(|(_, code, _)| *code == Some(0)).count();
        let held = polite == evidence.processes && polite > 0;
        let (expected, got) = (evidence.processes.to_string(), polite.to_string());
        self.check("demo.left_politely", Outcome::of(held), &expected, &got);
    }

    fn claim(&mut self, name: &str, held: bool, yes: &str, no: &str) {
        self.check(name, Outcome::of(held), yes, if held { yes } else { no });
    }

    fn check(&mut self, name: &str, outcome: Outcome, expected: &str, got: &str) {
        self.report.check(name, outcome, expected, got);
    }

    fn figure(&mut self, name: &str, number: Option<f64>, unit: &str) {
        match number {
            Some(number) => self.report.figure(name, number, unit, &[("path", self.path)]),
            None => self.report.check(name, Outcome::Failed, "measured", "not_measured"),
        }
    }
}

fn worst(numbers: &[f64]) -> Option<f64> {
    numbers.iter().copied().max_by(f64::total_cmp)
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), decimal)
}
