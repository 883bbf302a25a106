/** Downloads: `LMStudioProvider.models.download` and `downloadStatus`. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type DownloadProgress,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeDownload,
  type FakeFault,
  type FakeLMStudio,
} from "../src/testing/mod.ts";
import { inFakeTime } from "./support/puppet.ts";
import { fixtureAnswer, json, serveStub, type StubAnswer } from "./support/stub_server.ts";

const MODEL = "ibm/granite-4-micro";
const JOB = "job_493c7c9ded";
const DOWNLOAD = "POST /api/v1/models/download";
const STATUS = `GET /api/v1/models/download/status/${JOB}`;
const STATUS_PATH = /^\/api\/v1\/models\/download\/status\//;
const SOON = { pollIntervalMs: 1 };
const SIZE = 2_279_145_003;

function open(
  download: Omit<FakeDownload, "model"> = {},
  faults: readonly FakeFault[] = [],
): { fake: FakeLMStudio; models: LMStudioProvider["models"]; lmstudio: LMStudioProvider } {
  const fake = createFakeLMStudio({
    models: [],
    downloads: [{ model: MODEL, ...download }],
    faults,
  });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 });
  return { fake, models: lmstudio.models, lmstudio };
}

/** A server that gives these answers to the polls, repeating the last one. */
function serveJob(start: StubAnswer, ...looks: StubAnswer[]): ReturnType<typeof serveStub> {
  return serveStub({
    [DOWNLOAD]: start,
    [STATUS]: () => (looks.length > 1 ? looks.shift() : looks[0])!,
  });
}

function connect(url: string, options: LMStudioProviderOptions = {}): LMStudioProvider["models"] {
  return new LMStudioProvider({ baseUrl: url, env: {}, maxRetries: 0, ...options }).models;
}

async function collect(
  progress: AsyncIterable<DownloadProgress>,
): Promise<{ items: DownloadProgress[]; error: unknown }> {
  const items: DownloadProgress[] = [];
  try {
    for await (const item of progress) items.push(item);
  } catch (error) {
    return { items, error };
  }
  return { items, error: undefined };
}

async function failure(promise: PromiseLike<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

function shares(items: readonly DownloadProgress[]): (string | number)[] {
  return items.map(({ status, downloadedBytes = NaN, totalBytes = NaN }) =>
    status === "downloading" ? Math.round(100 * downloadedBytes / totalBytes) / 100 : status
  );
}

Deno.test("download: every status as the server reports it, up to the end", async () => {
  await using server = serveJob(
    fixtureAnswer("answers/download_started.json"),
    fixtureAnswer("answers/download_running.json"),
    fixtureAnswer("answers/download_paused.json"),
    fixtureAnswer("answers/download_completed.json"),
  );
  const { items, error } = await collect(connect(server.url).download(MODEL, SOON));
  assertEquals(error, undefined);
  assertEquals(items, [
    {
      jobId: JOB,
      status: "downloading",
      downloadedBytes: 948,
      totalBytes: SIZE,
      bytesPerSecond: 7834.710743801653,
      estimatedCompletion: "2025-10-07T00:21:47.030Z",
    },
    {
      jobId: JOB,
      status: "downloading",
      downloadedBytes: 1_139_572_501,
      totalBytes: SIZE,
      bytesPerSecond: 9834240.879725136,
      estimatedCompletion: "2025-10-03T15:35:19.372Z",
    },
    { jobId: JOB, status: "paused", downloadedBytes: 1_139_572_501, totalBytes: SIZE },
    { jobId: JOB, status: "completed", downloadedBytes: SIZE, totalBytes: SIZE },
  ]);
  assertEquals(server.on(DOWNLOAD).map(({ body }) => body), [{ model: MODEL }]);
});

Deno.test("download: a link with a quantization, and no field that was not set", async () => {
  const link = "https://huggingface.co/lmstudio-community/gpt-oss-20b-GGUF";
  await using server = serveJob(fixtureAnswer("answers/download_already.json"));
  await collect(connect(server.url).download(link, { quantization: "Q4_K_M", pollIntervalMs: 5 }));
  assertEquals(server.on(DOWNLOAD)[0]?.body, { model: link, quantization: "Q4_K_M" });
});

Deno.test("download: a model that is already downloaded yields one event without a job", async () => {
  await using server = serveJob(fixtureAnswer("answers/download_already.json"));
  const { items, error } = await collect(connect(server.url).download(MODEL));
  assertEquals([items, error], [[{ status: "already_downloaded" }], undefined]);
  assertEquals(server.requests.length, 1);
});

Deno.test("download: cut, paused and resumed, it ends with the right total", async () => {
  const { fake, models, lmstudio } = open(
    { progress: [0, 0.25, "paused", "paused", 0.5, 0.75, 1] },
    [
      { path: STATUS_PATH, skip: 1, fault: { type: "cut" } },
      { path: STATUS_PATH, skip: 2, fault: { type: "refuse" } },
      { path: STATUS_PATH, skip: 2, fault: { type: "bad-json" } },
      { path: STATUS_PATH, skip: 2, fault: { type: "html" } },
      { path: STATUS_PATH, skip: 2, fault: { type: "respond", status: 500 } },
    ],
  );
  const before = await lmstudio.supportsModel(MODEL);
  const { items, error } = await collect(models.download(MODEL, SOON));
  assertEquals(error, undefined);
  // The polls whose answers were lost did reach the server.
  assertEquals(shares(items).at(0), 0);
  assert(shares(items).includes("paused"));
  const last = items.at(-1);
  assertEquals([last?.status, last?.downloadedBytes, last?.totalBytes], ["completed", SIZE, SIZE]);
  assertEquals(fake.requests.filter(({ method }) => method === "POST").length, 1);
  assertEquals([before, await lmstudio.supportsModel(MODEL)], [false, true]);
});

Deno.test("download: a size that only some answers contain is kept", async () => {
  await using server = serveJob(
    fixtureAnswer("answers/download_started.json"),
    json({ job_id: JOB, status: "finalizing" }),
    json({ status: "completed" }),
  );
  const { items } = await collect(connect(server.url).download(MODEL, SOON));
  assertEquals(items.slice(1), [
    { jobId: JOB, status: "finalizing", totalBytes: SIZE },
    { jobId: JOB, status: "completed", totalBytes: SIZE },
  ]);
});

Deno.test("download: a failure is yielded, then thrown with its reason", async () => {
  for (
    const [file, words] of [
      ["download_failed.json", "the download failed"],
      ["download_failed_reason.json", "Checksum failed"],
    ]
  ) {
    await using server = serveJob(
      fixtureAnswer("answers/download_started.json"),
      fixtureAnswer(`answers/${file}`),
    );
    const { items, error } = await collect(connect(server.url).download(MODEL, SOON));
    assertEquals(items.map(({ status }) => status), ["downloading", "failed"]);
    assertInstanceOf(error, ApiError);
    assertEquals(error.code, "server_error");
    assertStringIncludes(error.message, `Cannot download model "${MODEL}": ${words}`);
  }
});

Deno.test("download: fails at once, with a reason of any length", async () => {
  const token = "sk-lm-abcdefgh:0123456789abcdefghij";
  const reason = `no\nspace\u001b[2J for ${token} ${"x".repeat(5000)}`;
  await using server = serveJob(json({ job_id: JOB, status: "failed", error: reason }));
  const models = connect(server.url, { apiToken: token });
  const { items, error } = await collect(models.download(MODEL, SOON));
  assertEquals(items, [{ jobId: JOB, status: "failed" }]);
  assertInstanceOf(error, ApiError);
  assertStringIncludes(error.message, "no space [2J for ");
  assertEquals(JSON.stringify(error).includes("abcdefgh"), false);
  assert(error.message.length < 700, String(error.message.length));
});

Deno.test("download: an unknown model is model_not_found", async () => {
  const { models } = open();
  const error = await failure(models.download("nobody/has-this").response());
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals([error.code, error.model], ["model_not_found", "nobody/has-this"]);
  assertStringIncludes(error.hint, "Hugging Face");
  assert(!error.hint.includes("lms get"), "it was about to be got");
});

Deno.test("download: lost polls are retried a limited number of times", async () => {
  const { fake, models } = open({}, [
    { path: STATUS_PATH, times: Infinity, fault: { type: "refuse" } },
  ]);
  const { items, error } = await collect(models.download(MODEL, SOON));
  assertEquals(items.length, 1);
  assert(isProviderError(error, "network"));
  assertEquals(fake.requests.length, 12);
});

Deno.test("download: a permanent error of a poll is not retried", async () => {
  for (
    const [answer, code] of [
      [fixtureAnswer("errors/native_job_not_found.json", 404), "job_not_found"],
      [json({ error: "Whatever." }, 404), "job_not_found"],
      [fixtureAnswer("errors/auth_missing.json", 401), "unauthorized"],
      [fixtureAnswer("errors/unexpected_endpoint_native.json", 404), "unsupported_by_server"],
    ] as const
  ) {
    await using server = serveJob(fixtureAnswer("answers/download_started.json"), answer);
    const { error } = await collect(connect(server.url).download(MODEL, SOON));
    assert(isProviderError(error));
    assertEquals(error.code, code);
    assertEquals(server.on(STATUS).length, 1);
  }
});

Deno.test("download: invalid answers are reported as such", async () => {
  for (const start of [json({ status: "downloading" }), json([]), json({ job_id: JOB })]) {
    await using server = serveJob(start);
    const { items, error } = await collect(connect(server.url).download(MODEL, SOON));
    assert(isProviderError(error, "parse"));
    assertEquals([items, error.code], [[], "malformed_response"]);
  }
});

Deno.test("download: an abort ends the wait with its reason, not the download", async () => {
  const { fake, models } = open();
  const controller = new AbortController();
  const reason = new Error("enough seen");
  const { items, error } = await collect((async function* () {
    for await (
      const item of models.download(MODEL, { pollIntervalMs: 60_000 }, {
        signal: controller.signal,
      })
    ) {
      yield item;
      setTimeout(() => controller.abort(reason), 3);
    }
  })());
  assertStrictEquals(error, reason);
  const [{ jobId = "" } = { jobId: "" }] = items;
  const { items: rest } = await collect(models.downloadStatus(jobId, SOON));
  assertEquals(shares(rest), [0.25, 0.5, 0.75, "completed"]);
  assertEquals(rest.at(-1)?.downloadedBytes, SIZE);
  assertEquals(fake.requests.filter(({ method }) => method === "POST").length, 1);
});

Deno.test("download: nothing is sent before the first pull, and leaving the loop stops polling", async () => {
  const { fake, models } = open();
  const progress = models.download(MODEL, SOON);
  assertEquals(fake.requests.length, 0);
  for await (const _ of progress) break;
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(fake.requests.length, 1);
  const { error } = await collect(progress);
  assertInstanceOf(error, InvalidRequestError);
  assertStringIncludes(error.message, "already has a consumer");
});

Deno.test("download: response() waits for the end", async () => {
  const { models } = open();
  const { status, downloadedBytes } = await models.download(MODEL, SOON).response();
  assertEquals([status, downloadedBytes], ["completed", SIZE]);
});

Deno.test("download: polls once a second by default", async () => {
  await inFakeTime(async (pass) => {
    const { fake, models } = open();
    const items: DownloadProgress[] = [];
    const done = (async () => {
      for await (const item of models.download(MODEL)) items.push(item);
    })();
    // Loading the schemas takes real time.
    while (items.length === 0) await pass(0);
    await pass(990);
    await pass(1);
    assertEquals(fake.requests.length, 1);
    await pass(10);
    for (let second = 0; second < 4; second++) {
      await pass(1000);
      await pass(1);
    }
    await done;
    assertEquals(items.length, 5);
  });
});

Deno.test("download: invalid arguments are refused at the first pull, and nothing is sent", async () => {
  const { fake, models } = open();
  // deno-lint-ignore no-explicit-any -- what callers without types hand in
  const wrong = (value: unknown): any => value;
  const cases: [AsyncIterable<DownloadProgress>, string][] = [
    [models.download(wrong(undefined)), "model is undefined"],
    [models.download(""), "model cannot be empty"],
    [models.download("https://me:secret@huggingface.co/a/b"), "contains credentials"],
    [models.download("https://huggingface.co/a/b?token=secret"), "contains a query or a fragment"],
    [models.download(MODEL, wrong("Q4")), `the download options are "Q4"`],
    [models.download(MODEL, wrong({ quant: 1 })), `unknown option "quant"`],
    [models.download(MODEL, { quantization: " " }), "quantization cannot be empty"],
    [models.download(MODEL, { pollIntervalMs: 0 }), "pollIntervalMs is 0"],
    [models.download(MODEL, { pollIntervalMs: Infinity }), "pollIntervalMs is Infinity"],
    [models.download(MODEL, {}, wrong({ signal: 5 })), "signal is 5"],
    [models.downloadStatus(wrong(null)), "jobId is null"],
    [models.downloadStatus(".."), 'jobId is "..", not the id of a download'],
    [models.downloadStatus("."), 'jobId is "."'],
    [models.downloadStatus("\ud800"), "not the id of a download"],
    [models.downloadStatus(JOB, wrong({ poll: 1 })), `unknown option "poll"`],
    [models.downloadStatus(JOB, wrong([])), "the options are an array"],
    [models.downloadStatus(JOB, { pollIntervalMs: -1 }), "pollIntervalMs is -1"],
  ];
  for (const [progress, words] of cases) {
    const { error } = await collect(progress);
    assertInstanceOf(error, InvalidRequestError, words);
    assertStringIncludes(error.message, words);
    assertEquals(error.message.includes("secret"), false);
  }
  assertEquals(fake.requests.length, 0);
});

Deno.test("downloadStatus: await returns one status, iteration follows the download, both repeatable", async () => {
  const { fake, models } = open();
  for await (const _ of models.download(MODEL)) break;
  const jobId = await startedJob(fake);
  const status = models.downloadStatus(jobId, SOON);
  assertEquals(fake.requests.length, 2);
  assertEquals(shares([await status, await status]), [0.5, 0.75]);
  assertEquals(shares((await collect(status)).items), ["completed"]);
  assertEquals(shares((await collect(status)).items), ["completed"]);
});

/** The id of the running job: requesting the same model again returns the same job. */
async function startedJob(fake: FakeLMStudio): Promise<string> {
  const response = await fake.fetch("http://127.0.0.1:1234/api/v1/models/download", {
    method: "POST",
    body: JSON.stringify({ model: MODEL }),
  });
  return (await response.json()).job_id;
}

Deno.test("downloadStatus: a failure is a status when awaited, and thrown when iterated", async () => {
  await using server = serveJob(json({}), fixtureAnswer("answers/download_failed_reason.json"));
  const status = connect(server.url).downloadStatus(JOB, SOON);
  assertEquals((await status).status, "failed");
  const { items, error } = await collect(status);
  assertEquals(items.length, 1);
  assertStringIncludes((error as ApiError).message, "Checksum failed");
});

Deno.test("downloadStatus: an unknown job, whatever characters its id has", async () => {
  const { fake, models } = open();
  for (const id of ["job_0", "../../../v1/models?x#", "a b/ü"]) {
    const error = await failure(models.downloadStatus(id));
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.retriable], ["job_not_found", false]);
    assertStringIncludes(error.message, "Cannot follow download");
  }
  assert(fake.requests.every(({ path }) => path.startsWith("/api/v1/models/download/status/")));
});

Deno.test("downloadStatus: an aborted signal sends nothing", async () => {
  const { fake, models } = open();
  const signal = AbortSignal.abort("no");
  assertEquals(await failure(models.downloadStatus(JOB, { signal })), "no");
  assertEquals((await collect(models.downloadStatus(JOB, { signal }))).error, "no");
  assertEquals(fake.requests.length, 0);
});
