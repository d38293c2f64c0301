// The product's entry. It is small, so that the window is there at once; the rest is read meanwhile.
import { openFrame } from "./backend/tauri";
import "./styles/all.css";

// As the system is, until the node tells what was chosen.
const { dataset } = document.documentElement;
dataset.appearance = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
if (new URLSearchParams(location.search).has("font")) dataset.font = "system";
const frame = openFrame();
// What comes of it is for whoever asks again; the rest is not to hold up the first picture.
await frame.ready().catch(() => {});
const { start } = await import("./start");
start(frame);
