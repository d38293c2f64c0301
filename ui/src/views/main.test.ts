// Stories of the window once one is in: lists, search, requests, writing, calls, settings.
import { screen, within } from "@testing-library/svelte";
import { describe, expect, test } from "vitest";
import type { EndReason } from "../backend/generated";
import { expectAccessible, openWindow } from "../testing/window";

const list = (name = "Contacts") => screen.getByRole("listbox", { name });
const option = (name: RegExp) => screen.getByRole("option", { name });

describe("lists", () => {
  test("the list is one stop of the keyboard, and arrows, letters and Enter walk it", async () => {
    const { user } = await openWindow("normal");
    await expectAccessible();
    await user.click(screen.getByLabelText("Search people"));
    await user.keyboard("{ArrowDown}");
    expect(option(/Onni/)).toHaveFocus();
    await user.keyboard("{ArrowDown}{ArrowDown}");
    expect(option(/Anna Virtanen/)).toHaveFocus();
    await user.keyboard("mi");
    expect(option(/Mikael/)).toHaveFocus();
    await user.keyboard("{Enter}");
    expect(screen.getByRole("heading", { name: "Mikael Åkerblom" })).toBeInTheDocument();
    expect(option(/Mikael/)).toHaveAttribute("aria-selected", "true");
    expect(within(list()).getAllByRole("option").filter((o) => o.tabIndex === 0)).toHaveLength(1);
  });

  test("typing filters, and the clear button brings all back", async () => {
    const { user, click } = await openWindow("normal");
    await user.type(screen.getByLabelText("Search people"), "akerblom");
    expect(within(list()).getAllByRole("option").map((o) => o.textContent)).toHaveLength(2);
    await click("button", "Clear the search");
    expect(within(list()).getAllByRole("option").length).toBeGreaterThan(8);
  });

  test("a search of the network tells its rounds, and who was found can be asked", async () => {
    const { user, click, clock, last } = await openWindow("normal");
    await user.type(screen.getByLabelText("Search people"), "eerik{Enter}");
    expect(last("search")).toEqual({ user: "eerik" });
    expect(await screen.findByText(/asking 4 super-peers, then 8/)).toBeInTheDocument();
    await clock.pass(700);
    expect(await screen.findByText("Found in round 2 after 38 ms: asked 4, then 8 super-peers.")).toBeInTheDocument();
    await click("option", /Eerik/);
    await user.type(screen.getByLabelText("A few words of greeting"), "Hello from the choir");
    await click("button", "Ask to add");
    expect(last("buddies.request")).toEqual({ user: "eerik", greeting: "Hello from the choir" });
    expect(await screen.findByText(/You asked Eerik/)).toBeInTheDocument();
  });

  test("who is not found is said so", async () => {
    const { user, clock } = await openWindow("normal");
    await user.type(screen.getByLabelText("Search people"), "nobody-here{Enter}");
    await clock.pass(700);
    expect(await screen.findByText(/Nobody in this network has the user name/)).toBeInTheDocument();
  });

  test("a search by words lists people as they come, and says how many and how the first was found", async () => {
    const { user, click, clock, last, backend } = await openWindow("normal");
    await user.type(screen.getByLabelText("Search people"), "Leht{Enter}");
    expect(last("search")).toEqual({ user: "Leht" });
    await clock.pass(660);
    expect(option(/Kerttu Lehtonen/)).not.toHaveTextContent(/online/i);
    expect(screen.getByText(/^Found in round 1 after 31 ms: asked 4 super-peers. Still looking.$/)).toBeInTheDocument();
    await clock.pass(300);
    expect(option(/Väinö Lehtola/)).toBeInTheDocument();
    expect(screen.getByText(/^Found 3 people, the first in round 1 after 31 ms: asked 4 super-peers.$/)).toBeInTheDocument();
    await expectAccessible();
    await click("option", /Kerttu/);
    expect(screen.getByText("Kerttu Lehtonen lets others find them by name")).toBeInTheDocument();
    const again = { searchId: "1", user: "kerttu", round: 1, askedNodes: 4, ms: 31.4, fromCache: true };
    backend.tell({ type: "searchResult", ...again, displayName: "Kerttu L." });
    await clock.pass(1);
    expect(screen.getByText(/^Found 3 people, the first in round 1 after 31 ms: answered from a recent search.$/)).toBeInTheDocument();
  });

  test("one letter is not looked for", async () => {
    const { user, asked } = await openWindow("normal");
    await user.type(screen.getByLabelText("Search people"), "l{Enter}");
    expect(asked("search")).toEqual([]);
    expect(screen.queryByRole("option", { name: /Look for/ })).not.toBeInTheDocument();
  });

  test("recents show the last words and what is unread; calls show what was missed", async () => {
    const { click, last } = await openWindow("normal");
    await click("radio", "Recents");
    expect(within(list("Recents")).getByRole("option", { name: /Anna Virtanen.*And bring the dog!.*2 unread/ })).toBeInTheDocument();
    await click("radio", "Calls");
    expect(last("call.history")).toEqual({ limit: 50 });
    expect(within(list("Calls")).getByRole("option", { name: /Anna Virtanen.*Missed/ })).toBeInTheDocument();
    await click("option", /Mikael/);
    expect(screen.getByRole("heading", { name: "Mikael Åkerblom" })).toBeInTheDocument();
  });

  test("an empty list says what to do, and leads to the invite", async () => {
    const { click, asked } = await openWindow("empty");
    expect(screen.getByText("Nobody here yet")).toBeInTheDocument();
    await click("button", "Invite somebody");
    await click("button", "Invite others");
    expect(asked("network.invite")).toHaveLength(1);
    expect(await screen.findByText("Works from everywhere on the Internet.")).toBeInTheDocument();
    await expectAccessible();
  });
});

describe("requests", () => {
  test.each([
    ["Accept", "buddies.accept"],
    ["Decline", "buddies.decline"],
  ] as const)("%s asks the node", async (button, method) => {
    const { click, last } = await openWindow("normal");
    await click("option", /Onni/);
    await click("button", button);
    expect(last(method)).toEqual({ user: "onni" });
  });

  test("blocking is asked about first, and can be lifted", async () => {
    const { user, click, clock, last } = await openWindow("normal");
    await click("option", /Onni/);
    await click("button", "Block");
    await expectAccessible();
    await click("button", "Cancel");
    expect(last("buddies.block")).toBeUndefined();
    await click("button", "Block");
    await user.click(within(screen.getByRole("alertdialog")).getByRole("button", { name: "Block" }));
    await clock.pass(1);
    expect(last("buddies.block")).toEqual({ user: "onni" });
    expect(await screen.findByText("You blocked Onni Laine")).toBeInTheDocument();
    await click("button", "Lift the block");
    expect(last("buddies.unblock")).toEqual({ user: "onni" });
  });
});

describe("writing", () => {
  test("Enter sends, Shift and Enter begins a line, and the field is empty when it is safe", async () => {
    const { user, click, last, clock } = await openWindow("normal");
    await click("option", /Sanna/);
    const field = screen.getByLabelText("Write to Sanna Koskela");
    await user.type(field, "one{Shift>}{Enter}{/Shift}two{Enter}");
    await clock.pass(5);
    expect(last("chat.send")).toMatchObject({ to: "sanna", text: "one\ntwo" });
    expect(field).toHaveValue("");
  });

  test("what was not sent stays in the field, is said, and keeps its id when tried again", async () => {
    const { user, click, clock, asked } = await openWindow("refusing");
    await click("option", /Sanna/);
    await user.type(screen.getByLabelText("Write to Sanna Koskela"), "hello{Enter}");
    await clock.pass(5);
    expect(await screen.findByRole("alert")).toHaveTextContent("1,000 messages wait for this person");
    expect(screen.getByLabelText("Write to Sanna Koskela")).toHaveValue("hello");
    await click("button", "Send");
    const ids = asked("chat.send").map((a) => (a.params as { clientId: string }).clientId);
    expect(ids).toHaveLength(2);
    expect(ids[0]).toBe(ids[1]);
  });

  test("a draft is there again when one comes back", async () => {
    const { user, click } = await openWindow("normal");
    await click("option", /Sanna/);
    await user.type(screen.getByLabelText("Write to Sanna Koskela"), "half a thou");
    await click("option", /Mikael/);
    expect(screen.getByLabelText("Write to Mikael Åkerblom")).toHaveValue("");
    await click("option", /Sanna/);
    expect(screen.getByLabelText("Write to Sanna Koskela")).toHaveValue("half a thou");
  });

  test("the next window is where this one was, with what was typed and not sent", async () => {
    const before = await openWindow("normal");
    await before.click("radio", "Recents");
    await before.click("option", /Sanna|Anna Virtanen/);
    await before.user.keyboard("half a thou");
    const kept = before.kept();
    before.page.unmount();
    const { backend, clock, kept: keptNow } = await openWindow("normal", { kept });
    expect(screen.getByLabelText("Write to Anna Virtanen")).toHaveValue("half a thou");
    expect(screen.getByRole("radio", { name: "Recents" })).toBeChecked();
    expect(keptNow()).toBe(kept);
    // Nobody who logs in here next finds it.
    await backend.call("logout", {});
    await clock.pass(1);
    expect(keptNow()).toBe("");
  });

  test("what the node tells in a call is no reason to keep anything again", async () => {
    const { clock, timesKept } = await openWindow("talking");
    const before = timesKept();
    await clock.pass(5000);
    expect(timesKept()).toBe(before);
  });

  test("a link leads further than where the window before was", async () => {
    const before = await openWindow("normal");
    await before.click("option", /Mikael/);
    const kept = before.kept();
    before.page.unmount();
    await openWindow("normal", { kept, link: "earshot:chat/anna" });
    expect(screen.getByRole("heading", { name: "Anna Virtanen" })).toBeInTheDocument();
  });

  test("what somebody else's window kept is shown to nobody", async () => {
    const kept = JSON.stringify({ user: "mallory", place: { kind: "conversation", with: "anna" }, tab: "recents", drafts: { anna: "x" } });
    const { click } = await openWindow("normal", { kept });
    expect(screen.getByRole("radio", { name: "Contacts" })).toBeChecked();
    await click("option", /Anna Virtanen/);
    expect(screen.getByLabelText("Write to Anna Virtanen")).toHaveValue("");
  });

  test("what was damaged on disk is said until it is put away", async () => {
    const { click } = await openWindow("damagedList");
    expect(screen.getByText(/the one before it is shown.*kept as settings.json.damaged/)).toBeInTheDocument();
    await expectAccessible();
    await click("button", "Put away");
    expect(screen.queryByText(/the one before it is shown/)).toBeNull();
  });

  test("offline says what still works", async () => {
    const { click } = await openWindow("offline");
    await click("option", /Anna Virtanen/);
    expect(screen.getByText(/sent as soon as there is a connection/)).toBeInTheDocument();
  });
});

describe("calls", () => {
  test("a call is made, muted, held and ended by what the node tells", async () => {
    const { click, last, clock } = await openWindow("normal");
    await click("option", /Anna Virtanen/);
    await click("button", "Call Anna Virtanen");
    expect(last("call.start")).toEqual({ to: "anna", path: "any" });
    expect(await screen.findByText("Looking for Anna Virtanen …")).toBeInTheDocument();
    await clock.pass(4000);
    await click("button", "Mute");
    expect(last("call.mute")).toEqual({ callId: "call-1" });
    expect(await screen.findByText("Your microphone is off")).toBeInTheDocument();
    await click("button", "Unmute");
    await click("button", "Hold");
    expect(await screen.findByText("On hold")).toBeInTheDocument();
    await click("button", "Resume");
    await click("button", "Show the call");
    await clock.pass(1200);
    await expectAccessible();
    expect(screen.getByRole("meter", { name: "Your voice" })).toBeInTheDocument();
    await click("button", "Hang up");
    expect(last("call.hang_up")).toEqual({ callId: "call-1" });
    expect(await screen.findByText(/Call with Anna Virtanen ended after/)).toBeInTheDocument();
  });

  test("who calls is an alert dialog that takes no Enter meant for a message", async () => {
    const { user, backend, clock, click, last, asked } = await openWindow("normal");
    await click("option", /Sanna/);
    await user.type(screen.getByLabelText("Write to Sanna Koskela"), "and the");
    backend.phone.ring("anna");
    await clock.pass(5);
    const dialog = await screen.findByRole("alertdialog", { name: "Anna Virtanen is calling" });
    await user.keyboard("{Enter} {Escape}");
    expect(dialog).toBeInTheDocument();
    expect(asked("call.accept")).toEqual([]);
    await expectAccessible();
    await click("button", "Answer");
    expect(last("call.accept")).toEqual({ callId: "call-1" });
    await clock.pass(400);
    expect(await screen.findByRole("region", { name: "Call with Anna Virtanen" })).toBeInTheDocument();
  });

  test("a call is answered, declined and hung up by keys", async () => {
    const { user, backend, clock, last } = await openWindow("normal");
    backend.phone.ring("anna");
    await clock.pass(5);
    await user.keyboard("{Control>}{Shift>}D{/Shift}{/Control}");
    expect(last("call.decline")).toEqual({ callId: "call-1" });
    await clock.pass(5);
    backend.phone.ring("anna");
    await clock.pass(5);
    await user.keyboard("{Control>}y{/Control}");
    expect(last("call.accept")).toEqual({ callId: "call-2" });
    await clock.pass(400);
    await user.keyboard("m");
    expect(last("call.mute")).toEqual({ callId: "call-2" });
    await user.keyboard("{Control>}d{/Control}");
    expect(last("call.hang_up")).toEqual({ callId: "call-2" });
  });

  const REASONS: EndReason[] = [
    "declined", "busy", "noAnswer", "cancelled", "notFound", "offline", "blocked", "notBuddy", "noPath", "pathLost",
    "peerVanished", "signalingLost", "keysRefused", "audioFailed", "internal",
  ];
  test.each(REASONS)("an end by %s says what happened, what was tried and what to do", async (reason) => {
    const { user } = await openWindow(`ended-${reason}`);
    const card = await screen.findByRole("alert");
    expect(within(card).getByRole("heading")).toBeInTheDocument();
    expect(card.querySelectorAll("p").length).toBeGreaterThanOrEqual(2);
    expect(card).not.toHaveTextContent(/undefined|\{/);
    await expectAccessible(card);
    await user.click(within(card).getByRole("button", { name: "Put away" }));
    expect(screen.queryByRole("alert")).toBeNull();
  });

  test("after a failed call one calls again or writes", async () => {
    const { click, last } = await openWindow("ended-noAnswer");
    await click("button", "Call again");
    expect(last("call.start")).toEqual({ to: "anna" });
    const other = await openWindow("ended-busy");
    await other.click("button", "Write instead");
    expect(screen.getAllByRole("heading", { name: "Anna Virtanen" }).length).toBeGreaterThan(0);
  });

  test("a microphone that is gone is said in the call, with the way to another", async () => {
    const { click } = await openWindow("noMicrophone");
    expect(screen.getByText(/There is no microphone/)).toBeInTheDocument();
    await click("button", "Choose a device");
    expect(screen.getByRole("tab", { name: "Sound", selected: true })).toBeInTheDocument();
  });
});

describe("settings", () => {
  const settings = async (tab: string, scenario = "normal") => {
    const window = await openWindow(scenario);
    await window.user.keyboard("{Control>},{/Control}");
    await window.click("tab", tab);
    return window;
  };

  test("devices are chosen, tried and heard", async () => {
    const { click, last, clock, user } = await settings("Sound");
    await expectAccessible();
    await click("button", "Test the microphone");
    expect(last("audio.test")).toEqual({ what: "meter" });
    await clock.pass(200);
    expect(screen.getByRole("meter", { name: "Level of the microphone" })).toBeInTheDocument();
    await click("button", "Hear yourself");
    expect(last("audio.test")).toEqual({ what: "loop" });
    await click("button", "Stop listening");
    expect(last("audio.test")).toEqual({ what: "off" });
    await click("button", "Ring once");
    expect(last("audio.test")).toEqual({ what: "ringer" });
    await user.click(screen.getByRole("switch", { name: "Sounds" }));
    expect(last("settings.set")).toEqual({ sounds: false });
  });

  test("a test that is left behind is ended", async () => {
    const { click, last } = await settings("Sound");
    await click("button", "Test the microphone");
    await click("tab", "Profile");
    expect(last("audio.test")).toEqual({ what: "off" });
  });

  test("no microphone is said, and the speaker can still be chosen", async () => {
    await settings("Sound", "noDevices");
    expect(screen.getByText(/No microphone was found/)).toBeInTheDocument();
    expect(screen.getByText("Ring once")).toBeInTheDocument();
  });

  test("theme and language take hold when the node tells", async () => {
    const { click, last, clock } = await settings("Appearance");
    await click("radio", "Dark");
    expect(last("settings.set")).toEqual({ appearance: "dark" });
    await clock.pass(5);
    expect(document.documentElement.dataset.appearance).toBe("dark");
    await expectAccessible();
  });

  test("single letters can be switched off", async () => {
    const { user } = await settings("Appearance");
    await user.click(screen.getByRole("switch", { name: "Single-letter shortcuts" }));
    await user.keyboard("?");
    expect(screen.queryByRole("dialog")).toBeNull();
    await user.keyboard("{F10}");
    expect(await screen.findByRole("dialog", { name: "Keyboard shortcuts" })).toBeInTheDocument();
    await expectAccessible();
  });

  test("every notification has its switch", async () => {
    const { user, last } = await settings("Notifications");
    for (const [name, change] of [
      ["New messages", { notifyMessages: false }],
      ["Incoming calls", { notifyCalls: false }],
      ["Contact requests", { notifyRequests: false }],
      ["Closing the window keeps Earshot running", { closeToTray: false }],
    ] as const) {
      await user.click(screen.getByRole("switch", { name }));
      expect(last("settings.set")).toEqual(change);
    }
    await expectAccessible();
  });

  test("mood and presence go to the node; a mood that is too long does not", async () => {
    const { user, click, last } = await settings("Profile");
    const mood = screen.getByLabelText("Mood");
    await user.type(mood, "In the garden");
    await click("button", "Save");
    expect(last("presence.set")).toEqual({ presence: "online", mood: "In the garden" });
    await user.clear(mood);
    await user.click(mood);
    await user.paste("ä".repeat(129));
    expect(screen.getByText("Too long: at most 256 bytes.")).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Save" })).toBeDisabled();
    await click("button", /Great Offers/);
    expect(last("buddies.unblock")).toEqual({ user: "spam-king" });
  });

  test("one is found by name only after switching that on, and sees how far it is", async () => {
    const { click, clock, last } = await settings("Profile");
    const listed = () => screen.getByRole("switch", { name: "Let others find me by name" });
    expect(listed()).not.toBeChecked();
    expect(listed()).toHaveAccessibleDescription(/sees both names/);
    expect(screen.getByText(/only by those who type your whole user name/)).toBeInTheDocument();
    await click("switch", "Let others find me by name");
    expect(last("profile.set")).toEqual({ listed: true });
    expect(await screen.findByText(/Telling the super-peers/)).toBeInTheDocument();
    await clock.pass(500);
    expect(listed()).toBeChecked();
    expect(await screen.findByText(/You can be found by name/)).toBeInTheDocument();
    await expectAccessible();
    await click("switch", "Let others find me by name");
    expect(last("profile.set")).toEqual({ listed: false });
    expect(await screen.findByText(/Taking your name off the list/)).toBeInTheDocument();
  });

  test("the name in the list and up to three words are one's own choice", async () => {
    const { click, clock, last, user } = await settings("Profile");
    expect(screen.queryByLabelText("Name in the list")).not.toBeInTheDocument();
    await click("switch", "Let others find me by name");
    await clock.pass(500);
    await user.type(screen.getByLabelText("Name in the list"), "Eerik of the choir");
    const words = screen.getByLabelText("Words to be found by too");
    await user.type(words, "Helsinki, tenor, sauna, lake");
    expect(screen.getByText("At most three words.")).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Save name and words" })).toBeDisabled();
    await user.clear(words);
    await user.type(words, " Helsinki,, tenor ");
    await click("button", "Save name and words");
    expect(last("profile.set")).toEqual({ listed: true, name: "Eerik of the choir", words: ["Helsinki", "tenor"] });
    await clock.pass(500);
    expect(screen.getByRole("button", { name: "Save name and words" })).toBeDisabled();
    await expectAccessible();
  });
});

describe("the menu and the network", () => {
  test("whether this computer serves is asked, chosen, and said with every reason", async () => {
    const { click, last } = await openWindow("normal");
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText("May this computer serve others too?")).toBeInTheDocument();
    expect(screen.getByText("You have not chosen yet.")).toBeInTheDocument();
    await click("radio", "When needed");
    expect(last("super_peer.set")).toEqual({ mode: "auto" });
    expect(screen.queryByText("May this computer serve others too?")).not.toBeInTheDocument();
    expect(screen.getByText("Too few super-peers could connect to it: 1 of 2 needed.")).toBeInTheDocument();
  });

  test("why the login authority does not take it is said in a sentence of its own", async () => {
    const { backend, click } = await openWindow("normal");
    const { candidacy } = backend.serving.state;
    if (!candidacy) throw new Error("the mock is a candidate");
    const address = "198.51.100.3:37373";
    const refused = { code: "notEnrolled", message: "", facts: { reason: "nobodyVerified", address } } as const;
    const obstacles = [{ what: "notEnrolled", leftMs: 60_000 }] as const;
    backend.serving.state = { candidacy: { ...candidacy, mode: "always", obstacles: [...obstacles], refused } };
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText(/Too few super-peers answered to try whether 198\.51\.100\.3:37373/)).toBeInTheDocument();
  });

  test("what super-peers found is said in a sentence for each way", async () => {
    const { click } = await openWindow("normal");
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText("Nobody has tried to reach this computer yet.")).toBeInTheDocument();
    await click("button", "Test now");
    expect(await screen.findByText("It could connect to this computer.")).toBeInTheDocument();
    expect(screen.getByText(/nothing answered\. A router or a firewall/)).toBeInTheDocument();
    expect(screen.getByText("It could not be reached itself, so it tried nothing.")).toBeInTheDocument();
  });

  test("who serves sees for how many, and why it is about to end", async () => {
    const { backend, click } = await openWindow("normal");
    const candidacy = { mode: "always", standing: "serving", verifiersNeeded: 1, ending: "notReached" } as const;
    const terms = { jobs: { directory: true, relay: true }, caps: {} };
    backend.serving.state = { since: 1, clients: 12, candidacy: { ...candidacy, ...terms, obstacles: [], verdicts: [] } };
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText(/This computer serves since .*: 12/)).toBeInTheDocument();
    expect(screen.getByText("It will stop soon, because too few super-peers reach it.")).toBeInTheDocument();
  });

  test("the owner chooses what it does and how much it may use, and sees how much that was", async () => {
    const { backend, click, last, user } = await openWindow("normal");
    await click("button", /Online through 192\.0\.2\.7/);
    await click("radio", "Always");
    await click("switch", "Relay calls");
    expect(last("super_peer.set")).toEqual({ jobs: { directory: true, relay: false } });
    expect(await screen.findByRole("switch", { name: "Be home to people" })).toBeDisabled();
    const field = screen.getByLabelText("Gigabytes in thirty days, in and out");
    await user.type(field, "0");
    expect(screen.getByText("From 1 to 100,000.")).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Save limits" })).toBeDisabled();
    await user.clear(field);
    await user.type(field, "20");
    await click("button", "Save limits");
    expect(last("super_peer.set")).toEqual({ caps: { gbPerMonth: 20 } });
    const month = { since: 1, bytes: 19.5e9, spent: "most" } as const;
    backend.serving.state = { ...backend.serving.state, since: 1, month };
    await click("button", "Test now");
    expect(await screen.findByText(/19\.50 of 20 GB/)).toBeInTheDocument();
    expect(screen.getByText(/nearly reached/)).toBeInTheDocument();
    await expectAccessible();
  });

  test("who started the network is not asked", async () => {
    const { backend, click } = await openWindow("normal");
    backend.serving.state = { since: 1, clients: 3 };
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText(/You started this network on this computer/)).toBeInTheDocument();
    expect(screen.queryByRole("radio", { name: "Always" })).not.toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Test now" })).not.toBeInTheDocument();
  });

  test.each([
    ["normal", /work with most people.*Measured 3 minutes ago/, /Everybody sees you at the same address and port. Measured 3 minutes ago/],
    ["symmetricNat", /do not work with everybody.*Measured 3 minutes ago/, /even on one computer, sees you at another address/],
    ["noNat", /work with almost everybody.*Measured 3 minutes ago/, /a public address of its own. Measured 3 minutes ago/],
    ["udpBlocked", /get no answer.*over TCP/, undefined],
    ["unmeasured", undefined, /Nothing is known yet/],
  ])("%s: what is before this computer is said, and when it was measured", async (name, outlook, fact) => {
    const { click } = await openWindow(name);
    await click("button", /Online through 192\.0\.2\.7/);
    const panel = await screen.findByRole("heading", { name: "Between you and the others" });
    const said = panel.parentElement?.textContent?.replace(/\s+/g, " ");
    if (outlook) expect(said).toMatch(outlook);
    else expect(said).not.toMatch(/calls work|calls go/);
    const facts = screen.queryByRole("list", { name: "What was found out" });
    if (fact) expect(facts?.textContent?.replace(/\s+/g, " ")).toMatch(fact);
    else expect(facts).not.toBeInTheDocument();
    await expectAccessible();
  });

  test("what was measured anew is shown without an event, and an event is newer than what was looked up", async () => {
    const { backend, click, clock } = await openWindow("normal");
    await click("button", /Online through 192\.0\.2\.7/);
    expect(await screen.findByText(/work with most people/)).toBeInTheDocument();
    const { network } = backend.snapshot();
    const measured = clock.now();
    const mapping = { what: "addressDependent", measured } as const;
    backend.tell({ type: "networkChanged", ...network, nat: { ...network.nat, mapping } });
    await clock.pass(1);
    expect(await screen.findByText(/Each computer that you talk to/)).toHaveTextContent(/Measured just now/);
    expect(screen.queryByText(/work with most people/)).not.toBeInTheDocument();
  });

  test("the line at the foot leads to the truth about the network", async () => {
    const { click } = await openWindow("normal");
    await click("button", /Online through 192\.0\.2\.7/);
    expect(screen.getByText("Behind a router: it connects out, nobody connects in")).toBeInTheDocument();
    await expectAccessible();
  });

  test("a link to somebody opens the conversation or fills the search, and calls nobody", async () => {
    const { openLink, asked, clock } = await openWindow("normal");
    openLink("earshot:call/anna");
    await clock.pass(1);
    expect(screen.getByRole("heading", { name: "Anna Virtanen" })).toBeInTheDocument();
    openLink("earshot:add/aino");
    await clock.pass(1);
    expect(screen.getByLabelText("Search people")).toHaveValue("aino");
    expect(asked("call.start")).toEqual([]);
  });
});

test("what cannot be done is said in words", async () => {
  const { click } = await openWindow("refusing");
  await click("option", /Anna Virtanen/);
  await click("button", "Call Anna Virtanen");
  expect(await screen.findByText(/mistake of ours/)).toBeInTheDocument();
});
