/**
 * Sorts mails by a decision model: whose they are and how urgent.
 *
 *     deno run --allow-net --allow-env examples/decisions.ts "I was charged twice." "The app crashes."
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
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
          instructions: "Whose mail is this?",
          choices: ["billing", "technical", "other"],
        },
        urgency: { type: "score", instructions: "How urgent?", levels: ["low", "middle", "high"] },
      },
    });
    // What the model is not sure of goes to a person.
    const isSure = team.type === "choice" && team.confidence >= 0.8;
    const level = urgency.type === "score" ? urgency.score.toFixed(1) : "?";
    console.log(`${isSure ? team.choice : "a person"} (urgency ${level} of 2): ${input}`);
  }
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
