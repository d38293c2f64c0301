//! The page's commands through Tauri's own IPC and access control, without a display: a page that
//! asks, and a resident that answers with what it was asked.

use std::io::PipeReader;
use std::sync::mpsc::channel;

use earshot_node::api::commands::METHODS;
use earshot_node::api::ready::Role;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tauri::ipc::{CallbackFn, InvokeBody};
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder};
use tauri::webview::InvokeRequest;
use tauri::{Listener, WebviewWindow};

use super::*;
use crate::link::Link;
use crate::pipe;

const CAPABILITY: &str = include_str!("../../capabilities/window.json");

struct Story {
    _app: tauri::App<MockRuntime>,
    window: WebviewWindow<MockRuntime>,
    frame: Frame,
}

impl Story {
    /// A resident that answers every question with it, and refuses the search for "nobody".
    fn begin() -> Self {
        let (heard, said) = std::io::pipe().unwrap();
        let frame = Frame::new(said);
        let answering = frame.clone();
        std::thread::spawn(move || answer(heard, &answering));
        let builder = mock_builder().invoke_handler(commands::handler(frame.clone()));
        let context = generate_context!(test = true);
        let app = builder.build(context).unwrap();
        let window = WebviewWindowBuilder::new(&app, MAIN, WebviewUrl::default());
        let window = window.build().unwrap();
        Self { _app: app, window, frame }
    }

    fn ask(&self, command: &str, params: Value) -> Result<Value, Value> {
        ask(&self.window, command, params)
    }
}

fn ask(window: &WebviewWindow<MockRuntime>, command: &str, params: Value) -> Result<Value, Value> {
    let request = InvokeRequest {
        cmd: command.into(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: "tauri://localhost".parse().unwrap(),
        body: InvokeBody::Json(params),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.to_owned(),
    };
    get_ipc_response(window, request).map(|body| body.deserialize().unwrap())
}

fn answer(heard: PipeReader, frame: &Frame) {
    pipe::read(heard, |said| {
        let ToResident::Ask(question) = said else { return };
        let asked = json!({ "method": question.method, "params": question.params });
        let refused = question.params.get().contains("nobody");
        let outcome = to_raw_value(&asked).unwrap();
        frame.answered(question.id, if refused { Err(outcome) } else { Ok(outcome) });
    });
}

fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().filter(|method| method.roles.contains(&Role::Peer)).map(|method| method.name)
}

#[test]
fn every_method_of_the_node_is_a_command_that_answers() {
    let story = Story::begin();
    for method in methods() {
        let params = json!({ "a": "ä\n<b>" });
        let answered = story.ask(&commands::command(method), params.clone());
        assert_eq!(answered, Ok(json!({ "method": method, "params": params })));
    }
}

#[test]
fn a_failure_reaches_the_page_as_the_node_says_it() {
    let params = json!({ "user": "nobody" });
    let refused = json!({ "method": "search", "params": params });
    assert_eq!(Story::begin().ask("search", params), Err(refused));
}

#[test]
fn the_capability_allows_the_methods_and_readiness_and_nothing_else() {
    let allowed: Value = serde_json::from_str(CAPABILITY).unwrap();
    let mut allowed: Vec<&str> =
        allowed["permissions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let spelt = |name: &str| format!("allow-{}", commands::command(name).replace('_', "-"));
    let mut wanted: Vec<String> =
        methods().chain([commands::WINDOW_READY, commands::WINDOW_KEEP]).map(spelt).collect();
    wanted.extend(["core:event:allow-listen", "core:event:allow-unlisten"].map(str::to_owned));
    allowed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(allowed, wanted);
}

#[test]
fn what_the_capability_does_not_allow_is_refused() {
    let story = Story::begin();
    for command in [
        "call.start",
        "nonsense",
        "plugin:event|emit",
        "plugin:event|emit_to",
        "plugin:window|close",
        "plugin:window|create",
        "plugin:webview|create_webview_window",
        "plugin:webview|internal_toggle_devtools",
        "plugin:path|resolve_directory",
        "plugin:fs|read_file",
        "plugin:shell|open",
    ] {
        let refused = story.ask(command, json!({})).unwrap_err().to_string();
        assert!(refused.contains("not allowed") || refused.contains("not found"), "{refused}");
    }
}

#[test]
fn questions_have_a_limit_and_the_page_hears_of_it() {
    let frame = Frame::new(std::io::sink());
    for _ in 0..pipe::ASKED_MAX {
        frame.ask("state.get", "{}".into(), |_| panic!("nobody answers"));
    }
    let (sender, heard) = channel();
    frame.ask("state.get", "{}".into(), move |outcome| sender.send(outcome).unwrap());
    assert!(heard.recv().unwrap().unwrap_err().get().contains("tooMany"));
    let (sender, heard) = channel();
    let long = format!("\"{}\"", "a".repeat(pipe::LINE_MAX));
    frame.ask("chat.send", long, move |outcome| sender.send(outcome).unwrap());
    assert!(heard.recv().unwrap().unwrap_err().get().contains("lineTooLong"));
}

#[test]
fn a_link_waits_for_the_page_or_is_told_to_it() {
    let story = Story::begin();
    let link = |text: &str| Link::try_from(text.to_owned()).unwrap();
    assert_eq!(story.ask("window_ready", json!({})), Ok(json!({})));
    assert_eq!(story.frame.hand_over(link("earshot:add/anna")), Some(link("earshot:add/anna")));
    let early = Story::begin();
    assert_eq!(early.frame.hand_over(link("earshot:add/ben")), None);
    let opened = early.ask("window_ready", json!({}));
    assert_eq!(opened, Ok(json!({ "link": "earshot:add/ben" })));
    assert_eq!(early.ask("window_ready", json!({})), Ok(json!({})));
}

#[test]
fn what_a_window_kept_is_told_to_the_next_one() {
    let (heard, said) = std::io::pipe().unwrap();
    let builder = mock_builder().invoke_handler(commands::handler(Frame::new(said)));
    let app = builder.build(generate_context!(test = true)).unwrap();
    let window = WebviewWindowBuilder::new(&app, MAIN, WebviewUrl::default()).build().unwrap();
    assert_eq!(ask(&window, "window_keep", json!({ "text": "a draft" })), Ok(json!({})));
    let long = "a".repeat(pipe::KEPT_MAX + 1);
    let refused = ask(&window, "window_keep", json!({ "text": long })).unwrap_err();
    assert_eq!(refused["code"], "textTooLong");
    assert_eq!(ask(&window, "window_keep", json!({})).unwrap_err()["code"], "badParams");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(heard), &mut line).unwrap();
    assert_eq!(line, "{\"keep\":\"a draft\"}\n");

    let next = Story::begin();
    next.frame.had_kept("a draft".to_owned());
    assert_eq!(next.ask("window_ready", json!({})), Ok(json!({ "kept": "a draft" })));
}

#[test]
fn the_page_hears_events_and_links_as_they_are() {
    let story = Story::begin();
    let (sender, heard) = channel();
    for name in ["event", "linkOpened"] {
        let sender = sender.clone();
        story.window.listen(name, move |event| sender.send(event.payload().to_owned()).unwrap());
    }
    story.ask("window_ready", json!({})).unwrap();
    let said = "{\"event\":{\"seq\":1,\"type\":\"x\"}}\n{\"link\":\"earshot:add/anna\"}\n";
    line::follow(said.as_bytes(), story.window.app_handle().clone(), story.frame.clone());
    assert_eq!(heard.recv().unwrap(), r#"{"seq":1,"type":"x"}"#);
    assert_eq!(heard.recv().unwrap(), r#"{"link":"earshot:add/anna"}"#);
}

#[test]
fn the_window_goes_nowhere_but_to_its_own_pages() {
    let ours = |url: &str| is_ours(&url.parse().unwrap());
    assert!(ours("tauri://localhost/index.html"));
    for foreign in [
        "https://example.org",
        "http://localhost",
        "http://tauri.localhost",
        "tauri://example.org",
        "file:///etc/passwd",
        "data:text/html,a",
        "about:blank",
        "earshot:call/anna",
    ] {
        assert!(!ours(foreign), "{foreign}");
    }
}
