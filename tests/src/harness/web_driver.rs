//! A browser's remote control, as far as a person needs hands and eyes: find, click, type, read.
//!
//! Source: W3C WebDriver, spoken by WebKitWebDriver. Invariants: things are found as people find
//! them, by role and name; every wait is for a condition, with a deadline.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For whatever the page does by itself, on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
/// An answer of the driver: starting the program is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at a page.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// The name of an element in the protocol (WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The last that can be seen and has the role and the name, or that at least says it.
const FIND: &str = r#"
const [role, name, whole] = arguments;
const kinds = {
  button: "button, [role=button]", card: "button", field: "input, textarea", link: "a[href]",
  option: "[role=option]", tab: "[role=tab], [role=radio], button[aria-pressed]",
  heading: "h1, h2, h3, [role=heading]", alert: "[role=alert], [role=alertdialog]",
  box: "input[type=checkbox], [role=switch], [role=checkbox]", item: "[role=menuitem]",
  any: "body *",
};
const spoken = (e) =>
  (e.getAttribute("aria-label")
    ?? [...(e.labels ?? [])].map((l) => l.textContent).join(" ")
    ?? "") || e.textContent || "";
const plain = (text) => text.replace(/[\u2066-\u2069\u200e\u200f]/g, "").replace(/\s+/g, " ").trim();
const seen = (e) => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && getComputedStyle(e).visibility !== "hidden";
};
const found = [...document.querySelectorAll(kinds[role])].filter((e) => {
  const text = plain(spoken(e));
  return (whole ? text === name : text.includes(name)) && seen(e);
});
return found.at(-1) ?? null;
"#;

/// Why the page could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PageTrouble {
    /// The driver cannot be spoken with.
    #[error("the driver: {0}")]
    Io(#[from] std::io::Error),
    /// It refuses.
    #[error("the driver refuses: {0}")]
    Refused(String),
    /// What was waited for did not come.
    #[error("not seen within {within:?}: {what}. The page says: {page}")]
    Missing {
        /// What it was.
        what: String,
        /// How long was waited.
        within: Duration,
        /// What the page says instead.
        page: String,
    },
}

type Result<T> = std::result::Result<T, PageTrouble>;

/// A page under remote control.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    session: String,
}

impl Page {
    /// Has the driver at `port` start `program`, and waits for its page.
    ///
    /// # Errors
    /// What the driver says.
    pub fn open(port: u16, program: &Path, arguments: &[String]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let options = json!({ "binary": program, "args": arguments });
        let wanted = json!({ "alwaysMatch": { "webkitgtk:browserOptions": options } });
        let answer = ask(address, "POST", "/session", &json!({ "capabilities": wanted }))?;
        let session = answer["sessionId"].as_str().ok_or_else(|| refused(&answer))?.to_owned();
        Ok(Self { address, session })
    }

    /// Runs a function's body in the page.
    ///
    /// # Errors
    /// What the driver says.
    pub fn run(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// Waits until a function's body answers something that is no `null` and not `false`.
    ///
    /// # Errors
    /// [`PageTrouble::Missing`] after `within`.
    pub fn wait(
        &self,
        what: &str,
        within: Duration,
        body: &str,
        arguments: &[Value],
    ) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let found = self.run(body, arguments)?;
            if found != Value::Null && found != false {
                return Ok(found);
            }
            if begun.elapsed() > within {
                let page = self.text().unwrap_or_default();
                return Err(PageTrouble::Missing { what: what.to_owned(), within, page });
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Waits for what has this role and name.
    ///
    /// # Errors
    /// [`PageTrouble::Missing`] after [`SOON`].
    pub fn find(&self, role: &str, name: &str) -> Result<Element<'_>> {
        self.find_within(role, name, SOON)
    }

    /// Waits for what has this role and name, so long.
    ///
    /// # Errors
    /// [`PageTrouble::Missing`] after that.
    pub fn find_within(&self, role: &str, name: &str, within: Duration) -> Result<Element<'_>> {
        let whole = !matches!(role, "any" | "card");
        let arguments = [json!(role), json!(name), json!(whole)];
        let what = format!("{role} “{name}”");
        let found = self.wait(&what, within, FIND, &arguments)?;
        let id = found[ELEMENT].as_str().ok_or_else(|| refused(&found))?;
        Ok(Element { page: self, id: id.to_owned() })
    }

    /// Waits for any words on the page.
    ///
    /// # Errors
    /// [`PageTrouble::Missing`] after [`SOON`].
    pub fn says(&self, words: &str) -> Result<()> {
        self.find("any", words).map(drop)
    }

    /// Clicks what has this role and name, as soon as it is there.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn click(&self, role: &str, name: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            // What moved away or is still covered is clicked at the next look.
            match self.find(role, name)?.click() {
                Err(PageTrouble::Refused(_)) if begun.elapsed() < SOON => {
                    std::thread::park_timeout(LOOK_AGAIN);
                }
                done => return done,
            }
        }
    }

    /// Types into the field of this name.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn type_into(&self, name: &str, text: &str) -> Result<()> {
        self.find("field", name)?.send_keys(text)
    }

    /// All that the page says.
    ///
    /// # Errors
    /// What the driver says.
    pub fn text(&self) -> Result<String> {
        let text = self.run("return document.body.innerText", &[])?;
        Ok(text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Where the page is.
    ///
    /// # Errors
    /// What the driver says.
    pub fn address(&self) -> Result<String> {
        let told = self.ask("GET", "url", &Value::Null)?;
        told.as_str().map(str::to_owned).ok_or_else(|| refused(&told))
    }

    /// Ends the session, and with it the program.
    pub fn end(&self) {
        // It may have ended by itself.
        let _ = ask(self.address, "DELETE", &format!("/session/{}", self.session), &Value::Null);
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        self.ask("POST", what, body)
    }

    fn ask(&self, method: &str, what: &str, body: &Value) -> Result<Value> {
        ask(self.address, method, &format!("/session/{}/{what}", self.session), body)
    }
}

/// Something on a page.
#[derive(Debug)]
pub struct Element<'a> {
    page: &'a Page,
    id: String,
}

impl Element<'_> {
    /// Clicks it in its middle, if nothing covers it.
    ///
    /// # Errors
    /// What the driver says.
    pub fn click(&self) -> Result<()> {
        self.page.post(&format!("element/{}/click", self.id), &json!({})).map(drop)
    }

    /// Types into it.
    ///
    /// # Errors
    /// What the driver says.
    pub fn send_keys(&self, text: &str) -> Result<()> {
        self.page.post(&format!("element/{}/value", self.id), &json!({ "text": text })).map(drop)
    }

    /// What a field holds.
    ///
    /// # Errors
    /// What the driver says.
    pub fn value(&self) -> Result<String> {
        let element = json!({ ELEMENT: self.id });
        let value = self.page.run("return arguments[0].value", &[element])?;
        value.as_str().map(str::to_owned).ok_or_else(|| refused(&value))
    }
}

/// One question over one connection (RFC 9112).
fn ask(address: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| {
        PageTrouble::Refused(format!("{method} {path}: the answer is no HTTP: {text}"))
    })?;
    let told: Value = serde_json::from_str(body).map_err(|_| {
        PageTrouble::Refused(format!("{method} {path}: the answer is no JSON: {text}"))
    })?;
    let granted = head.split(' ').nth(1) == Some("200");
    if granted { Ok(told["value"].clone()) } else { Err(refused(&told["value"])) }
}

fn refused(told: &Value) -> PageTrouble {
    PageTrouble::Refused(told.to_string())
}
