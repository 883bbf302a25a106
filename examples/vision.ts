/**
 * Asks about an image:
 *
 *     deno run --allow-net --allow-env --allow-read examples/vision.ts cat.png "Which breed is it?"
 *
 * The image is a file or an http(s) URL; the default is a small picture in red and blue.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
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
  // A loaded model answers at once.
  const model = seeing.find(({ loaded }) => loaded) ?? seeing[0];
  if (model === undefined) throw new Error("No model accepts images. Get one with `lms get`.");

  // The provider reads no files, but it downloads http(s) URLs.
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
