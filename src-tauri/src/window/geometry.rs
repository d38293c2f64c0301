//! Where the window was, kept from one to the next.
//!
//! Sizes are logical, so that they mean the same on another screen; a place that no screen shows
//! any more is not taken. Wayland tells no places: there the size alone is kept.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tauri::{LogicalPosition, Manager, Runtime, WebviewWindow, WebviewWindowBuilder};

/// Smallest size (LOOK, Layout).
pub(super) const SMALLEST: (f64, f64) = (380.0, 560.0);
/// Usual size (LOOK, Layout).
const USUAL: (f64, f64) = (1040.0, 720.0);
/// Largest size that is believed: a wall of screens.
const LARGEST: f64 = 20_000.0;
const FILE: &str = "geometry.json";

/// Where the window was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Geometry {
    width: f64,
    height: f64,
    place: Option<(f64, f64)>,
    maximized: bool,
}

impl Default for Geometry {
    fn default() -> Self {
        Self { width: USUAL.0, height: USUAL.1, place: None, maximized: false }
    }
}

impl Geometry {
    /// As it was kept, or as usual.
    pub(super) fn read(directory: &Path) -> Self {
        let text = fs::read(directory.join(FILE)).unwrap_or_default();
        let read: Option<Self> = serde_json::from_slice(&text).ok();
        read.filter(Self::is_believable).unwrap_or_default()
    }

    /// Keeps it; else the next window is where the one before was.
    pub(super) fn keep(&self, directory: &Path) {
        let text = serde_json::to_string(self).expect("it has string keys only");
        let _ = fs::write(directory.join(FILE), text);
    }

    /// Takes in where the window is now. A maximized one keeps the size to go back to.
    pub(super) fn see<R: Runtime>(&mut self, window: &WebviewWindow<R>) {
        let Ok(scale) = window.scale_factor() else { return };
        let maximized = window.is_maximized().unwrap_or(false);
        let (size, place) = (window.inner_size(), window.outer_position());
        let mut seen = Self { maximized, ..self.clone() };
        if !maximized {
            if let Ok(size) = size.map(|size| size.to_logical::<f64>(scale)) {
                (seen.width, seen.height) = (size.width, size.height);
            }
            let place = place.ok().map(|place| place.to_logical::<f64>(scale));
            seen.place = place.map(|place| (place.x, place.y));
        }
        if seen.is_believable() {
            *self = seen;
        }
    }

    /// The window of this size.
    pub(super) fn of<'a, R: Runtime, M: Manager<R>>(
        &self,
        builder: WebviewWindowBuilder<'a, R, M>,
    ) -> WebviewWindowBuilder<'a, R, M> {
        builder.inner_size(self.width, self.height).maximized(self.maximized)
    }

    /// Puts the window where it was, if a screen is there.
    pub(super) fn place<R: Runtime>(&self, window: &WebviewWindow<R>) -> tauri::Result<()> {
        let Some((x, y)) = self.place else { return Ok(()) };
        let seen = window.available_monitors()?.iter().any(|screen| {
            let scale = screen.scale_factor();
            let corner = screen.position().to_logical::<f64>(scale);
            let size = screen.size().to_logical::<f64>(scale);
            let right = corner.x + size.width - SMALLEST.0 / 2.0;
            let below = corner.y + size.height - SMALLEST.1 / 2.0;
            (corner.x..right).contains(&x) && (corner.y..below).contains(&y)
        });
        if seen { window.set_position(LogicalPosition::new(x, y)) } else { Ok(()) }
    }

    fn is_believable(&self) -> bool {
        (SMALLEST.0..LARGEST).contains(&self.width) && (SMALLEST.1..LARGEST).contains(&self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_again_and_nonsense_is_not_believed() {
        let name = format!("earshot-geometry-{}", std::process::id());
        let home = std::env::temp_dir().join(name);
        fs::create_dir_all(&home).unwrap();
        assert_eq!(Geometry::read(&home), Geometry::default());
        let wide = Geometry { width: 1600.0, place: Some((-5.0, 40.0)), ..Geometry::default() };
        wide.keep(&home);
        assert_eq!(Geometry::read(&home), wide);
        for nonsense in ["", "{}", r#"{"width":1e9,"height":700,"place":null,"maximized":false}"#] {
            fs::write(home.join(FILE), nonsense).unwrap();
            assert_eq!(Geometry::read(&home), Geometry::default());
        }
        fs::remove_dir_all(&home).unwrap();
    }
}
