// What is on the desk: the live world, where one is, what was typed and not yet sent, and what to say.
import { getContext, setContext, untrack } from "svelte";
import type { Failure, Method } from "../backend/generated";
import { failureOf, type Frame, type Opened, type Params, type Result } from "../backend/interface";
import type { Live } from "../backend/live.svelte";
import { type Link, readLink } from "../state/links";
import { type Memory, readMemory, writeMemory } from "../state/memory";
import { HOME, type ListTab, type Place, samePlace } from "../state/place";

const DESK = Symbol("desk");
/** Below this width there is one column: the list or what was chosen in it. */
const COMPACT = 720;
const TOAST_MS = 3500;

const remembered = <T>(key: string, otherwise: T): T => {
  try {
    return (JSON.parse(localStorage.getItem(key) ?? "null") as T | null) ?? otherwise;
  } catch {
    return otherwise;
  }
};

export class Desk {
  readonly live: Live;
  place = $state.raw<Place>(HOME);
  tab = $state<ListTab>("contacts");
  query = $state("");
  /** The search that runs or ran in the network, and for whom. */
  search = $state.raw<{ id: string; name: string }>();
  link = $state.raw<Link>();
  sheet = $state(false);
  width = $state(window.innerWidth);
  listWidth = $state(remembered("listWidth", 344));
  singleKeys = $state(remembered("singleKeys", true));
  toasts = $state.raw<{ id: number; what: string | Failure }[]>([]);
  /** The recovery key, from signing up until it was kept. */
  recovery = $state.raw<{ key: string; user: string }>();
  /** The invite of a network that was just started, until one goes on. */
  started = $state.raw<Result<"network.start">>();
  /** The call whose end was told, and the one whose card was put away. */
  toldEnd = $state<string>();
  putAway = $state<string>();
  /** What was found damaged, and was put away after it was read. */
  putAwayDamage = $state(false);
  /** Kept in memory only: the history on disk is encrypted, a browser's storage is not. */
  #drafts = $state.raw<Readonly<Record<string, string>>>({});
  #user = $state<string>();
  /** What the window before kept, until it is known who is in. */
  #kept: Memory | undefined;
  #toastCount = 0;

  readonly compact = $derived(this.width < COMPACT);

  constructor(live: Live) {
    this.live = live;
  }

  /** Watches the window's width and the links that are opened; answers how to stop. */
  attend(frame: Frame): () => void {
    const measure = () => (this.width = window.innerWidth);
    window.addEventListener("resize", measure);
    const stop = frame.onLink((link) => this.open(link));
    const take = ({ link, kept }: Opened) => {
      if (link !== undefined) this.open(link);
      this.#kept = readMemory(kept);
      this.#restore();
    };
    // A frame that cannot say brings no link; the window is there all the same.
    frame.ready().then(take, () => {});
    return () => {
      window.removeEventListener("resize", measure);
      stop();
    };
  }

  go(place: Place): void {
    if (!samePlace(place, this.place)) this.place = place;
  }

  /** A link that was clicked elsewhere: it fills a form and does nothing by itself. */
  open(text: string): void {
    const link = readLink(text);
    if (!link) return;
    this.link = link;
    if (link.kind === "call" || link.kind === "chat") this.go({ kind: "conversation", with: link.user });
    if (link.kind === "add") this.query = link.user;
  }

  /** Says in passing what was done, or why it was not. */
  say(what: string | Failure): void {
    const id = ++this.#toastCount;
    this.toasts = [...this.toasts, { id, what }];
    setTimeout(() => (this.toasts = this.toasts.filter((t) => t.id !== id)), TOAST_MS);
  }

  /** Asks the node; a failure is said in words, and answered with nothing. */
  async ask<M extends Method>(method: M, params: Params<M>): Promise<Result<M> | undefined> {
    try {
      return await this.live.call(method, params);
    } catch (thrown) {
      this.say(failureOf(thrown));
      return undefined;
    }
  }

  /** Says who is in, or nobody. What one left open and unsent is for nobody else. */
  belongTo(user: string | undefined): void {
    if (user === this.#user) return;
    if (this.#user !== undefined) {
      this.#drafts = {};
      this.query = "";
      this.search = undefined;
      this.sheet = false;
      this.putAwayDamage = false;
      this.go(HOME);
    }
    this.#user = user;
    this.#restore();
  }

  /** For the next window; follows what is read here. */
  memory(): string {
    const { place, tab } = this;
    const drafts = this.#drafts;
    return this.#user === undefined ? "" : writeMemory({ user: this.#user, place, tab, drafts });
  }

  /** Puts things back to where the window before had them. Where a link leads comes first. */
  #restore(): void {
    const kept = this.#kept;
    if (kept === undefined || kept.user !== this.#user) return;
    this.#kept = undefined;
    this.#drafts = { ...kept.drafts, ...this.#drafts };
    this.tab = kept.tab;
    if (this.link === undefined) this.go(kept.place);
  }

  draft(user: string): string {
    return this.#drafts[user] ?? "";
  }

  keepDraft(user: string, text: string): void {
    const { [user]: before = "", ...others } = untrack(() => this.#drafts);
    if (text === before) return;
    this.#drafts = text === "" ? others : { ...others, [user]: text };
  }

  setListWidth(width: number): void {
    this.listWidth = width;
    localStorage.setItem("listWidth", JSON.stringify(width));
  }

  setSingleKeys(on: boolean): void {
    this.singleKeys = on;
    localStorage.setItem("singleKeys", JSON.stringify(on));
  }
}

export const putDesk = (desk: Desk): Desk => setContext(DESK, desk);
export const useDesk = (): Desk => getContext(DESK);

/** The world, where there surely is one: below the view that waits for it. */
export function useWorld() {
  const desk = useDesk();
  return {
    get now() {
      const { world } = desk.live;
      if (!world) throw new Error("no view below Main is shown before there is a world: see App.svelte");
      return world;
    },
  };
}
