// Messages as rows of the screen: days between them, a line where the unread begin, and groups of one
// writer within three minutes. Pure.
import type { Message } from "../backend/generated";

export type Row =
  | { kind: "day"; id: string; at: number }
  | { kind: "unread"; id: string }
  | {
      kind: "message";
      id: string;
      message: Message;
      first: boolean;
      last: boolean;
      /** Whether its delivery is told: where it is another than that of the next. */
      tells: boolean;
    };

/** Our choice: about as long as one thought takes. */
const GROUP_MS = 3 * 60_000;

/** Tells the local day of moments that come mostly in order: a calendar is asked once a day, not once a message. */
function days(): (at: number) => number {
  let [start, end] = [0, 0];
  return (at) => {
    if (at < start || at >= end) {
      const day = new Date(at);
      start = day.setHours(0, 0, 0, 0);
      end = day.setDate(day.getDate() + 1);
    }
    return start;
  };
}

/** `unreadFrom` is the message above which the unread line is drawn. */
export function rows(messages: readonly Message[], unreadFrom?: string): Row[] {
  const out: Row[] = [];
  const dayOf = days();
  const together = (a: Message, b: Message) =>
    a.direction === b.direction && b.writtenAt - a.writtenAt < GROUP_MS && dayOf(a.writtenAt) === dayOf(b.writtenAt);
  messages.forEach((message, i) => {
    const before = messages[i - 1];
    const after = messages[i + 1];
    if (!before || dayOf(before.writtenAt) !== dayOf(message.writtenAt)) {
      out.push({ kind: "day", id: `day-${message.id}`, at: message.writtenAt });
    }
    if (message.id === unreadFrom) out.push({ kind: "unread", id: "unread" });
    const first = !before || message.id === unreadFrom || !together(before, message);
    const last = !after || after.id === unreadFrom || !together(message, after);
    const tells = last || after.state !== message.state;
    out.push({ kind: "message", id: message.id, message, first, last, tells });
  });
  return out;
}

/** The oldest of the newest `unread` messages of theirs. */
export function firstUnread(messages: readonly Message[], unread: number): string | undefined {
  if (unread <= 0) return undefined;
  const theirs = messages.filter((m) => m.direction === "in");
  return theirs[Math.max(0, theirs.length - unread)]?.id;
}
