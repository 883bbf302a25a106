/**
 * Gets typed data out of text:
 *
 *     deno run --allow-net --allow-env examples/objects.ts "Two kilos of apples at 3.20 for Ada."
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
  items: z.array(z.object({
    name: z.string(),
    quantity: z.number().int().positive(),
    price: z.number().describe("per item"),
  })),
});

const lmstudio = new LMStudioProvider();
try {
  const { object, response } = await lmstudio.completeObject({
    messages: [{ role: "system", content: "Write the order as JSON." }, text],
    schema: Order,
    schemaName: "order",
    // An answer that does not match the schema goes back to the model, together with the problems found.
    maxRepairs: 2,
  });
  console.log(`For ${object.customer} (${response.model}):`);
  for (const { name, quantity, price } of object.items) {
    console.log(`${quantity} × ${name} = ${(quantity * price).toFixed(2)}`);
  }
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  if (error.partial !== undefined) console.error(error.partial.content);
  process.exitCode = 1;
}
