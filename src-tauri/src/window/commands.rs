//! The commands of the page: each method of the node under its name with `_` for `.`, and two of
//! the window itself, `window_ready` and `window_keep`.
//!
//! There is no list of them here to forget one in: the capability decides which pass, and the node
//! which exist. A test holds both to the table of methods.

use earshot_node::api::commands::{METHODS, brief};
use earshot_node::api::errors::ErrorCode;
use earshot_node::api::failure::Failure;
use earshot_node::api::ready::Role;
use serde::Deserialize;
use tauri::Runtime;
use tauri::ipc::{Invoke, InvokeBody};

use super::frame::Frame;

/// Says that the page has painted; answers the link that it was opened with.
pub const WINDOW_READY: &str = "window_ready";
/// Keeps a text in memory for the next window, which is told it when it is ready.
pub const WINDOW_KEEP: &str = "window_keep";

/// The parameters of [`WINDOW_KEEP`].
#[derive(Deserialize)]
struct Keep {
    text: String,
}

/// The name of the command for a method.
#[must_use]
pub fn command(method: &str) -> String {
    method.replace('.', "_")
}

/// Takes what the capability let pass.
pub fn handler<R: Runtime>(frame: Frame) -> impl Fn(Invoke<R>) -> bool + Send + Sync + 'static {
    move |invoke| {
        let Invoke { message, resolver, .. } = invoke;
        let (name, params) = (message.command(), json(message.payload()));
        let asked = METHODS
            .iter()
            .find(|method| method.roles.contains(&Role::Peer) && command(method.name) == name);
        match asked {
            Some(method) => frame.ask(method.name, params, move |result| match result {
                Ok(answer) => resolver.resolve(answer),
                Err(failure) => resolver.reject(failure),
            }),
            None if name == WINDOW_READY => resolver.resolve(frame.ready()),
            None if name == WINDOW_KEEP => match serde_json::from_str::<Keep>(&params) {
                Ok(keep) => match frame.keep(keep.text) {
                    Ok(done) => resolver.resolve(done),
                    Err(why) => resolver.reject(why),
                },
                Err(bad) => resolver.reject(bad_params(&bad)),
            },
            None => resolver.reject(Failure::from(ErrorCode::UnknownMethod)),
        }
        true
    }
}

fn bad_params(bad: &serde_json::Error) -> Failure {
    ErrorCode::BadParams { problem: brief(&bad.to_string()) }.into()
}

fn json(payload: &InvokeBody) -> String {
    match payload {
        InvokeBody::Json(value) => value.to_string(),
        InvokeBody::Raw(_) => "null".into(),
    }
}
