// Every word is in both catalogues, every key is used, and no view writes a word of its own.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseMessage } from "@formatjs/icu-messageformat-parser";
import { parse } from "svelte/compiler";
import { afterEach, describe, expect, test } from "vitest";
import type { ErrorCode, Failure } from "../backend/generated";
import en from "./en.json";
import { failureText } from "./failures";
import fi from "./fi.json";
import { namesInWords } from "./lists";
import { ago, dayName, duration, shortMoment, span } from "./times";
import { chooseLanguage, type Key, pretend, t } from "./words.svelte";

const SRC = join(import.meta.dirname, "..");
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
  (f) => /\.(svelte|ts)$/.test(f) && !f.endsWith(".test.ts") && !f.startsWith("backend/mock"),
);
const sources = new Map(files.map((f) => [f, readFileSync(join(SRC, f), "utf8")]));
const keys = Object.keys(en) as Key[];

const holes = (text: string): string[] =>
  [...JSON.stringify(parseMessage(text)).matchAll(/"type":[1-6],"value":"(\w+)"/g)].map((m) => m[1] ?? "").sort();

/** Keys that a source asks for: whole ones, and patterns where a part is put in. */
const asked = [...sources.values()].flatMap((source) => [
  ...[...source.matchAll(/"([a-zA-Z]+(?:\.[a-zA-Z0-9]+)+)"/g)].map((m) => new RegExp(`^${m[1]?.replaceAll(".", "\\.")}$`)),
  ...[...source.matchAll(/t\(\s*`([^`]+)`/g)].map(
    (m) => new RegExp(`^${m[1]?.replaceAll(".", "\\.").replace(/\$\{[^}]+\}/g, "[a-zA-Z0-9]+")}$`),
  ),
]);

afterEach(async () => {
  await chooseLanguage("en");
  pretend(false);
});

describe("catalogues", () => {
  test("both languages have the same keys, and nothing is empty", () => {
    expect(Object.keys(fi)).toEqual(keys);
    expect([...Object.values(en), ...Object.values(fi)].filter((text) => text.trim() === "")).toEqual([]);
  });

  test.each(keys)("%s has the same holes in both languages", (key) => {
    expect([...new Set(holes(fi[key]))]).toEqual([...new Set(holes(en[key]))]);
  });

  test("every key is used", () => {
    expect(keys.filter((key) => !asked.some((pattern) => pattern.test(key)))).toEqual([]);
  });

  test("plurals follow the language", async () => {
    expect(t("list.unread", { count: 1 })).toBe("1 unread message");
    expect(t("list.unread", { count: 5 })).toBe("5 unread messages");
    await chooseLanguage("fi");
    expect(t("list.unread", { count: 1 })).toBe("1 lukematon viesti");
    expect(t("list.unread", { count: 5 })).toBe("5 lukematonta viestiä");
  });

  test("the system's first language that there is, is taken", async () => {
    await chooseLanguage("system", ["sv-FI", "fi-FI", "en"]);
    expect(t("action.cancel")).toBe("Peruuta");
    await chooseLanguage("system", ["de"]);
    expect(t("action.cancel")).toBe("Cancel");
  });
});

describe("what others wrote stays text", () => {
  test("markup and placeholders in values are not read", () => {
    expect(t("ring.title", { name: "<b>{name}</b>" })).toBe("<b>{name}</b> is calling");
  });

  test("a name that turns the line is kept to itself", () => {
    expect(t("ring.title", { name: "ليلى" })).toBe("\u2068ليلى\u2069 is calling");
  });
});

describe("views", () => {
  const SPOKEN = new Set(["aria-label", "title", "placeholder", "alt", "label", "text", "hint", "aria-valuetext", "aria-description"]);
  const views = files.filter((f) => f.endsWith(".svelte"));

  test.each(views)("%s writes no word of its own, and no style into an attribute", (file) => {
    const found: string[] = [];
    const walk = (node: unknown): void => {
      if (Array.isArray(node)) return node.forEach(walk);
      if (typeof node !== "object" || node === null) return;
      const n = node as Record<string, unknown>;
      if (n.type === "Text" && typeof n.data === "string" && /\p{L}{2}/u.test(n.data)) found.push(n.data);
      if (n.type === "Attribute") {
        const values = Array.isArray(n.value) ? n.value : [];
        const literal = values.some((v: { type?: string; data?: string }) => v.type === "Text" && /\p{L}/u.test(v.data ?? ""));
        if (literal && (SPOKEN.has(String(n.name)) || n.name === "style")) found.push(String(n.name));
        return;
      }
      for (const key of ["fragment", "nodes", "children", "consequent", "alternate", "body", "fallback", "pending", "then", "catch", "attributes"]) {
        walk(n[key]);
      }
    };
    walk(parse(sources.get(file) ?? "", { modern: true }).fragment);
    expect(found).toEqual([]);
  });
});

describe("failures", () => {
  // Facts for every code that has some; the others have none.
  const FACTS: Partial<Record<ErrorCode, object>> = {
    badInvite: { problem: "damaged" },
    badName: { rule: "tooShort" },
    tooMany: { what: "searches", max: 4 },
    notEnrolled: { reason: "notReached", address: "192.0.2.1:37373" },
    audio: { fault: "deviceBusy" },
    clockWrong: { offByMs: -7_200_000 },
    portInUse: { port: 37373 },
    usage: { problem: "?" },
    addressRefused: { address: "192.0.2.1" },
    dataInUse: { directory: "/d" },
    damagedData: { file: "f" },
    dataTooNew: { file: "f" },
    fileRefused: { file: "f", problem: "p" },
    passwordTooShort: { min: 8 },
    capOutOfRange: { cap: "gbPerMonth", least: 1, most: 100_000 },
    textTooLong: { field: "text", got: 70_000, max: 65_536 },
  };
  const codes = [...(sources.get("backend/generated.ts") ?? "").matchAll(/^ {2}(\w+): (?:Record<string, never>;|\{)$/gm)]
    .map((m) => m[1] as ErrorCode)
    .filter((code) => code !== ("type" as string));

  test.each(["en", "fi"] as const)("every code of the node has its words in %s", async (language) => {
    await chooseLanguage(language);
    const internal = failureText({ code: "internal", facts: { what: "" } });
    const declared = (sources.get("backend/generated.ts") ?? "").split("export interface Facts")[1] ?? "";
    const known = codes.filter((code) => new RegExp(`^  ${code}:`, "m").test(declared));
    expect(known.length).toBeGreaterThan(40);
    for (const code of known) {
      const text = failureText({ code, facts: FACTS[code] ?? {} } as Failure);
      expect(text, code).not.toMatch(/[{}]|undefined/);
      if (code !== "internal") expect(text, code).not.toBe(internal);
    }
  });

  test("a code that a newer node made up is a mistake of ours, in words", () => {
    expect(failureText({ code: "brandNew", facts: {} } as unknown as Failure)).toContain("mistake of ours");
  });

  test("waiting is told in time", () => {
    expect(failureText({ code: "tooManyAttempts", facts: {}, retryAfterMs: 120_000 })).toContain("in 2 minutes");
  });
});

test("in the pseudo-locale every word shows that it came from a catalogue", () => {
  pretend(true);
  expect(t("action.cancel")).toMatch(/^⟦.*·····⟧$/);
});

test("several names are joined as people do, three at most, and each is kept to itself", async () => {
  const people = ["Anna", "Ben", "ليلى", "Dora", "Eve"];
  const joined = (n: number) => namesInWords(people.slice(0, n));
  expect([1, 2].map(joined)).toEqual(["Anna", "Anna and Ben"]);
  expect([3, 5].map(joined)).toEqual(["Anna, Ben and \u2068ليلى\u2069", "Anna, Ben, \u2068ليلى\u2069 and 2 more"]);
  await chooseLanguage("fi");
  expect(joined(4)).toMatch(/ ja 1 muu$/);
  expect(joined(5)).toMatch(/ ja 2 muuta$/);
});

test("times are told as people write them", async () => {
  const now = new Date(2026, 10, 25, 14, 32).getTime();
  expect(dayName(now, now)).toBe("Today");
  expect(dayName(now - 86_400_000, now)).toBe("Yesterday");
  expect(dayName(now - 3 * 86_400_000, now)).toBe("Sunday 22 November");
  expect(shortMoment(now - 60_000, now)).toBe("14:31");
  expect(shortMoment(now - 40 * 86_400_000, now)).toBe("16/10/26");
  expect([duration(252_000), duration(3_852_000)]).toEqual(["4:12", "1:04:12"]);
  expect([span(45_000), span(600_000)]).toEqual(["45 seconds", "10 minutes"]);
  const [minute, hour] = [60_000, 3_600_000];
  expect([-5, minute - 1].map(ago)).toEqual(["just now", "just now"]);
  expect([minute, 89 * minute, 90 * minute].map(ago)).toEqual(["1 minute ago", "89 minutes ago", "2 hours ago"]);
  expect([35 * hour, 36 * hour].map(ago)).toEqual(["35 hours ago", "2 days ago"]);
  await chooseLanguage("fi");
  expect([0, 3 * minute].map(ago)).toEqual(["juuri äsken", "3 minuuttia sitten"]);
  expect(dayName(now - 3 * 86_400_000, now)).toBe("Sunnuntai 22. marraskuuta");
});
