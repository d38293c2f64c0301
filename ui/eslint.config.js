// What may import what, and the rules that keep the window's code plain.
import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import { importX } from "eslint-plugin-import-x";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

/** `target` may import only what is not among `from`. */
const zone = (target, from, message) => ({ target: `./src/${target}`, from: from.map((f) => `./src/${f}`), message });

export default ts.config(
  { ignores: ["dist", "dist-mock", "pictures", "node_modules", "src/backend/generated.ts"] },
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    plugins: { "import-x": importX },
    settings: {
      "import-x/resolver-next": [createTypeScriptImportResolver({ extensions: [".ts", ".svelte.ts", ".svelte", ".json"] })],
    },
    rules: {
      "import-x/no-restricted-paths": [
        "error",
        {
          basePath: import.meta.dirname,
          zones: [
            zone("kit", ["backend", "state", "parts", "views", "i18n"], "kit imports nobody"),
            zone("state", ["kit", "parts", "views", "i18n", "backend/tauri.ts", "backend/mock", "backend/live.svelte.ts"],
              "state is pure: it knows the API's types only"),
            zone("i18n", ["backend/tauri.ts", "backend/mock", "kit", "parts", "views"], "words know no views"),
            zone("parts", ["views", "backend/tauri.ts", "backend/mock"], "parts know no views and no transport"),
            zone("views", ["backend/tauri.ts", "backend/mock"], "views know the backend's interface only"),
          ],
        },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      eqeqeq: "error",
      "no-console": "error",
      "svelte/no-at-html-tags": "error",
      "svelte/no-target-blank": "error",
      "svelte/button-has-type": "error",
      // Sets and maps that nobody watches stay plain; a space between two words is no useless mustache.
      "svelte/prefer-svelte-reactivity": "off",
      "svelte/no-useless-mustaches": "off",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
  },
  { files: ["tests/**"], rules: { "no-console": "off" } },
);
