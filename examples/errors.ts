/**
 * What can go wrong, and how to tell the errors apart:
 *
 *     deno run --allow-net --allow-env examples/errors.ts
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { type AnyProviderError, isProviderError, LMStudioProvider } from "../mod.ts";

/** `kind` is a closed union to switch on; `code` names the exact failure. */
function advise(error: AnyProviderError): string {
  switch (error.kind) {
    case "network":
      return `no connection to ${error.endpoint}`;
    case "authentication":
      return "the server requires an API token";
    case "model-not-available":
      return `choose another model: ${error.available?.join(", ") ?? "ask listModels()"}`;
    case "invalid-request":
      return error.code === "context_overflow"
        ? `${error.promptTokens} tokens do not fit into a context of ${error.contextLength}`
        : "fix the request; a retry would fail the same way";
    case "timeout":
      return `no answer within ${error.timeoutMs} ms (${error.phase})`;
    default:
      return error.retriable ? "try again later" : "report it";
  }
}

async function attempt(title: string, run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
    console.log(`${title}: it worked`);
  } catch (error) {
    if (!isProviderError(error)) throw error;
    console.log(`${title}: ${error.name}, code ${error.code}`);
    console.log(`  ${error.message}`);
    console.log(`  Advice: ${advise(error)}\n`);
  }
}

const lmstudio = new LMStudioProvider();
const nobody = new LMStudioProvider({ baseUrl: "http://127.0.0.1:65000", maxRetries: 0 });

await attempt("A server that is not running", () => nobody.listModels());
await attempt(
  "A model that does not exist",
  () => lmstudio.complete({ model: "nobody/has-this-model", messages: "Hello", maxTokens: 1 }),
);
await attempt("A field that does not exist", () =>
  // @ts-expect-error The compiler catches it, too.
  lmstudio.complete({ messages: "Hello", max_tokens: 5 }));
await attempt("A server that is too slow", () => lmstudio.listModels({ timeoutMs: 1 }));
