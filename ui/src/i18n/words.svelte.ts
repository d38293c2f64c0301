// Every word of the window: `t("key", values)` in the language that is chosen now.
import { IntlMessageFormat } from "intl-messageformat";
import en from "./en.json";
import fi from "./fi.json";

export type Key = keyof typeof en;
export type Language = "en" | "fi";
export type Values = Readonly<Record<string, string | number>>;

const CATALOGUES: Record<Language, Record<Key, string>> = { en, fi };

let language = $state<Language>("en");
/** Pseudo-words for tests: longer, accented, in brackets, so that what is not in a catalogue shows. */
let pseudo = $state(false);
const formats = new Map<string, IntlMessageFormat>();

export const languageNow = (): Language => language;

/** The language of a choice; the system's is the first of the browser's that there is. */
export function chooseLanguage(choice: Language | "system", preferred: readonly string[] = navigator.languages): void {
  const known = preferred.map((tag) => tag.slice(0, 2)).find((tag): tag is Language => tag in CATALOGUES);
  language = choice === "system" ? (known ?? "en") : choice;
}

export function pretend(on: boolean): void {
  pseudo = on;
}

/** Text that turns the line around, or might, keeps to itself within a sentence. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;
const [ISOLATE, POP] = [0x2068, 0x2069].map((c) => String.fromCodePoint(c));
const isolated = (value: string | number) =>
  typeof value === "string" && TURNS.test(value) ? `${ISOLATE}${value}${POP}` : value;

const ACCENTED: Record<string, string> = { a: "á", e: "ë", i: "ï", o: "ö", u: "ü", n: "ñ", c: "ç", s: "š" };
const pseudoOf = (text: string) => `⟦${text.replace(/[aeiouncs]/g, (c) => ACCENTED[c] ?? c)}·····⟧`;

export function t(key: Key, values: Values = {}): string {
  const id = `${language} ${key}`;
  let format = formats.get(id);
  if (!format) {
    format = new IntlMessageFormat(CATALOGUES[language][key], language, undefined, { ignoreTag: true });
    formats.set(id, format);
  }
  const text = String(format.format(Object.fromEntries(Object.entries(values).map(([k, v]) => [k, isolated(v)]))));
  return pseudo ? pseudoOf(text) : text;
}
