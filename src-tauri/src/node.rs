//! The node inside the resident: started beside the window, asked in order, left politely.
//!
//! Invariants: whoever asks before it has started waits; questions are put in the order of their
//! asking; a start that failed is told to whoever asks, and tried again with the next `state.get`.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use earshot_node::api::errors::ErrorCode;
use earshot_node::api::failure::Failure;
use earshot_node::embedded::Embedded;

/// Starts an embedded node.
pub type Start = Box<dyn Fn() -> Result<Embedded, Failure> + Send + Sync>;

/// The node, or why there is none.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    start: Start,
    life: Mutex<Life>,
    changed: Condvar,
}

enum Life {
    Starting,
    Here(Box<Embedded>),
    Failed(Failure),
    Left,
}

impl Node {
    /// A node that is yet to be started.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let life = Mutex::new(Life::Starting);
        Self(Arc::new(Inner { start, life, changed: Condvar::new() }))
    }

    /// Starts it, and answers why that failed if it did.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub fn start(&self) -> Result<(), Failure> {
        let started = (self.0.start)();
        let mut life = self.0.lock();
        let told = started.as_ref().map(drop).map_err(Clone::clone);
        *life = match (&*life, started) {
            (Life::Left, _) => Life::Left,
            (Life::Starting | Life::Failed(_) | Life::Here(_), Ok(node)) => {
                Life::Here(Box::new(node))
            }
            (Life::Starting | Life::Failed(_) | Life::Here(_), Err(why)) => Life::Failed(why),
        };
        self.0.changed.notify_all();
        told
    }

    /// Asks; waits for its start, but not for the answer, which goes to `answer`.
    pub fn ask(
        &self,
        method: &str,
        params: &str,
        answer: impl FnOnce(Result<String, Failure>) + Send + 'static,
    ) {
        let mut life = self.0.started();
        if matches!(&*life, Life::Failed(_)) && method == "state.get" {
            drop(life);
            // Whoever asks hears of a failure below.
            let _ = self.start();
            life = self.0.started();
        }
        match &*life {
            Life::Here(node) => node.put(method, params, answer),
            Life::Failed(why) => answer(Err(why.clone())),
            Life::Starting | Life::Left => answer(Err(ErrorCode::Leaving.into())),
        }
    }

    /// Says goodbye to the network; within three seconds.
    pub fn leave(&self) {
        let life = std::mem::replace(&mut *self.0.lock(), Life::Left);
        self.0.changed.notify_all();
        match life {
            Life::Here(node) => node.leave(),
            Life::Starting | Life::Failed(_) | Life::Left => {}
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Node")
    }
}

impl Inner {
    fn started(&self) -> MutexGuard<'_, Life> {
        let starting = |life: &mut Life| matches!(life, Life::Starting);
        let life = self.changed.wait_while(self.lock(), starting);
        life.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
