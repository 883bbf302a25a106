/**
 * What can go wrong, and how to tell:
 *
 *     deno run --allow-net --allow-env examples/errors.ts
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import { type AnyProviderError, isProviderError, LMStudioProvider } from "../mod.ts";

/** `kind` is a closed list to switch on; `code` says exactly which failure it is. */
function advise(error: AnyProviderError): string {
  switch (error.kind) {
    case "network":
      return `no connection to ${error.endpoint}`;
    case "authentication":
      return "the server wants a token";
    case "model-not-available":
      return `choose another model: ${error.available?.join(", ") ?? "ask listModels()"}`;
    case "invalid-request":
      return error.code === "context_overflow"
        ? `${error.promptTokens} tokens do not fit into ${error.contextLength}`
        : "the request is wrong, a retry would be too";
    case "timeout":
      return `no answer in ${error.timeoutMs} ms (${error.phase})`;
    default:
      return error.retriable ? "try again later" : "report it";
  }
}

async function attempt(title: string, run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
    console.log(`${title}: worked`);
  } catch (error) {
    if (!isProviderError(error)) throw error;
    console.log(`${title}: ${error.name}, code ${error.code}`);
    console.log(`  ${error.message}`);
    console.log(`  So: ${advise(error)}\n`);
  }
}

const lmstudio = new LMStudioProvider();
const nobody = new LMStudioProvider({ baseUrl: "http://127.0.0.1:65000", maxRetries: 0 });

await attempt("A server that is not there", () => nobody.listModels());
await attempt(
  "A model that is not there",
  () => lmstudio.complete({ model: "nobody/has-this-model", messages: "Hello", maxTokens: 1 }),
);
await attempt("A field that does not exist", () =>
  // @ts-expect-error The compiler finds it as well.
  lmstudio.complete({ messages: "Hello", max_tokens: 5 }));
await attempt("A server that is too slow", () => lmstudio.listModels({ timeoutMs: 1 }));
