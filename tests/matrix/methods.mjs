/**
 * The methods of the matrix: how each is called, which of its requests a fault hits, and the kind of method, which
 * decides the effect of a fault.
 *
 * `read` changes nothing. `question` is a read that has its own answer if the server cannot give one. `stateless`
 * generates a whole answer, `stream` a streamed one; `stateful` and `stateful stream` change something on the server;
 * `repeatable` does something that can be done twice. `client` is a `fetch` for other clients, which returns a response
 * under any status, and `streaming client` one with events.
 */

export const LLM = "qwen/qwen3-8b";
export const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const DECIDER = "typesafe/kev-4b";
const FILE = "ibm/granite-4-micro";
/** The prompt, which nobody else may see. */
export const PROMPT = "Count the swans of Aunt Griselda";
/** The model's answer. */
export const REPLY = ["One", " two", " three", " four"];
const JSON_REPLY = ['{"n"', ":", " 4", "}"];
const TEXT = REPLY.join("");

/** The server behind the proxy. */
export const SERVER = {
  models: [LLM, EMBEDDER, { id: DECIDER, type: "decision" }, { id: "other/idle", loaded: false }],
  downloads: [{ model: FILE, progress: [1] }],
  replies: ({ response_format }) => ({
    content: response_format === undefined ? REPLY : JSON_REPLY,
  }),
};

const COMPLETIONS = /^POST \/v1\/chat\/completions$/;
const LISTINGS = /^GET \/(?:api\/v[01]|v1)\/models$/;
const SCHEMA = { type: "object", properties: { n: { type: "number" } } };
const asked = { model: LLM, messages: PROMPT };
const body = (stream) =>
  JSON.stringify({
    model: LLM,
    max_tokens: 99,
    messages: [{ role: "user", content: PROMPT }],
    stream,
  });

/**
 * Name → its kind, the requests that the fault hits, the call, and whether the call's result is right.
 * Streams are read to their end, and result in their `response()`.
 */
export const METHODS = {
  listModels: {
    kind: "read",
    target: LISTINGS,
    call: (lmstudio, options) => lmstudio.listModels(options),
    isRight: (models) => models.length === 4,
  },
  supportsModel: {
    kind: "question",
    target: LISTINGS,
    call: (lmstudio, options) => lmstudio.supportsModel(LLM, options),
    isRight: (answer) => answer === true,
  },
  modelCapabilities: {
    kind: "question",
    target: LISTINGS,
    call: (lmstudio, options) => lmstudio.modelCapabilities(LLM, options),
    isRight: (answer) => answer?.maxTokens === 4096,
  },
  "models.get": {
    kind: "read",
    target: LISTINGS,
    call: (lmstudio, options) => lmstudio.models.get(LLM, options),
    isRight: ({ id }) => id === LLM,
  },
  complete: {
    kind: "stateless",
    target: COMPLETIONS,
    call: (lmstudio, options) => lmstudio.complete(asked, options),
    isRight: ({ content }) => content === TEXT,
  },
  completeText: {
    kind: "stateless",
    target: /^POST \/v1\/completions$/,
    call: (lmstudio, options) => lmstudio.completeText({ model: LLM, prompt: PROMPT }, options),
    isRight: ({ text }) => text === TEXT,
  },
  completeObject: {
    kind: "stateless",
    target: COMPLETIONS,
    call: (lmstudio, options) => lmstudio.completeObject({ ...asked, schema: SCHEMA }, options),
    isRight: ({ object }) => object.n === 4,
  },
  runTools: {
    kind: "stateless",
    target: COMPLETIONS,
    call: (lmstudio, options) => lmstudio.runTools({ ...asked, tools: TOOLS }, options),
    isRight: ({ response }) => response.content === TEXT,
  },
  embed: {
    kind: "stateless",
    target: /^POST \/v1\/embeddings$/,
    call: (lmstudio, options) => lmstudio.embed({ model: EMBEDDER, input: PROMPT }, options),
    isRight: ({ embeddings }) => embeddings[0].length === 768,
  },
  decide: {
    kind: "stateless",
    target: /^POST \/v1\/decisions$/,
    call: (lmstudio, options) =>
      lmstudio.decide({
        model: DECIDER,
        input: PROMPT,
        questions: { calm: { type: "predicate", instructions: "Is it calm?" } },
      }, options),
    isRight: ({ answers }) => answers.calm.probability === 0.5,
  },
  streamCompletion: {
    kind: "stream",
    target: COMPLETIONS,
    call: (lmstudio, options) => drain(lmstudio.streamCompletion(asked, options)),
    isRight: ({ content }) => content === TEXT,
  },
  streamObject: {
    kind: "stream",
    target: COMPLETIONS,
    call: (lmstudio, options) =>
      drain(lmstudio.streamObject({ ...asked, schema: SCHEMA }, options)),
    isRight: ({ object }) => object.n === 4,
  },
  streamText: {
    kind: "stream",
    target: /^POST \/v1\/completions$/,
    call: (lmstudio, options) =>
      drain(lmstudio.streamText({ model: LLM, prompt: PROMPT }, options)),
    isRight: ({ text }) => text === TEXT,
  },
  streamTools: {
    kind: "stream",
    target: COMPLETIONS,
    call: async (lmstudio, options) => {
      const stream = lmstudio.streamTools({ ...asked, tools: TOOLS }, options);
      for await (const _ of stream);
      return await stream.result();
    },
    isRight: ({ response }) => response.content === TEXT,
  },
  "responses.create": {
    kind: "stateful",
    target: /^POST \/v1\/responses$/,
    call: (lmstudio, options) => lmstudio.responses.create({ model: LLM, input: PROMPT }, options),
    isRight: ({ text }) => text === TEXT,
  },
  "responses.stream": {
    kind: "stateful stream",
    target: /^POST \/v1\/responses$/,
    call: (lmstudio, options) =>
      drain(lmstudio.responses.stream({ model: LLM, input: PROMPT }, options)),
    isRight: ({ text }) => text === TEXT,
  },
  "chat.send": {
    kind: "stateful",
    target: /^POST \/api\/v1\/chat$/,
    call: (lmstudio, options) => lmstudio.chat.send({ model: LLM, input: PROMPT }, options),
    isRight: ({ content }) => content === TEXT,
  },
  "chat.stream": {
    kind: "stateful stream",
    target: /^POST \/api\/v1\/chat$/,
    call: (lmstudio, options) =>
      drain(lmstudio.chat.stream({ model: LLM, input: PROMPT }, options)),
    isRight: ({ content }) => content === TEXT,
  },
  "models.load": {
    kind: "stateful",
    target: /^POST \/api\/v1\/models\/load$/,
    call: (lmstudio, options) => lmstudio.models.load("other/idle", {}, options),
    isRight: ({ instanceId }) => instanceId === "other/idle",
  },
  "models.unload": {
    kind: "repeatable",
    target: /^POST \/api\/v1\/models\/unload$/,
    call: (lmstudio, options) => lmstudio.models.unload(LLM, options),
    isRight: (instances) => instances.length === 1,
  },
  "models.ensureLoaded": {
    kind: "stateful",
    target: /^POST \/api\/v1\/models\/load$/,
    call: (lmstudio, options) => lmstudio.models.ensureLoaded("other/idle", {}, options),
    isRight: ({ alreadyLoaded }) => alreadyLoaded === false,
  },
  "models.download": {
    kind: "stateful",
    target: /^POST \/api\/v1\/models\/download$/,
    call: async (lmstudio, options) => {
      let last;
      for await (const progress of lmstudio.models.download(FILE, {}, options)) last = progress;
      return last;
    },
    isRight: ({ status }) => status === "completed",
  },
  "toOpenAI().fetch": {
    kind: "client",
    target: COMPLETIONS,
    call: (lmstudio, { signal }) => {
      const { baseURL, fetch } = lmstudio.toOpenAI();
      return readAnswer(fetch(`${baseURL}/chat/completions`, post(body(false), signal)));
    },
    isRight: (text) => text.includes(TEXT),
  },
  "toOpenAI().fetch, stream": {
    kind: "streaming client",
    target: COMPLETIONS,
    call: (lmstudio, { signal }) => {
      const { baseURL, fetch } = lmstudio.toOpenAI();
      return readAnswer(fetch(`${baseURL}/chat/completions`, post(body(true), signal)));
    },
    isRight: (text) => text.includes("[DONE]"),
  },
  "toAnthropic().fetch": {
    kind: "client",
    target: /^POST \/v1\/messages$/,
    call: (lmstudio, { signal }) => {
      const { baseURL, fetch } = lmstudio.toAnthropic();
      return readAnswer(fetch(`${baseURL}/v1/messages`, post(body(false), signal)));
    },
    isRight: (text) => text.includes(TEXT),
  },
  "toAnthropic().fetch, stream": {
    kind: "streaming client",
    target: /^POST \/v1\/messages$/,
    call: (lmstudio, { signal }) => {
      const { baseURL, fetch } = lmstudio.toAnthropic();
      return readAnswer(fetch(`${baseURL}/v1/messages`, post(body(true), signal)));
    },
    isRight: (text) => text.includes("message_stop"),
  },
};

const TOOLS = [{ name: "now", parameters: { type: "object" }, execute: () => "noon" }];

function post(text, signal) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: text, signal };
}

async function drain(stream) {
  for await (const _ of stream);
  return await stream.response();
}

/** The text of a response; throws an error response, as a client would. */
async function readAnswer(pending) {
  const response = await pending;
  const text = await response.text();
  if (response.ok) return text;
  if (text !== "") JSON.parse(text).error.message.trim();
  throw new StatusError(response.status);
}

/** A client's error for a response that says what is wrong. */
export class StatusError extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}
