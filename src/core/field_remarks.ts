/**
 * Remarks on what requests cannot have: fields, roles and kinds of parts that people know from other libraries and other
 * routes, and what to write instead. One table of names for all requests there are; it loads with the first refusal.
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
const AS_LOADED = "it is set when a model is loaded: models.load(id, { contextLength })";

const IMAGES = "image images imageurl imageurls inputimage attachments files media photos";
const SYSTEM = "system systemprompt systemmessage instructions developer";
const CONTEXT = "numctx nctx contextlength contextsize contextwindow ctxsize maxcontextlength";

/**
 * By `beside`: `role` is a message; `messages` a completion, with `maxRounds` one with tools, with `maxRepairs` an object;
 * `prompt` a text completion; `systemPrompt` the native chat; `instructions` a response; `batchSize` an embedding;
 * `onStatus` the options of a call; `apiToken` those of a provider; `flashAttention` those of a load. The first that
 * fits counts.
 */
export const FIELD_REMARKS: readonly FieldRemark[] = [
  // Elsewhere than in the native chat.
  {
    names: "messages",
    beside: "systemPrompt",
    advice: "give what the user says as `input`; `previousResponseId` goes on from an answer",
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

  // Streams are other methods.
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
    advice: "streamCompletion() gives the pieces as they come",
  },

  // Who says it, and what is shown.
  {
    names: SYSTEM,
    beside: "messages",
    advice: 'give it as a message: { role: "system", content }',
  },
  {
    names: SYSTEM,
    beside: "prompt",
    advice: "there are no roles here: write it into `prompt`, or use complete()",
  },
  { names: IMAGES, beside: "role", advice: `an image is a part of the content: ${IMAGE_PART}` },
  { names: IMAGES, beside: "messages", advice: `an image is a part of a message: ${IMAGE_PART}` },
  {
    names: IMAGES,
    beside: "systemPrompt",
    advice: 'an image is a part of `input`: { type: "image", image }',
  },
  {
    names: IMAGES,
    beside: "instructions",
    advice: `an image is a part of a message of \`input\`: ${IMAGE_PART}`,
  },
  { names: IMAGES, beside: "prompt", advice: "text completions take none; complete() does" },
  { names: IMAGES, beside: "batchSize", advice: "only texts are embedded" },
  {
    names: "role content",
    beside: "messages",
    advice: "give it as a message: messages: [{ role, content }]",
  },
  {
    names: "name toolname",
    beside: "toolCallId",
    advice: "`toolCallId` says which call it answers",
  },

  // Elsewhere than in the native chat.
  {
    names: "tools functions",
    beside: "systemPrompt",
    advice: "tools come from `integrations`; complete() takes your own",
  },
  {
    names: "schema responseformat format",
    beside: "systemPrompt",
    advice: "completeObject() takes it",
  },
  {
    names: "extrabody",
    beside: "systemPrompt",
    advice: "this route refuses what it does not know",
  },
  {
    names: `${SAMPLING_NAMES} toolchoice`,
    beside: "systemPrompt",
    advice: "this route does not have it; complete() does",
  },

  // What other methods take.
  {
    names: "maxrounds maxsteps maxturns maxiterations ontoolcall stopwhen",
    beside: "messages",
    advice: "runTools() takes it",
  },
  { names: "maxrepairs", beside: "messages", advice: "completeObject() takes it" },
  { names: "echo suffix", beside: "messages", advice: "completeText() takes it" },
  { names: "tools toolchoice schema", beside: "prompt", advice: "complete() takes it" },
  {
    names: "mcpservers mcp integrations plugins",
    beside: "messages",
    advice: "fromMcpTool() makes tools of them; chat.send() takes `integrations`",
  },
  {
    names: "previousresponseid conversation conversationid sessionid threadid",
    beside: "messages",
    advice: "complete() keeps nothing: give the whole conversation as `messages`",
  },
  {
    names: "options",
    beside: "messages",
    advice: "its fields stand beside `messages`, under their names here",
  },
  {
    names: "logprobs toplogprobs",
    beside: "extraBody",
    advice: "`extraBody` asks for them, and `raw` has what the server gives; LM Studio gives null",
  },
  { names: "encodingformat", beside: "batchSize", advice: "vectors come as numbers in any case" },

  // How a model is loaded.
  ...["messages", "prompt", "instructions", "batchSize", "onStatus"].map((beside) => ({
    names: CONTEXT,
    beside,
    advice: AS_LOADED,
  })),
  {
    names: "ttl ttlseconds keepalive",
    beside: "flashAttention",
    advice: "a request has it, as `ttlSeconds`",
  },

  // Of the request, of the call, of the provider.
  {
    names: `${SAMPLING_NAMES} messages prompt input tools toolchoice schema schemaname extrabody`,
    beside: "onStatus",
    advice: OF_THE_REQUEST,
  },
  { names: "model batchsize concurrency", beside: "onStatus", advice: OF_THE_REQUEST },
  { names: "onprogress", beside: "onStatus", advice: "a request of embed() has it" },
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
  // Of options as well.
  ...OPTION_REMARKS,
];

const AS_IMAGE = 'Give an image as `{ type: "image", image }`: an address, a data: URL or bytes.';
const AS_TEXT = 'Give text as a part of the type "text".';
const NO_FILES = "Only images are taken: give the text of a file as text.";
const NO_SOUND = "LM Studio takes texts and images alone.";
const AS_RESULT = 'A result is a message of its own: `{ role: "tool", toolCallId, content }`.';
const AS_CALLS = "An assistant's calls are its `toolCalls`: `[{ id, name, arguments }]`.";
const AS_ASSISTANT = 'Write the role "assistant".';

/** Hints by what was written as a role or as the type of a part. */
const KIND_HINTS: Readonly<Record<"role" | "part", Readonly<Record<string, string>>>> = {
  role: {
    human: 'Write the role "user".',
    ai: AS_ASSISTANT,
    bot: AS_ASSISTANT,
    model: AS_ASSISTANT,
    function: 'Give the result of a call as `{ role: "tool", toolCallId, content }`.',
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

/** Hint for a role or a type of a part that is not known, and for what has none because it is something else. */
export function kindHint(
  of: "role" | "part",
  kind: unknown,
  value: Readonly<Record<string, unknown>>,
): string | undefined {
  if (of === "role" && typeof value.message === "object" && value.message !== null) {
    return "Give the `message` of an answer, not the answer.";
  }
  const hints = KIND_HINTS[of];
  return typeof kind === "string" && Object.hasOwn(hints, kind) ? hints[kind] : undefined;
}
