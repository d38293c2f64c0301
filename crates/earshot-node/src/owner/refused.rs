//! Why the machine refuses, in the contract's words; and what is wrong with sound.

use std::path::Path;

use earshot_audio::device::wav_source::WavSource;
use earshot_audio::device::{DeviceError, Direction};
use earshot_audio::session::OpenError;
use earshot_proto::ids::CallId;
use earshot_proto::peer::command::Failure as Refused;
use earshot_proto::port::SaveFailure;
use earshot_proto::wire::login::Refusal;

use crate::api::audio::{AudioFault, AudioPart, AudioProblem};
use crate::api::errors::{ErrorCode, Limited};
use crate::api::failure::Failure;
use crate::troubles::DeviceState;

pub(super) fn failure(refused: Refused) -> Failure {
    let retry_after_ms = if let Refused::Refused(_, retry) = &refused { *retry } else { None };
    let failure = Failure::from(code(refused));
    match retry_after_ms {
        Some(ms) => failure.retry_after(ms),
        None => failure,
    }
}

fn code(refused: Refused) -> ErrorCode {
    match refused {
        Refused::NoNetwork => ErrorCode::NoNetwork,
        Refused::OtherNetwork => ErrorCode::OtherNetwork,
        Refused::NotLoggedIn => ErrorCode::NotLoggedIn,
        Refused::LoggedInAlready => ErrorCode::AlreadyLoggedIn,
        Refused::NoSuperPeer { .. } => ErrorCode::NotConnected { since: None },
        Refused::ClockWrong { off_by_ms } => ErrorCode::ClockWrong { off_by_ms },
        Refused::AuthorityUnreachable => ErrorCode::AuthorityUnreachable { since: None },
        Refused::Refused(reason, _) => refusal(reason),
        Refused::WrongNameOrPassword => ErrorCode::WrongNameOrPassword,
        Refused::Disbelieved => ErrorCode::WrongNetwork,
        Refused::VaultDamaged => ErrorCode::DamagedData { file: "vault".into() },
        Refused::NotKept(SaveFailure::DiskFull) => ErrorCode::DiskFull,
        Refused::NotKept(SaveFailure::Broken) => ErrorCode::FileRefused {
            file: "the data directory".into(),
            problem: "it could not be written".into(),
        },
        Refused::NotABuddy => ErrorCode::NotBuddy,
        Refused::BuddyAlready => ErrorCode::AlreadyBuddy,
        Refused::NoRequest => ErrorCode::NoSuchRequest,
        Refused::NoSuchUser => ErrorCode::NoSuchUser,
        Refused::Yourself => ErrorCode::Yourself,
        Refused::NoSuchCall => ErrorCode::NoSuchCall,
        Refused::InCall(call) => ErrorCode::InACall { call_id: call.into() },
        Refused::WrongCallState(state) => ErrorCode::WrongCallState { state: state_of(state) },
        Refused::TooMany { max } => ErrorCode::TooMany { what: Limited::Questions, max },
    }
}

const fn refusal(reason: Refusal) -> ErrorCode {
    match reason {
        Refusal::NameTaken => ErrorCode::NameTaken,
        Refusal::NameLooksAlike => ErrorCode::NameLooksAlike,
        Refusal::WrongNameOrPassword => ErrorCode::WrongNameOrPassword,
        Refusal::NotAdmitted => ErrorCode::NotAdmitted,
        Refusal::TooManyAttempts => ErrorCode::TooManyAttempts,
        Refusal::DevicesRefused => ErrorCode::DeviceRefused,
        Refusal::CertificateRefused => ErrorCode::CertificateRefused,
        Refusal::OutOfOrder | Refusal::Malformed => ErrorCode::BrokenProtocol,
        Refusal::Unavailable => ErrorCode::AuthorityFailed,
        Refusal::NoSuchUser => ErrorCode::NoSuchUser,
    }
}

const fn state_of(
    state: earshot_proto::peer::call::view::CallState,
) -> crate::api::call::CallState {
    use crate::api::call::CallState as Told;
    use earshot_proto::peer::call::view::CallState;
    match state {
        CallState::Locating => Told::Locating,
        CallState::Ringing => Told::Ringing,
        CallState::Connecting => Told::Connecting,
        CallState::Talking => Told::Talking,
        CallState::Held => Told::Held,
        CallState::Ended => Told::Ended,
    }
}

/// Whether a microphone file can be played; so that a wrong path is told when it is chosen, not in
/// the call.
pub(super) fn readable(path: &Path) -> Result<(), ErrorCode> {
    match WavSource::open(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let (fault, device) = fault(&error);
            Err(ErrorCode::Audio { fault, device, problem: Some(error.to_string()) })
        }
    }
}

pub(super) fn audio_problem(call: CallId, error: &OpenError) -> AudioProblem {
    let (fault, device) = match error {
        OpenError::Device(error) => fault(error),
        OpenError::Codec(_) | OpenError::NoThread { .. } => (AudioFault::Unsupported, None),
    };
    AudioProblem { fault, device, part: None, call_id: Some(call.into()), solved: false }
}

/// What a device tells, in a call or beside; `part` where its direction does not say it all.
pub(crate) fn device_problem(
    call: Option<CallId>,
    part: Option<AudioPart>,
    state: &DeviceState,
) -> AudioProblem {
    let (fault, device) = fault(&state.trouble);
    let by_direction = match state.direction {
        Direction::Capture => AudioPart::Microphone,
        Direction::Playback => AudioPart::Speaker,
    };
    let part = Some(part.unwrap_or(by_direction));
    AudioProblem { fault, device, part, call_id: call.map(Into::into), solved: state.solved }
}

/// A device that could not be opened, as a refusal.
pub(crate) fn audio(error: &DeviceError) -> ErrorCode {
    let (fault, device) = fault(error);
    ErrorCode::Audio { fault, device, problem: Some(error.to_string()) }
}

fn fault(error: &DeviceError) -> (AudioFault, Option<String>) {
    let file = |path: &Path| Some(format!("file:{}", path.display()));
    let card = |id: &String| Some(format!("device:{id}"));
    match error {
        DeviceError::BadName { text } => (AudioFault::NoSuchDevice, Some(text.clone())),
        DeviceError::FileUnreadable { path, .. } => (AudioFault::FileUnreadable, file(path)),
        DeviceError::FileUnwritable { path, .. } => (AudioFault::FileUnwritable, file(path)),
        DeviceError::UnsupportedWav { path, .. } => (AudioFault::UnsupportedWav, file(path)),
        DeviceError::NoSuchDevice { id } => (AudioFault::NoSuchDevice, card(id)),
        DeviceError::NoDevice { direction: Direction::Capture } => (AudioFault::NoMicrophone, None),
        DeviceError::NoDevice { direction: Direction::Playback } => (AudioFault::NoSpeaker, None),
        DeviceError::DeviceBusy { id } => (AudioFault::DeviceBusy, card(id)),
        DeviceError::Forbidden { id } => (AudioFault::Forbidden, card(id)),
        DeviceError::Unsupported { id, .. } => (AudioFault::Unsupported, card(id)),
        DeviceError::ServerGone { .. } => (AudioFault::ServerGone, None),
    }
}
