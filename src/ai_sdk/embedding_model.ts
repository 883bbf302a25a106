/**
 * An embedding model of LM Studio as the AI SDK calls it.
 *
 * @module
 */

import { NAME, splitOptions } from "./call.ts";
import { toSdkError } from "./call_error.ts";
import { type ModelSource, substitutionOf } from "./language_model.ts";
import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  SharedV4Warning,
} from "./specification.ts";

/** As many as `embed` puts into a request: a failure costs no more than these. */
const VALUES_PER_CALL = 64;

/** An embedding model: asked as `embed` asks. */
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
    const warnings: SharedV4Warning[] = call.dimensions === undefined
      ? []
      : [{ type: "unsupported", feature: "dimensions" }];
    try {
      const { embeddings, model, usage } = await provider.embed({
        ...own,
        ...(this.modelId === "" ? {} : { model: this.modelId }),
        input: call.values,
      }, options);
      return {
        embeddings,
        ...(usage === undefined ? {} : { usage: { tokens: usage.promptTokens } }),
        providerMetadata: { [NAME]: substitutionOf(this.modelId, model) },
        warnings,
      };
    } catch (error) {
      throw toSdkError(error, { modelId: this.modelId, modelType: "embeddingModel" });
    }
  }
}
