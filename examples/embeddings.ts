/**
 * Searches by meaning:
 *
 *     deno run --allow-net --allow-env examples/embeddings.ts "How do I get my money back?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "How do I get my money back?"] = process.argv.slice(2);
const NOTES = [
  "Refunds: send the form within 30 days, and you get your money back within a week.",
  "The office is open from nine to five, and closed on public holidays.",
  "Passwords are reset on the sign-in page, by the link below the form.",
];

const lmstudio = new LMStudioProvider();
try {
  const { model, embeddings } = await lmstudio.embed({ input: [question, ...NOTES] });
  const [asked = [], ...notes] = embeddings;
  const ranked = NOTES
    .map((note, index) => ({ note, similarity: cosine(asked, notes[index] ?? []) }))
    .sort((a, b) => b.similarity - a.similarity);
  console.log(`${question} (${model})`);
  for (const { note, similarity } of ranked) console.log(similarity.toFixed(3), note);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

/** Cosine similarity: 1 for the same direction, 0 for nothing in common. */
function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
