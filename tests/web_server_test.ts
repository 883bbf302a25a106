/**
 * The servers of docs/web-server.md, exactly as shown there, each in its own process: text as it is generated, a status
 * for failures, and no generation for clients that have disconnected.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { closedPort } from "./support/raw_server.ts";
import { expectDeno, WITHOUT_LM_STUDIO } from "./support/script.ts";
import { events, gate, serveStub, type StubRequest } from "./support/stub_server.ts";
import { FINISH, rejection, token } from "./support/wire.ts";

const ROOT = new URL("../", import.meta.url);
const START_LIMIT_MS = 60_000;
/** Only tests use it: nothing that users run downloads it. */
const EXPRESS = "npm:express@^5.3.0";

/** The code that turns the block below a heading into a program. */
const SERVERS: Record<string, { readonly file: string; readonly more?: string }> = {
  Deno: { file: "server.ts" },
  "node:http": { file: "server.mjs" },
  Express: { file: "server.mjs" },
  // Next.js calls the handler.
  "Next.js": { file: "route.ts", more: "\nDeno.serve({ port: 8000 }, POST);\n" },
};

/** The first code block below a heading, with its imports resolved to this repository. */
async function codeBelow(heading: string, port: number): Promise<string> {
  const page = await Deno.readTextFile(new URL("docs/web-server.md", ROOT));
  const [, code = ""] = page.split(`\n## ${heading}\n`)[1]?.match(/```[jt]s ignore\n(.*?)```/s) ??
    [];
  const { more = "" } = SERVERS[heading]!;
  const program = code + more;
  assertMatch(program, /\b8000\b/);
  return program.replace(/\b8000\b/, String(port))
    .replace(/"(?:jsr:)?@patinox\/lmstudio"/, JSON.stringify(new URL("mod.ts", ROOT).href))
    .replace('"express"', JSON.stringify(EXPRESS));
}

interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** Stops it, and returns its log. */
  stop(): Promise<string>;
}

async function startServer(heading: string, baseUrl: string): Promise<RunningServer> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-web-" });
  const port = closedPort();
  const file = `${folder}/${SERVERS[heading]!.file}`;
  await Deno.writeTextFile(file, await codeBelow(heading, port));
  const none = Object.fromEntries(CONFIG_VARIABLES.map((name) => [name, ""]));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      WITHOUT_LM_STUDIO,
      "-A",
      "--config",
      new URL("deno.json", ROOT).pathname,
      file,
    ],
    env: {
      ...none,
      NO_COLOR: "1",
      NO_PROXY: "127.0.0.1,localhost",
      LMSTUDIO_BASE_URL: baseUrl,
      LMSTUDIO_MODEL: "m",
      LMSTUDIO_MAX_RETRIES: "0",
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Response(child.stderr).text();
  let isRunning = true;
  const ended = child.status.then(() => isRunning = false);
  const stop = async (): Promise<string> => {
    if (isRunning) child.kill();
    await ended;
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    return await log;
  };
  const limit = Date.now() + START_LIMIT_MS;
  while (!await accepts(port)) {
    if (!isRunning || Date.now() > limit) {
      throw new Error(`${heading} does not start: ${await stop()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url: `http://127.0.0.1:${port}/`,
    stop,
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}

async function accepts(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** Sends a request as `fetch` does for a text body. */
function ask(url: string, body: string, signal?: AbortSignal): Promise<Response> {
  return fetch(url, { method: "POST", body, ...(signal === undefined ? {} : { signal }) });
}

function questionOf({ body }: StubRequest): string {
  return (body as { messages: { content: string }[] }).messages[0]!.content;
}

Deno.test("docs/web-server.md: the types of all servers hold", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-web-" });
  try {
    const files = await Promise.all(
      Object.entries(SERVERS).map(async ([heading, { file }], index) => {
        const path = `${folder}/${index}_${file}`;
        await Deno.writeTextFile(path, await codeBelow(heading, 8000));
        return path;
      }),
    );
    await expectDeno(["check", "--config", new URL("deno.json", ROOT).pathname, ...files]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const heading of Object.keys(SERVERS)) {
  Deno.test(`docs/web-server.md: ${heading}`, async () => {
    const more = gate();
    const arrived = gate();
    const lmstudio = serveStub({
      "POST /v1/chat/completions": (request) => {
        const question = questionOf(request);
        if (question === "silence") arrived.open();
        const answers: Record<string, ReturnType<typeof events>> = {
          "Why?": events([token("Waves"), more.opened, token(" crash, Grüße."), FINISH]),
          endless: events([token("Waves")], "hang"),
          silence: events([], "hang"),
          cut: events([token("Waves")]),
          locked: { status: 401, body: '{"error":"no key"}' },
        };
        return answers[question]!;
      },
    });
    const leftBy = (question: string): Promise<void> =>
      lmstudio.requests.find((request) => questionOf(request) === question)!.left;
    await using server = await startServer(heading, lmstudio.url);

    // Text as it is generated.
    const answer = await ask(server.url, "Why?");
    assertEquals([answer.status, answer.headers.get("content-type")], [
      200,
      "text/plain; charset=utf-8",
    ]);
    const chunks = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    assertEquals((await chunks.read()).value, "Waves");
    more.open();
    let rest = "";
    for (let next = await chunks.read(); !next.done; next = await chunks.read()) rest += next.value;
    assertEquals(rest, " crash, Grüße.");

    // A client that disconnects: after the first chunk, and before it.
    const reading = new AbortController();
    const endless = await ask(server.url, "endless", reading.signal);
    await endless.body!.getReader().read();
    reading.abort();
    await leftBy("endless");
    const waiting = new AbortController();
    const silence = rejection(ask(server.url, "silence", waiting.signal));
    await arrived.opened;
    waiting.abort();
    await silence;
    await leftBy("silence");

    // Half an answer is not an answer.
    const cut = await ask(server.url, "cut");
    assertEquals(cut.status, 200);
    assert(await rejection(cut.text()) instanceof Error);

    // Their own statuses, without internal details.
    const statusOf = async (question: string): Promise<number> => {
      const response = await ask(server.url, question);
      assertEquals(await response.text(), "The model cannot answer.");
      return response.status;
    };
    assertEquals(await statusOf("locked"), 502);
    assertEquals(await statusOf(""), 400);
    await lmstudio[Symbol.asyncDispose]();
    assertEquals(await statusOf("Why?"), 502);

    const log = await server.stop();
    assertStringIncludes(log, "lms server start");
    // A client that disconnects is not a failure, and nothing is left unhandled.
    assert(!/Uncaught|Unhandled|AbortError/i.test(log), log);
  });
}
