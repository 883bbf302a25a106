/**
 * Schemas as users hand them in: plain JSON Schema, or any object that follows the Standard Schema
 * conventions. Written out here so that no schema library is on the import graph.
 *
 * @see https://standardschema.dev
 * @module
 */

/**
 * A JSON Schema document. The keywords are listed, and not "any field", so that a raw shape such as
 * `{ name: z.string() }` is refused by the compiler: wrap it, as in `z.object({ name: z.string() })`. A keyword of your
 * own is sent as well; TypeScript takes it from a variable, not in a literal.
 *
 * @see https://json-schema.org/understanding-json-schema/keywords
 */
export type JsonSchema = {
  /** Name of the JSON Schema version. */
  readonly $schema?: string | undefined;
  /** Name of this schema. */
  readonly $id?: string | undefined;
  /** Name of this schema for references. */
  readonly $anchor?: string | undefined;
  /** Note for readers of the schema. */
  readonly $comment?: string | undefined;
  /** Reference to another schema, such as `#/$defs/city`. */
  readonly $ref?: string | undefined;
  /** Schemas for references. */
  readonly $defs?: { readonly [name: string]: unknown } | undefined;
  /** Schemas for references, before draft 2019-09. */
  readonly definitions?: { readonly [name: string]: unknown } | undefined;
  /** Title. */
  readonly title?: string | undefined;
  /** Purpose of the value: the model reads it. */
  readonly description?: string | undefined;
  /** Value that is used where none is given. */
  readonly default?: unknown;
  /** Values for people to look at. */
  readonly examples?: readonly unknown[] | undefined;
  /** Whether it should no longer be used. */
  readonly deprecated?: boolean | undefined;
  /** Whether it is only read. */
  readonly readOnly?: boolean | undefined;
  /** Whether it is only written. */
  readonly writeOnly?: boolean | undefined;
  /** OpenAPI 3.0: whether null is allowed. */
  readonly nullable?: boolean | undefined;
  /** Type of the value, such as `"object"`, or several. */
  readonly type?: string | readonly string[] | undefined;
  /** Values that are allowed. */
  readonly enum?: readonly unknown[] | undefined;
  /** The one value that is allowed. */
  readonly const?: unknown;
  /** Schemas of the fields of an object. */
  readonly properties?: { readonly [name: string]: unknown } | undefined;
  /** Schemas of fields whose name fits a pattern. */
  readonly patternProperties?: { readonly [pattern: string]: unknown } | undefined;
  /** Schema of all other fields; `false` allows none. */
  readonly additionalProperties?: JsonSchema | boolean | undefined;
  /** Schema of fields that no other keyword knows. */
  readonly unevaluatedProperties?: JsonSchema | boolean | undefined;
  /** Schema of the names of fields. */
  readonly propertyNames?: JsonSchema | boolean | undefined;
  /** Fields that must be there. */
  readonly required?: readonly string[] | undefined;
  /** Fields that others ask for, before draft 2019-09. */
  readonly dependencies?: { readonly [name: string]: unknown } | undefined;
  /** Fields that others ask for. */
  readonly dependentRequired?: { readonly [name: string]: readonly string[] } | undefined;
  /** Schemas that fields ask for. */
  readonly dependentSchemas?: { readonly [name: string]: unknown } | undefined;
  /** Fewest fields. */
  readonly minProperties?: number | undefined;
  /** Most fields. */
  readonly maxProperties?: number | undefined;
  /** Schema of the items of an array; a list of them is a tuple before draft 2020-12. */
  readonly items?: JsonSchema | boolean | readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of the first items of an array. */
  readonly prefixItems?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schema of the items behind those of a tuple, before draft 2020-12. */
  readonly additionalItems?: JsonSchema | boolean | undefined;
  /** Schema of items that no other keyword knows. */
  readonly unevaluatedItems?: JsonSchema | boolean | undefined;
  /** Schema that an item must fit. */
  readonly contains?: JsonSchema | boolean | undefined;
  /** Fewest items that must fit `contains`. */
  readonly minContains?: number | undefined;
  /** Most items that may fit `contains`. */
  readonly maxContains?: number | undefined;
  /** Fewest items. */
  readonly minItems?: number | undefined;
  /** Most items. */
  readonly maxItems?: number | undefined;
  /** Whether no two items are equal. */
  readonly uniqueItems?: boolean | undefined;
  /** Shortest text. */
  readonly minLength?: number | undefined;
  /** Longest text. */
  readonly maxLength?: number | undefined;
  /** Regular expression, as text. */
  readonly pattern?: string | undefined;
  /** Known form of a text, such as `"date-time"`. */
  readonly format?: string | undefined;
  /** Encoding of a text, such as `"base64"`. */
  readonly contentEncoding?: string | undefined;
  /** Media type of a text. */
  readonly contentMediaType?: string | undefined;
  /** Smallest number. */
  readonly minimum?: number | undefined;
  /** Largest number. */
  readonly maximum?: number | undefined;
  /** Number that must be exceeded; `true` in draft 4. */
  readonly exclusiveMinimum?: number | boolean | undefined;
  /** Number that must not be reached; `true` in draft 4. */
  readonly exclusiveMaximum?: number | boolean | undefined;
  /** Number whose multiples are allowed. */
  readonly multipleOf?: number | undefined;
  /** Schemas that must all fit. */
  readonly allOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of which one must fit. */
  readonly anyOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of which exactly one must fit. */
  readonly oneOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schema that must not fit. */
  readonly not?: JsonSchema | boolean | undefined;
  /** Schema that decides between `then` and `else`. */
  readonly if?: JsonSchema | boolean | undefined;
  /** Schema where `if` fits. */
  readonly then?: JsonSchema | boolean | undefined;
  /** Schema where `if` does not fit. */
  readonly else?: JsonSchema | boolean | undefined;
  /** Never there: schemas of libraries have it. */
  readonly "~standard"?: never;
  /** Never there: schemas of zod 3 have it. */
  readonly _def?: never;
};

/** A schema of any library that follows Standard Schema, such as zod 4 or ArkType. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The convention's one property. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** Properties by which a Standard Schema describes itself. */
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

/** Result of validation: the `value` that the schema makes of it, or the `issues` found. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** Description for people. */
  readonly message: string;
  /** Place in the value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Output type of a schema; `unknown` for plain JSON Schema. */
export type SchemaOutput<Schema> = Schema extends
  { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly output: infer Output } ? Output : unknown
  : unknown;

/**
 * A value that is still being written: of objects some fields, of lists the first items, of texts their beginning.
 * Dates, functions and other values that have no fields of JSON are as they are.
 */
export type DeepPartial<Value> = unknown extends Value ? Value
  : Value extends
    | string
    | number
    | boolean
    | Date
    | RegExp
    | URL
    | ReadonlyMap<unknown, unknown>
    | ReadonlySet<unknown>
    | ((...args: never) => unknown) ? Value
  : Value extends readonly unknown[] ? number extends Value["length"] ? DeepPartial<Value[number]>[]
    : { -readonly [Index in keyof Value]?: DeepPartial<Value[Index]> }
  : Value extends object ? { -readonly [Key in keyof Value]?: DeepPartial<Value[Key]> }
  : Value;
