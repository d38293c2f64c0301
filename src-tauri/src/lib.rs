//! The app: a resident and its window, two processes.
//!
//! The *resident* (`earshot`) holds the node, the tray and the notices, and decides by the desk
//! what is shown when. The *window* (`earshot-window`) is Tauri: it carries questions and events
//! between its pages and the resident, over its standard input and output. Closed, it is gone with
//! all that a browser holds; the resident links none of it.

pub mod desk;
pub mod display;
pub mod door;
pub mod link;
pub mod mark;
pub mod metered;
pub mod node;
pub mod notices;
pub mod options;
pub mod pane;
pub mod pipe;
pub mod resident;
pub mod system;
pub mod tray;
pub mod window;
pub mod words;
