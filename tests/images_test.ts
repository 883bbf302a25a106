/**
 * Images: which formats are accepted and how others are refused, what is fetched and what never is, and how downloads fail.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  type ChatRequest,
  type CompletionRequest,
  FallbackProvider,
  type ImagePart,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  NetworkError,
  type ResponsesRequest,
  TimeoutError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { closedPort } from "./support/raw_server.ts";
import { serveStub, type StubAnswer, type StubRoutes } from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

const MIB = 1024 * 1024;
const VISION = { id: "qwen/qwen3-vl-8b", vision: true };
const PNG = bytesOf("\x89PNG\r\n\x1a\n 1");
const JPEG = bytesOf("\xff\xd8\xff\xe0 2");
const PNG_URL = `data:image/png;base64,${btoa("\x89PNG\r\n\x1a\n 1")}`;
const JPEG_URL = `data:image/jpeg;base64,${btoa("\xff\xd8\xff\xe0 2")}`;

function bytesOf(latin1: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(latin1, (char) => char.charCodeAt(0));
}

function ask(...images: (ImagePart["image"] | ImagePart)[]): CompletionRequest {
  const isPart = (image: ImagePart["image"] | ImagePart): image is ImagePart =>
    typeof image === "object" && "image" in image;
  const parts = images.map((image): ImagePart => isPart(image) ? image : { type: "image", image });
  return { messages: [{ role: "user", content: [{ type: "text", text: "What?" }, ...parts] }] };
}

/** A provider with a fake model server; other requests go to the image server. */
function connect(options: LMStudioProviderOptions = {}, images = globalThis.fetch) {
  const fake = createFakeLMStudio({ models: [VISION] });
  const asked: { url: string; init: RequestInit }[] = [];
  const lmstudio = new LMStudioProvider({
    env: {},
    baseUrl: "http://lmstudio.test",
    fetch: (input, init) => {
      if (String(input).startsWith("http://lmstudio.test/")) {
        return fake.fetch(input as string, init);
      }
      asked.push({ url: String(input), init: init ?? {} });
      return images(input, init);
    },
    ...options,
  });
  /** The URLs of the images that the model was sent. */
  const sent = () =>
    fake.requests.filter(({ method }) => method === "POST").flatMap(({ body }) =>
      (body as { messages: { content: { image_url?: { url: string } }[] }[] }).messages
        .flatMap(({ content }) => content.flatMap(({ image_url }) => image_url?.url ?? []))
    );
  return { lmstudio, fake, asked, sent };
}

const never: typeof fetch = () => Promise.reject(new Error("fetched"));

const serve = (routes: Record<string, StubAnswer>): StubRoutes =>
  Object.fromEntries(Object.entries(routes).map(([path, answer]) => [`GET ${path}`, answer]));
const file = (content: Uint8Array): StubAnswer => ({ body: [content] });

// --- Formats ----------------------------------------------------------------------------------

const FORMATS: [content: string, result: string][] = [
  ["\x89PNG\r\n\x1a\n....", "image/png"],
  ["\xff\xd8\xff\xdb....", "image/jpeg"],
  ["\xff\xd8\xff\xe1....", "image/jpeg"],
  ["GIF87a......", "is GIF, not PNG or JPEG"],
  ["GIF89a......", "is GIF, not PNG or JPEG"],
  ["RIFF\x10\0\0\0WEBPVP8L", "is WebP, not PNG or JPEG"],
  ["\0\0\0\x1cftypavif\0\0\0\0mif1", "is AVIF, not PNG or JPEG"],
  ["\0\0\0\x1cftypavis\0\0\0\0mif1", "is AVIF, not PNG or JPEG"],
  ["\0\0\0\x1cftypmif1\0\0\0\0avifmiaf", "is AVIF, not PNG or JPEG"],
  ["\0\0\0\x18ftypheic\0\0\0\0mif1", "is HEIC, not PNG or JPEG"],
  ["\0\0\0\x18ftypmif1\0\0\0\0heic", "is HEIC, not PNG or JPEG"],
  ["\0\0\0\x18ftypisom\0\0\x02\0", "is a video, not PNG or JPEG"],
  ["II*\0\x08\0\0\0", "is TIFF, not PNG or JPEG"],
  ["MM\0*\0\0\0\x08", "is TIFF, not PNG or JPEG"],
  ["BM\x76\x01\0\0\0\0\0\0", "is BMP, not PNG or JPEG"],
  ["\0\0\x01\0\x01\0", "is an icon (ICO), not PNG or JPEG"],
  ["\xff\x0a\x10\x10", "is JPEG XL, not PNG or JPEG"],
  ["\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL, not PNG or JPEG"],
  ["\0\0\0\x0cjP  \r\n\x87\n", "is JPEG 2000, not PNG or JPEG"],
  ["8BPS\0\x01", "is a Photoshop document, not PNG or JPEG"],
  ["%PDF-1.7\n", "is PDF, not PNG or JPEG"],
  ['<svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG, not PNG or JPEG"],
  ["\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg >", "is SVG, not PNG or JPEG"],
  ["\n<!DOCTYPE html>\n<title>Cat</title>", "is an HTML page, not PNG or JPEG"],
  ["<html><body>", "is an HTML page, not PNG or JPEG"],
  ["BMW is a car", "is of an unknown format, not PNG or JPEG"],
  ["RIFF\x10\0\0\0WAVEfmt ", "is of an unknown format, not PNG or JPEG"],
  ["\x89PN", "is of an unknown format, not PNG or JPEG"],
  ["<", "is of an unknown format, not PNG or JPEG"],
  ["", "is empty, not PNG or JPEG"],
];

Deno.test("images: every format, as bytes, Blob, data: URL and URL, is sent or refused with a reason", async (t) => {
  await using server = serveStub(
    serve(Object.fromEntries(FORMATS.map(([content], at) => [`/${at}`, file(bytesOf(content))]))),
  );
  for (const [at, [content, result]] of FORMATS.entries()) {
    const bytes = bytesOf(content);
    const data = `data:image/png;base64,${btoa(content)}`;
    const forms: [string, ImagePart["image"]][] = [
      ["bytes", bytes],
      ["Blob", new Blob([bytes], { type: "image/png" })],
      ["data: URL", data],
      ["data: URL object", new URL(data)],
      ["address", `${server.url}/${at}`],
    ];
    for (const [form, image] of forms) {
      await t.step(`${form}: ${result} (${JSON.stringify(content.slice(0, 12))})`, async () => {
        const { lmstudio, sent } = connect();
        if (result.startsWith("image/")) {
          await lmstudio.complete(ask(image));
          assertEquals(sent(), [`data:${result};base64,${btoa(content)}`]);
          return;
        }
        const error = await assertRejects(() => lmstudio.complete(ask(image)), InvalidRequestError);
        assertEquals(error.code, "unsupported_content");
        assertStringIncludes(
          error.message,
          `Cannot complete: messages[0].content[1].image ${result}`,
        );
        const remedy = result.includes("HTML")
          ? "Use the URL of the image itself"
          : result.startsWith("is empty")
          ? "Check that the file or URL"
          : "Convert the";
        assertStringIncludes(error.hint, remedy);
        assertEquals(sent(), []);
      });
    }
  }
});

Deno.test("images: values that are not image data are refused with how to convert them", async () => {
  const cases: [image: string | URL, state: string, hint: string][] = [
    ["cat.png", "is text (perhaps a file path)", "Deno.readFile("],
    ["./photos/cat 1.png", "is text (perhaps a file path)", "node:fs/promises"],
    ["/9j/cat.jpg", "is text (perhaps", "Read the file"],
    ["C:\\cat.png", "is text (perhaps", "Read the file"],
    ["", "is text (perhaps", "Read the file"],
    [new URL("file:///home/me/cat.png"), "is a file: URL", "Read the file"],
    ["blob:https://example.com/1-2-3", "is a blob: URL", "a Blob"],
    ["ftp://example.com/cat.png", "is a URL (ftp:), not image data", "an http(s) URL"],
    ["http://", "is not a valid URL", "an http(s) URL"],
    [
      btoa("\x89PNG\r\n\x1a\n" + "x".repeat(90)),
      "is bare base64, not a data: URL",
      "in front of it",
    ],
    ["data:image/png;base64,%%%", "is a data: URL with invalid base64", ""],
    ["data:image/png,raw", "is a data: URL without base64", "PNG or JPEG"],
    ["data:image/svg+xml;utf8,<svg/>", "is SVG in a data: URL", "Convert"],
    ["data:", "is a data: URL without base64", ""],
  ];
  for (const [image, state, hint] of cases) {
    const { lmstudio, fake } = connect({}, never);
    const error = await assertRejects(
      () => lmstudio.complete(ask(image)),
      InvalidRequestError,
      `messages[0].content[1].image ${state}`,
    );
    assertStringIncludes(error.hint, hint);
    assertEquals([error.code, fake.requests.length], ["unsupported_content", 0]);
    // A path may be private.
    assert(!/cat|home/.test(error.message.replace(error.hint, "")), error.message);
  }
});

Deno.test("images: base64 in other spellings", async () => {
  const { lmstudio, sent } = connect({}, never);
  const [head, base64 = ""] = JPEG_URL.split(",");
  await lmstudio.complete(ask(
    `${head},${base64.slice(0, 4)}\n ${base64.slice(4)}\n`,
    `DATA:image/jpeg;name=a;BASE64,${encodeURIComponent(base64)}`,
  ));
  assertEquals(sent(), [JPEG_URL, JPEG_URL]);
});

Deno.test("images: a Blob that can no longer be read", async () => {
  class Gone extends Blob {
    override arrayBuffer(): Promise<ArrayBuffer> {
      return Promise.reject(new DOMException("gone", "NotReadableError"));
    }
  }
  const { lmstudio } = connect({}, never);
  await assertRejects(
    () => lmstudio.complete(ask(new Gone())),
    InvalidRequestError,
    "is a Blob that cannot be read",
  );
});

// --- Fetching ---------------------------------------------------------------------------------

Deno.test("images: nothing is fetched for data passed directly", async () => {
  const { lmstudio, asked, sent } = connect({}, never);
  await lmstudio.complete(ask(PNG_URL, new URL(JPEG_URL), PNG, new Blob([JPEG])));
  assertEquals(asked, []);
  assertEquals(sent(), [PNG_URL, JPEG_URL, PNG_URL, JPEG_URL]);
});

Deno.test("images: URLs are fetched once each, and inlined in place", async () => {
  await using server = serveStub(serve({ "/a.png?x=1": file(PNG), "/b": file(JPEG) }));
  const { lmstudio, sent } = connect();
  await lmstudio.complete(ask(
    `${server.url}/a.png?x=1`,
    JPEG,
    new URL("/b", server.url),
    ` ${server.url}/a.png?x=1#top\n`,
    { type: "image", image: `${server.url}/b`, mediaType: "image/jpeg" },
  ));
  assertEquals(sent(), [PNG_URL, JPEG_URL, JPEG_URL, PNG_URL, JPEG_URL]);
  assertEquals(server.requests.map(({ path }) => path).sort(), ["/a.png?x=1", "/b"]);
});

Deno.test("images: anything the caller adds during the download is not sent", async () => {
  await using server = serveStub(serve({ "/a": file(PNG) }));
  const { lmstudio, fake } = connect();
  const image = `${server.url}/a`;
  const messages: unknown[] = [...ask(image).messages, "Go on."];
  const items = [...messages];
  const parts: unknown[] = [{ type: "image", image }, { type: "text", content: "What?" }];
  const calls = [
    lmstudio.complete({ messages } as CompletionRequest),
    lmstudio.responses.create({ input: items } as ResponsesRequest),
    lmstudio.chat.send({ input: parts } as ChatRequest),
  ];
  // Not refused either: the call has already copied its request.
  for (const list of [messages, items, parts]) list.push(null);
  await Promise.all(calls);
  const bodies = fake.requests.filter(({ method }) => method === "POST").map(({ body }) => body);
  const sent = bodies as Record<"messages" | "input", unknown[] | undefined>[];
  assertEquals(sent.map(({ messages, input }) => (messages ?? input)?.length), [2, 2, 2]);
});

Deno.test("images: streams and objects fetch them, too", async () => {
  await using server = serveStub(serve({ "/a": file(PNG) }));
  const { lmstudio, sent } = connect();
  await lmstudio.streamCompletion(ask(`${server.url}/a`)).response();
  await lmstudio.completeObject({ ...ask(`${server.url}/a`), schema: { type: "object" } });
  assertEquals(sent(), [PNG_URL, PNG_URL]);
});

Deno.test("images: a repair does not fetch them again", async () => {
  await using server = serveStub(serve({ "/a": file(PNG) }));
  const fake = createFakeLMStudio({ models: [VISION], replies: ["no", "no", "{}"] });
  await using models = await fake.listen();
  const lmstudio = new LMStudioProvider({ baseUrl: models.url, env: {} });
  const request = { ...ask(`${server.url}/a`), schema: { type: "object" }, maxRepairs: 2 };
  await lmstudio.completeObject(request);
  assertEquals(server.requests.length, 1);
});

Deno.test("images: image servers get none of our headers", async () => {
  await using server = serveStub(serve({ "/a": file(PNG) }));
  const { lmstudio, asked } = connect({
    apiToken: "sk-lm-secret",
    headers: { "x-tenant": "secret", cookie: "a=secret", accept: "application/json" },
  });
  await lmstudio.complete(ask(`${server.url}/a`), { headers: { "x-call": "secret" } });
  const [request] = server.requests;
  const told = JSON.stringify([...request?.headers ?? []]);
  assert(!told.includes("secret"), told);
  assertStringIncludes(request?.headers.get("accept") ?? "", "image/png");
  const { credentials, referrerPolicy, redirect } = asked[0]?.init ?? {};
  assertEquals([credentials, referrerPolicy, redirect], ["omit", "no-referrer", "manual"]);
});

Deno.test("images: nothing is fetched for a request that is refused for another reason", async () => {
  await using server = serveStub(serve({ "/a": file(PNG) }));
  const image = ask(`${server.url}/a`);
  const refused: unknown[] = [
    { ...image, temperature: -1 },
    { ...image, tools: [{ name: "t", parameters: { type: "array" } }] },
    { ...image, schema: "x" },
    ask(`${server.url}/a`, bytesOf("GIF89a")),
    ask(`${server.url}/a`, "cat.png"),
    ask(`${server.url}/a`, "http://me:secret@example.com/"),
    ask(`${server.url}/a`, { type: "image", image: PNG, mediaType: "image/jpeg" }),
  ];
  const { lmstudio } = connect();
  for (const request of refused as CompletionRequest[]) {
    await assertRejects(() => lmstudio.complete(request), InvalidRequestError);
    await assertRejects(() => lmstudio.streamCompletion(request).response(), InvalidRequestError);
  }
  assertEquals(server.requests.length, 0);
});

Deno.test("images: credentials in a URL are refused, and not shown", async () => {
  for (const address of ["http://me:s3cr3t@127.0.0.1:9/a.png", "https://token@example.com/a?k=1"]) {
    const { lmstudio } = connect({}, never);
    const error = await assertRejects(
      () => lmstudio.complete(ask(address)),
      InvalidRequestError,
      "is a URL that contains credentials",
    );
    assert(!/s3cr3t|token|me:/.test(JSON.stringify(error)), error.message);
  }
});

Deno.test("images: redirects are followed to http(s) only, and not endlessly", async () => {
  await using server = serveStub(serve({
    "/a": { status: 302, headers: { location: "/b?x" } },
    "/b?x": { status: 308, headers: { location: "c" } },
    "/c": file(PNG),
    "/loop": { status: 307, headers: { location: "/loop" } },
    "/file": { status: 301, headers: { location: "file:///etc/passwd" } },
    "/data": { status: 303, headers: { location: PNG_URL } },
    "/user": { status: 302, headers: { location: "http://me:s3cr3t@127.0.0.1/" } },
    "/odd": { status: 302, headers: { location: "http://[" } },
    "/none": { status: 302 },
    "/many": { status: 300, headers: { location: "/c" } },
  }));
  const { lmstudio, sent } = connect();
  await lmstudio.complete(ask(`${server.url}/a`));
  assertEquals(sent(), [PNG_URL]);
  const host = new URL(server.url).host;
  const refused = [
    ["loop", `${host}/loop redirects more than 5 times`],
    ["file", `${host}/file redirects to an address (file:) that is not http or https`],
    ["data", `${host}/data redirects to an address (data:) that is not http or https`],
    ["user", `${host}/user redirects to an address with credentials in it`],
    ["odd", `${host}/odd redirects to an invalid address`],
    ["none", `${host}/none answered 302`],
    ["many", `${host}/many answered 300`],
  ];
  for (const [path, state = ""] of refused) {
    const error = await assertRejects(
      () => lmstudio.complete(ask(`${server.url}/${path}`)),
      InvalidRequestError,
      state,
    );
    assertEquals(error.code, "unsupported_content");
    assert(!error.message.includes("s3cr3t"));
  }
  assertEquals(server.on("GET /loop").length, 6);
});

Deno.test("images: nothing is fetched from link-local addresses and metadata services", async () => {
  const addresses = [
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.1.1/a.png",
    // The same in other notations.
    "http://2852039166/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/a.png",
    "http://[fd00:ec2::254]/latest/",
    "http://100.100.100.200/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal.:80/",
  ];
  for (const address of addresses) {
    let asked = 0;
    const { lmstudio, sent } = connect({}, () => {
      asked++;
      return Promise.resolve(new Response(PNG));
    });
    const error = await assertRejects(() => lmstudio.complete(ask(address)), InvalidRequestError);
    assertEquals([error.code, asked, sent()], ["unsupported_content", 0, []], address);
    assertStringIncludes(error.message, "where clouds keep machine credentials");
  }
});

Deno.test("images: a redirect from outside into this machine or its network is refused", async () => {
  const inside = [
    "http://127.0.0.1:11434/a.png",
    "http://localhost/a.png",
    "http://images.localhost/a.png",
    "http://[::1]/a.png",
    "http://0.0.0.0/a.png",
    "http://10.1.2.3/a.png",
    "http://172.16.0.1/a.png",
    "http://172.31.255.1/a.png",
    "http://192.168.1.20/a.png",
    "http://[fd12::1]/a.png",
    "http://[::ffff:192.168.1.20]/a.png",
    "http://169.254.169.254/a.png",
    "http://metadata.google.internal/a.png",
  ];
  const outside = [
    "http://172.32.0.1/a.png",
    "http://11.1.2.3/a.png",
    "http://[2001:db8::1]/a.png",
    "http://10.example.com/a.png",
    "http://localhost.example.com/a.png",
  ];
  const redirecting = (location: string, asked: string[] = []) =>
    connect({}, (input) => {
      asked.push(String(input));
      return Promise.resolve(
        asked.length === 1
          ? new Response(null, { status: 302, headers: { location } })
          : new Response(PNG),
      );
    });
  for (const location of inside) {
    const asked: string[] = [];
    const { lmstudio } = redirecting(location, asked);
    const error = await assertRejects(
      () => lmstudio.complete(ask("https://example.com/a.png")),
      InvalidRequestError,
    );
    assertEquals([error.code, asked.length], ["unsupported_content", 1], location);
    assertStringIncludes(error.message, "example.com/a.png redirects to ");
  }
  for (const location of outside) {
    const { lmstudio, sent } = redirecting(location);
    await lmstudio.complete(ask("https://example.com/a.png"));
    assertEquals(sent(), [PNG_URL], location);
  }
  // From inside the network a redirect may stay inside, but never go to a link-local address.
  const { lmstudio, sent } = redirecting("http://192.168.1.20/a.png");
  await lmstudio.complete(ask("http://127.0.0.1:8000/a.png"));
  assertEquals(sent(), [PNG_URL]);
  const other = redirecting("http://169.254.169.254/a.png");
  await assertRejects(
    () => other.lmstudio.complete(ask("http://127.0.0.1:8000/a.png")),
    InvalidRequestError,
    "127.0.0.1:8000/a.png redirects to ",
  );
});

Deno.test("images: errors name host and path, without the query", async () => {
  const long = "x".repeat(300);
  await using server = serveStub(serve({
    "/gone?key=4711": { status: 404, body: "no such 4711" },
    "/private": { status: 403 },
    [`/${long}`]: { status: 500 },
  }));
  const host = new URL(server.url).host;
  const { lmstudio, fake } = connect();
  const failure = (path: string) =>
    assertRejects(() => lmstudio.complete(ask(server.url + path)), InvalidRequestError);
  const gone = await failure("/gone?key=4711#frag");
  assertStringIncludes(
    gone.message,
    `Cannot complete: messages[0].content[1].image cannot be fetched: ${host}/gone answered 404. `,
  );
  assert(!JSON.stringify(gone).includes("4711"));
  assertStringIncludes((await failure("/private")).hint, "none of your headers");
  const cut = await failure(`/${long}`);
  assert(!cut.message.includes("x".repeat(120)) && cut.message.includes("… answered 500"));
  assertEquals(fake.requests.length, 0);
});

Deno.test("images: an unreachable host is reported as that host, not as LM Studio", async () => {
  const address = `http://127.0.0.1:${closedPort()}/cat.png?key=4711`;
  const { lmstudio, fake } = connect();
  const error = await assertRejects(() => lmstudio.complete(ask(address)), NetworkError);
  const { host } = new URL(address);
  assertEquals(
    [error.code, error.service, error.endpoint, error.retriable],
    ["connection_refused", host, `http://${host}/cat.png`, false],
  );
  assertStringIncludes(
    error.message,
    `cannot be fetched from ${host}/cat.png: http://${host} refused`,
  );
  assertStringIncludes(error.hint, "pass its bytes");
  assert(!error.message.includes("4711"));

  // The provider's own server does not count as down.
  const other = connect();
  const fallback = new FallbackProvider([lmstudio, other.lmstudio]);
  await assertRejects(() => fallback.complete(ask(address)), NetworkError);
  await fallback.complete("Hello");
  assertEquals([fake.requests.length > 0, other.fake.requests.length], [true, 0]);
});

Deno.test("images: a missing permission is named", async () => {
  // Tests may only reach this machine.
  const { lmstudio } = connect();
  const error = await assertRejects(
    () => lmstudio.complete(ask("http://192.0.2.1/cat.png")),
    NetworkError,
  );
  assertEquals(error.code, "permission_denied");
  assertStringIncludes(error.hint, "--allow-net=192.0.2.1");
});

Deno.test("images: more than 20 MiB is not read, whether announced or not", async () => {
  for (const announced of [true, false]) {
    let read = 0;
    let isCancelled = false;
    const body = new ReadableStream({
      pull(controller) {
        read++;
        controller.enqueue(new Uint8Array(MIB));
      },
      cancel: () => void (isCancelled = true),
    }, { highWaterMark: 0 });
    const headers = announced ? { "content-length": String(21 * MIB) } : new Headers();
    const { lmstudio } = connect({}, () => Promise.resolve(new Response(body, { headers })));
    const error = await assertRejects(
      () => lmstudio.complete(ask("https://example.com/huge.png")),
      InvalidRequestError,
      "example.com/huge.png is larger than 20 MiB",
    );
    assertEquals([error.code, read, isCancelled], [
      "unsupported_content",
      announced ? 0 : 21,
      true,
    ]);
  }
});

Deno.test("images: 20 MiB is read", async () => {
  const large = new Uint8Array(20 * MIB);
  large.set(PNG);
  const { lmstudio, sent } = connect({}, () => Promise.resolve(new Response(large)));
  await lmstudio.complete(ask("https://example.com/large.png"));
  assertEquals(sent()[0]?.length, "data:image/png;base64,".length + Math.ceil(20 * MIB / 3) * 4);
});

Deno.test("images: a body that breaks off is not an image", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { lmstudio, fake } = connect({}, puppet.fetch as typeof fetch);
    const failed = rejection(lmstudio.complete(ask("https://example.com/a")));
    await pass(0);
    puppet.last.respond();
    puppet.last.send("\x7fPNG");
    puppet.last.fail(new TypeError("reset"));
    const error = await failed;
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, error.retriable], ["connection_reset", false]);
    assertStringIncludes(error.message, "example.com/a: the image was cut off");
    assertEquals(fake.requests.length, 0);
  });
});

Deno.test("images: a custom `fetch` that returns nothing to read, or throws", async () => {
  const odd = [() => undefined, () => Promise.resolve(5), () => Promise.resolve({ status: 200 })];
  for (const own of odd as unknown as (typeof fetch)[]) {
    const { lmstudio } = connect({}, own);
    await assertRejects(
      () => lmstudio.complete(ask("https://example.com/a")),
      InvalidRequestError,
      "`fetch` returned nothing that can be read for example.com/a",
    );
  }
  const { lmstudio } = connect({}, () => {
    throw new TypeError("broken");
  });
  await assertRejects(() => lmstudio.complete(ask("https://example.com/a")), NetworkError);
});

// --- Time and abort ---------------------------------------------------------------------------

for (const place of ["before the headers", "in the body"]) {
  const begin = async (puppet: Puppet, pass: (ms: number) => Promise<void>): Promise<void> => {
    await pass(0);
    if (place === "in the body") {
      puppet.last.respond();
      puppet.last.send("\x7fPNG");
    }
  };

  Deno.test(`images: silence ${place} ends after 30 s, or with the call's time`, async () => {
    for (const [timeoutMs, expected] of [[undefined, 30_000], [60_000, 30_000], [100, 100]]) {
      await inFakeTime(async (pass) => {
        const puppet = new Puppet();
        const { lmstudio, fake } = connect({}, puppet.fetch as typeof fetch);
        const failed = rejection(lmstudio.complete(ask("https://example.com/a?k"), { timeoutMs }));
        await begin(puppet, pass);
        await pass((expected ?? 0) - 1);
        assert(!puppet.last.signal.aborted);
        await pass(1);
        await pass(1);
        const error = await failed;
        assertInstanceOf(error, TimeoutError);
        assertEquals(
          [error.code, error.retriable, error.timeoutMs, error.service, error.endpoint],
          ["timeout_total", false, expected, "example.com", "https://example.com/a"],
        );
        assertStringIncludes(
          error.message,
          `did not arrive from example.com/a within ${expected} ms`,
        );
        assert(puppet.last.signal.aborted);
        if (place === "in the body") assert(puppet.last.isCancelled);
        assertEquals(fake.requests.length, 0);
      });
    }
  });

  Deno.test(`images: a caller's abort ${place} ends the call`, async () => {
    await inFakeTime(async (pass) => {
      const reason = new Error("enough");
      for (const method of ["complete", "stream", "cancel"]) {
        const puppet = new Puppet();
        const controller = new AbortController();
        const { signal } = controller;
        const { lmstudio, fake } = connect({}, puppet.fetch as typeof fetch);
        const stream = lmstudio.streamCompletion(ask("https://example.com/a"), { signal });
        const failed = rejection(
          method === "complete"
            ? lmstudio.complete(ask("https://example.com/a"), { signal })
            : stream.response(),
        );
        await begin(puppet, pass);
        if (method === "cancel") void stream.cancel(reason);
        else controller.abort(reason);
        assertStrictEquals(await failed, reason, method);
        assert(puppet.last.signal.aborted);
        if (place === "in the body") assert(puppet.last.isCancelled);
        assertEquals(fake.requests.length, 0);
      }
    });
  });
}

Deno.test("images: `timeoutMs` does not apply to those of a stream", async () => {
  for (const method of ["streamCompletion", "streamTools"] as const) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const { lmstudio } = connect({}, puppet.fetch as typeof fetch);
      const request = ask("https://example.com/a");
      const stream = lmstudio[method](request, { timeoutMs: 100 });
      const failed = rejection("result" in stream ? stream.result() : stream.response());
      await pass(0);
      await pass(29_000);
      assert(!puppet.last.signal.aborted, method);
      await pass(1000);
      await pass(1);
      const error = await failed;
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.timeoutMs, 30_000);
    });
  }
});

Deno.test("images: an answer that arrives after the abort is dropped", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const controller = new AbortController();
    const { lmstudio } = connect({}, puppet.fetch as typeof fetch);
    const failed = rejection(
      lmstudio.complete(ask("https://example.com/a"), { signal: controller.signal }),
    );
    await pass(0);
    controller.abort("enough");
    assertEquals(await failed, "enough");
    puppet.last.respond();
    await pass(0);
    assert(puppet.last.isCancelled);
  });
});

Deno.test("images: four at a time; when one fails, the others are cancelled", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { lmstudio } = connect({}, puppet.fetch as typeof fetch);
    const addresses = Array.from({ length: 9 }, (_, at) => `https://example.com/${at}`);
    const failed = rejection(lmstudio.complete(ask(...addresses)));
    await pass(0);
    assertEquals(puppet.calls.length, 4);
    puppet.calls[2]?.respond(404);
    const error = await failed;
    assert(isProviderError(error));
    assertStringIncludes(error.message, "messages[0].content[3].image cannot be fetched");
    await pass(0);
    assertEquals(puppet.calls.length, 4);
    assert(puppet.calls.every(({ signal }) => signal.aborted));
  });
});

Deno.test("images: no listener is left on the caller's signal", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const { lmstudio } = connect({}, () => Promise.resolve(new Response(PNG)));
  await lmstudio.complete(ask("https://example.com/a", "https://example.com/b"), { signal });
  assertEquals(listeners, 0);
});
