/** `deno task demo` as a user runs it: with and without LM Studio, always to its end. */

import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";

const ROOT = new URL("../", import.meta.url);
const LIMIT_MS = 60_000;
const HEADINGS = [
  "Models",
  "A streamed answer",
  "A tool",
  "A typed object",
  "Embeddings",
  "An error",
];
const MODELS = [{ id: "qwen/qwen3-8b", params: "8B" }, "text-embedding-nomic-embed-text-v1.5"];

interface Run {
  readonly code: number;
  readonly text: string;
  readonly errors: string;
  /** The chunks of the output as they arrived. */
  readonly chunks: readonly string[];
}

/** Runs the command of `deno task demo` with only these variables, none of the machine's. */
async function runDemo(variables: Record<string, string>): Promise<Run> {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const [, ...args] = String(config.tasks.demo).split(" ");
  const none = Object.fromEntries(CONFIG_VARIABLES.map((name) => [name, ""]));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...args.slice(1)],
    cwd: ROOT,
    env: { ...none, NO_COLOR: "1", NO_PROXY: "127.0.0.1,localhost", ...variables },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  const errors = new Response(child.stderr).text();
  const chunks: string[] = [];
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  const { code } = await child.status;
  clearTimeout(timer);
  return { code, text: chunks.join(""), errors: await errors, chunks };
}

/** Runs the demo against a running server. */
async function runAgainst(options: FakeLMStudioOptions, variables: Record<string, string> = {}) {
  const fake = createFakeLMStudio(options);
  await using server = await fake.listen();
  const run = await runDemo({ LMSTUDIO_BASE_URL: server.url, ...variables });
  return { ...run, requests: fake.requests, url: server.url };
}

/** The text below a heading. */
function partOf({ text }: Run, heading: string): string {
  const [, after = ""] = text.split(`\n${heading}\n${"-".repeat(heading.length)}\n`);
  return after.split(/\n\n[A-Z][^\n]*\n-+\n/)[0] ?? "";
}

function assertEnds(run: Run): void {
  assertEquals({ code: run.code, errors: run.errors }, { code: 0, errors: "" }, run.text);
}

Deno.test("demo: without LM Studio it says so, shows every part with a fake, and ends", async () => {
  const port = closedPort();
  const run = await runDemo({ LMSTUDIO_BASE_URL: `http://127.0.0.1:${port}` });
  assertEnds(run);
  assertStringIncludes(run.text, `at http://127.0.0.1:${port} (LMSTUDIO_BASE_URL).\n`);
  assertStringIncludes(run.text, "No LM Studio answers there, so this demo starts a fake one");
  for (const heading of HEADINGS) assert(partOf(run, heading) !== "", `${heading}\n${run.text}`);

  const table = partOf(run, "Models").trimEnd().split("\n");
  assertGreater(table.length, 2);
  for (const column of ["type", "size"]) {
    const at = table[0]?.indexOf(column) ?? -1;
    assertGreater(at, 0);
    for (const row of table) assertMatch(row.slice(at - 1), /^ \S/);
  }
  assertMatch(partOf(run, "A streamed answer"), /usage {2}\d+ tokens in, \d+ tokens out\n/);
  assertMatch(
    partOf(run, "A streamed answer"),
    /speed {2}\d+\.\d tokens\/s, the first one after \d\./,
  );
  assertMatch(
    partOf(run, "A tool"),
    /> What day .*\nclock {2}.*20\d\d.*\nIt is the day the clock says\.$/,
  );
  assertMatch(partOf(run, "A typed object"), /> Ada .*\nname {3}Ada Lovelace\nborn {3}1815$/);
  assertMatch(
    partOf(run, "An error"),
    /code {5}model_substituted, .*\nmessage .*\nhint {5}Ask for/,
  );
});

Deno.test("demo: the answer comes token by token", async () => {
  const run = await runDemo({ LMSTUDIO_BASE_URL: `http://127.0.0.1:${closedPort()}` });
  const answer = /\n> .*\n([^\n]+)\n/.exec(run.text)?.[1] ?? "";
  const chunks = run.chunks.filter((chunk) => chunk !== "" && answer.includes(chunk));
  // The operating system may join some chunks.
  assertGreater(chunks.length, answer.split(" ").length / 3, run.text);
});

Deno.test("demo: sentences with the same meaning are closer than others", async () => {
  const run = await runAgainst({ models: MODELS });
  const numbers = [...partOf(run, "Embeddings").matchAll(/^ +(-?\d\.\d\d) /gm)].map(([, n]) =>
    Number(n)
  );
  assertEquals(numbers.length, 3, run.text);
  const [same = 0, ...others] = numbers;
  for (const other of others) assertGreater(same, other);
});

Deno.test("demo: a server that answers is used", async () => {
  const run = await runAgainst({ models: MODELS, replies: ["Privacy, and no bill."] });
  assertEnds(run);
  assertNotMatch(run.text, /fake/);
  assertStringIncludes(partOf(run, "Models"), "qwen/qwen3-8b");
  assertStringIncludes(partOf(run, "A streamed answer"), "Privacy, and no bill.");
  const calls = run.requests.map(({ method, path }) => `${method} ${path}`);
  assertEquals(calls.slice(0, 5), [
    "GET /api/v1/models",
    ...HEADINGS.slice(1, 4).map(() => "POST /v1/chat/completions"),
    "POST /v1/embeddings",
  ]);
  const models = run.requests.map(({ body }) => (body as { model?: string } | undefined)?.model);
  assertEquals(models.slice(1, 6), [
    "qwen/qwen3-8b",
    "qwen/qwen3-8b",
    "qwen/qwen3-8b",
    "text-embedding-nomic-embed-text-v1.5",
    "nobody/has-this-model",
  ]);
  assert(run.requests.every(({ completed }) => completed));
});

Deno.test("demo: the configured model is used, or else the first loaded one", async () => {
  const models = ["a/first", "b/second", "text-embedding-nomic-embed-text-v1.5"];
  const modelOf = async (variables: Record<string, string>) => {
    const { requests } = await runAgainst({ models }, variables);
    const chat = requests.find(({ path }) => path === "/v1/chat/completions");
    return (chat?.body as { model?: string }).model;
  };
  assertEquals(await modelOf({}), "a/first");
  assertEquals(await modelOf({ LMSTUDIO_MODEL: "b/second" }), "b/second");
});

Deno.test("demo: no loaded model and no embedding model: it says what to do and continues", async () => {
  const run = await runAgainst({ models: [{ id: "qwen/qwen3-8b", loaded: false }] });
  assertEnds(run);
  assertMatch(partOf(run, "A streamed answer"), /none is loaded .*`lms load <model>`/);
  assertMatch(partOf(run, "Embeddings"), /no embedding model\. Download one, .*`lms get /);
  assertMatch(partOf(run, "An error"), /code {5}\w+, /);
});

Deno.test("demo: nothing downloaded: it says what to do and continues", async () => {
  const run = await runAgainst({ models: [] });
  assertEnds(run);
  assertMatch(partOf(run, "Models"), /no models yet\. Download one with `lms get /);
  assertMatch(partOf(run, "An error"), /code {5}model_not_found/);
});

Deno.test("demo: reasoning is not mistaken for the answer", async () => {
  const replies = [{ reasoning: "Let me think of it.", content: "Privacy." }];
  const run = await runAgainst({ models: MODELS, replies });
  assertStringIncludes(partOf(run, "A streamed answer"), "\n(reasoning …) Privacy.\n");
});

Deno.test("demo: a server that requires an API token: it says what to do and continues with a fake", async () => {
  const run = await runAgainst({ models: MODELS, apiToken: "sk-lm-12345678:abcdefghij0123456789" });
  assertEnds(run);
  assertMatch(
    run.text,
    /Set `apiToken` \(or LM_API_TOKEN\).*\nUntil then, this demo starts a fake/,
  );
  for (const heading of HEADINGS) assert(partOf(run, heading) !== "", `${heading}\n${run.text}`);
});

Deno.test("demo: another server at the address: it says so and continues with a fake", async () => {
  const page = () =>
    new Response("<html>Router</html>", { headers: { "Content-Type": "text/html" } });
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, page);
  const run = await runDemo({ LMSTUDIO_BASE_URL: `http://127.0.0.1:${server.addr.port}` });
  assertEnds(run);
  assertMatch(run.text, /Check the base URL.*\nUntil then, this demo starts a fake/);
});

Deno.test("demo: an invalid setting ends it with one sentence", async () => {
  const run = await runDemo({ LMSTUDIO_BASE_URL: "ftp://127.0.0.1" });
  assertEquals(run.code, 1);
  assertEquals(run.errors, "");
  assertMatch(run.text, /^[^\n]*variable LMSTUDIO_BASE_URL[^\n]*ftp[^\n]*\n$/);
});

Deno.test("demo: HTTP_PROXY does not come between it and this machine", async () => {
  const proxy = `http://127.0.0.1:${closedPort()}`;
  const run = await runAgainst({ models: MODELS }, {
    HTTP_PROXY: proxy,
    NO_PROXY: "",
    no_proxy: "",
  });
  assertEnds(run);
  assertStringIncludes(run.text, "your own programs need NO_PROXY=127.0.0.1,localhost");
  assertNotMatch(run.text, /fake/);
});
