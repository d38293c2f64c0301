//! A sound server of a test's own: a private PulseAudio whose cards are null sinks.
//!
//! What is played into the sink `NAME` is heard at the source `NAME.monitor`; a microphone that a
//! picker shows is a `remap-source` of it. Without `norewinds=1` a null sink renders two seconds at
//! a time.

use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a server that starts on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a socket that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

const NULL_SINK: &str = "rate=48000 channels=1 channel_map=mono format=s16le norewinds=1";

/// What the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cards {
    /// A speaker `spk` and a microphone `mic`, which hears what is played into the sink `room`.
    Both,
    /// A speaker only.
    SpeakerOnly,
}

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct SoundServer {
    home: PathBuf,
    cards: Cards,
    process: Child,
}

impl SoundServer {
    /// Starts a server that keeps everything in `home`, and waits until it listens.
    ///
    /// # Errors
    /// What the system says, or that it did not listen in time.
    pub fn start(home: &Path, cards: Cards) -> std::io::Result<Self> {
        std::fs::create_dir_all(home)?;
        let process = launch(home, cards)?;
        Ok(Self { home: home.to_owned(), cards, process })
    }

    /// The variables by which a program finds this server and no other.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let place = |name: &str| self.home.join(name).display().to_string();
        [
            ("PULSE_SERVER", format!("unix:{}", place("native"))),
            ("PULSE_RUNTIME_PATH", place("run")),
            ("PULSE_STATE_PATH", place("state")),
            ("PULSE_CONFIG_PATH", place("config")),
            ("PULSE_COOKIE", place("cookie")),
            ("XDG_RUNTIME_DIR", place("")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Takes a sink away, as who pulls out a plug does.
    ///
    /// # Errors
    /// What the system says, or that there is no such sink.
    pub fn unplug(&self, sink: &str) -> std::io::Result<()> {
        let modules = self.pactl(&["list", "short", "modules"])?;
        let named = format!("sink_name={sink} ");
        let module = modules.lines().find(|line| line.contains(&named));
        let number = module.and_then(|line| line.split_whitespace().next());
        let number = number.ok_or_else(|| std::io::Error::other(format!("no sink {sink}")))?;
        self.pactl(&["unload-module", number]).map(drop)
    }

    /// Puts a sink there.
    ///
    /// # Errors
    /// What the system says.
    pub fn plug_in(&self, sink: &str) -> std::io::Result<()> {
        let named = format!("sink_name={sink}");
        let null_sink = ["load-module", "module-null-sink", &named];
        let arguments: Vec<&str> = null_sink.into_iter().chain(NULL_SINK.split(' ')).collect();
        self.pactl(&arguments).map(drop)
    }

    /// How many streams play into a sink.
    ///
    /// # Errors
    /// What the system says.
    pub fn streams(&self, sink: &str) -> std::io::Result<usize> {
        // Second is the name of a sink whose number is first, and of a stream that number.
        let second = |line: &str| line.split('\t').nth(1).map(str::to_owned);
        let sinks = self.pactl(&["list", "short", "sinks"])?;
        let sink = sinks.lines().find(|line| second(line).as_deref() == Some(sink));
        let number = sink.and_then(|line| line.split('\t').next());
        let streams = self.pactl(&["list", "short", "sink-inputs"])?;
        let plays_here = |line: &&str| number.is_some() && second(line).as_deref() == number;
        Ok(streams.lines().filter(plays_here).count())
    }

    fn pactl(&self, arguments: &[&str]) -> std::io::Result<String> {
        let done = Command::new("pactl").args(arguments).envs(self.variables()).output()?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(std::io::Error::other(String::from_utf8_lossy(&done.stderr).into_owned()))
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> std::io::Result<()> {
        self.process = launch(&self.home, self.cards)?;
        Ok(())
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _waited_already = self.process.wait();
    }
}

fn launch(home: &Path, cards: Cards) -> std::io::Result<Child> {
    let (socket, script) = (home.join("native"), home.join("default.pa"));
    let _none_before = std::fs::remove_file(&socket);
    std::fs::write(&script, commands(&socket, cards))?;
    let mut process = Command::new("pulseaudio")
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"])
        .args(["--high-priority=no", "--realtime=no", "-F"])
        .arg(&script)
        .env("XDG_RUNTIME_DIR", home)
        .env("PULSE_RUNTIME_PATH", home.join("run"))
        .env("PULSE_STATE_PATH", home.join("state"))
        .env("PULSE_CONFIG_PATH", home.join("config"))
        .env("PULSE_COOKIE", home.join("cookie"))
        .env_remove("DISPLAY")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let began = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        if let Some(status) = process.try_wait()? {
            return Err(std::io::Error::other(format!("pulseaudio ended with {status}")));
        }
        if began.elapsed() > PATIENCE {
            let _dead_already = process.kill();
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    Ok(process)
}

/// The protocol comes last: whoever can connect finds every card.
fn commands(socket: &Path, cards: Cards) -> String {
    let mut text = format!("load-module module-null-sink sink_name=spk {NULL_SINK}\n");
    if cards == Cards::Both {
        text += &format!("load-module module-null-sink sink_name=room {NULL_SINK}\n");
        text += "load-module module-remap-source source_name=mic master=room.monitor\n";
        text += "set-default-source mic\n";
    }
    text += "set-default-sink spk\n";
    let socket = socket.display();
    let _a_string_takes_all =
        writeln!(text, "load-module module-native-protocol-unix auth-anonymous=1 socket={socket}");
    text
}
