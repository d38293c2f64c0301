// Who is who: names to show, and the order of lists. Pure.
import type { Buddy, Conversation, Presence } from "../backend/generated";
import { plainName } from "./plain";

/** The name to show: what they call themselves, else the user name. */
export const nameOf = (buddy: Buddy | undefined, user: string): string =>
  plainName(buddy?.displayName ?? "") || plainName(user) || user;

const RANK: Record<Presence, number> = { online: 0, away: 0, doNotDisturb: 0, offline: 1 };
const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });

const byName = (a: Buddy, b: Buddy) =>
  collator.compare(nameOf(a, a.user), nameOf(b, b.user)) || (a.user < b.user ? -1 : 1);

export const folded = (text: string): string =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

const matches = (buddy: Buddy, query: string) =>
  query === "" || folded(nameOf(buddy, buddy.user)).includes(query) || folded(buddy.user).includes(query);

/** Those on one's list: who is there first, each group by name; filtered by what was typed. */
export function contacts(buddies: Readonly<Record<string, Buddy>>, typed = ""): Buddy[] {
  const query = folded(typed.trim());
  return Object.values(buddies)
    .filter((b) => (b.relation === "buddy" || b.relation === "asked" || b.relation === "declined") && matches(b, query))
    .sort((a, b) => RANK[a.presence] - RANK[b.presence] || byName(a, b));
}

/** Those who ask, the latest first. */
export const requests = (buddies: Readonly<Record<string, Buddy>>): Buddy[] =>
  Object.values(buddies)
    .filter((b) => b.relation === "asksUs")
    .sort((a, b) => b.since - a.since || byName(a, b));

export const blocked = (buddies: Readonly<Record<string, Buddy>>): Buddy[] =>
  Object.values(buddies)
    .filter((b) => b.relation === "blocked")
    .sort(byName);

/** Conversations, the latest first; filtered by what was typed. */
export function recents(
  conversations: Readonly<Record<string, Conversation>>,
  buddies: Readonly<Record<string, Buddy>>,
  typed = "",
): Conversation[] {
  const query = folded(typed.trim());
  const hit = (c: Conversation) =>
    query === "" || folded(nameOf(buddies[c.with], c.with)).includes(query) || folded(c.with).includes(query);
  return Object.values(conversations)
    .filter((c) => hit(c) && buddies[c.with]?.relation !== "blocked")
    .sort((a, b) => b.lastAt - a.lastAt || (a.with < b.with ? -1 : 1));
}

export const unreadTotal = (conversations: Readonly<Record<string, Conversation>>): number =>
  Object.values(conversations).reduce((sum, c) => sum + c.unread, 0);
