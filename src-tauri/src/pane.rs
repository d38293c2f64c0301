//! The window's process, as the resident sees it: started, answered, listened to.
//!
//! Invariant: it ends when the resident does, for its standard input ends then.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::desk::{Action, Input};
use crate::display;
use crate::node::Node;
use crate::pipe::{self, Outbox, Question, ToResident, ToWindow, Weight};

/// Set where the driver of the graphics card would be a program on the processor: it costs 70 MB
/// and shows nothing on some machines.
const NO_DMABUF: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";
const RENDER_NODES: &str = "/dev/dri";

/// A window that was opened.
#[derive(Debug)]
pub struct Pane {
    outbox: Outbox,
    is_there: Arc<AtomicBool>,
}

impl Pane {
    /// Starts the window's process, which keeps its own things in `directory`. What it says goes to
    /// the desk, what it asks to the node.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        program: &Path,
        directory: &Path,
        node: Node,
        desk: SyncSender<Input>,
        kept: Kept,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        if std::env::var_os(NO_DMABUF).is_none() && !has_render_node(Path::new(RENDER_NODES)) {
            command.env(NO_DMABUF, "1");
        }
        let mut child = command.spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let outbox = Outbox::to(input.expect("stdin was piped above"));
        let output = output.expect("stdout was piped above");
        if let Some(text) = kept.text() {
            outbox.put(&ToWindow::Kept(text), Weight::Owed);
        }
        let is_there = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&is_there);
        let line = Line { outbox: outbox.clone(), node, desk, kept, is_there: flag };
        let thread = std::thread::Builder::new().name("window".into());
        thread.spawn(move || line.attend(output, child))?;
        Ok(Self { outbox, is_there })
    }

    /// Whether its process still speaks with us.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Tells it something.
    pub fn tell(&self, what: &ToWindow) {
        let weight = match what {
            ToWindow::Event(_) => Weight::Event,
            ToWindow::Answer(..) | ToWindow::Kept(_) | ToWindow::Link(_) | ToWindow::Raise => {
                Weight::Owed
            }
        };
        self.outbox.put(what, weight);
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// What a window wants the next one to know: in memory only, since it holds what was typed.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Option<String>>>);

impl Kept {
    fn put(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({} bytes)", self.text().map_or(0, |text| text.len()))
    }
}

/// The line to one window.
struct Line {
    outbox: Outbox,
    node: Node,
    desk: SyncSender<Input>,
    kept: Kept,
    is_there: Arc<AtomicBool>,
}

/// The part of `chat.mark_read` that the desk wants to know.
#[derive(Deserialize)]
struct MarkRead {
    with: String,
}

impl Line {
    /// Until the window ends.
    fn attend(self, output: ChildStdout, mut child: Child) {
        let mut closed = false;
        pipe::read(output, |said| match said {
            ToResident::Ask(question) => self.ask(question),
            ToResident::Painted => {
                tracing::info!("The window has painted");
                self.tell(Input::Painted);
            }
            ToResident::Keep(text) => self.kept.put(text),
            ToResident::Focus(focused) => self.tell(Input::Focus(focused)),
            ToResident::Closed => {
                // Whoever opens it again now gets a new one.
                self.is_there.store(false, Ordering::Relaxed);
                closed = true;
            }
        });
        self.is_there.store(false, Ordering::Relaxed);
        self.outbox.close();
        if let Ok(status) = child.wait()
            && !status.success()
        {
            tracing::warn!(%status, "The window broke");
        }
        self.tell(Input::Ended { closed });
        if !closed && !display::is_there() {
            tracing::warn!("The display is gone, and so the session is over");
            self.tell(Input::Act(Action::Quit));
        }
    }

    fn ask(&self, question: Question) {
        let Question { id, method, params } = question;
        let (outbox, desk) = (self.outbox.clone(), self.desk.clone());
        let read = (method == "chat.mark_read")
            .then(|| serde_json::from_str::<MarkRead>(params.get()).ok())
            .flatten();
        self.node.ask(&method, params.get(), move |result| {
            if let (Ok(_), Some(read)) = (&result, read) {
                // Where the desk has no room for it, the number in the tray is right a bit later.
                let _ = desk.try_send(Input::Read(read.with));
            }
            let outcome = match result {
                Ok(json) => Ok(raw(json)),
                Err(failure) => Err(raw(serde_json::to_string(&failure).expect("string keys"))),
            };
            outbox.put(&ToWindow::Answer(id, outcome), Weight::Owed);
        });
    }

    fn tell(&self, input: Input) {
        // The desk is gone when everything is.
        let _ = self.desk.send(input);
    }
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("what was made of a value is JSON")
}

fn has_render_node(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.iter().any(|name| AsRef::<OsStr>::as_ref(name).as_encoded_bytes().starts_with(b"renderD"))
}
