/** Code to be tested: see summary_test.ts. */
import { isProviderError, type ModelProvider } from "../mod.ts";

/** Summarizes a text in one sentence; returns its beginning if the server cannot be reached. */
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
