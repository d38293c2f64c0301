//! Stories of one client and a node that answers at once: `logout` is granted, everything else
//! refused.

use std::time::Duration;

use earshot_proto::time::UnixTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use super::*;
use crate::api::audio::AudioLevel;
use crate::api::chat::History;
use crate::api::commands::Done;
use crate::api::events::Event;

const LEVEL: Event = Event::AudioLevel(AudioLevel { level_in: -20.0, level_out: -30.0 });
const SEARCH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"search","params":{"user":"anna"}}"#;

/// The streams of a client and the other ends of them.
fn connect(role: Role) -> (DuplexStream, BufReader<DuplexStream>, Rpc<DuplexStream>) {
    let (to_node, input) = duplex(64 * 1024);
    let (output, from_node) = duplex(64 * 1024);
    (to_node, BufReader::new(from_node), Rpc::open(input, output, role))
}

fn answer(command: Command) {
    if let Command::Logout(_, reply) = command {
        reply.grant(Done {});
    } else {
        command.refuse(ErrorCode::NotLoggedIn);
    }
}

/// What a node writes to these bytes.
async fn written(role: Role, input: &[u8]) -> Vec<Value> {
    let (mut to_node, mut from_node, mut rpc) = connect(role);
    let node = async {
        while let Some(command) = rpc.next().await {
            answer(command);
        }
        rpc.leave().await;
    };
    let client = async move {
        to_node.write_all(input).await.expect("the node reads");
    };
    let mut output = String::new();
    let reading = from_node.read_to_string(&mut output);
    let ((), (), read) = tokio::join!(node, client, reading);
    read.expect("the node writes UTF-8");
    output.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Numbers and codes of the errors, and ids of the results.
async fn outcome(role: Role, input: &str) -> Vec<(Value, i64, String)> {
    let lines = written(role, input.as_bytes()).await;
    let outcome = lines.iter().map(|line| {
        let error = &line["error"];
        let code = error["data"]["code"].as_str().unwrap_or("granted");
        (line["id"].clone(), error["code"].as_i64().unwrap_or(0), code.to_owned())
    });
    outcome.collect()
}

async fn line(from_node: &mut BufReader<DuplexStream>) -> Value {
    let mut line = String::new();
    from_node.read_line(&mut line).await.expect("the node writes UTF-8");
    serde_json::from_str(&line).expect("each line is JSON")
}

#[tokio::test]
async fn whatever_comes_is_answered_and_the_next_question_is_too() {
    let next = r#"{"jsonrpc":"2.0","id":"next","method":"logout"}"#;
    for (line, number, code) in [
        ("nonsense", -32_700, "notJson"),
        ("[]", -32_600, "notARequest"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"logout"}]"#, -32_600, "notARequest"),
        (r#"{"id":null,"method":"logout"}"#, -32_600, "notARequest"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"log_out"}"#, -32_601, "unknownMethod"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"search"}"#, -32_602, "badParams"),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"search","params":["anna"]}"#,
            -32_602,
            "badParams",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"search","params":{"user":7}}"#,
            -32_602,
            "badParams",
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"logout","params":{"x":1}}"#, -32_602, "badParams"),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"call.accept","params":{"callId":"x"}}"#,
            -32_000,
            "notLoggedIn",
        ),
    ] {
        let outcome = outcome(Role::Peer, &format!("{line}\n \r\n{next}\r\n")).await;
        let wanted = (Value::Null, number, code.to_owned());
        assert_eq!(outcome, [wanted, (json!("next"), 0, "granted".to_owned())], "{line}");
    }
}

#[tokio::test]
async fn a_line_of_two_mebibytes_is_answered_and_the_next_question_is_too() {
    let input = format!("{}\n{SEARCH}\n", "[".repeat(2 * LINE_MAX));
    let outcome = outcome(Role::Peer, &input).await;
    let too_long = (Value::Null, -32_600, "lineTooLong".to_owned());
    assert_eq!(outcome, [too_long, (json!(1), -32_000, "notLoggedIn".to_owned())]);
}

#[tokio::test]
async fn a_role_answers_its_own_methods_only() {
    let of = async |role, method: &str| {
        let question = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        outcome(role, &question).await[0].2.clone()
    };
    for role in [Role::Peer, Role::SuperPeer, Role::Network] {
        assert_eq!(of(role, "super_peer.status").await, "notLoggedIn");
    }
    assert_eq!(of(Role::Authority, "super_peer.status").await, "unknownMethod");
    assert_eq!(of(Role::Peer, "super_peer.test").await, "notLoggedIn");
    assert_eq!(of(Role::SuperPeer, "super_peer.test").await, "unknownMethod");
}

#[tokio::test]
async fn a_notification_is_done_and_not_answered() {
    let (mut to_node, mut from_node, mut rpc) = connect(Role::Peer);
    let notes = b"{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"logout\"}\n";
    to_node.write_all(notes).await.expect("the node reads");
    let command = rpc.next().await.expect("a command");
    assert_eq!(command.method(), "logout");
    answer(command);
    rpc.leave().await;
    let mut output = String::new();
    from_node.read_to_string(&mut output).await.expect("the node writes UTF-8");
    assert_eq!(output, "");
}

#[tokio::test]
async fn the_result_comes_first_then_its_events_numbered_without_gaps() {
    let (mut to_node, mut from_node, mut rpc) = connect(Role::Peer);
    let mut events = rpc.events();
    for round in 0..3 {
        to_node.write_all(format!("{SEARCH}\n").as_bytes()).await.expect("the node reads");
        answer(rpc.next().await.expect("a command"));
        events.tell(UnixTime(round), LEVEL);
        assert_eq!(line(&mut from_node).await["id"], 1);
        let event = line(&mut from_node).await;
        assert_eq!(event["method"], "event");
        assert_eq!(event["params"]["seq"], round + 1);
        assert_eq!(event["params"]["type"], "audioLevel");
    }
}

#[tokio::test]
async fn at_the_end_of_input_open_questions_are_answered_that_the_node_leaves() {
    let (mut to_node, mut from_node, mut rpc) = connect(Role::Peer);
    to_node.write_all(SEARCH.as_bytes()).await.expect("the node reads");
    drop(to_node);
    let waiting = rpc.next().await.expect("a command");
    assert!(rpc.next().await.is_none());
    drop(waiting);
    rpc.leave().await;
    assert_eq!(line(&mut from_node).await["error"]["data"]["code"], "leaving");
}

#[tokio::test]
async fn an_answer_that_fits_no_line_is_an_error() {
    let (mut to_node, mut from_node, mut rpc) = connect(Role::Peer);
    let history =
        r#"{"jsonrpc":"2.0","id":1,"method":"chat.history","params":{"with":"anna","limit":9}}"#;
    to_node.write_all(format!("{history}\n").as_bytes()).await.expect("the node reads");
    let Some(Command::ChatHistory(question, reply)) = rpc.next().await else {
        panic!("chat.history was asked")
    };
    assert_eq!(question.limit, 9);
    let text = "x".repeat(LINE_MAX);
    let message = json!({
        "id": "", "with": "", "direction": "in", "text": text, "writtenAt": 1, "state": "read"
    });
    let messages = vec![serde_json::from_value(message).expect("a message")];
    reply.grant(History { messages, more: false });
    assert_eq!(line(&mut from_node).await["error"]["data"]["code"], "answerTooLong");
}

#[tokio::test]
async fn more_questions_than_anybody_has_are_refused_until_some_are_answered() {
    let (mut to_node, mut from_node, mut rpc) = connect(Role::Peer);
    let mut open = Vec::new();
    for _ in 0..QUESTIONS_MAX {
        to_node.write_all(format!("{SEARCH}\n").as_bytes()).await.expect("the node reads");
        open.push(rpc.next().await.expect("a command"));
    }
    to_node.write_all(format!("{SEARCH}\n").as_bytes()).await.expect("the node reads");
    tokio::select! {
        _ = rpc.next() => panic!("one question too many"),
        refused = line(&mut from_node) => assert_eq!(refused["error"]["data"]["code"], "tooMany"),
    }
    open.into_iter().for_each(answer);
    to_node.write_all(format!("{SEARCH}\n").as_bytes()).await.expect("the node reads");
    assert!(rpc.next().await.is_some());
}

#[tokio::test]
async fn a_slow_reader_misses_levels_but_no_number() {
    let (_to_node, mut from_node, rpc) = connect(Role::Peer);
    let mut events = rpc.events();
    for at in 0..20_000 {
        events.tell(UnixTime(at), LEVEL);
    }
    let told = events.last();
    assert!(told < 20_000, "some were left out");
    for seq in 1..=told {
        assert_eq!(line(&mut from_node).await["params"]["seq"], seq);
    }
    events.tell(UnixTime(0), LEVEL);
    assert_eq!(line(&mut from_node).await["params"]["seq"], told + 1);
}

#[tokio::test]
async fn when_nobody_reads_any_more_the_node_leaves() {
    let (_to_node, from_node, mut rpc) = connect(Role::Peer);
    drop(from_node);
    rpc.events().tell(UnixTime(0), LEVEL);
    let next = tokio::time::timeout(Duration::from_secs(10), rpc.next());
    assert!(next.await.expect("the node notices").is_none());
}

#[tokio::test]
async fn a_question_is_not_lost_when_the_node_looks_elsewhere_meanwhile() {
    let (mut to_node, _from_node, mut rpc) = connect(Role::Peer);
    let (half, other_half) = SEARCH.split_at(20);
    to_node.write_all(half.as_bytes()).await.expect("the node reads");
    tokio::select! {
        biased;
        _ = rpc.next() => panic!("half a question is none"),
        () = tokio::task::yield_now() => {}
    }
    to_node.write_all(format!("{other_half}\n").as_bytes()).await.expect("the node reads");
    assert_eq!(rpc.next().await.map(|command| command.method()), Some("search"));
}

proptest! {
    #[test]
    fn any_bytes_are_answered_by_errors_at_most_one_a_line(
        input in proptest::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let lines = runtime.expect("a runtime").block_on(written(Role::Peer, &input));
        let asked = input.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        prop_assert_eq!(lines.len(), asked.count());
        prop_assert!(lines.iter().all(|line| line["error"]["data"]["code"].is_string()));
    }
}
