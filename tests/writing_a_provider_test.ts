/** The provider of docs/writing-a-provider.md conforms to the interface. */
import { assert, assertEquals } from "@std/assert";
import { LlamaCppProvider } from "../examples/llamacpp_provider.ts";
import { createFakeLMStudio, testModelProvider } from "../src/testing/mod.ts";

const ROOT = new URL("../", import.meta.url);

Deno.test("writing a provider: the document shows the provider tested here", async () => {
  const document = await Deno.readTextFile(new URL("docs/writing-a-provider.md", ROOT));
  const source = await Deno.readTextFile(new URL("examples/llamacpp_provider.ts", ROOT));
  const shown = source.trim().replace('"../mod.ts"', '"jsr:@patinox/lmstudio"');
  assert(document.includes("```ts\n" + shown + "\n```"), "the document shows other code");
  const code = source.slice(source.indexOf("/** llama.cpp")).trim().split("\n");
  assert(code.length <= 60, `${code.length} lines are more than 60`);
});

Deno.test("writing a provider: it passes testModelProvider", async () => {
  // The fake's OpenAI-compatible routes and llama.cpp's own; nothing of LM Studio's API.
  const { handler } = createFakeLMStudio();
  const seen: string[] = [];
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    seen.push(pathname);
    if (pathname === "/props") {
      return Response.json({ default_generation_settings: { n_ctx: 8192 }, total_slots: 1 });
    }
    return pathname.startsWith("/v1/") ? handler(request) : Response.json(
      { error: { code: 404, message: "File Not Found", type: "not_found_error" } },
      {
        status: 404,
      },
    );
  });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr;
  closed.close();
  const url = `http://127.0.0.1:${server.addr.port}`;

  await testModelProvider(
    "llama.cpp",
    (situation) => new LlamaCppProvider(situation === "working" ? url : `http://127.0.0.1:${port}`),
  );

  const [model] = await new LlamaCppProvider(url).listModels();
  assertEquals([model?.provider, model?.capabilities.maxTokens], ["llamacpp", 8192]);
  assertEquals(
    seen.filter((path) => path.startsWith("/api/")),
    [],
    "asks for nothing of LM Studio",
  );
});
