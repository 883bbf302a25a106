/** Every form of address named in §4 of the design, and the addresses that are refused, with the error's wording. */
import { assert, assertEquals, assertFalse, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigurationError, resolveConfig } from "../mod.ts";
import { isLoopback, normalizeBaseUrl } from "../src/core/base_url.ts";

const ACCEPTED: Readonly<Record<string, readonly (readonly [written: string, url: string])[]>> = {
  "a host alone gets port 1234": [
    ["localhost", "http://localhost:1234"],
    ["192.168.1.20", "http://192.168.1.20:1234"],
    ["gpu-box.lan", "http://gpu-box.lan:1234"],
    ["host.docker.internal", "http://host.docker.internal:1234"],
    ["localhost:", "http://localhost:1234"],
    ["localhost/", "http://localhost:1234"],
    ["localhost/v1", "http://localhost:1234"],
    ["localhost/prefix", "http://localhost:1234/prefix"],
  ],
  "a written port stays": [
    ["localhost:1234", "http://localhost:1234"],
    ["localhost:8080", "http://localhost:8080"],
    ["localhost:65535", "http://localhost:65535"],
    ["localhost:08080", "http://localhost:8080"],
    ["127.0.0.1:41343/v1/", "http://127.0.0.1:41343"],
    ["http://127.0.0.1:1234", "http://127.0.0.1:1234"],
    ["https://models.example:8443", "https://models.example:8443"],
  ],
  "port 80 stays port 80 where it is meant": [
    ["http://localhost", "http://localhost"],
    ["http://localhost/", "http://localhost"],
    ["http://localhost:", "http://localhost"],
    ["http://localhost:80", "http://localhost"],
    ["localhost:80", "http://localhost"],
    ["localhost:80/v1", "http://localhost"],
    ["[::1]:80", "http://[::1]"],
    ["localhost:443", "http://localhost:443"],
    ["https://models.example", "https://models.example"],
    ["https://models.example:443/v1", "https://models.example"],
  ],
  "ends that name routes go": [
    ["http://127.0.0.1:1234/v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v0", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v0/", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/v1/v1/", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/V1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/models", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/chat/completions", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/chat", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/API/", "http://127.0.0.1:1234"],
    ["127.0.0.1/chat/completions", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/completions/", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/models", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/embeddings", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/responses", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/messages", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/messages", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/messages/count_tokens", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/decisions", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/systemone", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/models/qwen/qwen3-8b", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1/responses/resp_1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/models/load", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/models/download/status/job_1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v0/chat/completions", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/lmstudio-greeting", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/api/v1/chat/completions/v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:11434/api/tags", "http://127.0.0.1:11434"],
    ["http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434"],
  ],
  "a proxy's prefix stays": [
    ["https://models.example/lmstudio", "https://models.example/lmstudio"],
    ["https://models.example/lmstudio/", "https://models.example/lmstudio"],
    ["https://models.example/lmstudio/v1", "https://models.example/lmstudio"],
    ["https://models.example/a/b/api/v0/", "https://models.example/a/b"],
    ["https://models.example/a/api", "https://models.example/a"],
    ["https://models.example/lmstudio/chat/completions", "https://models.example/lmstudio"],
    ["https://models.example/api/lmstudio", "https://models.example/api/lmstudio"],
    ["https://models.example/api/v1/proxy/7", "https://models.example/api/v1/proxy/7"],
    ["https://models.example/my-models", "https://models.example/my-models"],
    ["https://models.example/models/gpu1", "https://models.example/models/gpu1"],
    ["https://models.example/chat", "https://models.example/chat"],
    ["https://models.example/v1/lmstudio", "https://models.example/v1/lmstudio"],
    ["https://models.example/v10", "https://models.example/v10"],
    ["https://models.example/myv1", "https://models.example/myv1"],
    ["https://models.example/Case/Kept", "https://models.example/Case/Kept"],
    ["https://models.example/~anna/%20x", "https://models.example/~anna/%20x"],
    ["https://models.example/@team/llm", "https://models.example/@team/llm"],
  ],
  "doubled slashes become one": [
    ["http://127.0.0.1:1234//", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234//v1", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/v1//", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234//v1//v1//", "http://127.0.0.1:1234"],
    ["http://127.0.0.1:1234/a//b///v1", "http://127.0.0.1:1234/a/b"],
    ["localhost:1234//v1", "http://localhost:1234"],
  ],
  "ws becomes http, wss https": [
    ["ws://127.0.0.1:1234", "http://127.0.0.1:1234"],
    ["ws://localhost", "http://localhost"],
    ["wss://models.example/lmstudio", "https://models.example/lmstudio"],
    ["WSS://models.example", "https://models.example"],
  ],
  "scheme and host are folded": [
    ["HTTP://LOCALHOST:1234/v1", "http://localhost:1234"],
    ["HTTPS://Models.Example/Prefix", "https://models.example/Prefix"],
    ["LocalHost:1234", "http://localhost:1234"],
  ],
  "an address to listen at becomes one to connect to": [
    ["0.0.0.0", "http://127.0.0.1:1234"],
    ["0.0.0.0:8080", "http://127.0.0.1:8080"],
    ["http://0.0.0.0:1234/v1", "http://127.0.0.1:1234"],
    ["http://0.0.0.0", "http://127.0.0.1"],
    ["10.0.0.0", "http://10.0.0.0:1234"],
  ],
  "IPv6, in brackets or, without a port, without": [
    ["::1", "http://[::1]:1234"],
    ["[::1]", "http://[::1]:1234"],
    ["[::1]:8080", "http://[::1]:8080"],
    ["::1/v1", "http://[::1]:1234"],
    ["::1:8080", "http://[::1]:8080"],
    ["::1:8080/v1", "http://[::1]:8080"],
    ["fe80::1", "http://[fe80::1]:1234"],
    ["2001:DB8::A", "http://[2001:db8::a]:1234"],
    ["2001:db8:0:0:0:0:0:1", "http://[2001:db8::1]:1234"],
    ["http://[::1]:1234/v1", "http://[::1]:1234"],
    ["http://[::1]", "http://[::1]"],
    ["[fe80::1]/prefix/v1", "http://[fe80::1]:1234/prefix"],
  ],
  "quotes around it are no part of it": [
    ['"http://127.0.0.1:1234"', "http://127.0.0.1:1234"],
    ["'http://127.0.0.1:1234/v1'", "http://127.0.0.1:1234"],
    ["“http://127.0.0.1:1234”", "http://127.0.0.1:1234"],
    ["‘localhost’", "http://localhost:1234"],
    ["„localhost:8080“", "http://localhost:8080"],
    ["`localhost`", "http://localhost:1234"],
    [" '\"localhost\"' ", "http://localhost:1234"],
    ['" localhost "', "http://localhost:1234"],
  ],
  "hosts have letters, digits, dots, hyphens and underscores": [
    ["gpu_box", "http://gpu_box:1234"],
    ["GPU-7.lan", "http://gpu-7.lan:1234"],
    ["localhost.", "http://localhost.:1234"],
    ["bücher.example", "http://xn--bcher-kva.example:1234"],
    ["nullable.lan", "http://nullable.lan:1234"],
    ["http.lan", "http://http.lan:1234"],
    ["1234.lan", "http://1234.lan:1234"],
  ],
  "white space around is no part of it": [
    ["  http://127.0.0.1:1234  ", "http://127.0.0.1:1234"],
    ["\tlocalhost\r\n", "http://localhost:1234"],
  ],
};

for (const [title, cases] of Object.entries(ACCEPTED)) {
  Deno.test(`base URL: ${title}`, () => {
    for (const [written, url] of cases) {
      assertEquals(normalizeBaseUrl(written), { url }, written);
      assertEquals(resolveConfig({ baseUrl: written }, {}).baseUrl, url, written);
    }
  });
}

const REFUSED: Readonly<Record<string, readonly (readonly [written: string, state: string])[]>> = {
  "nothing": [["", "is empty"], ["   ", "is empty"], ["\n\t", "is empty"]],
  "white space and backslashes inside": [
    ["local host", "whitespace"],
    ["http://local\thost", "whitespace"],
    ["http://localhost:1234/\nv1", "whitespace"],
    ["http:\\\\localhost", "backslash"],
    ["localhost\\v1", "backslash"],
  ],
  "other schemes": [
    ["ftp://localhost", 'scheme "ftp"'],
    ["file:///etc/passwd", 'scheme "file"'],
    ["HTTPX://localhost", 'scheme "httpx"'],
    ["unix://tmp/socket", 'scheme "unix"'],
    ["chrome-extension://abc", 'scheme "chrome-extension"'],
    ["http:localhost", '"//"'],
    ["http:/localhost", '"//"'],
    ["https:", '"//"'],
    ["javascript:alert(1)", "not an address"],
  ],
  "credentials": [
    ["http://user:secret@localhost:1234", "credentials"],
    ["http://user@localhost", "credentials"],
    ["http://:secret@localhost", "credentials"],
    ["http://@localhost", "credentials"],
    ["user:secret@localhost:1234", "credentials"],
    ["https://user:secret@models.example/v1?x=1#y", "credentials"],
  ],
  "a query or a fragment": [
    ["http://localhost:1234?key=secret", "query"],
    ["http://localhost:1234/?", "query"],
    ["localhost/v1?a=b", "query"],
    ["http://localhost:1234#secret", "fragment"],
    ["http://localhost:1234/v1#", "fragment"],
  ],
  "ports nobody can listen at": [
    ["localhost:0", "port 0"],
    ["http://localhost:0/v1", "port 0"],
    ["http://localhost:99999", "not an address"],
    ["localhost:65536", "not an address"],
    ["localhost:-1", "not an address"],
    ["localhost:http", "not an address"],
    ["8080", "port"],
  ],
  "two schemes, and schemes without their colon": [
    ["http://http://127.0.0.1:1234", "two schemes"],
    ["http://https://models.example/v1", "two schemes"],
    ["ws://http://localhost", "two schemes"],
    ["http://http//localhost", "two schemes"],
    ["http//127.0.0.1:1234", '":"'],
    ["HTTPS//models.example", '":"'],
    ["ws//localhost", '":"'],
  ],
  "placeholders that nobody replaced": [
    ["$HOST:1234", "$HOST"],
    ["${HOST}", "${HOST}"],
    ["http://${HOST}:1234", "${HOST}"],
    ["http://localhost:${PORT}/v1", "${PORT}"],
    ["http://localhost:$PORT", "$PORT"],
    ["{{host}}", "{{host}}"],
    ["http://{{ host }}:1234", "{{ host }}"],
    ["http://localhost:1234/{{prefix}}", "{{prefix}}"],
    ["http://{host}:1234", "{host}"],
    ["%LMSTUDIO_HOST%:1234", "%LMSTUDIO_HOST%"],
    ["http://<host>:1234", "<host>"],
    ["$(hostname):1234", "$(hostname)"],
    ["null", "null"],
    ["undefined", "undefined"],
    ["http://undefined:1234", "undefined"],
    ["http://null", "null"],
    ["None:1234", "None"],
    ["NaN", "NaN"],
    ["http://localhost:undefined", "not an address"],
    ["[object Object]", "whitespace"],
  ],
  "addresses to listen at that are none to connect to": [
    ["*:1234", '"*"'],
    ["http://*:1234", '"*"'],
    ["http://+:1234", '"+"'],
    ["http://+", '"+"'],
    ["*", '"*"'],
  ],
  "hosts with other characters": [
    ["http://a,b:1234", '"a,b"'],
    ["http://localhost;1234", "localhost;1234"],
    ["LMSTUDIO_BASE_URL=http://localhost", "not an address"],
    ["(localhost)", "(localhost)"],
    ["http://local!host", "local!host"],
    ["http://.:1234", "not an address"],
    ["a..b", "not an address"],
    ["http://\u200blocalhost", "not an address"],
    ["http://1234", "port without a host"],
    ["1234/v1", "port without a host"],
    ['"http://localhost', "not an address"],
    ['""', "is empty"],
  ],
  "what is no host": [
    ["http://", "not an address"],
    [":1234", "not an address"],
    ["http://:1234", "not an address"],
    ["/v1", "not an address"],
    ["//localhost:1234", "not an address"],
    ["http:///v1", "not an address"],
    ["http:///localhost:1234", "not an address"],
    ["wss:////localhost", "not an address"],
    ["::1::2", "not an address"],
    ["[::1", "not an address"],
    ["http://fe80::1:1234", "not an address"],
    ["fe80::1%eth0", "not an address"],
    ["256.1.1.1", "not an address"],
    ["%00", "not an address"],
    ["<script>", "not an address"],
  ],
};

for (const [title, cases] of Object.entries(REFUSED)) {
  Deno.test(`base URL: refuses ${title}`, () => {
    for (const [written, state] of cases) {
      const result = normalizeBaseUrl(written);
      assert(result.problem !== undefined, `${JSON.stringify(written)} was accepted`);
      assertStringIncludes(result.problem, state, written);
      const error = assertThrows(() => resolveConfig({ baseUrl: written }, {}), ConfigurationError);
      assertEquals(error.code, "invalid_configuration");
      assertStringIncludes(error.message, "option baseUrl ");
      assertStringIncludes(error.message, state);
    }
  });
}

Deno.test("base URL: refuses a value that is not a string, naming it", () => {
  const values: [unknown, string][] = [
    [null, "null"],
    [1234, "1234"],
    [true, "true"],
    [["http://localhost"], "an array"],
    [new URL("http://localhost"), "an object"],
  ];
  for (const [value, shown] of values) {
    const error = assertThrows(
      () => resolveConfig({ baseUrl: value as string }, {}),
      ConfigurationError,
    );
    assertStringIncludes(error.message, `option baseUrl is ${shown}, not an address`);
  }
});

Deno.test("base URL: no error shows credentials, a query or a fragment", () => {
  const secrets = ["S3CRET", "anna"];
  const written = [
    "http://anna:S3CRET@localhost:1234",
    "anna:S3CRET@localhost",
    "http://anna:S3CRET@localhost:99999",
    "http://anna:S3@S3CRET@localhost",
    "http://anna:S3CRET/x@localhost",
    "http://anna:x/S3CRET@localhost:1234",
    "https://anna:x?S3CRET@localhost",
    "https://anna:x#S3CRET@localhost",
    "http:///anna:S3CRET@localhost",
    "ftp://anna:S3CRET@localhost",
    "http:anna:S3CRET@localhost",
    "http://anna:S3CRET @localhost",
    "http://localhost?token=S3CRET",
    "http://localhost?token={S3CRET}",
    "http://anna:${S3CRET}@localhost",
    "http://anna:{{S3CRET}}@localhost#<S3CRET>",
    "http://http://anna:S3CRET@localhost",
    "http://an$S3CRET:x@localhost",
    "'http://anna:S3CRET@local,host'",
    "http://localhost?user=anna@x&token=S3CRET",
    "http://localhost#S3CRET",
    "local host?S3CRET",
  ];
  for (const value of written) {
    const result = normalizeBaseUrl(value);
    assert(result.problem !== undefined, value);
    const error = assertThrows(() => resolveConfig({ baseUrl: value }, {}), ConfigurationError);
    const shown = [result.display, result.problem, error.message, JSON.stringify(error)].join("\n");
    for (const secret of secrets) assertFalse(shown.includes(secret), `${value} shows ${shown}`);
  }
});

Deno.test("base URL: an error shows enough of the address to find it", () => {
  const shown = (written: string): string => {
    const result = normalizeBaseUrl(written);
    return result.problem === undefined ? "" : result.display;
  };
  assertEquals(shown("http://anna:S3CRET@localhost:1234/v1"), "http://***@localhost:1234/v1");
  assertEquals(shown("anna@localhost"), "***@localhost");
  assertEquals(shown("http://localhost/a?b=c"), "http://localhost/a?…");
  assertEquals(shown("http://localhost/a#b"), "http://localhost/a#…");
  assertEquals(shown("ftp://localhost"), "ftp://localhost");
  assert(shown(`ftp://${"x".repeat(10_000)}`).length <= 200);
});

Deno.test("base URL: a parsed URL is parsed unchanged", () => {
  for (const [written] of Object.values(ACCEPTED).flat()) {
    const { url } = normalizeBaseUrl(written) as { url: string };
    assertEquals(normalizeBaseUrl(url), { url }, written);
    for (
      const route of ["/", "/v1", "/api/v0/", "/api/v1", "//v1/models", "/api", "/chat/completions"]
    ) {
      assertEquals(normalizeBaseUrl(url + route), { url }, written + route);
    }
  }
});

Deno.test("base URL: no stray slash, route, scheme or port is left over, whatever the parts", () => {
  const schemes = ["", "http://", "https://", "ws://", "wss://"];
  const hosts = ["localhost", "0.0.0.0", "[::1]", "Models.Example"];
  const ports = ["", ":80", ":443", ":1234"];
  const prefixes = ["", "/", "//", "/p", "/p//q/"];
  const routes = ["", "/v1", "/v1/", "/api", "/api/v0", "/api/v1/v1//", "/v1/chat/completions"];
  for (const scheme of schemes) {
    for (const host of hosts) {
      for (const port of ports) {
        for (const prefix of prefixes) {
          for (const route of routes) {
            const written = scheme + host + port + prefix + route;
            const { url } = normalizeBaseUrl(written) as { url: string };
            const path = prefix.startsWith("/p")
              ? prefix.replace(/\/+/g, "/").replace(/\/$/, "")
              : "";
            const isTls = scheme === "https://" || scheme === "wss://";
            const shownHost = host === "0.0.0.0" ? "127.0.0.1" : host.toLowerCase();
            const number = port === "" ? (scheme === "" ? ":1234" : "") : port;
            const shownPort = number === (isTls ? ":443" : ":80") ? "" : number;
            const expected = `http${isTls ? "s" : ""}://${shownHost}${shownPort}${path}`;
            assertEquals(url, expected, written);
          }
        }
      }
    }
  }
});

Deno.test("base URL: other servers have another default port", () => {
  assertEquals(normalizeBaseUrl("localhost", 11434), { url: "http://localhost:11434" });
  assertEquals(normalizeBaseUrl("http://localhost", 11434), { url: "http://localhost" });
  assertEquals(normalizeBaseUrl("localhost:80", 11434), { url: "http://localhost" });
  assertEquals(normalizeBaseUrl("::1", 80), { url: "http://[::1]" });
});

Deno.test("isLoopback: true for this machine under any of its names", () => {
  for (
    const host of [
      "localhost",
      "127.0.0.1",
      "127.8.9.10",
      "[::1]",
      "lm.localhost",
      "127.1",
      "0x7f.1",
    ]
  ) {
    assert(isLoopback(`http://${host}:1234`), host);
  }
  for (
    const host of ["192.168.1.20", "10.127.0.1", "localhost.example", "127.0.0.1.example", "[::2]"]
  ) {
    assertFalse(isLoopback(`http://${host}:1234`), host);
  }
});
