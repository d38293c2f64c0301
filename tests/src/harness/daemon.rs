//! One process: started, ready, asked, listened to, stopped.
//!
//! Two threads belong to it: one reads its stdout, one waits for its end. Its stderr goes into
//! `NAME.log`, all messages into `NAME.rpc.jsonl`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};

use super::clock::monotonic_ns;
use super::inbox::{Heard, Inbox, Mark, Nothing};
use super::launch::Launch;
use super::transcript::Transcript;
use super::trouble::{Refusal, Trouble};

/// The first line comes within this time. INTERFACES 2.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// A polite end takes at most this long. INTERFACES 2.
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// An answer that takes longer is none: the slowest, a login, stretches a password for a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A process that was killed is gone at once; more means that the kernel holds it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A granted request and when it was sent and answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Just before the request was written.
    pub sent_ns: u64,
    /// When the response was read.
    pub heard_ns: u64,
    /// The `result`.
    pub result: Value,
}

/// A process that we started. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    pid: Pid,
    stdin: Mutex<Option<ChildStdin>>,
    inbox: Arc<Inbox>,
    transcript: Arc<Transcript>,
    next_id: AtomicU64,
    first: Value,
    threads: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts it and waits for its first line, which must say that it is ready.
    ///
    /// # Errors
    /// [`Trouble::NotReady`] with the error and the exit status where the line says so.
    pub fn spawn(launch: &Launch, out: &Path) -> Result<Self, Trouble> {
        let mut daemon = Self::start(launch, out)?;
        let first = daemon.wait("first line", READY_WITHIN, |said| said.first.clone())?;
        if first.value["ready"] != true {
            let status = daemon.wait_exit(READY_WITHIN).ok();
            let error = Box::new(first.value["error"].clone());
            return Err(Trouble::NotReady { name: daemon.name.clone(), error, status });
        }
        daemon.first = first.value;
        Ok(daemon)
    }

    /// Starts it without waiting for its first line.
    ///
    /// # Errors
    /// [`Trouble::Io`] where the system does not start it.
    pub fn start(launch: &Launch, out: &Path) -> Result<Self, Trouble> {
        let name = launch.name.clone();
        let io = |doing| {
            let name = name.clone();
            move |source| Trouble::Io { name, doing, source }
        };
        let log = File::create(out.join(format!("{name}.log"))).map_err(io("its log"))?;
        let transcript = Transcript::create(&out.join(format!("{name}.rpc.jsonl")));
        let transcript = Arc::new(transcript.map_err(io("its transcript"))?);
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .envs(launch.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(io("starting"))?;
        let inbox = Arc::new(Inbox::default());
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout was piped above");
        let pid = Pid::from_child(&child);
        let reader = {
            let (inbox, transcript) = (Arc::clone(&inbox), Arc::clone(&transcript));
            thread::spawn(move || read(stdout, &inbox, &transcript))
        };
        let reaper = {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || reap(child, pid, &inbox))
        };
        Ok(Self {
            name,
            pid,
            stdin: Mutex::new(stdin),
            inbox,
            transcript,
            next_id: AtomicU64::new(1),
            first: Value::Null,
            threads: vec![reader, reaper],
        })
    }

    /// Its name among the others.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its first line.
    #[must_use]
    pub const fn ready(&self) -> &Value {
        &self.first
    }

    /// A text of its first line.
    ///
    /// # Errors
    /// [`Trouble::Unexpected`] where the line has no such text.
    pub fn told(&self, field: &str) -> Result<&str, Trouble> {
        let what = || format!("its first line has no `{field}`");
        self.first[field].as_str().ok_or_else(|| self.unexpected(what()))
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// [`Trouble::Refused`] with the typed error where it says no.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        self.ask(method, params).map(|answer| answer.result)
    }

    /// Asks, waits for the answer, and says when it was sent and heard.
    ///
    /// # Errors
    /// As [`Self::rpc`].
    pub fn ask(&self, method: &str, params: Value) -> Result<Answer, Trouble> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        let sent_ns = self.say(&line)?;
        let what = format!("answer to {method}");
        let heard = self.wait(&what, ANSWER_WITHIN, |said| said.answers.remove(&id))?;
        match heard.value.get("result") {
            Some(result) => Ok(Answer { sent_ns, heard_ns: heard.at_ns, result: result.clone() }),
            None => Err(Trouble::Refused {
                name: self.name.clone(),
                method: method.to_owned(),
                refusal: Box::new(Refusal::read(&heard.value["error"])),
            }),
        }
    }

    /// Writes any bytes to its stdin, and says when.
    ///
    /// # Errors
    /// [`Trouble::Io`] when it does not read any more.
    pub fn say(&self, bytes: &[u8]) -> Result<u64, Trouble> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let sent_ns = monotonic_ns();
        let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let written = match stdin.as_mut() {
            Some(open) => open.write_all(bytes).and_then(|()| open.flush()),
            None => Err(closed()),
        };
        self.transcript.sent(sent_ns, bytes);
        let name = self.name.clone();
        written.map_err(|source| Trouble::Io { name, doing: "writing", source })?;
        Ok(sent_ns)
    }

    /// The end of all events so far: wait from here for what the next request brings about.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.inbox.said().events.len())
    }

    /// The first event since `from` that `fits`, come or still to come. `what` names it in the
    /// error.
    ///
    /// # Errors
    /// [`Trouble::Missing`] after `within`; [`Trouble::Ended`] as soon as none can come any more.
    pub fn wait_event(
        &self,
        from: Mark,
        within: Duration,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Heard, Trouble> {
        let mut next = from.0;
        self.wait(what, within, |said| {
            let found = said.events[next..].iter().find(|heard| fits(&heard.value)).cloned();
            next = said.events.len();
            found
        })
    }

    /// The call that changes to `state`, by an event since `from`.
    ///
    /// # Errors
    /// As [`Self::wait_event`].
    pub fn wait_call(&self, from: Mark, within: Duration, state: &str) -> Result<Value, Trouble> {
        let fits =
            |event: &Value| event["type"] == "callChanged" && event["call"]["state"] == state;
        let mut event = self.wait_event(from, within, &format!("call {state}"), fits)?;
        Ok(event.value["call"].take())
    }

    /// All events since `from`.
    #[must_use]
    pub fn events_since(&self, from: Mark) -> Vec<Heard> {
        self.inbox.said().events[from.0..].to_vec()
    }

    /// The next line that is neither event nor answer to a request with an id: a response to
    /// something unreadable, say. Each is given once.
    ///
    /// # Errors
    /// As [`Self::wait_event`].
    pub fn wait_stray(&self, within: Duration) -> Result<Heard, Trouble> {
        self.wait("stray line", within, |said| {
            (!said.strays.is_empty()).then(|| said.strays.remove(0))
        })
    }

    /// What of its stdout breaks the contract so far: numbers of events with gaps, lines over
    /// 1 MiB, lines that are no message.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        const LINE_MAX: usize = 1024 * 1024;
        let said = self.inbox.said();
        let mut breaches: Vec<String> = said
            .events
            .iter()
            .zip(1_u64..)
            .filter(|(event, wanted)| event.value["seq"].as_u64() != Some(*wanted))
            .map(|(event, wanted)| format!("event {wanted} has seq {}", event.value["seq"]))
            .take(1)
            .collect();
        if said.longest_line > LINE_MAX {
            breaches.push(format!("a line of {} bytes", said.longest_line));
        }
        breaches.extend(said.strays.iter().map(|stray| format!("a stray line: {}", stray.value)));
        breaches
    }

    /// Says goodbye by closing its stdin; gives back how it ended and how long it took.
    ///
    /// # Errors
    /// [`Trouble::Missing`] if it is still there after 3 s (INTERFACES 2).
    pub fn stop(&self) -> Result<(ExitStatus, Duration), Trouble> {
        let start = Instant::now();
        self.close_stdin();
        Ok((self.wait_exit(LEAVE_WITHIN)?, start.elapsed()))
    }

    /// Ends what it can read.
    pub fn close_stdin(&self) {
        self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Trouble::Missing`] after `within`.
    pub fn wait_exit(&self, within: Duration) -> Result<ExitStatus, Trouble> {
        self.wait("exit", within, |said| said.status)
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGSTOP: it stands still until [`Self::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Under the lock: while there is no status the process is not reaped, so the id is still its.
    fn signal(&self, signal: Signal) {
        let said = self.inbox.said();
        if said.status.is_none() {
            let _gone_already = kill_process(self.pid, signal);
        }
    }

    fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl FnMut(&mut super::inbox::Said) -> Option<T>,
    ) -> Result<T, Trouble> {
        let (name, what) = (self.name.clone(), what.to_owned());
        self.inbox.wait(within, look).map_err(|nothing| match nothing {
            Nothing::InTime => Trouble::Missing { name, what, within },
            Nothing::AnyMore(status) => Trouble::Ended { name, what, status },
        })
    }

    fn unexpected(&self, what: String) -> Trouble {
        Trouble::Unexpected { name: self.name.clone(), what }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if self.wait_exit(KILLED_WITHIN).is_ok() {
            self.threads.drain(..).for_each(|thread| drop(thread.join()));
        }
    }
}

fn read(stdout: ChildStdout, inbox: &Inbox, transcript: &Transcript) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let at_ns = monotonic_ns();
        inbox.hear(at_ns, &line);
        transcript.received(at_ns, &line);
        line.clear();
    }
    inbox.close();
}

/// Waits without reaping, then reaps under the lock that signals take too.
fn reap(mut child: Child, pid: Pid, inbox: &Inbox) {
    let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), dead).err() == Some(rustix::io::Errno::INTR) {}
    inbox.change(|said| said.status = child.wait().ok());
}

#[cfg(test)]
mod tests {
    use super::super::Scratch;
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// A shell script that plays an `earshotd`.
    fn script(text: &str) -> Launch {
        Launch::program("fake", "/bin/sh").args(["-c", text])
    }

    fn spawn(text: &str) -> (Scratch, Result<Daemon, Trouble>) {
        let scratch = Scratch::new("daemon").unwrap();
        let daemon = Daemon::spawn(&script(text), scratch.path());
        (scratch, daemon)
    }

    #[test]
    fn answers_events_and_strays_are_told_apart() {
        let (scratch, daemon) = spawn(
            r#"echo '{"ready":true,"role":"peer","listen":"127.0.0.1:1"}'; read line
            echo '{"jsonrpc":"2.0","id":1,"result":{"a":1}}'
            echo '{"jsonrpc":"2.0","method":"event","params":{"seq":1,"type":"x"}}'
            echo 'nonsense'; read line
            echo '{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"m","data":{"code":"c","facts":{"f":2},"retryAfterMs":3}}}'
            read line; exit 7"#,
        );
        let daemon = daemon.unwrap();
        assert_eq!(daemon.told("role").unwrap(), "peer");
        assert!(daemon.told("invite").is_err());
        let answer = daemon.ask("m", json!({})).unwrap();
        assert_eq!(answer.result["a"], 1);
        assert!(answer.sent_ns < answer.heard_ns);
        let event = daemon.wait_event(Mark(0), SOON, "x", |event| event["type"] == "x").unwrap();
        assert!(event.at_ns >= answer.heard_ns);
        assert_eq!(daemon.wait_stray(SOON).unwrap().value, "nonsense\n");
        let refused = daemon.rpc("m", json!({})).unwrap_err();
        let refusal = refused.refusal().unwrap();
        assert_eq!((refusal.number, refusal.code.as_str()), (-32_000, "c"));
        assert_eq!((&refusal.facts["f"], refusal.retry_after_ms), (&json!(2), Some(3)));
        assert_eq!(daemon.breaches(), Vec::<String>::new());
        assert_eq!(daemon.stop().unwrap().0.code(), Some(7));
        let transcript = std::fs::read_to_string(scratch.join("fake.rpc.jsonl")).unwrap();
        assert_eq!(transcript.lines().filter(|line| line.contains("\"sent\"")).count(), 2);
    }

    #[test]
    fn who_does_not_start_says_why() {
        let (_scratch, daemon) =
            spawn(r#"echo '{"ready":false,"error":{"code":"portInUse"}}'; exit 1"#);
        let Err(Trouble::NotReady { error, status, .. }) = daemon else { panic!("{daemon:?}") };
        assert_eq!(error["code"], "portInUse");
        assert_eq!(status.and_then(|status| status.code()), Some(1));
    }

    #[test]
    fn a_process_that_dies_ends_the_waiting_at_once() {
        let (_scratch, daemon) = spawn(r#"echo '{"ready":true}'; read line; exit 1"#);
        let daemon = daemon.unwrap();
        let start = Instant::now();
        assert!(matches!(daemon.rpc("m", json!({})), Err(Trouble::Ended { .. })));
        assert!(start.elapsed() < SOON);
    }

    #[test]
    fn gaps_and_strays_are_breaches() {
        let (_scratch, daemon) = spawn(
            r#"echo '{"ready":true}'
            echo '{"method":"event","params":{"seq":1}}'; echo '{"method":"event","params":{"seq":3}}'
            echo '{"id":null,"error":{}}'; read line"#,
        );
        let daemon = daemon.unwrap();
        daemon.wait("all", SOON, |said| (said.strays.len() == 1).then_some(())).unwrap();
        let breaches = daemon.breaches();
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(breaches[0].contains("seq 3"));
    }

    #[test]
    fn a_frozen_process_answers_once_it_is_thawed() {
        let (_scratch, daemon) =
            spawn(r#"echo '{"ready":true}'; read line; echo '{"id":1,"result":{}}'; read line"#);
        let daemon = daemon.unwrap();
        daemon.freeze();
        daemon.say(b"x\n").unwrap();
        let brief = Duration::from_millis(200);
        let answered = |daemon: &Daemon, within| {
            daemon.wait("answer", within, |said| said.answers.get(&1).map(|_| ())).is_ok()
        };
        assert!(!answered(&daemon, brief));
        daemon.thaw();
        assert!(answered(&daemon, SOON));
    }
}
