/**
 * Deno and Bun use `HTTP_PROXY` even for requests to this machine, and then the answer is the proxy's. The
 * hint must appear if a proxy can be the cause, and only then.
 */
import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { LMStudioProvider, type LMStudioProviderOptions, ProviderError } from "../mod.ts";
import { runScript } from "./support/script.ts";
import { json, serveStub } from "./support/stub_server.ts";
import { LISTING, rejection } from "./support/wire.ts";

const HINT = "NO_PROXY=127.0.0.1,localhost";
const PAGE = "<!DOCTYPE html><title>Squid</title>";

async function failure(
  answer: readonly [status: number, body: string],
  options: LMStudioProviderOptions = {},
): Promise<ProviderError> {
  const [status, body] = answer;
  const lmstudio = new LMStudioProvider({
    env: {},
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(body, { status })),
    ...options,
  });
  const error = await rejection(lmstudio.complete({ model: "m", messages: "Hello" }));
  assertInstanceOf(error, ProviderError);
  return error;
}

const FOREIGN: readonly (readonly [status: number, body: string])[] = [
  [407, ""],
  [502, ""],
  [502, "Bad Gateway"],
  [502, PAGE],
  [503, ""],
  [503, PAGE],
  [504, "upstream request timeout"],
  [403, PAGE],
  [403, "error code: 1020"],
  [404, PAGE],
  [500, PAGE],
  [200, PAGE],
  [200, "Access denied by policy"],
];

const OWN: readonly (readonly [status: number, body: string])[] = [
  [400, '{"error":"\'messages\' field is required"}'],
  [500, '{"error":"Model unloaded by user or API request."}'],
  [502, '{"error":"Model unloaded by user or API request."}'],
  [401, '{"error":{"type":"invalid_request","code":"invalid_api_key","message":"no"}}'],
  [200, '{"error":"Unexpected endpoint or method. (POST /chat/completions)"}'],
  [200, '{"choices":[]}'],
  [500, "engine on fire"],
  [429, ""],
];

for (const [status, body] of FOREIGN) {
  const name = `${status} ${body.slice(0, 12)}`.trim();
  Deno.test(`${name} from a server on this machine may be a proxy's`, async () => {
    for (const baseUrl of ["http://127.0.0.1:1234", "localhost", "127.9.9.9", "lm.localhost:80"]) {
      const { hint, message } = await failure([status, body], { baseUrl });
      assertStringIncludes(hint, `If a proxy is configured, set ${HINT}.`);
      assertStringIncludes(message, hint);
    }
    const { hint } = await failure([status, body], { baseUrl: "http://[::1]:1234" });
    assertStringIncludes(hint, `${HINT},::1.`);
  });

  Deno.test(`${name} with HTTP_PROXY set says so`, async () => {
    const env = { HTTP_PROXY: "http://user:password@proxy.lan:3128" };
    const { hint } = await failure([status, body], { env });
    assertStringIncludes(hint, "HTTP_PROXY is set");
    assertStringIncludes(hint, HINT);
    assertEquals(hint.includes("password"), false);
  });

  Deno.test(`${name} from another machine is not blamed on a proxy`, async () => {
    const env = { HTTP_PROXY: "http://proxy.lan:3128" };
    for (const baseUrl of ["http://192.168.1.20:1234", "http://lmstudio.lan", "10.0.0.127"]) {
      const { hint } = await failure([status, body], { baseUrl, env });
      assertEquals(hint.includes("PROXY"), false);
    }
  });

  Deno.test(`${name} from an address that NO_PROXY covers is not blamed on a proxy`, async () => {
    const covering: Readonly<Record<string, readonly string[]>> = {
      "http://127.0.0.1:1234": [
        "127.0.0.1",
        "localhost,127.0.0.1",
        " localhost , 127.0.0.1 ",
        "*",
        "127.0.0.1:1234",
        "127.0.0.0/8",
        "10.0.0.0/8 127.0.0.1",
      ],
      "http://localhost:1234": ["localhost", "LOCALHOST", ".localhost", "localhost:1234"],
      "http://lm.localhost:1234": ["localhost", ".localhost", "*.localhost", "lm.localhost"],
      "http://[::1]:1234": ["::1", "[::1]", "[::1]:1234"],
    };
    for (const [baseUrl, values] of Object.entries(covering)) {
      for (const NO_PROXY of values) {
        const env = { HTTP_PROXY: "http://proxy.lan:3128", NO_PROXY };
        const { hint } = await failure([status, body], { baseUrl, env });
        assertEquals(hint.includes("PROXY"), false, NO_PROXY);
      }
    }
    for (const NO_PROXY of ["", "example.com", "27.0.0.1", "host", "10.0.0.0/8", "x.localhost"]) {
      const env = { HTTP_PROXY: "http://proxy.lan:3128", NO_PROXY };
      const { hint } = await failure([status, body], { env });
      assertStringIncludes(hint, HINT);
    }
  });
}

for (const [status, body] of OWN) {
  Deno.test(`${status} ${body.slice(0, 40)} is not blamed on a proxy`, async () => {
    const { hint } = await failure([status, body], { env: { HTTP_PROXY: "http://p:1" } });
    assertEquals(hint.includes("PROXY"), false);
  });
}

/** Prints the hint of a failed listing. */
const SCRIPT = `import { LMStudioProvider } from "mod";
const [baseUrl, env] = Deno.args;
const lmstudio = new LMStudioProvider({ baseUrl, maxRetries: 0, env: env && JSON.parse(env) });
await lmstudio.listModels().then(
  (models) => console.log(models.length),
  (error) => console.log(error.status, error.hint),
);`;

Deno.test("a proxy answers for a server on this machine, and the hint fixes that", async () => {
  await using server = serveStub({ "GET /api/v1/models": { body: LISTING } });
  const asked: string[] = [];
  await using proxy = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    asked.push(request.url);
    return new Response("no route to that host", { status: 502 });
  });
  const HTTP_PROXY = `http://127.0.0.1:${proxy.addr.port}`;
  const run = (env: Record<string, string>, flags: string[] = [], own: string[] = []) =>
    runScript(SCRIPT, ["--allow-net=127.0.0.1", ...flags], { args: [server.url, ...own], env });

  const allowed = await run({ HTTP_PROXY }, ["--allow-env"]);
  assertStringIncludes(allowed.output, `502 `);
  assertStringIncludes(allowed.output, `HTTP_PROXY is set`);
  assertStringIncludes(allowed.output, HINT);
  assertEquals([asked.length, server.requests.length], [1, 0]);

  const blind = await run({ HTTP_PROXY });
  assertStringIncludes(blind.output, `If a proxy is configured, set ${HINT}.`);

  const own = await run({ HTTP_PROXY }, ["--allow-env"], [JSON.stringify({ NO_PROXY: "*" })]);
  assertEquals(own.output.includes("PROXY"), false, "the option `env` replaces the process's");

  const mended = await run({ HTTP_PROXY, NO_PROXY: "127.0.0.1,localhost" });
  assertEquals([mended.output, server.requests.length], ["1", 1]);
});

Deno.test("the environment is not read for answers that are not errors", async () => {
  await using server = serveStub({
    "GET /api/v1/models": { body: LISTING },
    "POST /v1/chat/completions": json({}, 200),
  });
  const { output, permissions } = await runScript(
    SCRIPT,
    ["--allow-net=127.0.0.1", "--allow-env"],
    {
      args: [server.url, "{}"],
    },
  );
  assertEquals(output, "1");
  assertEquals(permissions.filter((permission) => permission.startsWith("env ")), []);
});
