//! The machine: the real super-peer, and what stands between it and the world.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most messages concern no vice: they pass as they are"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::{NodeId, UserName};
use earshot_proto::port::{
    Input, LinkDown, LinkEvent, LinkId, LinkOrder, Machine, Output, Service, WaitReason,
};
use earshot_proto::questions::epoch_of;
use earshot_proto::secure::identity::LinkKey;
use earshot_proto::secure::link::{Expect, LinkError, Welcome};
use earshot_proto::secure::links::{Closed, LinkNews, Links, Who};
use earshot_proto::secure::questions::{Answerer, Asked, Heard, Load};
use earshot_proto::secure::registration::Checked;
use earshot_proto::super_peer::keeper::Keeper;
use earshot_proto::super_peer::{Notice, Record, SuperPeer};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::bounded::List;
use earshot_proto::wire::certificate::{Signed, Statement};
use earshot_proto::wire::directory::{Directory, Entry, NodeEntry, Trail};
use earshot_proto::wire::enrolment::Enrolment;
use earshot_proto::wire::forward::{Address, Forward};
use earshot_proto::wire::frame::{Frame, Message};
use earshot_proto::wire::invite::Door;
use earshot_proto::wire::posting::Postings;
use earshot_proto::wire::question::FIRST_BYTES;
use earshot_proto::wire::ring::{Question, Reply};

use super::bridge::{Bridge, Late};
use super::league::League;
use super::lies::{Fate, Vice};

/// Questions of the adversary's own are numbered from here on: their answers are not passed on.
pub(super) const OWN_ASKS: u32 = 0xF000_0000;
/// How often an active adversary does something.
const MISCHIEF_EVERY: Duration = Duration::from_secs(1);

/// A hostile super-peer.
pub struct Adversary {
    inner: SuperPeer,
    pub(super) vice: Vice,
    pub(super) league: Rc<RefCell<League>>,
    key: LinkKey,
    address: SocketAddr,
    started: (Instant, UnixTime),
    secrets: Stream,
    /// The node, as the world meets it.
    pub(super) outer: Links,
    pub(super) bridges: Vec<Bridge>,
    answerer: Option<Answerer>,
    own: Option<Signed<Statement>>,
    statements: BTreeMap<NodeId, Signed<Statement>>,
    /// What was put here, so that questions in datagrams can be answered truly.
    kept: Keeper,
    /// Whom a flooder may address.
    pub(super) heard_of: Vec<Address>,
    late: Vec<Late>,
    late_answers: Vec<(Instant, Asked)>,
    next_mischief: Option<Instant>,
    inner_wait: Option<Instant>,
    pub(super) asks: u32,
    pub(super) out: VecDeque<Output<Notice, Record>>,
}

impl Adversary {
    /// Bends `inner`, which is at `address` with this link key; `now` is both of its clocks.
    #[must_use]
    pub fn new(
        inner: SuperPeer,
        vice: Vice,
        league: Rc<RefCell<League>>,
        (address, link): (SocketAddr, [u8; 32]),
        now: (Instant, UnixTime),
        seed: [u8; 32],
    ) -> Self {
        let key = || LinkKey::from_secret(&link);
        let mut secrets = Entropy::new(seed).secrets;
        let welcomes = vec![(Service::SuperPeer, Welcome::Guests)];
        let root = league.borrow().root();
        Self {
            inner,
            vice,
            outer: Links::new(key(), Some(root), welcomes, secrets.split()),
            league,
            key: key(),
            address,
            started: now,
            secrets,
            bridges: Vec::new(),
            answerer: None,
            own: None,
            statements: BTreeMap::new(),
            kept: Keeper::default(),
            heard_of: Vec::new(),
            late: Vec::new(),
            late_answers: Vec::new(),
            next_mischief: vice.is_active().then_some(now.0 + MISCHIEF_EVERY),
            inner_wait: None,
            asks: OWN_ASKS,
            out: VecDeque::new(),
        }
    }

    /// Begins, once it is told how it was enrolled, if it was.
    #[must_use]
    pub fn begun(mut self, now: Instant) -> Self {
        self.turn(now);
        self
    }

    /// The machine within.
    #[must_use]
    pub const fn inner(&self) -> &SuperPeer {
        &self.inner
    }

    /// The same, for its owner's orders.
    pub const fn inner_mut(&mut self) -> &mut SuperPeer {
        &mut self.inner
    }

    /// It was enrolled before, with this.
    pub fn enrolled(&mut self, now: Instant, record: &earshot_proto::super_peer::EnrolmentRecord) {
        self.outer.certify(record.chain.clone());
        self.own.clone_from(&record.chain.holder);
        if let Some(epoch) = record.epochs.first() {
            let key = LinkKey::from_secret(&self.key.secret());
            let root = self.league.borrow().root();
            let secrets = self.secrets.split();
            self.answerer = Some(Answerer::new(now, key, &root, epoch_of(epoch), secrets));
        }
    }

    pub(super) fn wall(&self, now: Instant) -> UnixTime {
        self.started.1.plus(now.saturating_duration_since(self.started.0))
    }

    fn me(&self) -> NodeEntry {
        let node = self.inner.ring().me().node;
        NodeEntry { node, address: self.address, key: self.key.public() }
    }

    fn at_outside(&mut self, link: LinkId) -> Option<&mut Bridge> {
        self.bridges.iter_mut().find(|bridge| bridge.outside == link)
    }

    fn at_inside(&mut self, link: LinkId) -> Option<&mut Bridge> {
        self.bridges.iter_mut().find(|bridge| bridge.inside == link)
    }

    /// Something happened on a link of the node's.
    fn link_event(&mut self, now: Instant, link: LinkId, event: LinkEvent<'_>) {
        if let Some(bridge) = self.bridges.iter().find(|b| b.outside == link && b.is_raw) {
            let inside = bridge.inside;
            if matches!(event, LinkEvent::Down(_)) {
                self.bridges.retain(|bridge| bridge.outside != link);
            }
            return self.inner.handle(now, Input::Link(inside, event));
        }
        if matches!(event, LinkEvent::Accepted { .. }) {
            self.bridges.push(Bridge::new(link, link));
        }
        let wall = self.wall(now);
        for news in self.outer.handle(now, wall, link, event) {
            self.outer_news(now, link, news);
        }
    }

    fn outer_news(&mut self, now: Instant, link: LinkId, news: LinkNews) {
        match news {
            LinkNews::Opened(who, _) => self.opened(now, link, &who),
            LinkNews::Frame(frame) => self.said_to_us(now, link, frame),
            LinkNews::Closed(why) => {
                let bridge = self.bridges.iter_mut().find(|bridge| bridge.outside == link);
                let Some(bridge) = bridge else { return };
                let is_candidate = matches!(why, Closed::Error(LinkError::NoCertificate));
                if let Some(entry) = bridge.dialled.take().filter(|_| is_candidate) {
                    let (to, expect) = (entry.address, Expect::Uncertified(entry.key));
                    bridge.outside = self.outer.dial(now, to, Service::SuperPeer, expect);
                    return;
                }
                let inside = bridge.inside;
                self.bridges.retain(|bridge| bridge.outside != link);
                let down = LinkEvent::Down(LinkDown::Closed);
                self.inner.handle(now, Input::Link(inside, down));
            }
        }
    }

    /// It is known who is at the other end: they are played towards the machine.
    fn opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        let (wall, me, secrets) = (self.wall(now), self.me(), self.secrets.split());
        let from = self.outer.remote_address(link).unwrap_or(self.address);
        let statement = self.outer.statement(link).cloned();
        let league = Rc::clone(&self.league);
        let mut league = league.borrow_mut();
        let root = league.root();
        let mut mask = league.mask(who, wall);
        let other = match who {
            Who::Node(entry) => {
                let Some(key) = league.node_key(&entry.address) else { return };
                let Some(statement) = statement else { return };
                self.statements.insert(entry.node, statement.clone());
                mask = (key, Some(league.chain_of(statement)));
                *entry
            }
            Who::Device { address, .. } => {
                self.heard_of.push(address.clone());
                me
            }
            Who::Guest(_) | Who::Authority => {
                if let (LinkId::Dialled(_), Some(key)) = (link, league.node_key(&from)) {
                    mask = (key, None);
                }
                me
            }
        };
        drop(league);
        let Some(bridge) = self.at_outside(link) else { return };
        let inside = bridge.inside;
        let event = match link {
            LinkId::Accepted(_) => {
                bridge.dial(now, &me, root, mask, secrets);
                LinkEvent::Accepted { from, service: Service::SuperPeer }
            }
            LinkId::Dialled(_) => {
                bridge.accept(now, wall, &other, root, mask, secrets);
                LinkEvent::Connected { local: me.address }
            }
        };
        bridge.connected(now, wall, &me);
        self.inner.handle(now, Input::Link(inside, event));
    }

    /// A frame came to the node.
    fn said_to_us(&mut self, now: Instant, link: LinkId, frame: Frame) {
        let Frame { ask, message } = frame;
        if ask >= OWN_ASKS && is_answer(&message) {
            return;
        }
        self.learn(now, link, &message);
        match self.fate(now, &message) {
            Fate::Pass => {
                if let Some(bridge) = self.at_outside(link) {
                    bridge.say(now, Frame { ask, message });
                }
            }
            Fate::Drop => {}
            Fate::Later(after) => {
                if let Some(bridge) = self.bridges.iter().find(|b| b.outside == link) {
                    let inside = bridge.inside;
                    self.late.push(Late { at: now + after, inside, ask, message });
                }
            }
            Fate::Answer(answer) => {
                if ask != 0 {
                    self.outer.send(now, link, ask, *answer);
                }
            }
        }
    }

    fn fate(&self, now: Instant, message: &Message) -> Fate {
        let density = self.inner.ring().density();
        let mut league = self.league.borrow_mut();
        let fate = self.vice.fate(&mut league, self.wall(now), density, message);
        league.misdeeds += u64::from(!matches!(fate, Fate::Pass));
        fate
    }

    /// What the league keeps of what goes by.
    fn learn(&mut self, now: Instant, link: LinkId, message: &Message) {
        let (registration, location, home) = match message {
            Message::Directory(Directory::Put { registration, location, home }) => {
                (registration, location, *home)
            }
            Message::Directory(Directory::Attach { registration, location }) => {
                (registration, location, Some(self.me()))
            }
            Message::Postings(
                Postings::Post { posting, .. } | Postings::PostForMe { posting, .. },
            ) => return self.league.borrow_mut().saw_posting(posting.clone()),
            _ => return,
        };
        let (wall, root) = (self.wall(now), self.league.borrow().root());
        if self.outer.who(link).is_none() {
            return;
        }
        let Ok(checked) = Checked::new(registration.clone(), &root, wall) else { return };
        let Address { user, device } = checked.address.clone();
        let entry =
            Entry { device, registration: registration.clone(), location: location.clone(), home };
        self.league.borrow_mut().saw(user, entry);
        // Refused as stale: what is held already is newer.
        let _ = self.kept.put(checked, location.clone(), home, wall);
    }

    /// A datagram came.
    fn datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let is_question = bytes.first().is_some_and(|first| FIRST_BYTES.contains(first));
        let answerer = self.answerer.as_mut().filter(|_| is_question);
        match answerer.map(|answerer| answerer.handle(now, from, bytes, Load::Light)) {
            Some(Heard::Question(asked)) => self.asked(now, asked),
            Some(Heard::Reply(transmit)) => self.out.push_back(Output::Send(transmit)),
            Some(Heard::Nothing) | None => self.inner.handle(now, Input::Datagram { from, bytes }),
        }
    }

    fn asked(&mut self, now: Instant, asked: Asked) {
        let Ok(Frame { message, .. }) = Frame::from_bytes(asked.question()) else { return };
        match self.fate(now, &message) {
            Fate::Pass => {
                let answer = self.truth(now, message);
                self.answer(now, asked, answer);
            }
            Fate::Drop => {}
            Fate::Later(after) => self.late_answers.push((now + after, asked)),
            Fate::Answer(answer) => self.answer(now, asked, *answer),
        }
    }

    fn answer(&mut self, now: Instant, asked: Asked, message: Message) {
        let bytes = Frame { ask: 0, message: shortened(message) }.to_bytes();
        let sent = self.answerer.as_mut().and_then(|a| a.answer(now, asked, &bytes));
        self.out.extend(sent.map(Output::Send));
    }

    /// What the machine would answer to a question in a datagram.
    fn truth(&self, now: Instant, question: Message) -> Message {
        match question {
            Message::RingQuestion(Question::Nearest { key, width }) => {
                self.inner.ring().nearest(&key, usize::from(width.min(8))).into_reply().into()
            }
            Message::Directory(Directory::Find { user }) => self.found(now, &user).into(),
            Message::Enrolment(Enrolment::CertificatesOf { nodes }) => {
                let me = self.inner.ring().me().node;
                let of = |node: &NodeId| match *node == me {
                    true => self.own.clone(),
                    false => self.statements.get(node).cloned(),
                };
                let statements = List::first_of(nodes.iter().filter_map(of).take(3));
                Enrolment::Certificates { statements }.into()
            }
            _ => Reply::Outside.into(),
        }
    }

    fn found(&self, now: Instant, user: &UserName) -> Directory {
        match self.kept.find(user, self.wall(now)) {
            Some(entries) => Directory::Found { entries, trail: Trail::HERE },
            None => Directory::NotHere { trail: Trail::HERE },
        }
    }

    /// Does all that the machine and the masks want.
    fn turn(&mut self, now: Instant) {
        loop {
            self.turn_inner(now);
            let mut said = Vec::new();
            for bridge in &mut self.bridges {
                while let Some(order) = bridge.poll() {
                    said.push((bridge.inside, order));
                }
            }
            if said.is_empty() {
                return;
            }
            for (inside, order) in said {
                let event = match &order {
                    LinkOrder::Bytes(bytes) | LinkOrder::Media(bytes) => LinkEvent::Bytes(bytes),
                    LinkOrder::Close | LinkOrder::Dial { .. } => LinkEvent::Down(LinkDown::Closed),
                };
                self.inner.handle(now, Input::Link(inside, event));
                self.turn_inner(now);
            }
        }
    }

    fn turn_inner(&mut self, now: Instant) {
        loop {
            match self.inner.poll_output() {
                Output::Link(link, order) => self.inner_order(now, link, order),
                Output::Wait(deadline, _) => {
                    self.inner_wait = deadline;
                    return;
                }
                Output::Save(id, Record::Enrolment(record)) => {
                    self.enrolled(now, &record);
                    self.out.push_back(Output::Save(id, Record::Enrolment(record)));
                }
                Output::Notify(notice) => {
                    if let Notice::Serving { entry, .. } = &notice {
                        self.league.borrow_mut().join(*entry);
                    }
                    self.out.push_back(Output::Notify(notice));
                }
                other => self.out.push_back(other),
            }
        }
    }

    fn inner_order(&mut self, now: Instant, link: LinkId, order: LinkOrder) {
        match order {
            LinkOrder::Dial { to, service, .. } => {
                let key = self.league.borrow().node_key(&to);
                match key.filter(|_| service == Service::SuperPeer) {
                    Some(key) => {
                        let door = Door { address: to, key: key.public() };
                        let outside = self.outer.dial(now, to, service, Expect::Key(door.key));
                        self.bridges.push(Bridge::dialled(outside, link, door));
                    }
                    None => {
                        let outside = self.outer.spare_id();
                        self.bridges.push(Bridge::raw(outside, link));
                        self.out.push_back(Output::Link(outside, order));
                    }
                }
            }
            LinkOrder::Media(_) => self.out.push_back(Output::Link(link, order)),
            LinkOrder::Bytes(bytes) => {
                let wall = self.wall(now);
                let bridge = self.bridges.iter_mut().find(|bridge| bridge.inside == link);
                let Some(bridge) = bridge else { return };
                let outside = bridge.outside;
                if bridge.is_raw {
                    return self.out.push_back(Output::Link(outside, LinkOrder::Bytes(bytes)));
                }
                for news in bridge.read(now, wall, &bytes) {
                    let LinkNews::Frame(Frame { ask, message }) = news else { continue };
                    match self.vice.withheld(&message) {
                        Some(message) => {
                            self.league.borrow_mut().misdeeds += 1;
                            bridge.say(now, Frame { ask, message });
                        }
                        None => self.outer.send(now, outside, ask, message),
                    }
                }
            }
            LinkOrder::Close => {
                let Some(bridge) = self.at_inside(link) else { return };
                let (outside, is_raw) = (bridge.outside, bridge.is_raw);
                self.bridges.retain(|bridge| bridge.inside != link);
                match is_raw {
                    true => self.out.push_back(Output::Link(outside, LinkOrder::Close)),
                    false => self.outer.close(outside),
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.inner_wait.is_some_and(|at| at <= now) {
            self.inner.handle(now, Input::Timeout);
        }
        for (link, news) in self.outer.handle_timeout(now) {
            self.outer_news(now, link, news);
        }
        self.bridges.iter_mut().for_each(|bridge| bridge.handle_timeout(now));
        let due: Vec<Late> = self.late.extract_if(.., |late| late.at <= now).collect();
        for Late { inside, ask, message, .. } in due {
            if let Some(bridge) = self.at_inside(inside) {
                bridge.say(now, Frame { ask, message });
            }
        }
        let due: Vec<_> = self.late_answers.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, asked) in due {
            let Ok(Frame { message, .. }) = Frame::from_bytes(asked.question()) else { continue };
            let answer = self.truth(now, message);
            self.answer(now, asked, answer);
        }
        if let Some(answerer) = &mut self.answerer {
            answerer.handle_timeout(now);
        }
        if self.next_mischief.is_some_and(|at| at <= now) {
            self.next_mischief = Some(now + MISCHIEF_EVERY);
            self.mischief(now);
        }
    }
}

impl Machine for Adversary {
    type Notice = Notice;
    type Record = Record;

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Link(link, event) => self.link_event(now, link, event),
            Input::Datagram { from, bytes } => self.datagram(now, from, bytes),
            Input::Timeout => self.handle_timeout(now),
            other => self.inner.handle(now, other),
        }
        self.turn(now);
        while self.outer.has_broken() {
            for (link, news) in self.outer.handle_timeout(now) {
                self.outer_news(now, link, news);
            }
            self.turn(now);
        }
    }

    fn poll_output(&mut self) -> Output<Notice, Record> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((link, order)) = self.outer.poll_order() {
            return Output::Link(link, order);
        }
        let late = self.late.iter().map(|late| late.at);
        let answers = self.late_answers.iter().map(|(at, _)| *at);
        let masks = self.bridges.iter().filter_map(Bridge::poll_timeout);
        let own = [
            self.inner_wait,
            self.outer.poll_timeout(),
            self.next_mischief,
            self.answerer.as_ref().and_then(Answerer::poll_timeout),
        ];
        let due = own.into_iter().flatten().chain(late).chain(answers).chain(masks).min();
        Output::Wait(due, WaitReason::Timer)
    }
}

/// Whether a message answers a question.
const fn is_answer(message: &Message) -> bool {
    match message {
        Message::RingReply(_) => true,
        Message::Directory(message) => matches!(
            message,
            Directory::Kept
                | Directory::Wanted { .. }
                | Directory::Found { .. }
                | Directory::NotHere { .. }
                | Directory::Refused { .. }
        ),
        Message::Forward(message) => {
            matches!(message, Forward::Delivered | Forward::Undelivered { .. })
        }
        _ => false,
    }
}

/// As much of an answer as a datagram holds.
fn shortened(message: Message) -> Message {
    let eight = |nodes: List<NodeEntry, 16>| List::first_of(nodes.into_vec().into_iter().take(8));
    match message {
        Message::RingReply(Reply::Keepers { nodes }) => {
            Reply::Keepers { nodes: eight(nodes) }.into()
        }
        Message::RingReply(Reply::Closer { nodes }) => Reply::Closer { nodes: eight(nodes) }.into(),
        other => other,
    }
}
