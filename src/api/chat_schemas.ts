/**
 * Schema of the native chat's answer: strict about the fields we need, loose about the rest. In a file of its own
 * because it loads zod: imported on first use only.
 *
 * @module
 */

import * as z from "zod";
import type { SchemaIssue } from "../core/schema.ts";

/** The body of `POST /api/v1/chat`, and the `result` of `chat.end`. */
export interface WireChatAnswer {
  readonly model_instance_id?: string | undefined;
  readonly output: readonly Readonly<Record<string, unknown>>[];
  readonly stats?: Readonly<Record<string, unknown>> | undefined;
  readonly response_id?: string | undefined;
}

const text = z.string().min(1).optional().catch(undefined);

const answer = z.object({
  model_instance_id: text,
  output: z.array(z.looseObject({ type: z.string().min(1) })),
  stats: z.looseObject({}).optional().catch(undefined),
  response_id: text,
});

/** Parses an answer, or returns the issues found in it. */
export function parseChatAnswer(
  value: unknown,
): { readonly answer: WireChatAnswer } | { readonly issues: readonly SchemaIssue[] } {
  const { data, error } = answer.safeParse(value);
  if (data !== undefined) return { answer: data };
  return { issues: (error?.issues ?? []).map(({ message, path }) => ({ message, path })) };
}
