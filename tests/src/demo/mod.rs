//! The demo: two people find each other through a real authority and a real super-peer, write, and
//! talk, as real processes, and every claim about it is measured.
//!
//! Source: INTERFACES 1. Invariant: the product is only used as anybody could use it, by its
//! command line, its RPC and its files; the demo's own knowledge of the sound comes from the
//! recordings. What each figure means is said in `docs/figures.md`.

pub mod evidence;
pub mod options;
pub mod sabotage;
pub mod script;
pub mod sealed;
pub mod sound;
pub mod stage;
pub mod story;
pub mod verdict;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::harness::{earshotd, own_network};
use crate::program::{Ending, directory};
use crate::report::Report;
use evidence::Evidence;
use options::Options;
use script::Script;

/// The two, in the order of every pair here: who calls, who is called.
pub const PEOPLE: [&str; 2] = ["alice", "bob"];

/// Runs the demo and reports it.
pub fn run<W: Write>(options: &Options, report: &mut Report<W>) -> Ending {
    match prepare(options) {
        Ok((program, out, script)) => {
            report.fact("demo.out", &out.display().to_string());
            let mut evidence = Evidence::default();
            let told = story::tell(options, &program, &out, report, &mut evidence);
            if let Err(trouble) = told {
                eprintln!("The story broke off: {trouble}");
            }
            verdict::judge(options, &out, &script, &evidence, report);
            tell_of_sabotage(options, report.failed());
            Ending::of(report)
        }
        Err(why) => Ending::CannotBegin(why),
    }
}

/// Everything that must be there before the first process is started.
fn prepare(options: &Options) -> Result<(PathBuf, PathBuf, Script), String> {
    let speech = options.speech.as_deref();
    let hint = if speech.is_some() { "" } else { "\nType this, then try again:\n    ./x setup" };
    let script = Script::of(speech, options.seconds).map_err(|why| why + hint)?;
    if options.sabotage.is_some_and(|sabotage| sabotage.needs_own_network()) {
        own_network::enter().map_err(|why| format!("{why}\nThis may help:\n    ./x setup"))?;
    }
    let program = earshotd().ok_or("There is no earshotd here. Type this:\n    ./x demo")?;
    let out = emptied(options.out.as_deref())?;
    script.alice.write(&out.join("alice-in.wav"))?;
    script.bob.write(&out.join("bob-in.wav"))?;
    Ok((program, out, script))
}

/// Where everything is left, empty of what an earlier run left there.
fn emptied(asked: Option<&Path>) -> Result<PathBuf, String> {
    let out = directory(asked, "demo")?;
    for person in PEOPLE {
        for file in ["in.json", "out.json", "out.wav"] {
            drop(std::fs::remove_file(out.join(format!("{person}-{file}"))));
        }
    }
    Ok(out)
}

fn tell_of_sabotage(options: &Options, failed: &[String]) {
    if let Some(sabotage) = options.sabotage {
        let (name, wanted) = (sabotage.name(), sabotage.caught_by());
        match failed.first() {
            Some(first) if first == wanted => eprintln!("{name} was caught by {first}, as meant."),
            Some(first) => eprintln!("{name} was caught by {first}, and {wanted} was meant to."),
            None => eprintln!("{name} was not noticed; {wanted} was meant to catch it."),
        }
    }
}
