// Writes a picture of every view at every size, light and dark: `node tests/pictures.mjs [PART-OF-NAME…]`.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openWindow, SIZES } from "./harness.mjs";
import { arrive, VIEWS } from "./views.mjs";

const OUT = process.env.EARSHOT_PICTURES ?? join(import.meta.dirname, "..", "pictures");
const wanted = process.argv.slice(2);
const names = Object.keys(VIEWS).filter((n) => wanted.length === 0 || wanted.some((w) => n === w || (w.endsWith("*") && n.startsWith(w.slice(0, -1)))));
const sizes = (process.env.EARSHOT_SIZES ?? Object.keys(SIZES).join(",")).split(",");
const themes = (process.env.EARSHOT_THEMES ?? "light,dark").split(",");
const lang = process.env.EARSHOT_LANG ?? "en";

await mkdir(OUT, { recursive: true });
const window = await openWindow();
let passed = 0;
let failed = 0;
for (const name of names) {
  for (const size of sizes) {
    for (const theme of themes) {
      try {
        const page = await arrive(window.visit, name, { size: SIZES[size], theme, lang });
        await page.screenshot({ path: join(OUT, `${name}-${size}-${theme}${lang === "en" ? "" : `-${lang}`}.png`) });
        for (const fault of page.faults) console.error(`${name} ${size} ${theme}: ${fault}`);
        await page.close();
        passed += 1;
      } catch (error) {
        failed += 1;
        console.error(`${name} ${size} ${theme}: ${String(error).split("\n").slice(0, 4).join(" ")}`);
      }
    }
  }
}
await window.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
