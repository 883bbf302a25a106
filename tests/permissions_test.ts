/** What the module may do in Deno: connect to its server, and read the documented variables. */
import { assert, assertEquals } from "@std/assert";
import { rawServer } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";
import { events, serveStub } from "./support/stub_server.ts";
import { answer, EMBEDDING, FINISH, gate, LISTING, token } from "./support/wire.ts";

/** Calls everything that needs a permission, and prints the outcome. */
const SCRIPT = `import { LMStudioProvider, resolveConfig } from "mod";
const lmstudio = new LMStudioProvider({ baseUrl: Deno.args[0], maxRetries: 0 });
resolveConfig();
console.log((await lmstudio.listModels()).length);
console.log((await lmstudio.complete("Hello")).content);
for await (const text of lmstudio.streamCompletion("Hello").textStream) console.log(text);
console.log((await lmstudio.embed({ model: "m", input: "text" })).embeddings.length);
console.log(await lmstudio.supportsModel("m"), (await lmstudio.modelCapabilities("m")).maxTokens);
// Held back for 3 × this timeout, so that the connection probe runs.
console.log((await lmstudio.complete("slow", { connectTimeoutMs: 100 })).content);
// Every path to an error, with its hints.
for (const [model, timeoutMs] of [["bad gateway", 20_000], ["silent", 50]]) {
  const options = { timeoutMs };
  await lmstudio.complete({ model, messages: "Hello" }, options).catch((error) =>
    console.log(error.code)
  );
}`;

const OUTPUT = "1\nHi\nHi\n1\ntrue 4096\nHi\nserver_error\ntimeout_total";

function serve() {
  return serveStub({
    "GET /api/v1/models": { body: LISTING },
    "POST /v1/embeddings": { body: EMBEDDING },
    "POST /v1/chat/completions": async ({ body }) => {
      if (body.stream === true) return events([token("Hi"), FINISH]);
      if (body.model === "bad gateway") return { status: 502, body: "<html>" };
      if (body.model === "silent") return { end: "hang" };
      if (JSON.stringify(body).includes("slow")) {
        await new Promise((resolve) => setTimeout(resolve, 320));
      }
      return { body: answer("Hi") };
    },
  });
}

Deno.test("everything works with just --allow-net=127.0.0.1, and requests no other permission", async () => {
  await using server = serve();
  const flags = ["--allow-net=127.0.0.1"];
  const { code, output, errors, permissions } = await runScript(SCRIPT, flags, {
    args: [server.url],
  });
  assertEquals([code, output, errors], [0, OUTPUT, ""]);
  const { host } = new URL(server.url);
  const others = permissions.filter((permission) =>
    !permission.startsWith(`net ${host}`) && !permission.startsWith(`net ${server.url}/`)
  );
  assertEquals(others, []);
  assert(permissions.length > 0, "the audit of permissions tells nothing any more");
});

Deno.test("permission for just the port is enough, as an error's hint says", async () => {
  await using server = serve();
  const flags = [`--allow-net=${new URL(server.url).host}`];
  const { output, errors } = await runScript(SCRIPT, flags, { args: [server.url] });
  assertEquals([output, errors], [OUTPUT, ""]);
});

Deno.test("a name is probed under the permission for that name", async () => {
  const probed = gate();
  await using server = rawServer(async (connection) => {
    // The probe closes silently; the request is answered only afterwards.
    if (await connection.request() === "") return probed.open();
    await Promise.race([probed.opened, connection.gone()]);
    await connection.respond(200, answer("Hi"));
  });
  const url = `http://localhost:${server.port}`;
  const { output, errors } = await runScript(
    `import { LMStudioProvider } from "mod";
    const lmstudio = new LMStudioProvider({ baseUrl: "${url}", model: "m", connectTimeoutMs: 200 });
    console.log((await lmstudio.complete("Hello")).content);`,
    [`--allow-net=localhost:${server.port}`],
  );
  assertEquals([output, errors], ["Hi", ""]);
});

Deno.test("a probe without permission says nothing", async () => {
  await using server = rawServer((connection) => connection.gone());
  const probe = new URL("../src/platform/network.ts", import.meta.url).href;
  const { output, errors } = await runScript(
    `import { acceptsConnections } from "${probe}";
    for (const url of Deno.args) {
      console.log(await acceptsConnections(url, 5000, new AbortController().signal));
    }`,
    [`--allow-net=127.0.0.1:${server.port}`],
    { args: [server.url, "http://127.0.0.1:1", "http://localhost"] },
  );
  assertEquals([output, errors], ["true\nundefined\nundefined", ""]);
});

Deno.test("with access to the environment, only documented variables are read", async () => {
  await using server = serve();
  const flags = ["--allow-net=127.0.0.1", "--allow-env"];
  const { output, permissions } = await runScript(SCRIPT, flags, { args: [server.url] });
  assertEquals(output, OUTPUT);
  const read = permissions.filter((permission) => permission.startsWith("env ")).sort();
  assertEquals(
    read,
    [
      "HTTP_PROXY",
      "LMSTUDIO_API_BASE",
      "LMSTUDIO_API_KEY",
      "LMSTUDIO_BASE_URL",
      "LMSTUDIO_DECISION_MODEL",
      "LMSTUDIO_EMBEDDING_MODEL",
      "LMSTUDIO_ENDPOINT",
      "LMSTUDIO_HOST",
      "LMSTUDIO_MAX_RETRIES",
      "LMSTUDIO_MODEL",
      "LMSTUDIO_TIMEOUT",
      "LMSTUDIO_URL",
      "LM_API_KEY",
      "LM_API_TOKEN",
      "LM_BASE_URL",
      "LM_STUDIO_API_BASE",
      "LM_STUDIO_API_KEY",
      "LM_STUDIO_BASE_URL",
      "LM_STUDIO_URL",
      "NO_PROXY",
      "PATINOX_LMSTUDIO_BASE_URL",
      "PATINOX_MODEL_TIMEOUT",
    ].map((name) => `env ${name}`),
  );
});

Deno.test("importing alone needs no permission", async () => {
  const { code, output, permissions } = await runScript(
    `import * as mod from "mod";
    console.log(typeof mod.LMStudioProvider);`,
    ["-A"],
  );
  assertEquals([code, output, permissions], [0, "function", []]);
});
