/** The page of examples/browser/ in Chromium, used with just the keyboard and with a screen reader. */

import assert from "node:assert/strict";
import { servePage } from "../../examples/browser/serve.ts";
import type { FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { check, until } from "./checks.ts";
import { Chromium, type Page } from "./chromium.ts";
import { lastRequest, startHost } from "./host.ts";

const COMPLETIONS = "/v1/chat/completions";
const SEES = "qwen/qwen3-vl-8b";
const READS = "openai/gpt-oss-20b";
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR42mO4oKCAFSk4XMCKGEY1jGoYvhoAXNggEEwbtvwAAAAASUVORK5CYII=";
/** Tokens of a very long answer. */
const LONG_ANSWER = 20_000;
/** Generous, for a busy machine: with a layout for each token the pause is longer than the check may take. */
const LONGEST_PAUSE_MS = 2_000;
/** WCAG 2's minimum contrast for text of normal size. */
const CONTRAST = 4.5;
const SCREENSHOT = new URL("../../docs/browser.png", import.meta.url);
const HOST: FakeLMStudioOptions = {
  cors: true,
  models: [{ id: SEES, vision: true }, { id: READS, loaded: false }],
  tokenMs: 10,
  replies: [
    { reasoning: "Scattering explains it.", content: "Because air scatters blue light most." },
    "Red light is left when the way through the air is long.",
  ],
};

/** What the page shows. */
interface Shown {
  readonly articles: string[];
  readonly folded: string[];
  readonly notes: string[];
  readonly status: string;
  readonly connection: string;
  readonly problem: string;
  readonly focus: string;
  readonly draft: string;
}

export async function checkPage(program: string, folder: string): Promise<void> {
  let browser: Chromium | undefined;
  if (
    !await check("page: Chromium starts", async () => {
      browser = await Chromium.start(program, folder);
    })
  ) return;
  if (browser !== undefined) await checkUses(browser);
  await browser?.[Symbol.asyncDispose]();
}

async function checkUses(browser: Chromium): Promise<void> {
  await check("page: two questions and a conversation, with just the keyboard", async () => {
    await using host = await startHost(HOST);
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    assert.match((await shown(page)).connection, /Connected to LM Studio, with 2 models/);
    assert.equal((await shown(page)).focus, "text");
    await ask(page, "Why is the sky blue?");
    await untilShown(page, ({ status }) => status.startsWith("Answered"));
    const { articles, folded, status, focus, problem } = await shown(page);
    assert.deepEqual(articles.slice(0, 1), ["Why is the sky blue?"]);
    assert.equal(articles[1], "Because air scatters blue light most.");
    assert.deepEqual([folded, problem, focus], [["Scattering explains it."], "", "text"]);
    assert.match(status, /^Answered: \d+ tokens, [\d.]+ per second, first token after [\d.]+ s$/);
    await ask(page, "And in the evening?");
    await untilShown(
      page,
      ({ articles, status }) => articles.length === 4 && status.startsWith("Answered"),
    );
    const { messages } = lastRequest(host, COMPLETIONS).body as { messages: { content: string }[] };
    assert.equal(messages.length, 3);
    assert.equal(messages[1]?.content, "Because air scatters blue light most.");
    assert.deepEqual(page.complaints, []);
    await takeScreenshot(page);
  });

  await check(
    "page: Escape stops the answer, in LM Studio as well, and the text so far stays",
    async () => {
      await using host = await startHost({
        ...HOST,
        replies: () => "Up and up and up it goes.",
        faults: [{ path: COMPLETIONS, fault: { type: "stall", afterTokens: 2 } }],
      });
      await using site = await servePage({ port: 0, address: host.url });
      const page = await openWhenReady(browser, site);
      await ask(page, "Go on.");
      await untilShown(page, ({ articles }) => articles[1] === "Up and");
      assert.equal((await shown(page)).focus, "text");
      await page.press("Escape");
      await untilShown(page, ({ status }) => status === "Stopped.");
      await until(() => lastRequest(host, COMPLETIONS).aborted);
      assert.equal((await shown(page)).articles[1], "Up and");
      await ask(page, "Once more.");
      await untilShown(page, ({ status }) => status.startsWith("Answered"));
    },
  );

  await check("page: the stop button is reached by Tab, and returns the focus", async () => {
    await using host = await startHost({
      ...HOST,
      faults: [{ path: COMPLETIONS, fault: { type: "stall", afterTokens: 1 } }],
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await ask(page, "Go on.");
    await untilShown(page, ({ status }) => /reasoning|answering/.test(status));
    await page.press("Tab");
    assert.equal((await shown(page)).focus, "stop");
    await page.press("Enter");
    await untilShown(page, ({ status, focus }) => status === "Stopped." && focus === "text");
  });

  await check(
    "page: an image is dropped, shown and sent, or refused if the model has no vision",
    async () => {
      await using host = await startHost({ ...HOST, replies: () => "Stripes." });
      await using site = await servePage({ port: 0, address: host.url });
      const page = await openWhenReady(browser, site);
      await drop(page, "stripes.png", "image/png");
      assert.equal(
        await page.look(() => document.querySelector<HTMLImageElement>("#thumbnail")?.alt),
        "Image to send: stripes.png",
      );
      await ask(page, "What is it?");
      await untilShown(page, ({ status }) => status.startsWith("Answered"));
      const body = JSON.stringify(lastRequest(host, COMPLETIONS).body);
      assert.ok(body.includes(`data:image/png;base64,${PNG}`));
      await drop(page, "moving.gif", "image/gif");
      assert.match((await shown(page)).problem, /neither PNG nor JPEG/);
      await drop(page, "large.png", "image/png", 50_000_000);
      assert.match((await shown(page)).problem, /50 MB: choose/);
      await drop(page, "stripes.png", "image/png");
      await page.look((id) => {
        const choice = document.querySelector<HTMLSelectElement>("#model");
        if (choice !== null) choice.value = id;
        choice?.dispatchEvent(new Event("change"));
      }, READS);
      assert.match((await shown(page)).problem, /stripes\.png was removed/);
      await drop(page, "stripes.png", "image/png");
      assert.match((await shown(page)).problem, /does not accept images/);
    },
  );

  await check(
    "page: a failure is shown with its remedy, and the question is not lost",
    async () => {
      await using host = await startHost({
        ...HOST,
        faults: [{
          path: COMPLETIONS,
          fault: { type: "respond", status: 500, body: { error: "boom" } },
        }],
      });
      await using site = await servePage({ port: 0, address: host.url });
      const page = await openWhenReady(browser, site);
      await ask(page, "Why?");
      await untilShown(page, ({ problem }) => problem !== "");
      assert.equal((await shown(page)).draft, "Why?");
      assert.deepEqual((await shown(page)).articles, []);
      await page.press("Enter");
      await untilShown(page, ({ status }) => status.startsWith("Answered"));
    },
  );

  await check("page: an answer that breaks off is marked, and stays", async () => {
    await using host = await startHost({
      ...HOST,
      replies: () => "One two three.",
      faults: [{ path: COMPLETIONS, fault: { type: "cut", afterTokens: 2 } }],
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await ask(page, "Count.");
    await untilShown(page, ({ problem }) => problem.includes("connection broke"));
    const { articles, notes, draft } = await shown(page);
    assert.deepEqual([articles, draft], [["Count.", "One two"], ""]);
    assert.match(notes.join(), /^Incomplete/);
  });

  await check("page: if the server wants an API token, the focus moves to its field", async () => {
    await using host = await startHost({ ...HOST, apiToken: "secret" });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await browser.open(`http://127.0.0.1:${site.addr.port}/`);
    await untilShown(
      page,
      ({ connection, focus }) => connection.includes("API token is required") && focus === "token",
    );
    await page.type("secret");
    await page.press("Enter");
    await untilShown(
      page,
      ({ connection, focus }) => connection.includes("2 models") && focus === "text",
    );
  });

  await check("page: without CORS, and without permission, it says what to do", async () => {
    await using host = await startHost({ ...HOST, cors: false });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await browser.open(`http://127.0.0.1:${site.addr.port}/`);
    await untilShown(page, ({ connection }) => connection.includes("lms server start --cors"));
    assert.equal(
      await page.look(() => document.querySelector<HTMLDetailsElement>("#access")?.open),
      true,
    );

    await using open = await startHost(HOST);
    await using remote = await servePage({
      port: 0,
      address: open.url,
      headers: { "content-security-policy": "treat-as-public-address" },
    });
    const origin = `http://127.0.0.1:${remote.addr.port}`;
    await browser.setPermission("loopback-network", "denied", origin);
    const refused = await browser.open(`${origin}/`);
    await untilShown(refused, ({ connection }) => connection.includes("browser's settings"));
    assert.equal(
      await refused.look(() => document.querySelector<HTMLElement>("#permission")?.textContent),
      "You refused it.",
    );
    await browser.setPermission("loopback-network", "granted", origin);
    await openWhenReady(browser, remote);
  });

  await check(
    "page: every control has a name, every region a role, every text its contrast",
    async () => {
      await using host = await startHost(HOST);
      await using site = await servePage({ port: 0, address: host.url });
      const page = await openWhenReady(browser, site);
      await ask(page, "Why is the sky blue?");
      await untilShown(page, ({ status }) => status.startsWith("Answered"));
      const nodes = await page.accessibleNodes();
      const controls = nodes.filter(({ role }) =>
        ["button", "textbox", "combobox", "DisclosureTriangle"].includes(role)
      );
      assert.ok(controls.length >= 8, JSON.stringify(controls));
      assert.deepEqual(controls.filter(({ name }) => name === ""), []);
      for (const role of ["log", "status", "alert", "main", "form", "heading"]) {
        assert.ok(nodes.some((node) => node.role === role), `no ${role}`);
      }
      for (const scheme of ["light", "dark"] as const) {
        await page.setColorScheme(scheme);
        const pale = await page.look(paleTexts, CONTRAST);
        assert.deepEqual(pale, [], scheme);
      }
    },
  );

  await check("page: stopped before the first token, the message is not lost", async () => {
    await using host = await startHost({
      ...HOST,
      faults: [{ path: COMPLETIONS, fault: { type: "stall", at: "headers" } }],
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await ask(page, "Why is the sky blue?");
    await untilShown(page, ({ status }) => status.includes("reading your message"));
    // A second Enter sends nothing, and what was typed meanwhile stays.
    await ask(page, "And");
    await page.press("Escape");
    await untilShown(page, ({ status }) => status === "Stopped.");
    const { articles, draft } = await shown(page);
    assert.deepEqual([articles, draft], [[], "Why is the sky blue?\nAnd"]);
    await page.press("Enter");
    await untilShown(page, ({ status }) => status.startsWith("Answered"));
    const asked = host.fake.requests.filter(({ path, method }) =>
      path === COMPLETIONS && method === "POST"
    );
    assert.equal(asked.length, 2);
  });

  await check("page: it reacts all the time, however long the answer", async () => {
    const content = Array.from({ length: LONG_ANSWER }, (_, at) => at % 40 ? "word " : "line.\n\n");
    await using host = await startHost({ ...HOST, tokenMs: 0, replies: () => ({ content }) });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await page.look(() => {
      let last = performance.now();
      document.body.dataset.pause = "0";
      setInterval(() => {
        const pause = performance.now() - last;
        last = performance.now();
        document.body.dataset.pause = String(Math.max(pause, Number(document.body.dataset.pause)));
      });
    });
    await ask(page, "Write a book.");
    await untilShown(page, ({ status }) => status.startsWith("Answered"));
    assert.equal((await shown(page)).articles[1], content.join(""));
    const pause = await page.look(() => Number(document.body.dataset.pause));
    assert.ok(pause < LONGEST_PAUSE_MS, `it did not react for ${Math.round(pause)} ms`);
  });

  await check("page: an answer is text, whatever it contains", async () => {
    const reply =
      "<img src=x onerror='document.title=1'><b>**bold**</b>\n<script>alert(1)</script>";
    await using host = await startHost({
      ...HOST,
      replies: () => ({ reasoning: reply, content: reply }),
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await ask(page, reply);
    await untilShown(page, ({ status }) => status.startsWith("Answered"));
    const { articles, folded } = await shown(page);
    assert.deepEqual([articles, folded], [[reply, reply], [reply]]);
    assert.equal(await page.look(() => document.querySelectorAll("article :is(img, b)").length), 0);
    assert.deepEqual(page.complaints, []);
  });

  await check(
    "page: the last address to be tried counts, also if an earlier one hangs",
    async () => {
      await using slow = await startHost({
        ...HOST,
        faults: [{ path: /models/, times: Infinity, fault: { type: "delay", ms: 2_000 } }],
        models: [],
      });
      await using host = await startHost(HOST);
      await using site = await servePage({ port: 0, address: slow.url });
      const page = await browser.open(`http://127.0.0.1:${site.addr.port}/`);
      await page.look((url) => {
        const field = document.querySelector<HTMLInputElement>("#address");
        field?.focus();
        if (field !== null) field.value = url;
      }, host.url);
      await page.press("Enter");
      await untilShown(page, ({ connection }) => connection.includes("2 models"));
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const { connection, focus } = await shown(page);
      assert.match(connection, /with 2 models/);
      assert.equal(focus, "text");
    },
  );

  await check("page: focus stays with somebody who is typing while the page connects", async () => {
    await using host = await startHost({
      ...HOST,
      faults: [{ path: /models/, fault: { type: "delay", ms: 500 } }],
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await browser.open(`http://127.0.0.1:${site.addr.port}/`);
    await page.look(() => document.getElementById("token")?.focus());
    await untilShown(page, ({ connection }) => connection.includes("2 models"));
    assert.equal((await shown(page)).focus, "token");
  });

  await check(
    "page: a reload keeps the address, and a page for another server does not",
    async () => {
      await using first = await startHost(HOST);
      await using second = await startHost({ ...HOST, models: ["one"] });
      await using site = await servePage({ port: 0, address: first.url });
      const page = await openWhenReady(browser, site);
      await page.look((url) => {
        const field = document.querySelector<HTMLInputElement>("#address");
        field?.focus();
        if (field !== null) field.value = url;
      }, second.url);
      await page.press("Enter");
      await untilShown(page, ({ connection }) => connection.includes("one model"));
      const again = await openWhenReady(browser, site);
      assert.match((await shown(again)).connection, /one model/);
      await site.shutdown();
      await using third = await startHost({ ...HOST, models: ["a", "b", "c"] });
      await using other = await servePage({ port: site.addr.port, address: third.url });
      assert.match((await shown(await openWhenReady(browser, other))).connection, /3 models/);
    },
  );

  await check("page: nothing is wider than a window of 320 pixels", async () => {
    const long = "qwen3-".repeat(20);
    await using host = await startHost({
      ...HOST,
      models: [{ id: long, displayName: long, vision: true }],
      replies: () => long,
    });
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    await page.setSize(320, 800);
    await drop(page, `${long}.png`, "image/png");
    await ask(page, long);
    await untilShown(page, ({ status }) => status.startsWith("Answered"));
    await drop(page, `${long}.png`, "image/png");
    await page.look(() => {
      for (const { id } of document.querySelectorAll("[role=status], [role=alert]")) {
        const place = document.getElementById(id);
        if (place !== null) place.textContent = `http://${"host.".repeat(40)}`;
      }
      document.querySelector("details")?.toggleAttribute("open", true);
    });
    const width = await page.look(() => document.documentElement.scrollWidth);
    assert.ok(width <= 320, `${width} pixels`);
  });

  await check("page: text is dropped and pasted as usual", async () => {
    await using host = await startHost(HOST);
    await using site = await servePage({ port: 0, address: host.url });
    const page = await openWhenReady(browser, site);
    const isPrevented = await page.look(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.setData("text/plain", "dragged");
      return ["dragover", "drop"].map((type) => {
        const event = new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true });
        document.getElementById("text")?.dispatchEvent(event);
        return event.defaultPrevented;
      });
    });
    assert.deepEqual(isPrevented, [false, false]);
    const pasted = await page.look((base64) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const names = [];
      for (const words of ["copied from a sheet", ""]) {
        const clipboardData = new DataTransfer();
        if (words !== "") clipboardData.setData("text/plain", words);
        clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
        const event = new ClipboardEvent("paste", { clipboardData, bubbles: true });
        document.getElementById("text")?.dispatchEvent(event);
        names.push(document.getElementById("image-name")?.textContent);
      }
      return names;
    }, PNG);
    assert.deepEqual(pasted, ["", "image.png"]);
  });
}

async function openWhenReady(
  browser: Chromium,
  { addr }: Deno.HttpServer<Deno.NetAddr>,
): Promise<Page> {
  const page = await browser.open(`http://127.0.0.1:${addr.port}/`);
  await untilShown(page, ({ connection }) => connection.startsWith("Connected to LM Studio"));
  return page;
}

async function ask(page: Page, text: string): Promise<void> {
  await page.type(text);
  await page.press("Enter");
}

async function untilShown(page: Page, isSo: (shown: Shown) => boolean): Promise<void> {
  while (!isSo(await shown(page))) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function shown(page: Page): Promise<Shown> {
  return await page.look(() => {
    const texts = (selector: string) =>
      [...document.querySelectorAll(selector)].map(({ textContent }) => textContent ?? "");
    const text = (id: string) => document.getElementById(id)?.textContent ?? "";
    return {
      articles: texts("article > p"),
      notes: texts("article > .numbers"),
      folded: texts("article > details:not([open]) > p"),
      status: text("answer-status"),
      connection: text("connection-status"),
      problem: text("problem"),
      focus: document.activeElement?.id ?? "",
      draft: document.querySelector<HTMLTextAreaElement>("#text")?.value ?? "",
    };
  });
}

async function drop(page: Page, name: string, type: string, padding = 0): Promise<void> {
  await page.look(
    (name, type, base64, padding) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes, new Uint8Array(padding)], name, { type }));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
    },
    name,
    type,
    PNG,
    padding,
  );
}

/** Texts with too little contrast to their background; disabled controls are exempt. */
function paleTexts(least: number): string[] {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color: string) => {
    if (canvas === null) return [0, 0, 0];
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = rgb(color).map((value) =>
      value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backOf = (element: Element): string => {
    const { backgroundColor } = getComputedStyle(element);
    const { parentElement } = element;
    const isClear = /, 0\)$/.test(backgroundColor);
    return isClear && parentElement !== null ? backOf(parentElement) : backgroundColor;
  };
  const pale: string[] = [];
  for (const element of document.querySelectorAll("body *:not(:disabled, option)")) {
    const hasText = [...element.childNodes].some((node) =>
      node.nodeType === Node.TEXT_NODE && node.textContent?.trim()
    );
    if (!hasText || element.closest("[hidden]") !== null) continue;
    const shades = [luminance(getComputedStyle(element).color), luminance(backOf(element))];
    const contrast = (Math.max(...shades) + 0.05) / (Math.min(...shades) + 0.05);
    if (contrast < least) pale.push(`${element.localName}: ${contrast.toFixed(1)}`);
  }
  return pale;
}

/** The screenshot in the documentation; `deno task test:system --screenshot` takes it again. */
async function takeScreenshot(page: Page): Promise<void> {
  if (!Deno.args.includes("--screenshot")) return;
  await Deno.writeFile(SCREENSHOT, await page.screenshot(760, 1040));
}
