//! The devices that a person can choose from, and finding one again by its id.
//!
//! Source: cpal. Where a PulseAudio server (or PipeWire's) runs, its devices are the list: raw ALSA
//! would add a dozen plug-ins that nobody knows. Monitors of loudspeakers are left out of the list;
//! who types such an id gets it nevertheless.
//! Invariant: an id is stable over restarts and is what `device:ID` takes.

use std::str::FromStr;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, DeviceId, Host, HostId};

use super::{DEFAULT_DEVICE, DeviceError, Direction};

/// One line of the picker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceEntry {
    /// What `device:ID` takes.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// The system would choose it.
    pub is_default: bool,
}

/// What can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// To speak into.
    pub microphones: Vec<DeviceEntry>,
    /// To listen to.
    pub speakers: Vec<DeviceEntry>,
}

/// Asks the sound server what there is now: about a millisecond, so once a second is fine while a
/// picker is open. No server and no card give two empty lists.
pub fn devices() -> Devices {
    let Ok(host) = host() else { return Devices::default() };
    let name_of = |default: Option<Device>| default.and_then(|device| device.id().ok());
    let default_input = name_of(host.default_input_device());
    let default_output = name_of(host.default_output_device());
    let Ok(all) = host.devices() else { return Devices::default() };
    let mut found = Devices::default();
    for device in all {
        let (Ok(id), Ok(description)) = (device.id(), device.description()) else { continue };
        let entry = |default: &Option<DeviceId>| DeviceEntry {
            id: id.to_string(),
            name: description.name().replace('_', " "),
            is_default: default.as_ref() == Some(&id),
        };
        if description.supports_input() && is_microphone(&device) {
            found.microphones.push(entry(&default_input));
        }
        if description.supports_output() {
            found.speakers.push(entry(&default_output));
        }
    }
    found
}

/// The device to use for an id now.
pub(crate) struct Found {
    pub(crate) device: Device,
    /// Its own id, also where the system's choice was asked for.
    pub(crate) id: String,
    /// Why it is another one than was asked for.
    pub(crate) instead: Option<DeviceError>,
}

/// Finds the device behind an id; where it is gone the system's choice stands in for it.
pub(crate) fn find(id: &str, direction: Direction) -> Result<Found, DeviceError> {
    let found = |device: Device, instead| Found {
        id: device.id().map_or_else(|_| id.to_owned(), |own| own.to_string()),
        device,
        instead,
    };
    if id == DEFAULT_DEVICE {
        return system_choice(&host()?, direction).map(|device| found(device, None));
    }
    let unknown = || DeviceError::NoSuchDevice { id: id.to_owned() };
    let device_id = DeviceId::from_str(id).map_err(|_| unknown())?;
    let host = open(device_id.host())?;
    match host.device_by_id(&device_id) {
        Some(device) => Ok(found(device, None)),
        None => system_choice(&host, direction)
            .map(|device| found(device, Some(unknown())))
            .map_err(|_| unknown()),
    }
}

fn system_choice(host: &Host, direction: Direction) -> Result<Device, DeviceError> {
    let device = match direction {
        Direction::Capture => default_microphone(host),
        Direction::Playback => host.default_output_device(),
    };
    device.ok_or(DeviceError::NoDevice { direction })
}

/// A server without microphones names the monitor of a loudspeaker as the default; then it is any
/// microphone that there is.
fn default_microphone(host: &Host) -> Option<Device> {
    host.default_input_device()
        .filter(is_microphone)
        .or_else(|| host.input_devices().ok()?.find(is_microphone))
}

fn is_microphone(device: &Device) -> bool {
    device.id().is_ok_and(|id| !id.id().ends_with(".monitor"))
}

fn host() -> Result<Host, DeviceError> {
    let hosts = cpal::available_hosts();
    let preferred = hosts.iter().find(|host| host.name() == "PulseAudio").or(hosts.first());
    open(*preferred.ok_or_else(|| gone("no sound system"))?)
}

fn open(host: HostId) -> Result<Host, DeviceError> {
    #[cfg(target_os = "linux")]
    super::cookie::ensure();
    cpal::host_from_id(host).map_err(|error| gone(&error.to_string()))
}

fn gone(reason: &str) -> DeviceError {
    DeviceError::ServerGone { reason: reason.to_owned() }
}
