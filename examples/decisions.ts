/**
 * Sorts mail with a decision model, by team and urgency:
 *
 *     deno run --allow-net --allow-env examples/decisions.ts "I was charged twice." "The app crashes."
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const lmstudio = new LMStudioProvider();
try {
  for (const input of process.argv.slice(2)) {
    const { answers: { team, urgency } } = await lmstudio.decide({
      input,
      questions: {
        team: {
          type: "choice",
          instructions: "Which team should handle this mail?",
          choices: ["billing", "technical", "other"],
        },
        urgency: { type: "score", instructions: "How urgent?", levels: ["low", "medium", "high"] },
      },
    });
    // If the model is not sure, a person decides.
    const isSure = team.type === "choice" && team.confidence >= 0.8;
    const level = urgency.type === "score" ? urgency.score.toFixed(1) : "?";
    console.log(`${isSure ? team.choice : "a person"} (urgency ${level} of 2): ${input}`);
  }
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
