// Presses every control that a view shows, each on a page of its own, and sees that something comes of
// it: a question to the node, or a change of the view. What several views share is pressed once.
import { arrive, settle, VIEWS } from "./views.mjs";

const CONTROLS =
  ':is(button, summary, [role="option"], [role="menuitem"], [role="menuitemcheckbox"], input[type="checkbox"]):not(:disabled)';
/** The state that a control is in already is no change: what is chosen stays chosen. */
const CHOSEN = '[role="radio"][aria-checked="true"], [role="tab"][aria-selected="true"], [role="menuitemcheckbox"][aria-checked="true"]';
/** Of a long list a few tell for all. */
const OPTIONS_MAX = 2;

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

const nameOf = (control) =>
  control.evaluate((e) => `${e.getAttribute("role") ?? e.tagName} ${(e.getAttribute("aria-label") ?? e.innerText).replace(/\d\d:\d\d/g, "").replace(/\s+/g, " ").trim()}`);

async function shown(page) {
  const found = [];
  let options = 0;
  const all = page.locator(CONTROLS);
  for (let i = 0; i < (await all.count()); i++) {
    const control = all.nth(i);
    if (!(await control.isVisible()) || (await control.evaluate((e, chosen) => e.matches(chosen), CHOSEN))) continue;
    // What lies below a dialog is not there for now.
    if (await control.evaluate((e) => !!document.querySelector('[role$="dialog"], [role="menu"]') && !e.closest('[role$="dialog"], [role="menu"]'))) continue;
    const name = await nameOf(control);
    if (name.startsWith("option") && ++options > OPTIONS_MAX) continue;
    found.push({ i, name });
  }
  return found;
}

async function press(visit, view, { i, name }) {
  const page = await arrive(visit, view);
  await page.evaluate(() => {
    globalThis.printed = 0;
    globalThis.print = () => (globalThis.printed += 1);
  });
  const control = page.locator(CONTROLS).nth(i);
  if ((await nameOf(control)) !== name) throw new Error(`${name} is not there again`);
  const before = await look(page);
  await control.click();
  let after = before;
  for (let tries = 0; tries < 20 && after === before; tries++) {
    await settle(page);
    after = await look(page);
  }
  if (after === before) throw new Error(`nothing comes of ${name}`);
  if (page.faults.length > 0) throw new Error(`${name}: ${page.faults.join("; ")}`);
  await page.context().close();
}

async function pressAll(visit, view) {
  const page = await arrive(visit, view);
  const todo = (await shown(page)).filter(({ name }) => !pressed.has(name));
  for (const { name } of todo) pressed.add(name);
  await page.context().close();
  for (const control of todo) await press(visit, view, control);
}

export const crawl = (visit) => Object.keys(VIEWS).map((view) => [`every control of ${view} does something`, () => pressAll(visit, view)]);
