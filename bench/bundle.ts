/** Size of a program for the browser that streams one completion: what it loads at startup, minified and gzipped. */
import { bundle, gzipKilobytes, readChunks } from "../tests/runtimes/chunks.ts";
import type { ClientName } from "./rows.ts";

const PROGRAMS: Partial<Record<ClientName, string>> = {
  ours: `import { LMStudioProvider } from "@patinox/lmstudio";
const lmstudio = new LMStudioProvider({ model: "qwen/qwen3-8b" });
for await (const { content } of lmstudio.streamCompletion("Hello")) console.log(content);`,
  openai: `import OpenAI from "openai";
const openai = new OpenAI({ baseURL: "http://127.0.0.1:1234/v1", apiKey: "none" });
const messages = [{ role: "user", content: "Hello" }];
const chunks = await openai.chat.completions.create({ model: "qwen/qwen3-8b", messages, stream: true });
for await (const { choices } of chunks) console.log(choices[0]?.delta.content);`,
  "ai-sdk": `import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
const model = createOpenAICompatible({ name: "lmstudio", baseURL: "http://127.0.0.1:1234/v1" })("qwen/qwen3-8b");
const prompt = [{ role: "user", content: [{ type: "text", text: "Hello" }] }];
for await (const part of (await model.doStream({ prompt })).stream) console.log(part.delta);`,
  langchain: `import { ChatOpenAI } from "@langchain/openai";
const model = new ChatOpenAI({ model: "qwen/qwen3-8b", configuration: { baseURL: "http://127.0.0.1:1234/v1" } });
for await (const { content } of await model.stream("Hello")) console.log(content);`,
  ollama: `import { Ollama } from "ollama/browser";
const messages = [{ role: "user", content: "Hello" }];
const chunks = await new Ollama().chat({ model: "qwen/qwen3-8b", messages, stream: true });
for await (const { message } of chunks) console.log(message.content);`,
};

/** Size in kB, without chunks that load on first use and without zod. */
export async function bundleKilobytes(client: ClientName, folder: string): Promise<number> {
  const entry = {
    cwd: folder,
    file: `bundle_${client}.mjs`,
    outdir: `${folder}/bundles/${client}`,
    flags: ["--minify", "--external", "zod", "--external", "zod/*"],
  };
  await Deno.writeTextFile(`${folder}/${entry.file}`, PROGRAMS[client] ?? "");
  const { success, stderr } = await bundle(entry);
  if (!success) throw new Error(`Cannot bundle ${client}: ${stderr}`);
  return gzipKilobytes((await readChunks(entry)).atStart);
}
