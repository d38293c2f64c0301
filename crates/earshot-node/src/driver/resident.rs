//! One machine in the loop, whatever its role.

use std::any::Any;
use std::time::Instant;

use earshot_proto::port::{Input, Machine, Output, SaveId, Service, VoiceEvent, WorkId};
use earshot_proto::secure::password::Work;

use super::news::{News, ResidentId};
use super::{Mail, Receipt, Residence, VoiceReport};
use crate::ports::Ports;

/// A machine without its types.
pub(crate) trait Resident: Send {
    fn id(&self) -> ResidentId;
    fn services(&self) -> &[Service];
    fn mail(&self) -> Mail;
    /// When it wants to be called by `Input::Timeout`.
    fn deadline(&self) -> Option<Instant>;
    /// Gives one input and does all that comes of it.
    fn handle(&mut self, now: Instant, input: Input<'_>, ports: &mut Ports);
    /// The machine itself, for its owner.
    fn machine(&mut self) -> &mut dyn Any;
    /// Does what comes of what the owner asked.
    fn drain(&mut self, ports: &mut Ports);
}

/// A machine and its owner's ends.
pub(crate) struct Housed<M: Machine> {
    id: ResidentId,
    residence: Residence<M>,
    deadline: Option<Instant>,
}

impl<M: Machine> Housed<M> {
    pub(crate) fn new(id: ResidentId, residence: Residence<M>) -> Self {
        Self { id, residence, deadline: None }
    }

    fn save(&mut self, id: SaveId, record: M::Record, ports: &Ports) {
        self.residence.keep.save(record, Receipt::new(self.id, id, ports.answers()));
    }
}

impl<M> Resident for Housed<M>
where
    M: Machine + Send + 'static,
    M::Notice: 'static,
    M::Record: 'static,
{
    fn id(&self) -> ResidentId {
        self.id
    }

    fn services(&self) -> &[Service] {
        &self.residence.services
    }

    fn mail(&self) -> Mail {
        self.residence.mail
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle(&mut self, now: Instant, input: Input<'_>, ports: &mut Ports) {
        self.residence.machine.handle(now, input);
        self.drain(ports);
    }

    fn machine(&mut self) -> &mut dyn Any {
        &mut self.residence.machine
    }

    fn drain(&mut self, ports: &mut Ports) {
        loop {
            match self.residence.machine.poll_output() {
                Output::Send(transmit) => ports.send(transmit),
                Output::Link(id, order) => ports.link(self.id, id, order),
                Output::Path(id, order) => ports.path(self.id, id, order),
                Output::RelayPort(id, order) => ports.relay_port(self.id, id, order),
                Output::Voice(call, order) => {
                    let report = VoiceReport::new(self.id, call, ports.answers());
                    match &mut self.residence.voice {
                        Some(voice) => voice.order(call, order, report, &ports.paths(self.id)),
                        None => report.tell(VoiceEvent::Failed),
                    }
                }
                Output::Nearby(tag) => ports.neighbourhood.announce(self.id, tag),
                Output::Save(id, record) => self.save(id, record, ports),
                Output::Work(id, work) => compute(self.id, id, *work, ports),
                Output::Notify(notice) => (self.residence.notices)(notice),
                Output::Wait(deadline, _) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }
}

/// Computes off the loop; the thread ends some time after its last work.
fn compute(who: ResidentId, id: WorkId, work: Work, ports: &Ports) {
    let answers = ports.answers();
    tokio::task::spawn_blocking(move || {
        // The loop is gone only when the process stops.
        let _ = answers.send(News::Worked(who, id, Box::new(work.run())));
    });
}
