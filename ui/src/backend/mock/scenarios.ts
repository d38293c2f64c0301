// The situations that the mock can be in, by name.
import type { AudioFault, CallState, EndReason, Failure, ListFault, Method, Nat, Standing } from "../generated";
import { crowd, FAMILY, HOSTILE, type Person } from "./people";

export interface Scenario {
  people: Person[];
  /** Whether a network was joined, and somebody is logged in. */
  stage: "noNetwork" | "loggedOut" | "online" | "offline";
  /** Messages with the first person, beyond those written out. */
  longThread: number;
  pastCalls: boolean;
  devices: "usual" | "none";
  /** Who is linked on the local network, and for how many days their certificates go on. */
  near: { user: string; certificateDays: number }[];
  /** For how many days one's own certificate goes on. */
  certificateDays: number;
  /** What is between this computer and the others. */
  nat: keyof typeof NATS;
  problem?: AudioFault;
  /** A call that stands from the beginning. */
  call?: { state: CallState; direction: "in" | "out"; relayed?: boolean; muted?: boolean; interrupted?: boolean; poor?: boolean; held?: "me" | "them" };
  /** How the call that is made ends. */
  end?: EndReason;
  /** What was damaged on disk when the user logged in. */
  damaged?: { buddyList: ListFault; settings: string };
  /** Methods that are refused, and why. */
  refused: Partial<Record<Method, Failure>>;
  /** Methods that are never answered. */
  silent: Method[];
}

/** As most routers are; one that uses another port for each partner; none; a firewall without UDP; not measured yet. */
const NATS = {
  usual: { translation: "present", mapping: "endpointIndependent", filtering: "addressAndPortDependent" },
  symmetric: { translation: "present", mapping: "addressAndPortDependent", filtering: "addressAndPortDependent" },
  open: { translation: "absent", mapping: "endpointIndependent", filtering: "endpointIndependent" },
  blocked: undefined,
  unmeasured: undefined,
} as const;

const USUAL: Scenario = {
  people: FAMILY,
  stage: "online",
  longThread: 0,
  pastCalls: true,
  devices: "usual",
  near: [],
  certificateDays: 14,
  nat: "usual",
  refused: {},
  silent: [],
};

const internal: Failure = { code: "internal", facts: { what: "mock" } };
const damaged: Failure = { code: "damagedData", facts: { file: "history.db" } };
const away: Failure = { code: "notConnected", facts: {} };

/** Off line, with some of the family on the same local network: the last of them with a certificate that has ended. */
const withNear = (...users: string[]): Partial<Scenario> => ({
  stage: "offline",
  people: FAMILY.map((p) => ({ ...p, presence: users.includes(p.user) ? p.presence : "offline" })),
  near: users.map((user, i) => ({ user, certificateDays: i === users.length - 1 ? -9 : 5 })),
  refused: { search: away },
});

const SCENARIOS: Record<string, Partial<Scenario>> = {
  normal: {},
  first: { stage: "noNetwork", people: [] },
  joined: { stage: "loggedOut", people: [] },
  empty: { people: [], pastCalls: false },
  crowd: { people: crowd(400) },
  long: { longThread: 10_000 },
  offline: {
    stage: "offline",
    people: FAMILY.map((p) => ({ ...p, presence: "offline" })),
    refused: { search: away, "call.start": away },
  },
  nearby: withNear("anna", "sanna"),
  nearbyMany: { ...withNear("layla", "johanna-katariina", "fox", "mikael", "anna"), certificateDays: -2 },
  loading: { silent: ["state.get"] },
  slow: { silent: ["chat.history", "call.history", "audio.devices", "network.invite", "network.start", "network.join", "login", "register"] },
  failed: { refused: { "state.get": damaged } },
  refusing: {
    refused: {
      "chat.history": damaged,
      "call.history": damaged,
      "chat.send": { code: "tooMany", facts: { what: "waitingMessages", max: 1000 } },
      "call.start": internal,
      "audio.devices": { code: "audio", facts: { fault: "serverGone" } },
      "audio.test": { code: "audio", facts: { fault: "deviceBusy", device: "device:usb" } },
      "network.invite": internal,
      search: away,
    },
  },
  refusingFirst: {
    stage: "noNetwork",
    people: [],
    refused: {
      "network.start": { code: "portInUse", facts: { port: 37373 } },
      "network.join": { code: "badInvite", facts: { problem: "damaged" } },
    },
  },
  refusingLogin: {
    stage: "loggedOut",
    people: [],
    refused: {
      login: { code: "wrongNameOrPassword", facts: {} },
      register: { code: "nameTaken", facts: {} },
    },
  },
  unreachable: {
    stage: "loggedOut",
    people: [],
    refused: { login: { code: "authorityUnreachable", facts: {} }, register: { code: "authorityUnreachable", facts: {} } },
  },
  hostile: { people: [...HOSTILE, ...FAMILY] },
  ringing: { call: { state: "ringing", direction: "in" } },
  calling: { call: { state: "ringing", direction: "out" } },
  talking: { call: { state: "talking", direction: "out" } },
  interrupted: { call: { state: "talking", direction: "out", interrupted: true } },
  muted: { call: { state: "talking", direction: "out", muted: true } },
  relayed: { call: { state: "talking", direction: "in", relayed: true, poor: true } },
  held: { call: { state: "held", direction: "out", held: "me" } },
  heldThere: { call: { state: "held", direction: "out", held: "them" } },
  noMicrophone: { call: { state: "talking", direction: "out" }, devices: "none", problem: "noMicrophone" },
  noDevices: { devices: "none" },
  symmetricNat: { nat: "symmetric" },
  noNat: { nat: "open" },
  udpBlocked: { nat: "blocked" },
  unmeasured: { nat: "unmeasured" },
  damagedList: { damaged: { buddyList: "lastGood", settings: "settings.json.damaged" } },
  damagedAll: { people: [], pastCalls: false, damaged: { buddyList: "refused", settings: "settings.json.damaged" } },
};

export const scenarioNames = Object.keys(SCENARIOS);

/** `ended-REASON` is a call that ended so; every other name is in the list. */
export function scenario(name: string): Scenario {
  const reason = /^ended-(\w+)$/.exec(name)?.[1] as EndReason | undefined;
  if (reason) return { ...USUAL, end: reason, call: { state: "ended", direction: "out" } };
  const known = SCENARIOS[name];
  if (!known) throw new Error(`no scenario ${name}: there are ${scenarioNames.join(", ")}`);
  return { ...USUAL, ...known };
}

export const HOME_NETWORK = {
  id: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
  name: "Virtanen",
  rootKey: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
};

export const INVITE =
  "earshot:pABkaG9tZQFYIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAoGiAIIAgkTAAAIHGZH9AVggCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkEAd6XQIQ";

function natOf(kind: Scenario["nat"], measured: number): Nat | undefined {
  const is = NATS[kind];
  return (
    is && {
      address: { what: kind === "open" ? "198.51.100.3:37373" : "198.51.100.3:40312", isPublic: true, measured },
      translation: { what: is.translation, measured },
      mapping: { what: is.mapping, measured },
      filtering: { what: is.filtering, measured },
    }
  );
}

function nearOf({ near }: Scenario, now: number): Pick<Standing, "links" | "nearby"> {
  const since = (i: number) => now - (6 - i) * 60_000;
  const nearby = near.map(({ user, certificateDays }, i) => ({
    user,
    since: since(i),
    certificateUntil: now + certificateDays * 86_400_000,
  }));
  const links = near.map((_, i) => {
    return { address: `192.168.1.${34 + i}:37373`, kind: "nearby" as const, since: since(i) };
  });
  return near.length > 0 ? { links, nearby } : { links };
}

export function standing(of: Scenario, now: number): Standing {
  if (of.stage === "noNetwork") return { authority: { reachable: false }, links: [], superPeers: 0 };
  const since = now - 3 * 3_600_000;
  const lost = { reachable: false, since: now - 7 * 60_000 };
  const nat = natOf(of.nat, now - (of.stage === "offline" ? 20 : 3) * 60_000);
  const known = { network: HOME_NETWORK, superPeers: 3, ...(nat && { nat }) };
  if (of.stage === "offline") return { ...known, authority: lost, ...nearOf(of, now) };
  const reachability = { usual: "natted", symmetric: "natted", open: "public", blocked: "restricted", unmeasured: undefined } as const;
  const reached = reachability[of.nat];
  return {
    ...known,
    authority: { reachable: true, since },
    home: { address: "192.0.2.7:37373", nodeId: "ZgQBAgMEBQYHCAkKCwwNDg8QERI", nodeKey: "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo", since },
    links: [
      { address: "192.0.2.7:37373", kind: "home", since },
      { address: "198.51.100.24:37373", kind: "superPeer", since: now - 24 * 60_000 },
      { address: "203.0.113.9:37373", kind: "authority", since: now - 90_000 },
    ],
    ...(reached && { reachability: reached, reachabilityMeasured: now - 40 * 60_000 }),
    ...(of.nat === "usual" && { portMapping: "198.51.100.3:37373" }),
  };
}
