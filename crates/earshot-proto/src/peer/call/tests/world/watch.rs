//! What must hold of everything that a machine puts out, at any moment and in the end.

use super::{Device, World};
use crate::ids::CallId;
use crate::peer::call::view::{CallState, CallView};
use crate::port::VoiceOrder;

impl World {
    pub(super) fn changed(&mut self, at: usize, view: CallView) {
        let device = &mut self.devices[at];
        assert_eq!(view.end.is_some(), view.state == CallState::Ended, "{view:?}");
        device.ever.push(view.clone());
        let rank = |state: CallState| match state {
            CallState::Locating => 0,
            CallState::Ringing => 1,
            CallState::Connecting => 2,
            CallState::Talking | CallState::Held => 3,
            CallState::Ended => 4,
        };
        let before = device.views.iter_mut().find(|before| before.id == view.id);
        match before {
            Some(before) => {
                assert_ne!(before.state, CallState::Ended, "shown after its end: {view:?}");
                assert!(rank(before.state) <= rank(view.state), "{before:?} then {view:?}");
                *before = view;
            }
            None => device.views.push(view),
        }
    }

    pub(super) fn voice(&mut self, at: usize, call: CallId, order: VoiceOrder) {
        let voice = self.devices[at].voices.entry(call).or_default();
        assert!(!voice.stopped, "{order:?} after Stop");
        match order {
            VoiceOrder::Prepare => assert!(!voice.started, "prepared while talking"),
            VoiceOrder::Start { keys, route } => {
                assert!(!voice.started, "started twice");
                assert!(!route.send.is_empty(), "started over nothing");
                voice.started = true;
                voice.route = route;
                voice.send = keys.send.key.to_vec();
                voice.receive = keys.receive.key.to_vec();
            }
            VoiceOrder::Reroute(route) => {
                assert!(voice.started && voice.route != route, "rerouted for nothing");
                assert!(route.send.iter().all(|path| route.hear.contains(path)));
                voice.route = route;
            }
            VoiceOrder::Mute => voice.muted = true,
            VoiceOrder::Unmute => voice.muted = false,
            VoiceOrder::Hold => voice.held = true,
            VoiceOrder::Resume => voice.held = false,
            VoiceOrder::Stop => voice.stopped = true,
        }
        if voice.started {
            self.compare_keys(at, call);
        }
    }

    /// Two devices that talk with each other must have the same keys.
    pub(super) fn compare_keys(&self, at: usize, call: CallId) {
        let partner = |d: &Device| d.calls.current().and_then(|view| view.device);
        let own = &self.devices[at];
        for other in &self.devices {
            let mutual = partner(own) == Some(other.address.device)
                && partner(other) == Some(own.address.device);
            let theirs = other.voices.get(&call).filter(|v| v.started && mutual);
            if let Some(theirs) = theirs {
                let voice = &own.voices[&call];
                assert_eq!((&voice.send, &voice.receive), (&theirs.receive, &theirs.send));
            }
        }
    }

    /// Nothing is under way anywhere: no call, no timer, no path, no voice.
    pub(in super::super) fn assert_quiet(&self) {
        for device in self.devices.iter().filter(|d| d.alive) {
            let name = device.name;
            assert_eq!(device.calls.current(), None, "{name} is in a call");
            assert_eq!(device.calls.poll_timeout(), None, "{name} waits for something");
            assert!(device.paths.values().all(|p| !p.open), "{name} left a path open");
            assert!(device.voices.values().all(|v| v.stopped), "{name} left a voice on");
            for view in &device.views {
                assert!(view.end.is_some(), "{name} never ended {view:?}");
                assert!(device.log.iter().any(|e| e.call == view.id), "{name} did not log it");
            }
        }
    }
}
