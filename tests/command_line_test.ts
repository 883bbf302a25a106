/** The commands: what they print and where, what they refuse, and their exit codes. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCommandLine } from "../src/cli/command_line.ts";
import { EXIT } from "../src/cli/exit_codes.ts";
import { showChunks, shown } from "../src/cli/terminal.ts";
import {
  createFakeLMStudio,
  type FakeLMStudio,
  type FakeLMStudioOptions,
} from "../src/testing/mod.ts";
import {
  type CommandRun,
  runCommand,
  TestStreams,
  type TestStreamsOptions,
} from "./support/command_line.ts";

const MODEL = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const COMMANDS = [
  "doctor",
  "models",
  "chat",
  "embed",
  "decide",
  "load",
  "unload",
  "download",
  "env",
  "verify",
  "record",
  "replay",
  "drift",
  "serve-fake",
];

type Run = (args: readonly string[], options?: TestStreamsOptions) => Promise<CommandRun>;

/** Runs commands against a fake server. */
async function withFake(
  options: FakeLMStudioOptions,
  test: (run: Run, fake: FakeLMStudio, url: string) => Promise<void>,
): Promise<void> {
  const fake = createFakeLMStudio({ models: [MODEL, EMBEDDER], ...options });
  await using server = await fake.listen();
  const env = { LMSTUDIO_BASE_URL: server.url };
  await test(
    (args, options = {}) => runCommand(args, { ...options, env: { ...env, ...options.env } }),
    fake,
    server.url,
  );
}

async function withFile(
  text: string | Uint8Array,
  test: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "lmstudio-" });
  try {
    if (typeof text === "string") await Deno.writeTextFile(path, text);
    else await Deno.writeFile(path, text);
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

// --- Help and refusals ------------------------------------------------------------------------

Deno.test("help: an overview, and each command's options and examples, in narrow windows too", async () => {
  const { code, output } = await runCommand(["--help"]);
  assertEquals(code, 0);
  for (const name of COMMANDS) assertMatch(output, new RegExp(`^  ${name} `, "m"));
  for (const name of COMMANDS) {
    for (const columns of [40, 100]) {
      const help = await runCommand([name, "--help"], { isTerminal: true, columns });
      assertEquals(help.code, 0);
      assertMatch(help.output, new RegExp(`^Usage: lmstudio ${name}`));
      assertMatch(help.output, /^Examples:\n {2}\S/m);
      assertMatch(help.output, /^ {2}-h, --help +Show this help/m);
    }
    assertEquals(
      (await runCommand(["help", name])).output,
      (await runCommand([name, "-h"])).output,
    );
  }
});

Deno.test("usage: a refusal is one line on stderr with the nearest name, and exits with 2", async () => {
  const refusals: [args: string[], message: RegExp][] = [
    [["docter"], /^Cannot run "docter": there is no such command\. Did you mean doctor\?\n$/],
    [["xyzzyq"], /there is no such command\. See `lmstudio --help`/],
    [
      ["models", "--jason"],
      /^Cannot run models: it has no option --jason\. Did you mean --json\?\n$/,
    ],
    [["models", "--json=yes"], /--json is a flag and takes no value/],
    [["chat", "--model"], /--model needs a value, as in --model NAME/],
    [["chat", "--model", "--json", "x"], /--model needs a value/],
    [["load"], /it needs <model>/],
    [["load", "a", "b"], /"b" is one argument too many/],
    [["load", "a", "--context", "much"], /--context "much": it is not a whole number above 0/],
    [["unload"], /name a model, or use --all/],
    [["env", "--shell", "tcsh"], /--shell tcsh: it is not one of sh, fish/],
    [["env", "--only", "google"], /neither openai nor anthropic/],
    [["models", "--base-url", "ftp://x"], /scheme "ftp"/],
    [["doctor", "--context", "-1"], /not a whole number above 0/],
    [
      ["chat", "x", "--schema", "/no/such/file"],
      /Cannot read the schema file "\/no\/such\/file": there is no such file/,
    ],
    [["chat", "x", "--image", "/no/such.png"], /Cannot read the image/],
    [["chat", "x", "--temperature", "hot"], /not a number of 0 or more/],
    [["serve-fake", "--fault", "cutt"], /--fault "cutt": it is not one of refuse, stall, cut/],
    [["serve-fake", "--version", "one"], /version is "one", not x\.y\.z/],
    [["decide", "x"], /ask something with --predicate/],
    [["decide", "x", "--choice", "Which?"], /must be a question, "=" and two or more values/],
    [["replay", "/no/such/folder"], /it has no exchanges/],
    [["drift", "/no/such/folder"], /it has no exchanges/],
  ];
  for (const [args, message] of refusals) {
    const { code, output, errors } = await runCommand(args, { input: "" });
    assertEquals([code, output], [2, ""], args.join(" ") + errors);
    assertMatch(errors, message);
    assertEquals(errors.trimEnd().split("\n").length, 1);
  }
  const { code, output } = await runCommand([]);
  assertEquals(code, 2);
  assertMatch(output, /Commands:/);
});

Deno.test("errors: one sentence with its remedy, an exit code by class, a stack only with --debug", async () => {
  const failing = async (options: FakeLMStudioOptions, ...args: string[]) => {
    let result: CommandRun | undefined;
    await withFake(options, async (run) => {
      result = await run(args);
    });
    return result as unknown as CommandRun;
  };
  const token = "sk-lm-12345678:abcdefghij0123456789";
  assertEquals((await failing({ apiToken: token }, "models")).code, 4);
  assertEquals((await failing({}, "load", "no/such-model")).code, 5);
  assertEquals(
    (await failing({ models: [{ id: MODEL, loaded: false }] }, "chat", "--json", "Hi")).code,
    5,
  );
  const cut = await failing(
    {
      faults: [{ path: "/v1/chat/completions", times: 9, fault: { type: "cut", clean: true } }],
    },
    "chat",
    "Hi",
  );
  assertEquals(cut.code, 8);
  const gone = await createFakeLMStudio().listen();
  await gone[Symbol.asyncDispose]();
  const env = { LMSTUDIO_BASE_URL: gone.url };
  const offline = await runCommand(["models"], { env });
  assertEquals(offline.code, 3);
  assertMatch(
    offline.errors,
    /^Cannot list models: http:\/\/127\.0\.0\.1:\d+ refused the connection\. .+\n$/,
  );
  const debugged = await runCommand(["models", "--debug"], { env });
  assertMatch(debugged.errors, /\n\s+at /);
});

Deno.test("docs/cli.md: every exit code, every command", async () => {
  const text = await Deno.readTextFile(new URL("../docs/cli.md", import.meta.url));
  const codes = [...text.matchAll(/^\| (\d+) +\| /gm)].map(([, code]) => Number(code));
  const table = codes.slice(codes.indexOf(0));
  assertEquals(table, [0, 1, ...Object.values(EXIT)]);
  for (const name of COMMANDS) assert(text.includes(`\`${name}`), name);
});

// --- What is shown ----------------------------------------------------------------------------

Deno.test("terminal: the server's control characters never reach it, whole or split", async () => {
  const nasty = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md\re\u202ef\x00g\x08h";
  assertEquals(shown(nasty), "abcd\nefgh");
  for (let cut = 1; cut < nasty.length; cut++) {
    const show = showChunks();
    assertEquals(
      show(nasty.slice(0, cut)) + show(nasty.slice(cut)) + show(""),
      "abcd\nefgh",
      `cut at ${cut}`,
    );
  }
  const family = "👩‍👩‍👧 नमस्ते";
  const show = showChunks();
  assertEquals([...family.split("")].map((unit) => show(unit)).join("") + show(""), family);

  await withFake({
    models: [{ id: `evil\x1b[31m/model`, displayName: "x" }],
    replies: () => ({
      content: ["red \x1b[3", "1m text", "\x1b]0;", "x\x07", " \x9b31m\u202e end"],
    }),
  }, async (run) => {
    for (
      const args of [["models"], ["models", "--json"], ["chat", "Hi"], ["chat", "Hi", "--json"]]
    ) {
      const { output, errors } = await run(args, {
        isTerminal: true,
        env: { NO_COLOR: "1" },
        input: "",
      });
      assertEquals(
        // deno-lint-ignore no-control-regex -- what must not be there.
        /[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(output + errors),
        false,
        JSON.stringify(output + errors),
      );
    }
  });
});

Deno.test("models: a table that drops columns in a narrow window, but never in a pipe", async () => {
  await withFake({
    models: [
      {
        id: MODEL,
        params: "8B",
        sizeBytes: 4_920_000_000,
        contextLength: 4096,
        maxContextLength: 131_072,
      },
      { id: "google/gemma-3-12b", loaded: false, vision: true, tools: false },
      EMBEDDER,
    ],
  }, async (run) => {
    const piped = await run(["models"], { columns: 20 });
    assertEquals(piped.output.split("\n").map((line) => line.split(/ {2,}/)), [
      ["MODEL", "LOADED", "CONTEXT", "SIZE", "QUANT", "CAN"],
      [MODEL, "yes", "4096 of 131072", "4.9 GB", "Q4_K_M", "tools"],
      ["google/gemma-3-12b", "-", "of 131072", "4.9 GB", "Q4_K_M", "images"],
      [EMBEDDER, "yes", "2048 of 2048", "84.1 MB", "Q4_K_M", "embedding"],
      [""],
    ]);
    const narrow = await run(["models"], { isTerminal: true, columns: 46, env: { NO_COLOR: "1" } });
    assertMatch(narrow.output, /^MODEL +LOADED\n/);
    const loaded = await run(["models", "--loaded", "--json"]);
    const ids = (JSON.parse(loaded.output) as { id: string }[]).map(({ id }) => id);
    assertEquals(ids, [MODEL, EMBEDDER]);
    assertEquals(loaded.output.includes('"raw"'), false);
  });
});

// --- chat -------------------------------------------------------------------------------------

Deno.test("chat: only the answer in a pipe; in a terminal the reasoning as well, unless switched off", async () => {
  const reply = { content: ["The ", "sky."], reasoning: "Let me see." };
  await withFake({ replies: () => reply }, async (run) => {
    assertEquals(await run(["chat", "Why?"], { input: "" }), {
      code: 0,
      output: "The sky.\n",
      errors: "",
    });
    const watched = await run(["chat", "Why?"], { isTerminal: true });
    assertEquals(watched.output, "The sky.\n");
    assertEquals(
      watched.errors.replaceAll("\x1b[2m", "").replaceAll("\x1b[22m", ""),
      "Let me see.\n\n",
    );
    assert(watched.errors.startsWith("\x1b[2m"));
    assertEquals((await run(["chat", "Why?", "--no-reasoning"], { isTerminal: true })).errors, "");
  });
});

Deno.test("chat: system prompt, images, settings and model are sent", async () => {
  const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
  await withFake({ models: [{ id: MODEL, vision: true }] }, async (run, fake) => {
    await withFile(png, async (image) => {
      const args = [
        "chat",
        "What",
        "is it?",
        "-s",
        "Be brief.",
        "-i",
        image,
        "-i",
        image,
        "--max-tokens",
        "50",
      ];
      const { code, errors } = await run([...args, "--temperature", "0", "-m", "qwen3-8b"], {
        input: "",
      });
      assertEquals([code, errors], [0, ""]);
    });
    const [chat] = fake.chats;
    assertEquals(
      [
        chat?.system,
        chat?.prompt,
        chat?.images,
        chat?.model,
        chat?.body.max_tokens,
        chat?.body.temperature,
      ],
      ["Be brief.", "What is it?", 2, "qwen3-8b", 50, 0],
    );
  });
});

Deno.test("chat: a schema prints an object, --json the whole answer", async () => {
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  await withFake({ replies: () => '{"name":"Ada"}' }, async (run) => {
    await withFile(JSON.stringify(schema), async (file) => {
      const { output } = await run(["chat", "Who?", "--schema", file], { input: "" });
      assertEquals(JSON.parse(output), { name: "Ada" });
    });
    const { output } = await run(["chat", "Who?", "--json"], { input: "" });
    const answer = JSON.parse(output);
    assertEquals([answer.content, answer.finishReason, "raw" in answer], [
      '{"name":"Ada"}',
      "stop",
      false,
    ]);
  });
});

Deno.test("chat: a tool's program gets the arguments on stdin, without a shell; other tool calls are printed", async () => {
  const tools = [
    {
      name: "shout",
      parameters: { type: "object", properties: { text: { type: "string" } } },
      command: ["tr", "a-z", "A-Z"],
    },
    { name: "report", parameters: { type: "object", properties: {} } },
  ];
  const calls = (name: string, args: unknown) => ({ toolCalls: [{ name, arguments: args }] });
  await withFake({
    replies: [calls("shout", { text: "$(touch x)" }), "Done.", calls("report", { all: 1 })],
  }, async (run, fake) => {
    await withFile(JSON.stringify(tools), async (file) => {
      const ran = await run(["chat", "Go", "--tools", file], { input: "" });
      assertEquals(ran.output, "Done.\n");
      assertMatch(ran.errors, /^> shout \{"text":"\$\(touch x\)"\}\n$/);
      const result = fake.chats[1]?.messages.at(-1);
      assertEquals(result, { role: "tool", content: '{"TEXT":"$(TOUCH X)"}' });
      const printed = await run(["chat", "Go", "--tools", file], { input: "" });
      assertEquals(JSON.parse(printed.output).name, "report");
    });
    await withFile('[{"description": "no name"}]', async (file) => {
      const { code, errors } = await run(["chat", "Go", "--tools", file], { input: "" });
      assertEquals(code, 2);
      assertMatch(errors, /number 1 has no name/);
    });
  });
});

Deno.test("chat: a conversation continues after an error, has a memory, and can be cleared", async () => {
  await withFake({
    replies: ["One.", "Never said.", "Two.", "Three."],
    faults: [{
      path: "/v1/chat/completions",
      skip: 1,
      times: 1,
      fault: { type: "error-frame", message: "boom" },
    }],
  }, async (run, fake) => {
    const typed = (async function* () {
      yield "first\nse";
      yield "cond\nthird\n/clear\nfourth\n/exit\nnever\n";
    })();
    const { code, output, errors } = await run(["chat", "--system", "S"], {
      input: typed,
      isTerminal: true,
    });
    assertEquals(code, 0);
    assertEquals(output, "One.\nTwo.\nThree.\n");
    assertMatch(errors, /boom/);
    assertEquals(fake.chats.map(({ messages }) => messages.map(({ content }) => content)), [
      ["first"],
      ["first", "One.", "second"],
      ["first", "One.", "third"],
      ["fourth"],
    ]);
    assertEquals(fake.chats.map(({ system }) => system), ["S", "S", "S", "S"]);
  });
});

// --- The others -------------------------------------------------------------------------------

Deno.test("embed: arguments or lines from a pipe; vectors as lines of JSON", async () => {
  await withFake({}, async (run, fake) => {
    const given = await run(["embed", "one", "two"], { input: "" });
    assertEquals(given.output.trimEnd().split("\n").map((line) => JSON.parse(line).length), [
      768,
      768,
    ]);
    const piped = await run(["embed", "--json", "--batch", "2"], { input: "a\n\nb\r\nc" });
    const { model, embeddings } = JSON.parse(piped.output);
    assertEquals(embeddings.length, 3);
    assertMatch(model, /nomic/);
    const inputs = fake.requests.flatMap(({ body }) =>
      (body as { input?: string[] } | undefined)?.input ?? []
    );
    assertEquals(inputs.slice(2), ["a", "b", "c"]);
    const { code, errors } = await run(["embed"], { isTerminal: true });
    assertEquals(code, 2);
    assertMatch(errors, /give texts as arguments/);
  });
});

Deno.test("decide: questions from flags and from a file, one answer per line", async () => {
  const decisions = { "Is the customer angry?": 0.8, team: "support", "How urgent is it?": 1 };
  const models = [MODEL, { id: "typesafe/kev-4b", type: "decision" as const }];
  await withFake({ models, decisions }, async (run, fake) => {
    const questions = {
      team: { type: "choice", instructions: "Whose is it?", choices: ["billing", "support"] },
    };
    await withFile(JSON.stringify(questions), async (file) => {
      const args = ["decide", "--predicate", "Is the customer angry?", "--questions", file];
      const { code, output, errors } = await run(
        [...args, "--score", "How urgent is it?=low, middle,high"],
        { input: "I was charged twice.\n" },
      );
      assertEquals([code, errors], [0, ""]);
      assertEquals(output.trimEnd().split("\n").map((line) => line.split(/ {2,}/)), [
        ["team", "support", "90 % sure"],
        ["Is the customer angry?", "yes", "80 % likely"],
        ["How urgent is it?", "middle (1.0)", "90 % sure"],
      ]);
      assertEquals(
        (fake.requests.at(-1)?.body as { input: unknown }).input,
        "I was charged twice.",
      );
      const json = await run([...args, "--json"], { input: "Hm." });
      assertEquals(Object.keys(JSON.parse(json.output).answers), [
        "team",
        "Is the customer angry?",
      ]);
    });
  });
});

Deno.test("load, unload: ids on stdout for programs, the rest on stderr for people", async () => {
  await withFake({ models: [{ id: MODEL, loaded: false }, "google/gemma-3-4b"] }, async (run) => {
    const loaded = await run(["load", "qwen3-8b", "--context", "8192"]);
    assertEquals(loaded.output, `${MODEL}\n`);
    assertMatch(loaded.errors, /^Loaded in \d+\.\d s, 8192 tokens of context\.\n$/);
    const again = await run(["load", MODEL, "--json"]);
    assertEquals(JSON.parse(again.output), {
      instanceId: MODEL,
      alreadyLoaded: true,
      contextLength: 8192,
    });
    assertEquals((await run(["unload", MODEL])).output, `${MODEL}\n`);
    assertEquals(JSON.parse((await run(["unload", "--all", "--json"])).output), [
      "google/gemma-3-4b",
    ]);
    assertMatch((await run(["unload", "--all"])).errors, /Nothing was loaded/);
  });
});

Deno.test("download: a progress bar with rate and time left in a terminal, otherwise one line", async () => {
  const downloads = [{
    model: "ibm/granite-4-micro",
    sizeBytes: 2_000_000_000,
    bytesPerSecond: 10_000_000,
    progress: [0, 0.5, "paused" as const, 1],
  }];
  await withFake({ downloads }, async (run, _, url) => {
    const piped = await run(["download", "ibm/granite-4-micro"]);
    assertEquals(piped, {
      code: 0,
      output: "ibm/granite-4-micro has been downloaded (2.0 GB).\n",
      errors: "",
    });
    assert(url !== "");
  });
  await withFake({ downloads }, async (run) => {
    const watched = await run(["download", "ibm/granite-4-micro"], { isTerminal: true });
    assertMatch(
      watched.errors,
      /\[#{12}-{12}\] {3}50 % {2}1\.0 GB of 2\.0 GB {2}10\.0 MB\/s {2}2 min left/,
    );
    assertMatch(watched.errors, /paused/);
    assertEquals(watched.errors.includes("\n\n"), false);
  });
  await withFake({ downloads }, async (run) => {
    const { output } = await run(["download", "ibm/granite-4-micro", "--json"]);
    const looks = output.trimEnd().split("\n").map((line) => JSON.parse(line).status);
    assertEquals(looks.at(-1), "completed");
  });
});

Deno.test("env: the variables of OpenAI's and Anthropic's clients, in each shell's syntax", async () => {
  const env = { LMSTUDIO_BASE_URL: "http://gpu-box:1234/v1", LM_API_TOKEN: "it's-a-token" };
  const lines = async (...args: string[]) =>
    (await runCommand(["env", ...args], { env })).output.trimEnd().split("\n");
  assertEquals(await lines(), [
    "export OPENAI_BASE_URL=http://gpu-box:1234/v1",
    `export OPENAI_API_KEY='it'\\''s-a-token'`,
    "export ANTHROPIC_BASE_URL=http://gpu-box:1234",
    `export ANTHROPIC_AUTH_TOKEN='it'\\''s-a-token'`,
  ]);
  assertEquals(
    (await lines("--shell", "powershell", "--only", "openai"))[1],
    "$env:OPENAI_API_KEY = 'it''s-a-token'",
  );
  assertEquals(
    (await lines("--shell", "fish", "--only", "anthropic"))[0],
    "set -gx ANTHROPIC_BASE_URL http://gpu-box:1234",
  );
  assertEquals((await lines("--shell", "dotenv"))[1], `OPENAI_API_KEY="it's-a-token"`);
  const { output } = await runCommand(["env", "--json"], { env: {} });
  assertEquals(JSON.parse(output).OPENAI_BASE_URL, "http://127.0.0.1:1234/v1");
});

Deno.test("serve-fake: a scenario from a file, faults by flag, requests printed, until Ctrl+C", async () => {
  const scenario = { models: ["tiny/model"], replies: ["From the file."] };
  await withFile(JSON.stringify(scenario), async (file) => {
    const streams = new TestStreams();
    const args = [
      "serve-fake",
      "--scenario",
      file,
      "--token",
      "t0ken",
      "--fault",
      "respond:503x2@/v1/models",
    ];
    const ended = runCommandLine(args, streams);
    const url = await new Promise<string>((resolve) => {
      streams.onWrite = () => {
        const [, url] = /at (http:\S+)/.exec(streams.output.text) ?? [];
        if (url !== undefined) resolve(url);
      };
    });
    const ask = async (path: string, init: RequestInit = {}) => {
      const headers = { Authorization: "Bearer t0ken" };
      const answer = await fetch(url + path, { headers, ...init });
      return [answer.status, await answer.text()] as const;
    };
    assertEquals((await ask("/v1/models"))[0], 503);
    assertEquals((await ask("/v1/models"))[0], 503);
    assertMatch((await ask("/v1/models"))[1], /tiny\/model/);
    const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });
    assertMatch(
      (await ask("/v1/chat/completions", { method: "POST", body }))[1],
      /From the file\./,
    );
    assertEquals((await ask("/v1/models", { headers: {} }))[0], 401);
    while (!streams.interrupt()) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(await ended, 0);
    assertEquals(streams.errors.text.match(/^GET \/v1\/models$/gm)?.length, 4);
    const [use] = streams.errors.text.split("\n");
    assertEquals(use, `Point programs at it with LMSTUDIO_BASE_URL=${url}. Ctrl+C stops it.`);
  });
});
