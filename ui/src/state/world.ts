// What the window knows of the node: one snapshot, then every event as a change to it. Pure.
import type {
  AudioProblem,
  BackendEvent,
  Buddy,
  Call,
  CallStats,
  ChosenDevices,
  Conversation,
  Devices,
  Session,
  Snapshot,
  Standing,
} from "../backend/generated";
import { type Search, searchEnded, searchFound } from "./searches";
import { type Settings, whole } from "./settings";
import { messageInThread, type Thread } from "./threads";

export interface Levels {
  /** Microphone, dBFS. */
  in: number;
  /** What is played, dBFS. */
  out: number;
}

export interface World {
  seq: number;
  session: Session;
  network: Standing;
  settings: Settings;
  /** What the file of the settings is called now, when it was found damaged. */
  settingsSetAside?: string;
  audio: ChosenDevices;
  devices?: Devices;
  buddies: Readonly<Record<string, Buddy>>;
  conversations: Readonly<Record<string, Conversation>>;
  threads: Readonly<Record<string, Thread>>;
  /** Calls that are not over. */
  calls: Readonly<Record<string, Call>>;
  /** When each call was first talked in; `since` of a call starts anew with every hold. */
  talkingSince: Readonly<Record<string, number>>;
  /** The last call that ended, until it is put away or another one begins. */
  ended?: Call;
  stats: Readonly<Record<string, CallStats>>;
  levels: Levels;
  problems: readonly AudioProblem[];
  searches: Readonly<Record<string, Search>>;
  /** How many calls ended since the window came up: the call log is read again when it grows. */
  endedCalls: number;
}

export const SILENCE: Levels = { in: -100, out: -100 };

const by = <T>(items: readonly T[], key: (item: T) => string): Record<string, T> =>
  Object.fromEntries(items.map((item) => [key(item), item]));

const without = <T>(record: Readonly<Record<string, T>>, key: string): Record<string, T> => {
  const { [key]: _gone, ...rest } = record;
  return rest;
};

/** The world of a snapshot. What a snapshot does not hold is kept from the world before it. */
export function fromSnapshot(snapshot: Snapshot, before?: World): World {
  const sameUser = before?.session.user === snapshot.session.user;
  const talking = snapshot.calls.filter((c) => c.state === "talking" || c.state === "held");
  return {
    seq: snapshot.seq,
    session: snapshot.session,
    network: snapshot.network,
    settings: whole(snapshot.settings),
    settingsSetAside: snapshot.settingsSetAside,
    audio: snapshot.audio,
    devices: before?.devices,
    buddies: by(snapshot.buddies, (b) => b.user),
    conversations: by(snapshot.conversations, (c) => c.with),
    threads: {},
    calls: by(snapshot.calls, (c) => c.id),
    talkingSince: Object.fromEntries(talking.map((c) => [c.id, before?.talkingSince[c.id] ?? c.since])),
    ended: sameUser ? before?.ended : undefined,
    stats: before?.stats ?? {},
    levels: before?.levels ?? SILENCE,
    problems: before?.problems ?? [],
    searches: sameUser ? (before?.searches ?? {}) : {},
    endedCalls: (before?.endedCalls ?? -1) + 1,
  };
}

function sessionChanged(world: World, session: Session): World {
  if (session.user === world.session.user) return { ...world, session };
  return {
    ...world,
    session,
    buddies: {},
    conversations: {},
    threads: {},
    calls: {},
    talkingSince: {},
    ended: undefined,
    stats: {},
    searches: {},
  };
}

function callChanged(world: World, call: Call): World {
  if (call.state === "ended") {
    return {
      ...world,
      calls: without(world.calls, call.id),
      ended: call,
      levels: SILENCE,
      problems: world.problems.filter((p) => p.callId !== call.id),
      endedCalls: world.endedCalls + 1,
    };
  }
  const first = call.state === "talking" && world.talkingSince[call.id] === undefined;
  return {
    ...world,
    calls: { ...world.calls, [call.id]: call },
    talkingSince: first ? { ...world.talkingSince, [call.id]: call.since } : world.talkingSince,
    ended: world.calls[call.id] ? world.ended : undefined,
  };
}

function problemChanged(world: World, problem: AudioProblem): World {
  const others = world.problems.filter((p) => p.fault !== problem.fault || p.device !== problem.device);
  return { ...world, problems: problem.solved ? others : [...others, problem] };
}

function buddyChanged(world: World, buddy: Buddy): World {
  return { ...world, buddies: { ...world.buddies, [buddy.user]: buddy } };
}

function change(world: World, event: BackendEvent): World {
  switch (event.type) {
    case "sessionChanged":
      return sessionChanged(world, event.session);
    case "networkChanged": {
      const { authority, home, links, nat, nearby, network } = event;
      const { portMapping, reachability, reachabilityMeasured, superPeers } = event;
      const place = { authority, home, links, nat, nearby, network };
      const told = { ...place, portMapping, reachability, reachabilityMeasured, superPeers };
      return { ...world, network: told satisfies Record<keyof Standing, unknown> };
    }
    case "buddyChanged":
      return buddyChanged(world, event.buddy);
    case "presenceChanged": {
      const buddy = world.buddies[event.user];
      return buddy ? buddyChanged(world, { ...buddy, presence: event.presence, mood: event.mood }) : world;
    }
    case "buddyRequested": {
      const { user, displayName, greeting } = event;
      const before = world.buddies[user];
      const presence = before?.presence ?? "offline";
      return buddyChanged(world, { user, displayName, greeting, presence, relation: "asksUs", since: event.at });
    }
    case "messageChanged":
      return messageInThread(world, event.message);
    case "searchResult":
      return { ...world, searches: searchFound(world.searches, event) };
    case "searchEnded":
      return { ...world, searches: searchEnded(world.searches, event) };
    case "callChanged":
      return callChanged(world, event.call);
    case "callStats":
      return { ...world, stats: { [event.callId]: event } };
    case "audioLevel":
      return { ...world, levels: { in: event.levelIn, out: event.levelOut } };
    case "audioProblem":
      return problemChanged(world, event);
    case "settingsChanged":
      return { ...world, settings: whole(event.settings) };
    case "audioDevicesChanged":
      return { ...world, devices: event.devices, audio: event.devices.chosen };
  }
}

/** The world after an event that follows it. */
export const advance = (world: World, event: BackendEvent): World => ({ ...change(world, event), seq: event.seq });
