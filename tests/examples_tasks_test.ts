/** The examples of whole tasks, and the `--fake` flag of all examples. */

import process from "node:process";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { closedPort } from "./support/raw_server.ts";

const EXAMPLES = new URL("../examples/", import.meta.url);
/** Files that are imported, or are tests. */
const NO_PROGRAMS = ["fake", "llamacpp_provider", "mcp_server", "summary", "summary_test"];
const SERVERS = ["web_server", "web_server_node"];
const AT_A_TIME = 6;
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  context: ["Why?"],
  decisions: ["I was charged twice."],
  documents: ["How do I stop a stream?", "."],
  fallback: [`http://127.0.0.1:${closedPort()}`],
  monitor: ["0.5"],
};

/** A separate folder for each run. */
async function makeFolder() {
  const path = await Deno.makeTempDir({ prefix: "lmstudio-examples-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function command(
  name: string,
  cwd: string,
  args: readonly string[],
  env = {},
  flags: readonly string[] = [],
): Deno.Command {
  const none = Object.fromEntries(CONFIG_VARIABLES.map((name) => [name, ""]));
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "-A",
      ...flags,
      `--config=${new URL("../deno.json", import.meta.url).pathname}`,
      new URL(`${name}.ts`, EXAMPLES).href,
      ...args,
    ],
    cwd,
    env: { ...none, NO_COLOR: "1", NO_PROXY: "127.0.0.1,localhost", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(60_000),
  });
}

async function run(
  name: string,
  cwd: string,
  { args = [], input = "", env = {}, flags = [] }: {
    args?: readonly string[];
    input?: string;
    env?: Record<string, string>;
    flags?: readonly string[];
  },
) {
  const child = command(name, cwd, args, env, flags).spawn();
  const writer = child.stdin.getWriter();
  // A program that reads no input may have ended already.
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout), errors: decoder.decode(stderr) };
}

/** Runs an example against the test's own fake. */
async function runOn(
  options: FakeLMStudioOptions,
  name: string,
  cwd: string,
  rest: { args?: readonly string[]; input?: string } = {},
) {
  const fake = createFakeLMStudio(options);
  await using server = await fake.listen();
  const result = await run(name, cwd, { ...rest, env: { LMSTUDIO_BASE_URL: server.url } });
  return { ...result, requests: fake.requests };
}

async function programs(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isFile } of Deno.readDir(EXAMPLES)) {
    if (isFile) names.push(name.replace(/\.ts$/, ""));
  }
  return names.filter((name) => ![...NO_PROGRAMS, ...SERVERS].includes(name)).sort();
}

Deno.test("examples: every program runs with just --fake, whatever the environment says", async () => {
  await using folder = await makeFolder();
  const page = await Deno.readTextFile(new URL("../docs/streaming.md", import.meta.url));
  await Deno.writeTextFile(`${folder.path}/streaming.md`, page);
  const names = await programs();
  assert(names.length > 20);
  const failed: unknown[] = [];
  const env = { LMSTUDIO_MODEL: "mine", LMSTUDIO_BASE_URL: `http://127.0.0.1:${closedPort()}` };
  const left = names.values();
  // Run several at once: most of them spend their time waiting.
  await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
    for (const name of left) {
      const args = [...ARGUMENTS[name] ?? [], "--fake"];
      const { code, text, errors } = await run(name, folder.path, { args, env });
      if (code !== 0 || text === "") failed.push({ name, code, errors });
    }
  }));
  assertEquals(failed, []);
});

Deno.test("examples/agent.ts: runs allowed calls, refuses the others, and tells the model", async () => {
  await using folder = await makeFolder();
  await Deno.writeTextFile(`${folder.path}/notes.txt`, "one\ntwo\n");
  await Deno.symlink("/etc", `${folder.path}/link`);
  const { code, text, errors, requests } = await runOn(
    {
      replies: [
        {
          toolCalls: [
            { name: "list_files", arguments: { path: "." } },
            { name: "read_file", arguments: { path: "notes.txt" } },
            { name: "read_file", arguments: { path: "../outside" } },
            { name: "read_file", arguments: { path: "link/hostname" } },
          ],
        },
        { toolCalls: [{ name: "run", arguments: { command: "wc -l < notes.txt; exit 3" } }] },
        { toolCalls: [{ name: "write_file", arguments: { path: "new.txt", text: "yes" } }] },
        { toolCalls: [{ name: "write_file", arguments: { path: "no.txt", text: "no" } }] },
        "Done.",
      ],
    },
    "agent",
    folder.path,
    { args: ["Look."], input: "y\nyes\nn\n" },
  );
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /Done\.\n$/);
  const { messages } = requests.at(-1)?.body as { messages: { role: string; content: string }[] };
  const told = messages.flatMap(({ role, content }) => role === "tool" ? [content] : []);
  assertEquals(told.slice(0, 2), ['["link","notes.txt"]', "one\ntwo\n"]);
  assertMatch(told[2] ?? "", /^Error: .*\.\.\/outside/);
  assertMatch(told[3] ?? "", /^Error: link\/hostname is not in the folder/);
  assertMatch(told[4] ?? "", /^2\s+\(failed: code 3\)$/);
  assertStringIncludes(told[6] ?? "", "The user did not allow this.");
  const there = [];
  for await (const { name } of Deno.readDir(folder.path)) there.push(name);
  assertEquals(there.sort(), ["link", "new.txt", "notes.txt"]);
});

Deno.test("examples/agent.ts: without an answer from the user nothing is allowed", async () => {
  await using folder = await makeFolder();
  const { code, text } = await run("agent", folder.path, { args: ["Look.", "--fake"] });
  assertEquals(code, 0);
  assertEquals(text.match(/did not allow/g)?.length, 2);
});

/** The tool results that the model got, in the order of the calls. */
function told(requests: readonly { readonly body: unknown }[]): string[] {
  const { messages } = requests.at(-1)?.body as { messages: { role: string; content: string }[] };
  return messages.flatMap(({ role, content }) => role === "tool" ? [content] : []);
}

Deno.test("examples/agent.ts: no link, pipe or huge file leads out of the folder or blocks it", async () => {
  await using folder = await makeFolder();
  await using outside = await makeFolder();
  await Deno.symlink(`${outside.path}/new.txt`, `${folder.path}/dangling`);
  await Deno.symlink(outside.path, `${folder.path}/folder`);
  await new Deno.Command("mkfifo", { args: [`${folder.path}/pipe`] }).output();
  await Deno.writeTextFile(`${folder.path}/..notes`, "not above");
  await Deno.writeTextFile(`${folder.path}/huge`, "");
  await Deno.truncate(`${folder.path}/huge`, 5_000_000_000);
  const write = (path: string) => ({ name: "write_file", arguments: { path, text: "x" } });
  const read = (path: string) => ({ name: "read_file", arguments: { path } });
  const toolCalls = [
    write("dangling"),
    write("folder/new.txt"),
    write("/tmp/lmstudio-examples-escaped"),
    write("pipe"),
    read("pipe"),
    read("huge"),
    read("..notes"),
  ];
  const { code, errors, requests } = await runOn(
    { replies: [{ toolCalls }, "Done."] },
    "agent",
    folder.path,
    { args: ["Look."], input: "y\n".repeat(4) },
  );
  assertEquals({ code, errors }, { code: 0, errors: "" });
  const results = told(requests);
  for (const result of results.slice(0, -1)) assertMatch(result, /^Error: /);
  assertStringIncludes(results[5] ?? "", "too large");
  assertEquals(results[6], "not above");
  assertEquals([...Deno.readDirSync(outside.path)], []);
});

Deno.test("examples/agent.ts: the user sees what would run, directly above the question", async () => {
  await using folder = await makeFolder();
  await Deno.writeTextFile(`${folder.path}/trap`, "\x1b[2J\x1b[Hnothing to see\r\n");
  const { text, requests } = await runOn(
    {
      replies: [
        {
          content: "Look:\x1b[8m",
          toolCalls: [
            { name: "read_file", arguments: { path: "trap" } },
            {
              name: "run",
              arguments: '{"command":"true","command":"\\u0065cho \u202e\u009b2J evil"}',
            },
            { name: "run", arguments: { command: "echo two" } },
          ],
        },
        "Done.",
      ],
    },
    "agent",
    folder.path,
    { args: ["Look."], input: "n\ny\n" },
  );
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(text), JSON.stringify(text));
  assertStringIncludes(
    text,
    '> run {"command":"echo \\u{202e}\\u{9b}2J evil"}\nAllow this? [y/N] The user did not allow this.',
  );
  assertStringIncludes(text, '> run {"command":"echo two"}\nAllow this? [y/N] two\n');
  assertStringIncludes(told(requests)[0] ?? "", "\x1b[2J");
});

Deno.test("examples/agent.ts: at a terminal, what is typed before the question does not answer it", async () => {
  await using folder = await makeFolder();
  const preload = `${folder.path}/terminal.js`;
  await Deno.writeTextFile(
    preload,
    'import process from "node:process"; process.stdin.isTTY = true;',
  );
  const { code, text } = await run("agent", folder.path, {
    args: ["Look.", "--fake"],
    input: "y\ny\ny\n",
    flags: [`--preload=${preload}`],
  });
  assertEquals(code, 0);
  assertEquals(text.match(/did not allow/g)?.length, 2);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // On Linux it may have ended, and only wait for a parent to notice.
    return !/^\d+ \(.*\) Z/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch (error) {
    // The first is of systems that have no /proc.
    return error instanceof Deno.errors.NotFound && error.message.includes("/proc");
  }
}

Deno.test("examples/agent.ts: a command gets no input, and leaves nothing running", async () => {
  await using folder = await makeFolder();
  const commands = ["cat", "sleep 300 & echo $! > first", "echo $$ > second; exec sleep 300"];
  const calls = commands.map((command) => ({
    toolCalls: [{ name: "run", arguments: { command } }],
  }));
  const fake = createFakeLMStudio({ replies: calls });
  await using server = await fake.listen();
  const child = command("agent", folder.path, ["Go."], { LMSTUDIO_BASE_URL: server.url }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("y\ny\ny\n"));
  const errors = new Response(child.stderr).text();
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    // The third command is running.
    if (text.match(/Allow this/g)?.length === 3) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      child.kill("SIGINT");
    }
  }
  assertEquals([(await child.status).code, await errors], [1, "\nStopped.\n"]);
  await writer.close().catch(() => {});
  for (const name of ["first", "second"]) {
    const pid = Number(await Deno.readTextFile(`${folder.path}/${name}`));
    assert(pid > 0 && !isRunning(pid), `${name} is still running`);
  }
});

Deno.test("examples: if the reader of the output leaves, such as head, they end without a stack trace", async () => {
  await using folder = await makeFolder();
  const names = ["stream", "chat", "text", "tools", "agent", "mcp", "responses", "fallback"];
  const ended = await Promise.all(names.map(async (name) => {
    const child = command(name, folder.path, ["--fake"]).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    await child.stdin.close();
    const errors = await new Response(child.stderr).text();
    return { name, code: (await child.status).code, isTrace: errors.includes("EPIPE") };
  }));
  assertEquals(ended.filter(({ isTrace, code }) => isTrace || code > 1), []);
});

Deno.test("examples: none needs a syntax that Node 22 lacks", async () => {
  for await (const { name, isFile } of Deno.readDir(EXAMPLES)) {
    if (!isFile) continue;
    const code = await Deno.readTextFile(new URL(name, EXAMPLES));
    assert(!/^\s*(?:await )?using \w+ =/m.test(code), name);
  }
});

Deno.test("examples/documents.ts: finds the right part, and does not read unchanged files again", async () => {
  await using folder = await makeFolder();
  await Deno.mkdir(`${folder.path}/texts`);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(`${folder.path}/texts/${name}`, text);
  await write("refunds.md", "# Refunds\n\nSend the form within 30 days to get your money back.\n");
  await write("office.md", "# Office\n\nOpen from nine to five, closed on public holidays.\n");
  const args = ["How do I get my money back?", "texts", "database"];
  const options = { replies: () => "Send the form [1]." };
  const first = await runOn(options, "documents", folder.path, { args });
  assertEquals(first.code, 0, first.errors);
  assertMatch(
    first.text,
    /^Send the form \[1\]\.\n\n\[1\] refunds\.md \(0\.\d+\)\n\[2\] office\.md/,
  );
  assertEquals(first.errors, "read office.md: 1 parts\nread refunds.md: 1 parts\n");
  assertStringIncludes(JSON.stringify(first.requests.at(-1)?.body), "[1] # Refunds");
  await write("gone.md", "# Soon gone\n");
  await write("office.md", "# Office\n\nMoney back is given from nine to five.\n");
  const second = await runOn(options, "documents", folder.path, { args });
  assertEquals([second.code, second.errors], [
    0,
    "read gone.md: 1 parts\nread office.md: 1 parts\n",
  ]);
  // Nothing is left of a file that is empty or gone, and another model's vectors are not compared.
  await write("office.md", "\n");
  await Deno.remove(`${folder.path}/texts/gone.md`);
  const models = ["chat", { id: "text-embedding-other", dimensions: 16 }];
  const third = await runOn({ ...options, models }, "documents", folder.path, { args });
  assertEquals([third.code, third.errors], [0, "read refunds.md: 1 parts\n"]);
  assertMatch(third.text, /^Send the form \[1\]\.\n\n\[1\] refunds\.md \(-?0\.\d+\)\n$/);
});

Deno.test("examples/batch.ts: 500 texts, stopped by a failure and continued from there", async () => {
  await using folder = await makeFolder();
  const sorted = JSON.stringify({ sentiment: "positive", topic: "price" });
  const broken = {
    fault: { type: "respond", status: 500, body: { error: "gone" } },
    path: "/v1/chat/completions",
    skip: 200,
    times: Infinity,
  } as const;
  const first = await runOn({ replies: () => sorted, faults: [broken] }, "batch", folder.path);
  assertEquals([first.code, first.text], [1, ""]);
  assertMatch(first.errors, /gone[^]*\n\d+ of 500 are done\. Run it again to continue\.\n$/);
  const file = `${folder.path}/sorted.jsonl`;
  const results = async () => (await Deno.readTextFile(file)).trim().split("\n");
  const { length: sortedBefore } = await results();
  assertStringIncludes(first.errors, `${sortedBefore} of 500 are done. Run it again`);
  // Answers the other workers were still waiting for may be missing.
  assert(sortedBefore > 190 && sortedBefore <= 200, String(sortedBefore));
  // The state that a killed program leaves behind.
  await Deno.writeTextFile(file, (await Deno.readTextFile(file)).slice(0, -10));
  const second = await runOn({ replies: () => sorted }, "batch", folder.path);
  assertEquals([second.code, second.text], [0, "500 of 500 are done, 0 failed\n"]);
  assertStringIncludes(second.errors, `${sortedBefore - 1} of 500 are already done\n`);
  assertStringIncludes(second.errors, "of 500, ");
  const asked = second.requests.filter(({ method }) => method === "POST");
  assertEquals(asked.length, 501 - sortedBefore);
  // Every line is a result, and no text has two.
  const indexes = (await results()).map((line) => JSON.parse(line).index);
  assertEquals([indexes.length, new Set(indexes).size], [500, 500]);
});

Deno.test("examples/batch.ts: killed at any moment it loses nothing, and two runs do not share a file", async () => {
  await using folder = await makeFolder();
  const content = JSON.stringify({ sentiment: "positive", topic: "price" });
  const fake = createFakeLMStudio({ replies: () => content, firstTokenMs: 20 });
  await using server = await fake.listen();
  const env = { LMSTUDIO_BASE_URL: server.url };
  const first = command("batch", folder.path, [], env).spawn();
  const file = `${folder.path}/sorted.jsonl`;
  const length = async () => (await Deno.readTextFile(file).catch(() => "")).length;
  while (await length() < 1_000) await new Promise((resolve) => setTimeout(resolve, 20));
  const second = await run("batch", folder.path, { env });
  assertEquals([second.code, second.text], [1, ""]);
  assertStringIncludes(second.errors, `Process ${first.pid} is already writing sorted.jsonl`);
  first.kill("SIGKILL");
  await first.stdin.close();
  await first.output();
  await Deno.writeTextFile(file, '{"in', { append: true });
  const third = await run("batch", folder.path, { env });
  assertEquals([third.code, third.text], [0, "500 of 500 are done, 0 failed\n"]);
  const lines = (await Deno.readTextFile(file)).trimEnd().split("\n");
  assertEquals(new Set(lines.map((line) => JSON.parse(line).index)).size, 500);
  assertEquals(lines.length, 500);
});

Deno.test("examples/batch.ts: a result counts only for its text, and another file is left alone", async () => {
  await using folder = await makeFolder();
  const reviews = `${folder.path}/reviews.txt`;
  const sorted = JSON.stringify({ sentiment: "positive", topic: "price" });
  const options = { replies: () => sorted };
  await Deno.writeTextFile(reviews, "Good.\r\nBad.\n");
  const args = ["reviews.txt", "results.jsonl"];
  const first = await runOn(options, "batch", folder.path, { args });
  assertEquals([first.code, first.text], [0, "2 of 2 are done, 0 failed\n"]);
  await Deno.writeTextFile(reviews, "New.\nBad.\nGood.\n");
  const second = await runOn(options, "batch", folder.path, { args });
  assertEquals([second.code, second.text], [0, "3 of 3 are done, 0 failed\n"]);
  assertStringIncludes(second.errors, "1 of 3 are already done\n");
  const swapped = await runOn(options, "batch", folder.path, {
    args: ["results.jsonl", "reviews.txt"],
  });
  assertEquals(swapped.code, 1);
  assertEquals(await Deno.readTextFile(reviews), "New.\nBad.\nGood.\n");
});

Deno.test("examples/mcp.ts: the model calls a tool of the MCP server", async () => {
  await using folder = await makeFolder();
  const { code, text } = await run("mcp", folder.path, { args: ["--fake"] });
  assertEquals(code, 0);
  assertEquals(
    text,
    'Tools: find_notes\n> find_notes {"word":"milk"}\n< Buy milk and bread.\nYou wanted to buy milk.\n',
  );
});

for (const name of SERVERS) {
  Deno.test(`examples/${name}.ts: streams an answer, and reports a failure`, async () => {
    const fake = createFakeLMStudio({ replies: ["Because of the air."] });
    await using folder = await makeFolder();
    await using server = await fake.listen();
    const env = { LMSTUDIO_BASE_URL: server.url };
    const child = command(name, folder.path, ["0"], env).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      const { value } = await reader.read();
      const url = /http:\S+/.exec(value ?? "")?.[0] ?? "";
      const post = async (body: string) => {
        const response = await fetch(url, { method: "POST", body });
        return [response.status, await response.text()];
      };
      assertEquals(await post("Why?"), [200, "Because of the air."]);
      assertEquals(await post(""), [400, "The model cannot answer."]);
      await server[Symbol.asyncDispose]();
      assertEquals(await post("Why?"), [502, "The model cannot answer."]);
    } finally {
      child.kill();
      await reader.cancel();
      await child.stdin.close();
      await child.stderr.cancel();
      await child.status;
    }
  });
}
