//! Stories of one history file.

use std::time::{Duration, Instant};

use earshot_proto::peer::call::reason::{End, EndFacts};

use super::*;
use earshot_proto::entropy::Entropy;

fn key(seed: u8) -> SealKey {
    SealKey::draw(&mut Entropy::new([seed; 32]).secrets)
}

fn path(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("earshot-history-{name}-{}", std::process::id()));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    path
}

fn bob() -> UserName {
    UserName::new("bob").expect("a name")
}

fn message(number: u8, mine: bool) -> Entry {
    Entry::Message(Outgoing {
        number: u64::from(number),
        view: MessageView {
            id: MessageId([number; 16]),
            with: bob(),
            mine,
            written: UnixTime(1000 + u64::from(number)),
            text: format!("message {number}"),
            delivery: if mine { Delivery::Waiting } else { Delivery::Arrived },
            client_id: mine.then(|| format!("c-{number}")),
        },
    })
}

#[test]
fn a_message_that_comes_twice_is_one_row_and_pages_run_backwards() {
    let mut history = History::open(&path("pages"), &key(1)).expect("a new file");
    for number in 1..=5 {
        history.keep(&[message(number, false), message(number, false)]).expect("kept");
    }
    let page = history.page(&bob(), None, 3).expect("read").expect("a page");
    let texts: Vec<&str> = page.messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!((texts, page.more), (vec!["message 5", "message 4", "message 3"], true));
    let older = history.page(&bob(), Some(MessageId([3; 16])), 3).expect("read");
    assert_eq!(older.map(|p| (p.messages.len(), p.more)), Some((2, false)));
    assert_eq!(history.page(&bob(), Some(MessageId([9; 16])), 3).expect("read"), None);
}

#[test]
fn what_waits_is_known_after_a_restart_and_delivery_never_goes_back() {
    let path = path("restart");
    let mut history = History::open(&path, &key(1)).expect("a new file");
    history.keep(&[message(1, true), message(2, true)]).expect("kept");
    let read = Entry::Delivered(MessageId([1; 16]), Delivery::Read);
    let late = Entry::Delivered(MessageId([1; 16]), Delivery::Arrived);
    history.keep(&[read, late]).expect("kept");
    drop(history);
    let history = History::open(&path, &key(1)).expect("the same file");
    let under_way = history.under_way().expect("read");
    assert_eq!(under_way.outbox.len(), 1);
    assert_eq!(under_way.numbers, [(bob(), 2)]);
    let known: Vec<_> = under_way.client_ids.iter().map(|(_, id)| id.0[0]).collect();
    assert_eq!(known, [1, 2], "what was read and what waits, the latest last");
    let page = history.page(&bob(), None, 10).expect("read").expect("a page");
    assert_eq!(page.messages[1].delivery, Delivery::Read);
}

#[test]
fn unread_messages_are_counted_and_named() {
    let mut history = History::open(&path("unread"), &key(1)).expect("a new file");
    history.keep(&[message(1, false), message(2, false), message(3, true)]).expect("kept");
    let summary = history.summaries().expect("read");
    let last = &summary[0].last;
    assert_eq!((summary[0].unread, last.written), (2, UnixTime(1003)));
    assert_eq!((last.text.as_str(), last.mine), ("message 3", true));
    let ids = history.unread(&bob(), MessageId([1; 16])).expect("read");
    assert_eq!(ids, Some(vec![MessageId([1; 16])]));
}

#[test]
fn without_the_key_the_file_says_nothing() {
    let path = path("sealed");
    let mut history = History::open(&path, &key(1)).expect("a new file");
    history.keep(&[message(7, false)]).expect("kept");
    drop(history);
    assert!(History::open(&path, &key(2)).is_err());
    let bytes = std::fs::read(&path).expect("there");
    assert!(!bytes.windows(9).any(|w| w == b"message 7") && !bytes.starts_with(b"SQLite"));
}

fn call(number: u8, started: u64, reason: EndReason, talked: Option<Duration>) -> Entry {
    let now = Instant::now();
    let end = End { reason, by: By::Them, facts: EndFacts { talked, ..EndFacts::default() } };
    let log = LogEntry {
        call: CallId([number; 16]),
        peer: bob(),
        direction: Direction::In,
        started: now,
        answered: None,
        ended: now,
        end,
    };
    Entry::Call(log, UnixTime(started), UnixTime(started + 9))
}

#[test]
fn past_calls_are_paged_newest_first_with_why_and_who() {
    let mut history = History::open(&path("calls"), &key(1)).expect("a new file");
    let talked = Some(Duration::from_millis(61_000));
    let calls = [
        call(1, 100, EndReason::HungUp, talked),
        call(2, 300, EndReason::Declined, None),
        call(3, 200, EndReason::NoAnswer, None),
        call(4, 300, EndReason::Busy, None),
    ];
    history.keep(&calls).expect("kept");
    let ids = |page: &PastCalls| page.calls.iter().map(|c| c.id.0[0]).collect::<Vec<_>>();
    let page = history.calls(None, 3).expect("read").expect("a page");
    assert_eq!((ids(&page), page.more), (vec![4, 2, 3], true));
    let older = history.calls(Some(CallId([2; 16])), 3).expect("read").expect("a page");
    assert_eq!((ids(&older), older.more), (vec![3, 1], false));
    let first = &older.calls[1];
    let known = (first.reason, first.by, first.talked_ms, first.started);
    assert_eq!(known, (EndReason::HungUp, By::Them, Some(61_000), UnixTime(100)));
    assert_eq!(history.calls(Some(CallId([9; 16])), 3).expect("read"), None);
}

#[test]
fn a_history_of_before_gets_what_is_new() {
    let path = path("before");
    drop(History::open(&path, &key(1)).expect("a new file"));
    let history = History::open(&path, &key(1)).expect("the same file");
    // As the first version left it.
    let old = "DROP INDEX call_by_start; ALTER TABLE call DROP COLUMN ended_by;
        ALTER TABLE call DROP COLUMN talked; PRAGMA user_version = 1;
        INSERT INTO call VALUES (x'07070707070707070707070707070707', 'bob', 1, 5, 6, 'Declined');";
    history.db.execute_batch(old).expect("it is SQL");
    drop(history);
    let history = History::open(&path, &key(1)).expect("the same file");
    let page = history.calls(None, 5).expect("read").expect("a page");
    let [call] = page.calls.as_slice() else { panic!("{page:?}") };
    assert_eq!((call.reason, call.by, call.talked_ms), (EndReason::Declined, By::Network, None));
}
