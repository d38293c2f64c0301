//! Notices on the desktop, by the freedesktop notification service on the session bus.
//!
//! Source: Desktop Notifications Specification 1.3. A thread of its own talks to the service, which
//! may take its time. Invariants: one notice a key is shown, and replaced; text is never markup; a
//! system without the service has no notices, and nothing waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::Value;

use crate::desk::{Input, Key, Kind, Notice, Pressed, Surroundings};

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The name of our `.desktop` file.
const DESKTOP_ENTRY: &str = "org.earshot.Earshot";
/// Notices that wait for the service; more are not shown.
const WAITING_MAX: usize = 64;
/// Characters of a text that are shown. Our choice: more than any desktop shows.
const TEXT_MAX: usize = 200;
/// The action that means the notice itself.
const ITSELF: &str = "default";
const ANSWER: &str = "answer";
const DECLINE: &str = "decline";

/// Urgency levels of the specification.
const NORMAL: u8 = 1;
const CRITICAL: u8 = 2;
/// How long it stays, in milliseconds.
const AS_USUAL: i32 = -1;
const UNTIL_ANSWERED: i32 = 0;

/// Where notices are put.
#[derive(Debug)]
pub struct Notices(SyncSender<Order>);

enum Order {
    Show(Key, Notice),
    Withdraw(Key),
}

/// The notices that are shown, by their number with the service.
type Shown = Arc<Mutex<BTreeMap<u32, Key>>>;

impl Notices {
    /// Begins; what is pressed, and whether there can be buttons, goes to the desk.
    #[must_use]
    pub fn begin(desk: SyncSender<Input>) -> Self {
        let (sender, orders) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || match Service::find(&desk) {
            Ok(service) => service.serve(orders),
            Err(error) => tracing::info!(%error, "No notices can be shown"),
        });
        Self(sender)
    }

    /// Shows a notice in the place of the one of the same key.
    pub fn show(&self, key: Key, notice: Notice) {
        // Without a service, or with one that does not answer, nothing is shown.
        let _ = self.0.try_send(Order::Show(key, notice));
    }

    /// Takes it back.
    pub fn withdraw(&self, key: Key) {
        let _ = self.0.try_send(Order::Withdraw(key));
    }
}

struct Service {
    proxy: Proxy<'static>,
    shown: Shown,
    abilities: Vec<String>,
}

impl Service {
    fn find(desk: &SyncSender<Input>) -> zbus::Result<Self> {
        let connection = Connection::session()?;
        let proxy = Proxy::new(&connection, SERVICE, PATH, SERVICE)?;
        let abilities: Vec<String> = proxy.call("GetCapabilities", &())?;
        let buttons = abilities.iter().any(|ability| ability == "actions");
        let _gone_with_the_desk = desk.send(Input::Has(Surroundings::Buttons(buttons)));
        let shown = Shown::default();
        hear(&proxy, Arc::clone(&shown), desk.clone())?;
        Ok(Self { proxy, shown, abilities })
    }

    fn serve(self, orders: Receiver<Order>) {
        for order in orders {
            let done = match order {
                Order::Show(key, notice) => self.show(key, &notice),
                Order::Withdraw(key) => self.withdraw(&key),
            };
            if let Err(error) = done {
                tracing::info!(%error, "The notification service refuses");
            }
        }
    }

    fn show(&self, key: Key, notice: &Notice) -> zbus::Result<()> {
        let replaced = self.number(&key).unwrap_or(0);
        let (urgency, timeout, category) = match notice.kind {
            Kind::Ringing { .. } => (CRITICAL, UNTIL_ANSWERED, "call.incoming"),
            Kind::Missed => (NORMAL, AS_USUAL, "call.unanswered"),
            Kind::Message => (NORMAL, AS_USUAL, "im.received"),
            Kind::Other => (NORMAL, AS_USUAL, "im"),
        };
        let mut actions = vec![];
        if self.can("actions") {
            actions.extend([ITSELF, ""]);
            if let Kind::Ringing { answer, decline } = notice.kind {
                actions.extend([ANSWER, answer, DECLINE, decline]);
            }
        }
        // The ring is ours, and comes from the speaker that was chosen for it.
        let hints: HashMap<&str, Value<'_>> = [
            ("urgency", Value::from(urgency)),
            ("category", Value::from(category)),
            ("desktop-entry", Value::from(DESKTOP_ENTRY)),
            ("suppress-sound", Value::from(true)),
        ]
        .into();
        let (title, body) = (cut(&notice.title), self.body(&notice.body));
        let told = ("Earshot", replaced, DESKTOP_ENTRY, title, body, actions, hints, timeout);
        // Who presses it before we know its number is heard once we do.
        let mut shown = lock(&self.shown);
        let number: u32 = self.proxy.call("Notify", &told)?;
        shown.retain(|_, shown| *shown != key);
        shown.insert(number, key);
        Ok(())
    }

    fn withdraw(&self, key: &Key) -> zbus::Result<()> {
        let Some(number) = self.number(key) else { return Ok(()) };
        lock(&self.shown).remove(&number);
        self.proxy.call("CloseNotification", &(number,))
    }

    fn number(&self, key: &Key) -> Option<u32> {
        lock(&self.shown).iter().find(|(_, shown)| *shown == key).map(|(number, _)| *number)
    }

    fn can(&self, what: &str) -> bool {
        self.abilities.iter().any(|ability| ability == what)
    }

    fn body(&self, text: &str) -> String {
        let text = cut(text);
        if !self.can("body-markup") {
            return text;
        }
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

/// Follows what becomes of the notices. One that was pressed or closed is shown no more.
fn hear(proxy: &Proxy<'static>, shown: Shown, desk: SyncSender<Input>) -> zbus::Result<()> {
    let signals = proxy.receive_all_signals()?;
    std::thread::spawn(move || {
        for message in signals {
            let (header, body) = (message.header(), message.body());
            let told = match header.member().map(|member| member.as_str()) {
                Some("ActionInvoked") => body.deserialize::<(u32, String)>().ok(),
                Some("NotificationClosed") => {
                    if let Ok((number, _reason)) = body.deserialize::<(u32, u32)>() {
                        lock(&shown).remove(&number);
                    }
                    None
                }
                Some(_) | None => None,
            };
            let Some((number, action)) = told else { continue };
            let Some(key) = lock(&shown).remove(&number) else { continue };
            let pressed = match action.as_str() {
                ANSWER => Pressed::Answer,
                DECLINE => Pressed::Decline,
                _ => Pressed::Itself,
            };
            if desk.send(Input::Press(key, pressed)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// A panic in one holder leaves a whole table behind.
fn lock(shown: &Shown) -> MutexGuard<'_, BTreeMap<u32, Key>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}
