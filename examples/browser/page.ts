/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="dom.asynciterable" />
/// <reference lib="esnext" />
/**
 * A chat in a web page, with the LM Studio on the user's machine. From the root of this repository:
 *
 *     deno bundle --platform browser --minify --outdir dist examples/browser/index.html
 *
 * `dist/` is a static page: any web server can serve it. docs/browser.md explains the rest.
 */
import {
  type CompletionStream,
  type ContentPart,
  isProviderError,
  LMStudioProvider,
  type Message,
  type ModelInfo,
} from "../../mod.ts";

/** How often an answer is drawn: a layout for each token would freeze the page in a long answer. */
const DRAW_EVERY_MS = 50;
/** An image goes with all later messages as well; encoding a larger one freezes the page for seconds. */
const LARGEST_IMAGE_BYTES = 20_000_000;
/** Leaves the user time to answer the browser's question about the local network. */
const FINDING = { timeoutMs: 60_000, maxRetries: 0 };
/** The permission for the local network, as different versions of Chromium name it. */
const PERMISSIONS = ["loopback-network", "local-network", "local-network-access"];

const connection = element("connection", HTMLFormElement);
const address = element("address", HTMLInputElement);
const token = element("token", HTMLInputElement);
const modelChoice = element("model", HTMLSelectElement);
const access = element("access", HTMLDetailsElement);
const conversation = element("conversation", HTMLDivElement);
const question = element("question", HTMLFormElement);
const text = element("text", HTMLTextAreaElement);
const send = element("send", HTMLButtonElement);
const stop = element("stop", HTMLButtonElement);
const restart = element("restart", HTMLButtonElement);
const chooseImage = element("choose-image", HTMLButtonElement);
const imageInput = element("image", HTMLInputElement);
const preview = element("preview", HTMLDivElement);
const thumbnail = element("thumbnail", HTMLImageElement);

/** With the default address in it, so that another default, such as a fake's, is not overridden. */
const addressKey = `lmstudio-address instead of ${address.defaultValue}`;

let lmstudio: LMStudioProvider | undefined;
let models: ModelInfo[] = [];
let messages: Message[] = [];
let image: File | undefined;
let connecting: AbortController | undefined;
let answer: { readonly stream: CompletionStream; isStopped: boolean } | undefined;

// --- Connecting -------------------------------------------------------------------------------

/** @param focused what has the focus; if it still has it in the end, the focus moves on to the message. */
async function connect(focused: Element | null): Promise<void> {
  // An earlier attempt that is still waiting must not win over this one.
  connecting?.abort();
  const { signal } = connecting = new AbortController();
  say("connection-status", `Connecting to LM Studio at ${address.value}…`);
  const apiToken = token.value === "" ? undefined : token.value;
  try {
    const found = new LMStudioProvider({ baseUrl: address.value, apiToken });
    const listed = await found.listModels({ ...FINDING, signal });
    [lmstudio, models] = [found, listed.filter(({ type }) => type === "llm")];
  } catch (error) {
    if (signal.aborted) return;
    [lmstudio, models] = [undefined, []];
    showModels();
    say("connection-status", describeError(error));
    if (isProviderError(error) && error.code === "blocked_by_browser") access.open = true;
    if (isProviderError(error, "authentication") && document.activeElement === focused) {
      token.focus();
    }
    await tellPermission();
    return;
  }
  showModels();
  rememberAddress();
  if (models.length === 0) {
    return say(
      "connection-status",
      "Connected to LM Studio, but it has no models yet. Download one: lms get qwen/qwen3-4b",
    );
  }
  say(
    "connection-status",
    `Connected to LM Studio, with ${
      models.length === 1 ? "one model" : `${models.length} models`
    }.`,
  );
  if (document.activeElement === focused) text.focus();
}

function showModels(): void {
  const chosen = models.find(({ id }) => id === modelChoice.value);
  const selected = chosen ?? models.find(({ loaded }) => loaded);
  modelChoice.replaceChildren(
    ...models.map((model) => {
      const { id, name, loaded } = model;
      const label = loaded === false ? `${name} (loads with the first message)` : name;
      return new Option(label, id, false, model === selected);
    }),
  );
  for (const control of [modelChoice, text, send]) control.disabled = models.length === 0;
  showRestart();
  showVision();
}

function showRestart(): void {
  restart.disabled = models.length === 0 || answer !== undefined;
}

/** Some browsers refuse the storage, for example if cookies are off. */
function rememberAddress(): void {
  try {
    localStorage.setItem(addressKey, address.value);
  } catch {
    // The user will have to type it again.
  }
}

function rememberedAddress(): string | null {
  try {
    return localStorage.getItem(addressKey);
  } catch {
    return null;
  }
}

/** Disables images if the server says that the model takes none. */
function showVision(): void {
  const model = models.find(({ id }) => id === modelChoice.value);
  chooseImage.disabled = model === undefined || model.capabilities.supportsVision === false;
  if (!chooseImage.disabled || image === undefined) return;
  say("problem", `${image.name} was removed: this model does not accept images.`);
  setImage(undefined);
}

/** Shows the state of the permission for the local network, if the browser has one. */
async function tellPermission(): Promise<void> {
  const words = { granted: "You allowed it.", denied: "You refused it.", prompt: "" };
  for (const name of PERMISSIONS) {
    try {
      const { state } = await navigator.permissions.query({ name: name as PermissionName });
      say("permission", words[state]);
      if (state === "denied") return;
    } catch {
      // This browser does not know the name.
    }
  }
}

// --- Asking -----------------------------------------------------------------------------------

async function ask(): Promise<void> {
  if (lmstudio === undefined || answer !== undefined) return;
  if (text.value.trim() === "") return say("problem", "Type a message first.");
  const [asked, picture] = [text.value, image];
  const content: ContentPart[] = [{ type: "text", text: asked }];
  if (picture !== undefined) content.push({ type: "image", image: picture });
  const turn: Message[] = [...messages, { role: "user", content }];

  const written = addArticle("You", "you", asked, picture);
  const shown = addArticle("Model", "model", "");
  conversation.scrollTop = conversation.scrollHeight;
  const takeBack = () => {
    written.remove();
    shown.remove();
    // The next message may be half written already.
    text.value = text.value === "" ? asked : `${asked}\n${text.value}`;
    if (image === undefined && !chooseImage.disabled) setImage(picture);
  };
  text.value = "";
  setImage(undefined);
  say("problem", "");
  say("answer-status", "The model is reading your message…");
  // So that a screen reader reads the answer when it is complete, not word by word.
  conversation.ariaBusy = "true";
  const stream = lmstudio.streamCompletion({
    model: modelChoice.value,
    messages: turn,
    contextOverflowPolicy: "rollingWindow",
  });
  const mine = answer = { stream, isStopped: false };
  isAnswering(true);
  let reply = "";
  try {
    for await (const { content, reasoning } of stream) {
      if (reasoning) addReasoning(shown, reasoning);
      reply += content;
      append(shown.querySelector(":scope > p"), content);
      if (content !== "") say("answer-status", "The model is answering…");
    }
    // If the user stopped it, the loop has ended without an error, and the text so far stays.
    const numbers = mine.isStopped ? "Stopped." : await describe(stream);
    say("answer-status", mine.isStopped ? numbers : `Answered: ${numbers}`);
    if (mine.isStopped && reply === "") {
      if (shown.querySelector("details") === null) return takeBack();
      addTo(shown, "div", "numbers").append("Stopped. The model will not remember this message.");
      return;
    }
    addTo(shown, "div", "numbers").append(numbers);
    messages = [...turn, { role: "assistant", content: reply }];
  } catch (error) {
    say("answer-status", "");
    say("problem", describeError(error));
    if (reply === "") return takeBack();
    addTo(shown, "div", "numbers").append("Incomplete: an error ended the answer.");
    messages = [...turn, { role: "assistant", content: reply }];
  } finally {
    draw();
    answer = undefined;
    conversation.ariaBusy = "false";
    isAnswering(false);
  }
}

/** Stops the generation in LM Studio as well. */
function stopAnswer(): void {
  if (answer === undefined) return;
  answer.isStopped = true;
  answer.stream.cancel().catch(() => {});
}

async function describe(stream: CompletionStream): Promise<string> {
  const { usage, stats, finishReason, trimmed } = await stream.response();
  const parts = [];
  if (usage?.completionTokens !== undefined) parts.push(`${usage.completionTokens} tokens`);
  if (stats?.tokensPerSecond !== undefined) {
    parts.push(`${stats.tokensPerSecond.toFixed(1)} per second`);
  }
  if (stats?.timeToFirstTokenMs !== undefined) {
    parts.push(`first token after ${(stats.timeToFirstTokenMs / 1000).toFixed(1)} s`);
  }
  if (finishReason === "length") parts.push("cut off at the token limit");
  if (trimmed !== undefined) parts.push("the oldest messages were left out");
  return parts.join(", ");
}

function isAnswering(yes: boolean): void {
  const hadFocus = [stop, send, document.body].some((one) => one === document.activeElement);
  stop.hidden = !yes;
  send.hidden = yes;
  showRestart();
  // Hiding a button that has the focus would lose the focus.
  if (hadFocus) (yes ? stop : text).focus();
}

// --- Showing ----------------------------------------------------------------------------------

function addArticle(who: string, kind: string, words: string, picture?: File): HTMLElement {
  const article = addTo(conversation, "article", kind);
  addTo(article, "h3").append(who);
  addTo(article, "p").append(words);
  if (picture !== undefined) {
    const shown = addTo(article, "img");
    shown.alt = picture.name;
    shown.src = URL.createObjectURL(picture);
    // Its height is known only now.
    shown.addEventListener("load", () => conversation.scrollTop = conversation.scrollHeight);
  }
  return article;
}

/** Adds to the reasoning, which is collapsed above the answer. */
function addReasoning(article: HTMLElement, words: string): void {
  let folded = article.querySelector("details");
  if (folded === null) {
    folded = document.createElement("details");
    addTo(folded, "summary").append("Reasoning");
    addTo(folded, "p");
    article.querySelector(":scope > p")?.before(folded);
    say("answer-status", "The model is reasoning…");
  }
  append(folded.querySelector("p"), words);
}

/** Text that has arrived, by the element that will show it. */
const undrawn = new Map<Element, string>();
let nextDraw: ReturnType<typeof setTimeout> | undefined;

/** Adds plain text, soon: a model's answer must never be treated as HTML. */
function append(parent: Element | null, words: string): void {
  if (parent === null || words === "") return;
  undrawn.set(parent, (undrawn.get(parent) ?? "") + words);
  nextDraw ??= setTimeout(draw, DRAW_EVERY_MS);
}

function draw(): void {
  clearTimeout(nextDraw);
  nextDraw = undefined;
  const isAtEnd =
    conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight < 40;
  for (const [parent, words] of undrawn) {
    // One text node: thousands of them take long to lay out.
    if (parent.lastChild instanceof Text) parent.lastChild.appendData(words);
    else parent.append(words);
  }
  undrawn.clear();
  if (isAtEnd) conversation.scrollTop = conversation.scrollHeight;
}

function addTo<Name extends keyof HTMLElementTagNameMap>(
  parent: Element,
  name: Name,
  className = "",
): HTMLElementTagNameMap[Name] {
  const child = document.createElement(name);
  child.className = className;
  parent.append(child);
  return child;
}

function say(id: string, words: string): void {
  const place = element(id, HTMLElement);
  if (place.textContent !== words) place.textContent = words;
}

/** An error that is not the provider's, such as a file that cannot be read, has no remedy to show. */
function describeError(error: unknown): string {
  return isProviderError(error) ? error.message : `Something went wrong: ${error}`;
}

function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

// --- Images -----------------------------------------------------------------------------------

function setImage(file: File | undefined): void {
  URL.revokeObjectURL(thumbnail.src);
  image = file;
  preview.hidden = file === undefined;
  if (file === undefined) thumbnail.removeAttribute("src");
  else thumbnail.src = URL.createObjectURL(file);
  thumbnail.alt = file === undefined ? "" : `Image to send: ${file.name}`;
  say("image-name", file?.name ?? "");
  imageInput.value = "";
}

function takeImage(files: FileList | undefined): void {
  const file = files?.[0];
  if (file === undefined) return;
  if (models.length === 0) return say("problem", "Connect to LM Studio first.");
  if (chooseImage.disabled) {
    return say("problem", "This model does not accept images: choose another one.");
  }
  if (!/^image\/(png|jpeg)$/.test(file.type)) {
    return say(
      "problem",
      `LM Studio accepts PNG and JPEG images, and ${file.name} is neither PNG nor JPEG.`,
    );
  }
  if (file.size > LARGEST_IMAGE_BYTES) {
    const megabytes = Math.round(file.size / 1e6);
    return say("problem", `${file.name} has ${megabytes} MB: choose an image of at most 20 MB.`);
  }
  const isOne = files?.length === 1;
  say("problem", isOne ? "" : `Only ${file.name} was added: one message takes one image.`);
  setImage(file);
  text.focus();
}

// --- Events -----------------------------------------------------------------------------------

connection.addEventListener("submit", (event) => {
  event.preventDefault();
  connect(document.activeElement);
});
question.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
text.addEventListener("keydown", (event) => {
  // While an input method is composing, Enter completes the word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  // A key held down must not send a message again that has just failed.
  if (!event.repeat) ask();
});
document.addEventListener("keydown", ({ key, isComposing }) => {
  if (key === "Escape" && !isComposing) stopAnswer();
});
stop.addEventListener("click", stopAnswer);
restart.addEventListener("click", () => {
  messages = [];
  for (const { src } of conversation.querySelectorAll("img")) URL.revokeObjectURL(src);
  conversation.replaceChildren();
  say("answer-status", "New conversation.");
  say("problem", "");
  text.focus();
});
modelChoice.addEventListener("change", showVision);
chooseImage.addEventListener("click", () => imageInput.click());
imageInput.addEventListener("change", () => takeImage(imageInput.files ?? undefined));
element("remove-image", HTMLButtonElement).addEventListener("click", () => {
  setImage(undefined);
  text.focus();
});
// Text is dragged and pasted as in every page.
document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  takeImage(event.dataTransfer.files);
});
document.addEventListener("paste", ({ clipboardData }) => {
  // Office programs add a picture of the text that was copied.
  if (!clipboardData?.types.includes("text/plain")) takeImage(clipboardData?.files);
});

address.value = rememberedAddress() ?? address.value;
await Promise.all([tellPermission(), connect(document.body)]);
