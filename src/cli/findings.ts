/**
 * What an examination of a server is about, and what it finds.
 *
 * @module
 */

import type { ResolvedConfig } from "../core/config.ts";
import type { ConnectionTrouble } from "../core/connection_hints.ts";
import type { AnyProviderError } from "../core/errors.ts";
import type { ModelInfo } from "../core/types.ts";
import type { Surroundings } from "../platform/surroundings.ts";
import type { LMStudioProvider } from "../provider/lmstudio.ts";
import { shownOnOneLine } from "./terminal.ts";

/** Outcome of a step. */
export type State = "ok" | "warning" | "failure" | "note" | "skipped";

/** Finding of a step. */
export interface Finding {
  readonly step: string;
  readonly state: State;
  readonly evidence: string;
  /** Shell command that shows the same, or repairs it. */
  readonly command?: string;
}

/** The machine and its network; tests replace them. */
export interface Place {
  /** Resolves a name to all of its addresses; rejects as `dns.lookup` does. */
  lookup(name: string): Promise<readonly { readonly address: string; readonly family: number }[]>;
  /** Opens and closes a connection; rejects as a socket's error event does. */
  connect(host: string, port: number, signal: AbortSignal): Promise<void>;
  surroundings(): Surroundings;
  readonly fetch: typeof globalThis.fetch;
}

/** What to examine. */
export interface Question {
  readonly provider: LMStudioProvider;
  readonly config: ResolvedConfig;
  /** Where the address comes from, such as `LMSTUDIO_BASE_URL`. */
  readonly source: string;
  /** The model that the application requests. */
  readonly model?: string | undefined;
  /** How many tokens the application needs. */
  readonly context?: number | undefined;
  /** Origin of the page that calls the server. */
  readonly origin?: string | undefined;
  /** How long the first token may take. */
  readonly patienceMs: number;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Who answers at the address. */
export type Who =
  | "lmstudio"
  /** The port that LM Studio's own programs use. */
  | "lmstudio-internal"
  | "ollama"
  | "llama.cpp"
  /** Another server with `/v1/models`. */
  | "openai-like"
  | "stranger"
  | "silent";

/** Facts that the examination established. A field is absent if no step could tell. */
export interface Facts {
  readonly question: Question;
  readonly baseUrl: string;
  readonly surroundings: Surroundings;
  trouble?: ConnectionTrouble;
  /** Host and port that the runtime does not let this program connect to. */
  denied?: string;
  /** Addresses of the host that fail although another of its addresses works. */
  refusedAddresses: string[];
  who?: Who;
  /** LM Studio answers at the root instead of under the base URL's path. */
  answersAtRoot?: boolean;
  answersAt?: string;
  proxy?: string;
  /** The listing, or the error that prevented it. */
  listing?: readonly ModelInfo[] | AnyProviderError;
  tokenIsMalformed?: boolean;
  /** The requested model as the server lists it. */
  asked?: ModelInfo;
  /** The loaded model that the examination uses. */
  model?: ModelInfo;
  generation?: AnyProviderError | { readonly firstTokenMs: number };
  allowsOrigin?: boolean;
}

/** A finding without its step, which the caller knows. */
export type Seen = Omit<Finding, "step">;
/** One step: it adds what it sees to the facts. */
export type Step = (facts: Facts, place: Place) => Promise<Seen> | Seen;

/** Many clients, or their users, give up if the first token takes longer. */
export const SLOW_MS = 10_000;

/** Makes a finding. */
export function finding(state: State, evidence: string, command?: string): Seen {
  return {
    state,
    evidence: shownOnOneLine(evidence),
    ...(command === undefined ? {} : { command }),
  };
}

/** Makes the finding of a step that could not be taken. */
export function skip(why: string): Seen {
  return finding("skipped", why);
}

/** The model that the application names, if any. */
export function nameAsked({ model, config }: Question): string | undefined {
  return model ?? config.model;
}

/** The message without its hint, which is shown once, at the end. */
export function wordsOf({ message, hint }: AnyProviderError): string {
  return (message.endsWith(hint) ? message.slice(0, -hint.length) : message).trim().replace(
    /\.$/,
    "",
  );
}
