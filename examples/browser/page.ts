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

const ADDRESS_KEY = "lmstudio-address";
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

let lmstudio: LMStudioProvider | undefined;
let models: ModelInfo[] = [];
let messages: Message[] = [];
let image: File | undefined;
let answer: CompletionStream | undefined;

// --- Connecting -------------------------------------------------------------------------------

async function connect(): Promise<void> {
  say("connection-status", `Connecting to LM Studio at ${address.value}…`);
  const apiToken = token.value === "" ? undefined : token.value;
  try {
    const found = new LMStudioProvider({ baseUrl: address.value, apiToken });
    models = (await found.listModels(FINDING)).filter(({ type }) => type === "llm");
    lmstudio = found;
  } catch (error) {
    if (!isProviderError(error)) throw error;
    [lmstudio, models] = [undefined, []];
    say("connection-status", error.message);
    if (error.code === "blocked_by_browser") access.open = true;
    await tellPermission();
    return;
  } finally {
    showModels();
  }
  localStorage.setItem(ADDRESS_KEY, address.value);
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
  text.focus();
}

function showModels(): void {
  modelChoice.replaceChildren(
    ...models.map(({ id, name, loaded }) =>
      new Option(
        loaded === false ? `${name} (loads with the first message)` : name,
        id,
        false,
        loaded,
      )
    ),
  );
  const isReady = models.length > 0;
  for (const control of [modelChoice, text, send, restart]) control.disabled = !isReady;
  showVision();
}

/** Disables images if the server says that the model takes none. */
function showVision(): void {
  const model = models.find(({ id }) => id === modelChoice.value);
  chooseImage.disabled = model === undefined || model.capabilities.supportsVision === false;
  if (chooseImage.disabled) setImage(undefined);
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
  if (lmstudio === undefined || answer !== undefined || text.value.trim() === "") return;
  const asked = text.value;
  const content: ContentPart[] = [{ type: "text", text: asked }];
  if (image !== undefined) content.push({ type: "image", image });
  const message: Message = { role: "user", content };
  const before = messages;

  const written = addArticle("You", "you", asked, image);
  const shown = addArticle("Model", "model", "");
  text.value = "";
  setImage(undefined);
  say("problem", "");
  say("answer-status", "The model is reading your message…");
  // So that a screen reader reads the answer when it is complete, not word by word.
  conversation.ariaBusy = "true";
  isAnswering(true);
  answer = lmstudio.streamCompletion({
    model: modelChoice.value,
    messages: [...messages, message],
    contextOverflowPolicy: "rollingWindow",
  });
  const stream = answer;
  let reply = "";
  try {
    for await (const { content, reasoning } of stream) {
      if (reasoning) addReasoning(shown, reasoning);
      reply += content;
      append(shown.querySelector(":scope > p"), content);
      if (content !== "") say("answer-status", "The model is answering…");
    }
    // If the user stopped it, the loop has ended without an error, and the text so far stays.
    const isStopped = answer === undefined;
    const numbers = isStopped ? "Stopped." : await describe(stream);
    append(addTo(shown, "div", "numbers"), numbers);
    say("answer-status", isStopped ? "Stopped." : `Answered: ${numbers}`);
    if (reply !== "" || !isStopped) {
      messages = [...before, message, { role: "assistant", content: reply }];
    }
  } catch (error) {
    if (!isProviderError(error)) throw error;
    say("answer-status", "");
    say("problem", error.message);
    if (reply === "") {
      // No answer arrived: put the message back into its field, to be sent again.
      written.remove();
      shown.remove();
      const [, picture] = content;
      if (text.value === "") text.value = asked;
      if (picture?.type === "image" && picture.image instanceof File) setImage(picture.image);
    } else {
      messages = [...before, message, { role: "assistant", content: reply }];
    }
  } finally {
    answer = undefined;
    conversation.ariaBusy = "false";
    isAnswering(false);
  }
}

/** Stops the generation in LM Studio as well. */
function stopAnswer(): void {
  const stream = answer;
  answer = undefined;
  stream?.cancel().catch(() => {});
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
  restart.disabled = yes;
  // Hiding a button that has the focus would lose the focus.
  if (hadFocus) (yes ? stop : text).focus();
}

// --- Showing ----------------------------------------------------------------------------------

function addArticle(who: string, kind: string, words: string, picture?: File): HTMLElement {
  const article = addTo(conversation, "article", kind);
  append(addTo(article, "h3"), who);
  append(addTo(article, "p"), words);
  if (picture !== undefined) {
    const shown = addTo(article, "img");
    shown.alt = picture.name;
    shown.src = URL.createObjectURL(picture);
  }
  return article;
}

/** Adds to the reasoning, which is collapsed above the answer. */
function addReasoning(article: HTMLElement, words: string): void {
  let folded = article.querySelector("details");
  if (folded === null) {
    folded = document.createElement("details");
    append(addTo(folded, "summary"), "Reasoning");
    addTo(folded, "p");
    article.querySelector(":scope > p")?.before(folded);
    say("answer-status", "The model is reasoning…");
  }
  append(folded.querySelector("p"), words);
}

/** Adds plain text: a model's answer must never be treated as HTML. */
function append(parent: Element | null, words: string): void {
  const isAtEnd =
    conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight < 40;
  parent?.append(words);
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
  if (chooseImage.disabled) {
    return say("problem", "This model does not accept images: choose another one.");
  }
  if (!/^image\/(png|jpeg)$/.test(file.type)) {
    return say(
      "problem",
      `LM Studio accepts PNG and JPEG images, and ${file.name} is neither PNG nor JPEG.`,
    );
  }
  say("problem", "");
  setImage(file);
  text.focus();
}

// --- Events -----------------------------------------------------------------------------------

connection.addEventListener("submit", (event) => {
  event.preventDefault();
  connect();
});
question.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
text.addEventListener("keydown", (event) => {
  // While an input method is composing, Enter completes the word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") stopAnswer();
});
stop.addEventListener("click", stopAnswer);
restart.addEventListener("click", () => {
  messages = [];
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
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  takeImage(event.dataTransfer?.files);
});
document.addEventListener("paste", ({ clipboardData }) => takeImage(clipboardData?.files));

address.value = localStorage.getItem(ADDRESS_KEY) ?? address.value;
await tellPermission();
await connect();
