// Keys of the keyboard and what they do. Pure.

export type Action =
  | "call"
  | "accept"
  | "decline"
  | "hangUp"
  | "mute"
  | "search"
  | "previous"
  | "next"
  | "settings"
  | "shortcuts"
  | "back";

export interface Press {
  key: string;
  ctrl: boolean;
  shift: boolean;
  alt: boolean;
}

export interface Situation {
  /** Whether the key would write into a field. */
  typing: boolean;
  /** Whether single letters are taken as commands. */
  singleKeys: boolean;
}

/** What the sheet shows, in its order. */
export const SHEET: readonly { action: Action; keys: readonly string[] }[] = [
  { action: "call", keys: ["Ctrl", "Shift", "C"] },
  { action: "accept", keys: ["Ctrl", "Y"] },
  { action: "decline", keys: ["Ctrl", "Shift", "D"] },
  { action: "hangUp", keys: ["Ctrl", "D"] },
  { action: "mute", keys: ["M"] },
  { action: "search", keys: ["Ctrl", "F"] },
  { action: "previous", keys: ["Ctrl", "↑"] },
  { action: "next", keys: ["Ctrl", "↓"] },
  { action: "settings", keys: ["Ctrl", ","] },
  { action: "back", keys: ["Esc"] },
  { action: "shortcuts", keys: ["F10"] },
];

export function actionOf(press: Press, situation: Situation): Action | undefined {
  if (press.alt) return undefined;
  const key = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  if (press.ctrl && press.shift) return { c: "call" as const, d: "decline" as const }[key];
  if (press.ctrl) {
    return {
      y: "accept" as const,
      d: "hangUp" as const,
      f: "search" as const,
      ",": "settings" as const,
      ArrowUp: "previous" as const,
      ArrowDown: "next" as const,
    }[key];
  }
  if (key === "F10") return "shortcuts";
  if (key === "Escape") return "back";
  if (situation.typing || !situation.singleKeys) return undefined;
  if (key === "?") return "shortcuts";
  return key === "m" && !press.shift ? "mute" : undefined;
}
