/**
 * A form that fills in field by field while the model writes:
 *
 *     deno run --allow-net --allow-env examples/object_stream.ts "Two kilos of apples at 3.20 for Ada."
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import * as z from "zod";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [text = "Ada takes two apples at 0.40 and a loaf of bread at 3.20."] = process.argv.slice(2);

const Order = z.object({
  customer: z.string(),
  items: z.array(z.object({ name: z.string(), quantity: z.number().int().positive() })),
});

const lmstudio = new LMStudioProvider();
try {
  const stream = lmstudio.streamObject({
    messages: [{ role: "system", content: "Write the order as JSON." }, text],
    schema: Order,
  });
  for await (const { customer = "…", items = [] } of stream) {
    const lines = items.map(({ name = "…", quantity = "…" }) => `${quantity} × ${name}`);
    console.log(`${customer}: ${lines.join(", ")}`);
  }
  // Only the final object is validated.
  const { object, response } = await stream.response();
  console.log(`${object.items.length} items for ${object.customer} (${response.model})`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
