/**
 * Fields and options that people write where nobody reads them, and what to do instead: one table of names, for all
 * requests and options there are.
 *
 * @module
 */

/** What to do instead of a name: write another one, or something else. */
interface Row {
  /** The names, once `_`, `-` and case are gone. */
  readonly names: string;
  /** Only where this is known: tells one kind of request or options from the others. */
  readonly beside?: string;
  /** The name that is meant; the row counts only where it is known. */
  readonly meant?: string;
  readonly advice?: string;
}

const OF_THE_CALL = "it is an option of the call, the last argument";
const OF_THE_REQUEST = "it is a field of the request, the first argument";
const OF_THE_PROVIDER = "it is an option of the provider's constructor";
const IMAGE_PART = 'content: [{ type: "text", text }, { type: "image", image }]';
const AS_LOADED = "it is set when a model is loaded: models.load(id, { contextLength })";

const SAMPLING =
  "temperature topp topk minp maxtokens stop seed presencepenalty frequencypenalty " +
  "repeatpenalty logitbias reasoning ttlseconds draftmodel";
const IMAGES = "image images imageurl imageurls inputimage attachments files media photos";
const SYSTEM = "system systemprompt systemmessage instructions developer";
const CONTEXT = "numctx nctx contextlength contextsize contextwindow ctxsize maxcontextlength";

/**
 * By `beside`: `role` is a message; `messages` a completion, with `maxRounds` one with tools, with `maxRepairs` an object;
 * `prompt` a text completion; `systemPrompt` the native chat; `instructions` a response; `batchSize` an embedding;
 * `onStatus` the options of a call; `apiToken` those of a provider; `flashAttention` those of a load. The first that
 * fits counts.
 */
const ROWS: readonly Row[] = [
  // Elsewhere than in the native chat.
  {
    names: "messages",
    beside: "systemPrompt",
    advice: "give what the user says as `input`; `previousResponseId` goes on from an answer",
  },

  // Names of other libraries.
  { names: "apikey token bearertoken", meant: "apiToken" },
  { names: "baseuri endpoint url host", meant: "baseUrl" },
  { names: "timeout", meant: "timeoutMs" },
  { names: "retries", meant: "maxRetries" },
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
  { names: "abortsignal", meant: "signal" },
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
  { names: "imageurl url data source file base64", meant: "image" },
  { names: "mimetype contenttype format", meant: "mediaType" },
  { names: "text parts message", meant: "content" },
  { names: "content", meant: "text" },

  // Streams are other methods.
  { names: "stream", beside: "maxRounds", advice: "use streamTools() to stream" },
  {
    names: "stream",
    beside: "maxRepairs",
    advice: "an object comes whole; streamCompletion() takes `schema` too",
  },
  { names: "stream", beside: "prompt", advice: "use streamText() to stream" },
  { names: "stream", beside: "systemPrompt", advice: "use chat.stream() to stream" },
  { names: "stream", beside: "instructions", advice: "use responses.stream() to stream" },
  { names: "stream", advice: "use streamCompletion() to stream" },
  { names: "streamoptions includeusage", advice: "usage is asked for in any case" },
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
    names: `${SAMPLING} toolchoice`,
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
  { names: "n bestof numreturnsequences", advice: "LM Studio gives one answer per request" },

  // How a model is loaded.
  ...["messages", "prompt", "instructions", "batchSize", "onStatus"].map((beside) => ({
    names: CONTEXT,
    beside,
    advice: AS_LOADED,
  })),
  {
    names: "numgpu ngpulayers gpulayers gpu gpuoffload numthread numthreads",
    advice: "LM Studio's own settings of the model say how it runs",
  },
  {
    names: "ttl ttlseconds keepalive",
    beside: "flashAttention",
    advice: "a request has it, as `ttlSeconds`",
  },

  // Of the request, of the call, of the provider.
  ...["onStatus", "apiToken"].map((beside) => ({
    names: `${SAMPLING} messages prompt input tools toolchoice schema schemaname extrabody`,
    beside,
    advice: OF_THE_REQUEST,
  })),
  { names: "model batchsize concurrency", beside: "onStatus", advice: OF_THE_REQUEST },
  { names: "onprogress", beside: "onStatus", advice: "a request of embed() has it" },
  { names: "signal abortsignal onstatus", advice: OF_THE_CALL },
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
];

const BY_NAME: ReadonlyMap<string, readonly Row[]> = groupByName(ROWS);

function groupByName(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    for (const name of row.names.split(" ")) groups.set(name, [...groups.get(name) ?? [], row]);
  }
  return groups;
}

/**
 * What to do instead of an unknown name, or which one was meant.
 *
 * @param folded the name without `_`, `-` and case.
 */
export function remarkOn(
  folded: string,
  known: ReadonlySet<string>,
): Pick<Row, "meant" | "advice"> | undefined {
  return BY_NAME.get(folded)?.find(({ beside, meant }) =>
    (beside === undefined || known.has(beside)) && (meant === undefined || known.has(meant))
  );
}
