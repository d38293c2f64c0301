// Which call is on, what its numbers mean, and whether its end deserves a card. Pure.
import type { Call, CallStats, End, PastCall } from "../backend/generated";
import type { World } from "./world";

export const ringingHere = (world: World): Call | undefined =>
  Object.values(world.calls).find((c) => c.direction === "in" && c.state === "ringing");

/** The call that one is in, or that one is making. */
export const currentCall = (world: World): Call | undefined =>
  Object.values(world.calls).find((c) => !(c.direction === "in" && (c.state === "ringing" || c.state === "locating")));

export type Quality = "good" | "fair" | "poor";

/**
 * How well a call is heard now. The bounds follow ITU-T G.114 (delay below 150 ms is not felt, above 400 ms
 * hinders) and the loss that Opus conceals without being noticed.
 */
export function quality(stats: CallStats): Quality {
  const delay = (stats.rttMs ?? 0) / 2 + stats.bufferMs;
  const { recentLossPct: lost, recentConcealedPct: concealed } = stats;
  if (lost > 8 || concealed > 8 || delay > 400) return "poor";
  if (lost > 2 || concealed > 3 || delay > 200 || stats.jitterMs > 40) return "fair";
  return "good";
}

export const isRelayed = (call: Call): boolean =>
  call.path?.kind === "relayUdp" || call.path?.kind === "relayTcp";

export const heldHere = (call: Call): boolean => call.heldBy.includes("me");
export const heldThere = (call: Call): boolean => call.heldBy.includes("them");

/** Ends that everybody expects: they are said in passing, not on a card. */
export function isPlainEnd(end: End): boolean {
  switch (end.reason) {
    case "hungUp":
    case "answeredElsewhere":
      return true;
    case "cancelled":
    case "declined":
      return end.by === "me";
    case "busy":
    case "noAnswer":
    case "notFound":
    case "offline":
    case "blocked":
    case "notBuddy":
    case "noPath":
    case "pathLost":
    case "peerVanished":
    case "signalingLost":
    case "keysRefused":
    case "audioFailed":
    case "internal":
      return false;
  }
}

/** A call of theirs that nobody answered here. */
export const isMissed = (call: PastCall): boolean =>
  call.direction === "in" && call.talkedMs === undefined && call.by !== "me" && call.reason !== "answeredElsewhere";

/** dBFS as a share of a meter: what is below -60 is silence to the ear. */
export const levelShare = (dbfs: number): number => Math.min(1, Math.max(0, (dbfs + 60) / 54));
