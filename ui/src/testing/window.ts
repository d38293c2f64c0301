// The whole window in jsdom on the mock, with time that tests push forward.
import axe from "axe-core";
import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { tick } from "svelte";
import { expect, vi } from "vitest";
import App from "../App.svelte";
// Views that are read when they are wanted: once here, so that no test waits for it.
import "../views/Main.svelte";
import "../views/Started.svelte";
import type { Method } from "../backend/generated";
import type { Opened } from "../backend/interface";
import { VirtualClock } from "../backend/mock/clock";
import { MockBackend } from "../backend/mock/mock";
import { scenario } from "../backend/mock/scenarios";

export async function openWindow(name: string, opened: Opened = {}) {
  localStorage.clear();
  const clock = new VirtualClock(Date.now());
  const backend = new MockBackend(scenario(name), clock);
  await backend.call("settings.set", { language: "en" });
  let openLink: (link: string) => void = () => {};
  const kept: string[] = [];
  const frame = {
    ready: async () => opened,
    keep: (text: string) => void kept.push(text),
    onLink(listener: (link: string) => void) {
      openLink = listener;
      return () => {};
    },
  };
  const user = userEvent.setup();
  const page = render(App, { backend, frame });
  await clock.pass(1);
  await vi.dynamicImportSettled();
  await tick();
  backend.asked.length = 0;
  return {
    backend,
    clock,
    user,
    page,
    openLink: (l: string) => openLink(l),
    /** What the next window would be told. */
    kept: () => kept.at(-1),
    timesKept: () => kept.length,
    /** The questions asked since the window came up. */
    asked: (method?: Method) => backend.asked.filter((a) => !method || a.method === method),
    last: (method: Method) => backend.asked.findLast((a) => a.method === method)?.params,
    click: async (role: string, label: string | RegExp) => {
      await user.click(await screen.findByRole(role, { name: label }));
      await clock.pass(1);
    },
  };
}

/** No rule of WCAG that can be judged without layout is broken. */
export async function expectAccessible(element: Element = document.body): Promise<void> {
  const { violations } = await axe.run(element, { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
  expect(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`)).toEqual([]);
}
