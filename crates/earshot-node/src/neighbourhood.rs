//! The local network: being seen there by a tag, and seeing others. mDNS (RFC 6762) and DNS-SD (RFC
//! 6763).
//!
//! Source: `earshot_proto::port::Output::Nearby`. The tag is the name of the instance and of the
//! host, so that nothing else of this computer is told. Invariant: what others announce is bounded
//! here in number; what it means is the machine's to say.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use data_encoding::BASE32_NOPAD;
use earshot_proto::ids::NearbyTag;
use earshot_proto::port::Sighting;
use mdns_sd::{
    Error, IfKind, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::driver::news::{News, ResidentId};

/// The kind of service. RFC 6763, section 7.
const SERVICE: &str = "_earshot._tcp.local.";
/// Instances that are followed at a time. Our choice: more than a machine looks at.
const INSTANCES_MAX: usize = 512;

/// Where this process stands on the local network.
pub(crate) struct Neighbourhood {
    listening: SocketAddr,
    to_loop: mpsc::Sender<News>,
    present: Option<Present>,
}

/// One machine's presence there, under one tag; it says goodbye when it is dropped.
struct Present {
    who: ResidentId,
    daemon: ServiceDaemon,
    watch: JoinHandle<()>,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.watch.abort();
        // Takes back what was announced, and ends its thread.
        if let Err(error) = self.daemon.shutdown() {
            tracing::debug!(%error, "No goodbye to the local network");
        }
    }
}

impl Neighbourhood {
    /// Silent, with the main port at this address.
    pub(crate) const fn new(listening: SocketAddr, to_loop: mpsc::Sender<News>) -> Self {
        Self { listening, to_loop, present: None }
    }

    /// Announces this machine under a tag, and tells it of others; or does neither any more.
    pub(crate) fn announce(&mut self, who: ResidentId, tag: Option<NearbyTag>) {
        self.leave(who);
        // What stays on this computer is seen by nobody.
        let Some(tag) = tag.filter(|_| !self.listening.ip().is_loopback()) else { return };
        match self.present(who, tag) {
            Ok(present) => self.present = Some(present),
            Err(error) => tracing::warn!(%error, "Not announced on the local network"),
        }
    }

    /// This machine is not there any more.
    pub(crate) fn leave(&mut self, who: ResidentId) {
        self.present.take_if(|present| present.who == who);
    }

    fn present(&self, who: ResidentId, tag: NearbyTag) -> Result<Present, Error> {
        let daemon = ServiceDaemon::new()?;
        // Its thread ends by nothing else.
        let browsing = daemon.browse(SERVICE).inspect_err(|_| drop(daemon.shutdown()))?;
        let watch = tokio::spawn(watch(who, browsing, self.to_loop.clone()));
        let present = Present { who, daemon, watch };
        present.daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        // The machine announces itself anew when the addresses change.
        present.daemon.set_ip_check_interval(0)?;
        present.daemon.register(self.announced_as(tag)?)?;
        Ok(present)
    }

    fn announced_as(&self, tag: NearbyTag) -> Result<ServiceInfo, Error> {
        let label = label_of(tag);
        let (host, port) = (format!("{label}.local."), self.listening.port());
        let nothing = [("", ""); 0];
        let ip = self.listening.ip();
        if ip.is_unspecified() {
            let info = ServiceInfo::new(SERVICE, &label, &host, (), port, nothing.as_slice())?;
            Ok(info.enable_addr_auto())
        } else {
            ServiceInfo::new(SERVICE, &label, &host, ip, port, nothing.as_slice())
        }
    }
}

/// Tells the loop who comes and goes, for as long as both ends are there.
async fn watch(who: ResidentId, events: Receiver<ServiceEvent>, to_loop: mpsc::Sender<News>) {
    let mut seen = BTreeMap::new();
    while let Ok(event) = events.recv_async().await {
        for sighting in sightings(event, &mut seen) {
            tracing::debug!(?sighting, "On the local network");
            if to_loop.send(News::Nearby(who, sighting)).await.is_err() {
                return;
            }
        }
    }
}

/// What an event means; `seen` are the instances by their full names.
fn sightings(event: ServiceEvent, seen: &mut BTreeMap<String, NearbyTag>) -> Vec<Sighting> {
    if let ServiceEvent::ServiceRemoved(_, name) = &event {
        return seen.remove(name).map(Sighting::Gone).into_iter().collect();
    }
    let ServiceEvent::ServiceResolved(service) = event else { return Vec::new() };
    let has_room = seen.len() < INSTANCES_MAX || seen.contains_key(&service.fullname);
    let Some(tag) = tag_of(&service.fullname).filter(|_| has_room) else { return Vec::new() };
    seen.insert(service.fullname.clone(), tag);
    addresses(&service).into_iter().map(|at| Sighting::Seen { tag, at }).collect()
}

/// Where an instance listens, IPv4 first.
fn addresses(service: &ResolvedService) -> Vec<SocketAddr> {
    let at = |address: &ScopedIp| {
        let mut at = SocketAddr::new(address.to_ip_addr(), service.port);
        if let (ScopedIp::V6(scoped), SocketAddr::V6(v6)) = (address, &mut at)
            && v6.ip().is_unicast_link_local()
        {
            v6.set_scope_id(scoped.scope_id().index);
        }
        at
    };
    let is_other = |at: &SocketAddr| !at.ip().is_loopback() && !at.ip().is_unspecified();
    let mut all: Vec<SocketAddr> = service.addresses.iter().map(at).filter(is_other).collect();
    all.sort_unstable();
    all
}

/// A tag as a name, which DNS compares without regard to case.
fn label_of(tag: NearbyTag) -> String {
    BASE32_NOPAD.encode(&tag.0).to_ascii_lowercase()
}

fn tag_of(fullname: &str) -> Option<NearbyTag> {
    let label = fullname.split('.').next()?.to_ascii_uppercase();
    let bytes = BASE32_NOPAD.decode(label.as_bytes()).ok()?;
    bytes.try_into().ok().map(NearbyTag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_from_the_name_of_its_instance() {
        let tag = NearbyTag([7; 16]);
        let label = label_of(tag);
        assert_eq!(label, label.to_lowercase());
        for name in [label.clone(), label.to_uppercase()] {
            assert_eq!(tag_of(&format!("{name}.{SERVICE}")), Some(tag));
        }
        for other in ["", "printer", "mfrggzdfmy", &label[1..]] {
            assert_eq!(tag_of(&format!("{other}.{SERVICE}")), None, "{other}");
        }
    }

    #[test]
    fn what_goes_is_told_once_and_what_never_came_not_at_all() {
        let (tag, mut seen) = (NearbyTag([7; 16]), BTreeMap::new());
        let name = format!("{}.{SERVICE}", label_of(tag));
        seen.insert(name.clone(), tag);
        let gone = || ServiceEvent::ServiceRemoved(SERVICE.to_owned(), name.clone());
        assert_eq!(sightings(gone(), &mut seen), [Sighting::Gone(tag)]);
        assert_eq!(sightings(gone(), &mut seen), []);
    }
}
