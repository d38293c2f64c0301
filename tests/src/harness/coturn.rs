//! coturn's server on loopback, for what is tried or measured beside it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Trouble;

/// A STUN binding request (RFC 8489, section 6): anybody's answer says that it listens.
const BINDING: [u8; 20] =
    [0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/// For a server to come up.
const SOON: Duration = Duration::from_secs(20);

/// coturn's server; it ends with this value.
#[derive(Debug)]
pub struct Coturn {
    /// Where it listens, by UDP and TCP.
    pub address: SocketAddr,
    child: Child,
}

impl Coturn {
    /// Its only user.
    pub const USERNAME: &'static str = "bench";
    /// That user's password.
    pub const PASSWORD: &'static str = "password";

    /// Starts it with so many relay threads, or as many as it chooses, and waits until it answers.
    /// What it keeps lies in `directory` under `name`.
    ///
    /// # Errors
    /// That it is not there, or does not answer.
    pub fn start(directory: &Path, name: &str, threads: Option<&str>) -> Result<Self, Trouble> {
        let trouble = |doing| {
            let name = name.to_owned();
            move |source| Trouble::Io { name, doing, source }
        };
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(trouble("finding a port"))?;
        let address = free.local_addr().map_err(trouble("finding a port"))?;
        drop(free);
        let file = |what: &str| directory.join(format!("{name}.{what}")).display().to_string();
        let account = format!("{}:{}", Self::USERNAME, Self::PASSWORD);
        let mut command = Command::new("turnserver");
        command.args(["-n", "--no-tls", "--no-dtls", "--no-cli", "-a", "--allow-loopback-peers"]);
        command.args(["-L", "127.0.0.1", "-p", &address.port().to_string()]);
        command.args(["-r", "earshot", "-u", &account, "--log-file", "/dev/null"]);
        command.args(["--pidfile", &file("pid"), "--userdb", &file("db")]);
        command.args(threads.into_iter().flat_map(|threads| ["-m", threads]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(trouble("starting coturn (apt-get install coturn)"))?;
        let server = Self { address, child };
        server.answers(name)?;
        Ok(server)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn answers(&self, name: &str) -> Result<(), Trouble> {
        let trouble = |source| Trouble::Io { name: name.to_owned(), doing: "asking", source };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(trouble)?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(trouble)?;
        let end = Instant::now() + SOON;
        let mut buffer = [0; 512];
        while Instant::now() < end {
            let _ = socket.send_to(&BINDING, self.address);
            if socket.recv(&mut buffer).is_ok() {
                return Ok(());
            }
        }
        let what = "it does not answer".to_owned();
        Err(Trouble::Unexpected { name: name.to_owned(), what })
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
