//! The whole road of two people: a network, two accounts, words, a call with their voices, and the
//! history the next day.

use earshot_tests::demo::script::Script;

use crate::person::{Person, words};
use crate::room::{self, SILENCE, UNDERSTOOD};

const SECONDS: u32 = 10;

const ALICE: &str = "Alice Liddell";
const BOB: &str = "Bob the Builder";

#[test]
fn two_people_meet_write_talk_and_find_it_all_again() {
    let mut alice = Person::at_the_app("alice");
    let mut bob = Person::at_the_app("bobby");
    alice.photograph("welcome");
    let invite = alice.start_network("Wonderland");
    alice.sign_up(ALICE);
    bob.join_network(&invite);
    bob.sign_up(BOB);

    bob.ask_to_add("alice");
    alice.choose(BOB);
    alice.photograph("request");
    alice.click("button", &words("request.accept", &[]));
    bob.choose(ALICE);

    alice.write(BOB, "Have you seen the white rabbit?");
    bob.reads("Have you seen the white rabbit?");
    bob.write(ALICE, "<b>Which</b> one, Älice?");
    alice.reads("<b>Which</b> one, Älice?");
    alice.photograph("conversation");

    call(&alice, &bob);

    for person in [&mut alice, &mut bob] {
        person.quit();
        person.open();
        person.log_in();
    }
    alice.choose(BOB);
    alice.reads("Have you seen the white rabbit?");
    alice.reads("<b>Which</b> one, Älice?");
    bob.choose(ALICE);
    bob.reads("Have you seen the white rabbit?");
    alice.click("tab", &words("list.calls", &[]));
    alice.photograph("call-log");
    alice.reads(&words("log.out", &[]));
    alice.quit();
    bob.quit();
}

fn call(alice: &Person, bob: &Person) {
    alice.click("button", &words("chat.call", &[("name", BOB)]));
    bob.reads(&words("ring.title", &[("name", ALICE)]));
    bob.photograph("incoming-call");
    bob.click("button", &words("ring.accept", &[]));
    for person in [alice, bob] {
        person.sees("button", &words("call.hangUp", &[]));
    }
    alice.until("both hear each other", || alice.call()["state"] == "talking");
    bob.until("both hear each other", || bob.call()["state"] == "talking");
    alice.photograph("call");

    let script = Script::of(None, SECONDS).unwrap();
    let heard_by_bob = talk(alice, bob, &script.alice);
    let heard_by_alice = talk(bob, alice, &script.bob);
    println!("understood: Bob {heard_by_bob:.3}, Alice {heard_by_alice:.3}");
    for person in [alice, bob] {
        println!("{}: {}", person.name, person.call_stats());
    }
    assert!(heard_by_bob > UNDERSTOOD, "Bob understood {heard_by_bob}");
    assert!(heard_by_alice > UNDERSTOOD, "Alice understood {heard_by_alice}");
    alice.click("button", &words("call.open", &[]));
    alice.reads(&words("call.path", &[]));
    alice.photograph("call-view");

    alice.click("button", &words("call.mute", &[]));
    alice.sees("button", &words("call.unmute", &[]));
    assert_eq!(alice.call()["mutedHere"], true);
    unheard(alice, bob, &script.alice);
    alice.click("button", &words("call.unmute", &[]));
    alice.sees("button", &words("call.mute", &[]));

    bob.click("button", &words("call.hold", &[]));
    alice.until("Alice is held", || alice.call()["state"] == "held");
    bob.photograph("held");
    unheard(alice, bob, &script.alice);
    bob.click("button", &words("call.resume", &[]));
    alice.until("the call goes on", || alice.call()["state"] == "talking");
    let again = talk(alice, bob, &script.alice);
    assert!(again > UNDERSTOOD, "after the hold Bob understood {again}");

    bob.click("button", &words("call.hangUp", &[]));
    for person in [alice, bob] {
        person.until("the call is over", || person.call().is_null());
    }
    alice.photograph("after-the-call");
}

/// How much the listener understands of what the speaker says.
fn talk(speaker: &Person, listener: &Person, what: &earshot_tests::demo::sound::Recording) -> f64 {
    let ear = room::listen(&listener.desktop, &format!("heard-from-{}", speaker.name));
    room::say(&speaker.desktop, "said", what).said();
    let heard = ear.heard();
    let file = listener.pictures().join(format!("{}-heard.wav", listener.name));
    heard.write(&file).unwrap();
    room::understood(what, &heard).unwrap_or(0.0)
}

/// What the speaker says is not heard.
fn unheard(speaker: &Person, listener: &Person, what: &earshot_tests::demo::sound::Recording) {
    let ear = room::listen(&listener.desktop, "unheard");
    room::say(&speaker.desktop, "said-in-vain", what).said();
    let heard = ear.heard();
    let loud = room::loudness(&heard);
    assert!(loud < SILENCE, "{} heard something: {loud}", listener.name);
}
