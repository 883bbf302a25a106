/**
 * The AI SDK's provider specification, version 4, as far as this provider implements it: what it takes is at least as
 * wide as the SDK's type of the same name, what it gives at most as wide. Written out by hand, so that neither a
 * dependency nor, where that is not installed, a silent `any` reaches users; tests hold each against `@ai-sdk/provider`.
 *
 * @see https://github.com/vercel/ai/tree/main/packages/provider/src
 * @module
 */

/** A value that JSON can hold. */
export type JsonValue = null | string | number | boolean | JsonObject | readonly JsonValue[];

/** An object that JSON can hold. */
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

/** What callers tell a provider beyond the specification, by the provider's name. */
export type SharedV4ProviderOptions = Readonly<Record<string, JsonObject>>;

/** What a provider tells beyond the specification, by the provider's name. */
export type SharedV4ProviderMetadata = Record<string, JsonObject>;

/** Something in a call that is not done as asked. */
export type SharedV4Warning =
  | {
    /** `unsupported` is left out, `compatibility` is done in another way. */
    type: "unsupported" | "compatibility";
    /** Name of what was asked for. */
    feature: string;
    /** What is done instead, or what to do. */
    details?: string;
  }
  | {
    /** Anything else. */
    type: "other";
    /** A sentence for people. */
    message: string;
  };

/** A file: its bytes, where it is, what a provider calls it, or its text. */
export type SharedV4FileData =
  | {
    /** Discriminates. */
    type: "data";
    /** The bytes, as a string in base64. */
    data: Uint8Array | string;
  }
  | {
    /** Discriminates. */
    type: "url";
    /** Its address. */
    url: URL;
  }
  | {
    /** Discriminates. */
    type: "reference";
    /** Ids by the names of providers: LM Studio keeps no files. */
    reference: Readonly<Record<string, string>> & { type?: never };
  }
  | {
    /** Discriminates. */
    type: "text";
    /** The text. */
    text: string;
  };

// --- What a language model is asked -----------------------------------------------------------

/** Text within a message. */
export interface LanguageModelV4TextPart {
  /** Discriminates. */
  type: "text";
  /** The text. */
  text: string;
}

/** A file within a message. */
export interface LanguageModelV4FilePart {
  /** Discriminates. */
  type: "file";
  /** The file. */
  data: SharedV4FileData;
  /** Such as `image/png`, `image/*` or `image`. */
  mediaType: string;
  /** Name of the file. */
  filename?: string | undefined;
}

/** What an assistant thought. */
export interface LanguageModelV4ReasoningPart {
  /** Discriminates. */
  type: "reasoning";
  /** The thought. */
  text: string;
}

/** A call that an assistant asked for. */
export interface LanguageModelV4ToolCallPart {
  /** Discriminates. */
  type: "tool-call";
  /** Ties the result to the call. */
  toolCallId: string;
  /** Name of the tool. */
  toolName: string;
  /** The decoded arguments. */
  input: unknown;
}

/** The result of a call. */
export interface LanguageModelV4ToolResultPart {
  /** Discriminates. */
  type: "tool-result";
  /** The call it belongs to. */
  toolCallId: string;
  /** Name of the tool. */
  toolName: string;
  /** What the tool gave. */
  output: LanguageModelV4ToolResultOutput;
}

/** Parts that this provider cannot send, or that are not for the model. */
export interface LanguageModelV4OtherPart {
  /** Discriminates. */
  type: "custom" | "reasoning-file" | "tool-approval-response";
}

/** What a tool gave. */
export type LanguageModelV4ToolResultOutput =
  | {
    /** Text, of the result or of an error. */
    type: "text" | "error-text";
    /** The text. */
    value: string;
  }
  | {
    /** A value, of the result or of an error. */
    type: "json" | "error-json";
    /** The value. */
    value: JsonValue;
  }
  | {
    /** The user did not let the tool run. */
    type: "execution-denied";
    /** Why. */
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
        /** Of a provider alone. */
        type: "custom";
      }
    )[];
  };

/** One message of a prompt. */
export type LanguageModelV4Message =
  | {
    /** Who speaks. */
    role: "system";
    /** What the model is told. */
    content: string;
  }
  | {
    /** Who speaks. */
    role: "user";
    /** What the user says and shows. */
    content: readonly (LanguageModelV4TextPart | LanguageModelV4FilePart)[];
  }
  | {
    /** Who speaks. */
    role: "assistant";
    /** What the model said, thought and called. */
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
    /** Who speaks. */
    role: "tool";
    /** What tools gave. */
    content: readonly (LanguageModelV4ToolResultPart | LanguageModelV4OtherPart)[];
  };

/** A tool that the caller runs. */
export interface LanguageModelV4FunctionTool {
  /** Discriminates. */
  type: "function";
  /** Name the model calls it by. */
  name: string;
  /** Tells the model what it is for. */
  description?: string | undefined;
  /** Shape of the arguments: JSON Schema. */
  inputSchema: object;
  /** Examples of arguments. */
  inputExamples?: readonly { input: JsonObject }[] | undefined;
  /** Whether the provider is to make arguments fit the schema. */
  strict?: boolean | undefined;
}

/** A tool that a provider runs: LM Studio has none. */
export interface LanguageModelV4ProviderTool {
  /** Discriminates. */
  type: "provider";
  /** Such as `openai.web_search`. */
  id: `${string}.${string}`;
  /** Name of the tool. */
  name: string;
}

/** Which tool the model is to call. */
export type LanguageModelV4ToolChoice =
  | {
    /** As the model likes, none, or any. */
    type: "auto" | "none" | "required";
  }
  | {
    /** The one that is named. */
    type: "tool";
    /** Its name. */
    toolName: string;
  };

/** What a language model is asked, and how. */
export interface LanguageModelV4CallOptions {
  /** The conversation. */
  prompt: readonly LanguageModelV4Message[];
  /** Tokens to generate at most. */
  maxOutputTokens?: number | undefined;
  /** Randomness, 0 or more. */
  temperature?: number | undefined;
  /** Texts that end the answer. */
  stopSequences?: readonly string[] | undefined;
  /** Nucleus sampling. */
  topP?: number | undefined;
  /** Keep only this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Penalty for tokens that are there already. */
  presencePenalty?: number | undefined;
  /** Penalty by how often a token is there already. */
  frequencyPenalty?: number | undefined;
  /** Text, or JSON of a shape. */
  responseFormat?:
    | { type: "text" }
    | {
      type: "json";
      schema?: object | undefined;
      name?: string | undefined;
      description?: string | undefined;
    }
    | undefined;
  /** Seed of the sampling. */
  seed?: number | undefined;
  /** Tools the model may call. */
  tools?: readonly (LanguageModelV4FunctionTool | LanguageModelV4ProviderTool)[] | undefined;
  /** Which of them. @default {"auto"} */
  toolChoice?: LanguageModelV4ToolChoice | undefined;
  /** Whether streams give the frames of the server as well. */
  includeRawChunks?: boolean | undefined;
  /** Ends the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the request. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** How much the model may think. */
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
  /** Under `lmstudio`: fields of a completion request, and its timers. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

// --- What a language model gives --------------------------------------------------------------

/** A piece of a whole answer. */
export type LanguageModelV4Content =
  | {
    /** Text, or a thought. */
    type: "text" | "reasoning";
    /** The text. */
    text: string;
  }
  | LanguageModelV4ToolCall;

/** A call that the model asks for. */
export interface LanguageModelV4ToolCall {
  /** Discriminates. */
  type: "tool-call";
  /** Ties the result to the call; no two of an answer are equal. */
  toolCallId: string;
  /** Name of the tool. */
  toolName: string;
  /** JSON text, as the model wrote it. */
  input: string;
  /** Under `lmstudio`: `source: "text"` where the model wrote the call into its text. */
  providerMetadata?: SharedV4ProviderMetadata;
}

/** Why the model stopped. */
export interface LanguageModelV4FinishReason {
  /** The specification's word. */
  unified: "stop" | "length" | "content-filter" | "tool-calls" | "error" | "other";
  /** The server's word. */
  raw: string | undefined;
}

/** Tokens read and written; `undefined` where the server does not tell. */
export interface LanguageModelV4Usage {
  /** Tokens of the request. */
  inputTokens: {
    /** All of them. */
    total: number | undefined;
    /** Those that were read anew. */
    noCache: number | undefined;
    /** Those the server still had. */
    cacheRead: number | undefined;
    /** LM Studio does not tell. */
    cacheWrite: number | undefined;
  };
  /** Tokens of the answer. */
  outputTokens: {
    /** All of them. */
    total: number | undefined;
    /** Those of the text. */
    text: number | undefined;
    /** Those of thoughts. */
    reasoning: number | undefined;
  };
  /** The server's own numbers. */
  raw?: JsonObject;
}

/** Which answer it is. */
export interface LanguageModelV4ResponseMetadata {
  /** The server's id of the answer. */
  id?: string;
  /** When it was begun. */
  timestamp?: Date;
  /** The model that answered, as the server names it. */
  modelId?: string;
}

/** A whole answer. */
export interface LanguageModelV4GenerateResult {
  /** Thoughts, text and calls, in this order. */
  content: LanguageModelV4Content[];
  /** Why the model stopped. */
  finishReason: LanguageModelV4FinishReason;
  /** Tokens read and written. */
  usage: LanguageModelV4Usage;
  /**
   * Under `lmstudio`: `stats`, `substituted` where another model answered than was asked, and `trimmed` where the
   * conversation was cut.
   */
  providerMetadata: SharedV4ProviderMetadata;
  /** Which answer it is. */
  response: LanguageModelV4ResponseMetadata & {
    /** The decoded body. */
    body?: unknown;
  };
  /** What was not done as asked. */
  warnings: SharedV4Warning[];
}

/** A part of a streamed answer. */
export type LanguageModelV4StreamPart =
  | {
    /** The first part. */
    type: "stream-start";
    /** What is not done as asked. */
    warnings: SharedV4Warning[];
  }
  | {
    /** A block of text or of thoughts begins or ends; of a call the arguments have ended. */
    type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end" | "tool-input-end";
    /** The block, or the call. */
    id: string;
  }
  | {
    /** More of a block, or of the arguments of a call. */
    type: "text-delta" | "reasoning-delta" | "tool-input-delta";
    /** The block, or the call. */
    id: string;
    /** What is added. */
    delta: string;
  }
  | {
    /** A call begins. */
    type: "tool-input-start";
    /** The call. */
    id: string;
    /** Name of the tool. */
    toolName: string;
  }
  | LanguageModelV4ToolCall
  | ({
    /** Which answer it is: before `finish`. */
    type: "response-metadata";
  } & LanguageModelV4ResponseMetadata)
  | {
    /** The last part. */
    type: "finish";
    /** Tokens read and written. */
    usage: LanguageModelV4Usage;
    /** Why the model stopped. */
    finishReason: LanguageModelV4FinishReason;
    /** As of a whole answer. */
    providerMetadata: SharedV4ProviderMetadata;
  }
  | {
    /** Why the answer is not whole: before `finish`. */
    type: "error";
    /** The error. */
    error: unknown;
  };

/** A streamed answer. */
export interface LanguageModelV4StreamResult {
  /** Its parts; cancelling it stops the generation. */
  stream: ReadableStream<LanguageModelV4StreamPart>;
}

/** A language model, as the AI SDK calls it. */
export interface LanguageModelV4 {
  /** Version of the specification. */
  readonly specificationVersion: "v4";
  /** `lmstudio.chat`. */
  readonly provider: string;
  /** The model that is asked. */
  readonly modelId: string;
  /** None: the SDK fetches images behind addresses itself, with its own guard against addresses within your network. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** One whole answer. For `generateText`. */
  doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult>;
  /** The answer as it is generated, once its first piece is there. For `streamText`. */
  doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult>;
}

// --- Embeddings -------------------------------------------------------------------------------

/** What an embedding model is asked. */
export interface EmbeddingModelV4CallOptions {
  /** The texts. */
  values: readonly string[];
  /** Length of the vectors. */
  dimensions?: number | undefined;
  /** Ends the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the requests. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Under `lmstudio`: fields of an embedding request, and its timers. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

/** What an embedding model gives. */
export interface EmbeddingModelV4Result {
  /** One vector per text, in order. */
  embeddings: number[][];
  /** Tokens read, where the server tells; LM Studio says 0. */
  usage?: { tokens: number };
  /** Under `lmstudio`: `substituted`, where another model answered than was asked. */
  providerMetadata: SharedV4ProviderMetadata;
  /** What was not done as asked. */
  warnings: SharedV4Warning[];
}

/** An embedding model, as the AI SDK calls it. */
export interface EmbeddingModelV4 {
  /** Version of the specification. */
  readonly specificationVersion: "v4";
  /** `lmstudio.embedding`. */
  readonly provider: string;
  /** The model that is asked. */
  readonly modelId: string;
  /** Texts that `embedMany` gives at a time. */
  readonly maxEmbeddingsPerCall: number;
  /** No: engines have crashed under parallel embedding. */
  readonly supportsParallelCalls: boolean;
  /** One vector per text. For `embed` and `embedMany`. */
  doEmbed(options: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result>;
}

// --- Decisions --------------------------------------------------------------------------------

/** What a question or its answers mean. */
export type DecisionModelV4Input = string | JsonObject | readonly JsonValue[];

/** A part of what is decided about. */
export type DecisionModelV4StatePart =
  | LanguageModelV4TextPart
  | LanguageModelV4FilePart
  | {
    /** Discriminates. */
    type: "json";
    /** The value. */
    value: JsonValue;
  };

/** A question about the state. */
export type DecisionModelV4Question =
  | {
    /** One of several options. */
    readonly type: "choice";
    /** What to choose by. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** What the options mean, by their names. */
    readonly criteria: Readonly<Record<string, DecisionModelV4Input | null>>;
  }
  | {
    /** A place on a scale. */
    readonly type: "score";
    /** What to rate. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** What the levels mean, from the lowest to the highest. */
    readonly criteria: readonly (DecisionModelV4Input | null)[];
  }
  | {
    /** A place in an image, which LM Studio's models do not tell. */
    readonly type: "box";
    /** What to find. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
  }
  | {
    /** Whether something is true. */
    readonly type: "boolean";
    /** What. */
    readonly instructions?: DecisionModelV4Input | null | undefined;
    /** What the answers mean. */
    readonly criteria?:
      | {
        readonly true?: DecisionModelV4Input | null | undefined;
        readonly false?: DecisionModelV4Input | null | undefined;
      }
      | null
      | undefined;
  };

/** What a decision model is asked. */
export interface DecisionModelV4CallOptions {
  /** What is decided about. */
  state: readonly DecisionModelV4StatePart[];
  /** Questions by names of the caller's. */
  questions: Readonly<Record<string, DecisionModelV4Question>>;
  /** Without effect: a decision model writes no text. */
  maxOutputTokens?: number | undefined;
  /** Without effect. */
  reasoning?: LanguageModelV4CallOptions["reasoning"];
  /** Ends the call. */
  abortSignal?: AbortSignal | undefined;
  /** Headers of the request. */
  headers?: Readonly<Record<string, string | undefined>> | undefined;
  /** Under `lmstudio`: the timers. */
  providerOptions?: SharedV4ProviderOptions | undefined;
}

/** An answer, by the type of its question. */
export type DecisionModelV4Answer =
  | {
    /** Of a choice. */
    type: "choice";
    /** The option. */
    choice: string;
    /** Of all options, where the server gives them. */
    probabilities?: Record<string, number>;
  }
  | {
    /** Of a score. */
    type: "score";
    /** The place on the scale, from 0. */
    score: number;
    /** Of all levels, by their numbers, where the server gives them. */
    probabilities?: Record<string, number>;
  }
  | {
    /** Whether something is true. */
    type: "boolean";
    /** How likely it is, from 0 to 1. */
    probability: number;
  }
  | {
    /** The model declined. */
    type: "refusal";
  };

/** What a decision model gives. */
export interface DecisionModelV4Result {
  /** By the names of the questions. */
  answers: Record<string, DecisionModelV4Answer>;
  /** How exact the numbers are. */
  rounding: { probabilityDecimals: number; scoreDecimals: number };
  /** Tokens read and written, where the server tells. */
  usage?: { inputTokens: number; outputTokens: number };
  /** What was not done as asked. */
  warnings: SharedV4Warning[];
  /** Under `lmstudio`: `confidence` by the names of the questions, and `substituted`. */
  providerMetadata: SharedV4ProviderMetadata;
  /** Which answer it is. */
  response: {
    /** The model that answered, as the server names it. */
    modelId: string;
    /** The decoded body. */
    body?: unknown;
  };
}

/** A decision model, as the AI SDK calls it. The SDK calls this part of its specification experimental. */
export interface DecisionModelV4 {
  /** Version of the specification. */
  readonly specificationVersion: "v4";
  /** `lmstudio.decision`. */
  readonly provider: string;
  /** The model that is asked. */
  readonly modelId: string;
  /** The types of questions it answers. */
  readonly supportedQuestionTypes: readonly DecisionModelV4Question["type"][];
  /** All answers about the same state. For `experimental_decide`. */
  doDecide(options: DecisionModelV4CallOptions): Promise<DecisionModelV4Result>;
}

// --- The provider -----------------------------------------------------------------------------

/**
 * LM Studio as a provider of the AI SDK. Called with a model id it gives a language model; without one, the model that
 * is configured, else the one that is loaded.
 */
export interface LMStudioProviderV4 {
  /** A language model. */
  (modelId?: string): LanguageModelV4;
  /** Version of the specification. */
  readonly specificationVersion: "v4";
  /** A language model. */
  languageModel(modelId?: string): LanguageModelV4;
  /** An embedding model. */
  embeddingModel(modelId?: string): EmbeddingModelV4;
  /** An embedding model, under the name it had in earlier versions of the SDK. */
  textEmbeddingModel(modelId?: string): EmbeddingModelV4;
  /** A decision model: one that answers questions, and writes no text. */
  decisionModel(modelId?: string): DecisionModelV4;
  /** LM Studio makes no images. @throws `NoSuchModelError` of the SDK. */
  imageModel(modelId: string): never;
}
