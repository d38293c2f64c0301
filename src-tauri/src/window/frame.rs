//! The page's side of the pipe: questions with whoever waits for their answers, and the link that
//! came before the page was ready.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use earshot_node::api::commands::Done;
use earshot_node::api::errors::{ErrorCode, Limited};
use earshot_node::api::failure::Failure;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::link::Link;
use crate::pipe::{ASKED_MAX, KEPT_MAX, LINE_MAX, Outbox, Question, ToResident, Weight};

/// A result, or a failure as in docs/rpc.md.
pub type Outcome = Result<Box<RawValue>, Box<RawValue>>;

type Answer = Box<dyn FnOnce(Outcome) + Send>;

/// Room that the envelope of a question takes in its line.
const ENVELOPE_MAX: usize = 1024;

/// The page's side of the pipe.
#[derive(Clone)]
pub struct Frame {
    outbox: Outbox,
    page: Arc<Mutex<Page>>,
}

#[derive(Default)]
struct Page {
    asked: HashMap<u64, Answer>,
    last: u64,
    is_ready: bool,
    link: Option<Link>,
    kept: Option<String>,
}

/// What a page that is ready is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// What the window before had kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// The link that it was opened with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

impl Frame {
    /// A page that asks by writing to `output`.
    pub fn new(output: impl Write + Send + 'static) -> Self {
        Self { outbox: Outbox::to(output), page: Arc::default() }
    }

    /// Says something to the resident.
    pub fn say(&self, what: &ToResident) {
        self.outbox.put(what, Weight::Owed);
    }

    /// Asks the node; `answer` hears what it says.
    pub fn ask(&self, method: &str, params: String, answer: impl FnOnce(Outcome) + Send + 'static) {
        if params.len() > LINE_MAX - ENVELOPE_MAX {
            return answer(Err(refused(ErrorCode::LineTooLong { max: LINE_MAX - ENVELOPE_MAX })));
        }
        let mut page = self.lock();
        if page.asked.len() >= ASKED_MAX {
            drop(page);
            let full = ErrorCode::TooMany { what: Limited::Questions, max: ASKED_MAX };
            return answer(Err(refused(full)));
        }
        page.last += 1;
        let id = page.last;
        page.asked.insert(id, Box::new(answer));
        let params = RawValue::from_string(params).expect("it was written from a value");
        // Under the lock, so that questions are put in the order of their asking.
        self.say(&ToResident::Ask(Question { id, method: method.to_owned(), params }));
    }

    /// Gives an answer to whoever waits for it.
    pub fn answered(&self, id: u64, outcome: Outcome) {
        let waiting = self.lock().asked.remove(&id);
        if let Some(answer) = waiting {
            answer(outcome);
        }
    }

    /// The page is ready: it takes the link that waits.
    pub fn ready(&self) -> Opened {
        self.say(&ToResident::Painted);
        let mut page = self.lock();
        page.is_ready = true;
        Opened { kept: page.kept.take(), link: page.link.take() }
    }

    /// Takes what the window before had kept.
    pub fn had_kept(&self, text: String) {
        self.lock().kept = Some(text);
    }

    /// Has the next window told this text.
    ///
    /// # Errors
    /// [`ErrorCode::TextTooLong`] for one over [`KEPT_MAX`].
    pub fn keep(&self, text: String) -> Result<Done, Failure> {
        if text.len() > KEPT_MAX {
            let field = "text".to_owned();
            return Err(ErrorCode::TextTooLong { field, got: text.len(), max: KEPT_MAX }.into());
        }
        self.say(&ToResident::Keep(text));
        Ok(Done {})
    }

    /// Keeps a link for a page that is not ready yet; gives it back for one that is.
    pub fn hand_over(&self, link: Link) -> Option<Link> {
        let mut page = self.lock();
        if page.is_ready {
            return Some(link);
        }
        page.link = Some(link);
        None
    }

    /// Writes what waits, and no more.
    pub fn close(&self) {
        self.outbox.close();
    }

    /// A panic in one holder leaves a whole table behind.
    fn lock(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} wait)", self.lock().asked.len())
    }
}

fn refused(why: ErrorCode) -> Box<RawValue> {
    to_raw_value(&Failure::from(why)).expect("failures have string keys only")
}
