/**
 * An LM Studio embedding model as the AI SDK calls it.
 *
 * @module
 */

import type { EmbeddingResponse } from "../core/types.ts";
import { NAME, splitOptions } from "./call.ts";
import { toSdkError } from "./call_error.ts";
import { type ModelSource, substitutionOf } from "./language_model.ts";
import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  SharedV4Warning,
} from "./specification.ts";

/** The batch size of `embed`: a failed call loses no more texts than this. */
const VALUES_PER_CALL = 64;

/** An embedding model; it calls `embed`. */
export class EmbeddingModel implements EmbeddingModelV4 {
  readonly specificationVersion = "v4";
  readonly provider: string = `${NAME}.embedding`;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number = VALUES_PER_CALL;
  readonly supportsParallelCalls = false;
  readonly #source: ModelSource;

  constructor(modelId: string, source: ModelSource) {
    this.modelId = modelId;
    this.#source = source;
  }

  async doEmbed(call: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result> {
    const { provider, defaults } = this.#source;
    const { own, options } = splitOptions(call, defaults);
    try {
      const response = await provider.embed({
        dimensions: call.dimensions,
        ...own,
        ...(this.modelId === "" ? {} : { model: this.modelId }),
        input: call.values,
      }, options);
      const { embeddings, model, usage } = response;
      return {
        embeddings,
        ...(usage === undefined ? {} : { usage: { tokens: usage.promptTokens } }),
        providerMetadata: { [NAME]: substitutionOf(this.modelId, model) },
        warnings: warningsOf(response),
      };
    } catch (error) {
      throw toSdkError(error, { modelId: this.modelId, modelType: "embeddingModel" });
    }
  }
}

/** The parts of the call that were not carried out as requested, as SDK warnings. */
function warningsOf({ truncated, warnings = [] }: EmbeddingResponse): SharedV4Warning[] {
  return [
    ...(truncated === undefined ? [] : [{
      type: "compatibility" as const,
      feature: "dimensions",
      details: "The server returned longer vectors: they were cut and normalized to length 1.",
    }]),
    ...warnings.map(({ index, estimatedTokens, contextLength }) => ({
      type: "other" as const,
      message:
        `Text ${index} of this request has about ${estimatedTokens} tokens, but the model's context is ${contextLength}: ` +
        "the rest was probably ignored.",
    })),
  ];
}
