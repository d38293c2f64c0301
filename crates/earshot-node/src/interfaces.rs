//! Whether the addresses of this computer change.
//!
//! Source: `earshot_proto::port::Input::Network`. Watched for as long as the loop lives, unless all
//! that it does stays on this computer. Changes that follow each other within a quarter of a second
//! are one.

use n0_watcher::Watcher;
use netwatch::netmon::Monitor;
use tokio::sync::{mpsc, watch};

use crate::driver::news::News;

/// Tells the loop, and whoever listens, of each change that matters; until the loop ends.
pub(crate) async fn watch(to_loop: mpsc::Sender<News>, changed: watch::Sender<()>) {
    let monitor = match Monitor::new().await {
        Ok(monitor) => monitor,
        Err(error) => {
            tracing::warn!(%error, "The computer's addresses are not watched");
            return to_loop.closed().await;
        }
    };
    let mut states = monitor.interface_state();
    let mut known = states.get();
    loop {
        let state = tokio::select! {
            state = states.updated() => state,
            () = to_loop.closed() => return,
        };
        let Ok(state) = state else { return };
        if state.is_major_change(&known) {
            changed.send_replace(());
            if to_loop.send(News::Network).await.is_err() {
                return;
            }
        }
        known = state;
    }
}
