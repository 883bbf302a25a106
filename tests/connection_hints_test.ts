/** Why no answer came, derived from the address, the runtime's error and where the program runs. */

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertNotMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  NetworkError,
  OpenAICompatibleProvider,
  TimeoutError,
} from "../mod.ts";
import {
  connectionCauses,
  type ConnectionFacts,
  connectionHint,
} from "../src/core/connection_hints.ts";
import { readSurroundings } from "../src/platform/surroundings.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { explainFailedSend } from "../src/transport/no_answer.ts";
import { closedPort, rawServer } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";
import { rejection } from "./support/wire.ts";

// --- Hints, derived from the facts -------------------------------------------------------------

const SAID: readonly (readonly [
  name: string,
  facts: Omit<ConnectionFacts, "service"> & { service?: string },
  says: readonly RegExp[],
  notSays?: RegExp,
])[] = [
  [
    "refused on a LAN address",
    { trouble: "refused", url: "http://192.168.1.20:1234" },
    [/^On 192\.168\.1\.20, turn on "Serve on Local Network"/, /--bind 0\.0\.0\.0/],
  ],
  [
    "refused by a named machine",
    { trouble: "refused", url: "http://gpu-box.lan:4321/prefix" },
    [/gpu-box\.lan/, /Serve on Local Network/],
  ],
  [
    "an IPv6 address of the LAN",
    { trouble: "refused", url: "http://[fd00::7]:1234" },
    [/\[fd00::7\]/, /Serve on Local Network/],
    /container/,
  ],
  [
    "Ollama on a LAN address",
    { trouble: "refused", url: "http://10.0.0.7:11434", service: "Ollama" },
    [/OLLAMA_HOST=0\.0\.0\.0 ollama serve/],
    /LM Studio|lms /,
  ],
  [
    "another server on a LAN address",
    { trouble: "refused", url: "http://10.0.0.7:8000", service: "vLLM" },
    [/listen on all addresses/],
    /LM Studio|lms |ollama/i,
  ],
  ...(["refused", "unresolved", "late", "unreachable"] as const).map((trouble) =>
    [
      `host.docker.internal ${trouble}`,
      { trouble, url: "http://host.docker.internal:1234", surroundings: "container" as const },
      [/Serve on Local Network/, /--add-host=host\.docker\.internal:host-gateway/],
      /Check the name|connections from its own/,
    ] as const
  ),
  [
    "Podman's name of the host",
    { trouble: "unresolved", url: "http://host.containers.internal:1234" },
    [/--add-host=host\.containers\.internal:host-gateway/],
  ],
  [
    "loopback in a container",
    { trouble: "refused", url: "http://127.0.0.1:1234", surroundings: "container" },
    [
      /runs in a container, where 127\.0\.0\.1 is the container itself/,
      /host\.docker\.internal:1234/,
    ],
  ],
  [
    "localhost in a container",
    { trouble: "refused", url: "http://localhost:1234", surroundings: "container" },
    [/http:\/\/127\.0\.0\.1:1234: localhost may mean IPv6/, /runs in a container/],
  ],
  [
    "loopback in WSL",
    { trouble: "refused", url: "http://127.0.0.1:1234", surroundings: "wsl" },
    [/runs in WSL/, /networkingMode=mirrored/, /Serve on Local Network/],
  ],
  [
    "a LAN address in WSL",
    { trouble: "refused", url: "http://172.20.0.1:1234", surroundings: "wsl" },
    [/On 172\.20\.0\.1, turn on "Serve on Local Network"/],
    /runs in WSL/,
  ],
  [
    "loopback on a plain machine",
    { trouble: "refused", url: "http://127.0.0.1:1234" },
    [/^Start the server with `lms server start`/],
    /container|WSL|IPv6|allow-env/,
  ],
  [
    "the default address, because Deno hides the variable",
    { trouble: "refused", url: "http://127.0.0.1:1234", isVariableHidden: true },
    [
      /^Start the server with `lms server start`/,
      /if you set LMSTUDIO_BASE_URL, add `--allow-env`/,
    ],
  ],
  [
    "another address, so the variable does not matter",
    { trouble: "refused", url: "http://127.0.0.1:4321", isVariableHidden: true },
    [/^Start the server with `lms server start`/],
    /allow-env/,
  ],
  [
    "localhost",
    { trouble: "refused", url: "http://localhost:1234" },
    [/lms server start/, /http:\/\/127\.0\.0\.1:1234/, /IPv6/],
  ],
  [
    "IPv6's own loopback",
    { trouble: "refused", url: "http://[::1]:4321" },
    [/http:\/\/127\.0\.0\.1:4321: \[::1\] is IPv6/],
  ],
  [
    "no port",
    { trouble: "refused", url: "http://192.168.1.20" },
    [/LM Studio uses 1234: set the base URL to http:\/\/192\.168\.1\.20:1234\./],
  ],
  [
    "no port, and a prefix",
    { trouble: "late", url: "http://nas/lm/" },
    [/http:\/\/nas:1234\/lm\./],
  ],
  [
    "no port of Ollama",
    { trouble: "refused", url: "http://nas", service: "Ollama" },
    [/Ollama uses 11434/],
    /1234\D/,
  ],
  [
    "no port of a server that has no usual one",
    { trouble: "refused", url: "http://nas", service: "vLLM" },
    [/listen on all addresses/],
    /no port/,
  ],
  [
    "https without a port",
    { trouble: "refused", url: "https://gateway.example" },
    [/gateway\.example/],
    /no port/,
  ],
  [
    "unreachable on macOS",
    { trouble: "unreachable", url: "http://192.168.1.20:1234", platform: "macos" },
    [/macOS/, /Local Network/, /VPN/],
    /lms server start/,
  ],
  [
    "unreachable elsewhere",
    { trouble: "unreachable", url: "http://192.168.1.20:1234", platform: "linux" },
    [/same network/, /VPN/, /firewall/],
    /macOS|lms server start/,
  ],
  [
    "not taken in time",
    { trouble: "late", url: "http://192.168.1.20:1234", platform: "windows" },
    [/firewall/, /VPN/, /Serve on Local Network/],
  ],
  [
    "an unknown name",
    { trouble: "unresolved", url: "http://gpubox:1234" },
    [/Check the name gpubox/, /IP address/],
    /start|Serve/i,
  ],
  [
    "an unknown name without a port",
    { trouble: "unresolved", url: "http://gpubox.local" },
    [/Check the name gpubox\.local/],
    /start|Serve|port/i,
  ],
  [
    "an unknown name in a container",
    { trouble: "unresolved", url: "http://gpubox.local:1234", surroundings: "container" },
    [/Check the name gpubox\.local/, /a container may not know/],
    /start |Serve/i,
  ],
  [
    "silence",
    { trouble: "silent", url: "http://127.0.0.1:8080" },
    [/port 8080 accepts connections but does not answer: check that it is LM Studio \(default port 1234\)/],
    /timeoutMs/,
  ],
  [
    "another port that answers",
    {
      trouble: "refused",
      url: "http://localhost",
      answersAt: "http://127.0.0.1:4321",
      surroundings: "container",
    },
    [/^LM Studio answers at http:\/\/127\.0\.0\.1:4321: set the base URL to that address\.$/],
  ],
  [
    "a self-signed certificate on Node",
    { trouble: "certificate-untrusted", url: "https://nas:8443", runtime: "node" },
    [/NODE_EXTRA_CA_CERTS=/],
    /Deno|Bun|lms server start/,
  ],
  [
    "a self-signed certificate on Deno",
    { trouble: "certificate-untrusted", url: "https://nas:8443", runtime: "deno" },
    [/`--cert ca\.pem`/, /DENO_TLS_CA_STORE=system/],
    /Node|Bun/,
  ],
  [
    "a self-signed certificate on Bun",
    { trouble: "certificate-untrusted", url: "https://nas:8443", runtime: "bun" },
    [/Bun/, /NODE_EXTRA_CA_CERTS=/],
  ],
  [
    "a certificate for another name",
    { trouble: "certificate-name", url: "https://192.168.1.20:8443" },
    [/covers 192\.168\.1\.20 too/],
  ],
  ["an old certificate", { trouble: "certificate-date", url: "https://nas" }, [/Renew/, /clock/]],
  ["plain http", { trouble: "plain-http", url: "https://127.0.0.1:1234" }, [/plain http/]],
];

for (const [name, facts, says, notSays] of SAID) {
  Deno.test(`hint: ${name}`, () => {
    const hint = connectionHint({ service: "LM Studio", ...facts }) ?? "";
    for (const words of says) assertMatch(hint, words);
    if (notSays !== undefined) assertNotMatch(hint, notSays);
  });
}

Deno.test("hint: every cause that applies is listed, not only those in an error", () => {
  const causes = connectionCauses({
    trouble: "refused",
    url: "http://localhost",
    service: "LM Studio",
    surroundings: "container",
  });
  assertEquals(causes.length, 3);
  assertNotMatch(causes.slice(1).join(" "), /:80\b/);
  for (const [index, words] of [/no port/, /IPv6/, /container/].entries()) {
    assertMatch(causes[index] ?? "", words);
  }
});

Deno.test("docs/connecting.md: quotes every sentence of a hint", async () => {
  const text = await Deno.readTextFile(new URL("../docs/connecting.md", import.meta.url));
  const rows = text.split("\n").filter((line) => /^\| (?!symptom|---)/.test(line));
  const told = rows.map((row) => row.split("|")[2]?.trim().replace(/^"|"$/g, "") ?? "");
  const facts: Omit<ConnectionFacts, "service">[] = [
    ...SAID.map(([, facts]) => facts),
    { trouble: "late", url: "http://gpu-box.lan:1234" },
    { trouble: "unreachable", url: "http://gpu-box.lan:1234" },
    { trouble: "unresolved", url: "http://gpu-box.lan:1234" },
  ];
  const said = facts.flatMap((known) => connectionCauses({ service: "LM Studio", ...known }));
  // The last three are in other places: permissions, browsers and proxies.
  const fromHere = told.slice(0, -3);
  assertEquals(fromHere.filter((words) => !said.some((cause) => cause.includes(words))), []);
  assertEquals(said.filter((cause) => !fromHere.some((words) => isSame(cause, words))), []);
});

/** Whether a row describes a cause, whatever the host and port. */
function isSame(cause: string, words: string): boolean {
  const neutral = (text: string) =>
    text.replaceAll(/https?:\/\/\S+/g, "URL")
      .replaceAll(/\b(?:[\w-]+\.(?:lan|internal|local)|gpubox|nas|gateway\.example)\b/g, "HOST")
      .replaceAll(/(?:\d+\.){3}\d+|\[[\w:]+\]|localhost/g, "HOST").replaceAll(/\b\d{2,5}\b/g, "N")
      .replaceAll(/Ollama|vLLM/g, "LM Studio");
  return neutral(cause).includes(neutral(words));
}

// --- Where the program runs --------------------------------------------------------------------

Deno.test("surroundings: containers and WSL are detected by their files, and nothing if none may be read", () => {
  const files = (known: Readonly<Record<string, string>>) => ({
    read: (path: string) => known[path],
    isFile: (path: string) => path in known,
  });
  const WSL = "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@439a258ad544)";
  const seen: [Readonly<Record<string, string>>, string | undefined][] = [
    [{ "/.dockerenv": "" }, "container"],
    [{ "/run/.containerenv": "engine=podman" }, "container"],
    [{ "/proc/1/cgroup": "0::/docker/0123" }, "container"],
    [{ "/proc/1/cgroup": "12:pids:/kubepods/besteffort/pod1" }, "container"],
    [{ "/proc/1/cgroup": "0::/init.scope", "/proc/version": "Linux version 6.1 (gcc)" }, undefined],
    [{ "/proc/version": WSL }, "wsl"],
    [{ "/proc/version": "Linux version 4.4.0-19041-Microsoft" }, "wsl"],
    // Docker's machine on Windows runs in WSL, but the container is the closer cause.
    [{ "/.dockerenv": "", "/proc/version": WSL }, "container"],
    [{}, undefined],
  ];
  for (const [known, surroundings] of seen) {
    const isLinux = Deno.build.os === "linux";
    assertEquals(readSurroundings(files(known)).surroundings, isLinux ? surroundings : undefined);
  }
  assertEquals(readSurroundings(files({})).runtime, "deno");
  assertEquals(readSurroundings(files({})).isVariableHidden, false);
});

Deno.test("surroundings: with network permission only, no other is requested", async () => {
  const port = closedPort();
  const { output, errors, permissions } = await runScript(
    `import { LMStudioProvider } from "mod";
    const lmstudio = new LMStudioProvider({ baseUrl: "http://127.0.0.1:${port}", maxRetries: 0 });
    await lmstudio.listModels().catch((error) => console.log(error.code, error.hint));`,
    [`--allow-net=127.0.0.1:${port}`],
  );
  assertEquals(errors, "");
  assertMatch(output, /^connection_refused Start the server with `lms server start`/);
  const others = permissions.filter((name) => !/^env /.test(name) && !name.includes(`:${port}`));
  assertEquals(others, []);
});

Deno.test("surroundings: a variable that Deno hides is named, and one that it shows is not", async () => {
  const surroundings = new URL("../src/platform/surroundings.ts", import.meta.url).href;
  const script = `import { readSurroundings } from "${surroundings}";
    console.log(readSurroundings().isVariableHidden);`;
  for (
    const [flags, isHidden] of [[[], true], [["--allow-env=LMSTUDIO_BASE_URL"], false]] as const
  ) {
    const { output, errors } = await runScript(script, [...flags]);
    assertEquals([output, errors], [String(isHidden), ""]);
  }
});

// --- The runtimes' errors ---------------------------------------------------------------------

Deno.test("TLS failures are told apart, and are not retriable", () => {
  const coded = (code: string) => Object.assign(new Error(code.toLowerCase()), { code });
  const deno = (words: string) =>
    new Error(
      `error sending request for url (https://nas:8443/v1): client error (Connect): ${words}`,
    );
  const seen: [unknown, string][] = [
    [coded("DEPTH_ZERO_SELF_SIGNED_CERT"), "certificate-untrusted"],
    [coded("SELF_SIGNED_CERT_IN_CHAIN"), "certificate-untrusted"],
    [coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "certificate-untrusted"],
    [deno("invalid peer certificate: UnknownIssuer"), "certificate-untrusted"],
    [
      deno("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"),
      "certificate-untrusted",
    ],
    [coded("ERR_TLS_CERT_ALTNAME_INVALID"), "certificate-name"],
    [deno("invalid peer certificate: NotValidForName"), "certificate-name"],
    [
      deno('invalid peer certificate: certificate not valid for name "nas"'),
      "certificate-name",
    ],
    [coded("CERT_HAS_EXPIRED"), "certificate-date"],
    [coded("CERT_NOT_YET_VALID"), "certificate-date"],
    [deno("invalid peer certificate: Expired"), "certificate-date"],
    [
      deno("invalid peer certificate: certificate expired: verification time 7"),
      "certificate-date",
    ],
    [coded("ERR_SSL_WRONG_VERSION_NUMBER"), "plain-http"],
    [deno("received corrupt message of type InvalidContentType"), "plain-http"],
    [
      Object.assign(new Error("EPROTO: The TLS handshake failed."), { code: "EPROTO" }),
      "plain-http",
    ],
  ];
  for (const [cause, trouble] of seen) {
    const failure = explainFailedSend(
      new TypeError("fetch failed", { cause }),
      "https://nas:8443/v1",
    );
    assertEquals([failure.code, failure.trouble, failure.isPermanent], [
      "connection_refused",
      trouble,
      true,
    ], String(cause));
  }
  // A server that hangs up in the middle of it may not do so again.
  const cut = explainFailedSend(deno("tls handshake eof"), "https://nas:8443/v1");
  assertEquals(cut.isPermanent, undefined);
});

/** Runs with this instead of the runtime's `fetch`. */
async function withFetch(own: typeof fetch, run: () => Promise<void>): Promise<void> {
  const { fetch } = globalThis;
  globalThis.fetch = own;
  try {
    await run();
  } finally {
    globalThis.fetch = fetch;
  }
}

function provider(baseUrl: string, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl, env: {}, ...options });
}

Deno.test("a self-signed certificate is requested once, and the hint says how to trust it", async () => {
  let requests = 0;
  const cause = Object.assign(new Error("self-signed certificate"), {
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  const own = () => {
    requests++;
    return Promise.reject(new TypeError("fetch failed", { cause }));
  };
  await withFetch(own, async () => {
    const error = await rejection(provider("https://nas:8443", { maxRetries: 3 }).listModels());
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, error.retriable, error.attempts, requests], [
      "connection_refused",
      false,
      1,
      1,
    ]);
    assertStringIncludes(error.message, "self-signed, or from an issuer that is not trusted");
    assertStringIncludes(error.hint, "--cert");
  });
});

Deno.test("the runtime's error for a LAN address reaches the hint, whatever the call", async () => {
  const said: [code: string, words: RegExp, notWords: RegExp][] = [
    ["ECONNREFUSED", /Serve on Local Network/, /IPv6/],
    ["EHOSTUNREACH", /VPN/, /Serve on Local Network/],
    ["ENOTFOUND", /Check the name gpu-box\.lan/, /[Ss]tart|Serve/],
    ["UND_ERR_CONNECT_TIMEOUT", /firewall/, /IPv6/],
  ];
  for (const [code, words, notWords] of said) {
    const cause = Object.assign(new Error(code), { code, syscall: "connect" });
    await withFetch(() => Promise.reject(new TypeError("fetch failed", { cause })), async () => {
      const lmstudio = provider("http://gpu-box.lan:1234", { maxRetries: 0, model: "m" });
      for (
        const call of [
          () => lmstudio.listModels(),
          () => lmstudio.complete("Hello"),
          () => lmstudio.streamCompletion("Hello").response(),
          () => lmstudio.models.load("m"),
        ]
      ) {
        const error = await rejection(call());
        assertInstanceOf(error, NetworkError);
        assertEquals(error.code, "connection_refused");
        assertMatch(error.hint, words);
        assertNotMatch(error.hint, notWords);
      }
    });
  }
});

Deno.test("the error for a missing server gives the likely cause for a configured address", async () => {
  const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  await withFetch(() => Promise.reject(new TypeError("fetch failed", { cause })), async () => {
    const error = await assertRejects(
      () => LMStudioProvider.discover({ env: { LM_BASE_URL: "192.168.1.20" } }),
      NetworkError,
    );
    assertStringIncludes(error.hint, "lms server start");
    assertStringIncludes(error.hint, 'On 192.168.1.20, turn on "Serve on Local Network"');
  });
});

// --- Another address that answers ---------------------------------------------------------------

/** A home folder whose settings name this port. */
async function withSettings(port: number, run: (home: string) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${home}/.lmstudio/.internal`, { recursive: true });
    await Deno.writeTextFile(
      `${home}/.lmstudio/.internal/http-server-config.json`,
      JSON.stringify({ port }),
    );
    await run(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("refused on this machine: the hint names the port in LM Studio's settings, if it answers", async () => {
  const fake = createFakeLMStudio();
  await using server = await fake.listen();
  await withSettings(Number(new URL(server.url).port), async (home) => {
    const options = {
      env: { HOME: home },
      apiToken: "sk-lm-abcdefgh:12345678901234567890",
      headers: { "x-gateway": "gateway-key-0123456789" },
      model: "m",
      maxRetries: 0,
    };
    const lmstudio = provider(`http://127.0.0.1:${closedPort()}`, options);
    for (
      const call of [
        () => lmstudio.listModels(),
        () => lmstudio.complete("Hello"),
        () => lmstudio.streamCompletion("Hello").response(),
      ]
    ) {
      const error = await rejection(call());
      assertInstanceOf(error, NetworkError);
      assertEquals(error.code, "connection_refused");
      assertEquals(
        error.hint,
        `LM Studio answers at ${server.url}: set the base URL to that address.`,
      );
    }
    assertFalse(
      JSON.stringify(fake.requests.map(({ headers }) => headers)).match(/sk-lm|gateway/) !== null,
    );
    // A custom `fetch` gets no request except the call.
    const asked = fake.requests.length;
    let requests = 0;
    const own: typeof fetch = (...input) => {
      requests++;
      return fetch(...input);
    };
    const error = await rejection(
      provider(`http://127.0.0.1:${closedPort()}`, { ...options, fetch: own }).listModels(),
    );
    assert(isProviderError(error) && !error.hint.includes(server.url));
    assertEquals([requests, fake.requests.length], [1, asked]);
  });
});

Deno.test("refused on IPv6: the hint names 127.0.0.1, if the same port answers there", async () => {
  await using server = await createFakeLMStudio().listen();
  const { port } = new URL(server.url);
  const error = await rejection(provider(`http://[::1]:${port}`, { maxRetries: 0 }).listModels());
  assertInstanceOf(error, NetworkError);
  assertEquals(error.hint, `LM Studio answers at ${server.url}: set the base URL to that address.`);
});

Deno.test("refused: another program on that port is not named, and a silent one does not delay the error", async () => {
  await using silence = rawServer((connection) => connection.gone());
  await withSettings(silence.port, async (home) => {
    const lmstudio = provider(`http://127.0.0.1:${closedPort()}`, {
      env: { HOME: home },
      maxRetries: 0,
    });
    const startedAt = performance.now();
    const error = await rejection(lmstudio.listModels());
    assert(performance.now() - startedAt < 2000);
    assertInstanceOf(error, NetworkError);
    assertFalse(error.hint.includes(silence.url));
    assertStringIncludes(error.hint, "lms server start");
    // An abort does not wait for the lookup.
    const reason = new Error("enough");
    const controller = new AbortController();
    const listed = lmstudio.listModels({ signal: controller.signal });
    setTimeout(() => controller.abort(reason), 30);
    assertEquals(await rejection(listed), reason);
  });
});

Deno.test("refused: other kinds of servers are not looked for", async () => {
  const fake = createFakeLMStudio();
  await using server = await fake.listen();
  const { port } = new URL(server.url);
  const error = await rejection(
    new OpenAICompatibleProvider({
      name: "vllm",
      baseUrl: `http://[::1]:${port}`,
      maxRetries: 0,
    }).listModels(),
  );
  assertInstanceOf(error, NetworkError);
  assertEquals(fake.requests.length, 0);
  assertNotMatch(error.hint, /LM Studio|lms /);
});

// --- Accepted connections, and silence ----------------------------------------------------------

Deno.test("a program that accepts the connection and stays silent may not be LM Studio", async () => {
  await using silence = rawServer((connection) => connection.gone());
  const lmstudio = provider(silence.url, { model: "m", maxRetries: 0 });
  for (
    const call of [
      () => lmstudio.listModels({ timeoutMs: 100 }),
      () => lmstudio.complete("Hello", { timeoutMs: 100 }),
      () => lmstudio.streamCompletion("Hello", { firstTokenTimeoutMs: 100 }).response(),
    ]
  ) {
    const error = await rejection(call());
    assertInstanceOf(error, TimeoutError);
    assertStringIncludes(
      error.hint,
      `The server on port ${silence.port} accepts connections but does not answer`,
    );
    assertNotMatch(error.hint, /timeoutMs/i);
  }
});

Deno.test("if a slow server identifies itself as LM Studio, the hint is to raise the timeout", async () => {
  const fake = createFakeLMStudio({
    models: ["m"],
    faults: [{ path: /completions/, times: Infinity, fault: { type: "stall", at: "headers" } }],
  });
  await using server = await fake.listen();
  const error = await rejection(
    provider(server.url, { model: "m" }).complete("Hello", { timeoutMs: 150 }),
  );
  assertInstanceOf(error, TimeoutError);
  assertStringIncludes(error.hint, "Raise `timeoutMs`");
});
