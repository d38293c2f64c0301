// How the window is built: the product from index.html, the same window on the mock from mock.html.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";
import { messages } from "./vite.messages.ts";

export default defineConfig(({ mode }) => ({
  plugins: [messages(), svelte(), ...(mode === "test" ? [svelteTesting()] : [])],
  clearScreen: false,
  server: { port: 1420, strictPort: true, host: "127.0.0.1" },
  build: {
    target: "safari16",
    outDir: mode === "mock" ? "dist-mock" : "dist",
    emptyOutDir: true,
    sourcemap: false,
    // The content security policy allows no data: fonts, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    rolldownOptions: { input: mode === "mock" ? "mock.html" : "index.html" },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["./src/test-setup.ts"],
    include: ["src/**/*.test.ts"],
    reporters: ["default", "./tests/last-line.ts"],
    css: false,
  },
}));
