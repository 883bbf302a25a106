/** Addresses and the configuration: one normal form, never another host, never a secret. */
import { isProviderError, LMStudioProvider, resolveConfig } from "../../mod.ts";
import { resolveCascade } from "../../src/core/config.ts";
import { normalizeBaseUrl } from "../../src/core/base_url.ts";
import { anyJson } from "./bodies.ts";
import { check, checkSame, fc, type Property, property } from "./harness.ts";

const HOSTS = [
  "localhost",
  "127.0.0.1",
  "0.0.0.0",
  "[::1]",
  "::1",
  "fe80::1",
  "example.com",
  "a-b.example.com.",
  "münchen.de",
  "xn--mnchen-3ya.de",
  "EXAMPLE.com",
  "10",
  "0x7f.1",
  "2130706433",
  "127.1",
  "evil.example",
  "localhost@evil.example",
  "evil.example\\@localhost",
  "１２７.0.0.1",
  "a_b",
  "%65vil.example",
  "ex%61mple.com",
  "exa\u00admple.com",
  "ℯxample.com",
  "a..b",
  ".a",
  "a.",
  "-",
  "null",
  "host.docker.internal",
];
const written = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc.constantFrom(
        "",
        "",
        "http://",
        "https://",
        "ws://",
        "WSS://",
        "HTTP://",
        "ftp://",
        "file://",
        "http:",
        "http:/",
        "//",
        "http:///",
        "javascript:",
      ),
      fc.constantFrom(...HOSTS),
      fc.constantFrom(
        "",
        "",
        ":1234",
        ":80",
        ":443",
        ":0",
        ":65536",
        ":",
        ":abc",
        ":1234@evil.example",
      ),
      fc.array(
        fc.constantFrom(
          "/",
          "/v1",
          "/api/v1",
          "/api/v0",
          "/chat/completions",
          "/models",
          "/lm",
          "/..",
          "/.",
          "/%2e%2e",
          "//evil.example",
          "/@evil.example",
          "\\",
          "/a b",
          "?x=1",
          "#y",
          "/API",
          "/é",
          "/v1/",
          "/models/v1",
          "/\u202e",
        ),
        { maxLength: 4 },
      ),
      fc.constantFrom("", "", "", " ", "\n", "\t", '"', "`", "\0"),
    ).map(([scheme, host, port, path, around]) =>
      `${around}${scheme}${host}${port}${path.join("")}${around}`
    ),
  },
  { weight: 1, arbitrary: fc.webUrl({ withQueryParameters: false }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 24 }) },
);

/** The host as a person reads it: after the scheme, before port and path. */
function hostOf(text: string): string {
  const authority = text.replace(/^[a-z]+:\/\//i, "").replace(/[/?#].*$/s, "");
  return authority.replace(/:\d*$/, "");
}

const TOKEN = "S3CRET-t0ken";
const CONFIG_NAMES = [
  "baseUrl",
  "apiToken",
  "model",
  "embeddingModel",
  "timeoutMs",
  "connectTimeoutMs",
  "firstTokenTimeoutMs",
  "idleTimeoutMs",
  "maxRetries",
  "modelCacheTtlMs",
  "maxConcurrency",
  "headers",
  "reasoningTags",
  "onModelSubstituted",
  "decisionModel",
] as const;
const VARIABLES = [
  "LMSTUDIO_BASE_URL",
  "PATINOX_LMSTUDIO_BASE_URL",
  "LMSTUDIO_HOST",
  "LM_API_TOKEN",
  "LMSTUDIO_API_KEY",
  "LMSTUDIO_MODEL",
  "LMSTUDIO_TIMEOUT",
  "PATINOX_MODEL_TIMEOUT",
  "LMSTUDIO_MAX_RETRIES",
  "LMSTUDIO_EMBEDDING_MODEL",
  "__proto__",
  "constructor",
  "LMSTUDIO_DECISION_MODEL",
] as const;
const setting = fc.oneof(
  fc.constantFrom<unknown>(
    "",
    " ",
    "m",
    1,
    0,
    -1,
    1.5,
    NaN,
    Infinity,
    1e308,
    "5s",
    "30",
    "1500ms",
    "1e9",
    "-5",
    null,
    true,
    {},
    [],
    { "x-a": TOKEN },
    [["<a>", "</a>"]],
    [["", ""]],
    "ignore",
    "throw",
    undefined,
    10,
    11,
    "http://127.0.0.1:1",
    "localhost",
  ),
  fc.string({ unit: "binary", maxLength: 10 }),
);

export const ADDRESSES: readonly Property[] = [
  property("addresses", 8_000, written, (text) => {
    const { url, problem } = normalizeBaseUrl(text);
    if (url === undefined) {
      return check(problem !== "" && problem !== undefined, "no problem and no address");
    }
    checkSame(normalizeBaseUrl(url).url, url, "normalized again");
    const parsed = new URL(url);
    check(
      parsed.username === "" && parsed.password === "" && parsed.search === "" &&
        parsed.hash === "",
      `more than an address: ${url}`,
    );
    check(parsed.protocol === "http:" || parsed.protocol === "https:", `another scheme: ${url}`);
    const bare = hostOf(text.trim().replace(/^["`]|["`]$/g, "").trim()).toLowerCase();
    const host = parsed.hostname;
    // Names that the URL parser rewrites: other letters, and numbers that are IPv4 addresses.
    const isAsWritten = /^[a-z_-][a-z0-9_.-]*$/.test(bare);
    if (isAsWritten) checkSame(host, bare, "the host");
    check(
      !host.includes("evil") || bare.includes("evil") || bare.includes("%65vil"),
      `another host: ${url}`,
    );
  }),
  property(
    "addresses-sent",
    3_000,
    fc.tuple(written, written, fc.constantFrom("GET", "POST")),
    async (
      [base, other, method],
    ) => {
      const asked: string[] = [];
      const fetch: typeof globalThis.fetch = (input, init) => {
        asked.push(new Request(input, init).url);
        return Promise.resolve(Response.json({ data: [] }));
      };
      let lmstudio: LMStudioProvider;
      try {
        lmstudio = new LMStudioProvider({
          env: {},
          baseUrl: base,
          fetch,
          apiToken: TOKEN,
          maxRetries: 0,
        });
      } catch (error) {
        check(
          isProviderError(error, "configuration"),
          () => `a foreign error: ${Deno.inspect(error)}`,
        );
        return check(!error.message.includes(TOKEN), "the token is shown");
      }
      const url = normalizeBaseUrl(base).url;
      check(url !== undefined, "taken, but no address");
      const { baseURL, fetch: forward } = lmstudio.toOpenAI();
      checkSame(baseURL, `${url}/v1`, "the address for other clients");
      for (
        const call of [
          () => lmstudio.listModels(),
          () => forward(other, { method }),
          () => forward(`${baseURL}${other}`, { method }),
        ]
      ) {
        try {
          await call();
        } catch (error) {
          check(isProviderError(error), () => `a foreign error: ${Deno.inspect(error)}`);
        }
      }
      check(asked.length > 0, "nothing is asked");
      const { origin, pathname } = new URL(url);
      for (const address of asked) {
        const { origin: askedOrigin, pathname: path } = new URL(address);
        checkSame(askedOrigin, origin, `asked ${address}`);
        check(
          path.startsWith(pathname === "/" ? "/" : `${pathname}/`),
          `below another prefix: ${address}`,
        );
      }
    },
  ),
  property(
    "configuration",
    5_000,
    fc.tuple(
      fc.dictionary(fc.constantFrom(...CONFIG_NAMES), setting, { maxKeys: 5 }),
      fc.dictionary(
        fc.constantFrom(...VARIABLES),
        fc.oneof(setting.filter((value) => typeof value === "string"), fc.constant(undefined)),
        { maxKeys: 5 },
      ),
    ),
    ([options, env]) => {
      const given = {
        ...options,
        apiToken: options.apiToken ?? TOKEN,
        env: env as Record<string, string | undefined>,
      };
      let config: ReturnType<typeof resolveConfig>;
      try {
        config = resolveConfig(given as never);
      } catch (error) {
        check(
          isProviderError(error, "configuration"),
          () => `a foreign error: ${Deno.inspect(error)}`,
        );
        const said = `${error.message} ${JSON.stringify(error)} ${Deno.inspect(error)}`;
        check(!said.includes(TOKEN), "a secret is shown");
        check(
          [...CONFIG_NAMES, ...VARIABLES].some((name) => error.message.includes(name)),
          () => `names nothing: ${error.message}`,
        );
        return;
      }
      check(Object.isFrozen(config) && Object.isFrozen(config.headers), "not frozen");
      checkSame(normalizeBaseUrl(config.baseUrl).url, config.baseUrl, "the address");
      for (
        const ms of [config.connectTimeoutMs, config.firstTokenTimeoutMs, config.idleTimeoutMs]
      ) check(ms > 0, "a time that is none");
      check(
        Number.isInteger(config.maxRetries) && config.maxRetries >= 0 && config.maxRetries <= 10,
        "retries",
      );
      for (const key of ["maxRetries", "connectTimeoutMs"] as const) {
        if (options[key] !== undefined) {
          checkSame(config[key], options[key], `the option ${key} wins`);
        }
      }
      const explained = new LMStudioProvider(given as never).explainConfig();
      check(
        !JSON.stringify([explained, config]).includes(TOKEN) &&
          !Deno.inspect(config).includes(TOKEN),
        "a secret is shown",
      );
    },
  ),
  property(
    "configuration-files",
    3_000,
    fc.record({
      values: fc.dictionary(
        fc.constantFrom(...CONFIG_NAMES, "__proto__", "fetch", "env"),
        anyJson,
        {
          maxKeys: 4,
        },
      ),
      text: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, anyJson),
      dotenv: fc.dictionary(fc.constantFrom(...VARIABLES), setting.filter(isText), { maxKeys: 4 }),
    }),
    ({ values, text, dotenv }) => {
      const fields = Object.entries(values).map(([name, json]) =>
        `${JSON.stringify(name)}:${json}`
      );
      const file = { name: "lmstudio.json", text: text ?? `{${fields.join(",")}}` };
      try {
        const { config, entries } = resolveCascade({
          options: {},
          env: {},
          file,
          dotenv: { name: ".env", values: dotenv as Record<string, string> },
        });
        checkSame(normalizeBaseUrl(config.baseUrl).url, config.baseUrl, "the address");
        check(entries.length > 0, "nothing is explained");
      } catch (error) {
        check(
          isProviderError(error, "configuration"),
          () => `a foreign error: ${Deno.inspect(error)}`,
        );
        check(
          error.message.includes(file.name) ||
            VARIABLES.some((name) => error.message.includes(name)),
          () => `names neither file nor variable: ${error.message}`,
        );
      }
    },
  ),
];

function isText(value: unknown): value is string {
  return typeof value === "string";
}
