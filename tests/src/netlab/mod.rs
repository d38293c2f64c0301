//! The network laboratory: an internet of network namespaces without root, in which real `earshotd`
//! processes call each other through the kernel's NATs.
//!
//! Source: DESIGN 5, INTERFACES 1. A kind of home is one line in [`kind`]; [`oracle`] says what the
//! standards make of a pair of them; [`probe`] proves by plain datagrams that each NAT is what it
//! is called, before any product runs. Invariant: the product is used by its command line and RPC
//! alone, and what it is to be measured by is measured outside of it.

pub mod call;
pub mod gap;
pub mod internet;
pub mod kind;
pub mod line;
pub mod matrix;
pub mod namespace;
pub mod options;
pub mod oracle;
pub mod people;
pub mod port_mapper;
pub mod probe;
pub mod proxy;
pub mod rules;
pub mod shim;
pub mod sniffer;
pub mod stories;
pub mod tun;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::harness::own_network::{self, NoNetwork};
use crate::harness::{Trouble, earshotd};
use crate::program::{Ending, directory};
use crate::report::{Outcome, Report};
use internet::{Home, Internet};
use line::Line;
use options::Options;
use people::{Network, Person};
use probe::{Observers, claimed};
use sniffer::Sniffer;
use stories::Ground;

/// The sites of the observers, beside those of the network.
const OBSERVERS: [u8; 2] = [8, 9];

/// Why the laboratory does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program of the system, or the kernel behind it, refused.
    #[error(transparent)]
    Kernel(#[from] NoNetwork),
    /// A file or socket.
    #[error("{what}: {source}")]
    Io {
        /// Of what.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The home has nothing that could be started anew.
    #[error("a home of kind {0} has no router of its own, or no IPv4")]
    NoRouter(&'static str),
    /// A process did not do what was wanted.
    #[error(transparent)]
    Process(#[from] Trouble),
}

impl LabError {
    pub(crate) fn io(what: &str, source: std::io::Error) -> Self {
        Self::Io { what: what.to_owned(), source }
    }
}

/// Builds the laboratory, does in it what was asked, and reports it. Must be called before there is
/// a second thread: the program starts itself again inside namespaces of its own.
pub fn run<W: Write>(options: &Options, report: &mut Report<W>) -> Ending {
    if let Err(why) = own_network::enter_with_mounts() {
        return Ending::CannotBegin(format!(
            "{why}\nThis kernel must let us have namespaces of our own. Type this, as root:\n    \
             sysctl -w user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0"
        ));
    }
    let Some(program) = earshotd() else {
        return Ending::CannotBegin("There is no earshotd here. Type this:\n    ./x netlab".into());
    };
    let out = match emptied(options.out.as_deref()) {
        Ok(out) => out,
        Err(why) => return Ending::CannotBegin(why),
    };
    report.fact("netlab.out", &out.display().to_string());
    if let Err(trouble) = experiment(options, &program, &out, report) {
        eprintln!("The laboratory broke down: {trouble}");
        report.check("netlab.laboratory", Outcome::Failed, "works", &trouble.to_string());
    }
    Ending::of(report)
}

fn experiment<W: Write>(
    options: &Options,
    program: &Path,
    out: &Path,
    report: &mut Report<W>,
) -> Result<(), LabError> {
    let mut internet = Internet::new(options.line)?;
    let homes = report.timed("netlab.build", |report| build(options, &mut internet, report))?;
    if options.probe_only {
        return Ok(());
    }
    let sniffer = Sniffer::listen(internet.core())?;
    let mut network = report
        .timed("netlab.network", |_| Network::found(&mut internet, program, out, options.far))?;
    let people = report.timed("netlab.people", |_| Ok::<_, LabError>(network.welcome(homes)))?;
    for person in &people {
        note(person, report);
    }
    if !options.pairs.is_empty() {
        let results = report.timed("netlab.calls", |_| {
            Ok::<_, LabError>(matrix::call_all(options, &people, &sniffer, out))
        })?;
        matrix::judge(&results, out, report);
        if !options.far.is_zero() {
            matrix::judge_relays(&results, &network.super_peers[0].1, report);
        }
    }
    let (internet, people) = (&internet, people.as_slice());
    let mut ground = Ground { internet, network: &mut network, people, sniffer: &sniffer, out };
    ground.tell_all(&options.stories, options.repeat, report);
    Ok(())
}

/// All homes that are needed, each NAT looked at.
fn build<W: Write>(
    options: &Options,
    internet: &mut Internet,
    report: &mut Report<W>,
) -> Result<Vec<Home>, LabError> {
    let watch = OBSERVERS.map(|site| internet.public_host(site, Line::default()));
    let [one, other] = watch;
    let observers = Observers::at([&one?, &other?], options.line)?;
    let mut homes = Vec::new();
    for kind in options.kinds() {
        let built = internet.homes(kind)?;
        let (expected, found) = (claimed(kind), observers.found(&built)?);
        let held = Outcome::of(found == expected);
        report.check(&format!("netlab.nat.{}", kind.name), held, &expected, &found);
        homes.extend(built);
    }
    internet.begin_to_lose()?;
    Ok(homes)
}

fn note<W: Write>(person: &Person, report: &mut Report<W>) {
    let after = format!("{} ms", person.online_after.as_millis());
    let told = person.stranded.as_deref().map_or(after, |why| format!("stranded: {why}"));
    report.fact(&format!("netlab.person.{}", person.name), &told);
}

/// Where everything is left, without what an earlier run left there.
fn emptied(asked: Option<&Path>) -> Result<PathBuf, String> {
    let out = directory(asked, "netlab")?;
    let data = out.join("data");
    if data.exists() {
        std::fs::remove_dir_all(data).map_err(|error| format!("--out: {error}"))?;
    }
    Ok(out)
}
