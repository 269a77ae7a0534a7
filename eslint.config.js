// What the checks hold the page's scripts to, besides the types: see package.json.
import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["specviz/**/*.js"],
    languageOptions: { globals: globals.browser },
    rules: {
      "no-restricted-globals": ["error", "event", "name", "status", "parent", "top", "origin", "find"],
      "no-unused-vars": ["error", { args: "after-used", ignoreRestSiblings: true }],
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
    },
  },
  { files: ["tests/js/**/*.js", "*.js"], languageOptions: { globals: globals.node } },
];
