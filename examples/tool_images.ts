/**
 * A tool that gives an image, which the model is shown:
 *
 *     deno run --allow-net --allow-env examples/tool_images.ts "What does the camera see?"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider, tool } from "../mod.ts";

const [question = "What does the camera see?"] = process.argv.slice(2);

// A small picture in red and blue, where a program of yours would take one.
const PICTURE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR42mO4oKCAFSk4XMCKGEY1jGoYvhoAXNggEEwbtvwAAAAASUVORK5CYII=";

const camera = tool({
  name: "camera",
  description: "Takes a picture",
  execute: () => [{ type: "text", text: "Front door:" }, { type: "image", image: PICTURE }],
});

try {
  const { response, messages } = await new LMStudioProvider().runTools({
    messages: question,
    tools: [camera],
  });
  const roles = messages.map(({ role }) => role).join(", ");
  console.log(`${response.content}\n\n(${roles})`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
