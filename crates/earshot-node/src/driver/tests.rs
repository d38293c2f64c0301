//! Stories of whole processes over loopback: links, datagrams, relay ports, records, deadlines.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::port::{
    LinkDown, LinkId, LinkOrder, Output, RelayPortId, RelayPortOrder, SaveFailure, SaveId, Service,
    Transmit,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::guests::GuestLimits;
use crate::links::QUEUE_MAX;
use crate::puppet::{Heard, PATIENCE, Stage, bytes, close, dial, on_loopback};

async fn accepted(stage: &mut Stage) -> LinkId {
    let heard = stage.hears().await;
    let Heard::Accepted(id, from, Service::SuperPeer) = heard else {
        panic!("not accepted: {heard:?}");
    };
    assert!(from.ip().is_loopback());
    id
}

/// All that comes until the other side hangs up.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is a hang-up, too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it hangs up in time");
    rest
}

#[tokio::test]
async fn two_processes_talk_and_one_hangs_up() {
    let (mut alice, mut bob) = (Stage::new().await, Stage::new().await);
    let up = alice.dial(7, bob.address()).await;
    let down = accepted(&mut bob).await;
    alice.order([bytes(up, b"hello")]).await;
    assert_eq!(bob.hears().await, Heard::Bytes(down, b"hello".to_vec()));
    bob.order([bytes(down, b"good day")]).await;
    assert_eq!(alice.hears().await, Heard::Bytes(up, b"good day".to_vec()));
    alice.order([close(up)]).await;
    assert_eq!(bob.hears().await, Heard::Down(down, LinkDown::Closed));
}

#[tokio::test]
async fn what_was_written_before_the_connection_stands_goes_out_first() {
    let (mut alice, mut bob) = (Stage::new().await, Stage::new().await);
    let up = LinkId::Dialled(1);
    alice.order([dial(up, bob.address()), bytes(up, b"early"), close(up)]).await;
    let down = accepted(&mut bob).await;
    assert_eq!(bob.hears().await, Heard::Bytes(down, b"early".to_vec()));
    assert_eq!(bob.hears().await, Heard::Down(down, LinkDown::Closed));
    // Alice closed: she hears no more of it, only what was asked after.
    alice.order([Output::Notify(Heard::Said("quiet"))]).await;
    assert_eq!(alice.hears().await, Heard::Said("quiet"));
}

#[tokio::test]
async fn nobody_listens_there() {
    let mut alice = Stage::new().await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let id = LinkId::Dialled(1);
    alice.order([dial(id, address)]).await;
    assert_eq!(alice.hears().await, Heard::Down(id, LinkDown::Refused));
}

/// A listener whose queue is full: to whom else dials, the kernel does not answer.
async fn never_answering() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
        .and_then(|socket| {
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
            socket.listen(1)?;
            Ok(socket)
        })
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound").as_socket().expect("it is IPv4");
    let mut waiting = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(connected) = timeout(short, TcpStream::connect(address)).await {
        waiting.push(connected.expect("there is room"));
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn a_dial_that_nobody_answers_ends() {
    let (_listener, _waiting, address) = never_answering().await;
    let mut settings = on_loopback();
    settings.dial_patience = Duration::from_millis(50);
    let mut alice = Stage::with(settings, &[]).await;
    let id = LinkId::Dialled(1);
    alice.order([dial(id, address)]).await;
    assert_eq!(alice.hears().await, Heard::Down(id, LinkDown::Unreachable));
}

#[tokio::test]
async fn who_does_not_read_is_left() {
    let mut alice = Stage::new().await;
    let deaf = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let id = alice.dial(1, deaf.local_addr().expect("it is bound")).await;
    let piece = vec![0; 64 * 1024];
    let pieces = QUEUE_MAX / piece.len() + 1;
    alice.order((0..pieces).map(|_| bytes(id, &piece))).await;
    assert_eq!(alice.hears().await, Heard::Down(id, LinkDown::Overrun));
}

#[tokio::test]
async fn a_full_queue_still_goes_out_after_the_close() {
    let mut alice = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let id = alice.dial(1, listener.local_addr().expect("it is bound")).await;
    alice.order([bytes(id, &vec![7; QUEUE_MAX]), close(id)]).await;
    let (mut bob, _) = listener.accept().await.expect("alice has dialled");
    let heard = rest(&mut bob).await;
    assert_eq!(&heard[..4], b"ES\x01\x01");
    assert!(heard.len() == 4 + QUEUE_MAX && heard[4..].iter().all(|&byte| byte == 7));
}

#[tokio::test]
async fn a_connection_for_nobody_here_is_dropped() {
    let house = Stage::with(on_loopback(), &[Service::SuperPeer]).await;
    for preface in [b"ES\x01\x09", b"ES\x02\x01", b"GET ", b"ES\x01\x02"] {
        let mut guest = TcpStream::connect(house.address()).await.expect("the door is open");
        guest.write_all(preface).await.expect("the door listens");
        assert!(rest(&mut guest).await.is_empty());
    }
}

#[tokio::test]
async fn a_relays_client_is_known_by_its_first_byte_and_none_of_it_is_lost() {
    let services = [Service::SuperPeer, Service::Relay];
    let mut house = Stage::with(on_loopback(), &services).await;
    let mut client = TcpStream::connect(house.address()).await.expect("the door is open");
    client.write_all(b"\0").await.expect("the door listens");
    let heard = house.hears().await;
    let Heard::Accepted(id, _, Service::Relay) = heard else { panic!("not accepted: {heard:?}") };
    assert_eq!(house.hears().await, Heard::Bytes(id, vec![0]));
    client.write_all(&[1, 0, 0]).await.expect("the relay listens");
    assert_eq!(house.hears().await, Heard::Bytes(id, vec![1, 0, 0]));
    house.order([Output::Link(id, LinkOrder::Media(vec![7; 12])), close(id)]).await;
    assert_eq!(rest(&mut client).await, [7; 12]);
}

#[tokio::test]
async fn media_for_a_slow_reader_is_dropped_whole_and_the_link_stays() {
    let mut house = Stage::with(on_loopback(), &[Service::Relay]).await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be made");
    socket.set_recv_buffer_size(8 * 1024).expect("it can be small");
    let mut client = socket.connect(house.address()).await.expect("the door is open");
    client.write_all(b"\0").await.expect("the door listens");
    let Heard::Accepted(id, ..) = house.hears().await else { panic!("not accepted") };
    assert_eq!(house.hears().await, Heard::Bytes(id, vec![0]));
    // Each message is full of its own number, so that half a one would show.
    const MESSAGE: usize = 1000;
    let messages = (0..=u8::MAX).cycle().take(4 * QUEUE_MAX / MESSAGE);
    house.order(messages.map(|n| Output::Link(id, LinkOrder::Media(vec![n; MESSAGE])))).await;
    house.order([bytes(id, b"still here"), close(id)]).await;
    let heard = rest(&mut client).await;
    let (media, last) = heard.split_at(heard.len() - 10);
    assert_eq!(last, b"still here");
    assert!(media.len() < QUEUE_MAX, "{} bytes waited", media.len());
    assert_eq!(media.len() % MESSAGE, 0);
    for message in media.chunks(MESSAGE) {
        assert!(message.iter().all(|byte| *byte == message[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_what_it_wants_is_dropped() {
    let mut house = Stage::new().await;
    let mut slow = TcpStream::connect(house.address()).await.expect("the door is open");
    slow.write_all(b"ES\x01").await.expect("the door listens");
    let start = tokio::time::Instant::now();
    assert!(rest(&mut slow).await.is_empty());
    assert!(start.elapsed() >= crate::front_door::PREFACE_PATIENCE);
    house.order([Output::Notify(Heard::Said("undisturbed"))]).await;
    assert_eq!(house.hears().await, Heard::Said("undisturbed"));
}

#[tokio::test]
async fn one_address_cannot_fill_the_house() {
    let mut settings = on_loopback();
    settings.guests = GuestLimits { address_max: 1, ..GuestLimits::default() };
    let mut house = Stage::with(settings, &[Service::SuperPeer]).await;
    let mut first = TcpStream::connect(house.address()).await.expect("the door is open");
    first.write_all(b"ES\x01\x01").await.expect("the door listens");
    let id = accepted(&mut house).await;
    let mut second = TcpStream::connect(house.address()).await.expect("the door is open");
    assert!(rest(&mut second).await.is_empty());
    drop(first);
    assert_eq!(house.hears().await, Heard::Down(id, LinkDown::Closed));
    // The seat is free again once the link's task has ended.
    let third = async {
        loop {
            let mut third = TcpStream::connect(house.address()).await.expect("the door is open");
            let _ = third.write_all(b"ES\x01\x01").await;
            let mut one = [0];
            let turned_away = tokio::select! {
                _ = third.read(&mut one) => true,
                _ = accepted(&mut house) => false,
            };
            if !turned_away {
                return;
            }
        }
    };
    timeout(PATIENCE, third).await.expect("a seat becomes free");
}

#[tokio::test]
async fn two_machines_share_one_port() {
    let mut directory = Stage::with(on_loopback(), &[Service::SuperPeer]).await;
    let mut authority = Stage::house(&directory.driver, &[Service::Authority]).await;
    assert_eq!(authority.hears().await, Heard::Clock);
    let mut guest = TcpStream::connect(directory.address()).await.expect("the door is open");
    guest.write_all(b"ES\x01\x02").await.expect("the door listens");
    let heard = authority.hears().await;
    assert!(matches!(heard, Heard::Accepted(_, _, Service::Authority)), "{heard:?}");
    let id = directory.dial(1, directory.address()).await;
    assert_ne!(accepted(&mut directory).await, id);
}

#[tokio::test]
async fn datagrams_come_and_go_on_the_same_number() {
    let (mut alice, bob) = (Stage::new().await, Stage::new().await);
    let transmit = Transmit { to: alice.address(), bytes: b"ping".to_vec() };
    bob.order([Output::Send(transmit)]).await;
    assert_eq!(alice.hears().await, Heard::Datagram(bob.address(), b"ping".to_vec()));
}

#[tokio::test]
async fn a_machine_is_called_at_its_deadline_and_not_before() {
    let mut alice = Stage::new().await;
    let set = alice.puppet.call(|puppet, now| {
        let deadline = now + Duration::from_millis(50);
        puppet.deadline = Some(deadline);
        deadline
    });
    let deadline = set.await.expect("the loop runs");
    assert_eq!(alice.hears().await, Heard::Timeout);
    assert!(std::time::Instant::now() >= deadline);
}

#[tokio::test]
async fn a_record_is_reported_safe_or_lost() {
    let mut alice = Stage::new().await;
    alice.order([Output::Save(SaveId(1), 1), Output::Save(SaveId(2), 2)]).await;
    assert_eq!(alice.hears().await, Heard::Saved(SaveId(1)));
    assert_eq!(alice.hears().await, Heard::NotSaved(SaveId(2), SaveFailure::Broken));
}

#[tokio::test]
async fn a_machine_that_leaves_takes_its_links_along() {
    let (mut alice, mut bob) = (Stage::new().await, Stage::new().await);
    let up = alice.dial(1, bob.address()).await;
    let down = accepted(&mut bob).await;
    alice.order([bytes(up, b"bye")]).await;
    alice.puppet.clone().leave().await.expect("the loop runs");
    assert_eq!(bob.hears().await, Heard::Bytes(down, b"bye".to_vec()));
    assert_eq!(bob.hears().await, Heard::Down(down, LinkDown::Closed));
    assert!(alice.puppet.call(|_, _| ()).await.is_err(), "it is no longer there");
}

#[tokio::test]
async fn stopping_lets_the_last_words_out_and_frees_the_port() {
    let mut alice = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let id = alice.dial(1, listener.local_addr().expect("it is bound")).await;
    let (mut bob, _) = listener.accept().await.expect("alice has dialled");
    alice.order([bytes(id, &vec![7; QUEUE_MAX])]).await;
    let address = alice.address();
    let listen = async move { rest(&mut bob).await.len() };
    let (heard, ()) = tokio::join!(listen, alice.driver.clone().stop());
    assert_eq!(heard, 4 + QUEUE_MAX);
    assert!(alice.puppet.call(|_, _| ()).await.is_err());
    UdpSocket::bind(address).await.expect("the port is free again");
}

#[tokio::test]
async fn a_relay_port_sends_receives_and_closes() {
    let mut relay = Stage::new().await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let peer_address = peer.local_addr().expect("it is bound");
    let id = RelayPortId(3);
    relay.order([Output::RelayPort(id, RelayPortOrder::Open { ipv6: false, even: false })]).await;
    let Heard::Opened(opened, address) = relay.hears().await else { panic!("not opened") };
    assert_eq!(opened, id);
    let transmit = Transmit { to: peer_address, bytes: b"there".to_vec() };
    relay.order([Output::RelayPort(id, RelayPortOrder::Send(transmit))]).await;
    let mut buffer = [0; 16];
    let received = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.expect("it comes in time");
    assert_eq!(received.expect("the socket works"), (5, address));
    peer.send_to(b"back", address).await.expect("the socket works");
    assert_eq!(relay.hears().await, Heard::Relayed(id, peer_address, b"back".to_vec()));
    relay.order([Output::RelayPort(id, RelayPortOrder::Close)]).await;
    let rebound = async {
        while UdpSocket::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, rebound).await.expect("the port is given back");
}

#[tokio::test]
async fn relay_ports_stay_within_their_range() {
    let range = {
        // Two neighbours that are free now.
        let one: UdpSocket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let port = one.local_addr().expect("it is bound").port().min(u16::MAX - 1);
        port..=port + 1
    };
    let mut settings = on_loopback();
    settings.relay_ports = Some(range.clone());
    settings.public = Some(([203, 0, 113, 9], 4).into());
    let mut relay = Stage::with(settings, &[]).await;
    let order = RelayPortOrder::Open { ipv6: false, even: false };
    let open = |id| Output::RelayPort(RelayPortId(id), order.clone());
    relay.order([open(0), open(1), open(2)]).await;
    let mut seen = Vec::<SocketAddr>::new();
    let mut refused = 0;
    for _ in 0..3 {
        let heard = relay.hears().await;
        if let Heard::Opened(_, address) = heard {
            seen.push(address);
        } else {
            assert!(matches!(heard, Heard::NotOpened(_)), "{heard:?}");
            refused += 1;
        }
    }
    assert!(refused >= 1, "two ports cannot serve three");
    assert!(seen.iter().all(|address| range.contains(&address.port())));
    assert!(
        seen.iter().all(|address| address.ip() == std::net::Ipv4Addr::new(203, 0, 113, 9)),
        "as others see it"
    );
}

#[tokio::test]
async fn a_relay_port_that_must_be_even_is() {
    let range = 40_001..=40_400;
    for ports in [None, Some(range)] {
        let mut settings = on_loopback();
        settings.relay_ports = ports;
        let mut relay = Stage::with(settings, &[]).await;
        for id in 0..64 {
            let order = RelayPortOrder::Open { ipv6: false, even: true };
            relay.order([Output::RelayPort(RelayPortId(id), order)]).await;
            let Heard::Opened(_, address) = relay.hears().await else { panic!("not opened") };
            assert_eq!(address.port() % 2, 0);
        }
    }
}

#[tokio::test]
async fn what_a_job_says_comes_before_what_comes_of_it() {
    let mut alice = Stage::new().await;
    for _ in 0..100 {
        alice.order([Output::Notify(Heard::Said("one")), Output::Notify(Heard::Said("two"))]).await;
        assert_eq!(alice.hears().await, Heard::Said("one"));
        assert_eq!(alice.hears().await, Heard::Said("two"));
    }
}
