//! A candidacy in the contract's words.

use std::time::{Duration, Instant};

use earshot_proto::peer::reach;
use earshot_proto::super_peer::election::{
    self, Cause, Choice, SCORE_ENTER, Standing, Tally, Transport,
};

use super::Candidacy;
use crate::api::failure::Failure;
use crate::api::super_peer::{
    self as told, DialResult, EndingCause, Obstacle, ObstacleKind, Score, ServingMode,
    ServingStanding, Verdict,
};
use crate::fitness::UpstreamFrom;

/// Where it stands, and why. `refused` is why the last try to serve failed.
#[must_use]
pub fn candidacy(
    candidacy: &Candidacy,
    terms: told::ServingTerms,
    now: Instant,
    refused: Option<Failure>,
) -> told::Candidacy {
    let decision = candidacy.decision(now);
    let (standing, ending) = match decision.standing {
        Standing::Ordinary => (ServingStanding::Ordinary, None),
        Standing::Standby(_) => (ServingStanding::Standby, None),
        Standing::Serving(_, ending) => {
            (ServingStanding::Serving, ending.map(|(cause, _)| ending_cause(cause)))
        }
    };
    let mode = candidacy.choice().map(mode_of);
    let obstacles = match (mode, standing) {
        (None, _) => vec![plain(ObstacleKind::NotAnswered)],
        (Some(_), ServingStanding::Serving) => Vec::new(),
        (Some(_), ServingStanding::Ordinary | ServingStanding::Standby) => {
            decision.obstacles.iter().map(obstacle).collect()
        }
    };
    let measured = candidacy.measured();
    let score = decision.score.zip(measured).map(|(score, measured)| Score {
        total: score.total().into(),
        needed: SCORE_ENTER.into(),
        up: score.up.into(),
        upstream: score.upstream.into(),
        upstream_from: match measured.upstream_from {
            UpstreamFrom::Assumed => told::UpstreamFrom::Assumed,
            UpstreamFrom::Seen => told::UpstreamFrom::Seen,
            UpstreamFrom::Capped => told::UpstreamFrom::Capped,
        },
        upstream_kbps: u32::try_from(measured.upstream_bps / 1000).unwrap_or(u32::MAX),
        idle: score.idle.into(),
        address: score.address.into(),
        tariff_known: measured.tariff_known,
    });
    told::Candidacy {
        mode,
        terms,
        standing,
        obstacles,
        ending,
        verifiers_needed: decision.verifiers_needed.into(),
        verdicts: candidacy.verdicts().iter().map(verdict).collect(),
        score,
        refused: refused.filter(|_| standing != ServingStanding::Serving),
    }
}

/// What one super-peer found.
#[must_use]
pub fn verdict(verdict: &reach::Verdict) -> Verdict {
    Verdict {
        super_peer: verdict.address,
        at: verdict.at.into(),
        tried: verdict.tried,
        tcp: dial_result(verdict.tcp),
        udp: dial_result(verdict.udp),
    }
}

/// The owner's choice.
#[must_use]
pub const fn choice_of(mode: ServingMode) -> Choice {
    match mode {
        ServingMode::Auto => Choice::Auto,
        ServingMode::Always => Choice::Always,
        ServingMode::Never => Choice::Never,
    }
}

const fn mode_of(choice: Choice) -> ServingMode {
    match choice {
        Choice::Auto => ServingMode::Auto,
        Choice::Always => ServingMode::Always,
        Choice::Never => ServingMode::Never,
    }
}

const fn dial_result(result: reach::DialResult) -> DialResult {
    match result {
        reach::DialResult::Reached => DialResult::Reached,
        reach::DialResult::Refused => DialResult::Refused,
        reach::DialResult::Silent => DialResult::Silent,
        reach::DialResult::TooSoon => DialResult::TooSoon,
        reach::DialResult::PortRefused => DialResult::PortRefused,
        reach::DialResult::NotAsked => DialResult::NotAsked,
    }
}

const fn plain(what: ObstacleKind) -> Obstacle {
    Obstacle { what, reached: None, not_reached: None, left_ms: None }
}

const fn for_so_long(what: ObstacleKind, left: Duration) -> Obstacle {
    Obstacle { left_ms: Some(left.as_millis() as u64), ..plain(what) }
}

const fn counted(what: ObstacleKind, tally: Tally) -> Obstacle {
    let (reached, not_reached) = (tally.reached as u32, tally.not_reached as u32);
    Obstacle { reached: Some(reached), not_reached: Some(not_reached), ..plain(what) }
}

const fn obstacle(obstacle: &election::Obstacle) -> Obstacle {
    match *obstacle {
        election::Obstacle::OwnerSaysNever => plain(ObstacleKind::OwnerSaysNever),
        election::Obstacle::NotReached(Transport::Tcp, tally) => {
            counted(ObstacleKind::NotReachedByTcp, tally)
        }
        election::Obstacle::NotReached(Transport::Udp, tally) => {
            counted(ObstacleKind::NotReachedByUdp, tally)
        }
        election::Obstacle::NotMeasured => plain(ObstacleKind::NotMeasured),
        election::Obstacle::OnBattery => plain(ObstacleKind::OnBattery),
        election::Obstacle::Metered => plain(ObstacleKind::Metered),
        election::Obstacle::LowScore(_) => plain(ObstacleKind::LowScore),
        election::Obstacle::NotInvited => plain(ObstacleKind::NotInvited),
        election::Obstacle::NotNeeded => plain(ObstacleKind::NotNeeded),
        election::Obstacle::Resting(left) => for_so_long(ObstacleKind::Resting, left),
        election::Obstacle::NotEnrolled(left) => for_so_long(ObstacleKind::NotEnrolled, left),
    }
}

const fn ending_cause(cause: Cause) -> EndingCause {
    match cause {
        Cause::OwnerSaysNever => EndingCause::OwnerSaysNever,
        Cause::OnBattery => EndingCause::OnBattery,
        Cause::Metered => EndingCause::Metered,
        Cause::NotReached => EndingCause::NotReached,
        Cause::LowScore => EndingCause::LowScore,
        Cause::Abundance => EndingCause::Abundance,
        Cause::NotEnrolled => EndingCause::NotEnrolled,
    }
}
