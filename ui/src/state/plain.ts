// Text of strangers made harmless to look at: no marks that pile up, no letters that turn the line
// around, no pages in one line. Pure; what is stored stays as it was written.

/** Marks on one letter that real writing needs (Vietnamese two, Hebrew three, Tibetan more). */
const MARKS_MAX = 6;
const NAME_MAX = 80;
/** A message longer than this is shown cut, with a way to the whole. */
export const LONG_TEXT = 2400;
const LONG_LINES = 40;

const STACKED = new RegExp(`(\\p{M}{${MARKS_MAX}})\\p{M}+`, "gu");
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// Zero-width joiners stay: emoji families and several scripts are written with them.
 
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u115f\u1160\u180e\u200b\u2028\u2029\u2060-\u2064\u3164\ufeff\uffa0]/g;

/** Overrides write every letter backwards; no script needs them, and file names are forged with them. */
const OVERRIDES = /[\u202d\u202e]/g;

/** A text of several lines: as it was written, without towers of marks and backward letters. */
export const calmed = (text: string): string => text.replace(OVERRIDES, "").replace(STACKED, "$1");

/** A name in one line: what cannot be seen or turns the line is left out. */
export function plainName(text: string): string {
  const head = text.slice(0, 4 * NAME_MAX);
  const plain = calmed(head.replace(TURNING, "").replace(UNSEEN, " ")).replace(/\s+/g, " ").trim();
  const letters = [...plain];
  return letters.length > NAME_MAX ? `${letters.slice(0, NAME_MAX).join("")}…` : plain;
}

/** The first line of a text for a list. */
export const plainLine = (text: string): string => {
  const head = calmed(text.slice(0, 400).replace(TURNING, "").replace(UNSEEN, " "));
  return head.replace(/\s+/g, " ").trim();
};

/** A message as it is shown before one asks for the whole. */
export function opening(text: string): { text: string; cut: boolean } {
  const lines = text.split("\n", LONG_LINES + 1);
  const few = lines.length > LONG_LINES ? lines.slice(0, LONG_LINES).join("\n") : text;
  if (few.length <= LONG_TEXT) return { text: calmed(few), cut: few.length < text.length };
  const head = few.slice(0, LONG_TEXT);
  // Half of a surrogate pair would be shown as a box.
  const whole = /[\ud800-\udbff]$/.test(head) ? head.slice(0, -1) : head;
  return { text: calmed(whole), cut: true };
}

export const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
