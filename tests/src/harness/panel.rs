//! What a desktop environment has around the windows: a service that shows notices, and a panel
//! with a tray. On a session bus of a test's own; what is shown can be looked at and pressed.
//!
//! Source: Desktop Notifications Specification 1.3, StatusNotifierItem, com.canonical.dbusmenu.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zbus::blocking::connection::Builder;
use zbus::blocking::{Connection, Proxy};
use zbus::interface;
use zbus::zvariant::{OwnedValue, Structure, Value};

const NOTICES: &str = "org.freedesktop.Notifications";
const NOTICES_PATH: &str = "/org/freedesktop/Notifications";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";
const ITEM: &str = "org.kde.StatusNotifierItem";
const ITEM_PATH: &str = "/StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";
const MENU_PATH: &str = "/MenuBar";

/// A notice that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownNotice {
    /// Its number.
    pub id: u32,
    /// Its first line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// The names of its actions, without their words.
    pub actions: Vec<String>,
}

/// The services.
#[derive(Debug)]
pub struct Panel {
    connection: Connection,
    shown: Arc<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    notices: Vec<ShownNotice>,
    last: u32,
    item: Option<String>,
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, how: impl FnOnce(&mut Now)) {
        how(&mut self.lock());
        self.changed.notify_all();
    }
}

impl Panel {
    /// Takes the names of both services on a bus.
    ///
    /// # Errors
    /// What the bus says.
    pub fn on(bus: &str) -> zbus::Result<Self> {
        let shown = Arc::new(Shown::default());
        let connection = Builder::address(bus)?
            .serve_at(NOTICES_PATH, Notices(Arc::clone(&shown)))?
            .serve_at(WATCHER_PATH, Watcher(Arc::clone(&shown)))?
            .name(NOTICES)?
            .name(WATCHER)?
            .build()?;
        Ok(Self { connection, shown })
    }

    /// Waits for a notice that fits.
    #[must_use]
    pub fn notice(
        &self,
        within: Duration,
        fits: impl Fn(&ShownNotice) -> bool,
    ) -> Option<ShownNotice> {
        self.wait(within, |now| now.notices.iter().find(|notice| fits(notice)).cloned())
    }

    /// Waits until no notice fits.
    #[must_use]
    pub fn none(&self, within: Duration, fits: impl Fn(&ShownNotice) -> bool) -> bool {
        let gone = |now: &Now| (!now.notices.iter().any(&fits)).then_some(());
        self.wait(within, gone).is_some()
    }

    /// Presses a button of a notice, which is gone then.
    ///
    /// # Errors
    /// What the bus says.
    pub fn press(&self, notice: &ShownNotice, action: &str) -> zbus::Result<()> {
        self.shown.change(|now| now.notices.retain(|shown| shown.id != notice.id));
        let told = (notice.id, action);
        self.connection.emit_signal(None::<()>, NOTICES_PATH, NOTICES, "ActionInvoked", &told)
    }

    /// Waits for the icon in the tray.
    #[must_use]
    pub fn has_icon(&self, within: Duration) -> bool {
        self.wait(within, |now| now.item.clone()).is_some()
    }

    /// Clicks the icon.
    ///
    /// # Errors
    /// What the bus says.
    pub fn click_icon(&self) -> zbus::Result<()> {
        self.proxy(ITEM_PATH, ITEM)?.call("Activate", &(0, 0))
    }

    /// What the icon says when one points at it.
    ///
    /// # Errors
    /// What the bus says.
    pub fn tool_tip(&self) -> zbus::Result<String> {
        type Pixmaps = Vec<(i32, i32, Vec<u8>)>;
        let tip: OwnedValue = self.proxy(ITEM_PATH, ITEM)?.get_property("ToolTip")?;
        let (_, _, title, text): (String, Pixmaps, String, String) = tip.try_into()?;
        Ok(format!("{title}\n{text}"))
    }

    /// The words of the menu, with their numbers, those below others included.
    ///
    /// # Errors
    /// What the bus says.
    pub fn menu(&self) -> zbus::Result<Vec<(i32, String)>> {
        type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);
        let menu = self.proxy(MENU_PATH, MENU)?;
        let none: [&str; 0] = [];
        let (_, root): (u32, Layout) = menu.call("GetLayout", &(0, -1, &none[..]))?;
        let mut words = Vec::new();
        let mut next = root.2;
        while let Some(entry) = next.pop() {
            let (id, facts, below) = read_entry(entry)?;
            words.extend(facts.map(|label| (id, label)));
            next.extend(below);
        }
        Ok(words)
    }

    /// Waits for a word in the menu and chooses it.
    ///
    /// # Errors
    /// What the bus says, or that it is not there.
    pub fn choose(&self, word: &str, within: Duration) -> zbus::Result<()> {
        let begun = std::time::Instant::now();
        loop {
            let menu = self.menu()?;
            if let Some((id, _)) = menu.iter().find(|(_, label)| label == word) {
                let event = (*id, "clicked", Value::from(0), 0_u32);
                return self.proxy(MENU_PATH, MENU)?.call("Event", &event);
            }
            if begun.elapsed() > within {
                return Err(zbus::Error::Failure(format!("no `{word}` in {menu:?}")));
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn proxy(&self, path: &'static str, interface: &'static str) -> zbus::Result<Proxy<'static>> {
        let item = self.shown.lock().item.clone();
        let item = item.ok_or_else(|| zbus::Error::Failure("there is no icon".into()))?;
        Proxy::new(&self.connection, item, path, interface)
    }

    fn wait<T>(&self, within: Duration, look: impl Fn(&Now) -> Option<T>) -> Option<T> {
        let waiting = |now: &mut Now| look(now).is_none();
        let waited = self.shown.changed.wait_timeout_while(self.shown.lock(), within, waiting);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        look(&now)
    }
}

/// An entry of a menu: its number, its label, what lies below it.
fn read_entry(entry: OwnedValue) -> zbus::Result<(i32, Option<String>, Vec<OwnedValue>)> {
    let parts = Structure::try_from(entry)?.into_fields();
    let [id, facts, below] = <[Value<'_>; 3]>::try_from(parts)
        .map_err(|_| zbus::Error::Failure("an entry has three parts".into()))?;
    let facts: HashMap<String, OwnedValue> = facts.try_into()?;
    let label = facts.get("label").and_then(|label| String::try_from(label.clone()).ok());
    Ok((i32::try_from(&id)?, label, below.try_into()?))
}

struct Notices(Arc<Shown>);

#[interface(name = "org.freedesktop.Notifications")]
impl Notices {
    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).into()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ["panel", "tests", "1", "1.2"].map(str::to_owned).into()
    }

    #[expect(clippy::too_many_arguments, reason = "the specification has eight")]
    fn notify(
        &self,
        _app: String,
        replaces: u32,
        _icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        let actions = actions.into_iter().step_by(2).collect();
        let mut id = replaces;
        self.0.change(|now| {
            if id == 0 {
                now.last += 1;
                id = now.last;
            }
            now.notices.retain(|shown| shown.id != id);
            now.notices.push(ShownNotice { id, title, body, actions });
        });
        id
    }

    fn close_notification(&self, id: u32) {
        self.0.change(|now| now.notices.retain(|shown| shown.id != id));
    }
}

struct Watcher(Arc<Shown>);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        self.0.change(|now| now.item = Some(service));
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.0.lock().item.iter().cloned().collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}
