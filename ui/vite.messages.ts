// Messages parsed when the window is built: `./en.json?messages` gives texts without holes as they are, and
// the others as the trees that intl-messageformat reads, so that the window holds no parser.
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type MessageFormatElement, parse, TYPE } from "@formatjs/icu-messageformat-parser";
import type { Plugin } from "vite";

const QUERY = "?messages";
const [BEFORE, AFTER] = ["\0messages:", ".js"];
const PARSER = "@formatjs/icu-messageformat-parser";

function message(text: string): string | MessageFormatElement[] {
  const tree = parse(text, { ignoreTag: true });
  const [only, ...others] = tree;
  return only?.type === TYPE.literal && others.length === 0 ? only.value : tree;
}

export function messages(): Plugin {
  return {
    name: "messages",
    enforce: "pre",
    resolveId(source, importer = "") {
      if (source.endsWith(QUERY)) return `${BEFORE}${resolve(dirname(importer), source.slice(0, -QUERY.length))}${AFTER}`;
      // What the parser's authors offer to those who bring trees.
      const isAsked = source === PARSER && importer.includes("/intl-messageformat/");
      return isAsked ? this.resolve(`${PARSER}/no-parser.js`, importer) : undefined;
    },
    async load(id) {
      if (!id.startsWith(BEFORE)) return;
      const path = id.slice(BEFORE.length, -AFTER.length);
      this.addWatchFile(path);
      const texts = JSON.parse(await readFile(path, "utf8")) as Record<string, string>;
      const parsed = Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, message(text)]));
      // Engines read a long text of JSON quicker than the same as a program.
      return `export default JSON.parse(${JSON.stringify(JSON.stringify(parsed))})`;
    },
  };
}
