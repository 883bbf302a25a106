/**
 * Tool names: finds the tool a model means.
 *
 * @module
 */

/**
 * Tools by the names a model may use. LM Studio shows the model names in snake_case (0.3.23), so `get_weather` may mean
 * `getWeather`, unless it could mean another tool too.
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

  /** Finds the tool that a name means. */
  get(name: string): Named | undefined {
    return this.#exact.get(name) ?? this.#similar.get(lettersOf(name));
  }
}

function lettersOf(name: string): string {
  return name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
}
