// The built window in Chromium under the product's content security policy: every view with axe, every
// control pressed, hostile text, the road by keyboard alone, ten thousand messages.
//   node tests/browser.mjs [PART-OF-NAME]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openWindow, SIZES } from "./harness.mjs";
import { arrive, settle, VIEWS } from "./views.mjs";
import { crawl } from "./crawl.mjs";

const AXE = readFileSync(join(import.meta.dirname, "../node_modules/axe-core/axe.min.js"), "utf8");
const PARALLEL = 3;
/** Cards that differ in their words only are judged at one size; all are measured at every size. */
const ALIKE = /^ended-(?!noPath|audioFailed|blocked)/;
const only = process.argv[2] ?? "";
const window = await openWindow();
const { visit } = window;

function same(got, wanted, what) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

async function axe(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    // Before one is in, and in dialogs above an empty page, there are no landmarks to tell apart.
    const rules = { region: { enabled: false }, "page-has-heading-one": { enabled: false } };
    const { violations } = await globalThis.axe.run(document, { runOnly: tags, rules });
    return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 140)} (${n.any[0]?.message ?? ""})`).join(" | ")}`);
  });
}

/** What sticks out of the window sideways, or out of its own box. */
const sticksOut = (page) =>
  page.evaluate(() => {
    const out = [];
    if (document.documentElement.scrollWidth > innerWidth) out.push("the page scrolls sideways");
    for (const e of document.querySelectorAll("button, input, textarea, h1, h2, p, dd, [role=option]")) {
      const box = e.getBoundingClientRect();
      if (box.width === 0 || e.closest(".unseen, .tabs-list, .wide")) continue;
      if (box.right > innerWidth + 1 || box.left < -1) out.push(e.outerHTML.slice(0, 120));
    }
    return out;
  });

async function everyLight(name) {
  const page = await arrive(visit, name);
  for (const [size, [width, height]] of Object.entries({ ...SIZES, tiny: [380, 560], zoomed: [520, 360] })) {
    await page.setViewportSize({ width, height });
    await settle(page);
    same(await sticksOut(page), [], `${size} sticks out`);
    if (!(size in SIZES) || (size !== "normal" && ALIKE.test(name))) continue;
    for (const theme of ["light", "dark"]) {
      await page.evaluate((t) => (document.documentElement.dataset.appearance = t), theme);
      await settle(page);
      same(await axe(page), [], `axe at ${size} ${theme}`);
    }
  }
  same(page.faults, [], "faults");
  await page.close();
}

async function hostileText() {
  for (const name of ["hostile", "hostile-chat", "hostile-request"]) {
    const page = await arrive(visit, name);
    same(await page.title(), "Earshot", "title");
    same(await page.locator("#app :is(script, iframe, img, b, a, form[action])").count(), 0, "elements made of text");
    same(page.faults, [], "faults");
    if (name === "hostile-chat") {
      const log = page.getByRole("log");
      await log.evaluate((e) => (e.scrollTop = 0));
      await settle(page);
      await log.getByText('<script>document.title = "owned"</script>').waitFor();
      const rise = await log.evaluate((e) => Math.max(...[...e.querySelectorAll(".bubble")].map((b) => b.clientHeight)));
      if (rise > 2000) throw new Error(`a bubble is ${rise} px high`);
    }
    await page.close();
  }
}

async function keyboardAlone() {
  const page = await visit("first");
  const keys = page.keyboard;
  const reach = async (role, name) => {
    const wanted = page.getByRole(role, { name }).first();
    await wanted.waitFor();
    for (let i = 0; i < 60; i++) {
      if (await wanted.evaluate((e) => e === document.activeElement)) return;
      await keys.press("Tab");
    }
    throw new Error(`${role} ${name} is not reached by Tab`);
  };
  await reach("button", /I have an invite/);
  await keys.press("Enter");
  await reach("textbox", "Invite");
  await keys.type("earshot:whole");
  await keys.press("Enter");
  await reach("textbox", "User name");
  await keys.type("anna");
  await reach("textbox", "Password");
  await keys.type("correct horse battery");
  await keys.press("Enter");
  await reach("checkbox", /printed/);
  await keys.press("Space");
  await reach("button", "Continue");
  await keys.press("Enter");
  await page.getByRole("navigation").waitFor();
  await keys.press("F10");
  await page.getByRole("dialog").waitFor();
  await keys.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await keys.press("Control+f");
  await keys.type("aino");
  await keys.press("Enter");
  await page.getByText("Found in round").waitFor();
  await keys.press("ArrowDown");
  await keys.press("Enter");
  await reach("button", "Ask to add");
  await keys.press("Enter");
  await page.getByText("You asked Aino").waitFor();
  same(page.faults, [], "faults");
  await page.close();

  const call = await visit("normal");
  await call.keyboard.press("Control+ArrowDown");
  await call.getByRole("textbox", { name: "Write to" }).waitFor();
  await call.keyboard.type("Hello by keyboard");
  await call.keyboard.press("Enter");
  await call.getByRole("log").getByText("Hello by keyboard").waitFor();
  await call.keyboard.press("Control+Shift+C");
  await call.getByRole("button", { name: "Mute" }).waitFor();
  await call.keyboard.press("Control+d");
  await call.getByText(/ended after/).waitFor();
  await call.keyboard.press("Control+,");
  await call.getByRole("tab", { name: "Profile" }).waitFor();
  await call.keyboard.press("Escape");
  await call.getByText("Choose somebody").waitFor();
  await call.close();
}

async function messagesCome() {
  const page = await arrive(visit, "conversation");
  const log = page.getByRole("log");
  const send = async (text) => {
    await page.getByRole("textbox", { name: "Write to" }).fill(text);
    await page.keyboard.press("Enter");
  };
  await send("First");
  await log.getByText("First").waitFor();
  await log.getByRole("img", { name: "Waiting on this computer" }).last().waitFor();
  await log.getByRole("img", { name: "Arrived" }).last().waitFor();
  await log.getByRole("img", { name: "Read", exact: true }).last().waitFor();
  await log.getByText("👍").waitFor();
  // Who reads further up is not pulled down; a button leads there.
  await log.evaluate((e) => (e.scrollTop = 0));
  await page.getByRole("button", { name: /Jump to the newest/ }).waitFor();
  await page.evaluate(() => globalThis.earshot.receive("anna", "While you read"));
  await page.getByRole("button", { name: "Jump to the newest 1" }).click();
  await log.getByText("While you read").waitFor();
  const marked = await page.evaluate(() => globalThis.earshot.asked.filter((a) => a.method === "chat.mark_read").length);
  if (marked < 2) throw new Error(`marked as read ${marked} times`);
  await page.close();
}

async function tenThousand() {
  const page = await arrive(visit, "conversation-long", { motion: "no-preference" });
  const result = await page.evaluate(async () => {
    const log = document.querySelector('[role="log"]');
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const pages = () => globalThis.earshot.asked.filter((a) => a.method === "chat.history").length;
    // Up, as a fast wheel does, until the oldest is there.
    let still = 0;
    for (let before = -1; still < 90; ) {
      log.scrollTop -= 900;
      await frame();
      still = log.scrollTop === 0 && pages() === before ? still + 1 : 0;
      before = pages();
    }
    const height = log.scrollHeight;
    const times = [];
    let last = performance.now();
    while (log.scrollTop + log.clientHeight < log.scrollHeight - 4 && times.length < 600) {
      log.scrollTop += 240;
      await frame();
      times.push(performance.now() - last);
      last = performance.now();
    }
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
    return { pages: pages(), height, frames: times.length, median: at(0.5), p95: at(0.95), elements: log.querySelectorAll("*").length };
  });
  console.log(
    `10,000 messages: ${result.pages} pages, ${Math.round(result.height / 1000)}k px high, ${result.elements} elements, ` +
      `frame median ${result.median.toFixed(1)} ms, p95 ${result.p95.toFixed(1)} ms over ${result.frames} frames`,
  );
  if (result.pages < 150) throw new Error(`only ${result.pages} pages were read`);
  if (result.elements > 2500) throw new Error(`${result.elements} elements are in the page`);
  // Sixty a second is what to reach and what an idle machine does; the gate leaves room for a busy one.
  if (result.median > 25) throw new Error(`a frame takes ${result.median.toFixed(1)} ms`);
  await page.close();
}

async function menus() {
  const page = await visit("normal");
  const asked = (method) => page.evaluate((m) => globalThis.earshot.asked.findLast((a) => a.method === m)?.params, method);
  await page.getByRole("button", { name: /change what you show/ }).click();
  await page.getByRole("menuitemcheckbox", { name: "Away" }).click();
  same(await asked("presence.set"), { presence: "away" }, "presence");
  await page.getByRole("button", { name: "Menu" }).click();
  await page.getByRole("menuitem", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Choose your name" }).waitFor();
  same(await asked("logout"), {}, "logout");
  await page.close();
}

const tests = [
  ["ten thousand messages scroll at sixty frames a second", tenThousand, "alone"],
  ...Object.keys(VIEWS).map((name) => [`${name} is accessible in every size and light`, () => everyLight(name)]),
  ["hostile names and messages are shown as text", hostileText],
  ["the whole road is gone by keyboard alone", keyboardAlone],
  ["messages come, go further, and are marked as read", messagesCome],
  ["menus ask the node", menus],
  ...crawl(visit).map(([name, run]) => [name, run]),
].filter(([name]) => name.includes(only));

let passed = 0;
const failed = [];
async function run([name, test]) {
  try {
    await test();
    passed += 1;
  } catch (error) {
    failed.push(name);
    console.error(`FAILED ${name}\n  ${String(error.message ?? error).split("\n").slice(0, 6).join("\n  ").slice(0, 1500)}`);
  }
}
for (const test of tests.filter((t) => t[2] === "alone")) await run(test);
const queue = tests.filter((t) => t[2] !== "alone");
await Promise.all(
  Array.from({ length: PARALLEL }, async () => {
    for (let test = queue.shift(); test; test = queue.shift()) await run(test);
  }),
);
await window.close();
console.log(`${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;
