// The world as it is now, for the views to read: it asks for snapshots, follows events, and reads pages
// of history. It changes nothing by itself but what the node told.
import { currentCall, ringingHere } from "../state/calls";
import { EMPTY, onEvent, onSnapshot, type Stream } from "../state/stream";
import { markedRead, pageRead } from "../state/threads";
import type { World } from "../state/world";
import type { Failure, Method } from "./generated";
import { type Backend, failureOf, type Params, type Result } from "./interface";

/** Messages read at once: about three screens. */
const PAGE = 60;

export class Live {
  #backend: Backend;
  #stream = $state.raw<Stream>(EMPTY);
  #asking = false;
  #reading = new Set<string>();
  /** Why there is no world yet. */
  failure = $state.raw<Failure>();
  /** Conversations whose history could not be read, and why. */
  unreadable = $state.raw<Readonly<Record<string, Failure>>>({});

  readonly #ringing = $derived(this.world && ringingHere(this.world));
  readonly #current = $derived(this.world && currentCall(this.world));

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get world(): World | undefined {
    return this.#stream.world;
  }

  get ringing() {
    return this.#ringing;
  }

  get current() {
    return this.#current;
  }

  /** Begins to follow the node; answers how to stop. */
  follow(): () => void {
    const stop = this.#backend.subscribe((event) => {
      this.#stream = onEvent(this.#stream, event);
      if (this.#stream.needsSnapshot) void this.#picture();
    });
    void this.#picture();
    return stop;
  }

  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.#backend.call(method, params);
  }

  /** Tries again after the first snapshot was refused. */
  retry(): void {
    this.failure = undefined;
    void this.#picture();
  }

  async #picture(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const snapshot = await this.#backend.call("state.get", {});
      this.#stream = onSnapshot(this.#stream, snapshot);
      this.failure = undefined;
    } catch (thrown) {
      this.failure = failureOf(thrown);
    } finally {
      this.#asking = false;
    }
    if (this.#stream.needsSnapshot && !this.failure) await this.#picture();
  }

  /** Reads the newest messages of a conversation, or those before the oldest that is here. */
  async readPage(user: string): Promise<void> {
    if (this.#reading.has(user)) return;
    this.#reading.add(user);
    const { [user]: _gone, ...others } = this.unreadable;
    this.unreadable = others;
    const before = this.world?.threads[user]?.messages[0]?.id;
    try {
      const page = await this.#backend.call("chat.history", { with: user, limit: PAGE, ...(before && { before }) });
      this.#change((world) => pageRead(world, user, page, before));
    } catch (thrown) {
      this.unreadable = { ...this.unreadable, [user]: failureOf(thrown) };
    } finally {
      this.#reading.delete(user);
    }
  }

  /** Tells a buddy that all was read; a mark that is refused is tried again with the next message. */
  async markRead(user: string, upTo: string): Promise<void> {
    try {
      await this.#backend.call("chat.mark_read", { with: user, upTo });
      this.#change((world) => markedRead(world, user, upTo));
    } catch {
      return;
    }
  }

  /** Lists the sound devices of this computer; from then on the node tells when one comes or goes. */
  async readDevices(): Promise<void> {
    const devices = await this.#backend.call("audio.devices", {});
    this.#change((world) => ({ ...world, devices, audio: devices.chosen }));
  }

  /** Chooses sound devices. No event tells of it, so the answer is what counts. */
  async chooseDevices(set: Params<"audio.set">): Promise<void> {
    const audio = await this.#backend.call("audio.set", set);
    this.#change((world) => ({ ...world, audio }));
  }

  #change(change: (world: World) => World): void {
    const { world } = this.#stream;
    if (world) this.#stream = { ...this.#stream, world: change(world) };
  }
}
