/**
 * A conversation that the server stores, with a tool:
 *
 *     deno run --allow-net --allow-env examples/responses.ts
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider, type ResponsesFunctionCallOutput } from "../mod.ts";

const ROOMS: Readonly<Record<string, number>> = { kitchen: 21.5, cellar: 12 };
const tools = [{
  name: "read_thermometer",
  description: "Temperature of a room in degrees Celsius.",
  parameters: {
    type: "object",
    properties: { room: { type: "string", enum: Object.keys(ROOMS) } },
    required: ["room"],
  },
}];

/** The model's arguments may not be JSON, and the room may not exist. */
function readThermometer(text: string): string {
  try {
    const { room } = JSON.parse(text);
    return String(ROOMS[room] ?? `There is no room ${room}.`);
  } catch {
    return "The arguments are not JSON.";
  }
}

const { responses } = new LMStudioProvider();

try {
  let answer = await responses.create({ input: "How warm is the kitchen?", tools });
  while (answer.toolCalls.length > 0) {
    const outputs = answer.toolCalls.map(({ id, arguments: text }): ResponsesFunctionCallOutput => {
      const output = readThermometer(text);
      console.log(`[${text} → ${output}]`);
      return { type: "function_call_output", callId: id, output };
    });
    // The server already has the question and the calls, so send only the outputs.
    answer = await responses.create({ input: outputs, previousResponseId: answer.id, tools });
  }
  console.log(answer.text);

  const stream = responses.stream({
    input: "Say that as a haiku.",
    previousResponseId: answer.id,
  });
  for await (const event of stream) {
    switch (event.type) {
      case "response.output_text.delta":
        process.stdout.write(event.delta);
        break;
      case "response.incomplete":
        process.stdout.write(" (cut off at a limit)");
        break;
    }
  }
  const { model, usage } = await stream.response();
  console.log(`\n\n${model}: ${usage?.totalTokens ?? "?"} tokens`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
