// What was written and called in the mock's world.
import type { Conversation, Direction, History as Page, Message, MessageState, PastCall } from "../generated";
import type { Person } from "./people";

const WORDS = "the boat leaves at noon and grandpa brings coffee rye bread wet dog two oars a map of the lake and rain".split(" ");

/** Text of a long thread: the same for the same number. */
const filler = (n: number): string => {
  const length = 2 + ((n * 7919) % 23);
  return `${n + 1}. ${Array.from({ length }, (_, i) => WORDS[(n * 31 + i * 17) % WORDS.length]).join(" ")}`;
};

export class History {
  #threads = new Map<string, Message[]>();
  #count = 0;

  constructor(people: Person[], now: number, longThread: number) {
    people.forEach((person, i) => {
      const long = i === 0 ? longThread : 0;
      const start = now - 3 * 86_400_000 - long * 90_000;
      const thread = Array.from({ length: long }, (_, n) =>
        this.#message(person.user, n % 5 < 2 ? "out" : "in", filler(n), start + n * 90_000, "read"),
      );
      const lines = person.lines ?? [];
      lines.forEach(([minutes, direction, text], n) => {
        const unread = direction === "in" && n >= lines.length - (person.unread ?? 0);
        const state = unread || (direction === "out" && n === lines.length - 1) ? "arrived" : "read";
        thread.push(this.#message(person.user, direction, text, now - minutes * 60_000, state));
      });
      if (thread.length > 0) this.#threads.set(person.user, thread);
    });
  }

  #message(user: string, direction: Direction, text: string, writtenAt: number, state: MessageState): Message {
    return { id: `m${++this.#count}`, with: user, direction, text, writtenAt, state };
  }

  add(user: string, direction: Direction, text: string, at: number, clientId?: string): Message {
    const state = direction === "in" ? "arrived" : "waiting";
    const message = { ...this.#message(user, direction, text, at, state), clientId };
    this.#threads.set(user, [...(this.#threads.get(user) ?? []), message]);
    return message;
  }

  further(user: string, id: string, state: MessageState): Message | undefined {
    const message = this.#threads.get(user)?.find((m) => m.id === id);
    if (message) message.state = state;
    return message;
  }

  markRead(user: string, upTo: string): void {
    for (const message of this.#threads.get(user) ?? []) {
      if (message.direction === "in") message.state = "read";
      if (message.id === upTo) break;
    }
  }

  page(user: string, limit: number, before?: string): Page {
    const all = this.#threads.get(user) ?? [];
    const end = before === undefined ? all.length : all.findIndex((m) => m.id === before);
    const from = Math.max(0, end - limit);
    return { messages: all.slice(from, end), more: from > 0 };
  }

  conversations(): Conversation[] {
    return [...this.#threads].map(([user, thread]) => {
      const last = thread[thread.length - 1]!;
      const unread = thread.filter((m) => m.direction === "in" && m.state !== "read").length;
      return { with: user, lastAt: last.writtenAt, unread, last: { ...last, text: last.text.slice(0, 200) } };
    });
  }

  pastCalls(people: Person[], now: number): PastCall[] {
    const who = (i: number) => people[i % people.length]!.user;
    const hour = 3_600_000;
    return [
      { id: "p1", peer: who(0), direction: "in", startedAt: now - 2 * hour, reason: "cancelled", by: "them" },
      { id: "p2", peer: who(0), direction: "out", startedAt: now - 26 * hour, talkedMs: 1_452_000, reason: "hungUp", by: "me" },
      { id: "p3", peer: who(1), direction: "in", startedAt: now - 49 * hour, talkedMs: 63_000, reason: "hungUp", by: "them" },
      { id: "p4", peer: who(2), direction: "out", startedAt: now - 51 * hour, reason: "noAnswer", by: "network" },
      { id: "p5", peer: who(3), direction: "out", startedAt: now - 170 * hour, reason: "declined", by: "them" },
      { id: "p6", peer: who(4), direction: "in", startedAt: now - 300 * hour, talkedMs: 5_025_000, reason: "pathLost", by: "network" },
    ];
  }
}
