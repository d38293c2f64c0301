// The phone of the mock: calls go through their states by themselves, and every end can be brought about.
import type { AudioFault, Call, CallPath, CallStats, End, EndReason, PastCall } from "../generated";
import type { Clock } from "./clock";
import type { Scenario } from "./scenarios";

type Draft =
  | { type: "callChanged"; call: Call }
  | ({ type: "callStats" } & CallStats)
  | { type: "audioLevel"; levelIn: number; levelOut: number }
  | { type: "audioProblem"; fault: AudioFault; device?: string; callId?: string; solved: boolean };

const DIRECT = { kind: "host", local: "192.168.1.20:50000", remote: "192.168.1.34:50002", rttMs: 24.5 } as const;
const RELAYED = {
  kind: "relayUdp",
  local: "192.0.2.7:49170",
  remote: "198.51.100.4:50002",
  relay: "192.0.2.7:37373",
  rttMs: 118,
} as const;

/** Who ends a call for each reason, and the facts that come with it. */
export function endOf(reason: EndReason): End {
  const by = (["declined", "busy", "cancelled"] as EndReason[]).includes(reason) ? "them" : "network";
  const facts: End["facts"] = {
    ...(["noAnswer", "notFound", "offline", "noPath", "signalingLost"].includes(reason) && { waitedMs: 45_000 }),
    ...(reason === "noPath" && { candidatesHere: 4, candidatesThere: 3 }),
    ...(["pathLost", "peerVanished", "hungUp"].includes(reason) && { talkedMs: 252_000 }),
    ...(reason === "audioFailed" && { audio: "deviceBusy" as const }),
  };
  return { reason, by: reason === "hungUp" ? "them" : by, facts };
}

export class MockPhone {
  calls = new Map<string, Call>();
  past: PastCall[] = [];
  #count = 0;
  #ticking = false;
  #tick = 0;

  constructor(
    private readonly clock: Clock,
    private readonly scenario: Scenario,
    private readonly tell: (event: Draft) => void,
    private readonly isThere: (user: string) => boolean,
  ) {}

  /** The call that the scenario begins with, before anybody listens. */
  begin(peer: string): void {
    const { call, end, problem } = this.scenario;
    if (!call) return;
    const since = this.clock.now() - (call.state === "talking" || call.state === "held" ? 83_000 : 2_000);
    const path = call.state === "talking" || call.state === "held" ? (call.relayed ? RELAYED : DIRECT) : undefined;
    const standing: Call = {
      id: `call-${++this.#count}`,
      peer,
      direction: call.direction,
      state: call.state === "ended" ? "ringing" : call.state,
      signaling: call.relayed ? "bothSuperPeers" : "direct",
      mutedHere: call.muted ?? false,
      heldBy: call.held ? [call.held] : [],
      pathSwitches: 0,
      since,
      path,
      ...(call.interrupted && { interruptedSince: this.clock.now() }),
    };
    this.calls.set(standing.id, standing);
    this.#speak();
    if (call.state === "ended" && end) this.clock.after(0, () => this.end(standing.id, endOf(end)));
    if (problem) {
      this.clock.after(0, () => this.tell({ type: "audioProblem", fault: problem, callId: standing.id, solved: false }));
    }
  }

  start(to: string): string {
    const id = `call-${++this.#count}`;
    const call: Call = { id, peer: to, direction: "out", state: "locating", mutedHere: false, heldBy: [], pathSwitches: 0, since: this.clock.now() };
    this.calls.set(id, call);
    this.tell({ type: "callChanged", call });
    const { end } = this.scenario;
    if (end) {
      this.clock.after(900, () => this.end(id, endOf(end)));
    } else if (!this.isThere(to)) {
      this.clock.after(1200, () => this.end(id, endOf("offline")));
    } else {
      this.clock.after(400, () => this.change(id, { state: "ringing", signaling: "direct" }, "locating"));
      this.clock.after(3200, () => this.change(id, { state: "connecting" }, "ringing"));
      this.clock.after(3500, () => this.change(id, { state: "talking", path: DIRECT }, "connecting"));
    }
    return id;
  }

  /** Somebody calls. */
  ring(from: string): string {
    const id = `call-${++this.#count}`;
    const call: Call = {
      id,
      peer: from,
      direction: "in",
      state: "ringing",
      signaling: "direct",
      mutedHere: false,
      heldBy: [],
      pathSwitches: 0,
      since: this.clock.now(),
    };
    this.calls.set(id, call);
    this.tell({ type: "callChanged", call });
    return id;
  }

  accept(id: string): void {
    this.change(id, { state: "connecting" });
    this.clock.after(300, () => this.change(id, { state: "talking", path: DIRECT }, "connecting"));
  }

  /** Changes a call, if it is still in the state that was expected. */
  change(id: string, to: Partial<Call>, from?: Call["state"]): void {
    const call = this.calls.get(id);
    if (!call || (from && call.state !== from)) return;
    const moved = to.state !== undefined && to.state !== call.state;
    const next = { ...call, ...to, ...(moved && { since: this.clock.now() }) };
    this.calls.set(id, next);
    this.tell({ type: "callChanged", call: next });
    this.#speak();
  }

  end(id: string, end: End): void {
    const call = this.calls.get(id);
    if (!call) return;
    this.calls.delete(id);
    const now = this.clock.now();
    this.past.unshift({
      id,
      peer: call.peer,
      direction: call.direction,
      startedAt: call.since,
      talkedMs: call.state === "talking" || call.state === "held" ? now - call.since : undefined,
      reason: end.reason,
      by: end.by,
    });
    this.tell({ type: "callChanged", call: { ...call, state: "ended", since: now, end } });
  }

  /** The one path that a call of the mock ever has. */
  paths(callId: string): CallPath[] {
    const call = this.calls.get(callId);
    if (!call?.path) return [];
    const { kind, local, remote } = call.path;
    const tried = [{ localKind: kind, local, remoteKind: kind, remote, outcome: "succeeded" as const }];
    return [{ number: 0, purpose: "main", standing: "up", used: true, path: call.path, since: call.since, tried }];
  }

  stats(callId: string): CallStats {
    const t = this.#tick;
    const poor = this.scenario.call?.poor ?? false;
    return {
      callId,
      sentPackets: 50 * t,
      receivedPackets: 50 * t - (poor ? 5 * t : 0),
      lostPackets: poor ? 5 * t : Math.floor(t / 7),
      lossPct: poor ? 9.6 : 0.3,
      recentLossPct: poor ? 9.6 : 0,
      jitterMs: poor ? 31.4 : 2.1 + (t % 3),
      rttMs: poor ? 118 : 24.5,
      bufferMs: poor ? 80 : 40,
      concealedPct: poor ? 6.2 : 0.2,
      recentConcealedPct: poor ? 6.2 : 0,
      bitrateBps: poor ? 16_000 : 32_000,
      levelIn: -24,
      levelOut: -21,
      authFailures: 0,
      replays: 0,
      firstSoundMs: 142,
    };
  }

  /** Levels ten times a second and numbers every second, as long as somebody talks. */
  #speak(): void {
    if (this.#ticking || ![...this.calls.values()].some((c) => c.state === "talking")) return;
    this.#ticking = true;
    const step = (n: number) => {
      const talking = [...this.calls.values()].find((c) => c.state === "talking");
      if (!talking) {
        this.#ticking = false;
        return;
      }
      const wave = (phase: number) => -34 + 18 * Math.sin(n / 3 + phase) * Math.sin(n / 11 + phase);
      this.tell({ type: "audioLevel", levelIn: talking.mutedHere ? -100 : wave(0), levelOut: wave(2) });
      if (n % 10 === 0) {
        this.#tick += 1;
        this.tell({ type: "callStats", ...this.stats(talking.id) });
      }
      this.clock.after(100, () => step(n + 1));
    };
    this.clock.after(20, () => step(0));
  }
}
