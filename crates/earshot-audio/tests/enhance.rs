//! A room that was never built: does the enhancement take the echo and the noise out of it?

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use earshot_audio::enhance::{Choice, EnhanceSettings, Enhancer, Scene};
use earshot_audio::frame::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};
use earshot_audio::level::rms_dbfs;
use support::{Dice, block, voice};

const SECONDS: usize = 12;
/// The canceller has learnt the room by then.
const LEARNT: usize = 5 * SAMPLE_RATE_HZ as usize;

/// What comes back from a loudspeaker: 60 ms late, 6 dB down, with sixty reflections that die away
/// over 150 ms, above a noise floor of −75 dBFS.
fn echo_of(far: &[f32], seed: u64) -> Vec<f32> {
    let mut dice = Dice(seed);
    let reflections: Vec<(usize, f32)> = (0..60)
        .map(|n| {
            let after = n as f64 / 60.0 * 0.15;
            let gain = 0.35 * (-after / 0.03).exp() * (2.0 * dice.unit() - 1.0);
            (((0.06 + after) * 48_000.0) as usize, if n == 0 { 0.5 } else { gain as f32 })
        })
        .collect();
    (0..far.len())
        .map(|i| {
            let echo: f32 = reflections
                .iter()
                .map(|(delay, gain)| i.checked_sub(*delay).map_or(0.0, |j| far[j] * gain))
                .sum();
            echo + (dice.unit() - 0.5) as f32 * 6e-4
        })
        .collect()
}

fn only(settings: EnhanceSettings) -> Enhancer {
    Enhancer::new(settings, Scene::Room).unwrap()
}

const NOTHING: EnhanceSettings =
    EnhanceSettings { echo: Choice::Off, noise: Choice::Off, gain: Choice::Off };

#[test]
fn the_echo_of_the_other_voice_is_taken_out() {
    let far = voice(31, SECONDS);
    let microphone = echo_of(&far, 32);
    let mut enhancer = only(EnhanceSettings { echo: Choice::On, ..NOTHING });
    let mut clean = Vec::new();
    for n in 0..far.len() / BLOCK_SAMPLES {
        enhancer.render(&block(&far, n));
        clean.extend(enhancer.capture(&block(&microphone, n)));
    }
    let enhancement = rms_dbfs(&microphone[LEARNT..]) - rms_dbfs(&clean[LEARNT..]);
    println!("echo return loss enhancement {enhancement:.1} dB");
    assert!(enhancement > 20.0, "{enhancement} dB");
}

#[test]
fn our_own_voice_comes_through_while_the_other_is_silent() {
    let near = voice(33, SECONDS);
    let silence = vec![0.0; near.len()];
    let mut enhancer = only(EnhanceSettings { echo: Choice::On, noise: Choice::On, ..NOTHING });
    let mut clean = Vec::new();
    for n in 0..near.len() / BLOCK_SAMPLES {
        enhancer.render(&block(&silence, n));
        clean.extend(enhancer.capture(&block(&near, n)));
    }
    let loss = rms_dbfs(&near[LEARNT..]) - rms_dbfs(&clean[LEARNT..]);
    assert!(loss.abs() < 2.0, "{loss} dB");
}

#[test]
fn steady_noise_is_lowered() {
    let mut dice = Dice(34);
    let noise: Vec<f32> =
        (0..SECONDS * 48_000).map(|_| (dice.unit() - 0.5) as f32 * 0.02).collect();
    let mut enhancer = only(EnhanceSettings { noise: Choice::On, ..NOTHING });
    let clean: Vec<f32> = (0..noise.len() / BLOCK_SAMPLES)
        .flat_map(|n| enhancer.capture(&block(&noise, n)))
        .collect();
    let lowered = rms_dbfs(&noise[LEARNT..]) - rms_dbfs(&clean[LEARNT..]);
    println!("noise lowered by {lowered:.1} dB");
    assert!(lowered > 8.0, "{lowered} dB");
}

#[test]
fn a_quiet_voice_is_made_louder_but_never_beyond_full_scale() {
    let quiet: Vec<f32> = voice(35, SECONDS).iter().map(|x| x * 0.05).collect();
    let mut enhancer = only(EnhanceSettings { gain: Choice::On, ..NOTHING });
    let loud: Vec<f32> = (0..quiet.len() / BLOCK_SAMPLES)
        .flat_map(|n| enhancer.capture(&block(&quiet, n)))
        .collect();
    let gained = rms_dbfs(&loud[LEARNT..]) - rms_dbfs(&quiet[LEARNT..]);
    println!("voice raised by {gained:.1} dB");
    assert!(gained > 6.0, "{gained} dB");
    assert!(loud.iter().all(|x| x.abs() <= 1.0));
}
