// The window on the node behind Tauri.
import { mount } from "svelte";
import App from "./App.svelte";
import type { Frame } from "./backend/interface";
import { tauriBackend } from "./backend/tauri";

export function start(frame: Frame): void {
  const target = document.getElementById("app");
  if (!target) throw new Error("index.html holds #app");
  mount(App, { target, props: { backend: tauriBackend, frame } });
}
