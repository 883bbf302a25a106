/** Chromium without a window, driven over the DevTools protocol. */

import { type Process, startProcess } from "./processes.ts";

const FLAGS = [
  "--headless",
  "--remote-debugging-port=0",
  // It only shows test pages, and as root it does not start without this.
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--disable-gpu",
  // No request may go anywhere but to the tests.
  "--no-proxy-server",
  "--no-first-run",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Key codes. */
const KEY_CODES = { Tab: 9, Enter: 13, Escape: 27 } as const;

type Module = typeof import("../../mod.ts");

type PageFunction<Args extends unknown[], Result> = (
  lmstudio: Module,
  ...args: Args
) => Result | Promise<Result>;

/** An error as returned from the page. */
export interface PageFailure {
  readonly message: string;
  readonly kind?: string;
  readonly code?: string;
  readonly hint?: string;
  readonly attempts?: number;
  readonly partial?: { readonly content: string };
}

/** An element of the page as assistive technology sees it. */
export interface AccessibleNode {
  readonly role: string;
  readonly name: string;
}

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** A running browser. */
export class Chromium implements AsyncDisposable {
  readonly #process: Process;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #listeners = new Map<string, (reply: Reply) => void>();
  #lastId = 0;

  /** Starts a browser with a fresh profile. */
  static async start(program: string, folder: string): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ dir: folder, prefix: "chromium-" });
    const process = startProcess(program, [...FLAGS, `--user-data-dir=${profile}`, "about:blank"]);
    const [port, path] = await readWhenWritten(`${profile}/DevToolsActivePort`, process);
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("Chromium's DevTools cannot be reached"));
    });
    return new Chromium(process, socket);
  }

  private constructor(process: Process, socket: WebSocket) {
    this.#process = process;
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const reply: Reply = JSON.parse(data);
      if (reply.id !== undefined) this.#waiting.get(reply.id)?.(reply);
      else this.#listeners.get(reply.sessionId ?? "")?.(reply);
    };
    socket.onclose = () => {
      for (const [id, settle] of this.#waiting) {
        settle({ id, error: { message: "Chromium is gone" } });
      }
    };
  }

  /** Opens a page in a new tab. */
  async open(url: string): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, String(sessionId));
    this.#listeners.set(String(sessionId), (reply) => page.hear(reply.method, reply.params));
    await page.load(url);
    return page;
  }

  /** Sets the user's decision for permission requests of this origin. */
  async setPermission(name: string, setting: "granted" | "denied", origin: string): Promise<void> {
    await this.send("Browser.setPermission", { permission: { name }, setting, origin });
  }

  /** One command of the protocol. */
  async send(
    method: string,
    params: Readonly<Record<string, unknown>>,
    sessionId?: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId;
    if (this.#socket.readyState !== WebSocket.OPEN) throw new Error(`${method}: Chromium is gone`);
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
    this.#waiting.delete(id);
    if (reply.error !== undefined) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result ?? {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#process[Symbol.asyncDispose]();
  }
}

/** A tab of the browser. */
export class Page {
  /** Uncaught exceptions, and the browser's own warnings. */
  readonly complaints: string[] = [];
  readonly #browser: Chromium;
  readonly #sessionId: string;
  #onLoad = (): void => {};

  constructor(browser: Chromium, sessionId: string) {
    this.#browser = browser;
    this.#sessionId = sessionId;
  }

  async load(url: string): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log"]) await this.#send(`${domain}.enable`, {});
    const loaded = new Promise<void>((resolve) => this.#onLoad = resolve);
    await this.#send("Page.navigate", { url });
    await loaded;
  }

  /**
   * Runs the function in the page, with the bundle's exports and the arguments; it sees nothing else from
   * here. The result is returned as JSON.
   */
  async run<Args extends unknown[], Result>(
    body: PageFunction<Args, Result>,
    ...args: Args
  ): Promise<Result> {
    const { value, error } = await this.#evaluate<Args, Result>(body, args);
    if (error !== undefined) throw new Error(`the page failed: ${JSON.stringify(error)}`);
    return value as Result;
  }

  /** The error that the function rejects with in the page: its JSON, and `partial`. */
  async failure<Args extends unknown[]>(
    body: PageFunction<Args, unknown>,
    ...args: Args
  ): Promise<PageFailure> {
    const { value, error } = await this.#evaluate(body, args);
    if (error === undefined) throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
    return error;
  }

  async #evaluate<Args extends unknown[], Result>(
    body: PageFunction<Args, Result>,
    args: Args,
  ): Promise<{ value?: Result; error?: PageFailure }> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", {
      expression: `import("/lmstudio.js")
        .then((lmstudio) => (${body})(lmstudio, ...${JSON.stringify(args)}))
        .then((value) => ({ value }), (error) => ({
          error: error?.toJSON === undefined
            ? { message: String(error?.stack ?? error) }
            : { ...error.toJSON(), partial: error.partial },
        }))
        .then(JSON.stringify)`,
      awaitPromise: true,
      returnByValue: true,
    }) as { result: { value: string }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(describeException(exceptionDetails));
    return JSON.parse(result.value);
  }

  /** Runs the function in a page without the bundle; it sees nothing else from here. The result is returned as JSON. */
  async look<Args extends unknown[], Result>(
    body: (...args: Args) => Result,
    ...args: Args
  ): Promise<Result> {
    const { result, exceptionDetails } = await this.#send("Runtime.evaluate", {
      expression: `(${body})(...${JSON.stringify(args)})`,
      returnByValue: true,
    }) as { result: { value: Result }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(describeException(exceptionDetails));
    return result.value;
  }

  /** Types the text into the focused element. */
  async type(text: string): Promise<void> {
    await this.#send("Input.insertText", { text });
  }

  /** Presses and releases a key. */
  async press(key: keyof typeof KEY_CODES): Promise<void> {
    const event = { key, code: key, windowsVirtualKeyCode: KEY_CODES[key] };
    const text = key === "Enter" ? "\r" : undefined;
    await this.#send("Input.dispatchKeyEvent", { type: "keyDown", ...event, text });
    await this.#send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** What a screen reader gets, in page order. */
  async accessibleNodes(): Promise<AccessibleNode[]> {
    await this.#send("Accessibility.enable", {});
    const { nodes } = await this.#send("Accessibility.getFullAXTree", {}) as {
      nodes: { ignored: boolean; role?: { value: string }; name?: { value: string } }[];
    };
    return nodes.filter(({ ignored }) => !ignored)
      .map(({ role, name }) => ({ role: role?.value ?? "", name: name?.value ?? "" }));
  }

  /** Sets the preferred color scheme. */
  async setColorScheme(value: "light" | "dark"): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value }];
    await this.#send("Emulation.setEmulatedMedia", { features });
  }

  /** Gives the page a window of this size. */
  async setSize(width: number, height: number): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.#send("Emulation.setDeviceMetricsOverride", size);
  }

  /** The page in a window of this size, as PNG. */
  async screenshot(width: number, height: number): Promise<Uint8Array> {
    await this.setSize(width, height);
    await this.look(() => scrollTo(0, 0));
    const { data } = await this.#send("Page.captureScreenshot", {}) as { data: string };
    return Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  }

  hear(method: string | undefined, params: unknown): void {
    if (method === "Page.loadEventFired") this.#onLoad();
    if (method === "Runtime.exceptionThrown") {
      const { exceptionDetails } = params as { exceptionDetails: unknown };
      this.complaints.push(describeException(exceptionDetails));
    }
    if (method === "Log.entryAdded") {
      const { entry } = params as { entry: { level: string; text: string; url?: string } };
      this.complaints.push(`${entry.level}: ${entry.text} ${entry.url ?? ""}`);
    }
  }

  #send(method: string, params: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#browser.send(method, params, this.#sessionId);
  }
}

function describeException(details: unknown): string {
  const { text, exception } = details as { text: string; exception?: { description?: string } };
  return `${text} ${exception?.description ?? ""}`;
}

/** Port and path of the DevTools, which Chromium writes once they can be reached. */
async function readWhenWritten(path: string, { ended }: Process): Promise<string[]> {
  let code: number | undefined;
  ended.then((value) => code = value);
  while (code === undefined) {
    const lines = (await Deno.readTextFile(path).catch(() => "")).split("\n");
    if (lines.length >= 2) return lines;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Chromium does not start: it ended with code ${code}`);
}
