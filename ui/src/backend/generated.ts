// What a node answers and tells: generated from the types in crates/earshot-node/src/api/ by
// ./x bindings; do not edit. What is absent is omitted; `…Ms` are milliseconds.

/** Light or dark. */
export type Appearance =
  /** As the system. */
  | "system"
  /** Light. */
  | "light"
  /** Dark. */
  | "dark";

/** Lists the sound devices of this computer. */
export type AudioDevices = Record<string, never>;

/** What can be wrong with the sound. */
export type AudioFault =
  /** There is no microphone. */
  | "noMicrophone"
  /** There is no speaker. */
  | "noSpeaker"
  /** No device has that id (any more). */
  | "noSuchDevice"
  /** Another program has the device to itself. */
  | "deviceBusy"
  /** The user or the system forbids the use. */
  | "forbidden"
  /** The device cannot do what a call needs. */
  | "unsupported"
  /** The sound server does not answer. */
  | "serverGone"
  /** The file cannot be opened or read. */
  | "fileUnreadable"
  /** The file cannot be created or written. */
  | "fileUnwritable"
  /** The file is no WAV that can be played. */
  | "unsupportedWav";

/** How loud it is now: ten times a second in a call, more often while the sound is tried out. */
export interface AudioLevel {
  /** Level of the microphone: dBFS, -100 to 0. */
  levelIn: number;
  /** Level of what is played: dBFS, -100 to 0. */
  levelOut: number;
}

/** What a sound device is used for. */
export type AudioPart =
  /** One speaks into it. */
  | "microphone"
  /** One hears the others from it. */
  | "speaker"
  /** It rings there. */
  | "ringer";

/** Something is wrong with the sound, or right again. */
export interface AudioProblem {
  /** The call that it happened in. */
  callId?: string;
  /** The device or file. */
  device?: string;
  /** What. */
  fault: AudioFault;
  /** What it is used for; absent when all of them are meant. The latest word on a part counts. */
  part?: AudioPart;
  /** Whether it is over. */
  solved: boolean;
}

/** Chooses sound devices; what is absent stays as it is. A running call goes over to them. */
export interface AudioSet {
  /**
   * `device:ID`, `file:PATH.wav`, `tone:HZ` or `silence`. The id `default` is what the system
   * chooses.
   */
  microphone?: string;
  /** Where it rings: as the speaker. */
  ringer?: string;
  /** `device:ID`, `file:PATH.wav` or `none`. */
  speaker?: string;
}

/** Tries the sound out. It ends by itself after a minute, or when a call begins. */
export interface AudioTest {
  /** What is tried; it takes the place of what was tried before. */
  what: AudioTrial;
}

/** What of the sound is tried. */
export type AudioTrial =
  /** Nothing any more. */
  | "off"
  /** The microphone: `audioLevel` comes twenty times a second. */
  | "meter"
  /** Microphone and speaker: one hears oneself a second later, and `audioLevel` comes as well. */
  | "loop"
  /** The ringer: it rings once. */
  | "ringer";

/** The login authority as this node sees it. */
export interface Authority {
  /** Whether it answered when it was last asked. */
  reachable: boolean;
  /** Since when; absent when it was not asked yet. */
  since?: number;
}

/** Buddies, requests and blocked users. */
export interface Buddies {
  /** By name. */
  buddies: Buddy[];
}

/** Accepts a request. */
export interface BuddiesAccept {
  /** Who asked. */
  user: string;
}

/**
 * Blocks a user: no call, message or request of theirs comes through, and they see nothing any
 * more.
 */
export interface BuddiesBlock {
  /** The user. */
  user: string;
}

/** Declines a request. */
export interface BuddiesDecline {
  /** Who asked. */
  user: string;
}

/** Lists buddies, requests and blocked users. */
export type BuddiesList = Record<string, never>;

/** Asks a user to be a buddy. Who was asked by them accepts by asking. */
export interface BuddiesRequest {
  /** Words of greeting, at most 512 bytes. */
  greeting?: string;
  /** The user. */
  user: string;
}

/** Lifts a block. */
export interface BuddiesUnblock {
  /** The user. */
  user: string;
}

/** Somebody whom one knows. */
export interface Buddy {
  /** The name for people; absent when they have none, or it is not known yet. */
  displayName?: string;
  /** Words of greeting of a request. */
  greeting?: string;
  /** Their mood line. */
  mood?: string;
  /** What they show. */
  presence: Presence;
  /** How one stands with them. */
  relation: Relation;
  /** Standing so since then. */
  since: number;
  /** Who. */
  user: string;
}

/** Somebody asks to be a buddy. */
export interface BuddyRequest {
  /** The name for people. */
  displayName?: string;
  /** Words of greeting. */
  greeting?: string;
  /** Who. */
  user: string;
}

/** A call. */
export interface Call {
  /** Whether it came or went. */
  direction: Direction;
  /** Why it is over; only of calls that are. */
  end?: End;
  /** Who holds it. */
  heldBy: Side[];
  /** Its id. */
  id: string;
  /** Since when nothing gets through on any path; absent while it does. */
  interruptedSince?: number;
  /** Whether our voice is not sent. */
  mutedHere: boolean;
  /** How its sound travels; absent while there is no path. */
  path?: Path;
  /** How often the sound went over to another path. */
  pathSwitches: number;
  /** The other one. */
  peer: string;
  /** How its signals travel; absent while the other one is being located. */
  signaling?: Signaling;
  /** Standing so since then. */
  since: number;
  /** How it stands. */
  state: CallState;
}

/** Answers a call that rings here. */
export interface CallAccept {
  /** The call. */
  callId: string;
}

/** Declines a call that rings here. */
export interface CallDecline {
  /** The call. */
  callId: string;
}

/** Ends a call, or gives up calling. */
export interface CallHangUp {
  /** The call. */
  callId: string;
}

/** Reads past calls again: the newest, or those before a call. */
export interface CallHistory {
  /** Only what is older than this call. */
  before?: string;
  /** How many at most; more than 500 are never given. */
  limit: number;
}

/** Holds a call: neither side is heard. */
export interface CallHold {
  /** The call. */
  callId: string;
}

/** Stops sending our voice. */
export interface CallMute {
  /** The call. */
  callId: string;
}

/** One of the paths of a call. */
export interface CallPath {
  /** Its number, the same at both ends. */
  number: number;
  /** What it goes or went through; absent if it never came up. */
  path?: Path;
  /** What it is for. */
  purpose: PathPurpose;
  /** When it was begun. */
  since: number;
  /** How it stands. */
  standing: PathStanding;
  /** What came of each pair of addresses, as far as that is known. */
  tried: TriedPair[];
  /** Whether the sound goes over it. */
  used: boolean;
}

/** The paths of a call. */
export interface CallPaths {
  /** In the order in which they were begun; those that are gone first. */
  paths: CallPath[];
}

/** Tells which paths the sound of a call was tried over, and what came of each. */
export interface CallPathsOf {
  /** The call. */
  callId: string;
}

/** Takes a held call up again. */
export interface CallResume {
  /** The call. */
  callId: string;
}

/** Calls a buddy. */
export interface CallStart {
  /** Which paths may be used; absent is `any`. */
  path?: PathChoice;
  /** The buddy. */
  to: string;
}

/** The call has begun. */
export interface CallStarted {
  /** Its id. */
  callId: string;
}

/** How a call stands. */
export type CallState =
  /** The other one is being looked for. */
  | "locating"
  /** It rings. */
  | "ringing"
  /** It was accepted and has no path yet. */
  | "connecting"
  /** Both hear each other. */
  | "talking"
  /** Somebody holds it. */
  | "held"
  /** It is over. */
  | "ended";

/** How well a call is heard. Counters count from the start of the call. */
export interface CallStats {
  /** Packets that did not open: damaged, forged or foreign. */
  authFailures: number;
  /** Voice sent in the last second, in bits per second, without headers. */
  bitrateBps: number;
  /** Sound that waits in the jitter buffer. */
  bufferMs: number;
  /** The call. */
  callId: string;
  /** Concealed of all that was played, in percent. */
  concealedPct: number;
  /** From accepting to the first sound of theirs handed to the speaker; absent before. */
  firstSoundMs?: number;
  /** Interarrival jitter (RFC 3550, section 6.4.1). */
  jitterMs: number;
  /** Level of our microphone: dBFS, -100 to 0. */
  levelIn: number;
  /** Level of what is played: dBFS, -100 to 0. */
  levelOut: number;
  /** Lost of all that were sent to us, in percent. */
  lossPct: number;
  /** Voice packets that were sent to us and never came. */
  lostPackets: number;
  /** The kind of the path that our voice goes over now; absent where it goes over none. */
  path?: PathKind;
  /** Voice packets received, opened and not seen before. */
  receivedPackets: number;
  /** The same of the last ten seconds. */
  recentConcealedPct: number;
  /** The same of the last ten seconds: how it is now. */
  recentLossPct: number;
  /** Packets that came a second time. */
  replays: number;
  /** Round trip of the path; absent until it was measured. */
  rttMs?: number;
  /** Voice packets sent. */
  sentPackets: number;
}

/** Tells how well a call is heard. */
export interface CallStatsOf {
  /** The call. */
  callId: string;
}

/** Sends our voice again. */
export interface CallUnmute {
  /** The call. */
  callId: string;
}

/** Whether a peer serves, and why. */
export interface Candidacy {
  /** How much it may use. */
  caps: Caps;
  /** Why the service is about to end. */
  ending?: EndingCause;
  /** What it does. */
  jobs: Jobs;
  /** What its owner has chosen; absent until then. */
  mode?: ServingMode;
  /** What stands against serving now, the weightiest first. */
  obstacles: Obstacle[];
  /** Why it could not begin to serve when it last tried. */
  refused?: Failure;
  /** How fit the machine is; absent until it was measured. */
  score?: Score;
  /** Where it stands. */
  standing: ServingStanding;
  /** What super-peers found last, each once. */
  verdicts: Verdict[];
  /** Super-peers that must get through by each transport. */
  verifiersNeeded: number;
}

/** A kind of cap. */
export type Cap =
  /** Connections. */
  | "connections"
  /** Bytes a second. */
  | "kbPerSecond"
  /** Bytes a month. */
  | "gbPerMonth";

/** How much a super-peer may use; absent: as much as one takes. */
export interface Caps {
  /** Connections that others have opened, 32 to 100 000. */
  connections?: number;
  /** All that goes in and out in thirty days, in thousands of millions of bytes, 1 to 100 000. */
  gbPerMonth?: number;
  /** What it carries for others in a second, in thousands of bytes, 32 to 1 000 000. */
  kbPerSecond?: number;
}

/** Reads messages again: the newest of a conversation, or those before a message. */
export interface ChatHistory {
  /** Only what is older than this message. */
  before?: string;
  /** How many at most; more than 500 are never given. */
  limit: number;
  /** With whom. */
  with: string;
}

/** Marks the messages of a buddy as read, and tells the buddy. */
export interface ChatMarkRead {
  /** This message and all before it. */
  upTo: string;
  /** The buddy. */
  with: string;
}

/**
 * Writes to a buddy. The message is safe on this computer when the result comes, and is delivered
 * when it can be.
 */
export interface ChatSend {
  /**
   * Drawn by the client, at most 64 bytes: the same id is the same message, however often it is
   * sent.
   */
  clientId: string;
  /** The text: at least one byte, at most 65,536 of UTF-8. */
  text: string;
  /** The buddy. */
  to: string;
}

/** The message is safe. */
export interface ChatSent {
  /** Its id. */
  messageId: string;
  /** How far it is. */
  state: MessageState;
}

/** The sound devices that are used. */
export interface ChosenDevices {
  /** As in `audio.set`. */
  microphone: string;
  /** As in `audio.set`. */
  ringer: string;
  /** As in `audio.set`. */
  speaker: string;
}

/** A conversation in one line. */
export interface Conversation {
  /** The last message, its text cut to 200 characters. */
  last?: Message;
  /** When the last message was written. */
  lastAt: number;
  /** Messages of theirs that were not marked as read. */
  unread: number;
  /** With whom. */
  with: string;
}

/** A sound device. */
export interface Device {
  /** Chosen as `device:ID`. */
  id: string;
  /** Whether the system would choose it. */
  isDefault: boolean;
  /** For people. */
  name: string;
}

/** The sound devices of this computer. */
export interface Devices {
  /** What is used. */
  chosen: ChosenDevices;
  /** What can be spoken into. */
  microphones: Device[];
  /** What can be heard. */
  speakers: Device[];
}

/** How dialling back went. */
export type DialResult =
  /** It got through. */
  | "reached"
  /** The address answered that nobody listens there. */
  | "refused"
  /** Nothing answered, or nothing came: a router or a firewall drops it. */
  | "silent"
  /** The super-peer was asked less than ten seconds before. */
  | "tooSoon"
  /** The super-peer does not dial that port. */
  | "portRefused"
  /** The super-peer itself could not be reached. */
  | "notAsked";

/** Which way something goes. */
export type Direction =
  /** To us. */
  | "in"
  /** From us. */
  | "out";

/** Nothing to tell but that it was done. */
export type Done = Record<string, never>;

/** Why a call is over. */
export interface End {
  /** Who or what ended it. */
  by: EndedBy;
  /** What is known about it. */
  facts: EndFacts;
  /** The reason. */
  reason: EndReason;
}

/** What is known about an end; each only where it applies. */
export interface EndFacts {
  /** What is wrong with the sound. */
  audio?: AudioFault;
  /** Candidates of ours that were tried. */
  candidatesHere?: number;
  /** Candidates of theirs that were tried. */
  candidatesThere?: number;
  /** How long they talked. */
  talkedMs?: number;
  /** How long it was tried or rang. */
  waitedMs?: number;
}

/** Every reason for which a call ends. */
export type EndReason =
  /** Somebody hung up. */
  | "hungUp"
  /** The one who was called does not want it. */
  | "declined"
  /** The one who was called is in another call. */
  | "busy"
  /** It rang and nobody answered. */
  | "noAnswer"
  /** The caller gave up. */
  | "cancelled"
  /** Nobody has that name. */
  | "notFound"
  /** No device of theirs is there. */
  | "offline"
  /** We blocked them. */
  | "blocked"
  /** Not each other's buddies. */
  | "notBuddy"
  /** No path for the sound could be made. */
  | "noPath"
  /** The path went silent and no other was found. */
  | "pathLost"
  /** The other device is gone. */
  | "peerVanished"
  /** The way of the signals was lost before there was a path. */
  | "signalingLost"
  /** The other one's keys are not those that the certificate names. */
  | "keysRefused"
  /** Neither microphone nor speaker works. */
  | "audioFailed"
  /** Another device of the same user answered. */
  | "answeredElsewhere"
  /** A mistake of ours. */
  | "internal";

/** Who or what ended a call. */
export type EndedBy =
  /** We. */
  | "me"
  /** The other one. */
  | "them"
  /** Neither. */
  | "network";

/** Why a service is about to end. */
export type EndingCause =
  /** The owner wants it. */
  | "ownerSaysNever"
  /** The machine draws on its battery. */
  | "onBattery"
  /** The line is metered. */
  | "metered"
  /** Too few super-peers get through. */
  | "notReached"
  /** The machine is not fit any more. */
  | "lowScore"
  /** There are more super-peers than the network needs, and this is the weakest. */
  | "abundance"
  /** The login authority did not let it. */
  | "notEnrolled";

/** Why a super-peer is not enrolled. */
export type EnrolmentRefusal =
  /** The token is unknown or used. */
  | "tokenRefused"
  /** The address may not serve this network. */
  | "addressRefused"
  /** The certificate shown is not a node's of this network. */
  | "certificateRefused"
  /** The authority could not keep it. */
  | "unavailable"
  /** Too many attempts from this address. */
  | "tooManyAttempts"
  /** Other super-peers do not reach it at the address. */
  | "notReached"
  /** The authority was asked from another address than the one to serve at. */
  | "otherAddress"
  /** Too few other super-peers could be asked whether they reach it. */
  | "nobodyVerified";

/**
 * Whose datagrams are let in to a port of this computer (RFC 4787, section 5). Found out by RFC
 * 5780, section 4.4.
 */
export type Filtering =
  /** Everybody's, once anything was sent from it: a call finds its way in whoever begins. */
  | "endpointIndependent"
  /**
   * Those of addresses that were sent to, from any port of theirs. Both ends of a call send, so
   * that it opens its own way.
   */
  | "addressDependent"
  /**
   * Those of addresses and ports that were sent to. A call opens its own way to all but those who
   * are behind a symmetric NAT.
   */
  | "addressAndPortDependent";

/** A page of history. */
export interface History {
  /** In the order of the screen, oldest first. */
  messages: Message[];
  /** Whether there are older ones. */
  more: boolean;
}

/** The home super-peer. */
export interface Home {
  /** Where it listens. */
  address: string;
  /** Its place on the ring. */
  nodeId: string;
  /** Its link key. */
  nodeKey: string;
  /** Linked since then. */
  since: number;
}

/** What is wrong with an invite. */
export type InviteProblem =
  /** It does not begin with `earshot:`. */
  | "notAnInvite"
  /** Letters are missing or wrong: copy it again, whole. */
  | "damaged"
  /** Whole, but made by a program that this one does not understand. */
  | "unreadable";

/** Whom an invite will serve, by the addresses of the super-peers in it. */
export type InviteReach =
  /** Programs on the same computer. */
  | "thisComputer"
  /** Computers on the same local network. */
  | "localNetwork"
  /** Whoever has the Internet, unless a firewall is before the super-peer. */
  | "everywhere";

/** An invite. */
export interface Invited {
  /** As a link; short enough for a QR code. */
  invite: string;
  /** Whom it will serve. */
  reach: InviteReach;
}

/** What a super-peer does besides its share of finding people. */
export interface Jobs {
  /** People may be at home at it. */
  directory: boolean;
  /** It relays calls. */
  relay: boolean;
}

/** The network that was joined. */
export interface Joined {
  /** The network. */
  network: Network;
}

/** A language of the window. */
export type Language =
  /** As the system, if we speak that; else English. */
  | "system"
  /** English. */
  | "en"
  /** Finnish. */
  | "fi";

/** What there is a limit of. */
export type Limited =
  /** Buddies and requests. */
  | "buddies"
  /** Messages that wait for a buddy. */
  | "waitingMessages"
  /** Searches at a time. */
  | "searches"
  /** Calls at a time. */
  | "calls"
  /** Questions at a time. */
  | "questions"
  /** Words of one's own choice to be found by. */
  | "words";

/** An open connection. */
export interface Link {
  /** The other end. */
  address: string;
  /** What it is for. */
  kind: LinkKind;
  /** Open since then. */
  since: number;
}

/** What a connection is for. */
export type LinkKind =
  /** To the home super-peer. */
  | "home"
  /** To another super-peer. */
  | "superPeer"
  /** To the login authority. */
  | "authority"
  /** To a buddy, for the signaling of a call. */
  | "peer"
  /** To a buddy on the same local network. */
  | "nearby";

/** What was wrong with the buddy list on disk when its user logged in. */
export type ListFault =
  /** The newest file is damaged: the one before it is used, and the last change may be missing. */
  | "lastGood"
  /** No file was whole, signed here and new enough: it begins empty. */
  | "refused";

/** Whether others can find a user by name. */
export type Listed =
  /** They cannot, but by the exact user name. */
  | "off"
  /** They are to, and will soon. */
  | "posting"
  /** They can. */
  | "on"
  /**
   * They are not to any more: super-peers are being told. Those that could not be told forget it
   * within a day.
   */
  | "leaving";

/** This device is logged in. */
export interface LoggedIn {
  /** When its certificate ends. */
  certificateUntil: number;
  /** This device. */
  deviceId: string;
  /** How long the stretching of the password took. */
  stretchMs: number;
  /** The prepared name. */
  user: string;
}

/**
 * Logs this device in. While the authority is away this works on a device that logged in before.
 */
export interface Login {
  /** The password; absent, the one of `EARSHOT_PASSWORD` is used. */
  password?: string;
  /** The name. */
  user: string;
}

/** Logs this device out. Calls end; buddies see it go. */
export type Logout = Record<string, never>;

/**
 * To which outer address and port one port of this computer is mapped (RFC 4787, section 4.1).
 * Found out by RFC 5780, section 4.3.
 */
export type Mapping =
  /**
   * To the same, whoever is sent to; also where there is no NAT. What one partner is told is good
   * for all, so that direct calls work with most people.
   */
  | "endpointIndependent"
  /**
   * To another one for each address that is sent to: a symmetric NAT. Nobody can be told beforehand
   * where to send, so that calls with people behind strict routers may need a relay.
   */
  | "addressDependent"
  /**
   * To another one for each address and port that is sent to: a symmetric NAT too, with the same
   * consequence.
   */
  | "addressAndPortDependent";

/** How a super-peer knows the others. */
export type Membership =
  /** It takes no part yet. */
  | "outside"
  /** Everybody knows everybody. */
  | "full"
  /** They form a ring, of which each knows a part. */
  | "ring";

/** A message. */
export interface Message {
  /** What the client called it; only on messages of this device. */
  clientId?: string;
  /** Whether it came or went. */
  direction: Direction;
  /** Its id. */
  id: string;
  /** How far it is. */
  state: MessageState;
  /** The text, as it was written; never markup. */
  text: string;
  /** The other one of the conversation. */
  with: string;
  /** When it was written, by the writer's clock. */
  writtenAt: number;
}

/** How far a message is. */
export type MessageState =
  /** On this computer, not yet on the other one. */
  | "waiting"
  /** On a device of the receiver. */
  | "arrived"
  /** Read by the receiver. */
  | "read";

/**
 * What went in and out of a super-peer in a month of thirty days, without the headers of TCP, UDP
 * and IP.
 */
export interface Month {
  /** Bytes since. */
  bytes: number;
  /** When it began. */
  since: number;
  /** How much of the cap that is. */
  spent: Spent;
}

/** The rules of user names (RFC 8265). */
export type NameRule =
  /** At least 3 characters. */
  | "tooShort"
  /** At most 32 characters. */
  | "tooLong"
  /** No spaces, symbols or control characters. */
  | "forbidden";

/**
 * What is known of the NAT before this computer, each part by itself. A part is absent where it
 * could not be found out: where UDP is blocked, or the home has no partner to ask at.
 */
export interface Nat {
  /** Where the others see this computer. */
  address?: NatAddress;
  /** Whom it, or a firewall, lets in. */
  filtering?: NatFiltering;
  /** What it makes of this computer's port: whether one address is good for all partners. */
  mapping?: NatMapping;
  /** Whether there is a NAT at all. */
  translation?: NatTranslation;
}

/**
 * Where the home saw this computer's UDP port: its reflexive address (RFC 8489, section 2). Its
 * port may be another one later, and for others: see `mapping`.
 */
export interface NatAddress {
  /**
   * Whether it is an address of the Internet. If not, the home is on the same local network or
   * computer, and nothing here tells what is between them and the Internet.
   */
  isPublic: boolean;
  /** When it was seen last. */
  measured: number;
  /** The address. */
  what: string;
}

/** Whom a NAT or a firewall lets in. */
export interface NatFiltering {
  /** When it was found so last. */
  measured: number;
  /** Whom. */
  what: Filtering;
}

/** How a NAT maps. */
export interface NatMapping {
  /** When it was found so last. */
  measured: number;
  /** How. */
  what: Mapping;
}

/** Whether there is a NAT. */
export interface NatTranslation {
  /** When it was found so last. */
  measured: number;
  /** Whether there is one. */
  what: Translation;
}

/** A buddy's device near by. */
export interface Nearby {
  /**
   * When its certificate ends. One that has ended serves near by for 90 days more, while no
   * authority can be asked.
   */
  certificateUntil: number;
  /** Linked since then. */
  since: number;
  /** Whose it is. */
  user: string;
}

/** A network. */
export interface Network {
  /** The hash of the root key. */
  id: string;
  /** For people; proves nothing. */
  name: string;
  /** The network itself. */
  rootKey: string;
}

/** Makes an invite to the network that this node is in. */
export type NetworkInvite = Record<string, never>;

/**
 * Joins the network of an invite. Whoever is in it already is told so again; a node joins one
 * network only.
 */
export interface NetworkJoin {
  /** The invite, as a link. */
  invite: string;
}

/**
 * Founds a network and joins it. This process is its login authority and its first super-peer, now
 * and whenever it runs again on this data directory.
 */
export interface NetworkStart {
  /** The network's name, for people: at least one byte, at most 64 of UTF-8. */
  name: string;
}

/** Tells how this node stands in its network. */
export type NetworkStatus = Record<string, never>;

/** What stands against serving. */
export interface Obstacle {
  /** How long it lasts, where that is known. */
  leftMs?: number;
  /** How many did not. */
  notReached?: number;
  /** How many super-peers got through, where too few did. */
  reached?: number;
  /** What it is. */
  what: ObstacleKind;
}

/** A kind of obstacle. */
export type ObstacleKind =
  /** The owner has not answered yet. */
  | "notAnswered"
  /** The owner does not want it. */
  | "ownerSaysNever"
  /** Too few super-peers got through by TCP. */
  | "notReachedByTcp"
  /** Too few got through by UDP. */
  | "notReachedByUdp"
  /** Nothing was measured yet. */
  | "notMeasured"
  /** The machine draws on its battery. */
  | "onBattery"
  /** The line is metered. */
  | "metered"
  /** The machine is not fit enough. */
  | "lowScore"
  /** No super-peer has asked it to. */
  | "notInvited"
  /** The network has enough super-peers, or nothing is known of them. */
  | "notNeeded"
  /** It stopped serving not long ago. */
  | "resting"
  /** The login authority did not let it, or did not answer. */
  | "notEnrolled";

/** What a user can show. */
export type OwnPresence =
  /** There. */
  | "online"
  /** There, but not at the desk. */
  | "away"
  /** There, not to be disturbed. */
  | "doNotDisturb"
  /** There, but shown as offline. */
  | "invisible";

/** What came of two addresses. */
export type PairOutcome =
  /** Nothing yet. */
  | "open"
  /** A check got through and back. */
  | "succeeded"
  /** Nothing got through. */
  | "failed";

/** A call that is over. */
export interface PastCall {
  /** Who or what ended it. */
  by: EndedBy;
  /** Whether it came or went. */
  direction: Direction;
  /** Its id. */
  id: string;
  /** The other one. */
  peer: string;
  /** Why it is over. */
  reason: EndReason;
  /** When it began to be made or to ring. */
  startedAt: number;
  /** How long they talked; absent when they did not. */
  talkedMs?: number;
}

/** A page of past calls. */
export interface PastCalls {
  /** Newest first. */
  calls: PastCall[];
  /** Whether there are older ones. */
  more: boolean;
}

/** How the sound of a call travels. */
export interface Path {
  /** Its kind, by the better hidden of its two ends. */
  kind: PathKind;
  /** Our end. */
  local: string;
  /** The relay that it goes through. */
  relay?: string;
  /** The other end. */
  remote: string;
  /** Round trip; absent until it was measured. */
  rttMs?: number;
}

/** Which media paths a call may use. */
export type PathChoice =
  /** The best one. */
  | "any"
  /** Only through a relay: the other one learns no address of ours. */
  | "relay";

/** The kind of a path (RFC 8445, section 5.1.1). */
export type PathKind =
  /** Between addresses of the computers themselves. */
  | "host"
  /** Through an address that a STUN server saw. */
  | "srflx"
  /** Through an address learnt from a check. */
  | "prflx"
  /** Through a relay, UDP to it. */
  | "relayUdp"
  /** Through a relay, TCP to it. */
  | "relayTcp";

/** What a path of a call is for. */
export type PathPurpose =
  /** To talk as soon as possible, by whatever works. */
  | "main"
  /** To talk without a relay. */
  | "direct"
  /** To fall back to: through another relay. */
  | "spare";

/** How a path of a call stands. */
export type PathStanding =
  /** It is being made. */
  | "making"
  /** It gets through. */
  | "up"
  /** It does not, but may again. */
  | "silent"
  /** No pair of addresses worked. */
  | "noPair"
  /** It worked, and went silent for good. */
  | "lost"
  /** It could not even be begun here. */
  | "unavailable";

/** A super-peer's place among the others. */
export interface Place {
  /** How it knows them. */
  mode: Membership;
  /** Its own id. */
  node: string;
  /** Who comes before it; absent while it knows nobody. */
  predecessor?: string;
  /** Who comes after it, nearest first, at most 16. */
  successors: string[];
}

/** What others show. */
export type Presence =
  /** There. */
  | "online"
  /** There, but not at the desk. */
  | "away"
  /** There, not to be disturbed. */
  | "doNotDisturb"
  /** Not there, or invisible. */
  | "offline";

/** A buddy shows something else. */
export interface PresenceChange {
  /** Their mood line. */
  mood?: string;
  /** What they show. */
  presence: Presence;
  /** Who. */
  user: string;
}

/** Shows oneself to one's buddies. */
export interface PresenceSet {
  /** The mood line, at most 256 bytes; absent, it stays as it is. */
  mood?: string;
  /** What to show. */
  presence: OwnPresence;
}

/**
 * Lets others find one by name, or not any more. It holds for the account: the user's other devices
 * follow. How far it is comes in `sessionChanged`.
 */
export interface ProfileSet {
  /**
   * Whether any member of the network may find the user by the words of user name and display name,
   * or the first three letters of one.
   */
  listed: boolean;
  /**
   * The name to be listed under, at most 128 bytes; absent, it stays as it is; empty, it is the
   * account's. Whoever finds the user is shown the user name too.
   */
  name?: string;
  /**
   * Up to three words more to be found by, each at most 64 bytes; absent, they stay as they are.
   */
  words?: string[];
}

/** Whether others can open connections to a node. */
export type Reachability =
  /** Anybody can. */
  | "public"
  /** Nobody can, but it can open its own. */
  | "natted"
  /** It can open connections to its home only. */
  | "restricted";

/** Makes an account at the network's login authority and logs this device in. */
export interface Register {
  /** The name for people. */
  displayName?: string;
  /** The password; absent, the one of `EARSHOT_PASSWORD` is used. */
  password?: string;
  /** The name to have: 3 to 32 characters. */
  user: string;
}

/** The account was made. */
export interface Registered {
  /** When this device's certificate ends. */
  certificateUntil: number;
  /**
   * The recovery key: the second way to the account when the password is forgotten. To be printed
   * or written down; it is told this once and kept nowhere.
   */
  recoveryKey: string;
  /** The prepared name. */
  user: string;
}

/** How one stands with somebody. */
export type Relation =
  /** They were asked and have not answered. */
  | "asked"
  /** They asked and have not been answered. */
  | "asksUs"
  /** Each other's buddies. */
  | "buddy"
  /** They declined. */
  | "declined"
  /** We blocked them. */
  | "blocked"
  /** Nothing any more: the request was declined by us, or the block lifted. */
  | "stranger";

/** How fit a machine is, and what it is made of. */
export interface Score {
  /** Of 200: kind of address. */
  address: number;
  /** Of 200: idle processor. */
  idle: number;
  /** From so much on it is fit. */
  needed: number;
  /** Whether it is known that the line is not metered; if not, it is assumed. */
  tariffKnown: boolean;
  /** The sum, at most 1000. */
  total: number;
  /** Of 300: time on line. */
  up: number;
  /** Of 300: bandwidth upstream. */
  upstream: number;
  /** Where it is from. */
  upstreamFrom: UpstreamFrom;
  /** The bandwidth that counts, in thousands of bits per second. */
  upstreamKbps: number;
}

/**
 * Looks for people: for the one who has exactly that user name, and, among those who chose to be
 * listed, for all whose names have words that begin with those that were typed. What is found comes
 * as `searchResult`, then `searchEnded` says why it ended.
 */
export interface Search {
  /** What was typed: a user name, or words of a name. */
  user: string;
}

/** Why a search ended. */
export type SearchEnd =
  /** Somebody was found, and everybody asked. */
  | "found"
  /** Those who would know say that nobody has that name. */
  | "notFound"
  /** Some who would know did not answer. */
  | "noAnswer"
  /** The link to the super-peer was lost. */
  | "notConnected"
  /** The user logged out meanwhile. */
  | "loggedOut";

/** A search is over. */
export interface SearchEnded {
  /** Whether anybody was found. */
  found: boolean;
  /** How many were found. */
  people: number;
  /** Why it ended. */
  reason: SearchEnd;
  /** The search. */
  searchId: string;
}

/** A user was found. */
export interface SearchResult {
  /** Nodes that were asked for what found the user. */
  askedNodes: number;
  /** The name for people; absent when the user has none. */
  displayName?: string;
  /** Whether it was answered from a cache. */
  fromCache: boolean;
  /** Since the search began. */
  ms: number;
  /** Whether a device of the user is registered now; absent of whom was found by words only. */
  online?: boolean;
  /** The round in which it was found: 1 asks four nodes, 2 eight, 3 sixteen (lecture, slide 31). */
  round: number;
  /** The search. */
  searchId: string;
  /** The user. */
  user: string;
  /** Words of the user's own choice, of whom was found by words; absent where there are none. */
  words?: string[];
}

/** The search has begun. */
export interface Searching {
  /** Names the search in its events. */
  searchId: string;
}

/** When a peer serves as a super-peer. Never without having been reached from outside. */
export type ServingMode =
  /** When the network needs it and asks, on mains, and while the machine is fit for it. */
  | "auto"
  /** Whenever others can reach it. */
  | "always"
  /** Not at all. */
  | "never";

/** Where a peer stands. */
export type ServingStanding =
  /** An ordinary peer. */
  | "ordinary"
  /** About to serve, if nothing comes between. */
  | "standby"
  /** It serves. */
  | "serving";

/** Who is logged in on this device. */
export interface Session {
  /** What was wrong with the buddy list on disk; absent when nothing was. */
  buddyList?: ListFault;
  /** When its certificate ends. */
  certificateUntil?: number;
  /** This device. */
  deviceId?: string;
  /** The name for people. */
  displayName?: string;
  /** Whether others can find the user by name. */
  listed?: Listed;
  /** The name to be listed under, where it is not the account's. */
  listedName?: string;
  /** Words of the user's own choice to be found by; absent where there are none. */
  listedWords?: string[];
  /** The mood line. */
  mood?: string;
  /** What the user shows. */
  presence?: OwnPresence;
  /** How far it is. */
  state: SessionState;
  /** Who; absent when logged out. */
  user?: string;
}

/** How far a session is. */
export type SessionState =
  /** Nobody is logged in. */
  | "loggedOut"
  /** Name and password are being checked. */
  | "loggingIn"
  /** Logged in, without a link to a super-peer at the moment. */
  | "offline"
  /** Logged in, linked to a super-peer and findable. */
  | "online";

/** What a person has set. */
export interface Settings {
  /** Light or dark. */
  appearance?: Appearance;
  /** Whether closing the window leaves Earshot in the tray. */
  closeToTray?: boolean;
  /** The language of the window. */
  language?: Language;
  /** Whether calls are notified. */
  notifyCalls?: boolean;
  /** Whether messages are notified. */
  notifyMessages?: boolean;
  /** Whether requests are notified. */
  notifyRequests?: boolean;
  /** How loud it rings, in percent. */
  ringVolume?: number;
  /** Whether notifications show the text of a message. */
  showPreview?: boolean;
  /** Whether there are sounds besides the voices. */
  sounds?: boolean;
}

/** Tells the settings. */
export type SettingsGet = Record<string, never>;

/** Changes settings; what is absent stays as it is. */
export interface SettingsSet {
  /** Light or dark. */
  appearance?: Appearance;
  /** Whether closing the window leaves Earshot in the tray. */
  closeToTray?: boolean;
  /** The language of the window. */
  language?: Language;
  /** Whether calls are notified. */
  notifyCalls?: boolean;
  /** Whether messages are notified. */
  notifyMessages?: boolean;
  /** Whether requests are notified. */
  notifyRequests?: boolean;
  /** How loud it rings, in percent. */
  ringVolume?: number;
  /** Whether notifications show the text of a message. */
  showPreview?: boolean;
  /** Whether there are sounds besides the voices. */
  sounds?: boolean;
}

/** One of the two sides of a call. */
export type Side =
  /** We. */
  | "me"
  /** The other one. */
  | "them";

/** The three ways of signaling (lecture, slide 32). */
export type Signaling =
  /** Straight to the other one. */
  | "direct"
  /** Through the super-peer of the one who is called. */
  | "calleeSuperPeer"
  /** Through the super-peers of both. */
  | "bothSuperPeers";

/** Everything at one moment. */
export interface Snapshot {
  /** When it was taken. */
  at: number;
  /** The sound devices that are used. */
  audio: ChosenDevices;
  /** Buddies, requests and blocked users, by name. */
  buddies: Buddy[];
  /** Calls that are not over. */
  calls: Call[];
  /** Conversations, the latest first. */
  conversations: Conversation[];
  /** How this node stands in its network. */
  network: Standing;
  /** Number of the last event before it; 0 when there was none. */
  seq: number;
  /** Who is logged in. */
  session: Session;
  /** What a person has set. */
  settings: Settings;
  /**
   * The name that the file of the settings has now, where it was damaged when the process started:
   * the settings are the usual ones then.
   */
  settingsSetAside?: string;
}

/** How much of the month's cap is used. */
export type Spent =
  /** Less than 95 %, or there is no cap. */
  | "little"
  /** So much that people are handed over and no new call is relayed until the next month. */
  | "most"
  /** All: nothing is carried any more. */
  | "all";

/** How this node stands in its network. */
export interface Standing {
  /** The login authority. */
  authority: Authority;
  /** The super-peer that this node is linked to; absent when it has none. */
  home?: Home;
  /** Connections that are open now. */
  links: Link[];
  /** What is known of the NAT before this computer; absent until something was found out. */
  nat?: Nat;
  /**
   * Devices of buddies on the same local network that are linked to this node, because the network
   * does not bring it and them together: without the Internet, say.
   */
  nearby?: Nearby[];
  /** The network; absent before one is joined. */
  network?: Network;
  /**
   * The outer address where a router forwards connections (TCP) to this node, as it was asked to by
   * UPnP, NAT-PMP or PCP; absent where none does. That others get through it is told by
   * `reachability`: the router may be behind another.
   */
  portMapping?: string;
  /** Whether others can open connections to this node; absent until it was tested. */
  reachability?: Reachability;
  /**
   * When that was found, or last confirmed: the home says it, and several super-peers are asked
   * soon after and every few hours. Absent where it was not tested.
   */
  reachabilityMeasured?: number;
  /** How many super-peers this node knows. */
  superPeers: number;
}

/**
 * Takes a picture of everything. Events with a higher `seq` than the picture's are changes to it.
 */
export type StateGet = Record<string, never>;

/**
 * Chooses whether this peer also serves as a super-peer, what it then does and how much it may use.
 * What is absent stays as it was; all is kept. Until a mode was chosen it does not serve.
 */
export interface SuperPeerSet {
  /** How much it may use: takes the place of all caps before. */
  caps?: Caps;
  /** What it does; one of both at least. */
  jobs?: Jobs;
  /** When it serves. */
  mode?: ServingMode;
}

/** What a super-peer does, and, of a peer, whether and why it is one. */
export interface SuperPeerState {
  /** Relay allocations open now. */
  allocations?: number;
  /** Of a peer only, and not of one that founded its network and always serves it. */
  candidacy?: Candidacy;
  /** Peers linked to it now. */
  clients?: number;
  /** Which of its jobs it does now: near the end of the month's cap neither. */
  doing?: Jobs;
  /** Envelopes that other super-peers brought for its clients. */
  fromSuperPeers?: number;
  /** Envelopes that devices brought over links of their own for its clients. */
  fromVisitors?: number;
  /** Clients that it handed over to others. */
  handedOver?: number;
  /** Questions for a registration that it answered. */
  lookups?: number;
  /** What it used this month. */
  month?: Month;
  /** Its place among them. */
  place?: Place;
  /** Questions and newcomers that it refused because it had too much to do. */
  refused?: number;
  /** Registrations that it keeps now. */
  registrations?: number;
  /** Bytes of them. */
  relayedBytes?: number;
  /** Packets that it relayed. */
  relayedPackets?: number;
  /** Serving since then. */
  since?: number;
  /**
   * Super-peers in the network, itself counted: exact while all know all, an estimate on a ring.
   */
  superPeers?: number;
  /** Sealed envelopes that its own clients sent through it. */
  throughUs?: number;
  /** Envelopes that its clients sent back to such devices. */
  toVisitors?: number;
}

/**
 * Tells whom this super-peer serves and what passed through it; of a peer, whether it serves, and
 * why.
 */
export type SuperPeerStatus = Record<string, never>;

/**
 * Has super-peers dial back now, by TCP and UDP: the home and up to three more. One that runs
 * already is waited for. Takes up to five seconds.
 */
export type SuperPeerTest = Record<string, never>;

/** What came of it. */
export interface Tested {
  /** What each super-peer found; none where there is nobody to ask but ourselves. */
  verdicts: Verdict[];
}

/** Whether the others see another address of this computer than its own. RFC 5780, section 4.2. */
export type Translation =
  /** They see its own: nothing is between that changes it, though a firewall may filter. */
  | "absent"
  /** They see another one: that of a router. */
  | "present";

/** Two addresses between which a path was tried. */
export interface TriedPair {
  /** Our address. */
  local: string;
  /** The kind of our address. */
  localKind: PathKind;
  /** What came of it. */
  outcome: PairOutcome;
  /** Their address. */
  remote: string;
  /** The kind of theirs. */
  remoteKind: PathKind;
}

/** Where it is known from what a machine sends at most. */
export type UpstreamFrom =
  /** Nowhere: a slow line is assumed. */
  | "assumed"
  /**
   * It was seen to send so much over links to the Internet within half a minute, lately; it may do
   * more.
   */
  | "seen"
  /** Its owner lets it carry no more. */
  | "capped";

/** What one super-peer found when it dialled back. */
export interface Verdict {
  /** When it was heard. */
  at: number;
  /** Where the super-peer is. */
  superPeer: string;
  /** How a connection went. */
  tcp: DialResult;
  /** The address of ours that it dialled; absent when it dialled none. */
  tried?: string;
  /** How a datagram went. */
  udp: DialResult;
}

/** What is asked and what answers it, by method. */
export interface Methods {
  /**
   * Founds a network and joins it. This process is its login authority and its first super-peer,
   * now and whenever it runs again on this data directory.
   */
  "network.start": { params: NetworkStart; result: Invited };
  /**
   * Joins the network of an invite. Whoever is in it already is told so again; a node joins one
   * network only.
   */
  "network.join": { params: NetworkJoin; result: Joined };
  /** Makes an invite to the network that this node is in. */
  "network.invite": { params: NetworkInvite; result: Invited };
  /** Tells how this node stands in its network. */
  "network.status": { params: NetworkStatus; result: Standing };
  /** Makes an account at the network's login authority and logs this device in. */
  register: { params: Register; result: Registered };
  /**
   * Logs this device in. While the authority is away this works on a device that logged in before.
   */
  login: { params: Login; result: LoggedIn };
  /** Logs this device out. Calls end; buddies see it go. */
  logout: { params: Logout; result: Done };
  /**
   * Takes a picture of everything. Events with a higher `seq` than the picture's are changes to it.
   */
  "state.get": { params: StateGet; result: Snapshot };
  /** Shows oneself to one's buddies. */
  "presence.set": { params: PresenceSet; result: Done };
  /**
   * Lets others find one by name, or not any more. It holds for the account: the user's other
   * devices follow. How far it is comes in `sessionChanged`.
   */
  "profile.set": { params: ProfileSet; result: Done };
  /**
   * Looks for people: for the one who has exactly that user name, and, among those who chose to be
   * listed, for all whose names have words that begin with those that were typed. What is found
   * comes as `searchResult`, then `searchEnded` says why it ended.
   */
  search: { params: Search; result: Searching };
  /** Lists buddies, requests and blocked users. */
  "buddies.list": { params: BuddiesList; result: Buddies };
  /** Asks a user to be a buddy. Who was asked by them accepts by asking. */
  "buddies.request": { params: BuddiesRequest; result: Done };
  /** Accepts a request. */
  "buddies.accept": { params: BuddiesAccept; result: Done };
  /** Declines a request. */
  "buddies.decline": { params: BuddiesDecline; result: Done };
  /**
   * Blocks a user: no call, message or request of theirs comes through, and they see nothing any
   * more.
   */
  "buddies.block": { params: BuddiesBlock; result: Done };
  /** Lifts a block. */
  "buddies.unblock": { params: BuddiesUnblock; result: Done };
  /**
   * Writes to a buddy. The message is safe on this computer when the result comes, and is delivered
   * when it can be.
   */
  "chat.send": { params: ChatSend; result: ChatSent };
  /** Reads messages again: the newest of a conversation, or those before a message. */
  "chat.history": { params: ChatHistory; result: History };
  /** Marks the messages of a buddy as read, and tells the buddy. */
  "chat.mark_read": { params: ChatMarkRead; result: Done };
  /** Calls a buddy. */
  "call.start": { params: CallStart; result: CallStarted };
  /** Answers a call that rings here. */
  "call.accept": { params: CallAccept; result: Done };
  /** Declines a call that rings here. */
  "call.decline": { params: CallDecline; result: Done };
  /** Ends a call, or gives up calling. */
  "call.hang_up": { params: CallHangUp; result: Done };
  /** Holds a call: neither side is heard. */
  "call.hold": { params: CallHold; result: Done };
  /** Takes a held call up again. */
  "call.resume": { params: CallResume; result: Done };
  /** Stops sending our voice. */
  "call.mute": { params: CallMute; result: Done };
  /** Sends our voice again. */
  "call.unmute": { params: CallUnmute; result: Done };
  /** Tells how well a call is heard. */
  "call.stats": { params: CallStatsOf; result: CallStats };
  /** Tells which paths the sound of a call was tried over, and what came of each. */
  "call.paths": { params: CallPathsOf; result: CallPaths };
  /** Reads past calls again: the newest, or those before a call. */
  "call.history": { params: CallHistory; result: PastCalls };
  /** Lists the sound devices of this computer. */
  "audio.devices": { params: AudioDevices; result: Devices };
  /** Chooses sound devices; what is absent stays as it is. A running call goes over to them. */
  "audio.set": { params: AudioSet; result: ChosenDevices };
  /** Tries the sound out. It ends by itself after a minute, or when a call begins. */
  "audio.test": { params: AudioTest; result: Done };
  /** Tells the settings. */
  "settings.get": { params: SettingsGet; result: Settings };
  /** Changes settings; what is absent stays as it is. */
  "settings.set": { params: SettingsSet; result: Settings };
  /**
   * Chooses whether this peer also serves as a super-peer, what it then does and how much it may
   * use. What is absent stays as it was; all is kept. Until a mode was chosen it does not serve.
   */
  "super_peer.set": { params: SuperPeerSet; result: Done };
  /**
   * Has super-peers dial back now, by TCP and UDP: the home and up to three more. One that runs
   * already is waited for. Takes up to five seconds.
   */
  "super_peer.test": { params: SuperPeerTest; result: Tested };
  /**
   * Tells whom this super-peer serves and what passed through it; of a peer, whether it serves, and
   * why.
   */
  "super_peer.status": { params: SuperPeerStatus; result: SuperPeerState };
}

/** What each event tells, by its type. */
export interface Events {
  /**
   * Somebody logged in or out, is on line or off, or shows something else of themselves. The
   * buddies and conversations of whoever logged in are in `state.get`.
   */
  sessionChanged: {
    /** The session now. */
    session: Session;
  };
  /** The network is seen differently; holds what `network.status` answers. */
  networkChanged: Standing;
  /** Somebody on the list stands differently. */
  buddyChanged: {
    /** How they stand now. */
    buddy: Buddy;
  };
  /** A buddy shows something else. */
  presenceChanged: PresenceChange;
  /** Somebody asks to be a buddy. */
  buddyRequested: BuddyRequest;
  /** A message came, or one is further. */
  messageChanged: {
    /** The message now. */
    message: Message;
  };
  /**
   * A user was found. Each comes once, or again when more is known of them; the last word counts.
   */
  searchResult: SearchResult;
  /** A search is over. */
  searchEnded: SearchEnded;
  /** A call came, or stands differently. */
  callChanged: {
    /** The call now. */
    call: Call;
  };
  /** How well a call is heard; every second of it. */
  callStats: CallStats;
  /** How loud it is now. */
  audioLevel: AudioLevel;
  /** Something is wrong with the sound, or right again. */
  audioProblem: AudioProblem;
  /**
   * A sound device came or went, or the system chooses another one; told for some minutes after
   * `audio.devices`.
   */
  audioDevicesChanged: {
    /** The devices now. */
    devices: Devices;
  };
  /** The settings are others. */
  settingsChanged: {
    /** The settings now. */
    settings: Settings;
  };
}

/** What is known of each kind of failure, by its code. */
export interface Facts {
  /** The line is not JSON in UTF-8. JSON-RPC code -32700. */
  notJson: {
    /** What the parser met, and where. */
    problem: string;
  };
  /** The line is JSON, but no request of JSON-RPC 2.0. JSON-RPC code -32600. */
  notARequest: {
    /** What is missing or wrong. */
    problem: string;
  };
  /** The line is longer than is read; it was skipped. JSON-RPC code -32600. */
  lineTooLong: {
    /** Longest line, in bytes. */
    max: number;
  };
  /** There is no such method here. JSON-RPC code -32601. */
  unknownMethod: Record<string, never>;
  /** The parameters are not those of the method. JSON-RPC code -32602. */
  badParams: {
    /** What is missing or wrong. */
    problem: string;
  };
  /** The result does not fit into one line. Ask for less. */
  answerTooLong: {
    /** Bytes of the answer. */
    got: number;
    /** Longest line, in bytes. */
    max: number;
  };
  /** The command line is wrong; usage is on stderr. Exit code 64. */
  usage: {
    /** What is wrong with it. */
    problem: string;
  };
  /** Another program listens there. */
  portInUse: {
    /** The port, TCP or UDP. */
    port: number;
  };
  /** That address is not ours, or may not be listened on. */
  addressRefused: {
    /** The address. */
    address: string;
  };
  /** Another process works with this data directory. */
  dataInUse: {
    /** The directory. */
    directory: string;
  };
  /** A file of ours does not hold what we wrote. Exit code 3. */
  damagedData: {
    /** The file. */
    file: string;
  };
  /** A file of ours was written by a newer version. */
  dataTooNew: {
    /** The file. */
    file: string;
  };
  /** A file or directory cannot be read or written. */
  fileRefused: {
    /** The file or directory. */
    file: string;
    /** What the system says. */
    problem: string;
  };
  /** No space is left; nothing was promised. */
  diskFull: Record<string, never>;
  /** The authority does not enrol this super-peer. */
  notEnrolled: {
    /** Where it was to serve. */
    address: string;
    /** Why. */
    reason: EnrolmentRefusal;
  };
  /** The text is no invite. */
  badInvite: {
    /** Whether to copy it again or to update the program. */
    problem: InviteProblem;
  };
  /** No network was joined yet. */
  noNetwork: Record<string, never>;
  /** This node belongs to another network already. */
  otherNetwork: Record<string, never>;
  /** This peer founded the network: it serves it always. */
  foundedHere: Record<string, never>;
  /** A super-peer that does neither job; not to serve is a mode. */
  noJob: Record<string, never>;
  /** A cap is too low to serve with, or none any more. */
  capOutOfRange: {
    /** Which. */
    cap: Cap;
    /** The least it may be. */
    least: number;
    /** The most. */
    most: number;
  };
  /** Whoever answers there belongs to another network, or is not who the invite names. */
  wrongNetwork: Record<string, never>;
  /** No super-peer can be reached. */
  notConnected: {
    /** Since when. */
    since?: number;
  };
  /** The login authority cannot be reached, not through a super-peer either. */
  authorityUnreachable: {
    /** Since when. */
    since?: number;
  };
  /** The other side broke the protocol. */
  brokenProtocol: Record<string, never>;
  /** The clock of this computer is too far off for certificates to be judged. */
  clockWrong: {
    /** How far; negative when our clock is behind. */
    offByMs: number;
  };
  /** The text can be no user name. */
  badName: {
    /** Characters counted. */
    got?: number;
    /** The rule that it breaks. */
    rule: NameRule;
  };
  /** The password is shorter than is taken. */
  passwordTooShort: {
    /** Shortest password, in characters. */
    min: number;
  };
  /** Somebody has that name. */
  nameTaken: Record<string, never>;
  /** The name looks like one that somebody has (UTS #39). */
  nameLooksAlike: Record<string, never>;
  /** Name and password do not belong together, or nobody has that name. */
  wrongNameOrPassword: Record<string, never>;
  /** The network admits by token, and that of the invite is missing, spent or expired. */
  notAdmitted: Record<string, never>;
  /** Too many attempts; `retryAfterMs` says when the next one counts. */
  tooManyAttempts: Record<string, never>;
  /**
   * The authority does not take this device (a device list that does not follow the current one).
   */
  deviceRefused: Record<string, never>;
  /** Our certificate is expired, revoked or of another network. */
  certificateRefused: Record<string, never>;
  /** The authority could not keep it; nothing was promised. */
  authorityFailed: Record<string, never>;
  /** Nobody is logged in here. */
  notLoggedIn: Record<string, never>;
  /** Somebody is logged in here, or is about to be. */
  alreadyLoggedIn: Record<string, never>;
  /** That is oneself. */
  yourself: Record<string, never>;
  /** Nobody has that name. */
  noSuchUser: Record<string, never>;
  /** Only buddies can be asked that. */
  notBuddy: Record<string, never>;
  /** They are a buddy already. */
  alreadyBuddy: Record<string, never>;
  /** They did not ask to be a buddy. */
  noSuchRequest: Record<string, never>;
  /** We blocked them. */
  blocked: Record<string, never>;
  /** Not one word. */
  textEmpty: {
    /** Which parameter. */
    field: string;
  };
  /** More than is carried. */
  textTooLong: {
    /** Which parameter. */
    field: string;
    /** Bytes of UTF-8 given. */
    got: number;
    /** Bytes of UTF-8 taken. */
    max: number;
  };
  /** No message has that id. */
  noSuchMessage: Record<string, never>;
  /** A limit of ours is reached. */
  tooMany: {
    /** The limit. */
    max: number;
    /** Of what. */
    what: Limited;
  };
  /** No call has that id (any more). */
  noSuchCall: Record<string, never>;
  /** That cannot be done with the call as it is. */
  wrongCallState: {
    /** How it is. */
    state: CallState;
  };
  /** A call goes on already. */
  inACall: {
    /** Which. */
    callId: string;
  };
  /** The text names no microphone, speaker or ringer. */
  badDevice: {
    /** Which parameter. */
    field: string;
  };
  /** Something is wrong with a sound device or file. */
  audio: {
    /** The device or file. */
    device?: string;
    /** What. */
    fault: AudioFault;
    /** What the system says. */
    problem?: string;
  };
  /** The node is leaving; the question was not answered. */
  leaving: Record<string, never>;
  /** A mistake of ours; the log says more. */
  internal: {
    /** Where. */
    what: string;
  };
}

export type Method = keyof Methods;

/** Something changed: an event with its number and the time when it was told. */
export type BackendEvent = {
  [T in keyof Events]: { type: T; seq: number; at: number } & Events[T];
}[keyof Events];

export type ErrorCode = keyof Facts;

/** Why a question was not granted. */
export type Failure = {
  [C in ErrorCode]: {
    code: C;
    facts: Facts[C];
    /** Not before this many milliseconds from now. */
    retryAfterMs?: number;
  };
}[ErrorCode];
