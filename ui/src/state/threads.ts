// The messages of a conversation as far as they were read, and its line in the list. Pure.
import type { Conversation, History, Message } from "../backend/generated";
import type { World } from "./world";

export interface Thread {
  /** In the order of the screen, oldest first. */
  messages: readonly Message[];
  /** Whether there are older ones. */
  more: boolean;
}

function placed(messages: readonly Message[], message: Message): readonly Message[] {
  const at = messages.findLastIndex((m) => m.id === message.id);
  return at < 0 ? [...messages, message] : messages.with(at, message);
}

function summed(before: Conversation | undefined, message: Message, known: Message | undefined): Conversation {
  const isLast = before?.last?.id === message.id;
  const isNew = !known && !isLast;
  const newer = message.writtenAt >= (before?.lastAt ?? 0);
  const came = isNew && message.direction === "in" && message.state !== "read";
  const readNow = known?.direction === "in" && known.state !== "read" && message.state === "read";
  return {
    with: message.with,
    lastAt: Math.max(before?.lastAt ?? 0, message.writtenAt),
    last: isLast || newer ? message : before?.last,
    unread: Math.max(0, (before?.unread ?? 0) + (came ? 1 : 0) - (readNow ? 1 : 0)),
  };
}

/** A message that came, or is further. */
export function messageInThread(world: World, message: Message): World {
  const thread = world.threads[message.with];
  const known = thread?.messages.findLast((m) => m.id === message.id);
  const conversation = summed(world.conversations[message.with], message, known);
  return {
    ...world,
    conversations: { ...world.conversations, [message.with]: conversation },
    threads: thread
      ? { ...world.threads, [message.with]: { ...thread, messages: placed(thread.messages, message) } }
      : world.threads,
  };
}

/** A page of history that was read: the newest, or what is older than `before`. */
export function pageRead(world: World, user: string, page: History, before?: string): World {
  const thread = world.threads[user];
  if (before !== undefined && thread?.messages[0]?.id !== before) return world;
  const known = new Set(page.messages.map((m) => m.id));
  const later = (thread?.messages ?? []).filter((m) => !known.has(m.id));
  const messages = before === undefined && thread ? placedAll(page.messages, later) : [...page.messages, ...later];
  return { ...world, threads: { ...world.threads, [user]: { messages, more: page.more } } };
}

const placedAll = (page: readonly Message[], later: readonly Message[]) => later.reduce(placed, page);

/** The buddy was told that all up to here was read. */
export function markedRead(world: World, user: string, upTo: string): World {
  const thread = world.threads[user];
  const conversation = world.conversations[user];
  if (!conversation) return world;
  const end = thread?.messages.findLastIndex((m) => m.id === upTo) ?? -1;
  const messages = thread?.messages.map(
    (m, i): Message => (i <= end && m.direction === "in" && m.state !== "read" ? { ...m, state: "read" } : m),
  );
  const left = thread?.messages.slice(end + 1).filter((m) => m.direction === "in" && m.state !== "read").length ?? 0;
  return {
    ...world,
    conversations: { ...world.conversations, [user]: { ...conversation, unread: left } },
    threads: thread && messages ? { ...world.threads, [user]: { ...thread, messages } } : world.threads,
  };
}
