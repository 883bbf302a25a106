/** Which server gets API token and headers if discovery finds another one than they were set for. */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import {
  AuthenticationError,
  createDefaultProvider,
  LMStudioProvider,
  type LMStudioProviderOptions,
  LocalProvider,
  type ModelProvider,
  ServiceDiscovery,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudio } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import { rejection } from "./support/wire.ts";

const TOKEN = "sk-lm-abcdefgh:12345678901234567890";
const HEADER = "gateway-key-0123456789";

/** Everything a server was sent, to search for secrets. */
function seenBy({ requests }: FakeLMStudio): string {
  assert(requests.length > 1, "the server was not asked at all");
  return JSON.stringify(requests.map(({ headers, path, body }) => [headers, path, body]));
}

/** Credentials set along with an address, by where they are set. */
async function withSources(
  baseUrl: string,
  run: (name: string, options: LMStudioProviderOptions) => Promise<void>,
): Promise<void> {
  const secrets = { apiToken: TOKEN, headers: { "x-gateway": HEADER } };
  const folder = await Deno.makeTempDir();
  const configFile = `${folder}/config.json`;
  const envFile = `${folder}/.env`;
  try {
    await Deno.writeTextFile(configFile, JSON.stringify({ baseUrl, ...secrets }));
    await Deno.writeTextFile(envFile, `LMSTUDIO_ENDPOINT=${baseUrl}\nLM_STUDIO_API_KEY=${TOKEN}\n`);
    await run("options", { baseUrl, ...secrets, env: {} });
    await run("environment", {
      headers: secrets.headers,
      env: { LMSTUDIO_BASE_URL: baseUrl, LM_API_TOKEN: TOKEN },
    });
    await run("file", { configFile, env: {} });
    await run("env file", { envFile, headers: secrets.headers, env: {} });
    await run("address in the environment, token as an option", {
      ...secrets,
      env: { LMSTUDIO_HOST: baseUrl },
    });
    await run("address as an option, token in a file", {
      baseUrl: `${baseUrl}/`,
      configFile,
      env: { LM_API_TOKEN: TOKEN },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const WAYS: Readonly<Record<string, (options: LMStudioProviderOptions) => Promise<ModelProvider>>> =
  {
    "LMStudioProvider.discover": (options) => LMStudioProvider.discover(options),
    // deno-lint-ignore require-await -- one shape for all ways
    LocalProvider: async (options) => new LocalProvider(options),
    "createDefaultProvider, local": (options) =>
      createDefaultProvider({
        ...options,
        env: { ...options.env, PATINOX_MODEL_PROVIDER: "local" },
      }),
    "createDefaultProvider, Ollama preferred": (options) =>
      createDefaultProvider({
        ...options,
        env: { ...options.env, LOCAL_PROVIDER_PREFERENCE: "ollama" },
      }),
  };

for (const [way, make] of Object.entries(WAYS)) {
  Deno.test(`${way}: credentials for a server that is down go to no other server`, async () => {
    const down = `http://127.0.0.1:${closedPort()}`;
    await withSources(down, async (name, options) => {
      const stranger = createFakeLMStudio({ models: ["m"] });
      await using server = await stranger.listen();
      for (
        const discovery of [
          {
            candidates: [down, server.url].map((endpoint) => ({
              type: "lmstudio" as const,
              endpoint,
            })),
          },
          new ServiceDiscovery({
            env: {},
            candidates: [{ type: "lmstudio", endpoint: server.url }],
          }),
        ]
      ) {
        const provider = await make({ ...options, maxRetries: 0, discovery });
        assertEquals((await provider.listModels()).map(({ id }) => id), ["m"]);
        await provider.complete({ model: "m", messages: "Hello" });
        await provider.streamCompletion({ model: "m", messages: "Hello" }).response();
        const seen = seenBy(stranger);
        assertFalse(seen.includes(TOKEN) || seen.includes(HEADER), `${name}: ${seen}`);
      }
    });
  });

  Deno.test(`${way}: credentials go to the server they were set for`, async () => {
    const fake = createFakeLMStudio({ models: ["m"], apiToken: TOKEN });
    await using server = await fake.listen();
    await withSources(server.url, async (name, options) => {
      const discovery = { candidates: [{ type: "lmstudio" as const, endpoint: server.url }] };
      const provider = await make({ ...options, maxRetries: 0, discovery });
      await provider.complete({ model: "m", messages: "Hello" });
      const last = fake.requests.at(-1)?.headers;
      assertEquals([last?.authorization, last?.["x-gateway"]], [`Bearer ${TOKEN}`, HEADER], name);
    });
  });
}

/** A network with an LM Studio at these hosts only. */
function network(hosts: readonly string[], fake: FakeLMStudio): typeof fetch {
  return (input, init) => {
    const request = new Request(input, init);
    return hosts.includes(new URL(request.url).host)
      ? Promise.resolve(fake.fetch(request))
      : Promise.reject(new TypeError("nobody there"));
  };
}

Deno.test("without a configured address, servers on this machine get the API token, others do not", async () => {
  for (
    const [host, gets] of [
      ["127.0.0.1:1234", true],
      ["localhost:4321", true],
      ["[::1]:1234", true],
      ["192.168.1.20:1234", false],
      ["127.0.0.1.example:1234", false],
    ] as const
  ) {
    for (const make of Object.values(WAYS)) {
      const fake = createFakeLMStudio({ models: ["m"] });
      const provider = await make({
        env: { LM_API_TOKEN: TOKEN },
        headers: { "x-gateway": HEADER },
        fetch: network([host], fake),
        maxRetries: 0,
        discovery: { candidates: [{ type: "lmstudio", endpoint: host }] },
      });
      await provider.complete({ model: "m", messages: "Hello" });
      const greeting = fake.requests.find(({ path }) => path === "/lmstudio-greeting")?.headers;
      assertEquals([greeting?.authorization, greeting?.["x-gateway"]], [undefined, undefined]);
      const seen = seenBy(fake);
      assertEquals([seen.includes(TOKEN), seen.includes(HEADER)], [gets, gets], host);
    }
  }
});

Deno.test("an address of this machine's own network cards is this machine's", async () => {
  const own = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  // A machine without a network has no addresses to tell apart.
  if (own === undefined) return;
  const home = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${home}/.lmstudio/.internal`, { recursive: true });
    await Deno.writeTextFile(
      `${home}/.lmstudio/.internal/http-server-config.json`,
      JSON.stringify({ port: 4321, networkInterface: own.address }),
    );
    const fake = createFakeLMStudio({ models: ["m"], apiToken: TOKEN });
    const provider = await LMStudioProvider.discover({
      env: { HOME: home, LM_API_TOKEN: TOKEN },
      fetch: network([`${own.address}:4321`], fake),
    });
    assertEquals((await provider.listModels()).map(({ id }) => id), ["m"]);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("an address in LM Studio's settings may belong to another machine by now", async () => {
  const home = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${home}/.lmstudio/.internal`, { recursive: true });
    await Deno.writeTextFile(
      `${home}/.lmstudio/.internal/http-server-config.json`,
      '{"port":4321,"networkInterface":"198.51.100.7"}',
    );
    const fake = createFakeLMStudio({ models: ["m"] });
    const provider = await LMStudioProvider.discover({
      env: { HOME: home, LM_API_TOKEN: TOKEN },
      fetch: network(["198.51.100.7:4321"], fake),
    });
    await provider.listModels();
    assertFalse(seenBy(fake).includes(TOKEN));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("same host and another port, same host and another scheme: another server", async () => {
  for (
    const [baseUrl, host] of [
      ["http://127.0.0.1:1235", "127.0.0.1:1234"],
      ["https://gateway.example", "gateway.example:80"],
      ["http://localhost:1234", "127.0.0.1:1234"],
    ] as const
  ) {
    const fake = createFakeLMStudio({ models: ["m"] });
    const provider = await LMStudioProvider.discover({
      baseUrl,
      apiToken: TOKEN,
      env: {},
      fetch: network([new URL(`http://${host}`).host], fake),
      discovery: { candidates: [{ type: "lmstudio", endpoint: `http://${host}` }] },
    });
    await provider.complete({ model: "m", messages: "Hello" });
    assertFalse(seenBy(fake).includes(TOKEN), baseUrl);
  }
});

Deno.test("if a server requires the withheld API token, the error says so", async () => {
  const down = `http://127.0.0.1:${closedPort()}`;
  const fake = createFakeLMStudio({ models: ["m"], apiToken: TOKEN });
  await using server = await fake.listen();
  const options = {
    baseUrl: down,
    apiToken: TOKEN,
    env: {},
    maxRetries: 0,
    discovery: { candidates: [{ type: "lmstudio" as const, endpoint: server.url }] },
  };
  for (const make of [WAYS["LMStudioProvider.discover"]!, WAYS.LocalProvider!]) {
    const provider = await make(options);
    const error = await rejection(provider.listModels());
    assertInstanceOf(error, AuthenticationError);
    assertEquals(error.code, "unauthorized");
    assertStringIncludes(error.hint, down);
    assertStringIncludes(error.hint, "`baseUrl`");
    assertFalse(error.message.includes(TOKEN));
  }
  const provider = await LMStudioProvider.discover(options);
  const shown = new Map(provider.explainConfig().map(({ key, value }) => [key, value]));
  assertEquals([shown.get("baseUrl"), shown.get("apiToken")], [server.url, undefined]);
});
