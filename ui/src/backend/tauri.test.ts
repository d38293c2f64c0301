// What crosses to the node behind Tauri: names, parameters, refusals, events.
import { emit } from "@tauri-apps/api/event";
import { clearMocks, mockIPC, mockWindows } from "@tauri-apps/api/mocks";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Refused } from "./interface";
import { openFrame, tauriBackend } from "./tauri";

beforeEach(() => mockWindows("main"));
afterEach(() => clearMocks());

test("a method is a command with its dots turned, its parameters the arguments", async () => {
  const asked: [string, unknown][] = [];
  mockIPC((command, params) => void asked.push([command, params]));
  await tauriBackend.call("chat.mark_read", { with: "anna", upTo: "m1" });
  expect(asked).toEqual([["chat_mark_read", { with: "anna", upTo: "m1" }]]);
});

test("a refusal comes with its code and facts, anything else is thrown as it is", async () => {
  mockIPC((command) => {
    throw command === "login" ? { code: "tooManyAttempts", facts: {}, retryAfterMs: 5000 } : "broken";
  });
  const refused = await tauriBackend.call("login", { user: "anna" }).catch((e: unknown) => e);
  expect(refused).toBeInstanceOf(Refused);
  expect((refused as Refused).failure).toEqual({ code: "tooManyAttempts", facts: {}, retryAfterMs: 5000 });
  expect(await tauriBackend.call("logout", {}).catch((e: unknown) => e)).toBe("broken");
});

test("events and links arrive until one stops listening", async () => {
  const kept: unknown[] = [];
  let readied = 0;
  mockIPC(
    (command, params) => {
      if (command === "window_keep") kept.push(params);
      if (command !== "window_ready") return undefined;
      readied += 1;
      return { link: "earshot:x", kept: "draft" };
    },
    { shouldMockEvents: true },
  );
  const heard = vi.fn();
  const stop = tauriBackend.subscribe(heard);
  const frame = openFrame();
  const opened = [await frame.ready(), await frame.ready()];
  expect(opened).toEqual([1, 2].map(() => ({ link: "earshot:x", kept: "draft" })));
  expect(readied).toBe(1);
  // One that comes before the window listens waits for it.
  await emit("linkOpened", { link: "earshot:add/early" });
  const links = vi.fn();
  await vi.waitFor(() => {
    frame.onLink(links);
    expect(links).toHaveBeenCalledWith("earshot:add/early");
  });
  frame.keep("next");
  expect(kept).toEqual([{ text: "next" }]);
  await emit("event", { seq: 1, at: 0, type: "audioLevel", levelIn: -3, levelOut: -4 });
  await emit("linkOpened", { link: "earshot:add/bob" });
  await vi.waitFor(() => expect(heard).toHaveBeenCalledTimes(1));
  expect(links).toHaveBeenCalledWith("earshot:add/bob");
  stop();
  await emit("event", { seq: 2, at: 0, type: "audioLevel", levelIn: -3, levelOut: -4 });
  expect(heard).toHaveBeenCalledTimes(1);
});
