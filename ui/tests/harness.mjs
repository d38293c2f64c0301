// The built window on the mock, served with the product's own content security policy, in Chromium.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

const ROOT = join(import.meta.dirname, "..", "dist-mock");
const CHROMIUM = process.env.EARSHOT_CHROMIUM ?? "/usr/bin/chromium";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2" };
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src ipc: http://ipc.localhost",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "object-src 'none'",
].join("; ");

async function serve() {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://x").pathname);
    try {
      const body = await readFile(join(ROOT, path));
      response.writeHead(200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "content-security-policy": POLICY,
      });
      response.end(body);
    } catch {
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/**
 * A browser with the window in it; `visit` opens a scenario and answers a page that tells its own faults.
 * Profiles are used again, emptied: a new one compiles the whole window anew.
 */
export async function openWindow() {
  const server = await serve();
  const origin = `http://127.0.0.1:${server.address().port}`;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--font-render-hinting=none"] });

  const idle = [];

  async function visit(scenario, { size = [1040, 720], theme = "light", lang = "en", query = "", motion = "reduce", now } = {}) {
    const profile = idle.pop() ?? (await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Helsinki" }));
    const page = await profile.newPage();
    page.setDefaultTimeout(20_000);
    page.once("close", () => idle.push(profile));
    await page.setViewportSize({ width: size[0], height: size[1] });
    await page.emulateMedia({ colorScheme: theme, reducedMotion: motion });
    await page.addInitScript(() => localStorage.clear());
    const faults = [];
    page.on("console", (m) => m.type() === "error" && faults.push(m.text()));
    page.on("pageerror", (e) => faults.push(String(e)));
    page.on("request", (r) => new URL(r.url()).origin !== origin && faults.push(`request to ${r.url()}`));
    page.faults = faults;
    if (now) await page.clock.setFixedTime(now);
    await page.goto(`${origin}/mock.html?mock=${scenario}&theme=${theme}&lang=${lang}${query}`);
    await page.waitForSelector("#app > *");
    return page;
  }

  return {
    visit,
    origin,
    async close() {
      await browser.close();
      server.close();
    },
  };
}

export const SIZES = { small: [380, 640], normal: [1040, 720], large: [1600, 1000] };
