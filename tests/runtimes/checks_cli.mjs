/**
 * The command line as users start it: as a program on this runtime, with its output piped and in a terminal. The
 * terminal comes from util-linux's `script`.
 */
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { check, RUNTIME, sleep, withTcp } from "./harness.mjs";

const CLI = fileURLToPath(
  new URL(
    RUNTIME === "deno" ? "../../src/cli/mod.ts" : "./node_modules/@patinox/lmstudio/src/cli/mod.js",
    import.meta.url,
  ),
);
const PROGRAM = RUNTIME === "deno"
  ? [process.execPath, "run", "--no-prompt", "-A"]
  : [process.execPath];
const LIMIT_MS = 15_000;
const MODEL = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const SLOW = "Take your time.";

/** Cut within a line, within a character, and with nothing to cut. */
const CHUNKS = [
  'data: {"a":',
  "1}\n\n",
  Buffer.from("data: ⚓").subarray(0, 7),
  Buffer.from("⚓").subarray(1),
  "\n\n",
];

/** Commands that end on their own: their output and exit code. */
const COMMANDS = [
  [["--help"], 0, /Commands:/],
  [["doctor"], 0, /No fault found/],
  [["doctor", "--context", "999999"], 6, /^Cause [^]*are\s+needed/m],
  [["models"], 0, /^qwen\/qwen3-8b +yes/m],
  [["models", "--json"], 0, /"id": "qwen\/qwen3-8b"/],
  [["chat", "Hi"], 0, /^Hello there\.$/m],
  [["embed", "hi"], 0, /^\[-?[\d.]+/m],
  [["decide", "It rains.", "--predicate", "Is it dry?"], 0, /^Is it dry\? +yes +50 % likely/m],
  [["load", MODEL], 0, /^qwen\/qwen3-8b$/m],
  [["download", "ibm/granite-4-micro"], 0, /has been downloaded/],
  [["unload", MODEL], 0, /^qwen\/qwen3-8b$/m],
  [["env"], 0, /^export OPENAI_BASE_URL=http/m],
  [["verify", "--limit", "10"], 0, /\d+ hold, 0 fail/],
  [["modles"], 2, /Did you mean models\?/],
  [["chat", "--modle", "x"], 2, /Did you mean --model\?/],
];

for (const [args, code, pattern] of COMMANDS) {
  await check(`${args.join(" ")}: piped`, () =>
    withFake(async (url) => {
      const run = await runPiped(args, { LMSTUDIO_BASE_URL: url });
      assert.equal(run.code, code, run.output + run.errors);
      assert.match(run.output + run.errors, pattern);
      assert.equal(run.output.includes("\x1b"), false);
    }));
  await check(`${args.join(" ")}: in a terminal`, () =>
    withFake(async (url) => {
      const run = runInTerminal(args, { LMSTUDIO_BASE_URL: url });
      assert.equal(await run.ended, code, run.text);
      assert.match(plain(run.text), pattern);
    }));
}

await check("colors: in a terminal, but not with NO_COLOR", () =>
  withFake(async (url) => {
    const colored = runInTerminal(["doctor"], { LMSTUDIO_BASE_URL: url });
    await colored.ended;
    assert.ok(colored.text.includes("\x1b[32m"));
    const not = runInTerminal(["doctor"], { LMSTUDIO_BASE_URL: url, NO_COLOR: "1" });
    await not.ended;
    assert.equal(not.text.includes("\x1b"), false);
  }));

await check("a closed pipe is not an error", () =>
  withFake(async (url) => {
    const command = shellWords([...PROGRAM, CLI, "doctor"]);
    const run = await runShell(`${command} | head -n 1`, { LMSTUDIO_BASE_URL: url });
    assert.equal(run.errors, "");
    assert.match(run.output, /^ok address/);
  }));

await check(
  "a prompt from a pipe, alone and with one as an argument",
  () =>
    withFake(async (url, fake) => {
      await runPiped(["chat"], { LMSTUDIO_BASE_URL: url }, "from the pipe\n");
      await runPiped(["chat", "and given"], { LMSTUDIO_BASE_URL: url }, "from the pipe\n");
      assert.deepEqual(fake.chats.map(({ prompt }) => prompt), [
        "from the pipe",
        "and given\n\nfrom the pipe",
      ]);
    }),
);

await check(
  "a conversation: it is remembered, Ctrl+C stops the answer but not the program, Ctrl+D ends it",
  () =>
    withFake(async (url, fake) => {
      const run = runInTerminal(["chat"], { LMSTUDIO_BASE_URL: url });
      await run.shows(/> $/);
      run.type("First\n");
      await run.shows(/Hello there\.\r?\n> $/);
      run.type(`${SLOW}\n`);
      await run.shows(/slow 1 /);
      run.type("\x03");
      await run.shows(/\(stopped\)[^>]*> $/);
      run.type("Last\n");
      await run.shows(/Hello there\.\r?\n> $/);
      run.type("\x04");
      assert.equal(await run.ended, 0, run.text);
      const messages = fake.chats.at(-1).messages.map(({ content }) => content);
      assert.equal(messages.length, 5);
      assert.match(messages[3], /^slow 1 /);
      assert.deepEqual([messages[0], messages[1], messages[4]], ["First", "Hello there.", "Last"]);
    }),
);

await check("a conversation: /exit ends it", () =>
  withFake(async (url) => {
    const run = runInTerminal(["chat"], { LMSTUDIO_BASE_URL: url });
    await run.shows(/> $/);
    run.type("/exit\n");
    assert.equal(await run.ended, 0, run.text);
  }));

await check("Ctrl+C ends a question that is asked once", () =>
  withFake(async (url) => {
    const run = runInTerminal(["chat", SLOW], { LMSTUDIO_BASE_URL: url });
    await run.shows(/slow 1 /);
    run.type("\x03");
    assert.equal(await run.ended, 130, run.text);
  }));

await check(
  "serve-fake, record, replay: they serve until Ctrl+C, and end cleanly",
  () =>
    withFolder(async (folder) => {
      const fake = await serve(["serve-fake", "--reply", "Four.", "--reply", "Five."]);
      const proxy = await serve(["record", `${folder}/session`, "--base-url", fake.url]);
      const first = await runPiped(["chat", "Two and two?"], { LMSTUDIO_BASE_URL: proxy.url });
      assert.equal(first.output, "Four.\n", first.errors);
      assert.equal(await proxy.end(), 0);
      assert.equal(await fake.end(), 0);
      assert.deepEqual(
        (await readdir(`${folder}/session`)).filter((name) => !name.endsWith(".json")),
        [],
      );
      const player = await serve(["replay", `${folder}/session`]);
      const again = await runPiped(["chat", "Anything?"], { LMSTUDIO_BASE_URL: player.url });
      assert.equal(again.output, "Four.\n", again.errors);
      assert.equal(await player.end(), 0);
      const drift = await runPiped(["drift", `${folder}/session`], {});
      assert.equal(drift.output, "No differences.\n", drift.errors);
    }),
);

await check(
  "record, replay: chunks of a body keep their boundaries on the wire",
  () =>
    withFolder((folder) =>
      withTcp((socket) => {
        socket.once("data", async () => {
          socket.write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
          );
          for (const chunk of CHUNKS) {
            const bytes = Buffer.from(chunk);
            socket.write(
              Buffer.concat([
                Buffer.from(`${bytes.length.toString(16)}\r\n`),
                bytes,
                Buffer.from("\r\n"),
              ]),
            );
            await sleep(20);
          }
          socket.end("0\r\n\r\n");
        });
      }, async (url) => {
        const direct = await askRaw(url);
        const proxy = await serve(["record", folder, "--base-url", url]);
        assert.equal(await askRaw(proxy.url), direct);
        assert.equal(await proxy.end(), 0);
        const player = await serve(["replay", folder]);
        assert.equal(await askRaw(player.url), direct);
        assert.equal(await player.end(), 0);
      })
    ),
);

await check(
  "runs if started through a link to its file, but not if imported",
  () =>
    withFolder(async (folder) => {
      if (RUNTIME !== "deno") {
        // The extension tells Node that it is a module. Deno does not resolve the link.
        const link = join(folder, "lmstudio.mjs");
        await symlink(CLI, link);
        const linked = await runShell(shellWords([...PROGRAM, link, "--help"]), {});
        assert.match(linked.output, /Commands:/);
      }
      const importer = join(folder, "importer.mjs");
      await writeFile(
        importer,
        `await import(${JSON.stringify(CLI)});\nconsole.log("imported");\n`,
      );
      const imported = await runShell(shellWords([...PROGRAM, importer, "--help"]), {});
      assert.equal(imported.output, "imported\n");
    }),
);

/** The body as it is on the wire, with the lengths of its chunks. */
function askRaw(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    const chunks = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => {
      const text = Buffer.concat(chunks).toString("latin1");
      resolve(text.slice(text.indexOf("\r\n\r\n") + 4));
    });
    socket.write(
      `GET /v1/models HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n\r\n`,
    );
  });
}

// --- Running commands -------------------------------------------------------------------------

async function withFake(use) {
  const slow = Array.from({ length: 100 }, (_, at) => `slow ${at + 1} `);
  const fake = createFakeLMStudio({
    models: [MODEL, EMBEDDER, { id: "typesafe/kev-4b", type: "decision" }],
    tokenMs: 50,
    replies: ({ messages }) =>
      JSON.stringify(messages?.at(-1) ?? "").includes(SLOW)
        ? { content: slow }
        : { content: ["Hello there."] },
  });
  const server = await fake.listen();
  try {
    await use(server.url, fake);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

async function withFolder(use) {
  const folder = await mkdtemp(join(tmpdir(), "lmstudio-cli-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The variables of a user's shell, without the machine's own. */
function environment(variables) {
  const { PATH = "", HOME = "", DENO_DIR } = process.env;
  return { PATH, HOME, TERM: "xterm-256color", ...(DENO_DIR ? { DENO_DIR } : {}), ...variables };
}

function shellWords(words) {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

function runPiped(args, variables, input = "") {
  return runShell(shellWords([...PROGRAM, CLI, ...args]), variables, input);
}

async function runShell(command, variables, input = "") {
  const child = spawn("sh", ["-c", command], { env: environment(variables) });
  const run = { code: undefined, output: "", errors: "" };
  child.stdout.on("data", (data) => run.output += data);
  child.stderr.on("data", (data) => run.errors += data);
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  run.code = await ending(child);
  return run;
}

function runInTerminal(args, variables) {
  const command = `stty cols 100; exec ${shellWords([...PROGRAM, CLI, ...args])}`;
  const child = spawn("script", ["-qfec", command, "/dev/null"], { env: environment(variables) });
  const run = {
    text: "",
    /** Output since the last call. */
    shownUpTo: 0,
    type: (keys) => child.stdin.write(keys),
    async shows(pattern) {
      const deadline = performance.now() + LIMIT_MS;
      while (!pattern.test(plain(run.text.slice(run.shownUpTo)))) {
        if (performance.now() > deadline) {
          throw new Error(`${pattern} is not in ${JSON.stringify(run.text)}`);
        }
        await sleep(10);
      }
      run.shownUpTo = run.text.length;
    },
    ended: undefined,
  };
  child.stdout.on("data", (data) => run.text += data);
  child.stdin.on("error", () => {});
  run.ended = ending(child).finally(() => child.stdin.destroy());
  return run;
}

/** A serving command, stopped by Ctrl+C. */
async function serve(args) {
  const [program, ...rest] = PROGRAM;
  const child = spawn(program, [...rest, CLI, ...args], { env: environment({}) });
  const over = ending(child);
  let text = "";
  child.stdout.on("data", (data) => text += data);
  child.stderr.on("data", (data) => text += data);
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const [, url] = /at (http:\/\/127\.0\.0\.1:\d+)/.exec(text) ?? [];
    if (url !== undefined) {
      return {
        url,
        end() {
          // Deno's own `child.kill` treats the child as dead at once.
          process.kill(child.pid, "SIGINT");
          return over;
        },
      };
    }
    if (performance.now() > deadline) throw new Error(`it does not serve: ${text}`);
    await sleep(10);
  }
}

function ending(child) {
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(signal ?? code));
  }).finally(() => clearTimeout(timer));
}

function plain(text) {
  // deno-lint-ignore no-control-regex -- as above.
  return text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
}
