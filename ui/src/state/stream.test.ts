// Whatever is lost, late or doubled on the way, the window ends where the node is.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { BackendEvent } from "../backend/generated";
import { buddy, call, event, message, snapshot } from "../testing/samples";
import { EMPTY, onEvent, onSnapshot, type Stream } from "./stream";
import { advance, fromSnapshot, type World } from "./world";

const anyEvent = fc.oneof(
  fc.constantFrom("online", "away", "offline").map((presence) => ({ type: "buddyChanged" as const, buddy: buddy("anna", { presence: presence as "online" }) })),
  fc.constantFrom("talking", "held", "ended").map((state) => ({ type: "callChanged" as const, call: call({ state: state as "held" }) })),
  fc.integer({ min: 0, max: 9 }).map((n) => ({ type: "messageChanged" as const, message: message(`m${n}`) })),
  fc.integer({ min: -100, max: 0 }).map((level) => ({ type: "audioLevel" as const, levelIn: level, levelOut: level })),
);

/** What the node knows, in the parts that a snapshot holds. */
const told = (world: World) => ({ seq: world.seq, buddies: world.buddies, calls: Object.keys(world.calls) });

test("before the first snapshot events wait, and those that it holds are dropped", () => {
  const early = [1, 2, 3].reduce((s: Stream, seq) => onEvent(s, event(seq, { type: "audioLevel", levelIn: -seq, levelOut: 0 })), EMPTY);
  const ready = onSnapshot(early, snapshot({ seq: 2 }));
  expect(ready.world).toMatchObject({ seq: 3, levels: { in: -3 } });
  expect(ready.needsSnapshot).toBe(false);
});

test("a gap asks for a snapshot and keeps what came after it", () => {
  const start = onSnapshot(EMPTY, snapshot({ seq: 1 }));
  const gap = onEvent(start, event(4, { type: "buddyChanged", buddy: buddy("anna") }));
  expect([gap.needsSnapshot, gap.world?.seq]).toEqual([true, 1]);
  const whole = onSnapshot(gap, snapshot({ seq: 3 }));
  expect([whole.needsSnapshot, whole.world?.seq]).toEqual([false, 4]);
});

test("whoever comes in is asked about, whoever goes is not", () => {
  const out = onSnapshot(EMPTY, snapshot({ seq: 1, session: { state: "loggedOut" } }));
  const came = onEvent(out, event(2, { type: "sessionChanged", session: { state: "offline", user: "anna" } }));
  expect([came.needsSnapshot, came.world?.session.user]).toEqual([true, "anna"]);
  const session = { state: "online", user: "anna" } as const;
  const known = onSnapshot(came, snapshot({ seq: 2, session: { ...session, state: "offline" }, buddies: [buddy("bob")] }));
  const online = onEvent(known, event(3, { type: "sessionChanged", session }));
  expect([online.needsSnapshot, Object.keys(online.world?.buddies ?? {})]).toEqual([false, ["bob"]]);
  expect(onEvent(online, event(4, { type: "sessionChanged", session: { state: "loggedOut" } })).needsSnapshot).toBe(false);
});

test("for every loss and doubling, asking when needed ends in the node's own state", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyEvent, fc.constantFrom("come", "lost", "twice")), { maxLength: 60 }), (script) => {
      let node = fromSnapshot(snapshot());
      let stream = onSnapshot(EMPTY, snapshot());
      const picture = () =>
        snapshot({ seq: node.seq, buddies: Object.values(node.buddies), calls: Object.values(node.calls) });
      script.forEach(([what, fate], i) => {
        const numbered: BackendEvent = event(i + 1, what);
        node = advance(node, numbered);
        for (let n = 0; n < { come: 1, lost: 0, twice: 2 }[fate]; n++) stream = onEvent(stream, numbered);
        if (stream.needsSnapshot) stream = onSnapshot(stream, picture());
      });
      // The next event shows whether the last ones were lost.
      stream = onEvent(stream, event(script.length + 1, { type: "audioLevel", levelIn: 0, levelOut: 0 }));
      node = advance(node, event(script.length + 1, { type: "audioLevel", levelIn: 0, levelOut: 0 }));
      if (stream.needsSnapshot) stream = onSnapshot(stream, picture());
      expect(stream.world && told(stream.world)).toEqual(told(node));
    }),
  );
});
