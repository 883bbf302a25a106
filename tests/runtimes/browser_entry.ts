/** The minimum that a web page imports: `bundle.ts` bundles it and checks its size. */
export { LMStudioProvider } from "@patinox/lmstudio";
