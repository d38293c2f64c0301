//! What the tray, the notifications and the terminal say, in each language of the window.
//!
//! A language is a table of all phrases, so that none can be missing. In a phrase `{}` is the name
//! of a person, as it is, or a number.

use earshot_node::api::settings::Language;

/// All phrases in one language.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// Opens the window.
    pub open: &'static str,
    /// Ends the program.
    pub quit: &'static str,
    /// What one shows of oneself, before the choice.
    pub presence: &'static str,
    /// There.
    pub online: &'static str,
    /// Not at the desk.
    pub away: &'static str,
    /// Not to be disturbed.
    pub do_not_disturb: &'static str,
    /// Shown as offline.
    pub invisible: &'static str,
    /// No link to the network.
    pub offline: &'static str,
    /// Nobody is logged in.
    pub logged_out: &'static str,
    /// Takes a call.
    pub answer: &'static str,
    /// Does not take a call.
    pub decline: &'static str,
    /// Stops sending one's voice.
    pub mute: &'static str,
    /// Sends it again.
    pub unmute: &'static str,
    /// Ends a call.
    pub hang_up: &'static str,
    /// Somebody calls.
    pub calls: &'static str,
    /// In a call with somebody.
    pub in_call: &'static str,
    /// Somebody called in vain.
    pub missed: &'static str,
    /// A message whose text is not shown.
    pub new_message: &'static str,
    /// Somebody asks to be a buddy.
    pub asks: &'static str,
    /// How many messages were not read.
    pub unread: &'static str,
    /// The program goes on without its window.
    pub stays: &'static str,
    /// How to get back to it by the tray.
    pub stays_in_tray: &'static str,
    /// How to get back to it where there is no tray.
    pub stays_unseen: &'static str,
}

const ENGLISH: Words = Words {
    open: "Open Earshot",
    quit: "Quit",
    presence: "I am",
    online: "Online",
    away: "Away",
    do_not_disturb: "Do not disturb",
    invisible: "Invisible",
    offline: "Not connected",
    logged_out: "Not logged in",
    answer: "Answer",
    decline: "Decline",
    mute: "Mute microphone",
    unmute: "Unmute microphone",
    hang_up: "Hang up",
    calls: "{} is calling",
    in_call: "In a call with {}",
    missed: "Missed call from {}",
    new_message: "New message",
    asks: "{} wants to add you",
    unread: "Unread messages: {}",
    stays: "Earshot keeps running",
    stays_in_tray: "Calls and messages still reach you. Its icon is in the tray; quit it there.",
    stays_unseen: "Calls and messages still reach you. Start Earshot again to see its window.",
};

const FINNISH: Words = Words {
    open: "Avaa Earshot",
    quit: "Lopeta",
    presence: "Tilani",
    online: "Paikalla",
    away: "Poissa",
    do_not_disturb: "Älä häiritse",
    invisible: "Näkymätön",
    offline: "Ei yhteyttä",
    logged_out: "Et ole kirjautunut",
    answer: "Vastaa",
    decline: "Hylkää",
    mute: "Mykistä mikrofoni",
    unmute: "Poista mykistys",
    hang_up: "Lopeta puhelu",
    calls: "{} soittaa",
    in_call: "Puhelussa: {}",
    missed: "Vastaamaton puhelu: {}",
    new_message: "Uusi viesti",
    asks: "{} haluaa lisätä sinut",
    unread: "Lukemattomia viestejä: {}",
    stays: "Earshot jää päälle",
    stays_in_tray: "Puhelut ja viestit tavoittavat sinut yhä. Kuvake on ilmaisinalueella; lopeta siitä.",
    stays_unseen: "Puhelut ja viestit tavoittavat sinut yhä. Näet ikkunan käynnistämällä uudelleen.",
};

impl Words {
    /// The phrases in a language; `system` is what the system speaks, as in `LANG`.
    #[must_use]
    pub fn of(language: Language, system: &str) -> &'static Self {
        match language {
            Language::Fi => &FINNISH,
            Language::System if system.starts_with("fi") => &FINNISH,
            Language::En | Language::System => &ENGLISH,
        }
    }
}

/// A phrase with what belongs at its `{}`.
#[must_use]
pub fn with(phrase: &str, what: &str) -> String {
    phrase.replacen("{}", what, 1)
}

/// What the system speaks, by the variables of POSIX.
#[must_use]
pub fn system_language() -> String {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().map(std::env::var);
    named.flatten().find(|name| !name.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_decides_where_nobody_chose() {
        for (language, system, wanted) in [
            (Language::System, "fi_FI.UTF-8", &FINNISH),
            (Language::System, "sv_SE", &ENGLISH),
            (Language::En, "fi_FI", &ENGLISH),
            (Language::Fi, "", &FINNISH),
        ] {
            assert_eq!(Words::of(language, system), wanted);
        }
    }

    #[test]
    fn a_name_is_not_read_as_a_phrase() {
        assert_eq!(with(ENGLISH.calls, "{} {}"), "{} {} is calling");
    }
}
