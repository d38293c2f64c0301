//! Links: TCP connections, dialled and accepted, with a bounded queue each.
//!
//! Source: DESIGN 2.4; `earshot_proto::port::{LinkOrder, LinkEvent}`. Invariants: a machine never
//! waits for a slow link ([`QUEUE_MAX`], then [`LinkDown::Overrun`]; media is dropped before);
//! after its `Close` it hears no more of the link, and what it wrote before still goes out (for
//! [`LINGER`]).

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use earshot_proto::port::{LinkDown, LinkId, LinkOrder, Service};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::driver::news::{LinkNews, News, ResidentId};
use crate::front_door::{local_of, preface};
use crate::guests::Seat;
use crate::sockets;
use crate::upstream::Upstream;
use crate::ways::Ways;

/// Bytes that wait to be written to one link. Our choice: what six hundred buddies answer who were
/// greeted at once; a reader that is further behind than that is gone or hostile.
pub(crate) const QUEUE_MAX: usize = 1024 * 1024;
/// Bytes that may wait on a link before more media is dropped. Our choice: three seconds of a
/// relayed call, and half a second of ten.
pub(crate) const MEDIA_MAX: usize = 64 * 1024;
/// How long media may wait: what is older is no use to a jitter buffer, and is dropped.
pub(crate) const MEDIA_AGE_MAX: Duration = Duration::from_millis(200);
/// Most media that is written at once, and that the kernel holds without having sent it: what is
/// there can be dropped no more. Our choice: some 50 ms of ten calls.
const MEDIA_CHUNK: usize = 4 * 1024;
/// How long a dial may take. Our choice: connecting takes one round trip, and after two lost
/// packets (1 s, 2 s, RFC 6298) another address is the better bet; DESIGN 2.2 races several.
pub(crate) const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a closed link may go on writing what was ordered before. INTERFACES 2: a polite leave
/// takes 3 s.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// Most bytes handed to a machine at once, and written at once.
const CHUNK: usize = 16 * 1024;

type Place = (ResidentId, LinkId);
/// Held by everything that must be finished before the process may end.
pub(crate) type Alive = mpsc::Sender<Infallible>;

/// All links of the process.
pub(crate) struct Links {
    open: HashMap<Place, Link>,
    accepted: u32,
    dial_patience: Duration,
    ways: Ways,
    upstream: Upstream,
    to_loop: mpsc::Sender<News>,
    alive: Alive,
}

/// Where to dial: the address that is known, and one of IPv6 besides.
type Doors = (SocketAddr, Option<SocketAddrV6>);

struct Link {
    /// `None` after an overrun, until the machine has heard of it.
    queue: Option<mpsc::UnboundedSender<Piece>>,
    /// Bytes in `queue` and in the task's hands.
    waiting: Arc<AtomicUsize>,
    /// Dropped when the machine closes.
    _open: oneshot::Sender<Infallible>,
    task: AbortHandle,
}

/// What waits to be written.
struct Piece {
    bytes: Vec<u8>,
    /// Media: no use to anybody from then on.
    stale: Option<Instant>,
}

/// The other ends of a [`Link`].
struct Cable {
    place: Place,
    queue: mpsc::UnboundedReceiver<Piece>,
    waiting: Arc<AtomicUsize>,
    closed: oneshot::Receiver<Infallible>,
    upstream: Upstream,
    to_loop: mpsc::Sender<News>,
    _alive: Alive,
    _seat: Option<Seat>,
}

impl Links {
    pub(crate) fn new(
        (dial_patience, ways): (Duration, Ways),
        upstream: Upstream,
        to_loop: mpsc::Sender<News>,
        alive: Alive,
    ) -> Self {
        Self { open: HashMap::new(), accepted: 0, dial_patience, ways, upstream, to_loop, alive }
    }

    /// What led to others may lead to nobody now.
    pub(crate) fn in_another_network(&self) {
        self.ways.forget();
    }

    /// Takes an accepted connection over; gives its name.
    pub(crate) fn accept(
        &mut self,
        who: ResidentId,
        stream: TcpStream,
        service: Service,
        seat: Seat,
    ) -> LinkId {
        if service == Service::Relay {
            sockets::keep_fresh(&stream, MEDIA_CHUNK);
        }
        let id = LinkId::Accepted(self.accepted);
        self.accepted = self.accepted.wrapping_add(1);
        self.plug((who, id), Some(seat), |cable| async move { cable.carry(stream).await });
        id
    }

    /// Carries out an order; says why the link is down where that shows at once.
    pub(crate) fn order(
        &mut self,
        who: ResidentId,
        id: LinkId,
        order: LinkOrder,
    ) -> Option<LinkDown> {
        match order {
            LinkOrder::Dial { to, also, service } => {
                let (patience, ways) = (self.dial_patience, self.ways.clone());
                self.plug((who, id), None, move |cable| {
                    cable.dial((to, also), service, patience, ways)
                });
                None
            }
            LinkOrder::Bytes(bytes) => self.write((who, id), bytes),
            LinkOrder::Media(bytes) => {
                self.write_media((who, id), bytes);
                None
            }
            LinkOrder::Close => {
                self.open.remove(&(who, id));
                None
            }
        }
    }

    /// Whether the machine still has this link.
    pub(crate) fn is_open(&self, who: ResidentId, id: LinkId) -> bool {
        self.open.contains_key(&(who, id))
    }

    /// Forgets a link that is down.
    pub(crate) fn forget(&mut self, who: ResidentId, id: LinkId) {
        self.open.remove(&(who, id));
    }

    /// Closes all links of a machine that leaves.
    pub(crate) fn close_all_of(&mut self, who: ResidentId) {
        self.open.retain(|(owner, _), _| *owner != who);
    }

    fn write(&mut self, place: Place, bytes: Vec<u8>) -> Option<LinkDown> {
        let link = self.open.get_mut(&place)?;
        let queue = link.queue.as_ref()?;
        let length = bytes.len();
        if link.waiting.fetch_add(length, Ordering::Relaxed) + length > QUEUE_MAX {
            link.task.abort();
            link.queue = None;
            return Some(LinkDown::Overrun);
        }
        // A task that has ended has also sent why; the machine will read it next.
        let _ = queue.send(Piece { bytes, stale: None });
        None
    }

    fn write_media(&self, place: Place, bytes: Vec<u8>) {
        let Some(link) = self.open.get(&place) else { return };
        let Some(queue) = &link.queue else { return };
        let length = bytes.len();
        if link.waiting.load(Ordering::Relaxed) + length <= MEDIA_MAX {
            link.waiting.fetch_add(length, Ordering::Relaxed);
            let _ = queue.send(Piece { bytes, stale: Some(Instant::now() + MEDIA_AGE_MAX) });
        }
    }

    fn plug<F>(&mut self, place: Place, seat: Option<Seat>, work: impl FnOnce(Cable) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (queue, queued) = mpsc::unbounded_channel();
        let (open, closed) = oneshot::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let cable = Cable {
            place,
            queue: queued,
            waiting: Arc::clone(&waiting),
            closed,
            upstream: self.upstream.clone(),
            to_loop: self.to_loop.clone(),
            _alive: self.alive.clone(),
            _seat: seat,
        };
        let task = tokio::spawn(work(cable)).abort_handle();
        self.open.insert(place, Link { queue: Some(queue), waiting, _open: open, task });
    }
}

impl Cable {
    async fn dial(self, to: Doors, service: Service, patience: Duration, ways: Ways) {
        match timeout(patience, connect(to, service, &ways)).await {
            Ok(Ok(stream)) => {
                let Ok(local) = local_of(&stream) else {
                    return self.tell(LinkNews::Down(LinkDown::Broken)).await;
                };
                self.tell(LinkNews::Connected { local }).await;
                self.carry(stream).await;
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.tell(LinkNews::Down(LinkDown::Refused)).await;
            }
            Ok(Err(_)) | Err(_) => self.tell(LinkNews::Down(LinkDown::Unreachable)).await,
        }
    }

    async fn carry(mut self, mut stream: TcpStream) {
        // A connection that is gone already is noticed by reading.
        let to = stream.peer_addr().ok();
        let (mut reader, mut writer) = stream.split();
        let (place, to_loop, upstream) = (self.place, self.to_loop.clone(), self.upstream.clone());
        let sent = |bytes| {
            if let Some(to) = to {
                upstream.sent(Instant::now(), to, bytes);
            }
        };
        let down = tokio::select! {
            down = read(&mut reader, place, &to_loop) => down,
            written = write(&mut writer, &mut self.queue, &self.waiting, sent) => match written {
                // The machine closed and all is written.
                Ok(()) => return hang_up(&mut reader, &mut writer).await,
                Err(_) => LinkDown::Broken,
            },
            () = overdue(&mut self.closed) => return,
        };
        self.tell(LinkNews::Down(down)).await;
    }

    async fn tell(&self, news: LinkNews) {
        let (who, id) = self.place;
        // The loop is gone only when the process stops.
        let _ = self.to_loop.send(News::Link(who, id, news)).await;
    }
}

async fn connect((to, also): Doors, service: Service, ways: &Ways) -> io::Result<TcpStream> {
    let mut stream = match service {
        Service::SuperPeer | Service::Authority => ways.connect(to, also).await?,
        // Whoever dials a peer back, or a buddy, wants to know of this very port.
        Service::Peer | Service::Nearby | Service::Relay => TcpStream::connect(to).await?,
    };
    stream.set_nodelay(true)?;
    if let Some(preface) = preface(service) {
        stream.write_all(&preface).await?;
    }
    Ok(stream)
}

/// Reads until the link is down. Holds no buffer while nothing comes.
async fn read(reader: &mut ReadHalf<'_>, place: Place, to_loop: &mpsc::Sender<News>) -> LinkDown {
    loop {
        if reader.readable().await.is_err() {
            return LinkDown::Broken;
        }
        match read_now(reader) {
            Ok(bytes) if bytes.is_empty() => return LinkDown::Closed,
            Ok(bytes) => {
                let news = News::Link(place.0, place.1, LinkNews::Bytes(bytes));
                // When the loop is full this waits, and TCP makes the other side wait.
                if to_loop.send(news).await.is_err() {
                    return LinkDown::Broken;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return LinkDown::Broken,
        }
    }
}

fn read_now(reader: &ReadHalf<'_>) -> io::Result<Vec<u8>> {
    let mut chunk = [0; CHUNK];
    let length = reader.try_read(&mut chunk)?;
    Ok(chunk[..length].to_vec())
}

/// Writes until the machine closes and nothing is left. What has gathered goes out in one piece.
async fn write(
    writer: &mut WriteHalf<'_>,
    queue: &mut mpsc::UnboundedReceiver<Piece>,
    waiting: &AtomicUsize,
    sent: impl Fn(usize),
) -> io::Result<()> {
    let dropped = |length: usize| _ = waiting.fetch_sub(length, Ordering::Relaxed);
    while let Some(first) = queue.recv().await {
        let most = if first.stale.is_some() { MEDIA_CHUNK } else { CHUNK };
        let mut bytes = first.fresh().unwrap_or_else(|length| {
            dropped(length);
            Vec::new()
        });
        while bytes.len() < most
            && let Ok(more) = queue.try_recv()
        {
            match more.fresh() {
                Ok(more) => bytes.extend_from_slice(&more),
                Err(length) => dropped(length),
            }
        }
        writer.write_all(&bytes).await?;
        sent(bytes.len());
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    Ok(())
}

impl Piece {
    /// Its bytes, if they are still of use; else how many they are.
    fn fresh(self) -> Result<Vec<u8>, usize> {
        let is_stale = self.stale.is_some_and(|stale| stale <= Instant::now());
        if is_stale { Err(self.bytes.len()) } else { Ok(self.bytes) }
    }
}

/// Says that nothing more comes, and reads what the other side still says: closing with unread
/// bytes would reset the connection and could take our last words with it (RFC 9293, section 3.6;
/// RFC 1122, 4.2.2.13).
async fn hang_up(reader: &mut ReadHalf<'_>, writer: &mut WriteHalf<'_>) {
    if writer.shutdown().await.is_err() {
        return;
    }
    let drained = async {
        while reader.readable().await.is_ok() {
            match read_now(reader) {
                Ok(bytes) if bytes.is_empty() => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // Who does not hang up too is left.
    let _ = timeout(LINGER, drained).await;
}

/// Ends when the machine has closed the link and [`LINGER`] has passed.
async fn overdue(closed: &mut oneshot::Receiver<Infallible>) {
    let _ = closed.await;
    sleep(LINGER).await;
}
