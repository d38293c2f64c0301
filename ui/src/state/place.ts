// Where one is in the window. Pure.

export type SettingsPage = "profile" | "sound" | "appearance" | "notifications" | "network";
export type ListTab = "contacts" | "recents" | "calls";

export type Place =
  | { kind: "home" }
  | { kind: "conversation"; with: string }
  | { kind: "found"; user: string }
  | { kind: "call" }
  | { kind: "settings"; page: SettingsPage }
  | { kind: "network" };

export const HOME: Place = { kind: "home" };

export const samePlace = (a: Place, b: Place): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The neighbour of the open conversation in a list; at an end it stays. */
export function neighbour(list: readonly string[], current: string | undefined, step: 1 | -1): string | undefined {
  if (list.length === 0) return undefined;
  const at = current === undefined ? -1 : list.indexOf(current);
  if (at < 0) return list[step === 1 ? 0 : list.length - 1];
  return list[Math.min(list.length - 1, Math.max(0, at + step))];
}
