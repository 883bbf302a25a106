/** `verify` and the list of assumptions: which hold, which are contradicted, which cannot be tried. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { SECTIONS } from "../src/cli/assumptions.ts";
import { TRIALS } from "../src/cli/trials.ts";
import { markdownOf, type Report, verify } from "../src/cli/verify.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { documentedRows, listedRows, withTables } from "./support/assumptions.ts";
import { runCommand } from "./support/command_line.ts";
import { serveForeign } from "./support/foreign_servers.ts";

const DOCUMENT = await Deno.readTextFile(new URL("../docs/assumptions.md", import.meta.url));
const MODEL = "qwen/qwen3-8b";
const MODELS = [
  { id: MODEL, vision: true, reasoning: ["off", "on"] },
  "text-embedding-nomic-embed-text-v1.5",
  { id: "openai/gpt-oss-20b", loaded: false },
  { id: "typesafe/kev-4b", type: "decision" as const },
];

/** A model that calls tools on request. */
const replies: FakeLMStudioOptions["replies"] = (body) => {
  if (Array.isArray(body.tools) && JSON.stringify(body).includes("Use the tool")) {
    return { toolCalls: [{ name: "get_time", arguments: { city: "Paris" } }] };
  }
  if (body.response_format !== undefined) return '{"color":"red"}';
  return {
    content: "One two three four five six seven eight nine ten.",
    reasoning: "They said hi.",
  };
};

function failures({ results }: Report): string[] {
  return results.filter(({ state }) => state === "fails").map(({ trial, what }) =>
    `${trial}: ${what}`
  );
}

Deno.test("assumptions: the document's tables are the list", () => {
  const [documented, listed] = [documentedRows(DOCUMENT), listedRows()];
  const hint =
    "The list is the source: edit src/cli/assumptions.ts, run `deno run -A tests/support/assumptions.ts`.";
  assertEquals(documented.filter((row) => !listed.includes(row)), [], hint);
  assertEquals(listed.filter((row) => !documented.includes(row)), [], hint);
  const cells = (text: string) => text.replace(/ +\|/g, " |").replace(/\| -+/g, "| -");
  assertEquals(cells(withTables(DOCUMENT)), cells(DOCUMENT));
});

Deno.test("assumptions: each has a trial or a reason, and each trial belongs to one", () => {
  const all = SECTIONS.flatMap(({ assumptions }) => assumptions);
  assertEquals(
    all.filter(({ trial, untried }) => (trial === undefined) === (untried === undefined)),
    [],
  );
  const named = all.flatMap(({ trial }) => trial === undefined ? [] : [trial]);
  assertEquals([...named].sort(), Object.keys(TRIALS).sort());
});

for (const version of ["0.3.5", "0.3.17", "0.3.31", "0.4.0", "0.4.25"]) {
  Deno.test(`verify: nothing fails on the fake of ${version}`, async () => {
    const fake = createFakeLMStudio({ version, models: MODELS, replies });
    await using server = await fake.listen();
    const report = await verify({
      baseUrl: server.url,
      mayLoad: true,
      download: "ibm/granite-4-micro",
      limitMs: 5_000,
    });
    assertEquals(failures(report), []);
    const held = report.results.filter(({ state }) => state === "holds").length;
    assert(held >= (version < "0.4" ? 25 : 45), `${held} hold`);
  });
}

Deno.test("verify: with an API token, and without a required one", async () => {
  const apiToken = "sk-lm-12345678:abcdefghij0123456789";
  await using server = await createFakeLMStudio({ models: MODELS, replies, apiToken }).listen();
  const report = await verify({ baseUrl: server.url, apiToken, limitMs: 5_000 });
  assertEquals(failures(report), []);
  assertEquals(
    report.results.filter(({ trial, state }) => trial === "securedIdentity" && state === "holds")
      .length,
    1,
  );
  assertEquals(JSON.stringify(report).includes(apiToken.slice(0, 14)), false);
});

Deno.test("verify: loads and downloads nothing unless asked to", async () => {
  const fake = createFakeLMStudio({ models: MODELS, replies });
  await using server = await fake.listen();
  await verify({ baseUrl: server.url, limitMs: 5_000 });
  assertEquals(fake.requests.filter(({ path }) => /\/(?:load|download)$/.test(path)), []);
  const asked = fake.chats.map(({ model }) => model?.toLowerCase());
  assertEquals(new Set(asked), new Set([MODEL, "nobody/no-such-model-9000"]));

  const older = createFakeLMStudio({ models: MODELS, replies, version: "0.3.5" });
  await using olderServer = await older.listen();
  await verify({ baseUrl: olderServer.url, limitMs: 5_000 });
  assertEquals(older.chats, [], "nothing tells what is loaded");
});

Deno.test("verify: a server that contradicts five assumptions fails exactly these five", async () => {
  const fake = createFakeLMStudio({ models: MODELS, replies });
  await using server = serveForeign(async (request, path) => {
    const text = await request.text();
    const body = text === "" ? {} : JSON.parse(text);
    const method = request.method;
    if (path === "/v1/models" && method === "GET") {
      return Response.json({
        object: "list",
        data: [{ id: MODEL, object: "model", created: 1_790_000_000 }],
      });
    }
    if (path === "/v1/embeddings" && body.encoding_format === "base64") {
      return Response.json({
        object: "list",
        model: body.model,
        data: [{ embedding: "AACAPw==" }],
        usage: { prompt_tokens: 0 },
      });
    }
    if (body.previous_response_id !== undefined && path === "/v1/responses") {
      return Response.json({
        error: { message: "Gone.", type: "invalid_request_error", code: "gone" },
      }, { status: 400 });
    }
    const isLenient = path === "/v1/chat/completions" && typeof body.tool_choice === "object";
    const answer = await fake.handler(
      new Request(request.url, {
        method,
        headers: request.headers,
        ...(text === ""
          ? {}
          : { body: isLenient ? JSON.stringify({ ...body, tool_choice: "auto" }) : text }),
      }),
    );
    if (path === "/api/v1/chat" && body.stream === true) {
      const frames = await answer.text();
      return new Response(frames.replaceAll('"type":"message.delta"', '"type":"message_delta"'), {
        headers: { "content-type": "text/event-stream" },
      });
    }
    return answer;
  });
  const report = await verify({ baseUrl: server.url, limitMs: 5_000 });
  assertEquals(failures(report).map((text) => text.replace(/:.*/s, "")).sort(), [
    "base64",
    "nativeTypes",
    "openaiListing",
    "previousResponse",
    "toolChoiceObject",
  ]);
  const markdown = markdownOf(report);
  assertMatch(markdown, /^\d+ hold, 5 fail, \d+ could not be tried\.$/m);
  assertMatch(markdown, /fails \| an entry .*"created":1790000000/);
});

Deno.test("verify: the command, its reports and its exit codes", async () => {
  await using server = await createFakeLMStudio({ models: MODELS, replies }).listen();
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-verify-" });
  try {
    const args = ["verify", "--base-url", server.url, "--server-version", "0.4.25", "--report"];
    const run = await runCommand([...args, `${folder}/report.md`]);
    assertEquals([run.code, run.errors], [0, ""]);
    assertMatch(run.output, /^\d+ hold, 0 fail, \d+ could not be tried\.$/m);
    assertMatch(await Deno.readTextFile(`${folder}/report.md`), /Release: 0\.4\.25\./);
    const json = await runCommand([...args, `${folder}/report.json`, "--json"]);
    const written: Report = JSON.parse(await Deno.readTextFile(`${folder}/report.json`));
    assertEquals(written.results.length, JSON.parse(json.output).results.length);
    assertEquals(written.version, "0.4.25");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
