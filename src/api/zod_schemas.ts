/**
 * JSON Schema of zod's schemas that give none of their own: zod 4.0 and 4.1, `zod/v4` of zod 3.25, zod/mini. All of
 * them describe themselves in the same way, so this package's zod reads them, whichever copy made them.
 *
 * @module
 */

import * as z from "zod";

/**
 * Titles and descriptions. zod before 4.2 keeps them in a list of each copy, which only its own schemas can see; of
 * its zod/mini, whose schemas have no `meta()`, they are lost.
 */
class Metadata extends z.core.$ZodRegistry<z.core.GlobalMeta> {
  override get<S extends z.core.$ZodType>(
    schema: S,
  ): z.core.$replace<z.core.GlobalMeta, S> | undefined {
    const known = z.globalRegistry.get(schema);
    if (known !== undefined || !("meta" in schema) || typeof schema.meta !== "function") {
      return known;
    }
    return schema.meta();
  }
}

/** The JSON Schema of what goes into a schema of zod 4. @throws where it has none, as a date. */
export function writeZodSchema(
  schema: unknown,
  target: "draft-07" | "draft-2020-12",
): unknown {
  return z.toJSONSchema(schema as z.core.$ZodType, {
    io: "input",
    target,
    metadata: new Metadata(),
  });
}
