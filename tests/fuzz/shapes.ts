/** The types of answers, as far as a program relies on them, checked at run time. */

/** Says where a value does not have a type; `undefined` if it does. */
export type Shape = (value: unknown, at: string) => string | undefined;

function is(what: string, holds: (value: unknown) => boolean): Shape {
  return (value, at) =>
    holds(value) ? undefined : `${at} is no ${what}: ${Deno.inspect(value).slice(0, 200)}`;
}

export const anything: Shape = () => undefined;
export const text: Shape = is("text", (value) => typeof value === "string");
export const number: Shape = is("finite number", Number.isFinite);
export const flag: Shape = is("boolean", (value) => typeof value === "boolean");
export const record: Shape = is(
  "record",
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);
export function oneOf(...values: readonly unknown[]): Shape {
  return is(`one of ${values.join()}`, (value) => values.includes(value));
}

export function list(item: Shape): Shape {
  return (value, at) => {
    if (!Array.isArray(value)) return `${at} is no list: ${Deno.inspect(value).slice(0, 200)}`;
    for (const [index, part] of value.entries()) {
      const problem = item(part, `${at}[${index}]`);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

/** Fields; one with `?` after its name may be absent, but never `undefined`. With `closed` there are no others. */
export function fields(shapes: Readonly<Record<string, Shape>>, closed: boolean = false): Shape {
  const known = new Set(Object.keys(shapes).map((name) => name.replace("?", "")));
  return (value, at) => {
    if (typeof value !== "object" || value === null) {
      return `${at} is no object: ${Deno.inspect(value).slice(0, 200)}`;
    }
    for (const [written, shape] of Object.entries(shapes)) {
      const name = written.replace("?", "");
      if (!Object.hasOwn(value, name)) {
        if (written === name) return `${at}.${name} is absent`;
        continue;
      }
      const problem = shape(Reflect.get(value, name), `${at}.${name}`);
      if (problem !== undefined) return problem;
    }
    const other = Object.keys(value).find((name) => !known.has(name));
    return closed && other !== undefined ? `${at}.${other} is not declared` : undefined;
  };
}

const usage = fields({
  promptTokens: number,
  completionTokens: number,
  totalTokens: number,
  "reasoningTokens?": number,
  "cachedTokens?": number,
}, true);
const stats = fields({
  "tokensPerSecond?": number,
  "timeToFirstTokenMs?": number,
  "generationMs?": number,
  "modelLoadMs?": number,
  "stopReason?": text,
  "draft?": fields({
    "model?": text,
    "totalTokens?": number,
    "acceptedTokens?": number,
    "rejectedTokens?": number,
    "ignoredTokens?": number,
  }, true),
  source: oneOf("server", "measured"),
}, true);
const calls = list(
  fields({ id: text, name: text, arguments: text, "source?": oneOf("text") }, true),
);

export const completion: Shape = fields({
  id: text,
  model: text,
  message: fields({
    role: oneOf("assistant"),
    "content?": text,
    "reasoning?": text,
    "toolCalls?": calls,
  }),
  content: text,
  "reasoning?": text,
  toolCalls: calls,
  finishReason: text,
  "usage?": usage,
  "stats?": stats,
  raw: anything,
  "trimmed?": record,
}, true);
export const chunk: Shape = fields({
  content: text,
  isFinal: flag,
  "reasoning?": text,
  "toolCalls?": list(
    fields({
      index: number,
      "id?": text,
      "name?": text,
      "arguments?": text,
      "source?": oneOf("text"),
    }, true),
  ),
  "model?": text,
  "finishReason?": text,
  "usage?": usage,
  "stats?": stats,
}, true);
export const textCompletion: Shape = fields({
  id: text,
  model: text,
  text,
  finishReason: text,
  "usage?": usage,
  "stats?": stats,
  raw: anything,
}, true);
export const object: Shape = fields({ object: anything, response: completion }, true);
export const toolRun: Shape = fields({
  response: completion,
  messages: list(record),
  rounds: number,
  "usage?": usage,
}, true);
export const toolEvent: Shape = (value, at) =>
  (Reflect.get(value as object, "type") === "chunk"
    ? fields({ type: text, round: number, chunk }, true)
    : fields({
      type: oneOf("call", "result"),
      round: number,
      call: record,
      "result?": text,
      "isError?": flag,
      "images?": list(record),
    }, true))(
      value,
      at,
    );
export const embedding: Shape = fields({
  model: text,
  embeddings: list(list(number)),
  "truncated?": oneOf("client"),
  "warnings?": list(
    fields({ code: text, index: number, estimatedTokens: number, contextLength: number }, true),
  ),
  "usage?": usage,
}, true);
const capabilities = fields({
  maxTokens: number,
  supportsTools: flag,
  "trainedForTools?": flag,
  supportsVision: flag,
  supportsStreaming: flag,
  supportsEmbeddings: flag,
  supportsReasoning: flag,
  speedTier: oneOf("instant", "fast", "standard", "slow"),
  qualityTier: oneOf("lite", "standard", "premium", "ultra"),
}, true);
export const maybeCapabilities: Shape = (value, at) =>
  value === undefined ? undefined : capabilities(value, at);
export const model: Shape = fields({
  id: text,
  name: text,
  provider: text,
  type: text,
  capabilities,
  "loaded?": flag,
  "maxContextLength?": number,
  "loadedContextLength?": number,
  "publisher?": text,
  "architecture?": text,
  "quantization?": text,
  "format?": text,
  "params?": text,
  "sizeBytes?": number,
  "reasoning?": fields({ options: list(text), "default?": text }, true),
  "variants?": list(text),
  "selectedVariant?": text,
  "instances?": list(fields({
    id: text,
    "contextLength?": number,
    "evalBatchSize?": number,
    "parallel?": number,
    "flashAttention?": flag,
    "numExperts?": number,
    "offloadKvCacheToGpu?": flag,
  }, true)),
  raw: anything,
}, true);
export const loadedModel: Shape = fields({
  instanceId: text,
  type: text,
  loadTimeSeconds: number,
  "config?": record,
}, true);
export const lease: Shape = fields({
  instanceId: text,
  alreadyLoaded: flag,
  "contextLength?": number,
});
export const progress: Shape = fields({
  "jobId?": text,
  status: text,
  "downloadedBytes?": number,
  "totalBytes?": number,
  "bytesPerSecond?": number,
  "estimatedCompletion?": text,
}, true);
export const responsesAnswer: Shape = fields({
  id: text,
  model: text,
  status: text,
  text,
  "reasoning?": text,
  toolCalls: calls,
  output: list(fields({ type: text })),
  "usage?": usage,
  stats,
  raw: anything,
}, true);
export const typed: Shape = fields({ type: text });
export const chatAnswer: Shape = fields({
  "responseId?": text,
  modelInstanceId: text,
  content: text,
  "reasoning?": text,
  output: list((value, at) =>
    typed(value, at) ??
      (["message", "reasoning"].includes(Reflect.get(value as object, "type"))
        ? fields({ content: text })
        : Reflect.get(value as object, "type") === "tool_call"
        ? fields({ tool: text, arguments: record, output: text, "providerInfo?": typed })
        : anything)(value, at)
  ),
  "usage?": usage,
  stats,
  raw: anything,
}, true);
const instance = { modelInstanceId: text };
const share: Shape = (value, at) =>
  typeof value === "number" && value >= 0 && value <= 1 ? undefined : `${at} is no share: ${value}`;
const provider = fields({ type: text, "pluginId?": text, "serverLabel?": text });
const call = { tool: text, "providerInfo?": provider };
const CHAT_EVENTS: Readonly<Record<string, Shape>> = {
  "chat.start": fields(instance),
  "model_load.start": fields(instance),
  "model_load.progress": fields({ ...instance, progress: share }),
  "model_load.end": fields({ ...instance, loadTimeSeconds: number }),
  "prompt_processing.progress": fields({ progress: share }),
  "reasoning.delta": fields({ content: text }),
  "message.delta": fields({ content: text }),
  "tool_call.start": fields(call),
  "tool_call.arguments": fields({ ...call, arguments: record }),
  "tool_call.success": fields({ ...call, arguments: record, output: text }),
  "tool_call.failure": fields({
    reason: text,
    metadata: fields({
      type: text,
      toolName: text,
      "arguments?": record,
      "providerInfo?": provider,
    }),
  }),
  error: fields({
    error: fields({ type: text, message: text, "code?": text, "param?": text }, true),
  }),
  "chat.end": fields({ result: chatAnswer }),
};
export const chatEvent: Shape = byType(CHAT_EVENTS);
function byType(shapes: Readonly<Record<string, Shape>>): Shape {
  return (value, at) => {
    const problem = typed(value, at);
    if (problem !== undefined) return problem;
    const type: string = Reflect.get(value as object, "type");
    return Object.hasOwn(shapes, type) ? shapes[type]!(value, `${at} ${type}`) : undefined;
  };
}

const probability: Shape = (value, at) =>
  typeof value === "number" && value >= 0 && value <= 1
    ? undefined
    : `${at} is no probability: ${value}`;
export const decisions: Shape = fields({
  answers: fields({
    calm: (value, at) =>
      fields({ type: oneOf("predicate", "refusal"), "probability?": probability }, true)(value, at),
    team: fields({
      type: oneOf("choice", "refusal"),
      "choice?": oneOf("a", "b"),
      "confidence?": probability,
      "probabilities?": list(fields({ value: oneOf("a", "b"), probability }, true)),
    }, true),
    grade: fields({
      type: oneOf("score", "refusal"),
      "score?": number,
      "confidence?": probability,
      "probabilities?": list(fields({ label: text, value: number, probability }, true)),
    }, true),
  }, true),
  model: text,
  "usage?": usage,
  raw: anything,
}, true);
export const response: Shape = is("Response", (value) => value instanceof Response);
export const maybeService: Shape = (value, at) =>
  value === undefined ? undefined : fields({
    type: oneOf("lmstudio", "ollama"),
    endpoint: text,
    "version?": text,
    models: list(text),
    status: oneOf("available", "degraded", "unavailable", "unknown"),
    consecutiveFailures: number,
    metrics: fields({ averageResponseMs: number, modelCount: number, successRate: number }),
  })(value, at);
