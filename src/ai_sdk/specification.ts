/**
 * The AI SDK's provider specification, version 4, as far as this provider implements it. Types that it accepts are at
 * least as wide as the SDK's types of the same name, types that it returns at most as wide. They are written out by
 * hand: importing them would add a dependency, or a silent `any` for users who have not installed it. Tests compare
 * each type with `@ai-sdk/provider`.
 *
 * @see https://github.com/vercel/ai/tree/main/packages/provider/src
 * @module
 */

/** A JSON value. */
export type JsonValue = null | string | number | boolean | JsonObject | readonly JsonValue[];

/** A JSON object. */
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

/** Options beyond the specification, by provider name. */
export type SharedV4ProviderOptions = Readonly<Record<string, JsonObject>>;

/** Metadata beyond the specification, by provider name. */
export type SharedV4ProviderMetadata = Record<string, JsonObject>;

/** A part of a call that was not carried out as requested. */
export type SharedV4Warning =
  | {
    /** `unsupported`: left out. `compatibility`: done in another way. */
    type: "unsupported" | "compatibility";
    /** The feature in question. */
    feature: string;
    /** What is done instead, or what to do. */
    details?: string;
  }
  | {
    /** Any other warning. */
    type: "other";
    /** A sentence for people. */
    message: string;
  };

/** A file: its bytes, its URL, a provider's reference to it, or its text. */
export type SharedV4FileData =
  | {
    /** Discriminator. */
    type: "data";
    /** The bytes; a string is base64. */
    data: Uint8Array | string;
  }
  | {
    /** Discriminator. */
    type: "url";
    /** The file's URL. */
    url: URL;
  }
  | {
    /** Discriminator. */
    type: "reference";
    /** File ids by provider name. LM Studio keeps no files. */
    reference: Readonly<Record<string, string>> & { type?: never };
  }
  | {
    /** Discriminator. */
    type: "text";
    /** The file's text. */
    text: string;
  };

// --- Calls to a language model ----------------------------------------------------------------

/** Text within a message. */
export interface LanguageModelV4TextPart {
  /** Discriminator. */
  type: "text";
  /** The text. */
  text: string;
}

/** A file within a message. */
export interface LanguageModelV4FilePart {
  /** Discriminator. */
  type: "file";
  /** The file. */
  data: SharedV4FileData;
  /** Media type, such as `image/png`, `image/*` or `image`. */
  mediaType: string;
  /** File name. */
  filename?: string | undefined;
}

/** The assistant's reasoning. */
export interface LanguageModelV4ReasoningPart {
  /** Discriminator. */
  type: "reasoning";
  /** The reasoning's text. */
  text: string;
}

/** A tool call by the assistant. */
export interface LanguageModelV4ToolCallPart {
  /** Discriminator. */
  type: "tool-call";
  /** Links the result to the call. */
  toolCallId: string;
  /** Name of the tool. */
  toolName: string;
  /** The decoded arguments. */
  input: unknown;
}

/** The result of a tool call. */
export interface LanguageModelV4ToolResultPart {
  /** Discriminator. */
  type: "tool-result";
  /** The call this is the result of. */
  toolCallId: string;
  /** Name of the tool. */
  toolName: string;
  /** The tool's output. */
  output: LanguageModelV4ToolResultOutput;
}

/** Parts that this provider cannot send, or that are not meant for the model. */
export interface LanguageModelV4OtherPart {
  /** Discriminator. */
  type: "custom" | "reasoning-file" | "tool-approval-response";
}

/** A tool's output. */
export type LanguageModelV4ToolResultOutput =
  | {
    /** Text: a result or an error. */
    type: "text" | "error-text";
    /** The text. */
    value: string;
  }
  | {
    /** A JSON value: a result or an error. */
    type: "json" | "error-json";
    /** The value. */
    value: JsonValue;
  }
  | {
    /** The user did not allow the call. */
    type: "execution-denied";
    /** The reason. */
    reason?: string | undefined;
  }
  | {
    /** Texts and files. */
    type: "content";
    /** The texts and files. */
    value: readonly (
      | LanguageModelV4TextPart
      | LanguageModelV4FilePart
      | {
        /** A provider's own kind of part. */
        type: "custom";
      }
    )[];
  };

/** One message of a prompt. */
export type LanguageModelV4Message =
  | {
    /** Role of the sender. */
    role: "system";
    /** The system prompt. */
    content: string;
  }
  | {
    /** Role of the sender. */
    role: "user";
    /** The user's text and files. */
    content: readonly (LanguageModelV4TextPart | LanguageModelV4FilePart)[];
  }
  | {
    /** Role of the sender. */
    role: "assistant";
    /** The assistant's text, reasoning and tool calls. */
    content: readonly (
      | LanguageModelV4TextPart
      | LanguageModelV4FilePart
      | LanguageModelV4ReasoningPart
      | LanguageModelV4ToolCallPart
      | LanguageModelV4ToolResultPart
      | LanguageModelV4OtherPart
    )[];
  }
  | {
    /** Role of the sender. */
    role: "tool";
    /** The tool results. */
    content: readonly (LanguageModelV4ToolResultPart | LanguageModelV4OtherPart)[];
  };

/** A tool that the caller runs. */
export interface LanguageModelV4FunctionTool {
  /** Discriminator. */
  type: "function";
  /** The name the model calls it by. */
  name: string;
  /** Tells the model what the tool is for. */
  description?: string | undefined;
  /** JSON Schema of the arguments. */
  inputSchema: object;
  /** Examples of arguments. */
  inputExamples?: readonly { input: JsonObject }[] | undefined;
  /** Whether the provider has to make the arguments fit the schema. */
  strict?: boolean | undefined;
}

/** A tool that a provider runs. LM Studio has none. */
export interface LanguageModelV4ProviderTool {
  /** Discriminator. */
  type: "provider";
  /** Id, such as `openai.web_search`. */
  id: `${string}.${string}`;
  /** Name of the tool. */
  name: string;
}

/** Which tool the model may or must call. */
export type LanguageModelV4ToolChoice =
  | {
    /** `auto`: the model decides; `none`: no tool; `required`: at least one tool. */
    type: "auto" | "none" | "required";
  }
  | {
    /** One tool, by name. */
    type: "tool";
    /** The tool's name. */
    toolName: string;
  };

/** A call to a language model. */
export interface LanguageModelV4CallOptions {
  /** The conversation. */
  prompt: readonly LanguageModelV4Message[];
  /** Maximum number of tokens to generate. */
  maxOutputTokens?: number | undefined;
  /** Randomness, 0 or more. */
  temperature?: number | undefined;
  /** Strings that end the answer. */
  stopSequences?: readonly string[] | undefined;
  /** Nucleus sampling. */
  topP?: number | undefined;
  /** Sample only from this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Penalty for tokens that have already appeared. */
  presencePenalty?: number | undefined;
  /** Penalty for tokens that grows each time they appear. */
  frequencyPenalty?: number | undefined;
  /** Text, or JSON of a given shape. */
  responseFormat?:
    | { type: "text" }
    | {
      type: "json";
      schema?: object | undefined;
      name?: string | undefined;
      description?: string | undefined;
    }
    | undefined;
  /** Sampling seed. */
  seed?: number | undefined;
  /** Tools the model may call. */
  tools?: readonly (LanguageModelV4FunctionTool | LanguageModelV4ProviderTool)[] | undefined;
  /** Which tool to call. @default {"auto"} */
  toolChoice?: LanguageModelV4ToolChoice | undefined;
  /** Whether a stream also includes the server's raw frames. */
  includeRawChunks?: boolean | undefined;
  /** Aborts the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the request. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** How much the model may reason. */
  reasoning?:
    | "provider-default"
    | "none"
    | "minimal"
    | "low"
    | "medium"
    | "high"
    | "xhigh"
    | "max"
    | undefined;
  /** Under `lmstudio`: fields of a completion request, and timeouts. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

// --- Answers of a language model --------------------------------------------------------------

/** A part of a whole answer. */
export type LanguageModelV4Content =
  | {
    /** Text or reasoning. */
    type: "text" | "reasoning";
    /** The text. */
    text: string;
  }
  | LanguageModelV4ToolCall;

/** A tool call by the model. */
export interface LanguageModelV4ToolCall {
  /** Discriminates. */
  type: "tool-call";
  /** Links the result to the call; unique within the conversation. */
  toolCallId: string;
  /** Name of the tool; `unnamed` if the model wrote none. */
  toolName: string;
  /** JSON text, as the model wrote it; `{}` if it wrote none. */
  input: string;
  /** Under `lmstudio`: `source: "text"` if the model wrote the call into its text. */
  providerMetadata?: SharedV4ProviderMetadata;
}

/** Why the model stopped. */
export interface LanguageModelV4FinishReason {
  /** The finish reason in the specification's terms. */
  unified: "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other";
  /** The finish reason as the server gives it. */
  raw: string | undefined;
}

/** Token counts; `undefined` if the server does not report them. */
export interface LanguageModelV4Usage {
  /** Tokens of the prompt. */
  inputTokens: {
    /** All prompt tokens. */
    total: number | undefined;
    /** Prompt tokens that were processed. */
    noCache: number | undefined;
    /** Prompt tokens taken from the cache. */
    cacheRead: number | undefined;
    /** Not reported by LM Studio. */
    cacheWrite: number | undefined;
  };
  /** Tokens of the answer. */
  outputTokens: {
    /** All generated tokens. */
    total: number | undefined;
    /** Tokens of the text. */
    text: number | undefined;
    /** Tokens of the reasoning. */
    reasoning: number | undefined;
  };
  /** The server's own usage object. */
  raw?: JsonObject;
}

/** Identifies an answer. */
export interface LanguageModelV4ResponseMetadata {
  /** The server's id for the answer. */
  id?: string;
  /** When the answer was started. */
  timestamp?: Date;
  /** The model that answered, as the server names it. */
  modelId?: string;
}

/** A whole answer. */
export interface LanguageModelV4GenerateResult {
  /** Reasoning, text and tool calls, in this order. */
  content: LanguageModelV4Content[];
  /** Why the model stopped. */
  finishReason: LanguageModelV4FinishReason;
  /** Token counts. */
  usage: LanguageModelV4Usage;
  /**
   * Under `lmstudio`: `stats`; `substituted` if another model answered than the one requested; `trimmed` if the
   * conversation was shortened.
   */
  providerMetadata: SharedV4ProviderMetadata;
  /** Identifies the answer. */
  response: LanguageModelV4ResponseMetadata & {
    /** The decoded body. */
    body?: unknown;
  };
  /** Parts of the call that were not carried out as requested. */
  warnings: SharedV4Warning[];
}

/** A part of a streamed answer. */
export type LanguageModelV4StreamPart =
  | {
    /** The first part. */
    type: "stream-start";
    /** Parts of the call that are not carried out as requested. */
    warnings: SharedV4Warning[];
  }
  | {
    /** A block of text or reasoning begins or ends, or a call's arguments end. */
    type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end" | "tool-input-end";
    /** Id of the block or the call. */
    id: string;
  }
  | {
    /** More of a block or of a call's arguments. */
    type: "text-delta" | "reasoning-delta" | "tool-input-delta";
    /** Id of the block or the call. */
    id: string;
    /** The text to append. */
    delta: string;
  }
  | {
    /** A tool call begins. */
    type: "tool-input-start";
    /** Id of the call. */
    id: string;
    /** Name of the tool. */
    toolName: string;
  }
  | LanguageModelV4ToolCall
  | ({
    /** Identifies the answer; sent before `finish`. */
    type: "response-metadata";
  } & LanguageModelV4ResponseMetadata)
  | {
    /** The last part. */
    type: "finish";
    /** Token counts. */
    usage: LanguageModelV4Usage;
    /** Why the model stopped. */
    finishReason: LanguageModelV4FinishReason;
    /** The same as in a whole answer. */
    providerMetadata: SharedV4ProviderMetadata;
  }
  | {
    /** Why there is no answer, or only a part of one; sent before `finish`. */
    type: "error";
    /** The error. */
    error: unknown;
  };

/** A streamed answer. */
export interface LanguageModelV4StreamResult {
  /** The parts. Cancelling the stream stops the generation; leaving it unread does not. */
  stream: ReadableStream<LanguageModelV4StreamPart>;
}

/** A language model as the AI SDK calls it. */
export interface LanguageModelV4 {
  /** Specification version. */
  readonly specificationVersion: "v4";
  /** `lmstudio.chat`. */
  readonly provider: string;
  /** The requested model. */
  readonly modelId: string;
  /** None: the SDK downloads images itself, with its own guard against addresses inside your network. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** Generates a whole answer, for `generateText`. */
  doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult>;
  /** Streams an answer; resolves with its first chunk. For `streamText`. */
  doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult>;
}

// --- Embeddings -------------------------------------------------------------------------------

/** A call to an embedding model. */
export interface EmbeddingModelV4CallOptions {
  /** The texts. */
  values: readonly string[];
  /** Vector length. */
  dimensions?: number | undefined;
  /** Aborts the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the requests. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Under `lmstudio`: fields of an embedding request, and timeouts. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

/** The result of an embedding call. */
export interface EmbeddingModelV4Result {
  /** One vector per text, in order. */
  embeddings: number[][];
  /** Tokens read, if the server reports them; LM Studio reports 0. */
  usage?: { tokens: number };
  /** Under `lmstudio`: `substituted`, if another model answered than the one requested. */
  providerMetadata: SharedV4ProviderMetadata;
  /** Parts of the call that were not carried out as requested. */
  warnings: SharedV4Warning[];
}

/** An embedding model as the AI SDK calls it. */
export interface EmbeddingModelV4 {
  /** Specification version. */
  readonly specificationVersion: "v4";
  /** `lmstudio.embedding`. */
  readonly provider: string;
  /** The requested model. */
  readonly modelId: string;
  /** How many texts `embedMany` passes at once. */
  readonly maxEmbeddingsPerCall: number;
  /** False: engines have crashed under parallel embedding. */
  readonly supportsParallelCalls: boolean;
  /** Returns one vector per text, for `embed` and `embedMany`. */
  doEmbed(options: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result>;
}

// --- Decisions --------------------------------------------------------------------------------

/** The meaning of a question or an answer. */
export type DecisionModelV4Input = string | JsonObject | readonly JsonValue[];

/** A part of the state to decide on. */
export type DecisionModelV4StatePart =
  | LanguageModelV4TextPart
  | LanguageModelV4FilePart
  | {
    /** Discriminator. */
    type: "json";
    /** The value. */
    value: JsonValue;
  };

/** A question about the state. */
export type DecisionModelV4Question =
  | {
    /** A choice among several options. */
    readonly type: "choice";
    /** The question. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** The meaning of each option, by its name. */
    readonly criteria: Readonly<Record<string, DecisionModelV4Input | null>>;
  }
  | {
    /** A score on a scale. */
    readonly type: "score";
    /** What to rate. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** The meaning of each level, from the lowest to the highest. */
    readonly criteria: readonly (DecisionModelV4Input | null)[];
  }
  | {
    /** A point in an image, which LM Studio's models cannot return. */
    readonly type: "box";
    /** What to find. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
  }
  | {
    /** A question that is true or false. */
    readonly type: "boolean";
    /** The statement. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** The meaning of the two answers. */
    readonly criteria?:
      | {
        readonly true?: DecisionModelV4Input | null | undefined;
        readonly false?: DecisionModelV4Input | null | undefined;
      }
      | null
      | undefined;
  };

/** A call to a decision model. */
export interface DecisionModelV4CallOptions {
  /** The state to decide on. */
  state: readonly DecisionModelV4StatePart[];
  /** The questions, by names of your choice. */
  questions: Readonly<Record<string, DecisionModelV4Question>>;
  /** No effect: a decision model writes no text. */
  maxOutputTokens?: number | undefined;
  /** No effect. */
  reasoning?: LanguageModelV4CallOptions["reasoning"];
  /** Aborts the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the request. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Under `lmstudio`: timeouts. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

/** An answer, depending on the type of its question. */
export type DecisionModelV4Answer =
  | {
    /** Answer to a choice. */
    type: "choice";
    /** The chosen option. */
    choice: string;
    /** Probabilities of all options, if the server reports them. */
    probabilities?: Record<string, number>;
  }
  | {
    /** Answer to a score. */
    type: "score";
    /** The score, from 0. */
    score: number;
    /** Probabilities of all levels, by number, if the server reports them. */
    probabilities?: Record<string, number>;
  }
  | {
    /** Answer to a boolean question. */
    type: "boolean";
    /** Probability that the statement is true, from 0 to 1. */
    probability: number;
  }
  | {
    /** The model declined to answer. */
    type: "refusal";
  };

/** The result of a decision call. */
export interface DecisionModelV4Result {
  /** The answers, by question name. */
  answers: Record<string, DecisionModelV4Answer>;
  /** How precise the numbers are. */
  rounding: { probabilityDecimals: number; scoreDecimals: number };
  /** Token counts, if the server reports them. */
  usage?: { inputTokens: number; outputTokens: number };
  /** Parts of the call that were not carried out as requested. */
  warnings: SharedV4Warning[];
  /** Under `lmstudio`: `confidence` by question name, and `substituted`. */
  providerMetadata: SharedV4ProviderMetadata;
  /** Identifies the answer. */
  response: {
    /** The model that answered, as the server names it. */
    modelId: string;
    /** The decoded body. */
    body?: unknown;
  };
}

/** A decision model as the AI SDK calls it. The SDK marks this part of its specification as experimental. */
export interface DecisionModelV4 {
  /** Specification version. */
  readonly specificationVersion: "v4";
  /** `lmstudio.decision`. */
  readonly provider: string;
  /** The requested model. */
  readonly modelId: string;
  /** The question types it can answer. */
  readonly supportedQuestionTypes: readonly DecisionModelV4Question["type"][];
  /** Answers all questions about one state. For `experimental_decide`. */
  doDecide(options: DecisionModelV4CallOptions): Promise<DecisionModelV4Result>;
}

// --- The provider -----------------------------------------------------------------------------

/**
 * LM Studio as a provider for the AI SDK. Call it with a model id to get a language model; without an id you get the
 * configured model or, if none is configured, the loaded one.
 */
export interface LMStudioProviderV4 {
  /** A language model. */
  (modelId?: string): LanguageModelV4;
  /** Specification version. */
  readonly specificationVersion: "v4";
  /** A language model. */
  languageModel(modelId?: string): LanguageModelV4;
  /** An embedding model. */
  embeddingModel(modelId?: string): EmbeddingModelV4;
  /** An embedding model, under the method's name in earlier versions of the SDK. */
  textEmbeddingModel(modelId?: string): EmbeddingModelV4;
  /** A decision model: it answers questions and writes no text. */
  decisionModel(modelId?: string): DecisionModelV4;
  /** Always throws: LM Studio has no image models. @throws `NoSuchModelError` of the SDK. */
  imageModel(modelId: string): never;
}
