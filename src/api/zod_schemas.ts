/**
 * JSON Schema for zod schemas that do not provide their own: zod 4.0 and 4.1, `zod/v4` from zod 3.25, zod/mini. All have
 * one internal format, so this package's zod can read them, whichever copy made them.
 *
 * @module
 */

import * as z from "zod";

/**
 * Titles and descriptions. zod before 4.2 keeps them in a registry of each copy, visible only to that copy's schemas;
 * those of its zod/mini, whose schemas have no `meta()`, are lost.
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

/** The JSON Schema of a zod 4 schema's input. @throws if there is none, as for a date. */
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
