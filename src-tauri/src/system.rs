//! The desk's [`Desktop`] on a real system: a window's process, the tray, notices, the node.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use earshot_node::api::failure::Failure;
use earshot_node::api::snapshot::Snapshot;
use serde_json::Value;

use crate::desk::{Desktop, Input, Key, Notice, Standing};
use crate::link::Link;
use crate::node::Node;
use crate::notices::Notices;
use crate::pane::{Kept, Pane};
use crate::pipe::ToWindow;
use crate::tray::Tray;

/// There once the person was told where Earshot is when its window is closed.
const TOLD: &str = "told-of-tray";
/// The window's program, beside ours.
const WINDOW: &str = "earshot-window";

/// The window that is open, shared with whoever tells it events.
#[derive(Clone, Debug, Default)]
pub struct OpenPane(Arc<Mutex<Option<Pane>>>);

impl OpenPane {
    /// Tells the window something, if there is one.
    pub fn tell(&self, what: &ToWindow) {
        if let Some(pane) = &*self.lock() {
            pane.tell(what);
        }
    }

    /// Closes it.
    pub fn close(&self) {
        *self.lock() = None;
    }

    /// A panic in one holder leaves a window behind, or none.
    fn lock(&self) -> MutexGuard<'_, Option<Pane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything around the desk.
pub struct System {
    /// Where the frame keeps its own things.
    pub directory: PathBuf,
    /// The node.
    pub node: Node,
    /// The window that is open.
    pub pane: OpenPane,
    /// What the last window wants the next one to know.
    pub kept: Kept,
    /// The tray, once it is shown.
    pub tray: Option<Tray>,
    /// Where notices are put.
    pub notices: Notices,
    /// The way to the desk.
    pub desk: SyncSender<Input>,
}

impl System {
    /// Whether the person was told before where Earshot is when its window is closed.
    #[must_use]
    pub fn has_told(&self) -> bool {
        self.directory.join(TOLD).exists()
    }
}

impl Desktop for System {
    fn open_window(&mut self) {
        let mut open = self.pane.lock();
        if let Some(pane) = open.as_ref().filter(|pane| pane.is_there()) {
            return pane.tell(&ToWindow::Raise);
        }
        let program = std::env::current_exe().map(|own| own.with_file_name(WINDOW));
        let (node, desk, kept) = (self.node.clone(), self.desk.clone(), self.kept.clone());
        let opened = program.and_then(|path| Pane::open(&path, &self.directory, node, desk, kept));
        match opened {
            Ok(pane) => *open = Some(pane),
            Err(error) => tracing::error!(%error, "The window cannot be opened: {WINDOW}"),
        }
    }

    fn hand_over(&mut self, link: &Link) {
        self.pane.tell(&ToWindow::Link(link.clone()));
    }

    fn notify(&mut self, key: &Key, notice: &Notice) {
        self.notices.show(key.clone(), notice.clone());
    }

    fn withdraw(&mut self, key: &Key) {
        self.notices.withdraw(key.clone());
    }

    fn show(&mut self, standing: &Standing) {
        match &self.tray {
            Some(tray) => tray.show(standing),
            None => self.tray = Some(Tray::begin(standing.clone(), self.desk.clone())),
        }
    }

    fn ask(&mut self, method: &'static str, params: Value) {
        self.node.ask(method, &params.to_string(), move |result| {
            if let Err(why) = result {
                tracing::info!(%why, method, "What was asked outside the window is refused");
            }
        });
    }

    fn remember_told(&mut self) {
        // Else it is told once more.
        let _ = fs::write(self.directory.join(TOLD), "");
    }
}

/// Asks the node how everything stands, and tells the desk.
pub fn look(node: &Node, desk: SyncSender<Input>) {
    node.ask("state.get", "{}", move |result: Result<String, Failure>| {
        let snapshot = result.map(|json| serde_json::from_str::<Snapshot>(&json));
        if let Ok(Ok(snapshot)) = snapshot {
            // Where the desk has no room now, what it has no room for is told by events.
            let _ = desk.try_send(Input::Snapshot(Box::new(snapshot)));
        }
    });
}
