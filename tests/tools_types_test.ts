/** The types that `tool()` infers from schemas. The type checker runs these tests; Deno only starts them. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import { toStandardJsonSchema } from "npm:@valibot/to-json-schema@^1.8.0";
import { type } from "npm:arktype@^2.2.9";
import * as v from "npm:valibot@^1.5.0";
import * as z from "zod";
import {
  type CompletionRequest,
  fromMcpTool,
  type JsonSchema,
  type LMStudioProvider,
  type Message,
  type RunToolsResult,
  type StandardSchema,
  type Tool,
  tool,
  type ToolCall,
  type ToolContext,
  type ToolEvent,
} from "../mod.ts";

declare const lmstudio: LMStudioProvider;

/** Compiled, not run. */
function compiles(..._: unknown[]): void {}

Deno.test("tool: returns the definition it is given", () => {
  const definition = { name: "t", execute: () => 1 };
  assertStrictEquals<unknown>(tool(definition), definition);
  assertType<IsExact<ReturnType<typeof tool>, Tool>>(true);
});

Deno.test("tool: zod, its output and not its input", () => {
  const made = tool({
    name: "t",
    parameters: z.object({
      city: z.string(),
      days: z.number().default(1),
      when: z.string().transform((text) => new Date(text)),
    }),
    execute: (args, context) => {
      assertType<IsExact<typeof args, { city: string; days: number; when: Date }>>(true);
      assertType<IsExact<typeof context, ToolContext>>(true);
      return args.when;
    },
  });
  tool({
    name: "t",
    parameters: z.object({ a: z.number() }).transform(({ a }) => a),
    execute(args) {
      assertType<IsExact<typeof args, number>>(true);
    },
  });
  const list: readonly Tool[] = [made];
  compiles(list);
});

Deno.test("tool: Valibot through its adapter, and ArkType", () => {
  const valibot = tool({
    name: "t",
    parameters: toStandardJsonSchema(
      v.object({ city: v.string(), days: v.optional(v.number(), 1) }),
    ),
    execute: (args) => {
      assertType<IsExact<typeof args, { city: string; days: number }>>(true);
    },
  });
  const arktype = tool({
    name: "t",
    parameters: type({ city: "string", "days?": "number" }),
    execute: async (args) => {
      assertType<IsExact<typeof args, { city: string; days?: number }>>(true);
      await Promise.resolve();
    },
  });
  const byHand: StandardSchema<string, { n: number }> = {
    "~standard": { version: 1, vendor: "mine", validate: () => ({ value: { n: 1 } }) },
  };
  const own = tool({
    name: "t",
    parameters: byHand,
    execute: (args) => void assertType<IsExact<typeof args, { n: number }>>(true),
  });
  compiles([valibot, arktype, own] satisfies Tool[]);
});

Deno.test("tool: plain JSON Schema, and none", () => {
  const schema: JsonSchema = { type: "object", properties: { city: { type: "string" } } };
  tool({
    name: "t",
    parameters: schema,
    execute: (args) => void assertType<IsExact<typeof args, Record<string, unknown>>>(true),
  });
  tool({
    name: "t",
    parameters: { type: "object", properties: {} },
    execute: ({ city }) => void assertType<IsExact<typeof city, unknown>>(true),
  });
  tool({
    name: "t",
    execute: (args) => void assertType<IsExact<typeof args, Record<string, unknown>>>(true),
  });
  const without = tool({ name: "t", description: undefined, parameters: undefined });
  assertEquals(without.name, "t");
});

Deno.test("tools: objects without tool() are tools as well", () => {
  const use = () => {
    const request: CompletionRequest = {
      messages: "m",
      tools: [
        { name: "a", execute: (args) => args.city },
        { name: "b", execute: ({ city }: { city: string }) => city },
        { name: "c", execute: (args: unknown) => args, parameters: z.object({}) },
        { name: "d", async execute() {} },
        fromMcpTool({
          name: "e",
          inputSchema: { type: "object" },
          call: () => ({ content: [{ type: "text", text: "t" }], isError: false }),
        }),
      ],
    };
    lmstudio.runTools({ ...request, onToolCall: () => {} });
    lmstudio.runTools({
      ...request,
      onToolCall: (call) => call.name === "a" ? { deny: "no" } : undefined,
    });
    lmstudio.runTools({
      ...request,
      onToolCall: async ({ arguments: text }) => await ({ arguments: text }),
    });
  };
  const wrong = () => {
    // @ts-expect-error the schema gives no such field
    tool({ name: "t", parameters: z.object({ a: z.string() }), execute: ({ b }) => b });
    // @ts-expect-error deny says why
    lmstudio.runTools({ messages: "m", onToolCall: () => ({ deny: true }) });
    // @ts-expect-error `false` is not an answer
    lmstudio.runTools({ messages: "m", onToolCall: () => false });
    // @ts-expect-error the signal is an option
    lmstudio.runTools({ messages: "m", signal: AbortSignal.timeout(1) });
    // @ts-expect-error only of runTools
    lmstudio.complete({ messages: "m", maxRounds: 1 });
  };
  compiles(use, wrong);
});

Deno.test("tools: events are discriminated by type, and the result equals that of runTools", () => {
  const use = async (event: ToolEvent) => {
    if (event.type === "chunk") compiles(event.chunk.content);
    else if (event.type === "call") assertType<IsExact<typeof event.call, ToolCall>>(true);
    else {
      assertType<IsExact<typeof event.result, string>>(true);
      assertType<IsExact<typeof event.isError, boolean>>(true);
    }
    await using stream = lmstudio.streamTools({ messages: "m", tools: [] }, { timeoutMs: 5 });
    for await (const chunk of stream) assertType<IsExact<typeof chunk, ToolEvent>>(true);
    const result = await stream.result();
    assertType<IsExact<typeof result, RunToolsResult>>(true);
    assertType<IsExact<typeof result.messages, Message[]>>(true);
    // The conversation continues.
    await lmstudio.runTools({ messages: [...result.messages, "And then?"] });
  };
  compiles(use);
});
