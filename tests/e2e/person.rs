//! Somebody at a desktop of their own, and what people do in the window.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use earshot_tests::harness::web_driver::SOON;
use earshot_tests::harness::{App, Desktop, Page, app_program};
use serde_json::{Value, json};

/// The same for everybody; long enough to be taken.
pub(crate) const PASSWORD: &str = "four unrelated words suffice";
/// Size of the window (LOOK, Layout).
const WINDOW: (u32, u32) = (1040, 720);
/// Between two looks at something outside the page.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Somebody at a desktop.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) desktop: Desktop,
    app: Option<App>,
    program: PathBuf,
    pictures: PathBuf,
    /// The same at every start: whoever was invited looks there.
    listen: String,
}

impl Person {
    pub(crate) fn new(name: &'static str) -> Self {
        let program =
            app_program().expect("EARSHOT_APP names the program to try: run `./x test e2e`");
        let desktop = Desktop::start(name).unwrap();
        let pictures = std::env::var_os("EARSHOT_PICTURES").map(PathBuf::from);
        let pictures = pictures.unwrap_or_else(|| desktop.home().to_owned());
        std::fs::create_dir_all(&pictures).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        Self { name, desktop, app: None, program, pictures, listen: free.to_string() }
    }

    /// Somebody whose app is open.
    pub(crate) fn at_the_app(name: &'static str) -> Self {
        let mut person = Self::new(name);
        person.open();
        person
    }

    /// Opens the app.
    pub(crate) fn open(&mut self) {
        let data = self.data().display().to_string();
        let usual = ["--data-dir", &data, "--listen", &self.listen, "--ice-loopback"];
        let usual = [&usual[..], &["--log", "info"]].concat();
        let opened = self.desktop.open(&self.program, &usual);
        self.app = Some(opened.unwrap_or_else(|why| panic!("{why}\n{}", self.desktop.log())));
        assert!(self.page().address().unwrap().starts_with("tauri://localhost"));
    }

    /// Starts the app without remote control.
    pub(crate) fn start(&self, arguments: &[&str]) -> Resident {
        let log = std::fs::File::create(self.desktop.home().join("app.log")).unwrap();
        let mut command = self.desktop.command(&self.program);
        command.arg("--data-dir").arg(self.data()).args(["--listen", &self.listen]);
        Resident(command.args(arguments).stderr(log).spawn().unwrap())
    }

    /// How many windows of this app there are.
    pub(crate) fn windows(&self) -> usize {
        self.window_processes().len()
    }

    /// Ends the window as a crash of the browser in it would, and waits until the resident knows.
    pub(crate) fn close_window(&self) {
        let noticed = || self.desktop.log().matches("The window broke").count();
        let before = noticed();
        for pid in self.window_processes() {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        self.until("the window is gone", || self.windows() == 0 && noticed() > before);
    }

    /// The processes of windows that keep their things in this person's home.
    fn window_processes(&self) -> Vec<i32> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let own = self.data().join("window").display().to_string();
        let is_ours = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            words.len() > 1 && words[0].ends_with(b"earshot-window") && words[1] == own.as_bytes()
        };
        all.filter(is_ours).collect()
    }

    /// Whether nobody runs on this data.
    pub(crate) fn has_left(&self) -> bool {
        let lock = std::fs::File::open(self.data().join("window/lock")).unwrap();
        lock.try_lock().is_ok()
    }

    /// Tells the app that runs, as the menu of its icon does.
    pub(crate) fn tell(&self, arguments: &[&str]) {
        let mut command = self.desktop.command(&self.program);
        let status = command.arg("--data-dir").arg(self.data()).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}: {status}");
    }

    /// Quits politely and waits until it is gone.
    pub(crate) fn quit(&mut self) {
        let begun = Instant::now();
        self.tell(&["--do", "quit"]);
        self.until("the app has left", || self.has_left());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(4), "leaving took {took:?}");
        self.app = None;
    }

    pub(crate) fn page(&self) -> &Page {
        &self.app.as_ref().expect("the app is open").page
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.desktop.home().join("data")
    }

    /// Waits for something outside the page.
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < SOON, "{}: {what}\n{}", self.name, self.desktop.log());
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    pub(crate) fn click(&self, role: &str, name: &str) {
        self.page().click(role, name).unwrap_or_else(|why| self.give_up(&why));
    }

    pub(crate) fn types(&self, field: &str, text: &str) {
        self.page().type_into(field, text).unwrap_or_else(|why| self.give_up(&why));
    }

    pub(crate) fn reads(&self, words: &str) {
        self.page().says(words).unwrap_or_else(|why| self.give_up(&why));
    }

    pub(crate) fn sees(&self, role: &str, name: &str) {
        self.page().find(role, name).map(drop).unwrap_or_else(|why| self.give_up(&why));
    }

    fn give_up(&self, why: &dyn std::fmt::Display) -> ! {
        self.photograph("where-it-stopped");
        panic!("{}: {why}\n{}", self.name, self.desktop.log())
    }

    /// Photographs the window, once nothing moves in it but what always does.
    pub(crate) fn photograph(&self, what: &str) {
        // A page that is broken is photographed too.
        let _ = self.page().wait("stillness", SOON, STILL, &[]);
        let file = self.pictures.join(format!("{}-{what}.png", self.name));
        self.desktop.photograph(WINDOW, &file).unwrap();
    }

    pub(crate) fn pictures(&self) -> &Path {
        &self.pictures
    }

    /// Begins a network, and tells its invite.
    pub(crate) fn start_network(&self, name: &str) -> String {
        self.click("card", &words("welcome.start.title", &[]));
        self.types(&words("start.name", &[]), name);
        self.click("button", &words("start.submit", &[]));
        let field = self.page().find("field", &words("invite.link", &[]));
        let invite = field.unwrap_or_else(|why| self.give_up(&why)).value().unwrap();
        self.photograph("network-started");
        self.click("button", &words("action.continue", &[]));
        invite
    }

    pub(crate) fn join_network(&self, invite: &str) {
        self.click("card", &words("welcome.join.title", &[]));
        self.types(&words("join.invite", &[]), invite);
        self.click("button", &words("join.submit", &[]));
    }

    /// Makes an account, and keeps the recovery key.
    pub(crate) fn sign_up(&self, shown: &str) {
        self.types(&words("signup.user", &[]), self.name);
        self.types(&words("signup.displayName", &[]), shown);
        self.types(&words("signup.password", &[]), PASSWORD);
        self.photograph("sign-up");
        self.click("button", &words("signup.submit", &[]));
        self.reads(&words("recovery.title", &[]));
        self.photograph("recovery-key");
        self.click("box", &words("recovery.kept", &[]));
        self.click("button", &words("recovery.done", &[]));
    }

    /// Logs in again: the name is remembered.
    pub(crate) fn log_in(&self) {
        let field = self.page().find("field", &words("signup.user", &[]));
        let name = field.unwrap_or_else(|why| self.give_up(&why)).value().unwrap();
        assert_eq!(name, self.name);
        self.types(&words("signup.password", &[]), PASSWORD);
        self.click("button", &words("login.submit", &[]));
    }

    /// Finds somebody by name and asks to be a buddy.
    pub(crate) fn ask_to_add(&self, user: &str) {
        self.types(&words("search.label", &[]), user);
        self.click("option", &words("search.ask", &[("name", user)]));
        let there = format!("{user} · {}", words("presence.online", &[]));
        self.reads(&there);
        self.photograph("found");
        self.page()
            .wait("the one who was found", SOON, CHOOSE, &[json!(there)])
            .unwrap_or_else(|why| self.give_up(&why));
        self.click("button", &words("found.add", &[]));
    }

    /// Opens the conversation with somebody on the list.
    pub(crate) fn choose(&self, name: &str) {
        self.page()
            .wait(&format!("{name} on the list"), SOON, CHOOSE, &[json!(name)])
            .unwrap_or_else(|why| self.give_up(&why));
    }

    pub(crate) fn write(&self, to: &str, text: &str) {
        let field = words("chat.write", &[("name", to)]);
        self.types(&field, text);
        self.click("button", &words("chat.send", &[]));
    }

    /// The call that is not over, or null.
    pub(crate) fn call(&self) -> Value {
        self.state()["calls"][0].clone()
    }

    /// What the node says, asked as the page asks it.
    pub(crate) fn state(&self) -> Value {
        self.invoke("state_get", &json!({}))
    }

    /// What was measured of the call in the last second.
    pub(crate) fn call_stats(&self) -> Value {
        self.invoke("call_stats", &json!({ "callId": self.call()["id"] }))
    }

    fn invoke(&self, command: &str, params: &Value) -> Value {
        const ASK: &str = "delete window.earshotTold;
            window.__TAURI_INTERNALS__.invoke(arguments[0], arguments[1]).then(
                (told) => (window.earshotTold = told));
            return true";
        self.page().run(ASK, &[json!(command), params.clone()]).unwrap();
        self.page().wait(command, SOON, "return window.earshotTold ?? null", &[]).unwrap()
    }
}

/// An app without remote control. Dropping it kills it.
pub(crate) struct Resident(Child);

impl Resident {
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
    }
}

/// Whether all animations that end have ended, and what they led to is painted.
const STILL: &str = r#"
const ends = (a) => a.effect?.getComputedTiming().iterations !== Infinity;
const moves = document.getAnimations().some((a) => a.playState === "running" && ends(a));
if (moves) window.earshotStill = 0;
else requestAnimationFrame(() => (window.earshotStill = (window.earshotStill ?? 0) + 1));
return (window.earshotStill ?? 0) > 2 && ((window.earshotStill = 0), true);
"#;

/// Clicks the option that says this.
const CHOOSE: &str = r#"
const plain = (text) => text.replace(/[\u2066-\u2069]/g, "").replace(/\s+/g, " ").trim();
const option = [...document.querySelectorAll("[role=option]")]
  .find((o) => [o.textContent, o.innerText].some((text) => plain(text).includes(arguments[0])));
option?.click();
return !!option;
"#;

/// What the window says in English, from its own catalogue.
pub(crate) fn words(key: &str, facts: &[(&str, &str)]) -> String {
    const CATALOGUE: &str = include_str!("../../ui/src/i18n/en.json");
    let catalogue: Value = serde_json::from_str(CATALOGUE).unwrap();
    let text = catalogue[key].as_str().unwrap_or_else(|| panic!("the catalogue has no `{key}`"));
    facts
        .iter()
        .fold(text.to_owned(), |text, (name, fact)| text.replace(&format!("{{{name}}}"), fact))
}
