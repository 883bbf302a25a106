/**
 * The settings whose values are secret, and how a configuration is shown without them.
 *
 * @module
 */

/** Settings that are shown masked, and sent only to the server they were given for. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(["apiToken", "headers"]);

/** A value with nothing left of it but the names of its fields. */
export function mask(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value === undefined ? undefined : "***";
  return Object.freeze(Object.fromEntries(Object.keys(value).map((key) => [key, "***"])));
}

/** A frozen copy whose values stay readable for code; whatever prints the whole object sees no secret. */
export function freezeWithoutSecrets<Config>(values: Readonly<Record<string, unknown>>): Config {
  const show = (): Record<string, unknown> => {
    const shown: Record<string, unknown> = { ...values };
    for (const key of SECRET_KEYS) if (key in shown) shown[key] = mask(shown[key]);
    return shown;
  };
  // Node prints what its hook returns; Deno makes text of it, "[object Object]", unless it is text already.
  const showInDeno = (inspect: (value: unknown, options: unknown) => string, options: unknown) =>
    inspect(show(), options);
  const config = Object.defineProperties({ ...values }, {
    toJSON: { value: show },
    [Symbol.for("nodejs.util.inspect.custom")]: { value: show },
    [Symbol.for("Deno.customInspect")]: { value: showInDeno },
  });
  return Object.freeze(config) as unknown as Config;
}
