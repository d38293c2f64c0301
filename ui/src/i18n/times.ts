// Times and numbers as people of each language write them.
import { languageNow, t } from "./words.svelte";

/** English in the order and clock of Europe: the window's own language, not a country's. */
export const locale = () => (languageNow() === "fi" ? "fi" : "en-GB");

const cache = new Map<string, Intl.DateTimeFormat>();
function format(at: number, options: Intl.DateTimeFormatOptions): string {
  const key = locale() + JSON.stringify(options);
  let known = cache.get(key);
  if (!known) cache.set(key, (known = new Intl.DateTimeFormat(locale(), options)));
  return known.format(at);
}

export const clockTime = (at: number): string => format(at, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const dayNumber = (at: number) => {
  const day = new Date(at);
  return Math.round(Date.UTC(day.getFullYear(), day.getMonth(), day.getDate()) / 86_400_000);
};

const daysAgo = (at: number, now: number) => dayNumber(now) - dayNumber(at);
const capital = (text: string) => text.charAt(0).toLocaleUpperCase(locale()) + text.slice(1);

/** A day as a heading: today, yesterday, a weekday within the week, else the date. */
export function dayName(at: number, now = Date.now()): string {
  const ago = daysAgo(at, now);
  if (ago === 0) return t("chat.today");
  if (ago === 1) return t("chat.yesterday");
  if (ago > 1 && ago < 7) return capital(format(at, { weekday: "long", day: "numeric", month: "long" }));
  return format(at, { day: "numeric", month: "long", year: "numeric" });
}

/** A moment in a list: the time today, the weekday this week, else the date. */
export function shortMoment(at: number, now = Date.now()): string {
  const ago = daysAgo(at, now);
  if (ago <= 0) return clockTime(at);
  if (ago === 1) return t("chat.yesterday");
  if (ago < 7) return capital(format(at, { weekday: "short" }));
  return format(at, { day: "numeric", month: "numeric", year: "2-digit" });
}

export const fullMoment = (at: number): string =>
  format(at, { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const fullDate = (at: number): string => format(at, { day: "numeric", month: "long", year: "numeric" });

/** 4:12, or 1:04:12. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** How long something takes or took, in its largest fitting unit. */
export function span(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1000));
  const [value, unit] =
    seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 3600), "hour"];
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "long" }).format(value as number);
}

/** From now until then: "in 5 minutes". */
export function soon(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const relative = new Intl.RelativeTimeFormat(locale());
  if (seconds < 90) return relative.format(seconds, "second");
  if (seconds < 5400) return relative.format(Math.ceil(seconds / 60), "minute");
  return relative.format(Math.ceil(seconds / 3600), "hour");
}

/** From then until now: "3 minutes ago". */
export function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const relative = new Intl.RelativeTimeFormat(locale());
  if (minutes < 1) return t("time.justNow");
  if (minutes < 90) return relative.format(-minutes, "minute");
  if (minutes < 36 * 60) return relative.format(-Math.round(minutes / 60), "hour");
  return relative.format(-Math.round(minutes / 1440), "day");
}

export const number = (value: number, digits = 0): string =>
  new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);

export function size(bytes: number): string {
  return bytes < 1000 ? t("size.bytes", { value: bytes }) : t("size.kilobytes", { value: number(bytes / 1000) });
}
