/** The surroundings of the calls: the process's configuration, its proxies, its end. */
import { LMStudioProvider, resolveConfig } from "@patinox/lmstudio";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertFields, check, NODE_MAJOR, runScript, RUNTIME, withTcp } from "./harness.mjs";

/** A finished script exits at once; runtimes take some time to exit. */
const END_LIMIT_MS = 2_500;

await check("the process's environment configures", () =>
  withFake(async (url) => {
    const variables = {
      PATINOX_LMSTUDIO_BASE_URL: `${url}/v1/`,
      LMSTUDIO_MODEL: "qwen/qwen3-8b",
      LMSTUDIO_TIMEOUT: "45s",
      LMSTUDIO_MAX_RETRIES: "",
    };
    await withEnvironment(variables, async () => {
      const provider = new LMStudioProvider();
      assert.equal((await provider.complete("?")).content, "ok");
      const entries = entriesOf(provider);
      assertFields(entries.baseUrl, {
        value: url,
        source: "environment",
        origin: "PATINOX_LMSTUDIO_BASE_URL",
      });
      assertFields(entries.timeoutMs, { value: 45_000, source: "environment" });
      assertFields(entries.maxRetries, { value: 2, source: "default" });
    });
    await withEnvironment({ LMSTUDIO_TIMEOUT: "soon" }, () => {
      const message = /LMSTUDIO_TIMEOUT.*"soon"/;
      assert.throws(() => new LMStudioProvider(), { code: "invalid_configuration", message });
    });
  }));

await check("configFile and envFile apply, each overridden by the next source", async () => {
  await withFake((url) =>
    withFolder(async (folder) => {
      const configFile = join(folder, "lmstudio.json");
      const envFile = join(folder, ".env");
      await writeFile(configFile, JSON.stringify({ baseUrl: url, model: "file", maxRetries: 1 }));
      await writeFile(envFile, 'LMSTUDIO_MODEL="dotenv" # a comment\nLMSTUDIO_TIMEOUT=7\n');
      const files = { configFile, envFile, env: {} };
      assertFields(resolveConfig(files), {
        baseUrl: url,
        model: "dotenv",
        timeoutMs: 7_000,
        maxRetries: 1,
      });
      assertFields(resolveConfig(files, { LMSTUDIO_MODEL: "environment" }), {
        model: "environment",
      });
      assertFields(resolveConfig({ ...files, model: "option" }), { model: "option" });
      const provider = new LMStudioProvider({ ...files, model: "qwen/qwen3-8b" });
      assert.equal((await provider.complete("?")).content, "ok");
      const entries = entriesOf(provider);
      assertFields(entries.baseUrl, { source: "file", origin: configFile });
      assertFields(entries.timeoutMs, { source: "dotenv", origin: envFile });
    })
  );
});

await check("a configuration file that is missing or wrong is named", async () => {
  await withFolder(async (folder) => {
    const wrong = join(folder, "wrong.json");
    await writeFile(wrong, '{"baseURL":"http://127.0.0.1"}');
    for (
      const [options, message] of [
        [{ configFile: join(folder, "none.json") }, /none\.json.*no such file/],
        [{ envFile: join(folder, "none.env") }, /none\.env.*no such file/],
        [{ configFile: wrong }, /wrong\.json.*baseURL.*baseUrl/],
      ]
    ) {
      const expected = { code: "invalid_configuration", message };
      assert.throws(() => resolveConfig({ ...options, env: {} }), expected);
    }
  });
});

await check("a script ends on its own", () =>
  withFake(async (url) => {
    const nowhere = await withTcp(() => {}, (url) => url);
    const outcome = await runUserScript([url, nowhere]);
    const expected = { models: 2, content: "ok", vectors: 2, code: "connection_refused" };
    assertFields(outcome, { ...expected, firstToken: "ok", left: 5, alreadyLoaded: true });
  }));

/**
 * Deno and Bun use proxies from the environment by default, Node only since 22 and if told to. This proxy
 * reaches no host: Deno and Bun request the page from it and get its 502, Node requests a tunnel and fails.
 */
const REFUSAL = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 12\r\n\r\nno such host";
for (const noProxy of ["", "127.0.0.1,localhost"]) {
  await check(`HTTP_PROXY with NO_PROXY="${noProxy}"`, async () => {
    await withTcp(
      (socket) => socket.once("data", () => socket.end(REFUSAL)),
      (proxy) =>
        withFake(async (url) => {
          const outcome = await runUserScript([url, url], {
            HTTP_PROXY: proxy,
            http_proxy: proxy,
            NO_PROXY: noProxy,
            no_proxy: noProxy,
            NODE_USE_ENV_PROXY: "1",
          });
          const isDirect = noProxy !== "" || NODE_MAJOR === 20;
          const refused = RUNTIME === "node"
            ? { models: undefined, code: /^connection_/ }
            : { code: "server_error", hint: /NO_PROXY=127\.0\.0\.1,localhost/ };
          assertFields(
            outcome,
            isDirect ? { models: 2, content: "ok", code: undefined } : refused,
          );
        }),
    );
  });
}

async function runUserScript(args, env) {
  const { code, output, errors, endedAfterMs } = await runScript("script.mjs", args, {
    // Node warns that its proxies are experimental.
    env: { ...env, NODE_NO_WARNINGS: "1" },
  });
  assert.equal(code, 0, `ended with ${code}: ${output}\n${errors}`);
  assert.equal(errors, "");
  assert.ok(
    endedAfterMs < END_LIMIT_MS,
    `ended ${Math.round(endedAfterMs)} ms after its last line`,
  );
  return JSON.parse(output);
}

async function withFake(use) {
  const models = ["qwen/qwen3-8b", "text-embedding-nomic-embed-text-v1.5"];
  // Tokens for minutes: leaving a stream must not wait for them.
  const replies = ({ stream }) => stream ? { content: Array(600).fill("ok") } : "ok";
  const downloads = [{ model: "ibm/granite-4-micro" }];
  const server = await createFakeLMStudio({ models, replies, downloads, tokenMs: 1 }).listen();
  try {
    return await use(server.url);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

async function withFolder(use) {
  const folder = await mkdtemp(join(tmpdir(), "lmstudio-scenario-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function withEnvironment(variables, use) {
  const before = Object.keys(variables).map((name) => [name, process.env[name]]);
  Object.assign(process.env, variables);
  try {
    return await use();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function entriesOf(provider) {
  return Object.fromEntries(provider.explainConfig().map((entry) => [entry.key, entry]));
}
