// Names, texts, links, keys and rows: the small pure things.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buddy, message, NOON } from "../testing/samples";
import { actionOf } from "./keys";
import { readLink } from "./links";
import { readMemory, writeMemory } from "./memory";
import { nameProblem, preparedName } from "./names";
import { contacts, nameOf, recents, requests } from "./people";
import { neighbour } from "./place";
import { LONG_TEXT, opening, plainLine, plainName } from "./plain";
import { firstUnread, rows } from "./rows";

describe("names of strangers", () => {
  test("letters that turn the line and letters that cannot be seen are left out", () => {
    expect(plainName("\u202eecila\u202c \u2067x\u2069")).toBe("ecila x");
    expect(plainName("\u200b\u2060\u3164")).toBe("");
  });

  test("a tower of marks is cut, Vietnamese and families of emoji are not", () => {
    expect(plainName(`Z${"\u0301".repeat(10_000)}`).length).toBeLessThan(10);
    expect(plainName("Nguyễn Thị Hằng")).toBe("Nguyễn Thị Hằng");
    expect(plainName("🦊 Fox 👩‍👩‍👧‍👦")).toBe("🦊 Fox 👩‍👩‍👧‍👦");
  });

  test("no text makes a name long, turning, or of several lines", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const name = plainName(text);
        expect([...name].length).toBeLessThanOrEqual(81);
        expect(name).not.toMatch(/[\u202a-\u202e\u2066-\u2069\n\r]/);
        expect(plainLine(text)).not.toMatch(/[\u202a-\u202e\n\r]/);
      }),
    );
  });

  test("who has no name for people is called by the user name", () => {
    expect(nameOf(buddy("anna", { displayName: "\u200b" }), "anna")).toBe("anna");
    expect(nameOf(undefined, "bob")).toBe("bob");
  });
});

describe("long messages", () => {
  test("64 kB and 900 lines are opened a little, a short text wholly", () => {
    expect(opening("a".repeat(65_536))).toMatchObject({ cut: true });
    expect(opening("a".repeat(65_536)).text).toHaveLength(LONG_TEXT);
    expect(opening("line\n".repeat(900)).text.split("\n")).toHaveLength(40);
    expect(opening("hello\nyou")).toEqual({ text: "hello\nyou", cut: false });
  });

  test("letters that override the direction are not obeyed, the others stay", () => {
    expect(opening("photo\u202egpj.exe \u2067x\u2069").text).toBe("photogpj.exe \u2067x\u2069");
  });

  test("no pair of surrogates is torn", () => {
    expect(opening(`a${"😀".repeat(2000)}`).text).not.toMatch(/[\ud800-\udbff]$/);
  });
});

describe("rows", () => {
  const at = (minutes: number, more = {}) => message(`m${minutes}`, { writtenAt: NOON + minutes * 60_000, ...more });

  test("one writer within three minutes is one group; another writer or a pause begins a new one", () => {
    const list = rows([at(0), at(2), at(6), at(7, { direction: "out" })]).filter((r) => r.kind === "message");
    expect(list.map((r) => [r.first, r.last])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ]);
  });

  test("each day has its heading, and the unread line breaks a group", () => {
    const list = rows([at(0), at(1), at(1440)], "m1");
    expect(list.map((r) => r.kind)).toEqual(["day", "message", "unread", "message", "day", "message"]);
  });

  test("the line stands above the oldest unread message of theirs", () => {
    const list = [at(0), at(1, { direction: "out" }), at(2), at(3)];
    expect(firstUnread(list, 2)).toBe("m2");
    expect(firstUnread(list, 99)).toBe("m0");
    expect(firstUnread(list, 0)).toBeUndefined();
  });

  test("every message is one row, in its order, whatever the times are", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5000, max: 5000 })), (times) => {
        const list = times.map((t, i) => message(`x${i}`, { writtenAt: NOON + t * 60_000 }));
        const shown = rows(list).flatMap((r) => (r.kind === "message" ? [r.id] : []));
        expect(shown).toEqual(list.map((m) => m.id));
      }),
    );
  });
});

describe("lists", () => {
  const people = {
    bob: buddy("bob", { presence: "online" }),
    anna: buddy("anna", { displayName: "Änna" }),
    eve: buddy("eve", { relation: "asksUs" }),
    mallory: buddy("mallory", { relation: "blocked" }),
  };

  test("who is there comes first; who asks or is blocked is not among the contacts", () => {
    expect(contacts(people).map((b) => b.user)).toEqual(["bob", "anna"]);
    expect(requests(people).map((b) => b.user)).toEqual(["eve"]);
  });

  test("typing without accents finds those with accents", () => {
    expect(contacts(people, "ann").map((b) => b.user)).toEqual(["anna"]);
  });

  test("recents are the latest first, without the blocked", () => {
    const talks = { bob: { with: "bob", lastAt: 2, unread: 0 }, mallory: { with: "mallory", lastAt: 9, unread: 0 }, anna: { with: "anna", lastAt: 5, unread: 0 } };
    expect(recents(talks, people).map((c) => c.with)).toEqual(["anna", "bob"]);
  });

  test("the neighbour stops at the ends", () => {
    expect(neighbour(["a", "b"], "b", 1)).toBe("b");
    expect(neighbour(["a", "b"], "b", -1)).toBe("a");
    expect(neighbour(["a", "b"], undefined, 1)).toBe("a");
    expect(neighbour([], undefined, 1)).toBeUndefined();
  });
});

describe("user names", () => {
  test.each([
    ["ab", "tooShort"],
    ["a".repeat(33), "tooLong"],
    ["anna virta", "forbidden"],
    ["a☎bc", "forbidden"],
    ["anna", undefined],
    ["Änna-Maija", undefined],
    ["ليلى", undefined],
  ])("%s breaks %s", (name, rule) => expect(nameProblem(name)).toBe(rule));

  test("capitals and wide letters are prepared as the node will", () => {
    expect(preparedName("ＡNNA")).toBe("anna");
  });
});

describe("links", () => {
  test.each([
    ["earshot:pABk", { kind: "join", invite: "earshot:pABk" }],
    ["join us: earshot:join/pABk now", { kind: "join", invite: "earshot:pABk" }],
    ["earshot:call/%C3%A4nna", { kind: "call", user: "änna" }],
    ["earshot:chat/%C3%A4b%2Fc", { kind: "chat", user: "äb/c" }],
    ["earshot://add/bob", { kind: "add", user: "bob" }],
    ["earshot:call/%E0%A4%A", undefined],
    ["https://example.org", undefined],
  ])("%s", (text, link) => expect(readLink(text)).toEqual(link));
});

describe("what the next window is told", () => {
  const memory = { user: "anna", place: { kind: "home" }, tab: "contacts" } as const;

  test("all of it comes back", () => {
    const whole = { ...memory, drafts: { bob: "ä\n\u0000", cecile: "x" } };
    expect(readMemory(writeMemory(whole))).toEqual(whole);
  });

  test("of more drafts than are kept the latest are", () => {
    const long = "\u0001".repeat(20_000);
    const drafts = { a: long, b: long, c: long, d: "short" };
    const text = writeMemory({ ...memory, drafts });
    expect(Object.keys(readMemory(text)?.drafts ?? {})).toEqual(["b", "c", "d"]);
    expect(text.length).toBeLessThan(256 * 1024);
  });

  test.each([undefined, "", "{", "null", "3", '{"user":"anna"}'])("%s is no memory", (text) =>
    expect(readMemory(text)).toBeUndefined(),
  );
});

describe("keys", () => {
  const press = (key: string, more = {}) => ({ key, ctrl: false, shift: false, alt: false, ...more });
  const calm = { typing: false, singleKeys: true };

  test.each([
    [press("C", { ctrl: true, shift: true }), "call"],
    [press("y", { ctrl: true }), "accept"],
    [press("D", { ctrl: true, shift: true }), "decline"],
    [press("d", { ctrl: true }), "hangUp"],
    [press("f", { ctrl: true }), "search"],
    [press("ArrowDown", { ctrl: true }), "next"],
    [press("F10"), "shortcuts"],
    [press("?", { shift: true }), "shortcuts"],
    [press("m"), "mute"],
    [press("x", { ctrl: true }), undefined],
    [press("y", { ctrl: true, alt: true }), undefined],
  ])("%o", (key, action) => expect(actionOf(key, calm)).toBe(action));

  test("single letters write while one types, and can be switched off", () => {
    expect(actionOf(press("m"), { typing: true, singleKeys: true })).toBeUndefined();
    expect(actionOf(press("m"), { typing: false, singleKeys: false })).toBeUndefined();
    expect(actionOf(press("F10"), { typing: true, singleKeys: false })).toBe("shortcuts");
  });
});
