//! The app and a program without a window call each other, and the app keeps its call when its
//! speaker is pulled out.

use std::time::{Duration, Instant};

use earshot_audio::frame::SAMPLE_RATE_HZ;
use earshot_tests::demo::script::Script;
use earshot_tests::demo::sound::Recording;
use serde_json::json;

use crate::person::{Person, words};
use crate::program::Program;
use crate::room::{self, AUDIBLE, UNDERSTOOD};

const SECONDS: u32 = 8;
/// A device that is there again is heard again within this. The gate.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// Alice at her app, and Ben, who has none; buddies.
fn couple() -> (Person, Program) {
    let alice = Person::at_the_app("alice");
    let invite = alice.start_network("home");
    alice.sign_up("Alice");
    let ben = Program::new("ben", &alice, &invite);
    ben.befriend(&alice);
    (alice, ben)
}

fn alice_calls(alice: &Person, ben: &Program) {
    let mark = ben.peer.mark();
    alice.click("button", &words("chat.call", &[("name", "ben")]));
    let call = ben.call_is(mark, "ringing");
    ben.ask("call.accept", &json!({ "callId": call["id"] }));
    alice.until("they talk", || alice.call()["state"] == "talking");
}

fn ben_calls(alice: &Person, ben: &Program) {
    let mark = ben.peer.mark();
    ben.ask("call.start", &json!({ "to": "alice" }));
    alice.reads(&words("ring.title", &[("name", "ben")]));
    alice.click("button", &words("ring.accept", &[]));
    ben.call_is(mark, "talking");
    alice.until("they talk", || alice.call()["state"] == "talking");
}

#[test]
fn an_app_and_a_program_call_each_other() {
    let (alice, ben) = couple();
    let script = Script::of(None, SECONDS).unwrap();
    for (name, calls) in [("by-app", alice_calls as fn(&Person, &Program)), ("by-ben", ben_calls)] {
        let heard_by_ben = ben.will_say(&script.bob, name);
        let ear = room::listen(&alice.desktop, name);
        calls(&alice, &ben);
        let began = ear.so_far().samples.len();
        let enough = began + script.bob.samples.len() + SAMPLE_RATE_HZ as usize;
        alice.until("Ben has spoken", || ear.so_far().samples.len() > enough);
        let mut heard = ear.heard();
        heard.samples.drain(..began.saturating_sub(SAMPLE_RATE_HZ as usize));
        let alice_understood = room::understood(&script.bob, &heard).unwrap_or(0.0);

        room::say(&alice.desktop, name, &script.alice).said();
        let mark = ben.peer.mark();
        alice.click("button", &words("call.hangUp", &[]));
        assert_eq!(ben.call_is(mark, "ended")["end"]["reason"], "hungUp");
        let mut heard = Recording::read(&heard_by_ben).unwrap();
        let spoken = script.alice.samples.len() + 2 * SAMPLE_RATE_HZ as usize;
        heard.samples.drain(..heard.samples.len().saturating_sub(spoken));
        let ben_understood = room::understood(&script.alice, &heard).unwrap_or(0.0);
        println!("{name}: Alice understood {alice_understood:.3}, Ben {ben_understood:.3}");
        assert!(alice_understood > UNDERSTOOD, "{name}: Alice understood {alice_understood}");
        assert!(ben_understood > UNDERSTOOD, "{name}: Ben understood {ben_understood}");
    }
}

#[test]
fn a_speaker_that_is_pulled_out_and_put_back_is_heard_within_two_seconds() {
    let (alice, ben) = couple();
    alice_calls(&alice, &ben);
    let loud = |ear: &room::Ear| room::loudness(&ear.so_far()) > AUDIBLE;
    let ear = room::listen(&alice.desktop, "before");
    alice.until("the tone is heard", || loud(&ear));
    drop(ear.heard());

    // The system goes over to the other speaker that there is, and back; so does the call.
    let sound = alice.desktop.sound();
    let steps: [(&str, &dyn Fn() -> std::io::Result<()>); 2] =
        [("room", &|| sound.unplug("spk")), ("spk", &|| sound.plug_in("spk"))];
    for (speaker, happens) in steps {
        let begun = Instant::now();
        happens().unwrap();
        let ear = room::listen_at(&alice.desktop, speaker, speaker);
        alice.until("the tone is heard again", || loud(&ear));
        let took = begun.elapsed();
        drop(ear.heard());
        println!("heard at {speaker} after {} ms", took.as_millis());
        assert!(took < BACK_WITHIN, "heard at {speaker} after {took:?}");
        assert_eq!(alice.call()["state"], "talking");
    }
    alice.click("button", &words("call.hangUp", &[]));
}
