//! From command line to exit code: everything around a role.
//!
//! Source: INTERFACES 2. Invariants: the first line of standard output says that the process is
//! ready or why it is not; stderr is for people; exit 0 after a polite leave, 3 for damaged data,
//! 64 for wrong usage, else 1.

use std::ffi::OsString;
use std::io::Write;

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::api::ready::{NotReady, Ready, Role};
use crate::api::text::Password;
use crate::cli::{Invocation, Options, parse, usage};

/// The variable that may hold a password.
const PASSWORD_VARIABLE: &str = "EARSHOT_PASSWORD";

/// Runs a role until it has left.
pub type Run = fn(Options, &mut Setting) -> Result<(), Failure>;

/// What a role finds besides its options.
#[derive(Debug)]
pub struct Setting {
    /// The password of `EARSHOT_PASSWORD`, read once.
    pub password: Option<Password>,
    /// Where it says that it is ready.
    pub first_line: FirstLine,
}

/// The first line of standard output.
#[derive(Debug, Default)]
pub struct FirstLine {
    said: bool,
}

impl FirstLine {
    /// Says that the process serves.
    ///
    /// # Errors
    /// [`ErrorCode::Leaving`] when whoever started us is gone already.
    pub fn ready(&mut self, ready: &Ready) -> Result<(), Failure> {
        self.said = true;
        write_line(ready).map_err(|_| ErrorCode::Leaving.into())
    }
}

/// The whole program, given the arguments after its name and the roles that it has. Gives the exit
/// code.
pub fn program(arguments: impl IntoIterator<Item = OsString>, roles: &[(Role, Run)]) -> u8 {
    let names: Vec<Role> = roles.iter().map(|(role, _)| *role).collect();
    let options = match parse(arguments, &names) {
        Ok(Invocation::Version) => {
            return shown(concat!("earshotd ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Ok(Invocation::Help) => return shown(&usage(&names)),
        Ok(Invocation::Run(options)) => *options,
        Err(why) => {
            if matches!(why, ErrorCode::Usage { .. }) {
                eprint!("{}", usage(&names));
            }
            return failed(why.into(), &FirstLine::default());
        }
    };
    log_to_stderr(options.log);
    let role = options.role.role();
    let (_, run) = roles.iter().find(|(name, _)| *name == role).expect("only these are parsed");
    let password = std::env::var(PASSWORD_VARIABLE).ok().map(Password::new);
    let mut setting = Setting { password, first_line: FirstLine::default() };
    match run(options, &mut setting) {
        Ok(()) => 0,
        Err(why) => failed(why, &setting.first_line),
    }
}

fn failed(why: Failure, first_line: &FirstLine) -> u8 {
    eprintln!("earshotd: {why}");
    let code = why.code.exit_code();
    if !first_line.said {
        // Whoever does not listen any more learns it from the exit code.
        drop(write_line(&NotReady::new(why)));
    }
    code
}

fn shown(text: &str) -> u8 {
    u8::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}

fn write_line(line: &impl Serialize) -> std::io::Result<()> {
    let json =
        serde_json::to_string(line).expect("the types of the contract have string keys only");
    let mut output = std::io::stdout().lock();
    writeln!(output, "{json}")?;
    output.flush()
}

fn log_to_stderr(level: LevelFilter) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    // Whoever calls the program from a test may have set a log of their own.
    drop(log.with_ansi(false).try_init());
}

/// Runs a role's future on one thread. Threads that still wait for input or a slow disk are left
/// behind: the process ends without them.
///
/// # Errors
/// [`ErrorCode::Internal`] when the system gives no runtime, else what the future gives.
pub fn block_on(role: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ErrorCode::Internal { what: e.to_string() })?;
    let result = runtime.block_on(role);
    runtime.shutdown_background();
    result
}

/// Hears when the system asks the process to end: SIGTERM, or Ctrl-C at a terminal. Made before the
/// process says that it is ready, since an unheard SIGTERM kills.
#[derive(Debug)]
pub struct EndSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl EndSignal {
    /// Begins to listen. Needs a runtime of tokio.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] when the system does not let us.
    pub fn listen() -> Result<Self, Failure> {
        let deaf = |e: std::io::Error| ErrorCode::Internal { what: e.to_string() };
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let terminate = signal(SignalKind::terminate()).map_err(deaf)?;
            let interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
            Ok(Self { terminate, interrupt })
        }
        #[cfg(windows)]
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c().map_err(deaf)? })
    }

    /// Waits until it is asked. May stand in a `select!`.
    pub async fn asked(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(windows)]
        let _ = self.interrupt.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str], run: Run) -> u8 {
        program(arguments.iter().map(OsString::from), &[(Role::Peer, run)])
    }

    const PEER: &[&str] = &["peer", "--data-dir", "d", "--rpc", "stdio"];

    #[test]
    fn a_polite_leave_is_success_and_a_failed_start_is_told_by_its_code() {
        assert_eq!(code(PEER, |_, _| Ok(())), 0);
        assert_eq!(code(PEER, |_, _| Err(ErrorCode::PortInUse { port: 4433 }.into())), 1);
        let damaged = |_: Options, _: &mut Setting| {
            Err(ErrorCode::DamagedData { file: "buddies".into() }.into())
        };
        assert_eq!(code(PEER, damaged), 3);
        assert_eq!(code(&["peer"], |_, _| Ok(())), 64);
        assert_eq!(code(&["--version"], |_, _| Err(ErrorCode::DiskFull.into())), 0);
    }

    #[test]
    fn a_thread_that_waits_for_input_does_not_hold_the_end_up() {
        let begun = std::time::Instant::now();
        let (to_thread, input) = std::sync::mpsc::channel::<()>();
        let left = block_on(async {
            tokio::task::spawn_blocking(move || input.recv());
            Ok(())
        });
        assert_eq!(left, Ok(()));
        assert!(begun.elapsed() < std::time::Duration::from_secs(3));
        drop(to_thread);
    }

    #[cfg(unix)]
    #[test]
    fn sigterm_asks_to_end() {
        let heard = block_on(async {
            let mut end = EndSignal::listen()?;
            let pid = std::process::id().to_string();
            let kill = std::process::Command::new("kill").args(["-TERM", &pid]).status();
            assert!(kill.is_ok_and(|status| status.success()));
            end.asked().await;
            Ok(())
        });
        assert_eq!(heard, Ok(()));
    }
}
