/** The examples about several servers, run as their header comments say. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { DISCOVERY_VARIABLES } from "../src/discovery/settings.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { serveOllama } from "./support/fake_ollama.ts";
import { closedPort } from "./support/raw_server.ts";
import { WITHOUT_LM_STUDIO } from "./support/script.ts";

const ROOT = new URL("../", import.meta.url);

async function runExample(name: string, env: Record<string, string>, ...args: string[]) {
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  const none = Object.fromEntries(
    [...CONFIG_VARIABLES, ...DISCOVERY_VARIABLES].map((name) => [name, ""]),
  );
  const flags = ["--allow-net", "--allow-env", "--allow-read"];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      WITHOUT_LM_STUDIO,
      ...flags,
      `examples/${name}.ts`,
      ...args,
    ],
    cwd: ROOT,
    env: {
      ...none,
      DENO_DIR: cache,
      NO_COLOR: "1",
      NO_PROXY: "127.0.0.1,localhost",
      LOCAL_AUTO_DISCOVER: "false",
      ...env,
    },
    stdin: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout), errors: decoder.decode(stderr) };
}

Deno.test("examples/discovery.ts: the servers found, and an answer", async () => {
  await using server = await createFakeLMStudio({ models: ["m"], replies: ["Hello!"] }).listen();
  await using ollama = serveOllama({ models: ["a:latest"], version: "0.13.5" });
  const env = { LMSTUDIO_BASE_URL: server.url, OLLAMA_HOST: ollama.url };
  const { code, text, errors } = await runExample("discovery", env);
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(
    text,
    new RegExp(
      `^lmstudio at ${server.url}: available, \\d+ ms\n  m\n` +
        `ollama 0.13.5 at ${ollama.url}: available, \\d+ ms\n  a:latest\n\nlmstudio m: Hello!\n$`,
    ),
  );
});

Deno.test("examples/discovery.ts: without a server one sentence says what to do", async () => {
  const env = { LMSTUDIO_BASE_URL: `http://127.0.0.1:${closedPort()}` };
  const { code, text, errors } = await runExample("discovery", env);
  assertEquals({ code, text }, { code: 1, text: "" });
  assertMatch(errors, /^Cannot find a local server: .*refused the connection.*lms server start/);
});

Deno.test("examples/monitor.ts: reports the server, and ends cleanly", async () => {
  await using server = await createFakeLMStudio({ models: ["m"] }).listen();
  const env = { LMSTUDIO_BASE_URL: server.url };
  const { code, text, errors } = await runExample("monitor", env, "0.5");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertEquals(
    text,
    `lmstudio ${server.url}: available (1 models, 100 % up)\nAvailable at the end: 1\n`,
  );
});

Deno.test("examples/fallback.ts: uses the second server if the first is off", async () => {
  await using server = await createFakeLMStudio({ models: ["m"], replies: ["Because."] }).listen();
  const first = `http://127.0.0.1:${closedPort()}`;
  const env = { LMSTUDIO_BASE_URL: server.url };
  const { code, text, errors } = await runExample("fallback", env, first);
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertEquals(text, "Because.\n\nm answered.\n");
  const none = await runExample("fallback", { LMSTUDIO_BASE_URL: first }, first);
  assertEquals([none.code, none.text], [1, ""]);
  assertEquals(none.errors.match(/refused the connection/g)?.length, 2);
  assertStringIncludes(none.errors, "lms server start");
});
