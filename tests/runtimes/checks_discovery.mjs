/** Discovery, monitoring and fallback, as far as runtimes differ. */
import { FallbackProvider, LMStudioProvider, ServiceDiscovery } from "@patinox/lmstudio";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { assertFields, check, failureOf, runScript, withTcp } from "./harness.mjs";

/** Long enough for a busy machine to connect, short enough to wait for. */
const PROBE_MS = 1000;

await check("discover: LM Studio is found, silent and closed ports are not", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const server = await fake.listen();
  try {
    await withTcp(() => {}, async (silent) => {
      const endpoints = [silent, await nowhere(), server.url];
      const discovery = new ServiceDiscovery({
        env: {},
        timeoutMs: PROBE_MS,
        candidates: endpoints.map((endpoint) => ({ type: "lmstudio", endpoint })),
      });
      const found = await discovery.discover();
      assert.deepEqual(found.map(({ endpoint, models }) => [endpoint, models]), [
        [server.url, ["m"]],
      ]);
    });
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

await check("discover: LM Studio's own settings are read", async () => {
  const server = await createFakeLMStudio().listen();
  const home = await mkdtemp(`${tmpdir()}/lmstudio-home-`);
  try {
    const folder = `${home}/.lmstudio/.internal`;
    await mkdir(folder, { recursive: true });
    await writeFile(`${folder}/http-server-config.json`, JSON.stringify({ port: server.port }));
    const provider = await LMStudioProvider.discover({ env: { HOME: home } });
    const { value } = provider.explainConfig().find(({ key }) => key === "baseUrl");
    assert.equal(value, server.url);
  } finally {
    await rm(home, { recursive: true });
    await server[Symbol.asyncDispose]();
  }
});

await check("discover: nothing found says what was tried", async () => {
  const endpoint = await nowhere();
  const discovery = { candidates: [{ type: "lmstudio", endpoint }] };
  const error = await failureOf(LMStudioProvider.discover({ env: {}, discovery }));
  assertFields(error, {
    name: "NetworkError",
    code: "service_not_found",
    hint: /lms server start/,
  });
  assert.match(error.message, /refused the connection/);
});

await check("a script that starts a monitor ends at once", async () => {
  const server = await createFakeLMStudio().listen();
  try {
    const args = [server.url, await nowhere()];
    const { code, output, errors, endedAfterMs } = await runScript("monitor_script.mjs", args);
    assert.deepEqual({ code, errors }, { code: 0, errors: "" });
    assert.deepEqual(output.split("\n").sort(), ["0 available", "1 degraded"]);
    // Its next check would come after an hour.
    assert.ok(endedAfterMs < 3000, `ended after ${endedAfterMs} ms`);
  } finally {
    await server[Symbol.asyncDispose]();
  }
});

await check("fallback: a host that is killed loses no call", async () => {
  const serve = (reply) => createFakeLMStudio({ models: ["m"], replies: () => reply }).listen();
  const [first, second] = await Promise.all([serve("first"), serve("second")]);
  try {
    const provider = new FallbackProvider(
      [first, second].map(({ url }) => new LMStudioProvider({ baseUrl: url, env: {} })),
    );
    const ask = async () => (await provider.complete({ model: "m", messages: "?" })).content;
    assert.equal(await ask(), "first");
    await first[Symbol.asyncDispose]();
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ["second", "second", "second"]);
  } finally {
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  }
});

/** An address where nothing listens anymore. */
async function nowhere() {
  const server = await createFakeLMStudio().listen();
  await server[Symbol.asyncDispose]();
  return server.url;
}
