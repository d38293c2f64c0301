//! A desktop of one's own for one app: X server, session bus, home directory, sound server, and the
//! remote control of its window.
//!
//! Source: what was learnt of WebKitWebDriver: it chooses the port of its inspector by binding,
//! closing and starting, so that two that start at once can choose the same; one at a time, by a
//! lock. Invariants: nothing of the machine's own desktop is touched; whatever was started here
//! dies with the value.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::web_driver::{Page, PageTrouble};
use super::{Cards, Scratch, SoundServer};

/// The variable that names the `earshot` to try; its window's program lies beside it.
pub const APP_VARIABLE: &str = "EARSHOT_APP";
/// For programs that start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a port that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const SCREEN: &str = "1280x900x24";

/// A session bus on which nothing is started by itself.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><keep_umask/><listen>unix:dir=@HOME@</listen>
<auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"#;

/// The `earshot` to try: the one that [`APP_VARIABLE`] names.
#[must_use]
pub fn app_program() -> Option<PathBuf> {
    std::env::var_os(APP_VARIABLE).map(PathBuf::from).filter(|path| path.is_file())
}

/// A desktop.
#[derive(Debug)]
pub struct Desktop {
    display: String,
    bus: String,
    sound: SoundServer,
    _bus: Group,
    _screen: Group,
    home: Scratch,
}

/// An app whose window is under remote control. Dropping it ends it.
#[derive(Debug)]
pub struct App {
    /// Its page.
    pub page: Page,
    _driver: Group,
}

impl Desktop {
    /// Starts one.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(name: &str) -> std::io::Result<Self> {
        let home = Scratch::new(name)?;
        let log = |file: &str| File::create(home.join(file));
        let mut screen = Command::new("Xvfb");
        screen.args(["-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp", "-noreset"]);
        let (screen, number) = Group::that_tells(screen.stderr(log("screen.log")?))?;
        let settings = home.join("bus.conf");
        std::fs::write(&settings, BUS.replace("@HOME@", &home.path().display().to_string()))?;
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--nofork", "--nopidfile", "--print-address=1", "--config-file"]);
        let (daemon, bus) = Group::that_tells(daemon.arg(settings).stderr(log("bus.log")?))?;
        let sound = SoundServer::start(&home.join("sound"), Cards::Both)?;
        Ok(Self { display: format!(":{number}"), bus, sound, _bus: daemon, _screen: screen, home })
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The address of its session bus.
    #[must_use]
    pub fn bus(&self) -> &str {
        &self.bus
    }

    /// Its sound server.
    pub const fn sound(&self) -> &SoundServer {
        &self.sound
    }

    /// A program on this desktop, and on no other.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .envs(self.sound.variables())
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .env("HOME", self.home.path())
            .env("GDK_BACKEND", "x11")
            .env("GSETTINGS_BACKEND", "memory")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_AT_BRIDGE", "1")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::null());
        command
    }

    /// Starts a program with a window under remote control; what it says goes into `app.log`.
    ///
    /// # Errors
    /// What the system or the driver says.
    pub fn open(&self, program: &Path, arguments: &[&str]) -> Result<App, PageTrouble> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::options().create(true).append(true).open(self.home.join("app.log"))?;
        let mut driver = self.command("WebKitWebDriver");
        driver.arg(format!("--port={port}")).arg("--host=127.0.0.1");
        driver.env("TAURI_WEBVIEW_AUTOMATION", "true").stdout(log.try_clone()?).stderr(log);
        let driver = Group::start(&mut driver)?;
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let one_at_a_time = File::create(std::env::temp_dir().join("earshot-web-driver.lock"))?;
        one_at_a_time.lock()?;
        let page = Page::open(port, program, &arguments)?;
        Ok(App { page, _driver: driver })
    }

    /// Photographs the upper left of the screen, where without a window manager windows are, into a
    /// PNG.
    ///
    /// # Errors
    /// What the system says.
    pub fn photograph(&self, size: (u32, u32), to: &Path) -> std::io::Result<()> {
        let part = format!("{}x{}+0+0", size.0, size.1);
        let arguments = ["-silent", "-window", "root", "-crop", &part, "+repage"];
        let status = self.command("import").args(arguments).arg(to).status()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(status.to_string())) }
    }

    /// What the app and its driver said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("app.log")).unwrap_or_default()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.page.end();
    }
}

/// A process with all that it starts, in a group of its own. Dropping it kills them.
#[derive(Debug)]
pub(crate) struct Group(Child);

impl Group {
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        command.stdin(Stdio::null()).process_group(0).spawn().map(Self)
    }

    /// Starts a program that tells where it is to be found, in its first line.
    fn that_tells(command: &mut Command) -> std::io::Result<(Self, String)> {
        let mut group = Self::start(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        let output = group.0.stdout.take().expect("stdout was piped above");
        BufReader::new(output).read_line(&mut line)?;
        Ok((group, line.trim().to_owned()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.0.id().cast_signed()) {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
        let _reaped_already = self.0.wait();
    }
}
