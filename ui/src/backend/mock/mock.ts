// A node made of nothing: the whole API over a small scripted world, so that the window runs in a plain
// browser and in tests. Deterministic: time comes from a clock, and nothing is drawn.
import type { BackendEvent, Devices, Failure, Message, Method, Session, Settings, Snapshot } from "../generated";
import { type Backend, type Params, Refused, type Result } from "../interface";
import { type Clock, realClock } from "./clock";
import { endOf, MockPhone } from "./calls";
import { History } from "./history";
import { buddyOf, type Person, STRANGERS } from "./people";
import { HOME_NETWORK, INVITE, type Scenario, standing } from "./scenarios";
import { MockServing } from "./serving";

type Unnumbered = BackendEvent extends infer E ? (E extends BackendEvent ? Omit<E, "seq" | "at"> : never) : never;
type Handlers = { [M in Method]: (params: Params<M>) => Result<M> };

const refuse = (failure: Failure): never => {
  throw new Refused(failure);
};

const beginsWordOf = ({ user, displayName }: Person, typed: string) =>
  `${displayName ?? ""} ${user}`.toLowerCase().split(/[\s-]+/).some((word) => word.startsWith(typed));

const DEVICES = {
  microphones: [
    { id: "default", name: "Built-in Audio Analog Stereo", isDefault: true },
    { id: "usb", name: "Jabra Evolve2 40 Mono", isDefault: false },
  ],
  speakers: [
    { id: "default", name: "Built-in Audio Analog Stereo", isDefault: true },
    { id: "usb", name: "Jabra Evolve2 40 Stereo", isDefault: false },
    { id: "hdmi", name: "LG UltraFine Digital Stereo (HDMI 2)", isDefault: false },
  ],
};

export class MockBackend implements Backend {
  readonly phone: MockPhone;
  readonly serving = new MockServing();
  readonly asked: { method: Method; params: unknown }[] = [];
  #seq = 0;
  #listeners = new Set<(event: BackendEvent) => void>();
  #scenario: Scenario;
  #clock: Clock;
  #network;
  #session: Session = { state: "loggedOut" };
  #buddies;
  #history: History;
  #searches = 0;
  #testing: (() => void) | undefined;
  #chosen = { microphone: "device:default", speaker: "device:default", ringer: "device:default" };
  #settings: Required<Settings> = {
    appearance: "system",
    language: "system",
    notifyMessages: true,
    notifyCalls: true,
    notifyRequests: true,
    showPreview: true,
    sounds: true,
    ringVolume: 80,
    closeToTray: true,
  };

  constructor(scenario: Scenario, clock: Clock = realClock) {
    this.#scenario = scenario;
    this.#clock = clock;
    const now = clock.now();
    this.#network = standing(scenario, now);
    this.#buddies = new Map(scenario.people.map((p, i) => [p.user, buddyOf(p, now - i * 3_600_000)]));
    this.#history = new History(scenario.people, now, scenario.longThread);
    this.phone = new MockPhone(clock, scenario, (e) => this.tell(e), (user) => this.#isThere(user));
    if (scenario.stage === "online" || scenario.stage === "offline") this.#logIn("aino-maija", "Aino-Maija");
    if (scenario.pastCalls && scenario.people.length > 0) this.phone.past = this.#history.pastCalls(scenario.people, now);
    this.phone.begin(scenario.people[0]?.user ?? "anna");
  }

  subscribe(listener: (event: BackendEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    this.asked.push({ method, params });
    if (this.#scenario.silent.includes(method)) return new Promise(() => {});
    const refused = this.#scenario.refused[method];
    if (refused) refuse(refused);
    const handle: (params: Params<M>) => Result<M> = this.#handlers[method];
    return structuredClone(handle(params));
  }

  /** Tells everybody who listens, after the answer to the question that caused it. */
  tell(event: Unnumbered): void {
    const numbered = { seq: ++this.#seq, at: this.#clock.now(), ...structuredClone(event) } as BackendEvent;
    queueMicrotask(() => queueMicrotask(() => this.#listeners.forEach((listen) => listen(numbered))));
  }

  /** From now on a method is refused. */
  refuse(method: Method, failure: Failure): void {
    this.#scenario = { ...this.#scenario, refused: { ...this.#scenario.refused, [method]: failure } };
  }

  /** A buddy writes. */
  receive(from: string, text: string): void {
    this.tell({ type: "messageChanged", message: this.#history.add(from, "in", text, this.#clock.now()) });
  }

  snapshot(): Snapshot {
    return {
      seq: this.#seq,
      at: this.#clock.now(),
      network: this.#network,
      session: this.#session,
      buddies: [...this.#buddies.values()],
      conversations: this.#history.conversations(),
      calls: [...this.phone.calls.values()],
      audio: this.#chosen,
      settings: this.#settings,
      ...(this.#scenario.damaged && { settingsSetAside: this.#scenario.damaged.settings }),
    };
  }

  #isThere(user: string): boolean {
    return (this.#buddies.get(user)?.presence ?? "offline") !== "offline";
  }

  #logIn(user: string, displayName?: string): void {
    this.#session = {
      state: this.#scenario.stage === "offline" ? "offline" : "online",
      user,
      ...(this.#scenario.damaged && { buddyList: this.#scenario.damaged.buddyList }),
      displayName,
      presence: "online",
      mood: "",
      listed: "off",
      deviceId: "7gAAAAAAAAAAAAAAAAAAAQ",
      certificateUntil: this.#clock.now() + this.#scenario.certificateDays * 86_400_000,
    };
  }

  #devices(): Devices {
    const none = this.#scenario.devices === "none";
    return { microphones: none ? [] : DEVICES.microphones, speakers: DEVICES.speakers, chosen: this.#chosen };
  }

  #relate(user: string, change: Partial<ReturnType<typeof buddyOf>>): Record<string, never> {
    const stranger = STRANGERS.find((s) => s.user === user) ?? ({ user, presence: "offline" } as Person);
    const buddy = this.#buddies.get(user) ?? buddyOf(stranger, 0);
    const next = { ...buddy, ...change, since: this.#clock.now() };
    this.#buddies.set(user, next);
    this.tell({ type: "buddyChanged", buddy: next });
    return {};
  }

  #join(): void {
    this.#network = standing({ ...this.#scenario, stage: "online" }, this.#clock.now());
    this.tell({ type: "networkChanged", ...this.#network });
  }

  #search(typed: string): { searchId: string } {
    const searchId = String(++this.#searches);
    const everybody = [...STRANGERS, ...this.#scenario.people];
    const person = everybody.find((p) => p.user === typed.toLowerCase());
    const words = typed.toLowerCase().split(/\s+/);
    const others = everybody.filter((p) => p.listed && p !== person && words.every((w) => beginsWordOf(p, w)));
    const round = (typed.length % 2) + 1;
    const found = { type: "searchResult" as const, searchId, round, askedNodes: round === 1 ? 4 : 12, fromCache: false };
    this.#clock.after(600, () => {
      if (person) {
        const { user, displayName, presence } = person;
        this.tell({ ...found, ms: 19.2 * round, user, displayName, online: presence !== "offline" });
      }
    });
    others.forEach(({ user, displayName }, i) => {
      const ms = 31.4 + i;
      this.#clock.after(650 + 50 * i, () => this.tell({ ...found, ms, user, displayName }));
    });
    this.#clock.after(700 + 50 * others.length, () => {
      const people = others.length + (person ? 1 : 0);
      this.tell({ type: "searchEnded", searchId, found: people > 0, people, reason: people > 0 ? "found" : "notFound" });
    });
    return { searchId };
  }

  #list({ listed, name, words }: Params<"profile.set">): Record<string, never> {
    if (name !== undefined) this.#session = { ...this.#session, listedName: name || undefined };
    if (words) this.#session = { ...this.#session, listedWords: words };
    const become = (state: Session["listed"]) => {
      this.#session = { ...this.#session, listed: state };
      this.tell({ type: "sessionChanged", session: this.#session });
    };
    become(listed ? "posting" : "leaving");
    this.#clock.after(400, () => become(listed ? "on" : "off"));
    return {};
  }

  #send({ to, text, clientId }: Params<"chat.send">): Result<"chat.send"> {
    const message = this.#history.add(to, "out", text, this.#clock.now(), clientId);
    const further = (state: Message["state"]) => {
      const next = this.#history.further(to, message.id, state);
      if (next) this.tell({ type: "messageChanged", message: next });
    };
    this.tell({ type: "messageChanged", message });
    const isNear = this.#network.nearby?.some((device) => device.user === to);
    if (this.#isThere(to) && (isNear || this.#session.state === "online")) {
      this.#clock.after(500, () => further("arrived"));
      this.#clock.after(1800, () => further("read"));
      this.#clock.after(3000, () => this.receive(to, "👍"));
    }
    return { messageId: message.id, state: "waiting" };
  }

  #test(what: Params<"audio.test">["what"]): Record<string, never> {
    this.#testing?.();
    this.#testing = undefined;
    if (what === "meter" || what === "loop") {
      let n = 0;
      const beat = () => {
        n += 1;
        this.tell({ type: "audioLevel", levelIn: -32 + 20 * Math.sin(n / 4), levelOut: what === "loop" ? -30 : -100 });
        this.#testing = this.#clock.after(50, beat);
      };
      this.#testing = this.#clock.after(50, beat);
    }
    return {};
  }

  #phone(id: string, act: () => void): Record<string, never> {
    if (!this.phone.calls.has(id)) refuse({ code: "noSuchCall", facts: {} });
    act();
    return {};
  }

  readonly #handlers: Handlers = {
    "state.get": () => this.snapshot(),
    "network.start": () => {
      this.#join();
      return { invite: INVITE, reach: "localNetwork" };
    },
    "network.join": ({ invite }) => {
      if (!invite.startsWith("earshot:")) refuse({ code: "badInvite", facts: { problem: "notAnInvite" } });
      this.#join();
      return { network: HOME_NETWORK };
    },
    "network.invite": () => ({ invite: INVITE, reach: "everywhere" }),
    "network.status": () => this.#network,
    register: ({ user, displayName }) => {
      this.#logIn(user, displayName);
      this.tell({ type: "sessionChanged", session: this.#session });
      return { user, certificateUntil: this.#session.certificateUntil!, recoveryKey: "7KQF-2M9X-WTBH-P4RD-63VA-NYEC-8SGJ-5ZLU" };
    },
    login: ({ user }) => {
      this.#logIn(user);
      this.tell({ type: "sessionChanged", session: this.#session });
      return { user, deviceId: this.#session.deviceId!, certificateUntil: this.#session.certificateUntil!, stretchMs: 181 };
    },
    logout: () => {
      this.#session = { state: "loggedOut" };
      this.tell({ type: "sessionChanged", session: this.#session });
      return {};
    },
    "presence.set": ({ presence, mood }) => {
      this.#session = { ...this.#session, presence, mood: mood ?? this.#session.mood };
      this.tell({ type: "sessionChanged", session: this.#session });
      return {};
    },
    "profile.set": (wish) => this.#list(wish),
    search: ({ user }) => this.#search(user),
    "buddies.list": () => ({ buddies: [...this.#buddies.values()] }),
    "buddies.request": ({ user, greeting }) => this.#relate(user, { relation: "asked", greeting }),
    "buddies.accept": ({ user }) => this.#relate(user, { relation: "buddy", presence: "online" }),
    "buddies.decline": ({ user }) => this.#relate(user, { relation: "stranger" }),
    "buddies.block": ({ user }) => this.#relate(user, { relation: "blocked", presence: "offline" }),
    "buddies.unblock": ({ user }) => this.#relate(user, { relation: "stranger" }),
    "chat.send": (params) => this.#send(params),
    "chat.history": ({ with: user, before, limit }) => this.#history.page(user, Math.min(limit, 500), before),
    "chat.mark_read": ({ with: user, upTo }) => {
      this.#history.markRead(user, upTo);
      return {};
    },
    "call.start": ({ to }) => {
      const going = [...this.phone.calls.keys()][0];
      if (going) refuse({ code: "inACall", facts: { callId: going } });
      return { callId: this.phone.start(to) };
    },
    "call.accept": ({ callId }) => this.#phone(callId, () => this.phone.accept(callId)),
    "call.decline": ({ callId }) => this.#phone(callId, () => this.phone.end(callId, { reason: "declined", by: "me", facts: {} })),
    "call.hang_up": ({ callId }) => this.#phone(callId, () => this.#hangUp(callId)),
    "call.hold": ({ callId }) => this.#phone(callId, () => this.phone.change(callId, { state: "held", heldBy: ["me"] })),
    "call.resume": ({ callId }) => this.#phone(callId, () => this.phone.change(callId, { state: "talking", heldBy: [] })),
    "call.mute": ({ callId }) => this.#phone(callId, () => this.phone.change(callId, { mutedHere: true })),
    "call.unmute": ({ callId }) => this.#phone(callId, () => this.phone.change(callId, { mutedHere: false })),
    "call.stats": ({ callId }) => this.phone.stats(callId),
    "call.paths": ({ callId }) => ({ paths: this.phone.paths(callId) }),
    "call.history": ({ before, limit }) => {
      const from = before === undefined ? 0 : this.phone.past.findIndex((c) => c.id === before) + 1;
      const calls = this.phone.past.slice(from, from + limit);
      return { calls, more: from + limit < this.phone.past.length };
    },
    "audio.devices": () => this.#devices(),
    "audio.set": (chosen) => (this.#chosen = { ...this.#chosen, ...chosen }),
    "audio.test": ({ what }) => this.#test(what),
    "super_peer.status": () => this.serving.state,
    "super_peer.set": (chosen) => this.serving.choose(chosen),
    "super_peer.test": () => this.serving.test(this.#clock.now()),
    "settings.get": () => this.#settings,
    "settings.set": (change) => {
      this.#settings = { ...this.#settings, ...change };
      this.tell({ type: "settingsChanged", settings: this.#settings });
      return this.#settings;
    },
  };

  #hangUp(callId: string): void {
    const call = this.phone.calls.get(callId);
    const talked = call?.state === "talking" || call?.state === "held";
    const facts = talked && call ? { talkedMs: this.#clock.now() - call.since } : {};
    this.phone.end(callId, talked ? { ...endOf("hungUp"), by: "me", facts } : { reason: "cancelled", by: "me", facts });
  }
}
