/** Code of a program that wants tests: see summary_test.ts. */
import { isProviderError, type ModelProvider } from "../mod.ts";

/** The text in one sentence; where no model is there, its beginning. */
export async function summarize(provider: ModelProvider, text: string): Promise<string> {
  try {
    const { content } = await provider.complete({
      messages: [{ role: "system", content: "Sum it up in one sentence." }, text],
      temperature: 0,
    });
    return content.trim();
  } catch (error) {
    if (!isProviderError(error, "network")) throw error;
    return `${text.slice(0, 20)}…`;
  }
}
