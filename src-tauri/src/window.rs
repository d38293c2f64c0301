//! The window's process: Tauri, and nothing that decides.
//!
//! Invariants: its page is ours, and it goes nowhere else; what the page may ask is the capability
//! (`capabilities/window.json`); it ends when the resident does, or when a person closes it.

pub mod commands;
pub mod frame;
mod geometry;
mod line;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use gtk::prelude::GtkSettingsExt;
use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Manager, RunEvent, Runtime, Url, WebviewUrl, WebviewWindowBuilder};
use tauri::{WindowEvent, generate_context};

use crate::pipe::{ToResident, ToWindow};
use frame::Frame;
use geometry::Geometry;

/// The one window.
pub const MAIN: &str = "main";
/// The resident says what belongs here, and nobody else starts this program.
const EXIT_USAGE: u8 = 64;

/// The whole program, given the arguments after its name: the directory for its own things.
pub fn program(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("earshot-window: this is the window of `earshot`, which opens it");
        return ExitCode::from(EXIT_USAGE);
    };
    let directory = PathBuf::from(directory);
    let frame = Frame::new(std::io::stdout());
    let (hearing, keeping) = (frame.clone(), directory.clone());
    let builder = tauri::Builder::default().invoke_handler(commands::handler(frame.clone()));
    let app = builder.setup(move |app| {
        open(app.handle(), keeping)?;
        line::follow(std::io::stdin(), app.handle().clone(), hearing);
        Ok(())
    });
    match app.build(generate_context!()) {
        Ok(app) => ExitCode::from(u8::try_from(run(app, frame, directory)).unwrap_or(1)),
        Err(error) => {
            eprintln!("earshot-window: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(app: tauri::App, frame: Frame, directory: PathBuf) -> i32 {
    let mut geometry = Geometry::read(&directory);
    app.run_return(move |app, event| {
        if let RunEvent::WindowEvent { event, .. } = &event {
            if let WindowEvent::Focused(focused) = event {
                frame.say(&ToResident::Focus(*focused));
            } else if let WindowEvent::Resized(_) | WindowEvent::Moved(_) = event
                && let Some(window) = app.get_webview_window(MAIN)
            {
                geometry.see(&window);
            } else if let WindowEvent::CloseRequested { .. } = event {
                frame.say(&ToResident::Closed);
            }
        } else if let RunEvent::Exit = event {
            geometry.keep(&directory);
            frame.close();
        }
    })
}

/// Opens the window where it was.
fn open<R: Runtime>(app: &AppHandle<R>, directory: PathBuf) -> tauri::Result<()> {
    let geometry = Geometry::read(&directory);
    let page = if has_chosen_font() { "index.html?font" } else { "index.html" };
    let builder = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::App(page.into()))
        .title("Earshot")
        .visible(false)
        .min_inner_size(geometry::SMALLEST.0, geometry::SMALLEST.1)
        .data_directory(directory.join("pages"))
        // Files that are dropped are the page's matter, which takes none yet.
        .disable_drag_drop_handler()
        .zoom_hotkeys_enabled(true)
        .on_navigation(is_ours)
        .on_new_window(|_, _| NewWindowResponse::Deny);
    let window = geometry.of(builder).build()?;
    geometry.place(&window)?;
    // Once, with everything in it and where it belongs: each change of size that comes while the
    // page's process starts can make GTK wait for half a second.
    window.show()
}

/// Whether the system's font is somebody's choice, and not what GTK takes where nobody chose.
fn has_chosen_font() -> bool {
    let font = gtk::Settings::default().and_then(|settings| settings.gtk_font_name());
    font.is_some_and(|font| !font.to_ascii_lowercase().starts_with("sans"))
}

/// Whether an address is of our own pages.
fn is_ours(url: &Url) -> bool {
    let ours = url.scheme() == "tauri" && url.host_str() == Some("localhost");
    let served = cfg!(dev) && url.host_str() == Some("127.0.0.1") && url.port() == Some(1420);
    ours || served
}

impl ToWindow {
    /// What the page hears of it: the name and the payload of a Tauri event.
    fn as_event(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Event(event) => Some(("event", event.get().to_owned())),
            Self::Link(link) => {
                Some(("linkOpened", serde_json::json!({ "link": link }).to_string()))
            }
            Self::Answer(..) | Self::Kept(_) | Self::Raise => None,
        }
    }
}

#[cfg(test)]
mod tests;
