//! The system packages that Earshot is built and tried with, and how to see that one is there.
//!
//! We probe for what is used (a program, a pkg-config module, a file), not for a package name: what
//! was put there by hand, by Nix or by Homebrew counts as well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a need is for; a verb asks only for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compiling the workspace.
    Build,
    /// Compiling the window.
    Window,
    /// Windows without a screen, and what steers and photographs them.
    WindowTests,
    /// Recorded and spoken sentences to send through a call.
    Speech,
    /// A sound server without a sound card.
    SoundServer,
    /// An independent TURN client and server to try our relay with.
    Turn,
    /// Hosts, routers and NATs inside one kernel.
    Netlab,
    /// Public judges of sound quality, in a virtual environment.
    Python,
    /// A browser to try the window's pages in, and what makes them.
    Pages,
}

pub(crate) const EVERYTHING: &[Purpose] = &[
    Purpose::Build,
    Purpose::Window,
    Purpose::WindowTests,
    Purpose::Speech,
    Purpose::SoundServer,
    Purpose::Turn,
    Purpose::Netlab,
    Purpose::Python,
    Purpose::Pages,
];

/// How to see that something is there.
#[derive(Debug)]
pub(crate) enum Probe {
    /// A program on the search path (or in the system's directories, which may be missing from it).
    Program(&'static str),
    /// A library with its headers.
    PkgConfig(&'static str),
    File(&'static str),
    /// A Python module.
    Python(&'static str),
    /// What extensions of Python are compiled with.
    PythonHeaders,
}

/// Something needed, and the package that has it for each of [`MANAGERS`].
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) purpose: Purpose,
    pub(crate) probe: Probe,
    /// By the order of [`MANAGERS`].
    pub(crate) packages: [&'static str; 5],
}

/// A package manager: its program and the commands before a list of packages.
pub(crate) struct Manager {
    pub(crate) program: &'static str,
    pub(crate) refresh: Option<&'static str>,
    pub(crate) install: &'static str,
}

/// Debian and Ubuntu, Fedora, Arch, openSUSE, Alpine.
pub(crate) const MANAGERS: [Manager; 5] = [
    Manager {
        program: "apt-get",
        refresh: Some("apt-get update -q"),
        install: "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends",
    },
    Manager { program: "dnf", refresh: None, install: "dnf install -y" },
    Manager { program: "pacman", refresh: None, install: "pacman -Sy --noconfirm --needed" },
    Manager { program: "zypper", refresh: None, install: "zypper --non-interactive install" },
    Manager { program: "apk", refresh: None, install: "apk add" },
];

/// Where recorded sentences lie once alsa-utils is installed: the demo's speech.
const SPEECH: &str = "/usr/share/sounds/alsa/Front_Center.wav";

#[rustfmt::skip]
pub(crate) const NEEDS: &[Need] = &[
    need(Purpose::Build, Probe::Program("cc"), ["build-essential", "gcc", "base-devel", "gcc", "build-base"]),
    need(Purpose::Build, Probe::Program("c++"), ["build-essential", "gcc-c++", "base-devel", "gcc-c++", "build-base"]),
    need(Purpose::Build, Probe::Program("make"), ["build-essential", "make", "base-devel", "make", "build-base"]),
    need(Purpose::Build, Probe::Program("cmake"), ["cmake", "cmake", "cmake", "cmake", "cmake"]),
    need(Purpose::Build, Probe::Program("pkg-config"), ["pkg-config", "pkgconf-pkg-config", "pkgconf", "pkg-config", "pkgconf"]),
    need(Purpose::Build, Probe::PkgConfig("alsa"), ["libasound2-dev", "alsa-lib-devel", "alsa-lib", "alsa-devel", "alsa-lib-dev"]),
    need(Purpose::Build, Probe::PkgConfig("libcrypto"), ["libssl-dev", "openssl-devel", "openssl", "libopenssl-devel", "openssl-dev"]),
    need(Purpose::Window, Probe::PkgConfig("webkit2gtk-4.1"), ["libwebkit2gtk-4.1-dev", "webkit2gtk4.1-devel", "webkit2gtk-4.1", "webkit2gtk3-devel", "webkit2gtk-4.1-dev"]),
    need(Purpose::WindowTests, Probe::Program("Xvfb"), ["xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb", "xorg-x11-server-Xvfb", "xvfb"]),
    need(Purpose::WindowTests, Probe::Program("WebKitWebDriver"), ["webkit2gtk-driver", "webkit2gtk4.1", "webkit2gtk-4.1", "webkit2gtk-4_1-injected-bundles", "webkit2gtk-4.1"]),
    need(Purpose::WindowTests, Probe::Program("dbus-daemon"), ["dbus-daemon", "dbus-daemon", "dbus", "dbus-1", "dbus"]),
    need(Purpose::WindowTests, Probe::Program("import"), ["imagemagick", "ImageMagick", "imagemagick", "ImageMagick", "imagemagick"]),
    need(Purpose::WindowTests, Probe::Program("desktop-file-validate"), ["desktop-file-utils", "desktop-file-utils", "desktop-file-utils", "desktop-file-utils", "desktop-file-utils"]),
    need(Purpose::Speech, Probe::File(SPEECH), ["alsa-utils", "alsa-utils", "alsa-utils", "alsa-utils", "alsa-utils"]),
    need(Purpose::Speech, Probe::Program("espeak-ng"), ["espeak-ng", "espeak-ng", "espeak-ng", "espeak-ng", "espeak-ng"]),
    need(Purpose::SoundServer, Probe::Program("pulseaudio"), ["pulseaudio", "pulseaudio", "pulseaudio", "pulseaudio", "pulseaudio"]),
    need(Purpose::SoundServer, Probe::Program("pactl"), ["pulseaudio-utils", "pulseaudio-utils", "libpulse", "pulseaudio-utils", "pulseaudio-utils"]),
    need(Purpose::SoundServer, Probe::Program("pipewire"), ["pipewire", "pipewire", "pipewire", "pipewire", "pipewire"]),
    need(Purpose::SoundServer, Probe::Program("pipewire-pulse"), ["pipewire-pulse", "pipewire-pulseaudio", "pipewire-pulse", "pipewire-pulseaudio", "pipewire-pulse"]),
    need(Purpose::SoundServer, Probe::Program("wireplumber"), ["wireplumber", "wireplumber", "wireplumber", "wireplumber", "wireplumber"]),
    need(Purpose::SoundServer, Probe::Program("dbus-daemon"), ["dbus-daemon", "dbus-daemon", "dbus", "dbus-1-daemon", "dbus"]),
    need(Purpose::Turn, Probe::Program("turnutils_uclient"), ["coturn", "coturn-utils", "coturn", "coturn", "coturn"]),
    need(Purpose::Turn, Probe::Program("turnserver"), ["coturn", "coturn", "coturn", "coturn", "coturn"]),
    need(Purpose::Netlab, Probe::Program("nft"), ["nftables", "nftables", "nftables", "nftables", "nftables"]),
    need(Purpose::Netlab, Probe::Program("ip"), ["iproute2", "iproute", "iproute2", "iproute2", "iproute2"]),
    need(Purpose::Netlab, Probe::Program("tc"), ["iproute2", "iproute-tc", "iproute2", "iproute2", "iproute2-tc"]),
    need(Purpose::Netlab, Probe::Program("unshare"), ["util-linux", "util-linux", "util-linux", "util-linux", "util-linux"]),
    need(Purpose::Python, Probe::Program("python3"), ["python3", "python3", "python", "python3", "python3"]),
    need(Purpose::Python, Probe::Python("ensurepip"), ["python3-venv", "python3", "python", "python3", "python3"]),
    need(Purpose::Python, Probe::PythonHeaders, ["python3-dev", "python3-devel", "python", "python3-devel", "python3-dev"]),
    need(Purpose::Pages, Probe::Program("npm"), ["npm", "npm", "npm", "npm", "npm"]),
    need(Purpose::Pages, Probe::Program("chromium"), ["chromium", "chromium", "chromium", "chromium", "chromium"]),
];

const fn need(purpose: Purpose, probe: Probe, packages: [&'static str; 5]) -> Need {
    Need { purpose, probe, packages }
}

/// Ends well where the header is that every extension includes.
const PYTHON_HEADERS: &str = "import os, sys, sysconfig; \
    sys.exit(not os.path.isfile(os.path.join(sysconfig.get_path('include'), 'Python.h')))";

impl Probe {
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Program(name) => find_program(name).is_some(),
            Self::PkgConfig(module) => succeeds("pkg-config", &["--exists", module]),
            Self::File(path) => Path::new(path).exists(),
            Self::Python(module) => succeeds("python3", &["-c", &format!("import {module}")]),
            Self::PythonHeaders => succeeds("python3", &["-c", PYTHON_HEADERS]),
        }
    }
}

/// Looks a program up as the shell does, and in the system's directories besides: `nft` and `ip`
/// lie there, and the search path of an ordinary user on Debian lacks them.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut directories = std::env::split_paths(&path).chain(system);
    directories.find_map(|directory| Some(directory.join(name)).filter(|file| file.is_file()))
}

/// Whether a program could be started and exits with success.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
