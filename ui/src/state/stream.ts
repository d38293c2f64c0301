// Snapshot and events put together: what came too early waits, what came twice is dropped, and a gap
// in the numbers asks for a new snapshot, as does another user. Pure.
import type { BackendEvent, Snapshot } from "../backend/generated";
import { advance, fromSnapshot, type World } from "./world";

export interface Stream {
  world?: World;
  /** Events that cannot be applied before the next snapshot. */
  waiting: readonly BackendEvent[];
  needsSnapshot: boolean;
}

/** More than that is not kept while a snapshot is awaited; the snapshot after it holds them all. */
const WAITING_MAX = 2000;

export const EMPTY: Stream = { waiting: [], needsSnapshot: true };

export function onEvent(stream: Stream, event: BackendEvent): Stream {
  const { world, waiting } = stream;
  if (!world || stream.needsSnapshot) return { ...stream, waiting: [...waiting, event].slice(-WAITING_MAX) };
  if (event.seq <= world.seq) return stream;
  if (event.seq > world.seq + 1) return { world, waiting: [event], needsSnapshot: true };
  return { ...stream, world: advance(world, event), needsSnapshot: isArrival(world, event) };
}

/** Whoever comes in has people, conversations and calls that no event tells of. */
const isArrival = (world: World, event: BackendEvent): boolean =>
  event.type === "sessionChanged" && event.session.user !== undefined && event.session.user !== world.session.user;

export function onSnapshot(stream: Stream, snapshot: Snapshot): Stream {
  const fresh: Stream = { world: fromSnapshot(snapshot, stream.world), waiting: [], needsSnapshot: false };
  return stream.waiting.reduce(onEvent, fresh);
}
