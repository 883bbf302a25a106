/**
 * `doctor` and the real causes of failed connections, by frequency: what each of 92 public threads about one turned out
 * to be.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { command, runDoctor, THIS_MACHINE } from "../src/cli/doctor.ts";
import { readArguments } from "../src/cli/arguments.ts";
import { causeOfAll } from "../src/cli/causes.ts";
import type { Facts, Place } from "../src/cli/findings.ts";
import { Terminal } from "../src/cli/terminal.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import type { FakeLMStudioOptions } from "../src/testing/mod.ts";
import { TestStreams } from "./support/command_line.ts";
import {
  serveForeign,
  serveLlamaCpp,
  serveSilence,
  serveSite,
  serveVllm,
} from "./support/foreign_servers.ts";
import { serveOllama } from "./support/fake_ollama.ts";

interface Scene {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly place?: Partial<Place>;
}

interface Scenario {
  /** Row in the table of causes. */
  readonly row: string;
  readonly name: string;
  readonly code: string;
  readonly next: RegExp;
  readonly play: (scene: (scene: Scene) => Promise<void>) => Promise<void>;
}

interface Report {
  readonly cause: { readonly code: string; readonly cause: string; readonly next: string } | null;
  readonly exitCode: number;
  readonly findings: readonly { step: string; state: string; evidence: string }[];
}

/** Surroundings without a container, which would change the output. */
const ON_HOST: Partial<Place> = {
  surroundings: () => ({ runtime: "deno", platform: "linux", surroundings: undefined }),
};

async function diagnose({ args, env = {}, place = {} }: Scene): Promise<Report> {
  const streams = new TestStreams({ env });
  const terminal = new Terminal(streams);
  const given = { ...readArguments("doctor", command, [...args, "--json"]), terminal };
  const code = await runDoctor(given, { ...THIS_MACHINE, ...ON_HOST, ...place });
  const report: Report = JSON.parse(streams.output.text);
  assertEquals(code, report.exitCode);
  return report;
}

/** A server with the fake's answers. */
function withFake(
  options: FakeLMStudioOptions,
  sceneOf: (url: string, port: number) => Scene | Promise<Scene>,
): Scenario["play"] {
  return async (play) => {
    await using server = await createFakeLMStudio(options).listen();
    await play(await sceneOf(server.url, server.port));
  };
}

function withServer(
  serve: () => AsyncDisposable & { readonly url: string },
  sceneOf: (url: string) => Scene,
): Scenario["play"] {
  return async (play) => {
    await using server = serve();
    await play(sceneOf(server.url));
  };
}

function withPlace(scene: Scene): Scenario["play"] {
  return (play) => play(scene);
}

/** A program inside a container or WSL that connects to its own loopback address. */
function callsItself(surroundings: "container" | "wsl"): Scenario["play"] {
  return async (play) =>
    await play({
      ...at(`http://127.0.0.1:${await freePort()}`),
      place: { surroundings: () => ({ runtime: "node", platform: "linux", surroundings }) },
    });
}

const at = (url: string, ...more: string[]): Scene => ({ args: ["--base-url", url, ...more] });

/** A socket that fails the same way. */
function failing(code: string, name = "Error"): Place["connect"] {
  return () => Promise.reject(Object.assign(new Error(code), { code, name }));
}

const NEVER: Place["connect"] = () => new Promise<void>(() => {});

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const listener = await createFakeLMStudio().listen();
  await listener[Symbol.asyncDispose]();
  return listener.port;
}

const LOADED = { id: "qwen/qwen3-8b", contextLength: 4096, maxContextLength: 131_072 };
const COMPLETIONS = "/v1/chat/completions";

const SCENARIOS: readonly Scenario[] = [
  // Server listens only on loopback; container or WSL: 13
  {
    row: "loopback",
    name: "the server is off",
    code: "connection_refused",
    next: /lms server start/,
    play: async (play) => await play(at(`http://127.0.0.1:${await freePort()}`)),
  },
  {
    row: "loopback",
    name: "a container calls itself",
    code: "connection_refused",
    next: /host\.docker\.internal/,
    play: callsItself("container"),
  },
  {
    row: "loopback",
    name: "WSL calls itself",
    code: "connection_refused",
    next: /networkingMode=mirrored/,
    play: callsItself("wsl"),
  },
  {
    row: "loopback",
    name: "another machine serves itself alone",
    code: "connection_refused",
    next: /On 192\.168\.1\.20, .*--bind 0\.0\.0\.0/,
    play: withPlace({ ...at("192.168.1.20"), place: { connect: failing("ECONNREFUSED") } }),
  },
  {
    row: "loopback",
    name: "host.docker.internal is not known on Linux",
    code: "connection_refused",
    next: /--add-host=host\.docker\.internal:host-gateway/,
    play: withPlace({
      ...at("http://host.docker.internal:1234"),
      place: { lookup: () => Promise.reject(Object.assign(new Error("x"), { code: "ENOTFOUND" })) },
    }),
  },
  // Wrong path or port: 13
  {
    row: "path or port",
    name: "LM Studio listens on another port, as its settings say",
    code: "connection_refused",
    next: /LM Studio answers at http:\/\/127\.0\.0\.1:\d+: set the base URL/,
    play: withFake({}, async (_, port) => {
      const home = await Deno.makeTempDir({ prefix: "lmstudio-home-" });
      await Deno.mkdir(`${home}/.lmstudio/.internal`, { recursive: true });
      await Deno.writeTextFile(
        `${home}/.lmstudio/.internal/http-server-config.json`,
        JSON.stringify({ port }),
      );
      return { ...at(`http://127.0.0.1:${await freePort()}`), env: { HOME: home } };
    }),
  },
  {
    row: "path or port",
    name: "a path that is not LM Studio's",
    code: "unexpected_endpoint",
    next: /Set the base URL to http:\/\/127\.0\.0\.1:\d+\.$/,
    play: withFake({}, (url) => at(`${url}/lmstudio`)),
  },
  {
    row: "path or port",
    name: "Ollama's port",
    code: "not_lm_studio",
    next: /root of an LM Studio server.*LocalProvider/,
    play: withServer(() => serveOllama(), (url) => at(url)),
  },
  {
    row: "path or port",
    name: "llama.cpp's port",
    code: "not_lm_studio",
    next: /OpenAICompatibleProvider/,
    play: withServer(() => serveLlamaCpp(), (url) => at(url)),
  },
  {
    row: "path or port",
    name: "vLLM's port",
    code: "not_lm_studio",
    next: /OpenAICompatibleProvider/,
    play: withServer(() => serveVllm(), (url) => at(url)),
  },
  {
    row: "path or port",
    name: "a web site's port",
    code: "not_lm_studio",
    next: /root of an LM Studio server/,
    play: withServer(() => serveSite(), (url) => at(url)),
  },
  {
    row: "path or port",
    name: "the port of LM Studio's own programs",
    code: "service_not_found",
    next: /lms server start/,
    play: withServer(
      () =>
        serveForeign((_, path) =>
          path === "/lmstudio-greeting"
            ? Response.json({ lmstudio: true })
            : Response.json({ error: "not found" }, { status: 404 })
        ),
      (url) => at(url),
    ),
  },
  {
    row: "path or port",
    name: "http without a port",
    code: "connection_refused",
    next: /no port, which means 80/,
    play: withPlace({ ...at("http://192.168.1.20"), place: { connect: failing("ECONNREFUSED") } }),
  },
  {
    row: "path or port",
    name: "https where LM Studio itself listens",
    code: "connection_refused",
    next: /LM Studio itself serves plain http/,
    play: withFake({}, (url) => at(url.replace("http:", "https:"))),
  },
  // The client gave up: 12
  {
    row: "client's time-out",
    name: "the first token comes too late",
    code: "timeout_first_token",
    next: /firstTokenTimeoutMs/,
    play: withFake({ models: [LOADED], firstTokenMs: 5_000 }, (url) => at(url, "--patience", "1")),
  },
  {
    row: "client's time-out",
    name: "nothing comes while a prompt is read",
    code: "timeout_first_token",
    next: /firstTokenTimeoutMs/,
    play: withFake({
      models: [LOADED],
      faults: [{ path: COMPLETIONS, times: Infinity, fault: { type: "stall" } }],
    }, (url) => at(url, "--patience", "1")),
  },
  {
    row: "client's time-out",
    name: "something takes the connection and is silent",
    code: "timeout_connect",
    next: /accepts connections but does not answer/,
    play: withServer(() => serveSilence(), (url) => at(url)),
  },
  // The loaded context: 10
  {
    row: "context",
    name: "loaded with less than is needed",
    code: "context_overflow",
    next: /lms load qwen\/qwen3-8b --context-length 32768/,
    play: withFake({ models: [LOADED] }, (url) => at(url, "--context", "32768")),
  },
  {
    row: "context",
    name: "more than the model can hold",
    code: "context_overflow",
    next: /a model that holds more/,
    play: withFake(
      { models: [{ ...LOADED, maxContextLength: 8192 }] },
      (url) => at(url, "--context", "32768"),
    ),
  },
  {
    row: "context",
    name: "an older server, whose listing tells the context as well",
    code: "context_overflow",
    next: /--context-length 32768/,
    play: withFake({ models: [LOADED], version: "0.3" }, (url) => at(url, "--context", "32768")),
  },
  // Evicted, loaded twice, wrong model: 8
  {
    row: "model",
    name: "a model that the server does not have",
    code: "model_not_found",
    next: /lms get/,
    play: withFake({ models: [LOADED] }, (url) => at(url, "--model", "qwen/qwen3-80b")),
  },
  {
    row: "model",
    name: "a model that is not in memory",
    code: "model_not_loaded",
    next: /lms load openai\/gpt-oss-20b/,
    play: withFake(
      { models: [LOADED, { id: "openai/gpt-oss-20b", loaded: false }] },
      (url) => at(url, "--model", "openai/gpt-oss-20b"),
    ),
  },
  {
    row: "model",
    name: "loaded twice, and the small instance answers",
    code: "context_overflow",
    next: /Request big, which holds 65536/,
    play: withFake({
      models: [{
        ...LOADED,
        instances: [{ id: LOADED.id, contextLength: 4096 }, { id: "big", contextLength: 65_536 }],
      }],
    }, (url) => at(url, "--context", "32768")),
  },
  {
    row: "model",
    name: "thrown out while it answers",
    code: "model_unloaded",
    next: /auto-evict/,
    play: withFake({
      models: [LOADED],
      faults: [{
        path: COMPLETIONS,
        fault: { type: "error-frame", message: "Model unloaded by user or API request." },
      }],
    }, (url) => at(url)),
  },
  {
    row: "model",
    name: "another model answers",
    code: "model_substituted",
    next: /Ask for a model the server has/,
    play: withFake(
      { models: [LOADED], replies: [{ content: "Hi", model: "google/gemma-3-4b" }] },
      (url) => at(url),
    ),
  },
  // Token: 7
  {
    row: "token",
    name: "none is given",
    code: "unauthorized",
    next: /LM_API_TOKEN/,
    play: withFake({ apiToken: "sk-lm-12345678:abcdefghij0123456789" }, (url) => at(url)),
  },
  {
    row: "token",
    name: "a placeholder",
    code: "unauthorized",
    next: /API token created in LM Studio/,
    play: withFake({ apiToken: "sk-lm-12345678:abcdefghij0123456789" }, (url) => ({
      ...at(url),
      env: { LM_API_TOKEN: "lm-studio", LMSTUDIO_BASE_URL: url },
    })),
  },
  {
    row: "token",
    name: "a permission is missing",
    code: "forbidden",
    next: /permission/,
    play: withFake({
      models: [LOADED],
      faults: [{
        path: COMPLETIONS,
        fault: {
          type: "respond",
          status: 403,
          body: { error: { type: "invalid_request", message: "Permission denied." } },
        },
      }],
    }, (url) => at(url)),
  },
  // Listing misread: 7
  {
    row: "listing",
    name: "listed is not loaded",
    code: "no_model_loaded",
    next: /lms load qwen\/qwen3-8b/,
    play: withFake({ models: [{ ...LOADED, loaded: false }] }, (url) => at(url)),
  },
  {
    row: "listing",
    name: "the bundled embedding model alone",
    code: "no_model_loaded",
    next: /lms get/,
    play: withFake({ models: ["text-embedding-nomic-embed-text-v1.5"] }, (url) => at(url)),
  },
  {
    row: "listing",
    name: "a listing that fails",
    code: "server_error",
    next: /log stream/,
    play: withFake({
      models: [LOADED],
      faults: [{
        path: /models$/,
        skip: 2,
        times: 9,
        fault: { type: "respond", status: 500, body: { error: "boom" } },
      }],
    }, (url) => at(url)),
  },
  // IPv6: 5
  {
    row: "IPv6",
    name: "localhost means ::1 first",
    code: "connection_refused",
    next: /http:\/\/127\.0\.0\.1:\d+: LM Studio listens on IPv4 only/,
    play: withFake({ models: [LOADED] }, (url) => ({
      ...at(url.replace("127.0.0.1", "localhost")),
      place: {
        lookup: () =>
          Promise.resolve([{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }]),
        connect: (host, port, signal) =>
          host === "::1"
            ? failing("ECONNREFUSED")(host, port, signal)
            : THIS_MACHINE.connect(host, port, signal),
      },
    })),
  },
  {
    row: "IPv6",
    name: "[::1] where LM Studio listens on 127.0.0.1",
    code: "connection_refused",
    next: /LM Studio answers at http:\/\/127\.0\.0\.1:\d+/,
    play: withFake({ models: [LOADED] }, (url) => at(url.replace("127.0.0.1", "[::1]"))),
  },
  // CORS: 3
  {
    row: "CORS",
    name: "pages are not let in",
    code: "blocked_by_browser",
    next: /lms server start --cors/,
    play: withFake({ models: [LOADED] }, (url) => at(url, "--origin", "http://localhost:5173")),
  },
  // System permission, VPN: 3
  {
    row: "permission or VPN",
    name: "the runtime does not allow it",
    code: "permission_denied",
    next: /--allow-net=10\.0\.0\.7:1234/,
    play: withPlace({ ...at("10.0.0.7"), place: { connect: failing("EACCES", "NotCapable") } }),
  },
  {
    row: "permission or VPN",
    name: "no way to the machine",
    code: "connection_refused",
    next: /VPN/,
    play: withPlace({ ...at("10.0.0.7"), place: { connect: failing("EHOSTUNREACH") } }),
  },
  {
    row: "permission or VPN",
    name: "macOS keeps the program from the local network",
    code: "connection_refused",
    next: /Local Network/,
    play: withPlace({
      ...at("10.0.0.7"),
      place: {
        connect: failing("EHOSTUNREACH"),
        surroundings: () => ({ runtime: "node", platform: "macos", surroundings: undefined }),
      },
    }),
  },
  {
    row: "permission or VPN",
    name: "a firewall drops the connection",
    code: "timeout_connect",
    next: /firewall/,
    play: withPlace({ ...at("10.0.0.7"), place: { connect: NEVER } }),
  },
  {
    row: "permission or VPN",
    name: "a proxy answers for this machine",
    code: "connection_refused",
    next: /NO_PROXY=127\.0\.0\.1/,
    play: withServer(
      () => serveForeign(() => new Response("<h1>Bad gateway</h1>", { status: 502 })),
      (url) => ({ ...at(url), env: { HTTP_PROXY: "http://proxy.example:3128" } }),
    ),
  },
];

for (const { row, name, code, next, play } of SCENARIOS) {
  Deno.test(`doctor, ${row}: ${name}`, async () => {
    let report: Report | undefined;
    await play(async (scene) => {
      report = await diagnose(scene);
    });
    assertEquals(report?.cause?.code, code, JSON.stringify(report, null, 1));
    assertMatch(report?.cause?.next ?? "", next);
  });
}

Deno.test("doctor: every cause that can be simulated is covered", () => {
  const rows = new Set(SCENARIOS.map(({ row }) => row));
  assertEquals([...rows], [
    "loopback",
    "path or port",
    "client's time-out",
    "context",
    "model",
    "token",
    "listing",
    "IPv6",
    "CORS",
    "permission or VPN",
  ]);
});

Deno.test("doctor: a healthy server has no fault, and no page is requested", async () => {
  await using server = await createFakeLMStudio({ models: [LOADED], cors: true }).listen();
  const { cause, exitCode, findings } = await diagnose(
    at(server.url, "--context", "4096", "--origin", "http://localhost:5173/app"),
  );
  assertEquals({ cause, exitCode }, { cause: null, exitCode: 0 });
  assertEquals(findings.map(({ step }) => step), [
    "address",
    "name",
    "connection",
    "who answers",
    "elsewhere",
    "this program",
    "proxy",
    "token",
    "version",
    "models",
    "context",
    "first token",
    "tools",
    "typed object",
    "embedding",
    "CORS",
  ]);
  assertEquals(findings.filter(({ state }) => state === "failure"), []);
});

Deno.test("doctor: headers required by a proxy in front of the server are sent", async () => {
  const fake = createFakeLMStudio({ models: [LOADED] });
  await using proxy = serveForeign(async (request) => {
    const { url, method, headers } = request;
    const body = await request.text();
    return headers.get("x-gate") === "open"
      ? await fake.handler(new Request(url, { method, headers, ...(body === "" ? {} : { body }) }))
      : new Response("Who are you?", { status: 401 });
  });
  const file = await Deno.makeTempFile({ prefix: "lmstudio-" });
  try {
    await Deno.writeTextFile(file, JSON.stringify({ headers: { "X-Gate": "open" } }));
    assertEquals((await diagnose(at(proxy.url, "--config-file", file))).cause, null);
    assertEquals((await diagnose(at(proxy.url))).cause?.code, "not_lm_studio");
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("doctor: sends no request that may load a model: an older server does not say what is loaded", async () => {
  const fake = createFakeLMStudio({ models: [LOADED], version: "0.3.5" });
  await using server = await fake.listen();
  for (const more of [[], ["--model", LOADED.id]]) {
    const { cause, findings } = await diagnose(at(server.url, ...more));
    assertEquals(cause, null);
    assertMatch(
      findings.find(({ step }) => step === "models")?.evidence ?? "",
      /does not say what is loaded/,
    );
  }
  assertEquals(fake.chats, []);
});

Deno.test("doctor: a first token that takes most of a minute is reported: clients give up on it", () => {
  const facts = {
    question: { config: {}, patienceMs: 60_000 },
    baseUrl: "http://127.0.0.1:1234",
    who: "lmstudio",
    refusedAddresses: [],
    listing: [],
    model: { id: "x" },
    generation: { firstTokenMs: 45_000 },
  } as unknown as Facts;
  const cause = causeOfAll(facts);
  assertEquals(cause?.code, "timeout_first_token");
  assertMatch(cause?.cause ?? "", /takes 45 s/);
});

Deno.test("doctor: with no server at all it ends within 3 s", async () => {
  for (const scene of [at("10.0.0.7"), at("http://gpu.lan:1234")]) {
    const started = performance.now();
    const pending = () => new Promise<never>(() => {});
    const { exitCode } = await diagnose({ ...scene, place: { connect: NEVER, lookup: pending } });
    assert(exitCode !== 0);
    assert(performance.now() - started < 3000);
  }
});

Deno.test("doctor: no line shows a secret, whatever the server echoes", async () => {
  const token = "sk-lm-12345678:abcdefghij0123456789";
  await using server = await createFakeLMStudio({
    models: [LOADED],
    apiToken: "sk-lm-00000000:00000000000000000000",
  }).listen();
  const report = await diagnose({ ...at(server.url), env: { LM_API_TOKEN: token } });
  assertEquals(JSON.stringify(report).includes(token.slice(0, 14)), false);
  assertEquals(report.exitCode, 4);
});

Deno.test("doctor: prints a line per step, one cause, one next step; no colors in a pipe", async () => {
  for (
    const { columns, isTerminal } of [{ columns: 100, isTerminal: true }, {
      columns: 36,
      isTerminal: true,
    }, { columns: 80, isTerminal: false }]
  ) {
    const streams = new TestStreams({ isTerminal, columns });
    const given = {
      ...readArguments("doctor", command, ["--base-url", "192.168.1.20"]),
      terminal: new Terminal(streams),
    };
    await runDoctor(given, { ...THIS_MACHINE, ...ON_HOST, connect: failing("ECONNREFUSED") });
    const { text } = streams.output;
    assertEquals(text.includes("\x1b["), isTerminal);
    // deno-lint-ignore no-control-regex -- what colors are made of.
    const plain = text.replaceAll(/\x1b\[\d+m/g, "");
    assertEquals(plain.match(/^Cause /gm)?.length, 1);
    assertEquals(plain.match(/^Next /gm)?.length, 1);
    const tooLong = plain.split("\n").filter((line) =>
      line.length > columns && !/\$ |`|http/.test(line)
    );
    assertEquals(tooLong, []);
  }
});
