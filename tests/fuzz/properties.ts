/** Every property, in the order they run. */
import { ADDRESSES } from "./addresses.ts";
import { AI_SDK } from "./ai_sdk.ts";
import { ANSWERS } from "./answers.ts";
import { CUTS } from "./cuts.ts";
import { FRAMING } from "./framing.ts";
import type { Property } from "./harness.ts";
import { TEXTS } from "./texts.ts";
import { JAVASCRIPT_VALUES } from "./values.ts";
import { TRIMMING } from "./trimming.ts";

export const PROPERTIES: readonly Property[] = [
  ...FRAMING,
  ...TEXTS,
  ...TRIMMING,
  ...ADDRESSES,
  ...ANSWERS,
  ...JAVASCRIPT_VALUES,
  ...CUTS,
  ...AI_SDK,
];
