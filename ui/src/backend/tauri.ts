// The node behind Tauri's IPC: a method is a command with "_" for ".", events come as "event".
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import type { BackendEvent, Failure } from "./generated";
import { type Backend, type Frame, type Opened, Refused } from "./interface";

const isFailure = (thrown: unknown): thrown is Failure =>
  typeof thrown === "object" && thrown !== null && "code" in thrown && "facts" in thrown;

/** Listens until the answer comes back, also when it is told to stop before listening began. */
function follow<T>(name: string, listener: (payload: T) => void): () => void {
  let stopped = false;
  const listening = listen<T>(name, (event) => {
    if (!stopped) listener(event.payload);
  });
  return () => {
    stopped = true;
    void listening.then((unlisten) => unlisten());
  };
}

export const tauriBackend: Backend = {
  async call(method, params) {
    try {
      return await invoke(method.replaceAll(".", "_"), { ...params });
    } catch (thrown) {
      if (isFailure(thrown)) throw new Refused(thrown);
      throw thrown;
    }
  },
  subscribe: (listener) => follow<BackendEvent>("event", listener),
};

/** Resolves when what the page holds now has been painted: a frame later a frame is over. */
const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

/** The window's own frame: there is one. */
export function openFrame(): Frame {
  let opened: Promise<Opened> | undefined;
  const early: string[] = [];
  let hear: (link: string) => void = (link) => early.push(link);
  const open = async () => {
    follow<{ link: string }>("linkOpened", ({ link }) => hear(link));
    await painted();
    return invoke<Opened>("window_ready");
  };
  return {
    ready: () => (opened ??= open()),
    keep(text) {
      // A memory that is refused is none; nothing else hangs on it.
      invoke("window_keep", { text }).catch(() => {});
    },
    onLink(listener) {
      hear = listener;
      early.splice(0).forEach((link) => listener(link));
      return () => (hear = () => {});
    },
  };
}
