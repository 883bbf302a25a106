/**
 * Bundles the page in this folder and serves it on this machine:
 *
 *     deno run -A examples/browser/serve.ts
 *     deno run -A examples/browser/serve.ts --fake
 *
 * With `--fake` the page talks to a fake LM Studio, so that you can try it without the real one.
 */
import process from "node:process";
import { createFakeLMStudio } from "../../src/testing/mod.ts";

const FOLDER = new URL("./", import.meta.url);
const PORT = 8123;
const DEFAULT_ADDRESS = "http://127.0.0.1:1234";
const ANSWER =
  "Because air scatters short waves more than long ones: of the sun's light, blue reaches " +
  "the eye from every direction of the sky.";

/** Options of `servePage`. */
export interface PageOptions {
  /** Port on 127.0.0.1; 0 means any free port. @default {8123} */
  port?: number;
  /** Address of LM Studio that the page starts with. @default {http://127.0.0.1:1234} */
  address?: string;
  /** Additional response headers. */
  headers?: Record<string, string>;
}

/** Bundles the page and serves it. */
export async function servePage(
  { port = PORT, address = DEFAULT_ADDRESS, headers = {} }: PageOptions,
): Promise<Deno.HttpServer<Deno.NetAddr>> {
  const script = await bundle();
  const html = (await Deno.readTextFile(new URL("index.html", FOLDER)))
    .replace(DEFAULT_ADDRESS, address);
  const style = await Deno.readTextFile(new URL("page.css", FOLDER));
  const files: Record<string, [type: string, text: string]> = {
    "/": ["text/html", html],
    "/page.css": ["text/css", style],
    "/page.js": ["text/javascript", script],
  };
  return Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, ({ url }) => {
    const [type, text] = files[new URL(url).pathname] ?? [];
    if (type === undefined) return new Response(null, { status: 404 });
    return new Response(text, { headers: { ...headers, "content-type": type } });
  });
}

async function bundle(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "browser", "--minify", "page.ts"],
    cwd: FOLDER,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return decoder.decode(stdout);
}

if (import.meta.main) {
  const fake = process.argv.includes("--fake")
    ? await createFakeLMStudio({
      cors: true,
      replies: () => ({ reasoning: "The user asks why. Scattering explains it.", content: ANSWER }),
      firstTokenMs: 400,
      tokenMs: 40,
      models: [{ id: "qwen/qwen3-vl-8b", vision: true }, "openai/gpt-oss-20b"],
    }).listen()
    : undefined;
  const { addr } = await servePage(fake === undefined ? {} : { address: fake.url });
  console.log(`Open http://127.0.0.1:${addr.port}`);
}
