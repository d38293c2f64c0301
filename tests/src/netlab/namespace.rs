//! A host of the laboratory: a network namespace with a name, and threads that work inside it.
//!
//! Source: network_namespaces(7), ip-netns(8), setns(2). A namespace belongs to a thread: a thread
//! of its own enters, and the sockets and processes that it makes stay inside when it is gone.
//! Invariant: the thread that calls never leaves its own namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::harness::own_network::run;

use super::LabError;

/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";
/// What a router forwards, whom it trusts about ways, and how it treats IPv6: written before there
/// is any device, since a device takes the values of that moment.
const ROUTER: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/forwarding", "1"),
    ("net/ipv6/conf/default/accept_dad", "0"),
];
const HOST: &[(&str, &str)] = &[
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// Makes room for names that nobody else sees. Called once, in a mount namespace of our own.
///
/// # Errors
/// Where the system does not let us.
pub fn prepare() -> Result<(), LabError> {
    run("mount", &["-t", "tmpfs", "earshot-netlab", "/run"], "")?;
    std::fs::create_dir_all(NAMES).map_err(|error| LabError::io(NAMES, error))
}

/// What a namespace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It forwards.
    Router,
    /// It only speaks for itself.
    Host,
}

/// A network namespace by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(String);

impl Namespace {
    /// The one of this name, which is made later or was made before.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Makes it ready for devices.
    ///
    /// # Errors
    /// Where it does not exist.
    pub fn settle(&self, duty: Duty) -> Result<(), LabError> {
        let settings = match duty {
            Duty::Router => ROUTER,
            Duty::Host => HOST,
        };
        self.inside(|| {
            for (name, value) in settings {
                let path = format!("/proc/sys/{name}");
                // A kernel without IPv6 has no such file, and needs none.
                if std::path::Path::new(&path).exists() {
                    std::fs::write(&path, value).map_err(|error| LabError::io(&path, error))?;
                }
            }
            Ok(())
        })?
    }

    /// Runs lines of `ip` in it, `ip` itself left out.
    ///
    /// # Errors
    /// The first line that is not taken.
    pub fn ip(&self, lines: &[String]) -> Result<(), LabError> {
        run("ip", &["-n", &self.0, "-batch", "-"], &joined(lines))?;
        Ok(())
    }

    /// Gives rules to its packet filter.
    ///
    /// # Errors
    /// Where the kernel does not take them.
    pub fn nft(&self, rules: &str) -> Result<(), LabError> {
        self.inside(|| run("nft", &["-f", "-"], rules).map(drop))??;
        Ok(())
    }

    /// Does something inside it, on a thread of its own, and waits for that.
    ///
    /// # Errors
    /// Where it cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let path = PathBuf::from(NAMES).join(&self.0);
        let shown = path.display().to_string();
        let door = File::open(path).map_err(|error| LabError::io(&shown, error))?;
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(|error: rustix::io::Errno| LabError::io(&shown, error.into()))
    }
}

/// Runs lines of `ip` outside all of them: those that make namespaces and what connects them.
///
/// # Errors
/// The first line that is not taken.
pub fn ip(lines: &[String]) -> Result<(), LabError> {
    run("ip", &["-batch", "-"], &joined(lines))?;
    Ok(())
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
