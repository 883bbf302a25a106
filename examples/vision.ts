/**
 * What is in an image:
 *
 *     deno run --allow-net --allow-env --allow-read examples/vision.ts cat.png "Which breed is it?"
 *
 * The image is a file or an http(s) address; without one it is a small picture in red and blue.
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { LMStudioProvider } from "../mod.ts";

const PICTURE =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR42mO4oKCAFSk4XMCKGEY1jGoYvhoAXNggEEwbtvwAAAAASUVORK5CYII=";

const [source = PICTURE, question = "What do you see?"] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
try {
  const models = await lmstudio.listModels();
  const seeing = models.filter(({ capabilities }) => capabilities.supportsVision);
  // One that is loaded answers at once.
  const model = seeing.find(({ loaded }) => loaded) ?? seeing[0];
  if (model === undefined) throw new Error("No model takes images: get one with `lms get`.");

  // No path is read by the provider; addresses are fetched, but only http(s).
  const image = /^(?:data|https?):/.test(source) ? source : await readFile(source);
  const { content } = await lmstudio.complete({
    model: model.id,
    messages: [{
      role: "user",
      content: [{ type: "text", text: question }, { type: "image", image }],
    }],
  });
  console.log(`${model.id}: ${content}`);
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
