/** The configuration cascade of §4: sources, their order, what is refused, and what is never shown. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type ConfigEntry,
  ConfigurationError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  resolveConfig,
  type ResolvedConfig,
} from "../mod.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Copied from §4: the variables of each value in order, with a sample text and its resolved value. */
const VARIABLES: readonly (readonly [
  key: keyof ResolvedConfig,
  names: readonly string[],
  texts: readonly (readonly [text: string, value: unknown])[],
])[] = [
  [
    "baseUrl",
    [
      "PATINOX_LMSTUDIO_BASE_URL",
      "LMSTUDIO_BASE_URL",
      "LMSTUDIO_ENDPOINT",
      "LM_STUDIO_BASE_URL",
      "LM_STUDIO_API_BASE",
      "LMSTUDIO_HOST",
      "LM_BASE_URL",
      "LMSTUDIO_URL",
      "LM_STUDIO_URL",
      "LMSTUDIO_API_BASE",
    ],
    [["192.168.1.20", "http://192.168.1.20:1234"], ["http://a:1/v1", "http://a:1"]],
  ],
  [
    "apiToken",
    ["LM_API_TOKEN", "LMSTUDIO_API_KEY", "LM_STUDIO_API_KEY", "LM_API_KEY"],
    [["one", "one"], ["two", "two"]],
  ],
  ["model", ["LMSTUDIO_MODEL"], [["qwen/qwen3-8b", "qwen/qwen3-8b"], ["m", "m"]]],
  ["embeddingModel", ["LMSTUDIO_EMBEDDING_MODEL"], [["nomic", "nomic"], ["m", "m"]]],
  ["decisionModel", ["LMSTUDIO_DECISION_MODEL"], [["kev", "kev"], ["m", "m"]]],
  [
    "timeoutMs",
    ["LMSTUDIO_TIMEOUT", "PATINOX_MODEL_TIMEOUT"],
    [["30", 30_000], ["5m", 300_000]],
  ],
  ["maxRetries", ["LMSTUDIO_MAX_RETRIES"], [["0", 0], ["10", 10]]],
];

const DEFAULTS: Partial<ResolvedConfig> = {
  baseUrl: "http://127.0.0.1:1234",
  connectTimeoutMs: 5_000,
  firstTokenTimeoutMs: 600_000,
  idleTimeoutMs: 120_000,
  maxRetries: 2,
  modelCacheTtlMs: 30_000,
  headers: {},
  onModelSubstituted: "throw",
};

/** Values that must not appear in any output. */
const TOKEN = "sk-lm-S3CRET99:abcdefghijklmnopqrst";
const HEADER_VALUE = "h3ader-S3CRET";

function valueOf(config: ResolvedConfig, key: string): unknown {
  return (config as unknown as Record<string, unknown>)[key];
}

function plain(config: ResolvedConfig): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config));
}

function refused(run: () => unknown): ConfigurationError {
  const error = assertThrows(run, ConfigurationError);
  assertEquals(error.code, "invalid_configuration");
  assertEquals(error.attempts, 0);
  assertFalse(error.retriable);
  assert(error.message.startsWith("Cannot configure the LM Studio provider: "), error.message);
  return error;
}

async function withFiles(
  files: Readonly<Record<string, string | Uint8Array>>,
  run: (path: (name: string) => string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "config-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    await run((name) => `${folder}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a script in its own process, because the process's environment matters. */
async function runScript(
  script: string,
  flags: readonly string[],
  env: Record<string, string> = {},
): Promise<unknown> {
  const folder = await Deno.makeTempDir({ prefix: "config-" });
  try {
    const path = `${folder}/script.ts`;
    await Deno.writeTextFile(
      path,
      script.replaceAll("$MOD", new URL("../mod.ts", import.meta.url).href),
    );
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...flags, path],
      env: { NO_COLOR: "1", ...env },
      cwd: new URL("..", import.meta.url),
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    assert(success, decoder.decode(stderr));
    return JSON.parse(decoder.decode(stdout));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("config: defaults, with nothing set", () => {
  assertEquals(plain(resolveConfig({}, {})), DEFAULTS);
  assertEquals(plain(resolveConfig(undefined, {})), DEFAULTS);
});

for (const [key, names, texts] of VARIABLES) {
  Deno.test(`config: ${key} from each of its variables alone`, () => {
    for (const name of names) {
      for (const [text, value] of texts) {
        const config = resolveConfig({}, { [name]: text });
        assertEquals(plain(config), { ...DEFAULTS, [key]: value }, `${name}=${text}`);
      }
    }
  });

  Deno.test(`config: the first variable set for ${key} wins, and empty ones count as unset`, () => {
    const [[first, firstValue] = ["", ""], [second, secondValue] = ["", ""]] = texts;
    for (const [at, name] of names.entries()) {
      const later = Object.fromEntries(names.slice(at + 1).map((other) => [other, second]));
      assertEquals(valueOf(resolveConfig({}, { ...later, [name]: first }), key), firstValue, name);
      for (const empty of ["", "  ", "\t\n", undefined]) {
        const earlier = Object.fromEntries(names.slice(0, at).map((other) => [other, empty]));
        const config = resolveConfig({}, { ...earlier, [name]: second });
        assertEquals(valueOf(config, key), secondValue, name);
      }
    }
    const allEmpty = Object.fromEntries(names.map((name) => [name, ""]));
    assertEquals(plain(resolveConfig({}, allEmpty)), DEFAULTS);
  });
}

Deno.test("config: white space around a variable's value is trimmed", () => {
  const config = resolveConfig({}, {
    LMSTUDIO_HOST: " localhost ",
    LM_API_TOKEN: " token\n",
    LMSTUDIO_MODEL: "\tm ",
    LMSTUDIO_TIMEOUT: " 30s ",
    LMSTUDIO_MAX_RETRIES: " 3 ",
  });
  assertEquals(plain(config), {
    ...DEFAULTS,
    baseUrl: "http://localhost:1234",
    apiToken: "token",
    model: "m",
    timeoutMs: 30_000,
    maxRetries: 3,
  });
});

Deno.test("config: quotes around a variable's value are removed, in the environment and in files", async () => {
  const values: [name: string, text: string][] = [
    ["LMSTUDIO_URL", "http://localhost:8080"],
    ["LM_API_KEY", "token"],
    ["LMSTUDIO_MODEL", "m"],
    ["LMSTUDIO_TIMEOUT", "30s"],
    ["LMSTUDIO_MAX_RETRIES", "3"],
  ];
  const expected = {
    ...DEFAULTS,
    baseUrl: "http://localhost:8080",
    apiToken: "token",
    model: "m",
    timeoutMs: 30_000,
    maxRetries: 3,
  };
  for (const [open, close] of ['""', "''", "“”", "‘’", "„“"]) {
    const env = Object.fromEntries(values.map(([name, text]) => [name, `${open}${text}${close}`]));
    assertEquals(plain(resolveConfig({}, env)), expected);
    // The `.env` parser removes quotes; a value that was quoted twice keeps one pair.
    const lines = values.map(([name, text]) => `${name}='${open}${text}${close}'\n`);
    if (open === "'") continue;
    await withFiles({ ".env": lines.join("") }, (path) => {
      assertEquals(plain(resolveConfig({ envFile: path(".env") }, {})), expected);
    });
  }
  const options = { baseUrl: '"localhost:8080"', apiToken: "'token'" };
  assertEquals(resolveConfig(options, {}).baseUrl, "http://localhost:8080");
  assertEquals(resolveConfig(options, {}).apiToken, "token");
  assertEquals(plain(resolveConfig({}, { LMSTUDIO_URL: '""', LM_API_TOKEN: "''" })), DEFAULTS);
});

Deno.test("config: `Bearer` before an API token is reported without showing the token", () => {
  for (
    const written of [
      "Bearer S3CRET",
      "bearer S3CRET",
      "BEARER  S3CRET",
      "Bearer: S3CRET",
      '"Bearer S3CRET"',
      "Authorization: Bearer S3CRET",
      "Bearer",
    ]
  ) {
    for (
      const [run, name] of [
        [() => resolveConfig({ apiToken: written }, {}), "option apiToken"],
        [() => resolveConfig({}, { LM_STUDIO_API_KEY: written }), "variable LM_STUDIO_API_KEY"],
      ] as const
    ) {
      const { message } = refused(run);
      assertMatch(message, new RegExp(`${name} begins with "(?:Authorization: )?bearer"`, "i"));
      assertFalse(message.includes("S3CRET"));
    }
  }
  assertEquals(resolveConfig({ apiToken: "Bearer-7" }, {}).apiToken, "Bearer-7");
});

Deno.test("config: durations", () => {
  const durations: [string, number][] = [
    ["30", 30_000],
    ["30s", 30_000],
    ["30 s", 30_000],
    ["30S", 30_000],
    ["1500ms", 1_500],
    ["1500MS", 1_500],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["0.5", 500],
    ["1.5s", 1_500],
    ["007", 7_000],
  ];
  for (const name of ["LMSTUDIO_TIMEOUT", "PATINOX_MODEL_TIMEOUT"]) {
    for (const [text, ms] of durations) {
      assertEquals(resolveConfig({}, { [name]: text }).timeoutMs, ms, text);
    }
    const bad = [
      "0",
      "0s",
      "0ms",
      "-1",
      "abc",
      "30x",
      "s",
      "1e3",
      "0x10",
      "5 m s",
      "1,5",
      "NaN",
      "٣",
    ];
    for (const text of bad) {
      const { message } = refused(() => resolveConfig({}, { [name]: text }));
      assertStringIncludes(message, `variable ${name} is ${JSON.stringify(text)}, not a time`);
    }
  }
});

Deno.test("config: a bad variable is named with its value", () => {
  const bad: [string, string, string][] = [
    ["LMSTUDIO_MAX_RETRIES", "11", "11"],
    ["LMSTUDIO_MAX_RETRIES", "-1", '"-1"'],
    ["LMSTUDIO_MAX_RETRIES", "2.5", '"2.5"'],
    ["LMSTUDIO_MAX_RETRIES", "many", '"many"'],
    ["LMSTUDIO_HOST", "ftp://host", '"ftp://host"'],
    ["LM_BASE_URL", "http://http://127.0.0.1:1234", '"http://http://127.0.0.1:1234"'],
    ["LMSTUDIO_URL", "${HOST}:1234", "${HOST}"],
    ["LM_STUDIO_URL", "undefined", '"undefined"'],
    ["LMSTUDIO_API_BASE", "'*:1234'", '"*:1234"'],
    ["LM_STUDIO_API_BASE", "http://user:S3CRET@host", '"http://***@host"'],
  ];
  for (const [name, text, shown] of bad) {
    const { message } = refused(() => resolveConfig({}, { [name]: text }));
    assertStringIncludes(message, `variable ${name} `);
    assertStringIncludes(message, shown);
    assertFalse(message.includes("S3CRET"));
  }
});

Deno.test("config: an overridden value is not checked, however bad it is", () => {
  const config = resolveConfig({ maxRetries: 1, timeoutMs: 5 }, {
    LMSTUDIO_MAX_RETRIES: "many",
    LMSTUDIO_TIMEOUT: "abc",
  });
  assertEquals([config.maxRetries, config.timeoutMs], [1, 5]);
});

Deno.test("config: every source overrides the one below it", async () => {
  await withFiles({
    "config.json": JSON.stringify({
      baseUrl: "http://file",
      apiToken: "file",
      model: "file",
      embeddingModel: "file",
      timeoutMs: 1,
      connectTimeoutMs: 1,
      firstTokenTimeoutMs: 1,
      idleTimeoutMs: 1,
      maxRetries: 1,
      modelCacheTtlMs: 1,
      headers: { "x-from": "file" },
    }),
    ".env": "LMSTUDIO_BASE_URL=http://dotenv\nLM_API_TOKEN=dotenv\nLMSTUDIO_MODEL=dotenv\n" +
      "LMSTUDIO_EMBEDDING_MODEL=dotenv\nLMSTUDIO_TIMEOUT=2\nLMSTUDIO_MAX_RETRIES=2\nOTHER=x\n",
  }, (path) => {
    const configFile = path("config.json");
    const envFile = path(".env");
    const env = {
      // A later name: the source takes precedence over the order of names.
      LMSTUDIO_HOST: "http://environment",
      LMSTUDIO_API_KEY: "environment",
      LMSTUDIO_MODEL: "environment",
      LMSTUDIO_EMBEDDING_MODEL: "environment",
      PATINOX_MODEL_TIMEOUT: "3",
      LMSTUDIO_MAX_RETRIES: "3",
    };
    const options: LMStudioProviderOptions = {
      baseUrl: "http://option",
      apiToken: "option",
      model: "option",
      embeddingModel: "option",
      timeoutMs: 4,
      maxRetries: 4,
      connectTimeoutMs: 4,
      headers: { "x-from": "option" },
    };
    const seen = (config: ResolvedConfig) => [
      config.baseUrl,
      config.apiToken,
      config.model,
      config.embeddingModel,
      config.timeoutMs,
      config.maxRetries,
      config.connectTimeoutMs,
      config.headers,
    ];
    const fromFile = { "x-from": "file" };
    assertEquals(
      seen(resolveConfig({ configFile }, {})),
      ["http://file", "file", "file", "file", 1, 1, 1, fromFile],
    );
    assertEquals(
      seen(resolveConfig({ configFile, envFile }, {})),
      ["http://dotenv", "dotenv", "dotenv", "dotenv", 2_000, 2, 1, fromFile],
    );
    assertEquals(
      seen(resolveConfig({ configFile, envFile }, env)),
      ["http://environment", "environment", "environment", "environment", 3_000, 3, 1, fromFile],
    );
    assertEquals(
      seen(resolveConfig({ configFile, envFile, ...options }, env)),
      ["http://option", "option", "option", "option", 4, 4, 4, { "x-from": "option" }],
    );
    // `undefined` counts as absent, and so does an empty variable.
    const empty = Object.fromEntries(Object.keys(env).map((name) => [name, ""]));
    const absent = Object.fromEntries(Object.keys(options).map((name) => [name, undefined]));
    assertEquals(
      seen(resolveConfig({ configFile, envFile, ...absent }, empty)),
      ["http://dotenv", "dotenv", "dotenv", "dotenv", 2_000, 2, 1, fromFile],
    );
  });
});

Deno.test("config: call options override constructor options", async () => {
  let sent: Request[] = [];
  const lmstudio = new LMStudioProvider({
    env: { LMSTUDIO_MAX_RETRIES: "2" },
    maxRetries: 1,
    headers: { "x-a": "option", "x-b": "option" },
    // Retries happen at once: a test has nothing to wait for.
    fetch: (url, init) => {
      sent.push(new Request(url, init));
      return Promise.resolve(
        new Response("{}", { status: 503, headers: { "retry-after": "0" } }),
      );
    },
  });
  const attempts = async (options?: { maxRetries?: number; headers?: Record<string, string> }) => {
    sent = [];
    await lmstudio.listModels(options).catch(() => {});
    return sent.length;
  };
  assertEquals(await attempts(), 2);
  assertEquals(await attempts({ maxRetries: 0 }), 1);
  assertEquals(await attempts({ maxRetries: 0, headers: { "X-A": "call" } }), 1);
  assertEquals(sent[0]?.headers.get("x-a"), "call");
  assertEquals(sent[0]?.headers.get("x-b"), "option");
});

Deno.test("config: an `undefined` header of a call is absent", async () => {
  const headers: (string | null)[] = [];
  const lmstudio = new LMStudioProvider({
    env: {},
    maxRetries: 0,
    headers: { "x-a": "option" },
    fetch: (url, init) => {
      headers.push(new Request(url, init).headers.get("x-a"));
      return Promise.resolve(new Response("{}", { status: 500 }));
    },
  });
  const absent = { "x-a": undefined } as unknown as Record<string, string>;
  await lmstudio.listModels({ headers: absent }).catch(() => {});
  assertEquals(headers, ["option"]);
});

Deno.test("config: the `env` argument overrides the option, which overrides the process", async () => {
  const option: Env = { LMSTUDIO_MODEL: "option" };
  assertEquals(resolveConfig({ env: option }, { LMSTUDIO_MODEL: "record" }).model, "record");
  assertEquals(resolveConfig({ env: option }, {}).model, undefined);
  const seen = await runScript(
    `import { LMStudioProvider, resolveConfig } from "$MOD";
     const env = { LMSTUDIO_MODEL: "option" };
     const explained = new LMStudioProvider({ env }).explainConfig();
     console.log(JSON.stringify([
       resolveConfig().model,
       resolveConfig({ env }).model,
       resolveConfig({ env: {} }).model ?? null,
       explained.find(({ key }) => key === "model")?.value,
     ]));`,
    ["--allow-env"],
    { LMSTUDIO_MODEL: "process" },
  );
  assertEquals(seen, ["process", "option", null, "option"]);
});

Deno.test("config: a resolved configuration is frozen and shares nothing with its input", () => {
  const headers: Record<string, string> = { "x-a": "1" };
  const options = { headers };
  const config = resolveConfig(options, {});
  headers["x-a"] = "2";
  assertEquals(config.headers["x-a"], "1");
  assert(Object.isFrozen(config) && Object.isFrozen(config.headers));
  assert(Object.isFrozen(resolveConfig({}, {}).headers));
  assertThrows(() => Object.assign(config, { model: "m" }), TypeError);
  assertEquals(options, { headers: { "x-a": "2" } });
});

Deno.test("config: explainConfig lists every value with its source and origin, secrets masked", async () => {
  await withFiles({
    "config.json": JSON.stringify({ idleTimeoutMs: 7, headers: { "X-Key": HEADER_VALUE } }),
    ".env": `LM_API_TOKEN=${TOKEN}\nLMSTUDIO_TIMEOUT=1m\n`,
  }, (path) => {
    const lmstudio = new LMStudioProvider({
      configFile: path("config.json"),
      envFile: path(".env"),
      env: { LM_STUDIO_BASE_URL: "localhost/v1" },
      maxRetries: 5,
    });
    const fetch = { key: "fetch", value: undefined, source: "default" } as const;
    const explained = lmstudio.explainConfig();
    assertEquals(explained.filter(({ key }) => (key as string) !== "discovery"), [
      {
        key: "baseUrl",
        value: "http://localhost:1234",
        source: "environment",
        origin: "LM_STUDIO_BASE_URL",
      },
      { key: "apiToken", value: "***", source: "dotenv", origin: path(".env") },
      { key: "model", value: undefined, source: "default" },
      { key: "embeddingModel", value: undefined, source: "default" },
      { key: "decisionModel", value: undefined, source: "default" },
      { key: "timeoutMs", value: 60_000, source: "dotenv", origin: path(".env") },
      { key: "connectTimeoutMs", value: 5_000, source: "default" },
      { key: "firstTokenTimeoutMs", value: 600_000, source: "default" },
      { key: "idleTimeoutMs", value: 7, source: "file", origin: path("config.json") },
      { key: "maxRetries", value: 5, source: "option" },
      { key: "modelCacheTtlMs", value: 30_000, source: "default" },
      { key: "maxConcurrency", value: undefined, source: "default" },
      { key: "reasoningTags", value: undefined, source: "default" },
      { key: "headers", value: { "X-Key": "***" }, source: "file", origin: path("config.json") },
      fetch,
      { key: "onModelSubstituted", value: "throw", source: "default" },
    ]);
    // Changes to the returned list have no effect.
    for (const entry of explained) entry.value = "changed";
    const headers = lmstudio.explainConfig().find(({ key }) => key === "headers");
    assertEquals(headers?.value, { "X-Key": "***" });
    try {
      Object.assign(headers?.value as object, { changed: true });
    } catch {
      // A frozen object is as good as a copy.
    }
    const again = lmstudio.explainConfig().find(({ key }) => key === "headers");
    assertEquals(again?.value, { "X-Key": "***" });
  });
});

Deno.test("config: explainConfig masks a token and headers from every source, whatever their length", () => {
  const sources: [LMStudioProviderOptions, Env, ConfigEntry["source"]][] = [
    [{ apiToken: "a", headers: { Authorization: "b" } }, {}, "option"],
    [{ headers: {} }, { LM_STUDIO_API_KEY: TOKEN }, "environment"],
  ];
  for (const [options, env, source] of sources) {
    const entries = new LMStudioProvider({ ...options, env }).explainConfig();
    const token = entries.find(({ key }) => key === "apiToken");
    assertEquals([token?.value, token?.source], ["***", source]);
    const headers = entries.find(({ key }) => key === "headers");
    assertEquals(
      headers?.value,
      Object.fromEntries(Object.keys(options.headers ?? {}).map((name) => [name, "***"])),
    );
  }
});

Deno.test("config: unknown options are refused, suggesting the likely one", () => {
  const unknown: [string, string][] = [
    ["apiKey", 'unknown option "apiKey" (did you mean "apiToken"?)'],
    ["baseURL", 'unknown option "baseURL" (did you mean "baseUrl"?)'],
    ["base_url", 'unknown option "base_url" (did you mean "baseUrl"?)'],
    ["timeout", 'unknown option "timeout" (did you mean "timeoutMs"?)'],
    ["retries", 'unknown option "retries" (did you mean "maxRetries"?)'],
    ["banana", 'unknown option "banana"'],
    ["constructor", 'unknown option "constructor"'],
  ];
  for (const [name, state] of unknown) {
    const options = { [name]: TOKEN } as LMStudioProviderOptions;
    for (const run of [() => resolveConfig(options, {}), () => new LMStudioProvider(options)]) {
      const { message } = refused(run);
      assertStringIncludes(message, state);
      assertFalse(message.includes("S3CRET"));
    }
  }
  assertEquals(
    plain(resolveConfig({ banana: undefined } as LMStudioProviderOptions, {})),
    DEFAULTS,
  );
});

Deno.test("config: options that are not an object are refused, and strings are not shown", () => {
  const bad: [unknown, string][] = [
    [null, "null"],
    ["http://localhost", "a string"],
    [TOKEN, "a string"],
    [5, "5"],
    [[], "an array"],
    [() => {}, "a function"],
  ];
  for (const [options, shown] of bad) {
    for (
      const run of [
        () => resolveConfig(options as LMStudioProviderOptions, {}),
        () => new LMStudioProvider(options as LMStudioProviderOptions),
      ]
    ) {
      assertStringIncludes(refused(run).message, `the options are ${shown}, not an object`);
    }
  }
});

const BAD_OPTIONS: readonly (readonly [string, unknown, string])[] = [
  ["baseUrl", "", "is empty"],
  ["baseUrl", 5, "is 5, not an address"],
  ["baseUrl", null, "is null, not an address"],
  ["model", "", "is empty"],
  ["model", "  ", "is empty"],
  ["model", 5, "is 5, not a model name"],
  ["embeddingModel", [], "is an array, not a model name"],
  ...["timeoutMs", "connectTimeoutMs", "firstTokenTimeoutMs", "idleTimeoutMs", "modelCacheTtlMs"]
    .flatMap((key) =>
      ([[0, "0"], [-1, "-1"], [NaN, "NaN"], ["30s", '"30s"'], [null, "null"], [-Infinity, "-Inf"], [
        true,
        "true",
      ]] as const).map(([value, shown]) => [key, value, `is ${shown}`] as const)
    ),
  ...([-1, 11, 1.5, NaN, Infinity] as const).map((value) =>
    ["maxRetries", value, `is ${value}, not a whole number from 0 to 10`] as const
  ),
  ["maxRetries", "2", 'is "2"'],
  ["headers", null, "is not an object"],
  ["headers", "x", "is not an object"],
  ["headers", [["a", "b"]], "is not an object"],
  ["headers", new Headers({ a: "b" }), "is not an object"],
  ["fetch", "fetch", 'is "fetch", not a function'],
  ["fetch", null, "is null"],
  ["onModelSubstituted", "warn", 'is "warn", not "throw", "ignore" or a function'],
  ["onModelSubstituted", true, "is true"],
  ["env", "PATH=x", "is not an object of variables"],
  ["env", null, "is not an object of variables"],
  ["env", ["x"], "is not an object of variables"],
  ["configFile", "", "is not a file path"],
  ["configFile", 5, "is not a file path"],
  ["configFile", null, "is not a file path"],
  ["envFile", "", "is not a file path"],
  ["envFile", true, "is not a file path"],
];

Deno.test("config: a bad option is named with its value", () => {
  for (const [name, value, state] of BAD_OPTIONS) {
    const { message } = refused(() => new LMStudioProvider({ env: {}, [name]: value }));
    assertStringIncludes(message, `option ${name} ${state}`);
  }
});

Deno.test("config: Infinity disables a timeout", () => {
  const config = resolveConfig({
    timeoutMs: Infinity,
    connectTimeoutMs: Infinity,
    firstTokenTimeoutMs: Infinity,
    idleTimeoutMs: Infinity,
  }, {});
  assertEquals([config.timeoutMs, config.idleTimeoutMs], [Infinity, Infinity]);
});

Deno.test("config: variables that are not strings are refused by name", () => {
  for (const [name] of VARIABLES.map(([, [name = ""]]) => [name])) {
    for (const value of [5, true, null, { S3CRET: 1 }]) {
      const env = { [name as string]: value } as unknown as Env;
      const { message } = refused(() => resolveConfig({}, env));
      assertStringIncludes(message, `variable ${name} is not a string`);
    }
  }
});

Deno.test("config: a bad API token is reported without showing it", () => {
  const bad: [unknown, string][] = [
    ["", "is empty"],
    ["   ", "is empty"],
    ["S3CRET S3CRET", "contains whitespace or other characters that are not valid in a token"],
    ["S3CRET\nS3CRET", "contains whitespace or other"],
    ["S3CRÉT-S3CRET", "contains whitespace or other"],
    ["S3CRET\u0000", "contains whitespace or other"],
    [5335, "is of type number, not a string"],
    [{ S3CRET: 1 }, "is of type object, not a string"],
  ];
  for (const [value, state] of bad) {
    const error = refused(() => resolveConfig({ apiToken: value as string }, {}));
    assertStringIncludes(error.message, `option apiToken ${state}`);
    assertFalse(
      `${error.message}${JSON.stringify(error)}${Deno.inspect(error)}`.includes("S3CRET"),
    );
    assertFalse(error.message.includes("5335"));
  }
  const { message } = refused(() => resolveConfig({}, { LMSTUDIO_API_KEY: "S3CRET S3CRET" }));
  assertStringIncludes(message, "variable LMSTUDIO_API_KEY ");
  assertFalse(message.includes("S3CRET"));
});

Deno.test("config: bad headers are reported by name, without their values", () => {
  const bad: [unknown, string][] = [
    [{ "x-a": "S3CRET\r\nx-b: S3CRET" }, '"x-a"'],
    [{ "x-a": "S3CRET €" }, '"x-a"'],
    [{ "x-a": 5335 }, '"x-a"'],
    [{ "x-a": null }, '"x-a"'],
    [{ "x-a": ["S3CRET"] }, '"x-a"'],
    [{ "": "S3CRET" }, '""'],
    [{ "x a": "S3CRET" }, '"x…"'],
    [{ "Authorization: Bearer S3CRET": "" }, '"Authorization…"'],
    [{ "x-é": "S3CRET" }, '"x-…"'],
  ];
  for (const [headers, shown] of bad) {
    const { message } = refused(() =>
      resolveConfig({ headers: headers as Record<string, string> }, {})
    );
    assertStringIncludes(message, "option headers ");
    assertStringIncludes(message, shown);
    assertFalse(message.includes("S3CRET") || message.includes("5335"), message);
  }
  const odd = JSON.parse('{ "__proto__": "a", "x-empty": "", "x-latin": "é\\t" }');
  const { headers } = resolveConfig({ headers: { ...odd, "x-absent": undefined } }, {});
  assertEquals(Object.entries(headers), Object.entries(odd));
});

const BAD_CONFIG_FILES: Readonly<Record<string, readonly [content: string, state: string]>> = {
  "empty.json": ["", "is not valid JSON"],
  "text.json": [`apiToken=${TOKEN}`, "is not valid JSON"],
  "cut.json": [`{"apiToken":"${TOKEN}`, "is not valid JSON"],
  "comment.json": [`{} // ${TOKEN}`, "is not valid JSON"],
  "array.json": ["[]", "is not a JSON object"],
  "null.json": ["null", "is not a JSON object"],
  "string.json": [`"${TOKEN}"`, "is not a JSON object"],
  "unknown.json": [
    `{"apiKey":"${TOKEN}"}`,
    'has an unknown field "apiKey" (did you mean "apiToken"?)',
  ],
  "proto.json": ['{"__proto__":{"model":"m"}}', 'has an unknown field "__proto__"'],
  // Only code can pass these.
  "fetch.json": ['{"fetch":"x"}', 'has an unknown field "fetch"'],
  "callback.json": ['{"onModelSubstituted":"ignore"}', 'unknown field "onModelSubstituted"'],
  "nested.json": ['{"configFile":"other.json"}', 'has an unknown field "configFile"'],
  "type.json": ['{"maxRetries":"2"}', '"maxRetries" in '],
  "time.json": ['{"timeoutMs":"30s"}', '"timeoutMs" in '],
  "null_value.json": ['{"model":null}', '"model" in '],
  "url.json": ['{"baseUrl":"http://a:S3CRET@b"}', 'is "http://***@b", which has credentials'],
  "token.json": [`{"apiToken":"${TOKEN} ${TOKEN}"}`, '"apiToken" in '],
  "header.json": [`{"headers":{"x-a":"${HEADER_VALUE}\\n"}}`, '"x-a"'],
};

Deno.test("config: an error in a configuration file names the file, but shows no secret", async () => {
  const contents = Object.entries(BAD_CONFIG_FILES).map(([name, [content]]) => [name, content]);
  await withFiles(Object.fromEntries(contents), (path) => {
    for (const [name, [, state]] of Object.entries(BAD_CONFIG_FILES)) {
      const error = refused(() => resolveConfig({ configFile: path(name) }, {}));
      assertStringIncludes(error.message, path(name));
      assertStringIncludes(error.message, state);
      const shown = `${error.message}${JSON.stringify(error)}${Deno.inspect(error)}`;
      assertFalse(shown.includes("S3CRET"), shown);
    }
  });
});

Deno.test("config: a configuration file may have a byte order mark, CRLF and every field", async () => {
  const values = { model: "m", maxRetries: 0, headers: { "x-a": "b" }, timeoutMs: 5 };
  await withFiles({
    "bom.json": `\uFEFF${JSON.stringify(values, null, "\r\n")}`,
    "empty.json": "{}",
    "spaces.json": ' \n{ "model" : " m " } \n',
  }, (path) => {
    assertEquals(plain(resolveConfig({ configFile: path("bom.json") }, {})), {
      ...DEFAULTS,
      ...values,
    });
    assertEquals(plain(resolveConfig({ configFile: path("empty.json") }, {})), DEFAULTS);
    assertEquals(resolveConfig({ configFile: path("spaces.json") }, {}).model, "m");
  });
});

Deno.test("config: an env file may have comments, quotes, `export`, CRLF and a byte order mark", async () => {
  await withFiles({
    ".env": "\uFEFFLMSTUDIO_MODEL='a b' # c\r\n# LMSTUDIO_TIMEOUT=1\r\n" +
      'export LM_API_TOKEN="token"\r\n\r\nLMSTUDIO_MAX_RETRIES=\r\nPATH=/x\r\n',
    "empty.env": "",
  }, (path) => {
    const config = resolveConfig({ envFile: path(".env") }, {});
    assertEquals(plain(config), { ...DEFAULTS, model: "a b", apiToken: "token" });
    assertEquals(plain(resolveConfig({ envFile: path("empty.env") }, {})), DEFAULTS);
  });
});

Deno.test("config: a bad value in an env file is reported with its variable and the file", async () => {
  await withFiles({
    "retries.env": "LMSTUDIO_MAX_RETRIES=many",
    "token.env": 'LM_API_TOKEN="S3CRET S3CRET"',
  }, (path) => {
    const retries = refused(() => resolveConfig({ envFile: path("retries.env") }, {}));
    assertStringIncludes(
      retries.message,
      `variable LMSTUDIO_MAX_RETRIES in ${path("retries.env")} is "many"`,
    );
    const token = refused(() => resolveConfig({ envFile: path("token.env") }, {}));
    assertStringIncludes(token.message, `variable LM_API_TOKEN in ${path("token.env")} `);
    assertFalse(token.message.includes("S3CRET"));
  });
});

Deno.test("config: a file that cannot be read is reported with the reason", async () => {
  const utf16 = new Uint8Array([0xff, 0xfe, ...[..."{}"].flatMap((c) => [c.charCodeAt(0), 0])]);
  await withFiles({ utf16, "utf16_bare": utf16.subarray(2), file: "" }, (path) => {
    for (const option of ["configFile", "envFile"] as const) {
      const cases: [string, string][] = [
        [path("missing"), "there is no such file"],
        [path(""), "it is a folder"],
        [path("file/below"), "ENOTDIR"],
        [path("utf16"), "it is not UTF-8 text"],
        [path("utf16_bare"), "it is not UTF-8 text"],
        ["a\0b", "cannot read"],
      ];
      for (const [file, state] of cases) {
        const { message } = refused(() => resolveConfig({ [option]: file }, {}));
        assertStringIncludes(message, `option ${option}: cannot read ${file}`);
        assertStringIncludes(message, state);
      }
    }
  });
});

Deno.test("config: no file is read unless it is set", async () => {
  await withFiles({ ".env": "LMSTUDIO_MODEL=dotenv\n" }, async (path) => {
    const seen = await runScript(
      `import { resolveConfig } from "$MOD";
       Deno.chdir(${JSON.stringify(path(""))});
       console.log(JSON.stringify(resolveConfig().model ?? null));`,
      ["--allow-env", "--allow-read"],
    );
    assertEquals(seen, null);
  });
});

Deno.test("config: printing a configuration shows its values, but no secret", () => {
  const config = resolveConfig({
    apiToken: TOKEN,
    model: "qwen/qwen3-8b",
    headers: { "x-key": HEADER_VALUE },
    fetch: globalThis.fetch,
  }, {});
  // Code can still read them.
  assertEquals(config.apiToken, TOKEN);
  assertEquals(config.headers["x-key"], HEADER_VALUE);
  assertStrictEquals(config.fetch, globalThis.fetch);
  const printed = [
    JSON.stringify(config),
    JSON.stringify({ nested: [config] }),
    Deno.inspect(config),
    Deno.inspect({ nested: [config] }, { depth: 10 }),
    Deno.inspect(new Map([["config", config]])),
  ];
  for (const text of printed) {
    assertStringIncludes(text, "qwen/qwen3-8b");
    assertStringIncludes(text, "127.0.0.1:1234");
    assertStringIncludes(text, "x-key");
    assertFalse(text.includes("S3CRET"), text);
  }
  assertEquals(JSON.parse(JSON.stringify(config)).apiToken, "***");
  assertEquals(Object.keys(config).sort(), [
    "apiToken",
    "baseUrl",
    "connectTimeoutMs",
    "fetch",
    "firstTokenTimeoutMs",
    "headers",
    "idleTimeoutMs",
    "maxRetries",
    "model",
    "modelCacheTtlMs",
    "onModelSubstituted",
  ]);
});

Deno.test("config: node:util's inspect and a provider show no secret either", async () => {
  const { inspect } = await import("node:util");
  const options = { apiToken: TOKEN, headers: { "x-key": HEADER_VALUE }, env: {} };
  const config = resolveConfig(options, {});
  const provider = new LMStudioProvider(options);
  for (const value of [config, { config }, provider]) {
    for (const text of [inspect(value, { depth: 9, showHidden: true }), Deno.inspect(value)]) {
      assertFalse(text.includes("S3CRET"), text);
    }
  }
  assertStringIncludes(inspect(config), "127.0.0.1:1234");
  assertFalse(JSON.stringify(provider).includes("S3CRET"));
});

Deno.test("config: in Deno, a variable without permission is absent, without a prompt or an error", async () => {
  const script = `import { LMStudioProvider, resolveConfig } from "$MOD";
    void process.env;
    const read = [];
    const { get } = Deno.env;
    Deno.env.get = (name) => { read.push(name); return get.call(Deno.env, name); };
    const { model, apiToken } = resolveConfig();
    new LMStudioProvider();
    console.log(JSON.stringify([model ?? null, apiToken ?? null, [...new Set(read)].sort()]));`;
  const env = { LMSTUDIO_MODEL: "m", LM_API_TOKEN: "t" };
  assertEquals(await runScript(script, [], env), [null, null, []]);
  assertEquals(
    await runScript(script, ["--allow-env=LMSTUDIO_MODEL"], env),
    ["m", null, ["LMSTUDIO_MODEL"]],
  );
  assertEquals(
    (await runScript(script, ["--allow-env", "--deny-env=LM_API_TOKEN"], env) as unknown[])
      .slice(0, 2),
    ["m", null],
  );
});

Deno.test("config: in Deno, a file without permission is an error whose hint has the flag", async () => {
  const script = `import { resolveConfig } from "$MOD";
    const errors = [];
    for (const name of ["configFile", "envFile"]) {
      try {
        resolveConfig({ [name]: "/etc/hostname" }, {});
      } catch (error) {
        errors.push([error.name, error.code, error.message, error.hint]);
      }
    }
    console.log(JSON.stringify(errors));`;
  const errors = await runScript(script, []) as string[][];
  assertEquals(errors.length, 2);
  for (const [name, code, message = "", hint = ""] of errors) {
    assertEquals([name, code], ["ConfigurationError", "invalid_configuration"]);
    assertStringIncludes(message, "File: cannot read /etc/hostname");
    assertStringIncludes(hint, "--allow-read=/etc/hostname");
  }
});

/** Everything that any part of the package may read according to §4. */
const ALL_VARIABLES = [
  ...VARIABLES.flatMap(([, names]) => names),
  "PATINOX_MODEL_PROVIDER",
  "PATINOX_MODEL_DEFAULT",
  "LOCAL_ENDPOINT",
  "LOCAL_PROVIDER_PREFERENCE",
  "LOCAL_AUTO_DISCOVER",
  "OLLAMA_HOST",
  "OLLAMA_ENDPOINT",
  "HOME",
  "USERPROFILE",
  "HTTP_PROXY",
  "NO_PROXY",
  "NO_COLOR",
];

/** Records every variable that is read, through Deno's or Node's API, then loads the module. */
const SPY = `
  // Deno reads one of its own variables when its Node layer is first used.
  void process.env;
  const seen = new Set();
  const note = (name) => { if (typeof name === "string") seen.add(name); };
  Deno.env.get = Deno.env.has = (name) => note(name);
  Deno.env.toObject = () => (note("everything"), {});
  const env = new Proxy({}, {
    get: (_, name) => note(name),
    has: (_, name) => (note(name), false),
    getOwnPropertyDescriptor: (_, name) => note(name),
    ownKeys: () => (note("everything"), []),
  });
  Object.defineProperty(process, "env", { value: env });`;

const WORK = `
  const { LMStudioProvider, resolveConfig } = await import("$MOD");
  const config = resolveConfig();
  const onlyConfig = [...seen].sort();
  const fetch = () => Promise.reject(new TypeError("refused"));
  const lmstudio = new LMStudioProvider({ fetch, maxRetries: 0 });
  await lmstudio.complete({ model: "m", messages: "Hello" }).catch(() => {});
  lmstudio.explainConfig();
  console.log(JSON.stringify({ model: config.model ?? null, onlyConfig, all: [...seen] }));`;

for (const runtime of ["Deno", "Node"]) {
  Deno.test(`config: only the variables of §4 are read, on ${runtime}`, async () => {
    const forget = runtime === "Node" ? "delete globalThis.Deno;" : "";
    const { onlyConfig, all } = await runScript(SPY + forget + WORK, [
      "--allow-env",
      "--allow-read",
      "--allow-net",
    ]) as { onlyConfig: string[]; all: string[] };
    assertEquals(onlyConfig, VARIABLES.flatMap(([, names]) => names).sort());
    assertEquals(all.filter((name) => !ALL_VARIABLES.includes(name)), []);
  });
}

Deno.test("config: the environment is not read if a record is passed", async () => {
  const { onlyConfig } = await runScript(
    SPY + WORK.replace("resolveConfig()", "resolveConfig({}, {})"),
    ["--allow-env", "--allow-read", "--allow-net"],
  ) as { onlyConfig: string[] };
  assertEquals(onlyConfig, []);
});

Deno.test("config: without process and Deno, as in a browser, options and defaults work", async () => {
  const seen = await runScript(
    `const { inspect } = Deno;
     delete globalThis.Deno;
     delete globalThis.process;
     const { LMStudioProvider, resolveConfig } = await import("$MOD");
     const errors = [];
     for (const name of ["configFile", "envFile"]) {
       try {
         new LMStudioProvider({ [name]: "x" });
       } catch (error) {
         errors.push([error.name, error.code, error.message]);
       }
     }
     const config = resolveConfig({ model: "m" });
     new LMStudioProvider().explainConfig();
     console.log(JSON.stringify({ config, errors }));`,
    ["--allow-env", "--allow-read"],
    { LMSTUDIO_HOST: "elsewhere" },
  ) as { config: Record<string, unknown>; errors: string[][] };
  assertEquals(seen.config, { ...DEFAULTS, model: "m" });
  assertEquals(seen.errors.length, 2);
  for (const [name, code, message = ""] of seen.errors) {
    assertEquals([name, code], ["ConfigurationError", "invalid_configuration"]);
    assertStringIncludes(message, "File: cannot read x: this runtime cannot read files");
  }
});

Deno.test("config: an environment that throws when read, as on some hosts, counts as empty", async () => {
  const seen = await runScript(
    `delete globalThis.Deno;
     const env = new Proxy({}, { get: () => { throw new Error("no"); } });
     Object.defineProperty(globalThis, "process", { value: { env } });
     const { resolveConfig } = await import("$MOD");
     console.log(JSON.stringify(resolveConfig().baseUrl));`,
    ["--allow-env", "--allow-read"],
  );
  assertEquals(seen, DEFAULTS.baseUrl);
});
