/** What a web page imports at least: bundled, and its size looked at, by `bundle.ts`. */
export { LMStudioProvider } from "@patinox/lmstudio";
