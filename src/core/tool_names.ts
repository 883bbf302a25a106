/**
 * Which tool a model means.
 *
 * @module
 */

/**
 * Tools by what a model may call them. LM Studio shows it names in snake_case (0.3.23), so `get_weather` may be
 * `getWeather`, if no other can be meant.
 */
export class ToolsByName<Named extends { readonly name: string }> {
  readonly #exact = new Map<string, Named>();
  readonly #similar = new Map<string, Named | undefined>();

  constructor(tools: readonly Named[]) {
    for (const tool of tools) {
      this.#exact.set(tool.name, tool);
      const letters = lettersOf(tool.name);
      if (letters === "") continue;
      this.#similar.set(letters, this.#similar.has(letters) ? undefined : tool);
    }
  }

  /** The tool that is meant. */
  get(name: string): Named | undefined {
    return this.#exact.get(name) ?? this.#similar.get(lettersOf(name));
  }
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}
