//! The tray: a mark that says how things stand, and a menu that holds all that can be done.
//!
//! Source: StatusNotifierItem, by ksni. A system without a tray is told of to the desk.

use std::sync::mpsc::SyncSender;

use earshot_node::api::session::OwnPresence;
use ksni::blocking::{Handle, TrayMethods};
use ksni::menu::{RadioGroup, RadioItem, StandardItem, SubMenu};
use ksni::{Category, MenuItem, OfflineReason, Status, ToolTip};

use crate::desk::{Action, InCall, Input, Standing, Surroundings};
use crate::mark;
use crate::words::with;

/// Our name among the icons.
const ID: &str = "org.earshot.Earshot";
/// What can be shown of oneself, in the order of the menu.
const PRESENCES: [OwnPresence; 4] =
    [OwnPresence::Online, OwnPresence::Away, OwnPresence::DoNotDisturb, OwnPresence::Invisible];

/// The tray icon, if the desktop has trays.
pub struct Tray(Option<Handle<Icon>>);

struct Icon {
    standing: Standing,
    desk: SyncSender<Input>,
}

impl Tray {
    /// Shows an icon; what is chosen goes to the desk.
    #[must_use]
    pub fn begin(standing: Standing, desk: SyncSender<Input>) -> Self {
        let _room_at_the_beginning = desk.try_send(Input::Has(Surroundings::Tray(true)));
        let icon = Icon { standing, desk: desk.clone() };
        let shown = icon.assume_sni_available(true).spawn().inspect_err(|error| {
            tracing::info!(%error, "There is no tray");
            let _room_at_the_beginning = desk.try_send(Input::Has(Surroundings::Tray(false)));
        });
        Self(shown.ok())
    }

    /// Shows how things stand now.
    pub fn show(&self, standing: &Standing) {
        if let Some(handle) = &self.0 {
            let _gone_with_the_bus = handle.update(|icon| icon.standing = standing.clone());
        }
    }
}

impl std::fmt::Debug for Tray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tray({})", if self.0.is_some() { "shown" } else { "none" })
    }
}

impl Icon {
    /// Called while the icon is locked, for whose update the desk may be waiting: so never waits.
    fn act(&self, action: Action) {
        let _one_click_among_many = self.desk.try_send(Input::Act(action));
    }

    fn state(&self) -> &'static str {
        let words = self.standing.words;
        match (self.standing.presence, self.standing.linked) {
            (None, _) => words.logged_out,
            (Some(_), false) => words.offline,
            (Some(presence), true) => name(words, presence),
        }
    }
}

impl ksni::Tray for Icon {
    fn id(&self) -> String {
        ID.into()
    }

    fn title(&self) -> String {
        "Earshot".into()
    }

    fn category(&self) -> Category {
        Category::Communications
    }

    fn status(&self) -> Status {
        match (&self.standing.call, self.standing.unread) {
            (Some(InCall::Ringing { .. }), _) => Status::NeedsAttention,
            (Some(InCall::Current { .. }) | None, _) => Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        let colour = match (self.standing.presence, self.standing.linked) {
            (Some(_), true) => mark::HERE,
            (Some(_), false) | (None, _) => mark::GONE,
        };
        let sides = [22, 32, 48];
        let icon = |side: u16| ksni::Icon {
            width: side.into(),
            height: side.into(),
            data: mark::argb(side, colour, self.standing.unread > 0),
        };
        sides.map(icon).into()
    }

    fn tool_tip(&self) -> ToolTip {
        let words = self.standing.words;
        let mut lines = vec![self.state().to_owned()];
        lines.extend(self.standing.call.as_ref().map(|call| match call {
            InCall::Ringing { name } => with(words.calls, name),
            InCall::Current { name, .. } => with(words.in_call, name),
        }));
        if self.standing.unread > 0 {
            lines.push(with(words.unread, &self.standing.unread.to_string()));
        }
        ToolTip { title: "Earshot".into(), description: lines.join("\n"), ..ToolTip::default() }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        self.act(Action::Open);
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let words = self.standing.words;
        let mut menu = vec![item(words.open, Action::Open), MenuItem::Separator];
        match &self.standing.call {
            Some(InCall::Ringing { name }) => menu.extend([
                says(with(words.calls, name)),
                item(words.answer, Action::Answer),
                item(words.decline, Action::Decline),
                MenuItem::Separator,
            ]),
            Some(InCall::Current { name, muted }) => menu.extend([
                says(with(words.in_call, name)),
                if *muted {
                    item(words.unmute, Action::Unmute)
                } else {
                    item(words.mute, Action::Mute)
                },
                item(words.hang_up, Action::HangUp),
                MenuItem::Separator,
            ]),
            None => {}
        }
        if let Some(presence) = self.standing.presence {
            menu.extend([presences(words, presence), MenuItem::Separator]);
        }
        menu.push(item(words.quit, Action::Quit));
        menu
    }

    fn watcher_online(&self) {
        let _told_again_by_the_next = self.desk.try_send(Input::Has(Surroundings::Tray(true)));
    }

    fn watcher_offline(&self, _reason: OfflineReason) -> bool {
        let _told_again_by_the_next = self.desk.try_send(Input::Has(Surroundings::Tray(false)));
        // It is shown as soon as there is a tray.
        true
    }
}

const fn name(words: &crate::words::Words, presence: OwnPresence) -> &'static str {
    match presence {
        OwnPresence::Online => words.online,
        OwnPresence::Away => words.away,
        OwnPresence::DoNotDisturb => words.do_not_disturb,
        OwnPresence::Invisible => words.invisible,
    }
}

fn presences(words: &'static crate::words::Words, shown: OwnPresence) -> MenuItem<Icon> {
    let option =
        |presence| RadioItem { label: name(words, presence).into(), ..RadioItem::default() };
    let group = RadioGroup {
        selected: PRESENCES.iter().position(|presence| *presence == shown).unwrap_or(0),
        select: Box::new(|icon: &mut Icon, chosen| {
            if let Some(presence) = PRESENCES.get(chosen) {
                icon.act(Action::Presence(*presence));
            }
        }),
        options: PRESENCES.map(option).into(),
    };
    let label = words.presence.into();
    SubMenu { label, submenu: vec![group.into()], ..SubMenu::default() }.into()
}

fn item(label: &str, action: Action) -> MenuItem<Icon> {
    let activate = Box::new(move |icon: &mut Icon| icon.act(action));
    StandardItem { label: plain(label), activate, ..StandardItem::default() }.into()
}

/// A line that cannot be chosen.
fn says(label: String) -> MenuItem<Icon> {
    StandardItem { label: plain(&label), enabled: false, ..StandardItem::default() }.into()
}

/// In a menu's label one underscore marks the next letter as its key.
fn plain(label: &str) -> String {
    label.replace('_', "__")
}
