//! The ways of a TCP connection to a super-peer or the authority: its known port, then 443, then
//! 80, straight or through a proxy.
//!
//! Source: DESIGN 2.2 (dial ladder); RFC 8305 (staggered starts); RFC 9110, section 9.3.6
//! (CONNECT); RFC 1928 and 1929 (SOCKS5). A firewall that lets only the web out knows no other
//! ports; a super-peer that can listens there too. What led to one leads to the next, so it is
//! tried first from then on. Invariants: one connection is left when one is made; the ports of the
//! web are tried only where the known one is slow or shut, or was in this network; a proxy's login
//! is never logged.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use zeroize::Zeroizing;

/// Pause before the next way is tried while the one before still thinks. RFC 8305, section 5, takes
/// 250 ms; our choice is more: the ways after the first are seldom needed.
const STAGGER: Duration = Duration::from_millis(500);
/// The ports of the web, which firewalls know.
const WEB: [u16; 2] = [443, 80];
/// Longest answer of a proxy that is read, in bytes.
const ANSWER_MAX: usize = 8 * 1024;

/// How connections to super-peers are made.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// Through this, if it is set.
    proxy: Option<Proxy>,
    /// What led to a super-peer last, of all who connect so.
    led: Arc<Mutex<Option<Manner>>>,
}

/// What one way has in common with those to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manner {
    is_proxied: bool,
    /// The web's port in place of the known one.
    web: Option<u16>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    login: Option<Zeroizing<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Proxy {
    /// The one that the environment names, as it does to other programs that go out by TLS.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let named = NAMES.iter().filter_map(|name| std::env::var(name).ok());
        let named = named.map(Zeroizing::new).find(|uri| !uri.is_empty())?;
        let proxy = named.parse();
        if proxy.is_err() {
            tracing::warn!("The proxy of the environment is none that Earshot can use");
        }
        proxy.ok()
    }
}

/// Why a text names no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a proxy is written http://[NAME:PASSWORD@]HOST:PORT or socks5://[NAME:PASSWORD@]HOST:PORT"
)]
pub struct NoProxy;

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(NoProxy)?;
        let kind = match scheme {
            "http" => Kind::Http,
            "socks5" | "socks5h" => Kind::Socks5,
            _ => return Err(NoProxy),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let login = login.map(|login| Zeroizing::new(login.to_owned()));
        if login.as_ref().is_some_and(|login| !login.contains(':') || login.len() > 510) {
            return Err(NoProxy);
        }
        let (host, port) = place.rsplit_once(':').ok_or(NoProxy)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port: u16 = port.parse().map_err(|_| NoProxy)?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || host.len() > 253 || port == 0 || !host.chars().all(is_host) {
            return Err(NoProxy);
        }
        Ok(Self { kind, host: host.to_owned(), port, login })
    }
}

/// Without its login.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks5 => "socks5",
        };
        match self.host.parse::<std::net::Ipv6Addr>() {
            Ok(ip) => write!(f, "{scheme}://[{ip}]:{}", self.port),
            Err(_) => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// One way to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    to: SocketAddr,
    proxy: Option<Proxy>,
    manner: Manner,
}

impl Ways {
    /// Through this proxy, if there is one.
    #[must_use]
    pub fn through(proxy: Option<Proxy>) -> Self {
        Self { proxy, led: Arc::default() }
    }

    /// In another network other ways lead.
    pub(crate) fn forget(&self) {
        *self.led() = None;
    }

    fn led(&self) -> MutexGuard<'_, Option<Manner>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to a super-peer, at either address, by the first way that works.
    ///
    /// # Errors
    /// The first way's, when none works.
    pub(crate) async fn connect(
        &self,
        to: SocketAddr,
        also: Option<SocketAddrV6>,
    ) -> io::Result<TcpStream> {
        let mut ways = self.in_order(to, also).into_iter().enumerate();
        let mut tried = JoinSet::new();
        let mut why: Option<(usize, io::Error)> = None;
        loop {
            if let Some((place, way)) = ways.next() {
                tried.spawn(async move {
                    let manner = way.manner;
                    (place, way.take().await.map(|stream| (stream, manner)))
                });
            }
            let patience = async {
                match ways.len() {
                    0 => std::future::pending().await,
                    _ => sleep(STAGGER).await,
                }
            };
            tokio::select! {
                done = tried.join_next() => match done {
                    Some(Ok((_, Ok((stream, manner))))) => {
                        if !to.ip().is_loopback() {
                            *self.led() = Some(manner);
                        }
                        return Ok(stream);
                    }
                    Some(Ok((place, Err(error)))) => {
                        let before = why.take().filter(|(first, _)| *first < place);
                        why = before.or(Some((place, error)));
                    }
                    Some(Err(stopped)) => return Err(io::Error::other(stopped)),
                    None if ways.len() == 0 => {
                        let unreached = || io::ErrorKind::NotConnected.into();
                        return Err(why.map_or_else(unreached, |(_, error)| error));
                    }
                    None => {}
                },
                () = patience => {}
            }
        }
    }

    /// What led last is first.
    fn in_order(&self, to: SocketAddr, also: Option<SocketAddrV6>) -> Vec<Way> {
        let mut ways = self.of(to, also);
        if let Some(led) = *self.led() {
            ways.sort_by_key(|way| way.manner != led);
        }
        ways
    }

    /// The best first. What is on this computer has no firewall before it.
    fn of(&self, to: SocketAddr, also: Option<SocketAddrV6>) -> Vec<Way> {
        let near = to.ip().is_loopback();
        let also = also.map(SocketAddr::V6);
        let known = [Some(to), also].into_iter().flatten();
        let is_web = |known: SocketAddr, port: u16| known.port() != port && !near;
        let at_web = WEB.into_iter().flat_map(|port| {
            let both = known.clone().filter(move |known| is_web(*known, port));
            both.map(move |known| (SocketAddr::new(known.ip(), port), Some(port)))
        });
        let places: Vec<_> = known.clone().map(|known| (known, None)).chain(at_web).collect();
        let proxy = self.proxy.as_ref().filter(|_| !near);
        let by = |proxy: Option<&Proxy>| {
            let proxy = proxy.cloned();
            let way = move |(to, web): &(SocketAddr, Option<u16>)| {
                let manner = Manner { is_proxied: proxy.is_some(), web: *web };
                Way { to: *to, proxy: proxy.clone(), manner }
            };
            places.iter().map(way)
        };
        proxy.into_iter().flat_map(|proxy| by(Some(proxy))).chain(by(None)).collect()
    }
}

impl Way {
    async fn take(self) -> io::Result<TcpStream> {
        let Some(proxy) = self.proxy else { return TcpStream::connect(self.to).await };
        let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
        let login = proxy.login.as_ref().map(|login| login.as_str());
        match proxy.kind {
            Kind::Http => connect_by_http(&mut stream, self.to, login).await?,
            Kind::Socks5 => connect_by_socks(&mut stream, self.to, login).await?,
        }
        Ok(stream)
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, what)
}

async fn connect_by_http(
    stream: &mut TcpStream,
    to: SocketAddr,
    login: Option<&str>,
) -> io::Result<()> {
    let mut request = Zeroizing::new(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n"));
    if let Some(login) = login {
        let login = Zeroizing::new(data_encoding::BASE64.encode(login.as_bytes()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&login);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Behind the answer comes nothing before we have spoken: it is read to its end and no further.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == ANSWER_MAX {
            return Err(refused("the proxy's answer has no end".to_owned()));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let is_done = words.next().is_some_and(|code| code.len() == 3 && code.starts_with('2'));
    if is_http && is_done { Ok(()) } else { Err(refused(format!("the proxy says: {line}"))) }
}

async fn connect_by_socks(
    stream: &mut TcpStream,
    to: SocketAddr,
    login: Option<&str>,
) -> io::Result<()> {
    const VERSION: u8 = 5;
    const OPEN: u8 = 0;
    const BY_PASSWORD: u8 = 2;
    let method = if login.is_some() { BY_PASSWORD } else { OPEN };
    stream.write_all(&[VERSION, 1, method]).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    if chosen != [VERSION, method] {
        return Err(refused("the proxy wants another login".to_owned()));
    }
    if let Some((name, password)) = login.and_then(|login| login.split_once(':')) {
        let mut said = Zeroizing::new(vec![1]);
        for part in [name, password] {
            said.push(u8::try_from(part.len()).map_err(io::Error::other)?);
            said.extend_from_slice(part.as_bytes());
        }
        stream.write_all(&said).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        if answer[1] != 0 {
            return Err(refused("the proxy refuses the login".to_owned()));
        }
    }
    let mut request = vec![VERSION, 1, 0];
    match to.ip() {
        IpAddr::V4(ip) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
    }
    request.extend_from_slice(&to.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        return Err(refused(format!("the proxy does not connect: {}", answer[1])));
    }
    let rest = match answer[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(refused("the proxy's answer is not SOCKS".to_owned())),
    };
    let mut address = vec![0; rest + 2];
    stream.read_exact(&mut address).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    /// An address of no computer (RFC 5737).
    const SUPER_PEER: ([u8; 4], u16) = ([192, 0, 2, 7], 4_105);

    #[test]
    fn a_proxy_is_read_and_its_password_is_not_shown() {
        let proxy: Proxy = "http://anna:secret@proxy.example:3128/".parse().expect("it is one");
        assert_eq!(format!("{proxy} {proxy:?}").matches("secret").count(), 0);
        assert_eq!(proxy.to_string(), "http://proxy.example:3128");
        let proxy: Proxy = "socks5://[fd00::1]:1080".parse().expect("it is one");
        assert_eq!(proxy.to_string(), "socks5://[fd00::1]:1080");
        for text in ["", "proxy:1", "https://p:1", "http://p", "http://p:0", "http://a b:1"] {
            assert_eq!(text.parse::<Proxy>(), Err(NoProxy), "{text}");
        }
    }

    #[test]
    fn the_known_port_comes_first_and_then_those_of_the_web() {
        let ports = |ways: &Ways, to: SocketAddr| -> Vec<(bool, u16)> {
            ways.of(to, None).into_iter().map(|way| (way.proxy.is_some(), way.to.port())).collect()
        };
        let to = SocketAddr::from(SUPER_PEER);
        let straight = [(false, 4_105), (false, 443), (false, 80)];
        assert_eq!(ports(&Ways::default(), to), straight);
        let proxied = Ways::through(Some("http://p:1".parse().expect("it is one")));
        let through = [(true, 4_105), (true, 443), (true, 80)];
        assert_eq!(ports(&proxied, to), [through, straight].concat());
        assert_eq!(ports(&proxied, ([127, 0, 0, 1], 7).into()), [(false, 7)]);
        let also = "[2a00::1]:4105".parse().expect("an address");
        let both: Vec<_> = Ways::default().of(to, Some(also)).iter().map(|way| way.to).collect();
        assert_eq!(both[..2], [to, also.into()], "the known ports of both before the web's");
        assert_eq!(both.len(), 6);
    }

    #[test]
    fn what_led_to_one_super_peer_is_tried_first_with_the_next_until_the_network_is_another() {
        let ways = Ways::through(Some("http://p:1".parse().expect("it is one")));
        *ways.clone().led() = Some(Manner { is_proxied: false, web: Some(443) });
        let order = |ways: &Ways| -> Vec<(bool, u16)> {
            let ways = ways.in_order(SUPER_PEER.into(), None).into_iter();
            ways.map(|way| (way.proxy.is_some(), way.to.port())).collect()
        };
        let all = order(&ways);
        assert_eq!((all[0], all[1], all.len()), ((false, 443), (true, 4_105), 6));
        ways.forget();
        assert_eq!(order(&ways)[0], (true, 4_105));
    }

    /// A proxy for one connection, which answers each of what it reads.
    async fn stand_in(exchange: Vec<(Vec<u8>, Vec<u8>)>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            for (wanted, answer) in exchange {
                let mut heard = vec![0; wanted.len()];
                stream.read_exact(&mut heard).await.expect("a request");
                assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(&wanted));
                stream.write_all(&answer).await.expect("it is read");
            }
            // The connection stays until the other side has gone.
            let _ = stream.read_u8().await;
        });
        address
    }

    async fn through(uri: String) -> io::Result<TcpStream> {
        let ways = Ways::through(Some(uri.parse().expect("it is one")));
        let first = ways.of(SUPER_PEER.into(), None).swap_remove(0);
        timeout(PATIENCE, first.take()).await.expect("it ends in time")
    }

    #[tokio::test]
    async fn a_proxy_of_the_web_connects_or_says_why_not() {
        let request = "CONNECT 192.0.2.7:4105 HTTP/1.1\r\nHost: 192.0.2.7:4105\r\n\
                       Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=\r\n\r\n";
        for (answer, connects) in [
            ("HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\nhello", true),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", false),
            ("SSH-2.0-OpenSSH_9\r\n\r\n", false),
        ] {
            let at = stand_in(vec![(request.into(), answer.into())]).await;
            let stream = through(format!("http://anna:secret@{at}")).await;
            match stream {
                Ok(mut stream) => {
                    assert!(connects, "{answer}");
                    let mut said = [0; 5];
                    stream.read_exact(&mut said).await.expect("what came behind is not lost");
                    assert_eq!(&said, b"hello");
                }
                Err(error) => {
                    assert!(!connects, "{answer}: {error}");
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_socks_proxy_connects_with_a_login_and_without() {
        let connect = vec![5, 1, 0, 1, 192, 0, 2, 7, 16, 9];
        let connected = vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let open = vec![(vec![5, 1, 0], vec![5, 0]), (connect.clone(), connected.clone())];
        let at = stand_in(open).await;
        assert!(through(format!("socks5://{at}")).await.is_ok());
        let login = (b"\x01\x04anna\x06secret".to_vec(), vec![1, 0]);
        let known = vec![(vec![5, 1, 2], vec![5, 2]), login.clone(), (connect, connected)];
        let at = stand_in(known).await;
        assert!(through(format!("socks5://anna:secret@{at}")).await.is_ok());
        let at = stand_in(vec![(vec![5, 1, 2], vec![5, 2]), (login.0, vec![1, 1])]).await;
        let refused = through(format!("socks5://anna:secret@{at}")).await;
        assert!(refused.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn where_every_way_is_shut_the_first_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shut = listener.local_addr().expect("it is bound");
        drop(listener);
        let error = timeout(PATIENCE, Ways::default().connect(shut, None)).await.expect("in time");
        assert!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn where_the_first_address_is_shut_the_second_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let shut = listener.local_addr().expect("it is bound");
        drop(listener);
        let listener = TcpListener::bind("[::1]:0").await.expect("a port");
        let SocketAddr::V6(also) = listener.local_addr().expect("it is bound") else {
            unreachable!("it is of IPv6")
        };
        let connected = timeout(PATIENCE, Ways::default().connect(shut, Some(also))).await;
        let stream = connected.expect("in time").expect("one of them is open");
        assert_eq!(stream.peer_addr().expect("it is connected"), also.into());
    }
}
