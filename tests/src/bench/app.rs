//! `bench app`: what the window costs, beside a bare WebKitGTK page in the same run.
//!
//! Source: the figures to reach: a first window within 1.15 of the bare page, 30 MB and 0.2 % of a
//! core at rest more than it, 25 MB and 0.2 % without the window. Both are started on the same
//! private desktop, one after the other, so that a busy machine slows both.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::limit::Limit;
use super::proc;
use super::{Stop, step};
use crate::demo::sound::median;
use crate::harness::{Desktop, app_program};
use crate::report::Report;

/// Starts of each, besides the first, which fills caches.
const STARTS: usize = 10;
/// A start that takes longer is none.
const START_WITHIN: Duration = Duration::from_secs(60);
/// From the first window on, until memory is looked at.
const SETTLE: Duration = Duration::from_secs(10);
/// The processor's time is counted for so long.
const WATCH: Duration = Duration::from_secs(60);
/// What whoever has painted says.
const PAINTED: &str = "painted";
const BARE_PAGE: &str = include_str!("bare_page.c");

const FIRST: Limit = Limit::at_most("app.first_window_ratio", 1.15);
const MEMORY: Limit = Limit::at_most("app.pss_over_bare_mb", 30.0);
const HIDDEN: Limit = Limit::at_most("app.pss_hidden_mb", 25.0);
/// A bare page is not idle: WebKitGTK looks at memory and time by itself.
const IDLE: Limit = Limit::at_most("app.idle_cpu_over_bare_pct", 0.2);
const HIDDEN_IDLE: Limit = Limit::at_most("app.hidden_idle_cpu_pct", 0.2);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 5] = [FIRST, MEMORY, HIDDEN, IDLE, HIDDEN_IDLE];

/// Measures it.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let missing =
        || Stop::CannotBegin("There is no app here. Type this:\n    ./x bench app".into());
    let app = app_program().ok_or_else(missing)?;
    let bare = step(report, "app.bare_page", || compile(out))?;
    let desktop = Desktop::start("bench-app").map_err(Stop::failed)?;
    let data = desktop.home().join("data");
    let start_app = || Started::app(&desktop, &app, &data);
    let start_bare = || Started::begin(desktop.command(&bare));

    let (mut samples, mut firsts) = (String::new(), [Vec::new(), Vec::new()]);
    step(report, "app.starts", || {
        for start in 0..=STARTS {
            for (which, firsts) in firsts.iter_mut().enumerate() {
                let started = if which == 0 { start_app()? } else { start_bare()? };
                let ms = started.first.as_secs_f64() * 1_000.0;
                let name = if which == 0 { "app" } else { "bare" };
                let sample = json!({ "start": start, "which": name, "firstWindowMs": ms });
                let _never_fails = writeln!(samples, "{sample}");
                if start > 0 {
                    firsts.push(ms);
                }
                if which == 0 {
                    started.quit(&desktop, &app, &data)?;
                }
            }
        }
        Ok(())
    })?;
    let [app_ms, bare_ms] = firsts.map(|ms| median(&ms).unwrap_or(f64::NAN));
    report.figure("app.first_window_ms", app_ms, "ms", &[("of", "app")]);
    report.figure("app.first_window_ms", bare_ms, "ms", &[("of", "bare")]);

    let bare = start_bare()?;
    let bare_mb = step(report, "app.bare_memory", || bare.weigh("bare", &mut samples))?;
    let bare_idle_pct = step(report, "app.bare_idle", || bare.cpu_pct("bare", &mut samples))?;
    drop(bare);
    let started = start_app()?;
    let window_mb = step(report, "app.memory", || started.weigh("window", &mut samples))?;
    let idle_pct = step(report, "app.idle", || started.cpu_pct("window", &mut samples))?;
    let hidden_mb = step(report, "app.hidden", || {
        started.close_window()?;
        started.weigh("hidden", &mut samples)
    })?;
    let hidden_idle_pct =
        step(report, "app.hidden_idle", || started.cpu_pct("hidden", &mut samples))?;
    started.quit(&desktop, &app, &data)?;
    std::fs::write(out.join("app.jsonl"), samples).map_err(Stop::failed)?;
    report.figure("app.pss_mb", window_mb, "MB", &[("of", "app")]);
    report.figure("app.pss_mb", bare_mb, "MB", &[("of", "bare")]);
    report.figure("app.pss_hidden_mb", hidden_mb, "MB", &[("of", "app")]);
    report.figure("app.idle_cpu_pct", idle_pct, "%", &[("of", "app")]);
    report.figure("app.idle_cpu_pct", bare_idle_pct, "%", &[("of", "bare")]);
    report.figure("app.hidden_idle_cpu_pct", hidden_idle_pct, "%", &[("of", "app")]);
    FIRST.check(report, Some(app_ms / bare_ms));
    MEMORY.check(report, Some(window_mb - bare_mb));
    HIDDEN.check(report, Some(hidden_mb));
    IDLE.check(report, Some(idle_pct - bare_idle_pct));
    HIDDEN_IDLE.check(report, Some(hidden_idle_pct));
    Ok(())
}

/// The bare page, made with the compiler that the app was built with.
fn compile(out: &Path) -> Result<PathBuf, Stop> {
    let (source, program) = (out.join("bare_page.c"), out.join("bare-page"));
    std::fs::write(&source, BARE_PAGE).map_err(Stop::failed)?;
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "webkit2gtk-4.1"]).output();
    let flags = String::from_utf8_lossy(&flags.map_err(Stop::failed)?.stdout).into_owned();
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-Wno-deprecated-declarations", "-o"]).arg(&program).arg(&source);
    let status = compiler.args(flags.split_whitespace()).status().map_err(Stop::failed)?;
    if status.success() { Ok(program) } else { Err(Stop::failed("the bare page does not compile")) }
}

/// A program that has shown its window.
struct Started {
    process: Child,
    first: Duration,
    said: Receiver<String>,
}

impl Started {
    fn app(desktop: &Desktop, program: &Path, data: &Path) -> Result<Self, Stop> {
        let mut command = desktop.command(program);
        command.arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0", "--log", "info"]);
        Self::begin(command)
    }

    fn begin(mut command: Command) -> Result<Self, Stop> {
        command.env("WEBKIT_DISABLE_DMABUF_RENDERER", "1");
        let begun = Instant::now();
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Stop::failed)?;
        let (sender, said) = channel();
        for pipe in [
            process.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            process.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ] {
            let (sender, pipe) = (sender.clone(), pipe.expect("it was piped above"));
            std::thread::spawn(move || {
                let lines = BufReader::new(pipe).lines().map_while(Result::ok);
                lines.for_each(|line| drop(sender.send(line)));
            });
        }
        let mut started = Self { process, first: Duration::ZERO, said };
        loop {
            let left = START_WITHIN.saturating_sub(begun.elapsed());
            match started.said.recv_timeout(left) {
                Ok(line) if line.contains(PAINTED) => break,
                Ok(_) => {}
                Err(why) => return Err(Stop::failed(format!("it showed no window: {why}"))),
            }
        }
        started.first = begun.elapsed();
        Ok(started)
    }

    /// Lets it be; it must not end.
    fn rest(&self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.said.recv_timeout(left) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Stop::failed("it ended")),
            }
        }
        Ok(())
    }

    fn tree(&self) -> Vec<i32> {
        proc::tree(self.process.id().cast_signed())
    }

    /// Proportional set sizes of it and all that it started, once it has settled, in MB.
    fn weigh(&self, which: &str, samples: &mut String) -> Result<f64, Stop> {
        self.rest(SETTLE)?;
        let mut sum = 0;
        for pid in self.tree() {
            let (name, kib) = (proc::name(pid), proc::pss_kib(pid).map_err(Stop::failed)?);
            let sample = json!({ "memory": which, "process": name, "pssKib": kib });
            let _never_fails = writeln!(samples, "{sample}");
            sum += kib;
        }
        Ok(sum as f64 * 1_024.0 / 1e6)
    }

    /// How much of one core it takes while nothing happens.
    fn cpu_pct(&self, which: &str, samples: &mut String) -> Result<f64, Stop> {
        let used = || self.tree().into_iter().map(proc::cpu_ms).sum::<u64>();
        let (begun, before) = (Instant::now(), used());
        self.rest(WATCH)?;
        let (ms, wall) = (used().saturating_sub(before), begun.elapsed());
        let _never_fails = writeln!(samples, "{}", json!({ "idle": which, "cpuMs": ms }));
        Ok(ms as f64 / (wall.as_secs_f64() * 1_000.0) * 100.0)
    }

    /// Ends the window's process, and with it all of WebKit; the resident stays.
    fn close_window(&self) -> Result<(), Stop> {
        let windows: Vec<i32> =
            self.tree().into_iter().filter(|pid| proc::name(*pid) == "earshot-window").collect();
        for pid in windows {
            let pid = rustix::process::Pid::from_raw(pid).ok_or_else(|| Stop::failed("no pid"))?;
            let ended = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            ended.map_err(Stop::failed)?;
        }
        let begun = Instant::now();
        while self.tree().len() > 1 {
            if begun.elapsed() > START_WITHIN {
                return Err(Stop::failed("the window does not end"));
            }
            self.rest(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Has it say goodbye.
    fn quit(mut self, desktop: &Desktop, program: &Path, data: &Path) -> Result<(), Stop> {
        let mut command = desktop.command(program);
        let told = command.arg("--data-dir").arg(data).args(["--do", "quit"]).status();
        told.and_then(|_| self.process.wait()).map(drop).map_err(Stop::failed)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}
