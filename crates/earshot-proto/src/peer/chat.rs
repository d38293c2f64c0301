//! Messages: the outbox first, sealed to every device of the buddy, shown once, acknowledged only
//! when safe. DESIGN 2.8.
//!
//! A message is on disk before it is answered and before it leaves; it stays in the outbox until a
//! device of the buddy says that it is safe there. It is repeated whenever the buddy comes on line,
//! and the receiver shows it once. Of many that wait so many are on the way at once as a link
//! bears; each that is acknowledged makes room for the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::{MessageId, UserName};
use crate::port::SaveFailure;
use crate::wire::bounded::{List, Text};
use crate::wire::forward::Address;
use crate::wire::sealed::chat::{Chat, RECEIPT_MAX, TEXT_MAX};

use super::buddies::Trust;
use super::command::{Answer, Delivery, Failure, MessageView, Notice};
use super::post::{Letter, Sender};
use super::{OnSaved, Peer, Record};

/// Messages waiting to be sent at most. Our choice: a week of one's own writing to people who are
/// away.
pub const OUTBOX_MAX: usize = 2000;
/// Message ids remembered, so that a repeated one is known. The store knows all; this spares it the
/// question.
const SEEN_MAX: usize = 4096;
/// Messages of ours remembered until they are read; of older ones only the history knows.
const SENT_MAX: usize = 1000;
/// The owner's own ids remembered beyond those of the outbox, so that a message asked for twice is
/// sent once.
pub const CLIENT_IDS_MAX: usize = 1000;
/// Bytes on the way to the devices of one user at once. Our choice: the longest message, or dozens
/// of usual ones within a round trip.
const WINDOW: usize = 64 * 1024;
/// Bytes on the way to everybody at once: a quarter of what may wait on a link
/// (`secure/records.rs`), so that the way home never runs over by what was written while people
/// were away.
const WINDOW_OF_ALL: usize = 256 * 1024;
/// What sealing and forwarding add to a message, about; mostly two certificates.
const ENVELOPE: usize = 1024;
/// When a message that was sent and not acknowledged is sent again, while the buddy is on line.
const REPEAT: Duration = Duration::from_secs(10);

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Chats {
    outbox: BTreeMap<MessageId, Outgoing>,
    numbers: BTreeMap<UserName, u64>,
    /// The owner's ids of the last messages.
    client_ids: BTreeMap<String, MessageId>,
    client_ids_order: VecDeque<String>,
    /// Messages of ours that are being written to disk, and who else asked for the same.
    writing: BTreeMap<MessageId, Vec<u64>>,
    seen: BTreeSet<MessageId>,
    seen_order: VecDeque<MessageId>,
    /// Came, and are being written to disk.
    arriving: BTreeSet<MessageId>,
    /// Sent and not acknowledged.
    flights: BTreeMap<MessageId, Flight>,
    /// Messages of ours that arrived and were perhaps not read yet, the latest last.
    sent: VecDeque<MessageView>,
}

/// A message on its way.
#[derive(Debug)]
struct Flight {
    to: UserName,
    /// To all devices together.
    bytes: usize,
    sent: Instant,
}

/// A message of ours, as the store keeps it and gives it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What the owner sees.
    pub view: MessageView,
    /// Its number among our messages to this user.
    pub number: u64,
}

/// What the history on disk knows of messages under way. Given once, after it was opened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Messages of ours that no device has acknowledged.
    pub outbox: Vec<Outgoing>,
    /// Ids of the messages that came last.
    pub recent: Vec<MessageId>,
    /// The highest number of ours to each user.
    pub numbers: Vec<(UserName, u64)>,
    /// The owner's ids of the last messages of ours, [`CLIENT_IDS_MAX`] at most, the latest last.
    pub client_ids: Vec<(String, MessageId)>,
}

impl Chats {
    fn remember(&mut self, id: MessageId) {
        if self.seen.insert(id) {
            self.seen_order.push_back(id);
        }
        if self.seen_order.len() > SEEN_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }

    fn remember_own(&mut self, client_id: String, id: MessageId) {
        if self.client_ids.insert(client_id.clone(), id).is_none() {
            self.client_ids_order.push_back(client_id);
        }
        if self.client_ids_order.len() > OUTBOX_MAX + CLIENT_IDS_MAX
            && let Some(oldest) = self.client_ids_order.pop_front()
        {
            self.client_ids.remove(&oldest);
        }
    }

    fn keep_sent(&mut self, view: MessageView) {
        self.sent.retain(|known| known.id != view.id);
        if view.delivery == Delivery::Arrived {
            self.sent.push_back(view);
        }
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.flights.values().map(|flight| flight.sent + REPEAT).min()
    }

    /// Whether so many bytes more may be on the way to a user. One message always may.
    fn has_room(&self, to: &UserName, bytes: usize) -> bool {
        let (mut mine, mut all) = (0, 0);
        for flight in self.flights.values() {
            all += flight.bytes;
            mine += if flight.to == *to { flight.bytes } else { 0 };
        }
        (mine == 0 || mine + bytes <= WINDOW) && (all == 0 || all + bytes <= WINDOW_OF_ALL)
    }

    /// What waits for a user and is not on its way, the oldest first.
    fn due(&self, user: &UserName) -> Vec<MessageId> {
        let waits = |outgoing: &&Outgoing| {
            outgoing.view.with == *user && !self.flights.contains_key(&outgoing.view.id)
        };
        let due = self.outbox.values().filter(waits);
        let mut due: Vec<_> = due.map(|outgoing| (outgoing.number, outgoing.view.id)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }
}

impl Peer {
    /// The history on disk was opened; this is what it knows of messages under way.
    pub fn load_history(&mut self, now: Instant, history: History) {
        for outgoing in history.outbox {
            if let Some(client_id) = outgoing.view.client_id.clone() {
                self.chats.remember_own(client_id, outgoing.view.id);
            }
            self.chats.outbox.insert(outgoing.view.id, outgoing);
        }
        for (client_id, id) in history.client_ids {
            self.chats.remember_own(client_id, id);
        }
        for id in history.recent {
            self.chats.remember(id);
        }
        for (user, number) in history.numbers {
            let known = self.chats.numbers.entry(user).or_default();
            *known = (*known).max(number);
        }
        self.send_to_all(now);
    }

    /// The owner writes.
    pub(super) fn send_message(
        &mut self,
        now: Instant,
        ask: u64,
        to: UserName,
        text: Text<TEXT_MAX>,
        client_id: String,
    ) {
        if !self.buddies.is_buddy(&to) {
            return self.fail(ask, Failure::NotABuddy);
        }
        if let Some(id) = self.chats.client_ids.get(&client_id) {
            let id = *id;
            if let Some(also) = self.chats.writing.get_mut(&id) {
                return also.push(ask);
            }
            let waiting = self.chats.outbox.contains_key(&id);
            let delivery = if waiting { Delivery::Waiting } else { Delivery::Arrived };
            return self.succeed(ask, Answer::Sent(id, delivery));
        }
        if self.chats.outbox.len() >= OUTBOX_MAX {
            return self.fail(ask, Failure::TooMany { max: OUTBOX_MAX });
        }
        let id = MessageId(self.entropy.secrets.bytes());
        let number = self.chats.numbers.entry(to.clone()).or_default();
        *number += 1;
        let outgoing = Outgoing {
            number: *number,
            view: MessageView {
                id,
                with: to,
                mine: true,
                written: self.wall(now),
                text: text.as_str().to_owned(),
                delivery: Delivery::Waiting,
                client_id: Some(client_id.clone()),
            },
        };
        self.chats.remember_own(client_id, id);
        self.chats.writing.insert(id, Vec::new());
        let record = Record::Message(outgoing.clone());
        self.save(record, OnSaved::Outgoing(ask, Box::new(outgoing)));
    }

    /// A message of ours is on disk: now it may leave.
    pub(super) fn outgoing_saved(&mut self, now: Instant, ask: u64, outgoing: Outgoing) {
        let view = outgoing.view.clone();
        let (id, to) = (view.id, view.with.clone());
        if self.session.is_none() {
            // Logged out meanwhile: it is on disk and leaves after the next login.
            return self.succeed(ask, Answer::Sent(id, Delivery::Waiting));
        }
        self.chats.outbox.insert(id, outgoing);
        self.succeed(ask, Answer::Sent(id, Delivery::Waiting));
        for also in self.chats.writing.remove(&id).unwrap_or_default() {
            self.succeed(also, Answer::Sent(id, Delivery::Waiting));
        }
        self.tell(Notice::Message(view));
        self.copy_to_own_devices(now, id);
        self.send_waiting(now, &to);
        if self.cards.reachable(&to).next().is_none() {
            self.look_up(now, &to);
        }
    }

    /// It could not be written: it is forgotten, and the owner is told.
    pub(super) fn outgoing_lost(&mut self, outgoing: &Outgoing, why: SaveFailure) {
        if let Some(client_id) = &outgoing.view.client_id {
            self.chats.client_ids.remove(client_id);
        }
        for also in self.chats.writing.remove(&outgoing.view.id).unwrap_or_default() {
            self.fail(also, Failure::NotKept(why));
        }
    }

    /// The session ends: who asked for a message that is still being written hears so at least.
    pub(super) fn stop_writing(&mut self) {
        let writing = std::mem::take(&mut self.chats.writing);
        writing.into_values().flatten().for_each(|ask| self.fail(ask, Failure::NotLoggedIn));
    }

    fn copy_to_own_devices(&mut self, now: Instant, id: MessageId) {
        let Some(outgoing) = self.chats.outbox.get(&id) else { return };
        let Some(myself) = self.session.as_ref().map(|s| s.address.user.clone()) else { return };
        let copy = as_content(outgoing, Some(outgoing.view.with.clone()));
        if let Some(copy) = copy {
            self.post_to_user(now, &myself, &copy.into());
        }
    }

    /// Sends what waits for a user, as far as there is room on the way.
    fn send_waiting(&mut self, now: Instant, to: &UserName) {
        let devices = self.cards.reachable(to).count();
        if devices == 0 {
            return;
        }
        for id in self.chats.due(to) {
            let Some(outgoing) = self.chats.outbox.get(&id) else { continue };
            let bytes = (outgoing.view.text.len() + ENVELOPE) * devices;
            if !self.chats.has_room(to, bytes) {
                return;
            }
            let Some(message) = as_content(outgoing, None) else { continue };
            self.post_to_user(now, to, &message.into());
            let flight = Flight { to: to.clone(), bytes, sent: now };
            self.chats.flights.insert(id, flight);
        }
    }

    /// Sends what waits for a user who has just come on line: what was on its way is taken for
    /// lost.
    pub(super) fn flush_outbox(&mut self, now: Instant, user: &UserName) {
        self.chats.flights.retain(|_, flight| flight.to != *user);
        self.send_waiting(now, user);
    }

    fn send_to_all(&mut self, now: Instant) {
        let users: BTreeSet<UserName> =
            self.chats.outbox.values().map(|outgoing| outgoing.view.with.clone()).collect();
        users.iter().for_each(|user| self.send_waiting(now, user));
    }

    pub(super) fn repeat_due(&mut self, now: Instant) {
        if self.chats.next_due().is_some_and(|at| at <= now) {
            self.chats.flights.retain(|_, flight| flight.sent + REPEAT > now);
            self.send_to_all(now);
        }
    }

    /// A device says something in a conversation.
    pub(super) fn handle_chat(&mut self, now: Instant, from: &Sender, message: Chat) {
        match (message, from.trust) {
            (
                Chat::Message { copy_of_message_to: Some(to), id, written, text, number },
                Trust::Myself,
            ) => {
                let view = MessageView {
                    id,
                    with: to,
                    mine: true,
                    written,
                    text: text.as_str().to_owned(),
                    delivery: Delivery::Waiting,
                    client_id: None,
                };
                self.take_message(now, from.address.clone(), Outgoing { view, number });
            }
            (
                Chat::Message { copy_of_message_to: None, id, written, text, number },
                Trust::Buddy,
            ) => {
                let view = MessageView {
                    id,
                    with: from.address.user.clone(),
                    mine: false,
                    written,
                    text: text.as_str().to_owned(),
                    delivery: Delivery::Arrived,
                    client_id: None,
                };
                self.take_message(now, from.address.clone(), Outgoing { view, number });
            }
            (Chat::Arrived { ids }, Trust::Buddy) => {
                self.receipt(&from.address.user, &ids, Delivery::Arrived);
                self.send_to_all(now);
            }
            (Chat::Read { ids }, Trust::Buddy) => {
                self.receipt(&from.address.user, &ids, Delivery::Read);
            }
            (Chat::Message { .. } | Chat::Arrived { .. } | Chat::Read { .. }, _) => {}
        }
    }

    fn take_message(&mut self, now: Instant, from: Address, message: Outgoing) {
        let id = message.view.id;
        if self.chats.seen.contains(&id) {
            return self.acknowledge(now, &from, id);
        }
        if self.chats.arriving.insert(id) {
            let record = Record::Message(message.clone());
            self.save(record, OnSaved::Incoming(from, Box::new(message.view)));
        }
    }

    /// A message that came is on disk: it is shown, and its sender may forget it.
    pub(super) fn incoming_saved(&mut self, now: Instant, from: &Address, view: MessageView) {
        if self.session.is_none() {
            // Logged out meanwhile: it is on disk, and acknowledged when it comes again.
            return;
        }
        let id = view.id;
        self.chats.arriving.remove(&id);
        self.chats.remember(id);
        self.tell(Notice::Message(view));
        self.acknowledge(now, from, id);
    }

    /// It could not be written: the sender keeps it and sends it again.
    pub(super) fn incoming_lost(&mut self, view: &MessageView) {
        self.chats.arriving.remove(&view.id);
    }

    fn acknowledge(&mut self, now: Instant, to: &Address, id: MessageId) {
        let receipt = Chat::Arrived { ids: List::first_of([id]) };
        self.post(now, to, &receipt.into(), Letter::Other);
    }

    fn receipt(&mut self, user: &UserName, ids: &List<MessageId, RECEIPT_MAX>, delivery: Delivery) {
        for id in ids.iter() {
            if self.chats.outbox.get(id).is_some_and(|outgoing| outgoing.view.with != *user) {
                continue;
            }
            self.chats.flights.remove(id);
            let waiting = self.chats.outbox.remove(id).map(|outgoing| outgoing.view);
            if waiting.is_none() && delivery == Delivery::Arrived {
                continue;
            }
            let record = Record::Delivered { id: *id, with: user.clone(), delivery };
            self.save(record, OnSaved::Nothing);
            let sent = waiting.or_else(|| self.chats.sent.iter().find(|m| m.id == *id).cloned());
            let Some(view) = sent.filter(|view| view.with == *user) else { continue };
            let view = MessageView { delivery, ..view };
            self.chats.keep_sent(view.clone());
            self.tell(Notice::Message(view));
        }
    }

    /// The owner has read messages of this user.
    pub(super) fn mark_read(
        &mut self,
        now: Instant,
        ask: u64,
        with: UserName,
        ids: Vec<MessageId>,
    ) {
        for chunk in ids.chunks(RECEIPT_MAX) {
            let receipt = Chat::Read { ids: List::first_of(chunk.iter().copied()) };
            self.post_to_user(now, &with, &receipt.into());
            for id in chunk {
                let record =
                    Record::Delivered { id: *id, with: with.clone(), delivery: Delivery::Read };
                self.save(record, OnSaved::Nothing);
            }
        }
        self.succeed(ask, Answer::Done);
    }
}

fn as_content(outgoing: &Outgoing, copy_of_message_to: Option<UserName>) -> Option<Chat> {
    Some(Chat::Message {
        id: outgoing.view.id,
        number: outgoing.number,
        written: outgoing.view.written,
        text: Text::new(outgoing.view.text.clone()).ok()?,
        copy_of_message_to,
    })
}
