// Presses every control that a view shows, each on a page of its own, and sees that something comes of
// it: a question to the node, or a change of the view. What several views share is pressed once.
import { arrive, settle, VIEWS } from "./views.mjs";

const CONTROLS =
  ':is(button, summary, [role="option"], [role="menuitem"], [role="menuitemcheckbox"], input[type="checkbox"]):not(:disabled)';
/** The state that a control is in already is no change: what is chosen stays chosen. */
const CHOSEN = '[role="radio"][aria-checked="true"], [role="tab"][aria-selected="true"], [role="menuitemcheckbox"][aria-checked="true"]';
/** How long something may take to show. */
const PATIENCE_MS = 10_000;
/** Of a long list a few tell for all. */
const OPTIONS_MAX = 1;

const pressed = new Set();

/** What a person could notice, without what runs by itself. */
const look = (page) =>
  page.evaluate(() => {
    const copy = document.body.cloneNode(true);
    for (const e of copy.querySelectorAll('[role="timer"], [role="meter"], .quality, .state, dl, script')) e.remove();
    for (const e of copy.querySelectorAll("[style]")) e.removeAttribute("style");
    for (const e of copy.querySelectorAll("[class]")) e.classList.remove("speaking");
    for (const e of copy.querySelectorAll("input, textarea")) e.setAttribute("data-value", e.value);
    const values = [...document.querySelectorAll("input")].map((e) => `${e.value}${e.checked}`).join();
    return `${copy.innerHTML}${values}${globalThis.printed ?? 0}${globalThis.earshot.asked.length}`;
  });

/** The controls that can be reached now: their place among all, and what they are called. */
const shown = (page) =>
  page.evaluate(
    ([controls, chosen, most]) => {
      const nameOf = (e) => {
        const words = e.getAttribute("aria-label") ?? e.innerText;
        return `${e.getAttribute("role") ?? e.tagName} ${words.replace(/\d\d:\d\d/g, "").replace(/\s+/g, " ").trim()}`;
      };
      // What lies below a dialog or a menu is not there for now.
      const above = document.querySelector('[role$="dialog"], [role="menu"]');
      let options = 0;
      return [...document.querySelectorAll(controls)].flatMap((e, i) => {
        const there = e.checkVisibility({ visibilityProperty: true }) && (!above || above.contains(e)) && !e.matches(chosen);
        if (!there || (e.getAttribute("role") === "option" && ++options > most)) return [];
        return [{ i, name: nameOf(e) }];
      });
    },
    [CONTROLS, CHOSEN, OPTIONS_MAX],
  );

/** A busy machine draws late: what `look` finds, or nothing after a while. */
async function soon(page, look) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found || Date.now() > until) return found;
    await settle(page);
  }
}

async function press(visit, view, name) {
  const page = await arrive(visit, view);
  await page.evaluate(() => {
    globalThis.printed = 0;
    globalThis.print = () => (globalThis.printed += 1);
  });
  const again = await soon(page, async () => (await shown(page)).find((c) => c.name === name));
  if (!again) throw new Error(`${name} is not there again`);
  const control = page.locator(CONTROLS).nth(again.i);
  const before = await look(page);
  await control.click();
  const changed = await soon(page, async () => (await look(page)) !== before);
  if (!changed) throw new Error(`nothing comes of ${name}`);
  if (page.faults.length > 0) throw new Error(`${name}: ${page.faults.join("; ")}`);
  await page.close();
}

async function pressAll(visit, view) {
  const page = await arrive(visit, view);
  const todo = (await shown(page)).filter(({ name }) => !pressed.has(name));
  for (const { name } of todo) pressed.add(name);
  await page.close();
  for (const { name } of todo) await press(visit, view, name);
}

/** The cards of a failed call share their controls: these hold them all. */
const CARDS = ["ended-busy", "ended-blocked", "ended-notBuddy", "ended-audioFailed"];

export const crawl = (visit) =>
  Object.keys(VIEWS)
    .filter((view) => !view.startsWith("ended-") || CARDS.includes(view))
    .map((view) => [`every control of ${view} does something`, () => pressAll(visit, view)]);
