//! What is wrong with the devices in use: told once, and told when it is over.
//!
//! Invariant: whatever was told as wrong is told as solved, at the latest when the devices are let
//! go.

use earshot_audio::device::{DeviceError, DeviceNews, Direction};
use earshot_audio::session::VoiceNews;

/// How a device does of which there was something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceState {
    /// Microphone or speaker.
    pub direction: Direction,
    /// What is wrong, or was.
    pub trouble: DeviceError,
    /// Whether that is over.
    pub solved: bool,
}

/// What is wrong with the two devices of one use.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    microphone: Option<DeviceError>,
    speaker: Option<DeviceError>,
}

impl Troubles {
    /// What is to be told of the news of a device.
    pub(crate) fn take(&mut self, VoiceNews { direction, news }: VoiceNews) -> Option<DeviceState> {
        let known = match direction {
            Direction::Capture => &mut self.microphone,
            Direction::Playback => &mut self.speaker,
        };
        match news {
            DeviceNews::Trouble(trouble) => {
                *known = Some(trouble.clone());
                Some(DeviceState { direction, trouble, solved: false })
            }
            DeviceNews::Well => {
                let trouble = known.take()?;
                Some(DeviceState { direction, trouble, solved: true })
            }
        }
    }

    /// The devices are let go: whatever was wrong with them is nobody's concern any more.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = DeviceState> + use<> {
        let troubles = [
            (Direction::Capture, self.microphone.take()),
            (Direction::Playback, self.speaker.take()),
        ];
        troubles.into_iter().filter_map(|(direction, trouble)| {
            trouble.map(|trouble| DeviceState { direction, trouble, solved: true })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(direction: Direction, news: DeviceNews) -> VoiceNews {
        VoiceNews { direction, news }
    }

    #[test]
    fn what_was_wrong_is_told_as_solved_when_it_is_well_and_when_it_ends() {
        let mut troubles = Troubles::default();
        let gone = DeviceError::NoDevice { direction: Direction::Capture };
        let state = |solved| {
            Some(DeviceState { direction: Direction::Capture, trouble: gone.clone(), solved })
        };
        let (bad, well) = (DeviceNews::Trouble(gone.clone()), DeviceNews::Well);
        assert_eq!(troubles.take(news(Direction::Capture, bad.clone())), state(false));
        assert_eq!(troubles.take(news(Direction::Playback, well.clone())), None);
        assert_eq!(troubles.take(news(Direction::Capture, well)), state(true));
        assert_eq!(troubles.end().next(), None);
        troubles.take(news(Direction::Capture, bad));
        assert_eq!(troubles.end().next(), state(true));
    }
}
