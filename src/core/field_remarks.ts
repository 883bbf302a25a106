/**
 * Advice on fields, roles and part types that users know from other libraries or other routes: what to write instead.
 * One table covers all kinds of requests; it loads with the first refusal.
 *
 * @module
 */

import {
  type FieldRemark,
  OF_THE_CALL,
  OF_THE_REQUEST,
  OPTION_NAMES,
  OPTION_REMARKS,
  SAMPLING_NAMES,
} from "./fields.ts";

const OF_THE_PROVIDER = "it is an option of the provider's constructor";
const IMAGE_PART = 'content: [{ type: "text", text }, { type: "image", image }]';
const AS_LOADED = "set it when you load the model: models.load(id, { contextLength })";

const IMAGES = "image images imageurl imageurls inputimage attachments files media photos";
const SYSTEM = "system systemprompt systemmessage instructions developer";
const CONTEXT = "numctx nctx contextlength contextsize contextwindow ctxsize maxcontextlength";

/**
 * Remarks on fields; the first that applies wins. `beside` identifies the kind of object: `role` a message, `messages`
 * a completion request (`maxRounds` one that runs tools, `maxRepairs` one for an object), `prompt` a text completion,
 * `systemPrompt` a native chat, `instructions` a response, `batchSize` an embedding, `onStatus` call options,
 * `apiToken` provider options, `flashAttention` load options.
 */
export const FIELD_REMARKS: readonly FieldRemark[] = [
  // Ahead of the names below, which would suggest `input` alone.
  {
    names: "messages",
    beside: "systemPrompt",
    advice: "pass the user's message as `input`; `previousResponseId` continues a conversation",
  },

  // Names of other libraries.
  ...OPTION_NAMES,
  {
    names: "maxcompletiontokens maxoutputtokens numpredict npredict maxnewtokens",
    meant: "maxTokens",
  },
  { names: "maxtokens maxcompletiontokens numpredict", meant: "maxOutputTokens" },
  { names: "stopsequences stopstrings", meant: "stop" },
  { names: "repetitionpenalty", meant: "repeatPenalty" },
  { names: "prompt input history conversation chat", meant: "messages" },
  { names: "messages input text", meant: "prompt" },
  { names: "messages prompt texts inputs text", meant: "input" },
  { names: "system systemprompt systemmessage", meant: "instructions" },
  { names: "system instructions systemmessage", meant: "systemPrompt" },
  { names: "responseformat format jsonschema outputschema", meant: "schema" },
  { names: "reasoningeffort think thinking enablethinking", meant: "reasoning" },
  { names: "reasoningcontent thinking", meant: "reasoning" },
  { names: "ttl keepalive", meant: "ttlSeconds" },
  { names: "functions", meant: "tools" },
  { names: "functioncall", meant: "toolChoice" },
  { names: "inputschema schema args", meant: "parameters" },
  { names: "maxsteps maxturns maxiterations", meant: "maxRounds" },
  { names: "paralleltoolcalls", meant: "parallel" },
  { names: "handler run func call invoke", meant: "execute" },
  {
    names: "numctx nctx contextsize contextwindow ctxsize maxcontextlength",
    meant: "contextLength",
  },
  {
    names: "outputdimension outputdimensions outputdimensionality truncatedim",
    meant: "dimensions",
  },
  { names: "imageurl url data source file base64", meant: "image" },
  { names: "mimetype contenttype format", meant: "mediaType" },
  { names: "text parts message", meant: "content" },
  { names: "content", meant: "text" },

  // Streaming is a method, not a field.
  { names: "stream", beside: "maxRounds", advice: "use streamTools() to stream" },
  {
    names: "stream",
    beside: "maxRepairs",
    advice: "use streamObject() to stream",
  },
  { names: "stream", beside: "prompt", advice: "use streamText() to stream" },
  { names: "stream", beside: "systemPrompt", advice: "use chat.stream() to stream" },
  { names: "stream", beside: "instructions", advice: "use responses.stream() to stream" },
  {
    names: "onchunk ontoken ontext onfinish callbacks",
    beside: "messages",
    advice: "streamCompletion() yields the chunks as they arrive",
  },

  // Roles and images.
  {
    names: SYSTEM,
    beside: "messages",
    advice: 'pass it as a message: { role: "system", content }',
  },
  {
    names: SYSTEM,
    beside: "prompt",
    advice: "this route has no roles: put it in `prompt`, or use complete()",
  },
  { names: IMAGES, beside: "role", advice: `pass images as ${IMAGE_PART}` },
  { names: IMAGES, beside: "messages", advice: `pass images in a message as ${IMAGE_PART}` },
  {
    names: IMAGES,
    beside: "systemPrompt",
    advice: 'pass images in `input` as { type: "image", image }',
  },
  {
    names: IMAGES,
    beside: "instructions",
    advice: `pass images in a message of \`input\` as ${IMAGE_PART}`,
  },
  { names: IMAGES, beside: "prompt", advice: "use complete(): it accepts images" },
  { names: IMAGES, beside: "batchSize", advice: "only text can be embedded" },
  {
    names: "role content",
    beside: "messages",
    advice: "pass it as a message: messages: [{ role, content }]",
  },
  {
    names: "name toolname",
    beside: "toolCallId",
    advice: "`toolCallId` says which call it answers",
  },

  // Not available in the native chat.
  {
    names: "tools functions",
    beside: "systemPrompt",
    advice: "tools come from `integrations`; complete() accepts your own",
  },
  {
    names: "schema responseformat format",
    beside: "systemPrompt",
    advice: "completeObject() accepts it",
  },
  {
    names: "extrabody",
    beside: "systemPrompt",
    advice: "this route rejects unknown fields",
  },
  {
    names: `${SAMPLING_NAMES} toolchoice`,
    beside: "systemPrompt",
    advice: "this route does not support it; complete() does",
  },

  // Fields of other methods.
  {
    names: "maxrounds maxsteps maxturns maxiterations ontoolcall stopwhen",
    beside: "messages",
    advice: "runTools() accepts it",
  },
  { names: "maxrepairs", beside: "messages", advice: "completeObject() accepts it" },
  { names: "echo suffix", beside: "messages", advice: "completeText() accepts it" },
  { names: "tools toolchoice schema", beside: "prompt", advice: "complete() accepts it" },
  {
    names: "mcpservers mcp integrations plugins",
    beside: "messages",
    advice: "wrap MCP tools with fromMcpTool(), or use `integrations` in chat.send()",
  },
  {
    names: "previousresponseid conversation conversationid sessionid threadid",
    beside: "messages",
    advice: "complete() is stateless: pass the whole conversation as `messages`",
  },
  {
    names: "options",
    beside: "messages",
    advice: "put its fields next to `messages`, under the names used here",
  },
  {
    names: "logprobs toplogprobs",
    beside: "extraBody",
    advice: "ask for them in `extraBody` and read them from `raw`; LM Studio returns null",
  },
  { names: "encodingformat", beside: "batchSize", advice: "vectors are always numbers" },

  // Settings for loading a model.
  ...["messages", "prompt", "instructions", "batchSize", "onStatus"].map((beside) => ({
    names: CONTEXT,
    beside,
    advice: AS_LOADED,
  })),
  {
    names: "ttl ttlseconds keepalive",
    beside: "flashAttention",
    advice: "set it in a request, as `ttlSeconds`",
  },

  // Fields of the request, options of the call, options of the provider.
  {
    names: `${SAMPLING_NAMES} messages prompt input tools toolchoice schema schemaname extrabody`,
    beside: "onStatus",
    advice: OF_THE_REQUEST,
  },
  { names: "model batchsize concurrency", beside: "onStatus", advice: OF_THE_REQUEST },
  { names: "onprogress", beside: "onStatus", advice: "it is a field of embed()'s request" },
  {
    names: "timeout timeoutms connecttimeoutms firsttokentimeoutms idletimeoutms retries " +
      "maxretries headers",
    beside: "model",
    advice: OF_THE_CALL,
  },
  ...["model", "onStatus"].map((beside) => ({
    names: "apikey apitoken token baseurl endpoint fetch onmodelsubstituted",
    beside,
    advice: OF_THE_PROVIDER,
  })),
  // Shared with options.
  ...OPTION_REMARKS,
];

const AS_IMAGE = 'Pass an image as `{ type: "image", image }`: a URL, a data: URL or bytes.';
const AS_TEXT = 'Pass text as a part of type "text".';
const NO_FILES = "Only text and images are accepted: pass a file's content as text.";
const NO_SOUND = "LM Studio accepts only text and images.";
const AS_RESULT = 'Pass a result as its own message: `{ role: "tool", toolCallId, content }`.';
const AS_CALLS = "Pass an assistant's calls as `toolCalls`: `[{ id, name, arguments }]`.";
const AS_ASSISTANT = 'Use the role "assistant".';

/** Hints by the role or part type that was written. */
const KIND_HINTS: Readonly<Record<"role" | "part", Readonly<Record<string, string>>>> = {
  role: {
    human: 'Use the role "user".',
    ai: AS_ASSISTANT,
    bot: AS_ASSISTANT,
    model: AS_ASSISTANT,
    function: AS_RESULT,
  },
  part: {
    image_url: AS_IMAGE,
    input_image: AS_IMAGE,
    imageUrl: AS_IMAGE,
    "image-url": AS_IMAGE,
    media: AS_IMAGE,
    input_text: AS_TEXT,
    output_text: AS_TEXT,
    file: NO_FILES,
    input_file: NO_FILES,
    document: NO_FILES,
    pdf: NO_FILES,
    audio: NO_SOUND,
    input_audio: NO_SOUND,
    audio_url: NO_SOUND,
    video: NO_SOUND,
    video_url: NO_SOUND,
    tool_result: AS_RESULT,
    "tool-result": AS_RESULT,
    function_call_output: AS_RESULT,
    tool_use: AS_CALLS,
    "tool-call": AS_CALLS,
    tool_call: AS_CALLS,
    function_call: AS_CALLS,
  },
};

/** Hint for an unknown role or part type, or for a whole answer passed instead of its message. */
export function kindHint(
  of: "role" | "part",
  kind: unknown,
  value: Readonly<Record<string, unknown>>,
): string | undefined {
  if (of === "role" && typeof value.message === "object" && value.message !== null) {
    return "Pass the `message` of an answer, not the answer itself.";
  }
  const hints = KIND_HINTS[of];
  return typeof kind === "string" && Object.hasOwn(hints, kind) ? hints[kind] : undefined;
}
