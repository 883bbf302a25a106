/**
 * All trials of the assumptions.
 *
 * @module
 */

import { COMPLETION_TRIALS } from "./completion_trials.ts";
import { CONVERSATION_TRIALS } from "./conversation_trials.ts";
import { SERVER_TRIALS } from "./server_trials.ts";
import type { Trial } from "./trial.ts";

/** Every trial, by the name that the list of assumptions uses. */
export const TRIALS: Readonly<Record<string, Trial>> = {
  ...SERVER_TRIALS,
  ...COMPLETION_TRIALS,
  ...CONVERSATION_TRIALS,
};

/** Trials that change the state of the server; they run last. */
export const CHANGING: ReadonlySet<string> = new Set(["loadKeys", "secondCopy", "downloadJob"]);
