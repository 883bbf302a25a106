/**
 * Schemas as users pass them: plain JSON Schema, or any object that follows the Standard Schema conventions. The types
 * are written out here so that no schema library is imported.
 *
 * @see https://standardschema.dev
 * @module
 */

/**
 * JSON Schema document. Only known keywords are allowed, so that the compiler rejects a raw shape such as
 * `{ name: z.string() }`: wrap it, as in `z.object({ name: z.string() })`. Custom keywords are sent too, but TypeScript
 * accepts them only from a variable, not in a literal.
 *
 * @see https://json-schema.org/understanding-json-schema/keywords
 */
export type JsonSchema = {
  /** URI of the JSON Schema version. */
  readonly $schema?: string | undefined;
  /** URI of this schema. */
  readonly $id?: string | undefined;
  /** Name by which references can point to this schema. */
  readonly $anchor?: string | undefined;
  /** Comment for readers of the schema. */
  readonly $comment?: string | undefined;
  /** Reference to another schema, such as `#/$defs/city`. */
  readonly $ref?: string | undefined;
  /** Schemas that references can point to. */
  readonly $defs?: { readonly [name: string]: unknown } | undefined;
  /** Schemas that references can point to, before draft 2019-09. */
  readonly definitions?: { readonly [name: string]: unknown } | undefined;
  /** Title. */
  readonly title?: string | undefined;
  /** Description of the value, which the model reads. */
  readonly description?: string | undefined;
  /** Value to use if none is given. */
  readonly default?: unknown;
  /** Example values. */
  readonly examples?: readonly unknown[] | undefined;
  /** Whether the value is deprecated. */
  readonly deprecated?: boolean | undefined;
  /** Whether the value can only be read. */
  readonly readOnly?: boolean | undefined;
  /** Whether the value can only be written. */
  readonly writeOnly?: boolean | undefined;
  /** OpenAPI 3.0: whether null is allowed. */
  readonly nullable?: boolean | undefined;
  /** Type of the value, such as `"object"`, or a list of types. */
  readonly type?: string | readonly string[] | undefined;
  /** Allowed values. */
  readonly enum?: readonly unknown[] | undefined;
  /** The only allowed value. */
  readonly const?: unknown;
  /** Schemas of an object's fields, by name. */
  readonly properties?: { readonly [name: string]: unknown } | undefined;
  /** Schemas of fields whose names match a pattern. */
  readonly patternProperties?: { readonly [pattern: string]: unknown } | undefined;
  /** Schema of all other fields; `false` allows none. */
  readonly additionalProperties?: JsonSchema | boolean | undefined;
  /** Schema of fields not covered by any other keyword. */
  readonly unevaluatedProperties?: JsonSchema | boolean | undefined;
  /** Schema of the field names. */
  readonly propertyNames?: JsonSchema | boolean | undefined;
  /** Names of required fields. */
  readonly required?: readonly string[] | undefined;
  /** Fields or schemas that a field requires, before draft 2019-09. */
  readonly dependencies?: { readonly [name: string]: unknown } | undefined;
  /** Fields that a field requires. */
  readonly dependentRequired?: { readonly [name: string]: readonly string[] } | undefined;
  /** Schemas that a field requires. */
  readonly dependentSchemas?: { readonly [name: string]: unknown } | undefined;
  /** Minimum number of fields. */
  readonly minProperties?: number | undefined;
  /** Maximum number of fields. */
  readonly maxProperties?: number | undefined;
  /** Schema of an array's items; before draft 2020-12, a list of schemas means a tuple. */
  readonly items?: JsonSchema | boolean | readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of an array's first items. */
  readonly prefixItems?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schema of the items after those of a tuple, before draft 2020-12. */
  readonly additionalItems?: JsonSchema | boolean | undefined;
  /** Schema of items not covered by any other keyword. */
  readonly unevaluatedItems?: JsonSchema | boolean | undefined;
  /** Schema that at least one item must match. */
  readonly contains?: JsonSchema | boolean | undefined;
  /** Minimum number of items that match `contains`. */
  readonly minContains?: number | undefined;
  /** Maximum number of items that match `contains`. */
  readonly maxContains?: number | undefined;
  /** Minimum number of items. */
  readonly minItems?: number | undefined;
  /** Maximum number of items. */
  readonly maxItems?: number | undefined;
  /** Whether items must be distinct. */
  readonly uniqueItems?: boolean | undefined;
  /** Minimum length of a text. */
  readonly minLength?: number | undefined;
  /** Maximum length of a text. */
  readonly maxLength?: number | undefined;
  /** Regular expression that a text must match. */
  readonly pattern?: string | undefined;
  /** Format of a text, such as `"date-time"`. */
  readonly format?: string | undefined;
  /** Encoding of a text, such as `"base64"`. */
  readonly contentEncoding?: string | undefined;
  /** Media type of a text. */
  readonly contentMediaType?: string | undefined;
  /** Smallest allowed number. */
  readonly minimum?: number | undefined;
  /** Largest allowed number. */
  readonly maximum?: number | undefined;
  /** Exclusive lower limit; a boolean in draft 4. */
  readonly exclusiveMinimum?: number | boolean | undefined;
  /** Exclusive upper limit; a boolean in draft 4. */
  readonly exclusiveMaximum?: number | boolean | undefined;
  /** Number that the value must be a multiple of. */
  readonly multipleOf?: number | undefined;
  /** Schemas that must all match. */
  readonly allOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of which at least one must match. */
  readonly anyOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schemas of which exactly one must match. */
  readonly oneOf?: readonly (JsonSchema | boolean)[] | undefined;
  /** Schema that must not match. */
  readonly not?: JsonSchema | boolean | undefined;
  /** Schema that selects `then` or `else`. */
  readonly if?: JsonSchema | boolean | undefined;
  /** Schema that applies if `if` matches. */
  readonly then?: JsonSchema | boolean | undefined;
  /** Schema that applies if `if` does not match. */
  readonly else?: JsonSchema | boolean | undefined;
  /** Never present; rejects schemas from libraries. */
  readonly "~standard"?: never;
  /** Never present; rejects zod 3 schemas. */
  readonly _def?: never;
};

/** Schema from any library that follows Standard Schema, such as zod 4 or ArkType. */
export interface StandardSchema<Input = unknown, Output = Input> {
  /** The only property of the convention. */
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** Properties of a Standard Schema. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  /** Version of the convention. */
  readonly version: 1;
  /** Name of the library. */
  readonly vendor: string;
  /** Present on schemas that validate. */
  readonly validate: (
    value: unknown,
  ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
  /** Present on schemas that can generate JSON Schema. */
  readonly jsonSchema?: {
    readonly input: (options: { readonly target: string }) => Record<string, unknown>;
    readonly output: (options: { readonly target: string }) => Record<string, unknown>;
  } | undefined;
  /** Never present at run time; carries the types. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
}

/** Result of validation: the schema's output as `value`, or the `issues` found. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** Issue found in a value. */
export interface SchemaIssue {
  /** Description of the issue for users. */
  readonly message: string;
  /** Path of the issue in the value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Output type of a schema; `unknown` for plain JSON Schema. */
export type SchemaOutput<Schema> = Schema extends
  { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly output: infer Output } ? Output : unknown
  : unknown;

/**
 * Value that is still being written: objects may lack fields, lists may lack items, and texts may be cut off. Dates,
 * functions and other values without JSON fields keep their types.
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
