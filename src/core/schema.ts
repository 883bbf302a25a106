/**
 * Schemas as users hand them in: plain JSON Schema, or any object that follows the Standard Schema
 * conventions. Written out here so that no schema library is on the import graph.
 *
 * @see https://standardschema.dev
 * @module
 */

/** A JSON Schema document. */
export interface JsonSchema {
  /** Any keyword of JSON Schema. */
  readonly [keyword: string]: unknown;
}

/** A schema of any library that follows Standard Schema, such as zod 4 or ArkType. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The convention's one property. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** What a Standard Schema tells about itself. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** Version of the convention. */
  readonly version: 1;
  /** Name of the library. */
  readonly vendor: string;
  /** Present on schemas that validate. */
  readonly validate: (
    value: unknown,
  ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
  /** Present on schemas that can give JSON Schema. */
  readonly jsonSchema?: {
    readonly input: (options: { readonly target: string }) => Record<string, unknown>;
    readonly output: (options: { readonly target: string }) => Record<string, unknown>;
  } | undefined;
  /** Never there at run time: it carries the types. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
}

/** What validation gives: the `value` that the schema makes of it, or the `issues` that are wrong with it. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** What is wrong, for people. */
  readonly message: string;
  /** Where it is wrong. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What validating against a schema gives: its output type, and `unknown` for plain JSON Schema. */
export type SchemaOutput<Schema> = Schema extends
  { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly output: infer Output } ? Output : unknown
  : unknown;
