// Only the tokens name colours; sides are logical.
const colours = ["rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix"];

export default {
  extends: ["stylelint-config-standard"],
  overrides: [
    { files: ["**/*.svelte"], customSyntax: "postcss-html" },
    { files: ["src/styles/tokens.css"], rules: { "function-disallowed-list": null, "color-named": null } },
  ],
  rules: {
    "color-no-hex": true,
    "color-named": "never",
    "function-disallowed-list": colours,
    "selector-pseudo-class-no-unknown": [true, { ignorePseudoClasses: ["global"] }],
    "import-notation": "string",
    "selector-class-pattern": null,
    "no-descending-specificity": null,
    "declaration-empty-line-before": null,
    "custom-property-empty-line-before": null,
    "rule-empty-line-before": null,
    "comment-empty-line-before": null,
    "at-rule-empty-line-before": null,
    "declaration-property-value-no-unknown": null,
    "property-disallowed-list": [
      "left", "right", "margin-left", "margin-right", "padding-left", "padding-right", "border-left", "border-right",
    ],
    "declaration-property-value-disallowed-list": { "text-align": ["left", "right"], float: ["left", "right"] },
  },
};
