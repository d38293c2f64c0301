// Things of the node's world for tests, each with only what a test cares about.
import type { BackendEvent, Buddy, Call, CallStats, Message, Snapshot } from "../backend/generated";
import { fromSnapshot, type World } from "../state/world";

export const NOON = Date.UTC(2026, 10, 25, 12, 0);

export const buddy = (user: string, more: Partial<Buddy> = {}): Buddy => ({
  user,
  presence: "offline",
  relation: "buddy",
  since: NOON,
  ...more,
});

export const message = (id: string, more: Partial<Message> = {}): Message => ({
  id,
  with: "anna",
  direction: "in",
  text: `text of ${id}`,
  writtenAt: NOON,
  state: "arrived",
  ...more,
});

export const call = (more: Partial<Call> = {}): Call => ({
  id: "c1",
  peer: "anna",
  direction: "out",
  state: "talking",
  mutedHere: false,
  heldBy: [],
  pathSwitches: 0,
  since: NOON,
  ...more,
});

export const stats = (more: Partial<CallStats> = {}): CallStats => ({
  callId: "c1",
  sentPackets: 500,
  receivedPackets: 500,
  lostPackets: 0,
  lossPct: 0,
  recentLossPct: 0,
  jitterMs: 2,
  rttMs: 20,
  bufferMs: 40,
  concealedPct: 0,
  recentConcealedPct: 0,
  bitrateBps: 32_000,
  levelIn: -20,
  levelOut: -20,
  authFailures: 0,
  replays: 0,
  ...more,
});

export const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
  seq: 0,
  at: NOON,
  network: { authority: { reachable: true }, links: [], superPeers: 3 },
  session: { state: "online", user: "me" },
  buddies: [],
  conversations: [],
  calls: [],
  audio: { microphone: "device:default", speaker: "device:default", ringer: "device:default" },
  settings: {},
  ...more,
});

export const world = (more: Partial<Snapshot> = {}): World => fromSnapshot(snapshot(more));

type Unnumbered = BackendEvent extends infer E ? (E extends BackendEvent ? Omit<E, "seq" | "at"> : never) : never;

export const event = (seq: number, told: Unnumbered): BackendEvent => ({ seq, at: NOON, ...told }) as BackendEvent;
