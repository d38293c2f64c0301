// The window in a plain browser, on the mock: `mock.html?mock=SCENARIO`, with the mock at hand for tests.
import { mount } from "svelte";
import App from "./App.svelte";
import type { ErrorCode, Failure, Method } from "./backend/generated";
import { type Frame } from "./backend/interface";
import { MockBackend } from "./backend/mock/mock";
import { scenario } from "./backend/mock/scenarios";
import "./styles/all.css";

const query = new URLSearchParams(location.search);
const backend = new MockBackend(scenario(query.get("mock") ?? "normal"));
const appearance = query.get("theme");
const language = query.get("lang") ?? "en";
await backend.call("settings.set", {
  ...((appearance === "light" || appearance === "dark") && { appearance }),
  ...((language === "en" || language === "fi") && { language }),
});
backend.asked.length = 0;

let openLink: (link: string) => void = () => {};
const frame: Frame = {
  ready: async () => ({ link: query.get("link") ?? undefined }),
  keep: () => {},
  onLink(listener) {
    openLink = listener;
    return () => (openLink = () => {});
  },
};

Object.assign(window, {
  earshot: {
    asked: backend.asked,
    ring: (user: string) => backend.phone.ring(user),
    receive: (user: string, text: string) => backend.receive(user, text),
    refuse: (method: Method, code: ErrorCode) => backend.refuse(method, { code, facts: {} } as Failure),
    open: (link: string) => openLink(link),
  },
});

const target = document.getElementById("app");
if (!target) throw new Error("mock.html holds #app");
mount(App, { target, props: { backend, frame } });
