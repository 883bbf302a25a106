/**
 * The figures of docs/context.md: `deno task context [conversations] [seed]`. The larger tokenizer is loaded only
 * here: it is 30 MB.
 */
import { measure, type ModelUnderTest } from "./support/context_run.ts";
import { LLAMA } from "./support/llama.ts";

/** Not a literal, so that type-checking the tests does not download it. */
const GPT_TOKENIZER: string = "npm:gpt-tokenizer@^4.0.0/encoding/";

async function gpt(name: string, imageTokens: number): Promise<ModelUnderTest> {
  const { countTokens } = await import(GPT_TOKENIZER + name);
  return { name, countTokens: (text) => countTokens(text), imageTokens };
}

const [conversations = 1000, seed = 1] = Deno.args.map(Number);
const models = [LLAMA, await gpt("o200k_base", 256), await gpt("cl100k_base", 1100)];
const share = (value: number) => `${(value * 100).toFixed(1)} %`;

console.log(
  "| tokenizer | model is | policy | cut requests | most used | above 101 % | median | ≥ 90 % of the budget | ≥ 90 % of what whole turns allow | refused first | not answered |",
);
console.log("| --- | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |");
for (const model of models) {
  for (const is of ["learnt", "known", "unknown"] as const) {
    for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
      const found = await measure(model, policy, { conversations, seed, is });
      if (found.broken.length > 0) throw new Error(`Cannot keep the rules: ${found.broken}`);
      const row = [
        model.name,
        is,
        policy,
        found.trimmed,
        share(found.mostUsed),
        found.over,
        share(found.median),
        share(found.full),
        share(found.fullOfPossible),
        found.refused,
        found.failed,
      ];
      console.log(`| ${row.join(" | ")} |`);
    }
  }
}
