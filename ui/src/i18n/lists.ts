// Several names in one sentence, as people of each language join them.
import { locale } from "./times";
import { isolated, t } from "./words.svelte";

/** Names that one line tells. Our choice: as many as are taken in at a glance. */
const SHOWN_MAX = 3;

/** "Anna, Ben and Cecile"; "Anna, Ben, Cecile and 2 more". */
export function namesInWords(names: readonly string[]): string {
  const more = names.length - SHOWN_MAX;
  const shown = names.slice(0, SHOWN_MAX).map(isolated);
  const parts = more > 0 ? [...shown, t("names.more", { count: more })] : shown;
  return new Intl.ListFormat(locale(), { type: "conjunction" }).format(parts);
}
