//! Who may allocate: credentials given over an authenticated link, for a day.
//!
//! Source: DESIGN 2.12; RFC 8489, section 9.2 (long-term credentials); RFC 8656, section 5. The
//! user name on the wire is a random session id, so that who listens learns no name; the password
//! is an HMAC over it, so that it need not be kept and an allocation can be refreshed as long as it
//! lives. Invariant: at most [`RelayLimits::sessions_max`] sessions are kept; one is kept while it
//! is good or has allocations.

use std::collections::BTreeMap;
use std::time::Instant;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::config::{CREDENTIALS_LIFETIME, REALM, RelayLimits};
use super::quota::Users;
use super::slab::Key;
use super::stun::{Algorithm, AlgorithmId, HMACKey};
use crate::entropy::Stream;
use crate::ids::UserName;
use crate::time::UnixTime;

/// Bytes of a session id: 128 random bits.
const ID_LEN: usize = 16;
/// Bytes of a password before encoding: 144 bits, 24 characters.
const PASSWORD_LEN: usize = 18;

/// What a client needs to use the relay.
pub struct Grant {
    /// TURN user name: a random session id.
    pub username: String,
    /// TURN password.
    pub password: Zeroizing<String>,
    /// New allocations are refused after this.
    pub expires: UnixTime,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Why there are no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefused {
    /// As many sessions as the relay keeps, all good or in use.
    #[error("{sessions} sessions are as many as the relay keeps")]
    Full {
        /// How many.
        sessions: usize,
    },
    /// All sessions that the user may have are carrying something.
    #[error("the user's {sessions} sessions are all in use")]
    AllInUse {
        /// How many.
        sessions: u32,
    },
}

/// Names one grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId([u8; ID_LEN]);

impl SessionId {
    fn from_username(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    fn username(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Session {
    pub(super) user: Key,
    pub(super) expires: UnixTime,
    pub(super) allocations: u32,
}

pub(super) struct Sessions {
    secret: Zeroizing<[u8; 32]>,
    limits: RelayLimits,
    kept: BTreeMap<SessionId, Session>,
}

impl Sessions {
    pub(super) fn new(limits: RelayLimits, secret: [u8; 32]) -> Self {
        Self { secret: Zeroizing::new(secret), limits, kept: BTreeMap::new() }
    }

    pub(super) fn grant(
        &mut self,
        (now, wall): (Instant, UnixTime),
        name: &UserName,
        users: &mut Users,
        random: &mut Stream,
    ) -> Result<Grant, GrantRefused> {
        self.make_room(wall, name, users)?;
        let full = GrantRefused::Full { sessions: self.kept.len() };
        let user = users.meet(now, name).ok_or(full)?;
        users.get_mut(user).ok_or(full)?.sessions += 1;
        let id = SessionId(random.bytes());
        let expires = wall.plus(CREDENTIALS_LIFETIME);
        self.kept.insert(id, Session { user, expires, allocations: 0 });
        Ok(Grant { username: id.username(), password: self.password(&id), expires })
    }

    /// Makes room for one more session of this user, or says why there is none.
    fn make_room(
        &mut self,
        wall: UnixTime,
        name: &UserName,
        users: &mut Users,
    ) -> Result<(), GrantRefused> {
        let known = users.find(name);
        let owned = known.and_then(|key| users.get_mut(key)).map_or(0, |user| user.sessions);
        if owned >= self.limits.sessions_per_user_max {
            let oldest = self
                .kept
                .iter()
                .filter(|(_, session)| Some(session.user) == known && session.allocations == 0)
                .min_by_key(|(_, session)| session.expires)
                .map(|(id, _)| *id);
            let Some(oldest) = oldest else {
                return Err(GrantRefused::AllInUse { sessions: owned });
            };
            self.remove(oldest, users);
        }
        if self.kept.len() >= self.limits.sessions_max {
            self.sweep(wall, users);
            if self.kept.len() >= self.limits.sessions_max {
                return Err(GrantRefused::Full { sessions: self.kept.len() });
            }
        }
        Ok(())
    }

    fn sweep(&mut self, wall: UnixTime, users: &mut Users) {
        self.kept.retain(|_, session| {
            let keep = session.allocations > 0 || session.expires > wall;
            if !keep {
                users.session_gone(session.user);
            }
            keep
        });
    }

    fn remove(&mut self, id: SessionId, users: &mut Users) {
        if let Some(session) = self.kept.remove(&id) {
            users.session_gone(session.user);
        }
    }

    /// Ends all sessions of a user, in use or not.
    pub(super) fn revoke(&mut self, user: Key, users: &mut Users) {
        self.kept.retain(|_, session| {
            let keep = session.user != user;
            if !keep {
                users.session_gone(user);
            }
            keep
        });
    }

    /// The session that a TURN user name names.
    pub(super) fn find(&self, username: &str) -> Option<(SessionId, Session)> {
        let id = SessionId::from_username(username)?;
        self.kept.get(&id).map(|session| (id, *session))
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.kept.get_mut(&id)
    }

    /// The key for integrity of messages of this session. RFC 8489, section 9.2.2.
    pub(super) fn key(&self, id: &SessionId, algorithm: AlgorithmId) -> Option<HMACKey> {
        let password = self.password(id);
        let algorithm = Algorithm::from(algorithm);
        HMACKey::new_long_term(id.username(), REALM, password.as_str(), algorithm).ok()
    }

    fn password(&self, id: &SessionId) -> Zeroizing<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice())
            .expect("HMAC takes keys of any length");
        mac.update(b"earshot relay password");
        mac.update(&id.0);
        let tag = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        Zeroizing::new(BASE64URL_NOPAD.encode(&tag[..PASSWORD_LEN]))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entropy::Entropy;
    use crate::super_peer::relay::tests::start;

    struct Desk {
        sessions: Sessions,
        users: Users,
        random: Stream,
    }

    impl Desk {
        fn new(sessions_max: usize, sessions_per_user_max: u32) -> Self {
            let limits =
                RelayLimits { sessions_max, sessions_per_user_max, ..RelayLimits::default() };
            let random = Entropy::new([3; 32]).secrets;
            Self { sessions: Sessions::new(limits, [5; 32]), users: Users::new(1), random }
        }

        fn grant(&mut self, wall: UnixTime, name: &str) -> Result<Grant, GrantRefused> {
            let name = UserName::new(name).unwrap();
            self.sessions.grant((start(), wall), &name, &mut self.users, &mut self.random)
        }
    }

    const NOON: UnixTime = UnixTime(1_800_000_000_000);

    #[test]
    fn every_grant_is_another_session_and_names_nobody() {
        let mut desk = Desk::new(10, 5);
        let (one, two) = (desk.grant(NOON, "alice").unwrap(), desk.grant(NOON, "alice").unwrap());
        assert_ne!(one.username, two.username);
        assert_ne!(*one.password, *two.password);
        assert_eq!(one.expires, NOON.plus(Duration::from_secs(86_400)));
        assert!(!one.username.contains("alice"));
        assert!(!format!("{one:?}").contains(one.password.as_str()));
    }

    #[test]
    fn one_more_session_than_allowed_replaces_the_oldest_idle_one() {
        let mut desk = Desk::new(10, 2);
        let first = desk.grant(NOON, "alice").unwrap();
        let second = desk.grant(NOON.plus(Duration::from_secs(1)), "alice").unwrap();
        desk.grant(NOON.plus(Duration::from_secs(2)), "alice").unwrap();
        assert!(desk.sessions.find(&first.username).is_none());
        assert!(desk.sessions.find(&second.username).is_some());
    }

    #[test]
    fn a_session_in_use_is_not_replaced() {
        let mut desk = Desk::new(10, 1);
        let first = desk.grant(NOON, "alice").unwrap();
        let (id, _) = desk.sessions.find(&first.username).unwrap();
        desk.sessions.get_mut(id).unwrap().allocations = 1;
        let refused = desk.grant(NOON, "alice").unwrap_err();
        assert_eq!(refused, GrantRefused::AllInUse { sessions: 1 });
    }

    #[test]
    fn a_full_table_forgets_the_expired_and_only_those() {
        let mut desk = Desk::new(2, 5);
        desk.grant(NOON, "alice").unwrap();
        desk.grant(NOON.plus(Duration::from_secs(10)), "bob").unwrap();
        assert_eq!(desk.grant(NOON, "carol").unwrap_err(), GrantRefused::Full { sessions: 2 });
        let next_day = NOON.plus(CREDENTIALS_LIFETIME);
        desk.grant(next_day, "carol").unwrap();
        assert_eq!((desk.sessions.len(), desk.users.len()), (2, 2));
    }

    #[test]
    fn a_revoked_user_has_no_session_left() {
        let mut desk = Desk::new(10, 5);
        let grants = [desk.grant(NOON, "alice").unwrap(), desk.grant(NOON, "alice").unwrap()];
        desk.grant(NOON, "bob").unwrap();
        let alice = desk.users.find(&UserName::new("alice").unwrap()).unwrap();
        desk.sessions.revoke(alice, &mut desk.users);
        assert!(grants.iter().all(|grant| desk.sessions.find(&grant.username).is_none()));
        assert_eq!((desk.sessions.len(), desk.users.len()), (1, 1));
    }
}
