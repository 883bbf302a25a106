/** Answers of the stub server, in LM Studio's form. They are encoded once and sent unchanged. */

const MODEL = "qwen/qwen3-8b";
const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";
const ID = "chatcmpl-um3b2l9t12bzrtha63q8";
const SENTENCE = "Waves crash on shore,\nSeagulls cry in the breeze,\nOcean's vast embrace.";

/** Events of a streamed completion: one per token, then the finish reason, the usage and `[DONE]`. */
export function completionEvents(tokens) {
  const event = (choices, more = {}) =>
    `data: ${
      JSON.stringify({
        id: ID,
        object: "chat.completion.chunk",
        created: 1747835957,
        model: MODEL,
        system_fingerprint: MODEL,
        choices,
        ...more,
      })
    }\n\n`;
  const choice = (delta, finish_reason) => [{ index: 0, delta, logprobs: null, finish_reason }];
  const events = Array.from(
    { length: tokens },
    (_, i) => event(choice({ role: "assistant", content: word(i) }, null)),
  );
  const usage = { prompt_tokens: 12, completion_tokens: tokens, total_tokens: tokens + 12 };
  events.push(event(choice({}, "stop")), event([], { usage }), "data: [DONE]\n\n");
  return events;
}

/** The same tokens as lines of JSON, for Ollama's client. */
export function ollamaLines(tokens) {
  const line = (content, more) =>
    JSON.stringify({
      model: MODEL,
      created_at: "2026-11-26T12:00:00.000000Z",
      message: { role: "assistant", content },
      ...more,
    }) + "\n";
  const lines = Array.from({ length: tokens }, (_, i) => line(word(i), { done: false }));
  lines.push(line("", {
    done: true,
    done_reason: "stop",
    total_duration: 1_000_000,
    prompt_eval_count: 12,
    eval_count: tokens,
  }));
  return lines;
}

function word(index) {
  return ` word${index % 100}`;
}

export function completion() {
  return JSON.stringify({
    id: ID,
    object: "chat.completion",
    created: 1747835957,
    model: MODEL,
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        content: SENTENCE,
        reasoning_content: "",
        tool_calls: [],
      },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: 212,
      completion_tokens: 20,
      total_tokens: 232,
      completion_tokens_details: { reasoning_tokens: 0 },
    },
    stats: {},
    system_fingerprint: MODEL,
  });
}

export function ollamaCompletion() {
  return JSON.stringify({
    model: MODEL,
    created_at: "2026-11-26T12:00:00.000000Z",
    message: { role: "assistant", content: SENTENCE },
    done: true,
    done_reason: "stop",
    total_duration: 1_000_000,
    prompt_eval_count: 212,
    eval_count: 20,
  });
}

/** Single-precision vectors, printed as the server does: as the nearest doubles, with up to 18 digits. */
function vectors(count, dimensions) {
  const random = seededRandom(7);
  return Array.from(
    { length: count },
    () => Array.from({ length: dimensions }, () => Math.fround((random() - 0.5) / 5)),
  );
}

export function embeddings(count, dimensions) {
  return JSON.stringify({
    object: "list",
    data: vectors(count, dimensions)
      .map((embedding, index) => ({ object: "embedding", embedding, index })),
    model: EMBEDDING_MODEL,
    usage: { prompt_tokens: 0, total_tokens: 0 },
  });
}

export function ollamaEmbeddings(count, dimensions) {
  return JSON.stringify({ model: EMBEDDING_MODEL, embeddings: vectors(count, dimensions) });
}

/** `/v1/models`: three fields per model. */
export function bareListing(count) {
  const data = Array.from(
    { length: count },
    (_, i) => ({ id: key(i), object: "model", owned_by: "organization_owner" }),
  );
  return JSON.stringify({ data, object: "list" });
}

/** `/api/v1/models`: everything the server knows. Every tenth model is loaded. */
export function fullListing(count) {
  const models = Array.from({ length: count }, (_, i) => {
    const config = {
      context_length: 4096,
      eval_batch_size: 512,
      parallel: 4,
      flash_attention: true,
      num_experts: 8,
      offload_kv_cache_to_gpu: true,
    };
    return {
      type: "llm",
      publisher: `publisher-${i % 20}`,
      key: key(i),
      display_name: `Model ${i} Instruct 8B`,
      architecture: "qwen3",
      quantization: { name: "Q4_K_M", bits_per_weight: 4 },
      size_bytes: 4_920_000_000 + i,
      params_string: "8B",
      loaded_instances: i % 10 === 0 ? [{ id: key(i), config }] : [],
      max_context_length: 131_072,
      format: "gguf",
      capabilities: {
        vision: i % 4 === 0,
        trained_for_tool_use: true,
        reasoning: { allowed_options: ["off", "on"], default: "on" },
      },
      description: null,
      variants: [`${key(i)}@q4_k_m`],
      selected_variant: `${key(i)}@q4_k_m`,
    };
  });
  return JSON.stringify({ models });
}

export function ollamaListing(count) {
  const models = Array.from({ length: count }, (_, i) => ({
    name: key(i),
    model: key(i),
    modified_at: "2026-11-26T12:00:00.000000Z",
    size: 4_920_000_000 + i,
    digest: "0123456789abcdef".repeat(4),
    details: {
      format: "gguf",
      family: "qwen3",
      parameter_size: "8B",
      quantization_level: "Q4_K_M",
    },
  }));
  return JSON.stringify({ models });
}

function key(index) {
  return `publisher-${index % 20}/model-${index}-instruct-8b`;
}

/** The same bytes in parts of random length, on average as long as an event. */
export function cutAtRandom(parts) {
  const bytes = Buffer.from(parts.join(""));
  const longest = 2 * Math.ceil(bytes.length / parts.length);
  const random = seededRandom(11);
  const chunks = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + Math.floor(random() * longest);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

/** Mulberry32: the same numbers in every run. */
function seededRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
