/**
 * A tool that returns an image for the model to look at:
 *
 *     deno run --allow-net --allow-env examples/tool_images.ts "What does the camera see?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider, tool } from "../mod.ts";

const [question = "What does the camera see?"] = process.argv.slice(2);

// A small picture in red and blue; your own program would take one with a camera.
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
