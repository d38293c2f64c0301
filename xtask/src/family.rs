//! The families of `./x test`: what runs, in which order, and what the machine needs for it.
//!
//! A new family is one line here and one in `tests/counts.toml`. Every cargo command selects the
//! whole workspace and then test targets, since anything narrower has cargo resolve other features
//! and compile the heavy dependencies once more; `--doc` does so too, and so tidy refuses examples
//! in documentation.

use crate::package::Purpose;

pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// What it shows, for `--list`.
    pub(crate) what: &'static str,
    pub(crate) needs: &'static [Purpose],
    pub(crate) work: Work,
}

/// What a family runs, and so what it counts.
pub(crate) enum Work {
    /// Our own rules; counts rules and planted violations.
    Tidy,
    /// `cargo fmt --check`; counts Rust files.
    Format,
    /// `cargo clippy -D warnings`; counts targets.
    Lint,
    /// npm in `ui/`; counts tests passed.
    Pages,
    /// `cargo test --workspace` with these arguments; counts tests passed. Integration tests
    /// (`--test NAME`) find `earshotd` by the variable `EARSHOTD`, and e2e the app by
    /// `EARSHOT_APP`.
    Cargo(&'static [&'static str]),
}

#[rustfmt::skip]
pub(crate) const FAMILIES: &[Family] = &[
    family("tidy", "imports, purity, packages, licences, style; each rule catches a planted violation", &[], Work::Tidy),
    family("fmt", "every Rust file is formatted", &[], Work::Format),
    family("lint", "clippy over all targets, warnings are errors", &[Purpose::Build, Purpose::Window], Work::Lint),
    family("pages", "the window on a backend of its own: types, style and parts", &[Purpose::Pages], Work::Pages),
    family("unit", "the tests beside the code, of all packages", &[Purpose::Build, Purpose::Window, Purpose::Speech, Purpose::SoundServer], Work::Cargo(&["--lib", "--bins"])),
    family("sound", "a voice through codec, jitter and cards; intelligibility measured", &[Purpose::Build, Purpose::Speech, Purpose::SoundServer], Work::Cargo(&["--test", "enhance", "--test", "receiver", "--test", "session", "--test", "sound"])),
    family("foreign", "whatever bytes come: a message or an error, no panic, little memory", &[Purpose::Build], Work::Cargo(&["--test", "foreign"])),
    family("sim", "stories and crowds of the real machines in virtual time", &[Purpose::Build], Work::Cargo(&["--test", "sim"])),
    family("interop", "what nobody here wrote: coturn's clients against our relay", &[Purpose::Build, Purpose::Turn], Work::Cargo(&["--test", "interop"])),
    family("process", "real earshotd processes: starting, RPC, people, strangers, leaving, secrecy, 200 kills, a full disk", &[Purpose::Build, Purpose::Netlab], Work::Cargo(&["--test", "process"])),
    family("netlab", "an internet of namespaces: every NAT as it is called, calls between homes behind them", &[Purpose::Build, Purpose::Netlab], Work::Cargo(&["--test", "netlab"])),
    family("e2e", "the real app: two people on two desktops meet, write and talk; tray, notices, links", &[Purpose::Build, Purpose::Window, Purpose::WindowTests, Purpose::Speech, Purpose::SoundServer], Work::Cargo(&["--test", "e2e"])),
    family("demo", "the demo in every case, and every sabotage caught by the check meant for it", &[Purpose::Build, Purpose::Speech, Purpose::Netlab], Work::Cargo(&["--test", "demo"])),
];

const fn family(
    name: &'static str,
    what: &'static str,
    needs: &'static [Purpose],
    work: Work,
) -> Family {
    Family { name, what, needs, work }
}
