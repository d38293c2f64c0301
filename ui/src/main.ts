// The product's entry: the window on the node behind Tauri.
import { mount } from "svelte";
import App from "./App.svelte";
import { tauriBackend, tauriFrame } from "./backend/tauri";
import "./styles/all.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html holds #app");
mount(App, { target, props: { backend: tauriBackend, frame: tauriFrame } });
