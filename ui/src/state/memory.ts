// What the next window is told of this one: where one was, and what was typed and not yet sent. Pure.
import { bytesOf } from "./plain";
import type { ListTab, Place } from "./place";

export interface Memory {
  /** Whose it is: nobody else sees it. */
  user: string;
  place: Place;
  tab: ListTab;
  /** By whom they are for, the latest last. */
  drafts: Readonly<Record<string, string>>;
}

/** Bytes that the frame keeps (src-tauri, `KEPT_MAX`), with room for the rest of a memory. */
export const DRAFTS_MAX = 240 * 1024;

/** As a text for the frame. Where drafts are too many, the latest are kept. */
export function writeMemory(memory: Memory): string {
  let room = DRAFTS_MAX;
  const latest = Object.entries(memory.drafts).toReversed();
  const fitting = latest.filter(([user, text]) => {
    const size = bytesOf(JSON.stringify([user, text]));
    if (size > room) return false;
    room -= size;
    return true;
  });
  return JSON.stringify({ ...memory, drafts: Object.fromEntries(fitting.toReversed()) });
}

/** The memory in a text that the frame kept; nothing for one of another version. */
export function readMemory(text: string | undefined): Memory | undefined {
  try {
    const memory = JSON.parse(text ?? "null") as Partial<Memory> | null;
    const { user, place, tab, drafts } = memory ?? {};
    return user && place && tab && drafts ? { user, place, tab, drafts } : undefined;
  } catch {
    return undefined;
  }
}
