// Links of ours: what a clicked or pasted one asks for. A link only ever fills a form. Pure.

export type Link = { kind: "join"; invite: string } | { kind: "call" | "chat" | "add"; user: string };

/** The whole of a pasted text that looks like a link of ours. */
const FOUND = /earshot:\S+/i;

export function readLink(text: string): Link | undefined {
  const link = FOUND.exec(text)?.[0];
  if (!link) return undefined;
  const [verb, name] = link.slice("earshot:".length).replace(/^\/\//, "").split("/", 2);
  if ((verb === "call" || verb === "chat" || verb === "add") && name) {
    try {
      return { kind: verb, user: decodeURIComponent(name) };
    } catch {
      return undefined;
    }
  }
  if (verb === "join" && name) return { kind: "join", invite: `earshot:${name}` };
  return { kind: "join", invite: link };
}
