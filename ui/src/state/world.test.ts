// Stories of how the window's world follows the node's events.
import { describe, expect, test } from "vitest";
import { buddy, call, event, message, NOON, stats, world } from "../testing/samples";
import { heldHere, isMissed, isPlainEnd, isRelayed, levelShare, quality, ringingHere, currentCall } from "./calls";
import { widths } from "./searches";
import { markedRead, pageRead } from "./threads";
import { advance, fromSnapshot, type World } from "./world";
import { snapshot } from "../testing/samples";

const after = (start: World, ...events: Parameters<typeof event>[1][]) =>
  events.reduce((w, e, i) => advance(w, event(start.seq + i + 1, e)), start);

describe("people", () => {
  test("a buddy who goes away is shown so, and the others stay", () => {
    const start = world({ buddies: [buddy("anna", { presence: "online" }), buddy("bob")] });
    const next = after(start, { type: "presenceChanged", user: "anna", presence: "away", mood: "tea" });
    expect(next.buddies.anna).toMatchObject({ presence: "away", mood: "tea" });
    expect(next.buddies.bob).toBe(start.buddies.bob);
  });

  test("presence of somebody unknown changes nothing", () => {
    const start = world();
    expect(after(start, { type: "presenceChanged", user: "eve", presence: "online" }).buddies).toBe(start.buddies);
  });

  test("somebody who asks stands on the list as asking", () => {
    const next = after(world(), { type: "buddyRequested", user: "eve", greeting: "hi" });
    expect(next.buddies.eve).toMatchObject({ relation: "asksUs", greeting: "hi" });
  });

  test("logging out forgets everything of the user", () => {
    const start = world({ buddies: [buddy("anna")], calls: [call()], conversations: [{ with: "anna", lastAt: 1, unread: 1 }] });
    const next = after(start, { type: "sessionChanged", session: { state: "loggedOut" } });
    expect([next.buddies, next.calls, next.conversations, next.threads]).toEqual([{}, {}, {}, {}]);
  });

  test("showing something else of oneself keeps the list", () => {
    const start = world({ buddies: [buddy("anna")] });
    const next = after(start, { type: "sessionChanged", session: { state: "online", user: "me", presence: "away" } });
    expect(next.buddies).toBe(start.buddies);
  });
});

describe("messages", () => {
  const opened = pageRead(world(), "anna", { messages: [message("m1")], more: true });

  test("a new message counts as unread once, however often it is told", () => {
    const m = message("m2", { writtenAt: NOON + 1 });
    const next = after(opened, { type: "messageChanged", message: m }, { type: "messageChanged", message: m });
    expect(next.conversations.anna).toMatchObject({ unread: 1, last: m });
    expect(next.threads.anna?.messages.map((x) => x.id)).toEqual(["m1", "m2"]);
  });

  test("a message of one's own goes from waiting to read in its place", () => {
    const m = message("m2", { direction: "out", state: "waiting" });
    const next = after(opened, { type: "messageChanged", message: m }, { type: "messageChanged", message: { ...m, state: "read" } });
    expect(next.threads.anna?.messages.at(-1)?.state).toBe("read");
    expect(next.conversations.anna?.unread).toBe(0);
  });

  test("a message to a conversation that was not opened changes only its line", () => {
    const next = after(world(), { type: "messageChanged", message: message("m9") });
    expect(next.threads).toEqual({});
    expect(next.conversations.anna?.last?.id).toBe("m9");
  });

  test("marking as read leaves what came after the mark", () => {
    const start = after(opened, { type: "messageChanged", message: message("m2") }, { type: "messageChanged", message: message("m3") });
    expect(markedRead(start, "anna", "m2").conversations.anna?.unread).toBe(1);
    expect(markedRead(start, "anna", "m3").conversations.anna?.unread).toBe(0);
    expect(markedRead(start, "nobody", "m3")).toBe(start);
  });

  test("older pages go before, and a page that was asked for twice is taken once", () => {
    const page = { messages: [message("m0")], more: false };
    const once = pageRead(opened, "anna", page, "m1");
    expect(once.threads.anna?.messages.map((m) => m.id)).toEqual(["m0", "m1"]);
    expect(pageRead(once, "anna", page, "m1")).toBe(once);
  });
});

describe("calls", () => {
  test("the timer of a call runs on through a hold", () => {
    const next = after(
      world(),
      { type: "callChanged", call: call({ state: "ringing" }) },
      { type: "callChanged", call: call({ since: NOON + 1000 }) },
      { type: "callChanged", call: call({ state: "held", heldBy: ["me"], since: NOON + 5000 }) },
      { type: "callChanged", call: call({ since: NOON + 9000 }) },
    );
    expect(next.talkingSince.c1).toBe(NOON + 1000);
  });

  test("a call that ends leaves its reason until another begins", () => {
    const end = { reason: "busy", by: "them", facts: {} } as const;
    const ended = after(world({ calls: [call()] }), { type: "callChanged", call: call({ state: "ended", end }) });
    expect([ended.calls, ended.ended?.end, ended.endedCalls]).toEqual([{}, end, 1]);
    const again = after(ended, { type: "callChanged", call: call({ id: "c2", state: "locating" }) });
    expect(again.ended).toBeUndefined();
  });

  test("a call that rings here is no current call until it is answered", () => {
    const w = world({ calls: [call({ direction: "in", state: "ringing" })] });
    expect([ringingHere(w)?.id, currentCall(w)]).toEqual(["c1", undefined]);
    const talking = after(w, { type: "callChanged", call: call({ direction: "in" }) });
    expect([ringingHere(talking), currentCall(talking)?.id]).toEqual([undefined, "c1"]);
  });

  test("trouble with the sound is there until it is solved", () => {
    const fault = { type: "audioProblem", fault: "noMicrophone", solved: false } as const;
    const bad = after(world(), fault, fault);
    expect(bad.problems).toHaveLength(1);
    expect(after(bad, { ...fault, solved: true }).problems).toEqual([]);
  });

  test("quality falls with loss and delay", () => {
    expect(quality(stats())).toBe("good");
    expect(quality(stats({ recentLossPct: 3 }))).toBe("fair");
    expect(quality(stats({ recentLossPct: 12 }))).toBe("poor");
    expect(quality(stats({ rttMs: 900 }))).toBe("poor");
    expect(quality(stats({ rttMs: undefined }))).toBe("good");
  });

  test("what is plain is said in passing, what failed gets a card", () => {
    expect(isPlainEnd({ reason: "hungUp", by: "them", facts: {} })).toBe(true);
    expect(isPlainEnd({ reason: "declined", by: "me", facts: {} })).toBe(true);
    expect(isPlainEnd({ reason: "declined", by: "them", facts: {} })).toBe(false);
    expect(isPlainEnd({ reason: "noPath", by: "network", facts: {} })).toBe(false);
  });

  test("missed is what rang here and was not answered anywhere", () => {
    const past = { id: "p", peer: "anna", direction: "in", startedAt: NOON, reason: "cancelled", by: "them" } as const;
    expect(isMissed(past)).toBe(true);
    expect(isMissed({ ...past, talkedMs: 5 })).toBe(false);
    expect(isMissed({ ...past, reason: "declined", by: "me" })).toBe(false);
    expect(isMissed({ ...past, reason: "answeredElsewhere", by: "network" })).toBe(false);
    expect(isMissed({ ...past, direction: "out" })).toBe(false);
  });

  test("a relay, a hold and a level are told from the numbers", () => {
    expect(isRelayed(call({ path: { kind: "relayTcp", local: "", remote: "" } }))).toBe(true);
    expect(isRelayed(call())).toBe(false);
    expect(heldHere(call({ heldBy: ["them"] }))).toBe(false);
    expect([levelShare(-100), levelShare(0)]).toEqual([0, 1]);
  });
});

test("a search gathers whom it found, once each, and why it ended", () => {
  const found = { type: "searchResult", searchId: "1", user: "anna", round: 2, askedNodes: 12, ms: 38, online: true, fromCache: false } as const;
  const next = after(world(), found, found, { type: "searchEnded", searchId: "1", found: true, people: 1, reason: "found" });
  expect(next.searches["1"]).toMatchObject({ results: [{ user: "anna" }], ended: { reason: "found" } });
});

test("rounds are told by their widths only where every node of them was asked", () => {
  const result = { searchId: "1", user: "anna", round: 2, askedNodes: 12, ms: 38, online: true, fromCache: false };
  expect(widths(result)).toEqual([4, 8]);
  expect(widths({ ...result, askedNodes: 3, round: 1 })).toBeUndefined();
});

test("settings and devices that change are followed, and gaps in settings are filled", () => {
  const next = after(world(), { type: "settingsChanged", settings: { appearance: "dark" } });
  expect(next.settings).toMatchObject({ appearance: "dark", sounds: true });
  const chosen = { microphone: "device:usb", speaker: "device:default", ringer: "device:default" };
  const changed = after(next, { type: "audioDevicesChanged", devices: { microphones: [], speakers: [], chosen } });
  expect([changed.audio, changed.devices?.microphones]).toEqual([chosen, []]);
});

test("a new snapshot keeps what only the window knew, and drops pages that may have holes", () => {
  const before = after(pageRead(world(), "anna", { messages: [message("m1")], more: false }), {
    type: "audioProblem",
    fault: "deviceBusy",
    solved: false,
  });
  const next = fromSnapshot(snapshot({ seq: 50 }), before);
  expect([next.problems.length, next.threads, next.seq]).toEqual([1, {}, 50]);
});
