//! The resident: the process that stays. It holds the node, the tray and the notices, and opens the
//! window as a process of its own, so that with the window closed nothing of a browser is left.
//!
//! Invariant: one thread owns the desk and takes one thing in after the other; nobody else waits
//! for it, and above all not the node.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use earshot_node::api::events::Numbered;
use earshot_node::embedded::Embedded;
use earshot_node::fitness::AskTariff;
use earshot_node::run::living::PeerPlan;
use earshot_node::start::{EndSignal, block_on};
use earshot_node::ways::Proxy;
use serde_json::value::RawValue;

use crate::desk::{Action, Desk, Desktop, Input};
use crate::display;
use crate::door::{self, Door, Place, Wish};
use crate::metered;
use crate::node::Node;
use crate::notices::Notices;
use crate::options::{Invocation, Options, USAGE, parse, variable};
use crate::pane::Kept;
use crate::pipe::ToWindow;
use crate::system::{OpenPane, System, look};
use crate::words;

/// The command line says nothing that we know (INTERFACES 1).
const EXIT_USAGE: u8 = 64;
/// There is no display, or no place to keep anything (INTERFACES 1: set-up impossible).
const EXIT_CANNOT: u8 = 2;
/// Things that wait for the desk. Our choice: some seconds of a busy network.
const INPUTS_MAX: usize = 1024;
/// Where the frame keeps its own things, below the data directory.
const FRAME: &str = "window";

/// The whole program, given the arguments after its name.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match parse(arguments) {
        Ok(Invocation::Run(options)) => options,
        Ok(Invocation::Version) => {
            println!("earshot {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprint!("earshot: {why}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let log = tracing_subscriber::fmt().with_max_level(options.log);
    log.with_writer(std::io::stderr).with_ansi(false).init();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("earshot: {why}");
            ExitCode::from(EXIT_CANNOT)
        }
    }
}

/// Why it cannot run.
#[derive(Debug, thiserror::Error)]
enum Cannot {
    #[error("there is no display: run it in a desktop session, or `earshotd` for a server")]
    NoDisplay,
    #[error("there is no home directory: say --data-dir DIR")]
    NoHome,
    #[error("no Earshot runs on this directory")]
    NoneRuns,
    #[error("{path}: {error}")]
    Place { path: String, error: std::io::Error },
}

fn run(options: Options) -> Result<(), Cannot> {
    let data_dir = options.data_dir.clone().or_else(usual_directory).ok_or(Cannot::NoHome)?;
    let directory = data_dir.join(FRAME);
    let wish = match options.action {
        Some(action) => Wish::Do(action),
        None => Wish::Show(options.link.clone()),
    };
    let bad_place = |error| Cannot::Place { path: directory.display().to_string(), error };
    let door = match door::enter(&directory, &wish).map_err(bad_place)? {
        Place::Later => return Ok(()),
        Place::First(door) => door,
    };
    if options.action.is_some_and(|action| action != Action::Open) {
        return Err(Cannot::NoneRuns);
    }
    if !display::is_named() {
        return Err(Cannot::NoDisplay);
    }
    let (sender, inputs) = sync_channel(INPUTS_MAX);
    let pane = OpenPane::default();
    let missed = Arc::new(AtomicBool::new(false));
    let ears = Ears { pane: pane.clone(), desk: sender.clone(), missed: Arc::clone(&missed) };
    let node = node(&options, data_dir, ears);
    let system = System {
        notices: Notices::begin(sender.clone()),
        kept: Kept::default(),
        tray: None,
        directory,
        node,
        pane,
        desk: sender,
    };
    live(system, &options, door, inputs, &missed);
    Ok(())
}

fn live(
    mut system: System,
    options: &Options,
    door: Door,
    inputs: Receiver<Input>,
    missed: &AtomicBool,
) {
    // First of all what a person waits for.
    if !options.hidden {
        system.open_window();
        if let Some(link) = &options.link {
            system.hand_over(link);
        }
    }
    let (node, sender, told) = (system.node.clone(), system.desk.clone(), system.has_told());
    let pane = system.pane.clone();
    thread::spawn({
        let (node, sender) = (node.clone(), sender.clone());
        move || match node.start() {
            Ok(()) => look(&node, sender),
            Err(why) => tracing::error!(%why, "The node does not start"),
        }
    });
    thread::spawn({
        let sender = sender.clone();
        move || door.listen(|wish| sender.send(heard(wish)).is_ok())
    });
    let ended = sender.clone();
    thread::spawn(move || {
        // Without signals one still quits by the tray.
        let _ = block_on(async {
            EndSignal::listen()?.asked().await;
            let _gone_already = ended.send(Input::Act(Action::Quit));
            Ok(())
        });
    });
    let mut desk = Desk::new(system, &words::system_language(), told);
    while let Ok(input) = inputs.recv() {
        desk.handle(input);
        if desk.is_over() {
            break;
        }
        if missed.swap(false, Ordering::Relaxed) || desk.wants_snapshot() {
            look(&node, sender.clone());
        }
    }
    // Nobody waits for the desk from here on.
    drop(inputs);
    pane.close();
    node.leave();
}

fn heard(wish: Wish) -> Input {
    match wish {
        Wish::Show(link) => Input::StartedAgain(link),
        Wish::Do(action) => Input::Act(action),
    }
}

/// Where the node's events go.
#[derive(Clone)]
struct Ears {
    pane: OpenPane,
    desk: SyncSender<Input>,
    /// Whether the desk had no room for one.
    missed: Arc<AtomicBool>,
}

impl Ears {
    /// Called on the node's thread: never waits.
    fn hear(&self, event: &Numbered) {
        let json = serde_json::to_string(event).expect("events have string keys only");
        let raw = RawValue::from_string(json).expect("it was just written");
        self.pane.tell(&ToWindow::Event(raw));
        if event.event.is_repeated() {
            return;
        }
        let told = self.desk.try_send(Input::Event(Box::new(event.event.clone())));
        self.missed.fetch_or(matches!(told, Err(TrySendError::Full(_))), Ordering::Relaxed);
    }
}

fn node(options: &Options, data_dir: PathBuf, ears: Ears) -> Node {
    let (listen, ice_loopback) = (options.listen, options.ice_loopback);
    Node::new(Box::new(move || {
        let ears = ears.clone();
        let ask_tariff = Some(AskTariff(Arc::new(metered::tariff)));
        let proxy = Proxy::of_environment();
        let usual = PeerPlan::new(data_dir.clone());
        let plan = PeerPlan { listen, ice_loopback, ask_tariff, proxy, ..usual };
        Embedded::start(plan, move |event| ears.hear(event))
    }))
}

fn usual_directory() -> Option<PathBuf> {
    let data = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".local/share")));
    data.map(|data| data.join("earshot"))
}
