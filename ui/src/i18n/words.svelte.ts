// Every word of the window: `t("key", values)` in the language that is chosen now.
import { IntlMessageFormat } from "intl-messageformat";
import en from "./en.json?messages";

export type Key = keyof typeof import("./en.json");
export type Language = "en" | "fi";
export type Values = Readonly<Record<string, string | number>>;

type Messages = typeof en;
/** English is there from the start; the others are read when they are chosen. */
const CATALOGUES: Record<Language, () => Promise<Messages>> = {
  en: async () => en,
  fi: async () => (await import("./fi.json?messages")).default,
};

let messages: Messages = en;
let wanted: Language = "en";
let language = $state<Language>("en");
/** Pseudo-words for tests: longer, accented, in brackets, so that what is not in a catalogue shows. */
let pseudo = $state(false);
const formats = new Map<string, IntlMessageFormat>();

export const languageNow = (): Language => language;

/** The language of a choice, from when its words are there; the system's is the first of the browser's that there is. */
export async function chooseLanguage(
  choice: Language | "system",
  preferred: readonly string[] = navigator.languages,
): Promise<void> {
  const known = preferred.map((tag) => tag.slice(0, 2)).find((tag): tag is Language => tag in CATALOGUES);
  const chosen = choice === "system" ? (known ?? "en") : choice;
  wanted = chosen;
  const read = await CATALOGUES[chosen]();
  // Another may have been chosen meanwhile.
  if (wanted !== chosen) return;
  messages = read;
  language = chosen;
}

export function pretend(on: boolean): void {
  pseudo = on;
}

/** Text that turns the line around, or might, keeps to itself within a sentence. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;
const [ISOLATE, POP] = [0x2068, 0x2069].map((c) => String.fromCodePoint(c));
export const isolated = <T extends string | number>(value: T): T | string =>
  typeof value === "string" && TURNS.test(value) ? `${ISOLATE}${value}${POP}` : value;

const ACCENTED: Record<string, string> = { a: "á", e: "ë", i: "ï", o: "ö", u: "ü", n: "ñ", c: "ç", s: "š" };
const pseudoOf = (text: string) => `⟦${text.replace(/[aeiouncs]/g, (c) => ACCENTED[c] ?? c)}·····⟧`;

function filled(key: Key, language: Language, values: Values): string {
  const message = messages[key] ?? key;
  if (typeof message === "string") return message;
  const id = `${language} ${key}`;
  let format = formats.get(id);
  if (!format) {
    format = new IntlMessageFormat(message, language);
    formats.set(id, format);
  }
  return String(format.format(Object.fromEntries(Object.entries(values).map(([k, v]) => [k, isolated(v)]))));
}

export function t(key: Key, values: Values = {}): string {
  const text = filled(key, language, values);
  return pseudo ? pseudoOf(text) : text;
}
