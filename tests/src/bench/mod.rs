//! The benches: figures that say how good and how cheap Earshot is, measured on the product itself.
//!
//! Source: INTERFACES 1. Invariant: what was not measured has no figure but a failed check. What
//! each figure means is said in `docs/figures.md`.

mod app;
mod crowd;
mod day;
mod idle;
mod judge;
mod limit;
mod line;
mod load;
mod lookup;
pub mod options;
pub mod people;
mod proc;
mod relay;
mod ring;
mod sound;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::harness::{Daemon, Launch, Role, Trouble, earshotd};
use crate::program::{Ending, directory};
use crate::report::Report;
use limit::Limit;
use options::{Name, Options};

/// Where the judges of sound live, in the directory of everything built.
const VENV: &str = "bench-venv";

/// Why a bench has no figures.
#[derive(Debug)]
enum Stop {
    /// The machine lacks something; what to type.
    CannotBegin(String),
    /// It broke off.
    Failed(String),
}

impl Stop {
    fn failed(why: impl std::fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::failed(trouble)
    }
}

/// Runs the benches that are named and reports them.
pub fn run<W: Write>(options: &Options, report: &mut Report<W>) -> Ending {
    let out = match directory(options.out.as_deref(), "bench") {
        Ok(out) => out,
        Err(why) => return Ending::CannotBegin(why),
    };
    report.fact("bench.out", &out.display().to_string());
    for name in &options.names {
        let ended = match name {
            Name::Sound => sound::run(&venv(), &out, report),
            Name::Idle => idle::run(&out, report),
            Name::App => app::run(&out, report),
            Name::Ring => ring::run(report)
                .and_then(|()| day::run(report))
                .and_then(|()| load::run(&out, report))
                .and_then(|()| lookup::run(&out, report)),
            Name::Load => day::run(report).and_then(|()| load::run(&out, report)),
            Name::Lookup => lookup::run(&out, report),
            Name::Crowd => crowd::run(&out, report),
            Name::Relay => relay::run(&out, report),
        };
        match ended {
            Ok(()) => {}
            Err(Stop::CannotBegin(why)) => return Ending::CannotBegin(why),
            Err(Stop::Failed(why)) => {
                eprintln!("{} broke off: {why}", name.text());
                limits(*name).iter().copied().flatten().for_each(|limit| limit.check(report, None));
            }
        }
    }
    Ending::of(report)
}

/// What a bench checks, all of it once everything is measured.
const fn limits(name: Name) -> &'static [&'static [Limit]] {
    match name {
        Name::Sound => &[&sound::LIMITS],
        Name::Idle => &[&idle::LIMITS],
        Name::App => &[&app::LIMITS],
        Name::Ring => &[&ring::LIMITS, &day::LIMITS, &load::LIMITS, &lookup::LIMITS],
        Name::Load => &[&day::LIMITS, &load::LIMITS],
        Name::Lookup => &[&lookup::LIMITS],
        Name::Crowd => &[&crowd::LIMITS],
        Name::Relay => &[&relay::LIMITS],
    }
}

/// How `earshotd` is started for a bench, each time by a name that is its data directory's too, in
/// a fresh directory of this name.
fn launcher(out: &Path, data: &str) -> Result<impl Fn(&str, Role) -> Launch, Stop> {
    let missing =
        || Stop::CannotBegin("There is no earshotd here. Type this:\n    ./x bench".into());
    let program = earshotd().ok_or_else(missing)?;
    let data = out.join(data);
    if data.exists() {
        std::fs::remove_dir_all(&data).map_err(Stop::failed)?;
    }
    Ok(move |name: &str, role| {
        let launch = Launch::earshotd(name, &program, role).arg("--data-dir").arg(data.join(name));
        launch.args(["--listen", "127.0.0.1:0"])
    })
}

/// Starts so many super-peers, one after the other, with the token of an authority.
fn start_super_peers(
    count: usize,
    authority: &Daemon,
    launch: &impl Fn(&str, Role) -> Launch,
    out: &Path,
) -> Result<Vec<Daemon>, Stop> {
    let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
    let start = |number| {
        let launch = launch(&format!("super-{number}"), Role::SuperPeer);
        Ok(Daemon::spawn(&launch.args(["--authority", uri, "--enrol", token]), out)?)
    };
    (0..count).map(start).collect()
}

/// Does it, as [`Report::timed`], which would not know what the errors of each step become.
fn step<W: Write, T>(
    report: &mut Report<W>,
    name: &str,
    how: impl FnOnce() -> Result<T, Stop>,
) -> Result<T, Stop> {
    report.timed(name, |_| how())
}

/// Beside the profiles, so that it outlives a change of either.
fn venv() -> PathBuf {
    let own = std::env::current_exe().ok();
    let target = own.and_then(|own| own.ancestors().nth(2).map(Path::to_owned));
    target.unwrap_or_else(std::env::temp_dir).join(VENV)
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len().max(1) as f64;
    numbers.sum::<f64>() / count
}
