//! What the resident says, brought to the page.

use std::io::Read;

use tauri::{AppHandle, Emitter, Manager, Runtime};

use super::MAIN;
use super::frame::Frame;
use crate::pipe::{self, ToWindow};

/// Follows the resident on a thread of its own, and ends the program with it.
pub(super) fn follow<R: Runtime>(
    input: impl Read + Send + 'static,
    app: AppHandle<R>,
    frame: Frame,
) {
    std::thread::spawn(move || {
        pipe::read(input, |said| take(&app, &frame, said));
        app.exit(0);
    });
}

fn take<R: Runtime>(app: &AppHandle<R>, frame: &Frame, said: ToWindow) {
    match said {
        ToWindow::Answer(id, outcome) => frame.answered(id, outcome),
        ToWindow::Kept(text) => frame.had_kept(text),
        ToWindow::Raise => raise(app),
        ToWindow::Link(link) => {
            if let Some(link) = frame.hand_over(link) {
                emit(app, &ToWindow::Link(link));
            }
        }
        ToWindow::Event(_) => emit(app, &said),
    }
}

fn emit<R: Runtime>(app: &AppHandle<R>, said: &ToWindow) {
    if let Some((name, payload)) = said.as_event() {
        // A page that is just going hears nothing more.
        let _ = app.emit_str(name, payload);
    }
}

fn raise<R: Runtime>(app: &AppHandle<R>) {
    if let Some(window) = app.get_webview_window(MAIN) {
        // What the window manager does not allow it does not allow.
        let _ = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus());
    }
}
