/** Which servers are found, which are not, and what is sent to whom. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  AuthenticationError,
  ConfigurationError,
  isProviderError,
  LMStudioProvider,
  NetworkError,
  type ServiceCandidate,
  ServiceDiscovery,
  type ServiceDiscoveryOptions,
  type ServiceInfo,
  type ServiceType,
} from "../mod.ts";
import { parseOllamaHost } from "../src/discovery/candidates.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { serveOllama } from "./support/fake_ollama.ts";
import {
  serveForeign,
  serveJson,
  serveLlamaCpp,
  serveSilence,
  serveSite,
  serveVllm,
} from "./support/foreign_servers.ts";
import { closedPort } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";

const TOKEN = "sk-lm-abcdefgh:12345678901234567890";

/** A discovery that probes only these addresses. */
function over(
  candidates: readonly ServiceCandidate[],
  options: ServiceDiscoveryOptions = {},
): ServiceDiscovery {
  return new ServiceDiscovery({ candidates, env: {}, ...options });
}

function lmstudio(endpoint: string): ServiceCandidate {
  return { type: "lmstudio", endpoint };
}

function ollama(endpoint: string): ServiceCandidate {
  return { type: "ollama", endpoint };
}

function names(services: readonly ServiceInfo[]): string[] {
  return services.map(({ type, endpoint }) => `${type} ${endpoint}`);
}

/** A `fetch` with which only these hosts answer. */
function fetchOf(
  hosts: Record<string, (request: Request) => Response | Promise<Response>>,
  seen: Request[] = [],
): typeof globalThis.fetch {
  return (input, init) => {
    const request = new Request(input, { ...init, signal: null });
    seen.push(request);
    const serve = hosts[new URL(request.url).host];
    if (serve !== undefined) return Promise.resolve(serve(request));
    const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    return Promise.reject(new TypeError("fetch failed", { cause }));
  };
}

function hostsAsked(seen: readonly Request[]): string[] {
  return [...new Set(seen.map(({ url }) => new URL(url).host))];
}

/** The hosts that are probed if none answers: the candidates. */
async function candidatesOf(options: ServiceDiscoveryOptions): Promise<string[]> {
  const seen: Request[] = [];
  const discovery = new ServiceDiscovery({ env: {}, fetch: fetchOf({}, seen), ...options });
  assertEquals(await discovery.discover(), []);
  return seen.map(({ url }) => url.replace(/\/(lmstudio-greeting|api\/version)$/, " $1"));
}

// --- What is found ----------------------------------------------------------------------------

Deno.test("discover: finds exactly the running model servers among all kinds of others", async () => {
  const old = createFakeLMStudio({ version: "0.3.16", models: ["qwen/qwen3-8b"] });
  const current = createFakeLMStudio({ version: "0.4.25", models: ["openai/gpt-oss-20b"] });
  const secured = createFakeLMStudio({ apiToken: TOKEN });
  await using atOld = await old.listen();
  await using atCurrent = await current.listen();
  await using atSecured = await secured.listen();
  await using atOllama = serveOllama({ version: "0.13.5", models: ["llama3.2:latest"] });
  await using llamaCpp = serveLlamaCpp();
  await using vllm = serveVllm();
  await using site = serveSite();
  await using silence = serveSilence();
  const others = [llamaCpp.url, vllm.url, site.url, silence.url, `127.0.0.1:${closedPort()}`];
  const discovery = over([
    ...others.flatMap((endpoint) => [lmstudio(endpoint), ollama(endpoint)]),
    lmstudio(atOld.url),
    ollama(atOld.url),
    lmstudio(`${atCurrent.url}/v1/`),
    lmstudio(atOllama.url),
    ollama(atOllama.url),
    lmstudio(atSecured.url),
  ], { timeoutMs: 1000 });

  const found = await discovery.discover();
  assertEquals(
    found.map(({ type, endpoint, status, models, version }) => ({
      type,
      endpoint,
      status,
      models,
      version,
    })),
    [
      {
        type: "lmstudio",
        endpoint: atOld.url,
        status: "available",
        models: ["qwen/qwen3-8b"],
        version: undefined,
      },
      {
        type: "lmstudio",
        endpoint: atCurrent.url,
        status: "available",
        models: ["openai/gpt-oss-20b"],
        version: undefined,
      },
      {
        type: "ollama",
        endpoint: atOllama.url,
        status: "available",
        models: ["llama3.2:latest"],
        version: "0.13.5",
      },
      {
        type: "lmstudio",
        endpoint: atSecured.url,
        status: "degraded",
        models: [],
        version: undefined,
      },
    ],
  );
  for (const { consecutiveFailures, lastHealthCheck, metrics } of found) {
    assertEquals(consecutiveFailures, 0);
    assert(Math.abs(lastHealthCheck.valueOf() - Date.now()) < 60_000);
    assert(metrics.averageResponseMs > 0 && metrics.successRate === 1);
    assertInstanceOf(metrics.lastRequest, Date);
  }
  assertEquals(found.map(({ metrics }) => metrics.modelCount), [1, 1, 1, 0]);
  // Silent servers were given up, as either type.
  while (silence.left < 2) await new Promise((resolve) => setTimeout(resolve, 5));
});

const STRANGERS: Record<string, unknown> = {
  "one JSON for everything": { status: "ok" },
  "an empty listing for everything": { models: [], data: [] },
  "an OpenAI listing for everything": { object: "list", data: [{ id: "gpt-4", object: "model" }] },
  "a greeting that is not LM Studio's": { lmstudio: "no" },
  "a version for everything": { version: "1.0" },
  "another product's models": { models: [{ name: "a" }, { name: "b" }] },
  "an array": [],
  "null": null,
};

for (const [name, body] of Object.entries(STRANGERS)) {
  Deno.test(`discover: a server with ${name} is neither LM Studio nor Ollama`, async () => {
    await using server = serveJson(body);
    assertEquals(await over([lmstudio(server.url), ollama(server.url)]).discover(), []);
  });
}

Deno.test("discover: only LM Studio's own 401 identifies LM Studio", async () => {
  const own = {
    type: "invalid_request",
    code: "invalid_api_key",
    message: "An LM Studio API token is required to make requests to this server.",
  };
  const refusals: [unknown, boolean][] = [
    [{ error: own }, true],
    [{ error: { ...own, type: "invalid_request_error" } }, false],
    [{ error: { ...own, code: "unauthorized" } }, false],
    [{ error: { ...own, message: "Incorrect API key provided." } }, false],
    [{ error: "Unauthorized" }, false],
    ["LM Studio", false],
  ];
  for (const [body, isLMStudio] of refusals) {
    await using server = serveJson(body, 401);
    const found = await over([lmstudio(server.url), ollama(server.url)]).discover();
    const expected = isLMStudio ? [["lmstudio", "degraded"]] : [];
    assertEquals(found.map(({ type, status }) => [type, status]), expected, JSON.stringify(body));
  }
});

Deno.test("discover: a listing in LM Studio's own shape is enough without a greeting", async () => {
  const listings: Record<string, unknown> = {
    "/api/v1/models": { models: [{ key: "m", type: "llm", loaded_instances: [] }] },
    "/api/v0/models": { data: [{ id: "m", type: "llm", state: "loaded", object: "model" }] },
    "/v1/models": { data: [{ id: "m", object: "model" }] },
  };
  for (const [route, body] of Object.entries(listings)) {
    await using server = serveForeign((_, path) =>
      path === route ? Response.json(body) : new Response("no", { status: 404 })
    );
    const found = await over([lmstudio(server.url)]).discover();
    // Every OpenAI-compatible server has the last one.
    assertEquals(found.map(({ models }) => models), route === "/v1/models" ? [] : [["m"]], route);
  }
});

Deno.test("discover: an LM Studio whose listing fails is degraded, one whose listing hangs is not found", async () => {
  const failing = createFakeLMStudio({
    faults: [{
      path: /models/,
      times: Infinity,
      fault: { type: "respond", status: 500, body: { error: "Engine trouble" } },
    }],
  });
  const hanging = createFakeLMStudio({
    faults: [{ path: /models/, times: Infinity, fault: { type: "stall", at: "body" } }],
  });
  await using atFailing = await failing.listen();
  await using atHanging = await hanging.listen();
  const discovery = over([lmstudio(atFailing.url), lmstudio(atHanging.url)], { timeoutMs: 300 });
  const found = await discovery.discover();
  assertEquals(found.map(({ endpoint, status }) => [endpoint, status]), [
    [atFailing.url, "degraded"],
  ]);
});

Deno.test("discover: Ollama needs both its version and its tags", async () => {
  const bodies: Record<string, unknown> = {
    "/api/version": { version: "0.13.5" },
    "/api/tags": { models: [{ name: "a:latest" }, {}, null, { model: "b:latest" }] },
  };
  for (const left of ["/api/version", "/api/tags", ""]) {
    await using server = serveForeign((_, path) =>
      path in bodies && path !== left
        ? Response.json(bodies[path])
        : new Response("404 page not found", { status: 404 })
    );
    const found = await over([ollama(server.url)]).discover();
    const expected = left === "" ? [["a:latest", "b:latest"]] : [];
    assertEquals(found.map(({ models }) => models), expected, left);
  }
});

Deno.test("discover: all candidates are probed at once", async () => {
  const everyone = Promise.withResolvers<void>();
  let waiting = 0;
  const count = 4;
  const serve = () =>
    serveForeign(async (_, path) => {
      if (path === "/lmstudio-greeting") {
        if (++waiting === count) everyone.resolve();
        await everyone.promise;
        return Response.json({ lmstudio: true });
      }
      return Response.json({ models: [] });
    });
  await using a = serve();
  await using b = serve();
  await using c = serve();
  await using d = serve();
  const urls = [a, b, c, d].map(({ url }) => url);
  assertEquals(
    (await over(urls.map(lmstudio)).discover()).map(({ endpoint }) => endpoint),
    urls,
  );
});

Deno.test("discover: equal addresses are one candidate, and results are in the candidates' order", async () => {
  const fake = createFakeLMStudio();
  await using server = await fake.listen();
  await using second = await createFakeLMStudio().listen();
  const { port } = server;
  const found = await over([
    lmstudio(second.url),
    lmstudio(`127.0.0.1:${port}`),
    lmstudio(`http://127.0.0.1:${port}//v1/`),
    lmstudio(`ws://0.0.0.0:${port}/api/v0`),
  ]).discover();
  assertEquals(names(found), [`lmstudio ${second.url}`, `lmstudio ${server.url}`]);
  assertEquals(fake.requests.filter(({ path }) => path === "/lmstudio-greeting").length, 1);
});

// --- What is sent -----------------------------------------------------------------------------

Deno.test("discover: the API token goes to the configured address and nowhere else", async () => {
  const fakes = [createFakeLMStudio({ apiToken: TOKEN }), createFakeLMStudio({ apiToken: TOKEN })];
  await using configured = await fakes[0]!.listen();
  await using other = await fakes[1]!.listen();
  await using atOllama = serveOllama();
  const env = { LMSTUDIO_BASE_URL: `${configured.url}/v1`, LM_API_TOKEN: TOKEN };
  const candidates = [lmstudio(other.url), lmstudio(configured.url), ollama(atOllama.url)];
  const found = await new ServiceDiscovery({ candidates, env }).discover();
  assertEquals(found.map(({ status }) => status), ["degraded", "available", "available"]);
  for (const { headers } of fakes[1]!.requests) assertEquals(headers.authorization, undefined);
  for (const headers of atOllama.headers) assertEquals(headers.get("authorization"), null);
  for (const { headers } of fakes[0]!.requests) {
    assertEquals(headers.authorization, `Bearer ${TOKEN}`);
  }
});

Deno.test("discover: a probe is one attempt and follows no redirect", async () => {
  await using broken = serveJson({ error: "busy" }, 503);
  await using target = await createFakeLMStudio().listen();
  await using redirecting = serveForeign((_, path) =>
    new Response(null, { status: 307, headers: { location: target.url + path } })
  );
  assertEquals(await over([lmstudio(broken.url), lmstudio(redirecting.url)]).discover(), []);
  for (const { requests } of [broken, redirecting]) {
    assertEquals(new Set(requests).size, requests.length);
  }
});

Deno.test("discover: a server that is loading its model does not identify itself", async () => {
  const loading = { error: { code: 503, message: "Loading model", type: "unavailable_error" } };
  await using server = serveJson(loading, 503);
  const discovery = over([lmstudio(server.url), ollama(server.url)]);
  assertEquals(await discovery.discover(), []);
  for (const type of ["lmstudio", "ollama"] as const) {
    const error = await assertRejects(() => discovery.healthCheck(type, server.url));
    assert(isProviderError(error, "api"));
    assertEquals([error.code, error.retriable, error.attempts], ["model_loading", true, 1]);
  }
});

// --- Where it looks ---------------------------------------------------------------------------

Deno.test("candidates: without any configuration, the usual ports", async () => {
  assertEquals(await candidatesOf({}), [
    "http://127.0.0.1:1234 lmstudio-greeting",
    "http://127.0.0.1:11434 api/version",
  ]);
});

Deno.test("candidates: configured addresses come first", async () => {
  assertEquals(
    await candidatesOf({
      env: {
        LMSTUDIO_HOST: "10.0.0.5",
        LOCAL_ENDPOINT: "10.0.0.6",
        OLLAMA_HOST: "10.0.0.7:8080",
      },
    }),
    [
      "http://10.0.0.5:1234 lmstudio-greeting",
      "http://10.0.0.6:1234 lmstudio-greeting",
      "http://10.0.0.6:11434 api/version",
      "http://127.0.0.1:1234 lmstudio-greeting",
      "http://10.0.0.7:8080 api/version",
    ],
  );
});

Deno.test("candidates: LOCAL_AUTO_DISCOVER=false leaves the configured ones", async () => {
  const env = { LOCAL_AUTO_DISCOVER: "False", LM_STUDIO_API_BASE: "http://10.0.0.5/v1" };
  assertEquals(await candidatesOf({ env }), ["http://10.0.0.5 lmstudio-greeting"]);
  assertEquals(await candidatesOf({ env: { LOCAL_AUTO_DISCOVER: "0" } }), []);
  assertEquals(
    await candidatesOf({ env: { LOCAL_AUTO_DISCOVER: "false", OLLAMA_ENDPOINT: "nas" } }),
    ["http://nas:11434 api/version"],
  );
});

Deno.test("candidates: an address tried as both types is listed as the right one, and the other probe ends", async () => {
  await using atOllama = serveOllama();
  const env = { LOCAL_ENDPOINT: atOllama.url, LOCAL_AUTO_DISCOVER: "false" };
  assertEquals(names(await new ServiceDiscovery({ env }).discover()), [`ollama ${atOllama.url}`]);
  const error = await assertRejects(
    () => new ServiceDiscovery({ env }).find("lmstudio"),
    NetworkError,
  );
  assertEquals(error.code, "service_not_found");
  assertStringIncludes(error.message, atOllama.url);
});

const OLLAMA_HOSTS: Record<string, string | undefined> = {
  "": undefined,
  "localhost": "http://localhost:11434",
  "192.168.1.5": "http://192.168.1.5:11434",
  "192.168.1.5:8080": "http://192.168.1.5:8080",
  ":8080": "http://127.0.0.1:8080",
  "http://:8080": "http://127.0.0.1:8080",
  "0.0.0.0": "http://127.0.0.1:11434",
  "0.0.0.0:8080": "http://127.0.0.1:8080",
  "http://0.0.0.0": "http://127.0.0.1",
  "http://nas": "http://nas",
  "http://nas:11434/": "http://nas:11434",
  "https://nas": "https://nas",
  "https://nas/ollama": "https://nas/ollama",
  "[::1]": "http://[::1]:11434",
  "[::1]:8080": "http://[::1]:8080",
  "::1": "http://[::1]:11434",
  "[::]:8080": "http://[::1]:8080",
  ' "nas:8080" ': "http://nas:8080",
  "“nas”": "http://nas:11434",
  "nas/api": "http://nas:11434",
  "http://nas:11434/api/tags": "http://nas:11434",
  "http://nas:11434/v1/chat/completions": "http://nas:11434",
  "nas/models": "http://nas:11434",
  "https://nas/ollama/api/": "https://nas/ollama",
  "http://http://nas": undefined,
  "${OLLAMA}": undefined,
  "*:11434": undefined,
  "undefined": undefined,
  "ftp://nas": undefined,
  "nas:port": undefined,
  "nas:99999": undefined,
  "http://user:secret@nas": undefined,
  "a b": undefined,
};

for (const [text, endpoint] of Object.entries(OLLAMA_HOSTS)) {
  Deno.test(`OLLAMA_HOST=${JSON.stringify(text)} is ${endpoint ?? "ignored"}`, () => {
    assertEquals(parseOllamaHost(text), endpoint);
  });
}

Deno.test("candidates: LOCAL_ENDPOINT is read and refused like a base URL", async () => {
  for (
    const written of ['"10.0.0.9"', "http://10.0.0.9:1234/api", "10.0.0.9/v1/chat/completions"]
  ) {
    const asked = await candidatesOf({ env: { LOCAL_ENDPOINT: written } });
    assertEquals(asked[0], "http://10.0.0.9:1234 lmstudio-greeting");
  }
  for (const written of ["http://http://nas", "$NAS", "null", "*:1234"]) {
    const error = assertThrows(
      () => new ServiceDiscovery({ env: { LOCAL_ENDPOINT: written } }),
      ConfigurationError,
    );
    assertStringIncludes(error.message, "variable LOCAL_ENDPOINT ");
  }
});

Deno.test("candidates: an invalid OLLAMA_HOST is ignored", async () => {
  const asked = await candidatesOf({ env: { OLLAMA_HOST: "a b", OLLAMA_ENDPOINT: "nas" } });
  assertEquals(asked.at(-1), "http://nas:11434 api/version");
  const usual = await candidatesOf({ env: { OLLAMA_HOST: "a b" } });
  assertEquals(usual.at(-1), "http://127.0.0.1:11434 api/version");
});

/** A home folder with these files. */
async function withHome(
  files: Record<string, string>,
  run: (home: string) => Promise<void>,
): Promise<void> {
  const home = await Deno.makeTempDir();
  try {
    for (const [path, text] of Object.entries(files)) {
      const file = `${home}/${path}`;
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(file, text.replaceAll("$HOME", home));
    }
    await run(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

const CONFIG = ".internal/http-server-config.json";
const INTERNAL = ".internal/http-server.json";
const HOMES: Record<string, [Record<string, string>, string[]]> = {
  "the home that the pointer names": [
    {
      ".lmstudio-home-pointer": "$HOME/moved\n",
      [`moved/${CONFIG}`]: '{"port":2001,"networkInterface":"127.0.0.1"}',
      [`.cache/lm-studio/${CONFIG}`]: '{"port":2002}',
      [`.lmstudio/${CONFIG}`]: '{"port":2003}',
    },
    ["2001"],
  ],
  "~/.cache/lm-studio": [
    { [`.cache/lm-studio/${CONFIG}`]: '{"port":2002}', [`.lmstudio/${CONFIG}`]: '{"port":2003}' },
    ["2002"],
  ],
  "~/.cache/lm-studio, even without settings": [
    { ".cache/lm-studio/other": "", [`.lmstudio/${CONFIG}`]: '{"port":2003}' },
    [],
  ],
  "~/.lmstudio": [{ [`.lmstudio/${CONFIG}`]: '\uFEFF{"port":2003}' }, ["2003"]],
  "an empty pointer": [
    { ".lmstudio-home-pointer": " \n", [`.lmstudio/${CONFIG}`]: '{"port":2003}' },
    ["2003"],
  ],
  "settings that are not JSON": [{ [`.lmstudio/${CONFIG}`]: '{"port":' }, []],
  "settings that are null": [{ [`.lmstudio/${CONFIG}`]: "null" }, []],
  "a port that is text": [{ [`.lmstudio/${CONFIG}`]: '{"port":"2003"}' }, []],
  "a port out of range": [{ [`.lmstudio/${CONFIG}`]: '{"port":70000}' }, []],
  "a port that LM Studio's programs use, and that of another app of its maker": [
    {
      [`.lmstudio/${CONFIG}`]: '{"port":2003}',
      [`.lmstudio/${INTERNAL}`]: '{"host":"127.0.0.1","pid":17,"port":2004}',
      [`.lmstudio/apps/bionic/${CONFIG}`]: '{"port":2005}',
      [`.lmstudio/apps/bionic/${INTERNAL}`]: '{"port":2006}',
      ".lmstudio/apps/other/notes.txt": "",
    },
    ["2003", "2004", "2005", "2006"],
  ],
  "another app alone, in the home that the pointer names": [
    {
      ".lmstudio-home-pointer": "$HOME/moved",
      [`moved/apps/bionic/${CONFIG}`]: '{"port":2005}',
      [`.lmstudio/${CONFIG}`]: '{"port":2003}',
    },
    ["2005"],
  ],
  "programs' ports that are none": [
    { [`.lmstudio/${INTERNAL}`]: '{"port":0}', [`.lmstudio/apps/bionic/${INTERNAL}`]: "[2006]" },
    [],
  ],
  "the usual port": [{ [`.lmstudio/${CONFIG}`]: '{"port":1234}' }, []],
  "no files": [{}, []],
};

for (const [name, [files, ports]] of Object.entries(HOMES)) {
  Deno.test(`candidates: LM Studio's settings: ${name}`, async () => {
    await withHome(files, async (home) => {
      for (const variable of ["HOME", "USERPROFILE"]) {
        const asked = await candidatesOf({ env: { [variable]: home } });
        assertEquals(asked.slice(0, -1), [
          ...ports.map((port) => `http://127.0.0.1:${port} lmstudio-greeting`),
          "http://127.0.0.1:1234 lmstudio-greeting",
        ]);
      }
    });
  });
}

for (
  const [written, address] of [
    ['"192.168.1.20"', "192.168.1.20"],
    ['"127.0.0.1"', "127.0.0.1"],
    ['"0.0.0.0"', "127.0.0.1"],
    ['"::"', "[::1]"],
    ['"fe80::1"', "[fe80::1]"],
    ['"[::1]"', "[::1]"],
    ['""', "127.0.0.1"],
    ['"eth0"', "127.0.0.1"],
    ['"evil.example"', "127.0.0.1"],
    ['"1.2.3.4.5"', "127.0.0.1"],
    ["null", "127.0.0.1"],
    ["7", "127.0.0.1"],
  ] as const
) {
  Deno.test(`candidates: networkInterface ${written} in the settings is ${address}`, async () => {
    const files = { [`.lmstudio/${CONFIG}`]: `{"port":2003,"networkInterface":${written}}` };
    await withHome(files, async (home) => {
      const asked = await candidatesOf({ env: { HOME: home } });
      assertEquals(asked[0], `http://${address}:2003 lmstudio-greeting`);
    });
  });
}

Deno.test("discover: the port of LM Studio's programs is not its HTTP server's", async () => {
  await using server = serveForeign(({ url }) =>
    url.endsWith("/lmstudio-greeting")
      ? Response.json({ lmstudio: true })
      : Response.json({ error: `Unexpected endpoint or method. (GET ${new URL(url).pathname})` })
  );
  const files = { [`.lmstudio/${INTERNAL}`]: `{"port":${new URL(server.url).port}}` };
  await withHome(files, async (home) => {
    const env = { HOME: home };
    const fetch: typeof globalThis.fetch = (input, init) =>
      new Request(input).url.startsWith(server.url)
        ? globalThis.fetch(input, init)
        : Promise.reject(new TypeError("nobody there"));
    assertEquals(await new ServiceDiscovery({ env, fetch }).discover(), []);
    const error = await assertRejects(
      () => new ServiceDiscovery({ env, fetch }).find("lmstudio"),
      NetworkError,
    );
    assertStringIncludes(
      error.message,
      `${server.url} (LM Studio is running, but its HTTP server is not)`,
    );
    assertStringIncludes(error.hint, "lms server start");
    assertNotMatch(error.hint, /Another program/);
  });
});

Deno.test("candidates: LM Studio's settings are read again in each round", async () => {
  await withHome({ [`.lmstudio/${CONFIG}`]: '{"port":2003}' }, async (home) => {
    const seen: Request[] = [];
    const discovery = new ServiceDiscovery({ env: { HOME: home }, fetch: fetchOf({}, seen) });
    await discovery.discover();
    await Deno.writeTextFile(`${home}/.lmstudio/${CONFIG}`, '{"port":2004}');
    await discovery.discover();
    const hosts = hostsAsked(seen);
    assert(hosts.includes("127.0.0.1:2003") && hosts.includes("127.0.0.1:2004"));
  });
});

// --- Caches -----------------------------------------------------------------------------------

/** An LM Studio that counts the rounds. */
function counted(): { fetch: typeof globalThis.fetch; greetings: () => number } {
  const fake = createFakeLMStudio({ models: ["m"] });
  return {
    fetch: fake.fetch,
    greetings: () => fake.requests.filter(({ path }) => path === "/lmstudio-greeting").length,
  };
}

Deno.test("discover: results are cached for 30 s, unless forced", async () => {
  using time = new FakeTime();
  const { fetch, greetings } = counted();
  const discovery = over([lmstudio("127.0.0.1:1234")], { fetch });
  const [first] = await discovery.discover();
  await discovery.discover();
  time.tick(30_000);
  await discovery.discover();
  assertEquals(greetings(), 1);
  time.tick(1);
  await discovery.discover();
  assertEquals(greetings(), 2);
  await discovery.discover({ force: true });
  assertEquals(greetings(), 3);
  // Callers own the results they get.
  first!.models.length = 0;
  assertEquals((await discovery.discover())[0]?.models, ["m"]);
});

Deno.test("discover: a round that found nothing is not cached", async () => {
  let isUp = false;
  const { fetch } = counted();
  const discovery = over([lmstudio("127.0.0.1:1234")], {
    fetch: (...request) => isUp ? fetch(...request) : Promise.reject(new TypeError("down")),
  });
  assertEquals(await discovery.discover(), []);
  isUp = true;
  assertEquals((await discovery.discover()).length, 1);
});

Deno.test("discover: concurrent calls share one round, forced ones as well", async () => {
  const { fetch, greetings } = counted();
  const discovery = over([lmstudio("127.0.0.1:1234")], { fetch });
  const results = await Promise.all([
    discovery.discover(),
    discovery.discover({ force: true }),
    discovery.find(),
    discovery.models("lmstudio"),
    discovery.discover(),
  ]);
  assertEquals(greetings(), 1);
  assertEquals(results[0], results[4]);
});

Deno.test("models: cached for 5 minutes, and requested if they are not known", async () => {
  using time = new FakeTime();
  const { fetch, greetings } = counted();
  const discovery = over([lmstudio("127.0.0.1:1234")], { fetch });
  assertEquals(await discovery.models("lmstudio"), ["m"]);
  assertEquals(await discovery.models("http://127.0.0.1:1234/v1"), ["m"]);
  time.tick(300_000);
  assertEquals(await discovery.models("lmstudio"), ["m"]);
  assertEquals(greetings(), 1);
  time.tick(1);
  assertEquals(await discovery.models("lmstudio"), ["m"]);
  assertEquals(greetings(), 2);
});

Deno.test("models: an address not probed before is probed", async () => {
  await using atOllama = serveOllama({ models: ["a:latest"] });
  const discovery = over([]);
  assertEquals(await discovery.models(atOllama.url), ["a:latest"]);
  const error = await assertRejects(
    () => discovery.models(`127.0.0.1:${closedPort()}`),
    NetworkError,
  );
  assertEquals(error.code, "service_not_found");
  await assertRejects(() => discovery.models("lmstudio"), NetworkError, "no address to try");
});

Deno.test("models: on a server that requires an API token", async () => {
  await using server = await createFakeLMStudio({ apiToken: TOKEN }).listen();
  const discovery = over([lmstudio(server.url)]);
  await assertRejects(() => discovery.models("lmstudio"), AuthenticationError);
});

// --- One server -------------------------------------------------------------------------------

Deno.test("probe: resolves to the service found, or to undefined", async () => {
  await using server = await createFakeLMStudio({ models: ["m"] }).listen();
  const discovery = over([]);
  assertEquals(await discovery.probe("ollama", server.url), undefined);
  assertEquals(await discovery.probe("lmstudio", `127.0.0.1:${closedPort()}`), undefined);
  assertEquals(discovery.serviceInfo("lmstudio"), undefined);
  const info = await discovery.probe("lmstudio", `${server.url}/v1`);
  assertEquals([info?.endpoint, info?.models, info?.status], [server.url, ["m"], "available"]);
  assertEquals(discovery.serviceInfo(`${server.url}/`), info);
  assertEquals(discovery.availableServices(), [info!]);
});

Deno.test("healthCheck: resolves, or throws the reason", async () => {
  await using server = await createFakeLMStudio().listen();
  await using secured = await createFakeLMStudio({ apiToken: TOKEN }).listen();
  await using site = serveSite();
  await using silence = serveSilence();
  const discovery = over([], { healthCheck: { intervalMs: 1000, timeoutMs: 200 } });
  assertEquals(await discovery.healthCheck("lmstudio", server.url), undefined);
  const codes: [ServiceType, string, string][] = [
    ["lmstudio", secured.url, "unauthorized"],
    ["lmstudio", site.url, "not_lm_studio"],
    ["ollama", site.url, "unexpected_endpoint"],
    ["ollama", server.url, "unexpected_endpoint"],
    ["lmstudio", `127.0.0.1:${closedPort()}`, "connection_refused"],
    ["lmstudio", silence.url, "timeout_total"],
    ["ollama", silence.url, "timeout_total"],
  ];
  for (const [type, endpoint, code] of codes) {
    const error = await assertRejects(() => discovery.healthCheck(type, endpoint));
    const { code: thrown, service, hint } = error as NetworkError;
    assertEquals(thrown, code, endpoint);
    assertEquals(service, type === "lmstudio" ? "LM Studio" : "Ollama");
    assert(hint !== "");
  }
});

Deno.test("a known server that fails is degraded, then unavailable, and one success restores it", async () => {
  let isUp = true;
  const { fetch } = counted();
  const discovery = over([lmstudio("127.0.0.1:1234")], {
    healthCheck: { maxFailures: 2 },
    fetch: (...request) => isUp ? fetch(...request) : Promise.reject(new TypeError("down")),
  });
  const status = () => discovery.serviceInfo("lmstudio")?.status;
  assertEquals(status(), undefined);
  await discovery.discover();
  assertEquals(status(), "available");
  isUp = false;
  assertEquals(await discovery.discover({ force: true }), []);
  assertEquals(status(), "degraded");
  await assertRejects(() => discovery.healthCheck("lmstudio", "127.0.0.1:1234"), NetworkError);
  const { consecutiveFailures, metrics } = discovery.serviceInfo("lmstudio")!;
  assertEquals([status(), consecutiveFailures], ["unavailable", 2]);
  assertEquals(metrics.successRate, 1 / 3);
  assertEquals(discovery.availableServices(), []);
  isUp = true;
  await discovery.probe("lmstudio", "127.0.0.1:1234");
  assertEquals([status(), discovery.serviceInfo("lmstudio")?.consecutiveFailures], [
    "available",
    0,
  ]);
});

Deno.test("metrics: averages of the last twenty checks", async () => {
  const fake = createFakeLMStudio();
  let isUp = true;
  const discovery = over([], {
    fetch: (...request) => isUp ? fake.fetch(...request) : Promise.reject(new TypeError("down")),
  });
  const check = () => discovery.healthCheck("lmstudio", "127.0.0.1").catch(() => {});
  const rate = () => discovery.serviceInfo("lmstudio")?.metrics.successRate;
  await check();
  isUp = false;
  await check();
  assertEquals(rate(), 0.5);
  isUp = true;
  for (let i = 0; i < 18; i++) await check();
  assertEquals(rate(), 0.95);
  for (let i = 0; i < 2; i++) await check();
  assertEquals(rate(), 1);
});

Deno.test("serviceInfo: the preferred one of a type, available before degraded", async () => {
  await using secured = await createFakeLMStudio({ apiToken: TOKEN }).listen();
  await using first = await createFakeLMStudio().listen();
  await using second = await createFakeLMStudio().listen();
  const discovery = over([lmstudio(secured.url), lmstudio(first.url), lmstudio(second.url)]);
  await discovery.discover();
  assertEquals(discovery.serviceInfo("lmstudio")?.endpoint, first.url);
  assertEquals(discovery.serviceInfo(secured.url)?.status, "degraded");
  assertEquals(discovery.serviceInfo("ollama"), undefined);
  assertEquals(discovery.serviceInfo("http://"), undefined);
  assertEquals(names(discovery.availableServices()), [
    `lmstudio ${first.url}`,
    `lmstudio ${second.url}`,
  ]);
});

// --- find and discover of the provider --------------------------------------------------------

Deno.test("find: cancels probes it no longer needs instead of waiting for them", async () => {
  const fake = createFakeLMStudio();
  await using server = await fake.listen();
  await using silence = serveSilence();
  const discovery = over([lmstudio(server.url), lmstudio(silence.url), ollama(silence.url)], {
    timeoutMs: 60_000,
  });
  assertEquals((await discovery.find("lmstudio")).endpoint, server.url);
  while (silence.left < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals((await discovery.find("lmstudio")).endpoint, server.url);
  assertEquals(fake.requests.filter(({ path }) => path === "/lmstudio-greeting").length, 1);
});

Deno.test("find: prefers LOCAL_PROVIDER_PREFERENCE, if it is available", async () => {
  await using server = await createFakeLMStudio().listen();
  await using atOllama = serveOllama();
  const candidates = [lmstudio(server.url), ollama(atOllama.url)];
  const found = async (preference: string, list = candidates) =>
    (await over(list, { env: { LOCAL_PROVIDER_PREFERENCE: preference } }).find()).type;
  assertEquals(await found("ollama"), "ollama");
  assertEquals(await found("LMStudio", candidates.toReversed()), "lmstudio");
  assertEquals(await found("auto"), "lmstudio");
  assertEquals(
    await found("ollama", [ollama(`127.0.0.1:${closedPort()}`), lmstudio(server.url)]),
    "lmstudio",
  );
});

Deno.test("find: an abort ends the wait, and all probes that no other call waits for", async () => {
  await using silence = serveSilence();
  const discovery = over([lmstudio(silence.url)], { timeoutMs: 60_000 });
  const controller = new AbortController();
  const { signal } = controller;
  const calls = [discovery.find("lmstudio", { signal }), discovery.discover({ signal })];
  const reason = new Error("enough");
  while (silence.came < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort(reason);
  for (const call of calls) assertEquals(await assertRejects(() => call), reason);
  while (silence.left < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(await assertRejects(() => discovery.find(undefined, { signal })), reason);
});

Deno.test("discover, find: no listener stays on the caller's signal", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await using server = await createFakeLMStudio().listen();
  const discovery = over([lmstudio(server.url), ollama(server.url)]);
  await discovery.find("lmstudio", { signal });
  await discovery.discover({ force: true, signal });
  await assertRejects(() => discovery.find("ollama", { signal }), NetworkError);
  assertEquals(listeners, 0);
});

Deno.test("LMStudioProvider.discover: uses the server found", async () => {
  const fake = createFakeLMStudio({ apiToken: TOKEN, models: ["m"] });
  await using server = await fake.listen();
  await using atOllama = serveOllama();
  for (const env of [{ LMSTUDIO_BASE_URL: server.url }, {}]) {
    const provider = await LMStudioProvider.discover({
      env,
      apiToken: TOKEN,
      discovery: { candidates: [ollama(atOllama.url), lmstudio(server.url)] },
    });
    assertEquals((await provider.listModels()).map(({ id }) => id), ["m"]);
    assertEquals(
      provider.explainConfig().find(({ key }) => key === "baseUrl")?.value,
      server.url,
    );
  }
  const instance = over([lmstudio(server.url)]);
  await LMStudioProvider.discover({ env: {}, discovery: instance });
  assertEquals(instance.serviceInfo("lmstudio")?.endpoint, server.url);
  for (const headers of atOllama.headers) assertEquals(headers.get("authorization"), null);
});

Deno.test("LMStudioProvider.discover: inherits fetch, env and the configured address", async () => {
  const seen: Request[] = [];
  const fake = createFakeLMStudio();
  const fetch = fetchOf({ "10.0.0.5:1234": (request) => fake.fetch(request) }, seen);
  const provider = await LMStudioProvider.discover({
    fetch,
    env: { OLLAMA_HOST: "10.0.0.7" },
    baseUrl: "10.0.0.5",
    apiToken: TOKEN,
    headers: { "x-proxy": "secret" },
    discovery: { timeoutMs: 1000 },
  });
  assertEquals(provider.explainConfig()[0]?.value, "http://10.0.0.5:1234");
  assertEquals(hostsAsked(seen), ["10.0.0.5:1234", "127.0.0.1:1234", "10.0.0.7:11434"]);
  for (const { url, headers } of seen) {
    const isConfigured = new URL(url).host === "10.0.0.5:1234";
    assertEquals(headers.get("authorization"), isConfigured ? `Bearer ${TOKEN}` : null);
    assertEquals(headers.get("x-proxy"), isConfigured ? "secret" : null);
  }
});

Deno.test("LMStudioProvider.discover: if none is found, the error says what was tried, why it failed, and what to do", async () => {
  await using site = serveSite();
  await using silence = serveSilence();
  const closed = `http://127.0.0.1:${closedPort()}`;
  const error = await assertRejects(
    () =>
      LMStudioProvider.discover({
        env: {},
        discovery: {
          timeoutMs: 200,
          candidates: [lmstudio(closed), lmstudio(site.url), lmstudio(silence.url), ollama(closed)],
        },
      }),
    NetworkError,
  );
  assertEquals([error.code, error.service, error.retriable], [
    "service_not_found",
    "LM Studio",
    true,
  ]);
  assertMatch(
    error.message,
    new RegExp(
      `^Cannot find LM Studio: ${closed} \\(refused the connection\\); ` +
        `${site.url} \\(something else answers there\\); ` +
        `${silence.url} \\(it did not answer within 200 ms\\)\\. `,
    ),
  );
  assertStringIncludes(error.hint, "lms server start");
  assertStringIncludes(error.hint, `Another program answers at ${site.url}`);
  assertNotMatch(error.hint, /PROXY/);
  assertInstanceOf(error.cause, AggregateError);
  assertEquals(error.cause.errors.map(({ code }) => code), [
    "connection_refused",
    "not_lm_studio",
    "timeout_total",
  ]);
});

Deno.test("LMStudioProvider.discover: the error names a proxy variable if it may be the cause", async () => {
  const env = { HTTP_PROXY: "http://proxy:3128", LOCAL_AUTO_DISCOVER: "true" };
  const error = await assertRejects(
    () => LMStudioProvider.discover({ env, fetch: fetchOf({}) }),
    NetworkError,
  );
  assertStringIncludes(error.hint, "HTTP_PROXY is set");
  const off = { LOCAL_AUTO_DISCOVER: "false" };
  const nowhere = await assertRejects(
    () => LMStudioProvider.discover({ env: off, fetch: fetchOf({}) }),
    NetworkError,
  );
  assertStringIncludes(nowhere.message, "LOCAL_AUTO_DISCOVER=false");
});

Deno.test("LMStudioProvider.discover: missing permissions are reported as such", async () => {
  const fetch = () => {
    const error = new Error('Requires net access to "127.0.0.1:1234"');
    error.name = "NotCapable";
    return Promise.reject(error);
  };
  const error = await assertRejects(
    () => LMStudioProvider.discover({ env: { LMSTUDIO_HOST: "10.0.0.5" }, fetch }),
    NetworkError,
  );
  assertEquals(error.code, "permission_denied");
  assertStringIncludes(error.hint, "--allow-net=10.0.0.5:1234,127.0.0.1:1234");
});

// --- Bad input --------------------------------------------------------------------------------

const BAD_OPTIONS: [unknown, string][] = [
  [null, "not an object"],
  ["127.0.0.1", "not an object"],
  [{ timeout: 5 }, '"timeout" (did you mean "timeoutMs"?)'],
  [{ timeoutMs: 0 }, "timeoutMs is 0, not a number of milliseconds from 1 to 60000"],
  [{ timeoutMs: 0.5 }, "0.5"],
  [{ timeoutMs: 60_001 }, "timeoutMs is 60001, not a number of milliseconds from 1 to 60000"],
  [{ timeoutMs: Infinity }, "Infinity"],
  [{ timeoutMs: Number.NaN }, "NaN"],
  [{ timeoutMs: "5" }, '"5"'],
  [{ healthCheck: 5 }, "healthCheck is 5"],
  [{ healthCheck: { interval: 1 } }, '"intervalMs"'],
  [{ healthCheck: { intervalMs: 0 } }, "intervalMs is 0, not a number of milliseconds above 0"],
  [{ healthCheck: { intervalMs: 3_600_001 } }, "3600001"],
  [{ healthCheck: { intervalMs: 1000, timeoutMs: 1000 } }, "below the intervalMs of 1000"],
  [{ healthCheck: { timeoutMs: 30_000 } }, "30000"],
  [{ healthCheck: { timeoutMs: 0 } }, "is 0"],
  [{ healthCheck: { maxFailures: 0 } }, "maxFailures is 0, not a whole number from 1 to 10"],
  [{ healthCheck: { maxFailures: 11 } }, "maxFailures is 11"],
  [{ healthCheck: { maxFailures: 1.5 } }, "1.5"],
  [{ candidates: {} }, "candidates is an object, not an array"],
  [{ candidates: [null] }, "candidates[0]"],
  [{ candidates: ["http://127.0.0.1"] }, "candidates[0]"],
  [{ candidates: [{ type: "vllm", endpoint: "127.0.0.1" }] }, '"vllm", not "lmstudio" or "ollama"'],
  [{ candidates: [{ type: "ollama", endpoint: "" }] }, "the endpoint of candidates[0] is empty"],
  [{ candidates: [{ type: "ollama", endpoint: "ftp://nas" }] }, "ftp"],
  [{ candidates: [{ type: "ollama", endpoint: "http://" }] }, "http://"],
  [{ candidates: [{ type: "ollama", endpoint: 5 }] }, "5, not an address"],
  [{ candidates: [{ type: "ollama", url: "nas" }] }, "candidates[0] has an unknown field"],
  [{ env: 5 }, "env is 5"],
  [{ fetch: "fetch" }, "fetch"],
  [{ env: { LOCAL_ENDPOINT: "ftp://nas" } }, "LOCAL_ENDPOINT"],
  [{ env: { LOCAL_AUTO_DISCOVER: "maybe" } }, 'LOCAL_AUTO_DISCOVER is "maybe"'],
  [{ env: { LOCAL_PROVIDER_PREFERENCE: "vllm" } }, 'LOCAL_PROVIDER_PREFERENCE is "vllm"'],
  [{ env: { LMSTUDIO_BASE_URL: "ftp://nas" } }, "LMSTUDIO_BASE_URL"],
];

for (const [options, said] of BAD_OPTIONS) {
  Deno.test(`bad options: ${JSON.stringify(options)}: ${said}`, () => {
    const isRecord = typeof options === "object" && options !== null;
    const error = assertThrows(
      () => new ServiceDiscovery(isRecord ? { env: {}, ...options } : options as object),
      ConfigurationError,
    );
    assertEquals(error.code, "invalid_configuration");
    assertStringIncludes(error.message, said);
  });
}

Deno.test("options: each default applies on its own, and undefined is absent", () => {
  new ServiceDiscovery();
  new ServiceDiscovery({ env: {}, healthCheck: { intervalMs: 1000 } });
  new ServiceDiscovery({ env: {}, healthCheck: { intervalMs: 3_600_000, maxFailures: 10 } });
  new ServiceDiscovery({ env: {}, timeoutMs: undefined, healthCheck: undefined, fetch: undefined });
  new ServiceDiscovery({ env: {}, timeoutMs: 1 });
  new ServiceDiscovery({ env: {}, timeoutMs: 60_000 });
});

Deno.test("bad arguments of methods cause rejections", async () => {
  const discovery = over([]);
  const calls: (() => Promise<unknown>)[] = [
    () => discovery.discover({ forced: true } as object),
    () => discovery.probe("vllm" as ServiceType, "127.0.0.1"),
    () => discovery.probe("lmstudio", "ftp://nas"),
    () => discovery.healthCheck("vllm" as ServiceType, "127.0.0.1"),
    () => discovery.healthCheck("ollama", ""),
    () => discovery.find("vllm" as ServiceType),
    () => discovery.models("ftp://nas"),
    () => discovery.models(5 as unknown as string),
    () => LMStudioProvider.discover({ discovery: { timeoutMs: 0 } }),
    () => LMStudioProvider.discover({ discovery: [] as object }),
    () => LMStudioProvider.discover({ apiKey: "x" } as object),
  ];
  for (const call of calls) await assertRejects(call, ConfigurationError);
  assertThrows(() => new LMStudioProvider({ discovery: { timeoutMs: 0 } }), ConfigurationError);
});

// --- Permissions ------------------------------------------------------------------------------

Deno.test("discovery works with network permission only, and uses others if granted", async () => {
  await using server = await createFakeLMStudio({ models: ["m"] }).listen();
  const script = `import { ServiceDiscovery } from "mod";
    const discovery = new ServiceDiscovery({ timeoutMs: 2000 });
    const known = await discovery.probe("lmstudio", Deno.args[0]);
    const found = await discovery.discover();
    const isFound = found.some(({ endpoint }) => endpoint === Deno.args[0]);
    console.log(JSON.stringify([known?.models, isFound]));`;
  await withHome({ [`.lmstudio/${CONFIG}`]: `{"port":${server.port}}` }, async (home) => {
    // Another home must not mean another cache.
    const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
    const options = { args: [server.url], env: { HOME: home, DENO_DIR: cache } };
    const alone = await runScript(script, ["--allow-net=127.0.0.1"], options);
    assertEquals([alone.errors, alone.output], ["", '[["m"],false]']);
    for (const permission of alone.permissions) {
      assertMatch(permission, /^net (http:\/\/)?127\.0\.0\.1:/);
    }
    const flags = ["--allow-net=127.0.0.1", "--allow-env", `--allow-read=${home}`];
    const more = await runScript(script, flags, options);
    assertEquals([more.errors, more.output], ["", '[["m"],true]']);
  });
});

Deno.test("discovery without network permission says which one it needs", async () => {
  const script = `import { LMStudioProvider } from "mod";
    await LMStudioProvider.discover().catch(({ code, hint }) => console.log(code, hint));`;
  const { output, errors } = await runScript(script, []);
  assertEquals(errors, "");
  assertStringIncludes(output, "permission_denied");
  assertStringIncludes(output, "--allow-net=127.0.0.1:1234");
});
