//! The super-peer that a peer may also be: takes it in when the candidacy wants it, and lets it go.
//!
//! One task owns the [`Candidacy`] and does what it wishes. Invariants: at most one super-peer is
//! taken in; who founded the network has one already and is no candidate; the user who is logged in
//! owns the node, and it ends with their session.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use earshot_proto::entropy::Entropy;
use earshot_proto::ids::NodeId;
use earshot_proto::peer::command::Notice;
use earshot_proto::peer::reach::{DialResult, Verdict};
use earshot_proto::super_peer::SuperPeer;
use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::super_peer::election::{Band, Choice};
use earshot_proto::wire::certificate::AgreeKey;
use tokio::sync::{mpsc, oneshot, watch};

use super::own_network::Ground;
use super::super_peer::{self, Wanted};
use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::api::reply::Reply;
use crate::api::super_peer::{ServingTerms, SuperPeerState, Tested};
use crate::candidacy::{Candidacy, Wish, shown};
use crate::driver::Driver;
use crate::fitness::{Scales, Told};
use crate::owner::ReachDesk;
use crate::seed;
use crate::store::files::DataDir;

const DIRECTORY: &str = "super-peer";
/// Words to the task that wait at most; whoever says more waits.
const WORDS_MAX: usize = 16;
/// News of the home that wait at most: it tells a few a minute, and tells them again.
const NEWS_MAX: usize = 16;
/// How long the super-peer may take to leave: a process has three seconds for all.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// What is said to the task.
enum Word {
    Choose(Option<Choice>, ServingTerms, oneshot::Sender<()>),
    Test(Reply<Tested>),
    Status(Reply<SuperPeerState>),
    Founder(AgreeKey, oneshot::Sender<()>),
    Leave(oneshot::Sender<()>),
}

/// What the home tells, that matters once.
enum News {
    Around(u32, u32),
    Invited,
}

/// Who is logged in, and where they are at home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Surroundings {
    is_logged_in: bool,
    home: Option<NodeId>,
}

/// Hears what the peer is told, on the loop.
pub(super) struct Ear {
    news: mpsc::Sender<News>,
    surroundings: watch::Sender<Surroundings>,
}

/// What an [`Ear`] hears, for the task.
pub(super) struct Heard {
    news: mpsc::Receiver<News>,
    surroundings: watch::Receiver<Surroundings>,
}

/// An ear, and its other end.
pub(super) fn ear() -> (Ear, Heard) {
    let (news, heard) = mpsc::channel(NEWS_MAX);
    let (surroundings, seen) = watch::channel(Surroundings::default());
    (Ear { news, surroundings }, Heard { news: heard, surroundings: seen })
}

impl Ear {
    /// Takes a notice.
    pub(super) fn hear(&self, notice: &Notice) {
        let change = |to: &dyn Fn(&mut Surroundings)| {
            self.surroundings.send_if_modified(|now| {
                let before = *now;
                to(now);
                *now != before
            });
        };
        match notice {
            Notice::Session(session) => change(&|now| now.is_logged_in = session.is_some()),
            Notice::Network(view) => {
                change(&|now| now.home = view.home.map(|(node, _)| node.node));
            }
            // Where there is no room, it is told again within the minute.
            Notice::Around { super_peers, clients } => {
                let _ = self.news.try_send(News::Around(*super_peers, *clients));
            }
            Notice::Invited => {
                let _ = self.news.try_send(News::Invited);
            }
            Notice::Answer(..)
            | Notice::Buddy(_)
            | Notice::Presence(_)
            | Notice::Requested(_)
            | Notice::Message(_)
            | Notice::Found(_)
            | Notice::SearchEnded { .. }
            | Notice::Call(_) => {}
        }
    }
}

/// The task, seen from outside.
pub(super) struct Candidate {
    words: mpsc::Sender<Word>,
}

impl Candidate {
    /// Starts the task.
    pub(super) fn start(
        driver: Driver,
        ground: Ground,
        reach: ReachDesk,
        heard: Heard,
        (choice, terms): (Option<Choice>, ServingTerms),
    ) -> Result<Self, Failure> {
        let seed = seed::draw().map_err(|e| ErrorCode::Internal { what: e.to_string() })?;
        let jitter = Entropy::new(*seed).jitter;
        let now = Instant::now();
        let (words, spoken) = mpsc::channel(WORDS_MAX);
        let (done, tested) = mpsc::channel(1);
        let task = Task {
            candidacy: Candidacy::new(now, choice, Band::default(), ground.public, jitter),
            terms,
            scales: Scales::new(now),
            driver,
            ground,
            reach,
            serving: None,
            refused: None,
            waiting: Vec::new(),
            done,
        };
        tokio::spawn(task.run(spoken, heard, tested));
        Ok(Self { words })
    }

    /// The owner has chosen.
    pub(super) async fn choose(&self, choice: Option<Choice>, terms: ServingTerms) {
        self.say(|done| Word::Choose(choice, terms, done)).await;
    }

    /// Has super-peers dial back.
    pub(super) async fn test(&self, reply: Reply<Tested>) {
        // A task that is gone drops the reply, which then says so.
        let _ = self.words.send(Word::Test(reply)).await;
    }

    /// Tells where it stands.
    pub(super) async fn status(&self, reply: Reply<SuperPeerState>) {
        let _ = self.words.send(Word::Status(reply)).await;
    }

    /// The network was founded here: another super-peer has the place.
    pub(super) async fn founder(&self, node: AgreeKey) {
        self.say(|done| Word::Founder(node, done)).await;
    }

    /// Stops serving, and the task. An enrolment under way is not waited for.
    pub(super) async fn leave(&self) {
        let _ = tokio::time::timeout(LEAVE_PATIENCE, self.say(Word::Leave)).await;
    }

    async fn say(&self, word: impl FnOnce(oneshot::Sender<()>) -> Word) {
        let (done, heard) = oneshot::channel();
        if self.words.send(word(done)).await.is_ok() {
            // A task that is gone has nothing more to do.
            let _ = heard.await;
        }
    }
}

struct Task {
    candidacy: Candidacy,
    terms: ServingTerms,
    scales: Scales,
    driver: Driver,
    ground: Ground,
    reach: ReachDesk,
    serving: Option<Service>,
    /// Why the last try to serve failed.
    refused: Option<Failure>,
    /// Who waits for the test under way.
    waiting: Vec<Reply<Tested>>,
    done: mpsc::Sender<Result<Vec<Verdict>, Failure>>,
}

/// The super-peer that was taken in, and the lock on its directory.
struct Service {
    node: super_peer::Serving,
    _data: DataDir,
}

impl Task {
    async fn run(
        mut self,
        mut words: mpsc::Receiver<Word>,
        mut heard: Heard,
        mut tested: mpsc::Receiver<Result<Vec<Verdict>, Failure>>,
    ) {
        loop {
            self.act().await;
            let due = self.candidacy.poll_timeout();
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                word = words.recv() => {
                    let Some(word) = word else {
                        return self.stop_serving(super_peer::ENDS_WITHIN).await;
                    };
                    if let Word::Leave(done) = word {
                        self.stop_serving(super_peer::ENDS_WITHIN).await;
                        let _ = done.send(());
                        return;
                    }
                    self.take(word).await;
                }
                Ok(()) = heard.surroundings.changed() => {
                    let now = *heard.surroundings.borrow_and_update();
                    self.look_around(now);
                }
                Some(news) = heard.news.recv() => self.hear(news),
                Some(result) = tested.recv() => self.tested(result),
                () = due => self.candidacy.handle_timeout(Instant::now()),
            }
        }
    }

    async fn take(&mut self, word: Word) {
        match word {
            Word::Choose(choice, terms, done) => {
                self.grant(terms).await;
                if let Some(choice) = choice {
                    self.candidacy.choose(Instant::now(), choice);
                }
                // Whoever has chosen may ask what came of it.
                self.act().await;
                let _ = done.send(());
            }
            Word::Test(reply) => {
                self.waiting.push(reply);
                if !self.candidacy.is_testing() {
                    self.candidacy.test_begun();
                    self.begin_test();
                }
            }
            Word::Status(reply) => reply.answer(self.status().await),
            Word::Founder(node, done) => {
                self.candidacy.choose(Instant::now(), Choice::Never);
                self.act().await;
                self.know_ourselves(Some(node)).await;
                let _ = done.send(());
            }
            Word::Leave(done) => {
                let _ = done.send(());
            }
        }
    }

    /// The owner lets it do and use so much.
    async fn grant(&mut self, terms: ServingTerms) {
        self.terms = terms;
        if let Some(service) = &self.serving {
            let set = move |node: &mut SuperPeer, now| node.set_terms(now, terms.terms());
            let _ = service.node.handle.call(set).await;
        }
    }

    fn look_around(&mut self, surroundings: Surroundings) {
        let now = Instant::now();
        if !surroundings.is_logged_in {
            return self.candidacy.handle_logout(now);
        }
        self.candidacy.handle_home(now, surroundings.home);
    }

    fn hear(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Around(super_peers, clients) => {
                self.candidacy.handle_around(now, super_peers, clients);
            }
            News::Invited => self.candidacy.handle_invited(now),
        }
    }

    fn begin_test(&self) {
        let (reach, done) = (self.reach.clone(), self.done.clone());
        tokio::spawn(async move {
            let _ = done.send(reach.test().await).await;
        });
    }

    fn tested(&mut self, result: Result<Vec<Verdict>, Failure>) {
        for reply in self.waiting.drain(..) {
            reply.answer(match &result {
                Ok(verdicts) => {
                    Ok(Tested { verdicts: verdicts.iter().map(shown::verdict).collect() })
                }
                Err(why) => Err(why.clone()),
            });
        }
        self.candidacy.handle_tested(Instant::now(), result.ok());
    }

    /// Does what the candidacy wishes.
    async fn act(&mut self) {
        while let Some(wish) = self.candidacy.poll_wish() {
            match wish {
                Wish::Test => self.begin_test(),
                Wish::AskAround(score) => {
                    let peer = self.reach.peer();
                    let _ = peer.call(move |peer, now| peer.ask_around(now, score)).await;
                }
                Wish::Measure => self.measure().await,
                Wish::Promote => match self.serve().await {
                    Ok(service) => {
                        tracing::info!("This computer serves as a super-peer");
                        self.know_ourselves(Some(service.node.entry.key)).await;
                        (self.serving, self.refused) = (Some(service), None);
                    }
                    Err(why) => {
                        tracing::warn!(%why, "This computer cannot serve as a super-peer");
                        self.refused = Some(why);
                        self.candidacy.handle_not_enrolled(Instant::now());
                    }
                },
                Wish::Demote(cause) => {
                    tracing::info!(?cause, "This computer stops serving as a super-peer");
                    self.stop_serving(super_peer::RETIRES_WITHIN).await;
                }
            }
        }
    }

    async fn measure(&mut self) {
        let tariff = match self.ground.ask_tariff.clone() {
            // A thread that panicked knows nothing.
            Some(ask) => tokio::task::spawn_blocking(move || (ask.0)()).await.ok().flatten(),
            None => None,
        };
        let now = Instant::now();
        let cap_bps = self.terms.terms().bytes_per_s.map(|bytes| bytes * 8);
        let seen_bps = self.driver.upstream().seen_bps(now);
        let measured = self.scales.measure(now, &Told { seen_bps, cap_bps, tariff });
        self.candidacy.handle_measured(now, measured);
        let rating = self.candidacy.rating(now);
        let Some(service) = &self.serving else { return };
        let need = service.node.handle.call(move |node, now| {
            node.rate(rating);
            node.need(now)
        });
        if let Ok(need) = need.await {
            self.candidacy.handle_need(now, need);
        }
    }

    /// Enrols with the certificate of whoever is logged in, at the address where we were reached.
    async fn serve(&mut self) -> Result<Service, Failure> {
        let known = self
            .reach
            .peer()
            .call(|peer, _| (peer.node_owner(), peer.authority_door(), peer.invite().cloned()));
        let (owner, authority, invite) = known.await.map_err(|_| ErrorCode::Leaving)?;
        let (Some(owner), Some(invite)) = (owner, invite) else {
            return Err(ErrorCode::NotLoggedIn.into());
        };
        let data = DataDir::open(&self.ground.data_dir.join(DIRECTORY))?;
        let wanted = Wanted {
            root: invite.root,
            authority,
            doors: invite.super_peers.to_vec(),
            token: None,
            owner: Some(owner),
            address: self.address(),
            v6: None,
            also: invite.also.as_deref().unwrap_or_default().to_vec(),
            relay_allow: self.ground.relay_allow.clone(),
            limits: Limits::default(),
            terms: self.terms.terms(),
        };
        let node = super_peer::house(&self.driver, &data, wanted).await?;
        Ok(Service { node, _data: data })
    }

    fn address(&self) -> SocketAddr {
        let verdicts = self.candidacy.verdicts().iter();
        let reached = verdicts.filter(|verdict| verdict.tcp == DialResult::Reached);
        let tried = reached.filter_map(|verdict| verdict.tried).next_back();
        tried.unwrap_or(self.ground.address)
    }

    async fn stop_serving(&mut self, within: Duration) {
        if let Some(service) = self.serving.take() {
            service.node.retire(within).await;
            self.know_ourselves(None).await;
        }
    }

    /// The peer does not ask itself whether it can be reached.
    async fn know_ourselves(&mut self, key: Option<AgreeKey>) {
        let _ = self.reach.peer().call(move |peer, _| peer.own_super_peer(key)).await;
    }

    async fn status(&mut self) -> Result<SuperPeerState, Failure> {
        let service = match &self.serving {
            Some(service) => Some(service.node.served().await?),
            None => None,
        };
        let (now, refused) = (Instant::now(), self.refused.clone());
        let candidacy = shown::candidacy(&self.candidacy, self.terms, now, refused);
        Ok(SuperPeerState { service, candidacy: Some(candidacy) })
    }
}
