//! What happens in the middle of a call, and how long nobody heard anything for it.
//!
//! Invariant: the gap is measured in what was recorded at the ears, and what the story itself takes
//! away (a line that is dark for half a minute) is no gap of the product's.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::LabError;
use super::call::{self, Attempt, Talk};
use super::gap;
use super::internet::Internet;
use super::kind::Side;
use super::matrix::percentile;
use super::people::{Network, Person};
use super::sniffer::Sniffer;
use crate::harness::{Mark, Trouble, monotonic_ns};
use crate::report::{Outcome, Report, decimal};

/// How long they talk before it happens: what is heard first is no measure of the rest.
const BEFORE: Duration = Duration::from_secs(3);
/// How long they talk afterwards: beyond all that a call waits for before it gives up a path.
const AFTER: Duration = Duration::from_secs(12);
/// Tries of the call that a story is about.
const RECOVERY_TRIES: usize = 4;
/// How long everybody can hum, in seconds: longer than any story.
const HUM_SECONDS: usize = 90;
/// How long a line is dark.
const BLACKOUT: Duration = Duration::from_secs(30);
/// How long a cable is out.
const UNPLUGGED: Duration = Duration::from_secs(2);
/// How long a laptop is closed.
const SUSPENDED: Duration = Duration::from_secs(10);

/// How long two in one home may take to meet by themselves: their links to the network are taken
/// for dead when nothing was heard on them for 14 s.
const MEET_WITHIN: Duration = Duration::from_secs(30);

/// Something that a call survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// The caller's computer is in another network all at once.
    AddressChange,
    /// The caller's router starts anew and has forgotten all that it translated.
    NatReboot,
    /// The super-peer that relays the call is killed.
    RelayDeath,
    /// The caller's home super-peer is killed.
    HomeDeath,
    /// The caller's line is dark for half a minute.
    Blackout,
    /// The line of the home that both are in is dead, and stays so: they meet by themselves, and
    /// call each other again.
    InternetLoss,
    /// The caller's cable is pulled and put back.
    LinkFlap,
    /// The caller's process stands still, as a laptop that is closed.
    Suspend,
    /// The way between the two is open at last: a call that began over a relay goes direct.
    Upgrade,
}

impl Story {
    /// All of them, those that kill last.
    pub const ALL: [Self; 9] = [
        Self::Upgrade,
        Self::AddressChange,
        Self::NatReboot,
        Self::LinkFlap,
        Self::Blackout,
        Self::InternetLoss,
        Self::Suspend,
        Self::RelayDeath,
        Self::HomeDeath,
    ];

    /// As on the command line and behind `story=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddressChange => "address_change",
            Self::NatReboot => "nat_reboot",
            Self::RelayDeath => "relay_death",
            Self::HomeDeath => "home_death",
            Self::Blackout => "blackout",
            Self::InternetLoss => "internet_loss",
            Self::LinkFlap => "link_flap",
            Self::Suspend => "suspend",
            Self::Upgrade => "upgrade",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// That there is none, and which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|story| story.name() == name);
        found.ok_or_else(|| {
            format!("`{name}` is no story: {}", Self::ALL.map(Self::name).join(", "))
        })
    }

    /// The homes of caller and callee.
    #[must_use]
    pub const fn kinds(self) -> [&'static str; 2] {
        match self {
            Self::AddressChange | Self::Blackout | Self::LinkFlap | Self::Suspend => {
                ["port_restricted", "full_cone"]
            }
            Self::InternetLoss => ["same_lan", "same_lan"],
            // One that keeps ports would make the same mapping again.
            Self::NatReboot => ["symmetric", "full_cone"],
            Self::RelayDeath => ["symmetric", "symmetric"],
            Self::HomeDeath => ["port_restricted", "port_restricted"],
            Self::Upgrade => ["address_restricted", "full_cone"],
        }
    }

    /// What the story itself takes from the sound.
    const fn imposed(self) -> Duration {
        match self {
            Self::Blackout => BLACKOUT,
            Self::LinkFlap => UNPLUGGED,
            Self::Suspend => SUSPENDED,
            Self::AddressChange
            | Self::NatReboot
            | Self::InternetLoss
            | Self::RelayDeath
            | Self::HomeDeath
            | Self::Upgrade => Duration::ZERO,
        }
    }

    /// The ears at which it is measured: one that stands still records nothing.
    const fn ears(self) -> &'static [(usize, usize)] {
        match self {
            Self::Suspend => &[(1, 0)],
            Self::AddressChange
            | Self::NatReboot
            | Self::RelayDeath
            | Self::HomeDeath
            | Self::Blackout
            | Self::InternetLoss
            | Self::LinkFlap
            | Self::Upgrade => &[(0, 1), (1, 0)],
        }
    }
}

/// Where stories happen.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The lines and routers.
    pub internet: &'a Internet,
    /// The super-peers.
    pub network: &'a mut Network,
    /// Everybody.
    pub people: &'a [Person],
    /// What passes.
    pub sniffer: &'a Sniffer,
    /// Where everything is left.
    pub out: &'a Path,
}

impl Ground<'_> {
    /// Tells each story so often, and reports the gaps.
    pub fn tell_all<W: Write>(&mut self, stories: &[Story], times: u32, report: &mut Report<W>) {
        let hum = self.out.join("hum.wav");
        if let Err(why) = gap::hum(HUM_SECONDS).write(&hum) {
            eprintln!("{why}");
        }
        for person in self.people.iter() {
            person.speak(&hum);
        }
        for story in stories {
            let name = format!("netlab.story.{}", story.name());
            let mut gaps = Vec::new();
            for _ in 0..times {
                let begun = (Instant::now(), SystemTime::now());
                let told = self.tell(*story);
                report.step(&name, Outcome::of(told.is_ok()), begun.0.elapsed());
                match told {
                    Ok(gap) => gaps.push(gap),
                    Err(trouble) => {
                        self.people.iter().for_each(call::hang_up_all);
                        eprintln!("{}: {trouble}", story.name());
                        report.check(&name, Outcome::Failed, "survived", &trouble.to_string());
                        self.keep_packets(*story, begun.1);
                    }
                }
            }
            if let Some(late) = percentile(&gaps, 95) {
                report.figure("netlab.gap_ms_p95", late, "ms", &[("story", story.name())]);
                let all: Vec<String> = gaps.iter().map(|gap| decimal(*gap)).collect();
                report.fact(&format!("netlab.gaps.{}", story.name()), &all.join(" "));
                if gaps.len() == times as usize {
                    report.check(&name, Outcome::Ok, "survived", "survived");
                }
            }
        }
    }

    /// The gap in milliseconds.
    fn tell(&mut self, story: Story) -> Result<f64, LabError> {
        let [caller, callee] = story.kinds();
        let caller = self.person(caller, Side::A)?;
        let callee = self.person(callee, Side::B)?;
        let mut attempt = Attempt::default();
        if story == Story::Upgrade {
            self.internet.part([&caller.home, &callee.home])?;
        }
        let begun = self.talk(caller, callee, &mut attempt);
        if begun.is_err() && story == Story::Upgrade {
            self.internet.join()?;
        }
        let talk = begun?;
        talk.go_on(BEFORE)?;
        let happened_ns = monotonic_ns();
        let killed = self.happen(story, [caller, callee], &talk)?;
        let stayed = talk.go_on(AFTER);
        let ended = stayed.and_then(|()| talk.end(&mut attempt));
        let switched = talk.was_relayed_first();
        let heard: Option<Vec<f64>> = story
            .ears()
            .iter()
            .map(|(ear, mouth)| {
                let [heard, _] = talk.recordings(*ear, *mouth)?;
                gap::longest(&heard, happened_ns)
            })
            .collect();
        let ended = match story {
            Story::InternetLoss => {
                let again = ended.and_then(|()| Self::call_alone([callee, caller]));
                self.internet.light_up(&caller.home)?;
                again
            }
            Story::AddressChange
            | Story::NatReboot
            | Story::RelayDeath
            | Story::HomeDeath
            | Story::Blackout
            | Story::LinkFlap
            | Story::Suspend
            | Story::Upgrade => ended,
        };
        if let Some(name) = killed {
            self.network.revive(&name)?;
        }
        ended?;
        if story == Story::Upgrade && !switched {
            return Err(unexpected("the call never changed its path").into());
        }
        let heard = heard.ok_or_else(|| unexpected("nothing is heard in the end"))?;
        let imposed = story.imposed().as_secs_f64() * 1_000.0;
        Ok((heard.into_iter().fold(0.0, f64::max) - imposed).max(0.0))
    }

    /// Has them talk. What the story before did to them may take a while to be got over.
    fn talk<'a>(
        &self,
        caller: &'a Person,
        callee: &'a Person,
        attempt: &mut Attempt,
    ) -> Result<Talk<'a>, LabError> {
        let mut last = None;
        for _ in 0..RECOVERY_TRIES {
            match Talk::begin(caller, callee, attempt) {
                Ok(talk) => return Ok(talk),
                Err(trouble) => last = Some(trouble),
            }
            [caller, callee].into_iter().for_each(call::hang_up_all);
        }
        Err(last.unwrap_or_else(|| unexpected("nobody called")).into())
    }

    /// Has two call each other whom nothing but their own network connects.
    fn call_alone([caller, callee]: [&Person; 2]) -> Result<(), Trouble> {
        let mut attempt = Attempt::default();
        let talk = Talk::begin(caller, callee, &mut attempt)?;
        talk.go_on(BEFORE)?;
        talk.end(&mut attempt)
    }

    /// Lets it happen; gives the name of who was killed.
    fn happen(
        &self,
        story: Story,
        [caller, callee]: [&Person; 2],
        talk: &Talk<'_>,
    ) -> Result<Option<String>, LabError> {
        match story {
            Story::AddressChange => self.internet.move_house(&caller.home)?,
            Story::NatReboot => self.internet.reboot_router(&caller.home)?,
            Story::Blackout => {
                self.internet.black_out(&caller.home)?;
                let stayed = talk.go_on(BLACKOUT);
                self.internet.light_up(&caller.home)?;
                stayed?;
            }
            Story::InternetLoss => {
                let since = [caller.peer()?.mark(), callee.peer()?.mark()];
                self.internet.black_out(&caller.home)?;
                if let Err(trouble) = meet([caller, callee], since) {
                    self.internet.light_up(&caller.home)?;
                    return Err(trouble.into());
                }
            }
            Story::LinkFlap => {
                self.internet.unplug(&caller.home)?;
                let stayed = talk.go_on(UNPLUGGED);
                self.internet.plug_in(&caller.home)?;
                stayed?;
            }
            Story::Suspend => {
                caller.peer()?.freeze();
                let stayed = talk.go_on(SUSPENDED);
                caller.peer()?.thaw();
                stayed?;
            }
            Story::RelayDeath => return self.kill(talk.relay()).map(Some),
            Story::HomeDeath => {
                let status = caller.peer()?.rpc("network.status", json!({}))?;
                let home = status["home"]["address"].as_str().map(str::to_owned);
                return self.kill(home).map(Some);
            }
            Story::Upgrade => self.internet.join()?,
        }
        Ok(None)
    }

    fn kill(&self, address: Option<String>) -> Result<String, LabError> {
        let daemon = address.as_deref().and_then(|address| self.network.at(address));
        let daemon = daemon.ok_or_else(|| unexpected(&format!("nobody is at {address:?}")))?;
        daemon.kill();
        Ok(daemon.name().to_owned())
    }

    fn person(&self, kind: &'static str, side: Side) -> Result<&Person, LabError> {
        let lives = |person: &&Person| person.kind().name == kind && person.home.side == side;
        Ok(self.people.iter().find(lives).ok_or_else(|| unexpected("nobody lives there"))?)
    }

    fn keep_packets(&self, story: Story, since: SystemTime) {
        let path = self.out.join(format!("{}.pcap", story.name()));
        let [caller, callee] = story.kinds();
        let homes = [self.person(caller, Side::A), self.person(callee, Side::B)];
        let theirs = |ip| homes.iter().flatten().any(|person| person.home.is_at(ip));
        if let Err(error) = self.sniffer.write(&path, since, theirs) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

/// Waits until each of two tells that the other is near by, which they may have been before.
fn meet([one, other]: [&Person; 2], since: [Mark; 2]) -> Result<(), Trouble> {
    for (here, there, since) in [(one, other, since[0]), (other, one, since[1])] {
        here.peer()?.wait_event(since, MEET_WITHIN, "the other near by", |event| {
            let nearby = event["nearby"].as_array().map_or(&[][..], Vec::as_slice);
            event["type"] == "networkChanged"
                && nearby.iter().any(|near| near["user"] == there.name)
        })?;
    }
    Ok(())
}

fn unexpected(what: &str) -> Trouble {
    Trouble::Unexpected { name: "netlab".to_owned(), what: what.to_owned() }
}
