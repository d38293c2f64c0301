//! An HTTP proxy that opens tunnels, as an office has it where nothing else gets out.
//!
//! Source: RFC 9110, section 9.3.6 (CONNECT). Only to port 443, as such proxies are set, and only
//! to addresses, since the laboratory has no names. Invariant: a request head is at most
//! [`HEAD_MAX`] bytes, and what comes behind it is carried unread.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::LabError;
use super::namespace::Namespace;

/// Where tunnels may lead.
const PORT: u16 = 443;
/// The longest request head. Our choice: a CONNECT and the fields that clients add to it.
const HEAD_MAX: usize = 8 * 1024;

/// A proxy, which serves until the program ends.
#[derive(Debug)]
pub struct Proxy {
    opened: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens inside a namespace; what it dials, it dials from there.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn open(space: &Namespace, at: SocketAddr) -> Result<Self, LabError> {
        let listener = space.inside(|| TcpListener::bind(at))?;
        let listener = listener.map_err(|error| LabError::io("a proxy", error))?;
        let opened = Arc::<AtomicU64>::default();
        let (space, counted) = (space.clone(), Arc::clone(&opened));
        thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let (space, counted) = (space.clone(), Arc::clone(&counted));
                thread::spawn(move || serve(client, &space, &counted));
            }
        });
        Ok(Self { opened })
    }

    /// Tunnels opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

/// A client that goes, or a target that does not answer, ends the tunnel and nothing else.
fn serve(mut client: TcpStream, space: &Namespace, opened: &AtomicU64) {
    let Some(head) = head(&mut client) else { return };
    let answer = |mut client: &TcpStream, line: &str| {
        drop(client.write_all(format!("HTTP/1.1 {line}\r\n\r\n").as_bytes()));
    };
    let target = match target(&head) {
        Ok(target) => target,
        Err(refusal) => return answer(&client, refusal),
    };
    let Ok(Ok(server)) = space.inside(|| TcpStream::connect(target)) else {
        return answer(&client, "502 Bad Gateway");
    };
    answer(&client, "200 Connection established");
    opened.fetch_add(1, Ordering::Relaxed);
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || carry(from_client, to_server));
    carry(server, client);
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    drop(std::io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

/// Byte by byte: what follows the head belongs to the tunnel.
fn head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_MAX || client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn target(head: &str) -> Result<SocketAddr, &'static str> {
    let mut words = head.split_whitespace();
    if words.next() != Some("CONNECT") {
        return Err("405 Method Not Allowed");
    }
    let target = words.next().and_then(|target| target.parse::<SocketAddr>().ok());
    let target = target.ok_or("400 Bad Request")?;
    if target.port() == PORT { Ok(target) } else { Err("403 Forbidden") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tunnels_to_port_443_are_opened() {
        let asked = |line: &str| target(&format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(asked("CONNECT 5.2.0.2:443"), Ok(([5, 2, 0, 2], 443).into()));
        assert!(asked("CONNECT [2a00:2::2]:443").is_ok());
        assert_eq!(asked("CONNECT 5.2.0.2:37373"), Err("403 Forbidden"));
        assert_eq!(asked("CONNECT example.org:443"), Err("400 Bad Request"));
        assert_eq!(asked("GET http://5.2.0.2/"), Err("405 Method Not Allowed"));
    }
}
