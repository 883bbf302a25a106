/** The `serve-fake` command: the fake LM Studio of `./testing` on a port. */

import { isRecord, quote } from "../core/fields.ts";
import { resolveConfig } from "../platform/environment.ts";
import { createFakeLMStudio } from "../testing/fake_lmstudio.ts";
import type {
  FakeFault,
  FakeListener,
  FakeLMStudioOptions,
  FaultKind,
} from "../testing/fake_options.ts";
import { type Command, numberOf, readJsonFile, UsageError } from "./arguments.ts";
import { portError, untilStopped } from "./listening.ts";

export const command: Command = {
  usage: "[options]",
  about:
    "Serves a fake LM Studio on this machine until Ctrl+C, so that you can try and test programs without models. It " +
    "answers on the wire as LM Studio does, errors included.",
  options: {
    port: { value: "PORT", help: "Port to listen on. Default: any free port, which is printed." },
    scenario: {
      value: "FILE",
      help:
        "A JSON file with createFakeLMStudio options: models, replies, version, faults and so on.",
    },
    version: { value: "VERSION", help: "The LM Studio release to imitate, such as 0.3.31." },
    token: { value: "TOKEN", help: "Refuse requests without this API token." },
    "token-ms": { value: "MS", help: "Milliseconds between tokens." },
    reply: {
      value: "TEXT",
      help: "What the model says. Repeatable, for one answer after the other.",
    },
    fault: {
      value: "FAULT",
      help:
        "What goes wrong with the first request: refuse, stall, cut, html, bad-json, empty-stream, rate-limit, " +
        "loading, error-frame:WORDS, delay:MS, respond:STATUS. Append xN for the first N requests, then @PATH for " +
        "requests to that path only. Repeatable.",
    },
    cors: { help: "Allow web pages to call it." },
    quiet: { help: "Do not print the requests." },
  },
  examples: [
    ["serve-fake --port 1234", "Instead of the real server."],
    ['serve-fake --reply "Four." --token-ms 50', "A slow answer that is always the same."],
    ["serve-fake --fault cut@/v1/chat/completions --fault rate-limitx3", "Two different faults."],
  ],
  async run(given) {
    const { terminal, options, repeated } = given;
    const scenario = options.scenario === undefined ? {} : readScenario(options.scenario);
    const faults = (repeated.fault ?? []).map(parseFault);
    const fakeOptions: FakeLMStudioOptions = {
      ...scenario,
      ...(options.version === undefined ? {} : { version: options.version }),
      ...(options.token === undefined ? {} : { apiToken: options.token }),
      ...(options["token-ms"] === undefined ? {} : { tokenMs: numberOf(given, "token-ms") }),
      ...(repeated.reply === undefined ? {} : { replies: repeated.reply }),
      ...(options.cors === undefined ? {} : { cors: true }),
      ...(faults.length === 0 ? {} : { faults: [...faults, ...scenario.faults ?? []] }),
    };
    let fake: ReturnType<typeof createFakeLMStudio>;
    try {
      fake = createFakeLMStudio(fakeOptions);
    } catch (error) {
      // The message names the option.
      throw new UsageError(error instanceof Error ? error.message : String(error));
    }
    const listener = await listenOr(fake, numberOf(given, "port"));
    try {
      await terminal.line(`Serving a fake LM Studio at ${listener.url}`);
      const use = listener.url === resolveConfig({}, {}).baseUrl
        ? "Programs find it there without any configuration."
        : `Point programs at it with LMSTUDIO_BASE_URL=${listener.url}.`;
      await terminal.note(`${use} Ctrl+C stops it.`);
      let shownCount = 0;
      const show = async (): Promise<void> => {
        for (; shownCount < fake.requests.length; shownCount++) {
          const request = fake.requests[shownCount];
          if (options.quiet === undefined) {
            await terminal.note(`${request?.method} ${request?.path}`, "dim");
          }
        }
      };
      const timer = setInterval(() => void show(), 100);
      await untilStopped(given);
      clearInterval(timer);
      await show();
    } finally {
      await listener[Symbol.asyncDispose]();
    }
    return 0;
  },
};

async function listenOr(
  fake: ReturnType<typeof createFakeLMStudio>,
  port: number | undefined,
): Promise<FakeListener> {
  try {
    return await fake.listen({ port });
  } catch (error) {
    throw portError(error, port);
  }
}

function readScenario(path: string): FakeLMStudioOptions {
  const scenario = readJsonFile("the scenario file", path);
  if (isRecord(scenario)) return scenario;
  throw new UsageError(`Cannot use the scenario file ${quote(path)}: it is not a JSON object.`);
}

// --- Faults -----------------------------------------------------------------------------------

/** Parser of each kind of fault, given the text after the colon. */
const FAULTS: Readonly<Record<string, (detail: string | undefined) => FaultKind | undefined>> = {
  refuse: () => ({ type: "refuse" }),
  stall: () => ({ type: "stall" }),
  cut: () => ({ type: "cut" }),
  html: () => ({ type: "html" }),
  "bad-json": () => ({ type: "bad-json" }),
  "empty-stream": () => ({ type: "empty-stream" }),
  "rate-limit": () => ({ type: "rate-limit" }),
  loading: () => ({ type: "loading" }),
  "error-frame": (detail) =>
    detail === undefined ? undefined : { type: "error-frame", message: detail },
  delay: (detail) => Number(detail) > 0 ? { type: "delay", ms: Number(detail) } : undefined,
  respond: (detail) =>
    Number(detail) >= 200 ? { type: "respond", status: Number(detail) } : undefined,
};

function parseFault(text: string): FakeFault {
  const [, name = "", detail, times, path] =
    /^([a-z-]+?)(?::(.*?))?(?:x(\d+))?(?:@(\/.*))?$/.exec(text) ?? [];
  const fault = Object.hasOwn(FAULTS, name) ? FAULTS[name]?.(detail) : undefined;
  if (fault === undefined) {
    throw new UsageError(
      `Cannot use --fault ${quote(text)}: it is not one of ${
        Object.keys(FAULTS).join(", ")
      }, or its value after the ` +
        "colon is missing.",
    );
  }
  return {
    fault,
    ...(times === undefined ? {} : { times: Number(times) }),
    ...(path === undefined ? {} : { path }),
  };
}
