/**
 * The rules of docs/architecture.md that a machine can check: which file may import which, what
 * stays off the static graph of mod.ts, what Node 20 lacks. Every rule is also tried on a
 * violation, so that no rule passes just because it no longer checks anything.
 */
import { assertEquals } from "@std/assert";
import { type Edge, readGraph, staticGraph } from "./support/import_graph.ts";

const ROOT = new URL("../", import.meta.url);
/** A file imports only from its own folder and from those earlier in this list. */
const LAYERS = [
  "core",
  "platform",
  "transport",
  "api",
  "discovery",
  "server",
  "members",
  "provider",
  "testing",
  "cli",
  "ai_sdk",
];
const VAGUE_NAMES = /^(utils?|helpers?|common|index|misc|shared)(_|\.|$)/;
/** Reached from mod.ts only by `await import()`, or not at all. Of discovery, only the class that users construct and its settings are loaded. */
const KEPT_OFF_MOD = new RegExp(
  "^(npm:|jsr:|node:|src/(members|testing|cli|ai_sdk)/|src/discovery/(?!(discovery|settings)\\.ts$)|" +
    "src/server/(context|models)\\.ts|" +
    "src/.*/(rare_fields|json_schema|schema_check|unwritable|load_names|field_remarks|" +
    "listed_models|renamed_errors)\\.ts$)",
);

// --- The import graph -------------------------------------------------------------------------

function layerOf(file: string): number {
  return LAYERS.indexOf(file.split("/")[1] ?? "");
}

function wrongDirections(edges: Edge[]): string[] {
  return edges
    .filter(({ from, to }) => from.startsWith("src/") && isOwn(to))
    .filter(({ from, to }) => to === "mod.ts" || layerOf(to) > layerOf(from))
    .map(({ from, to }) => `${from} imports ${to}`);
}

function isOwn(file: string): boolean {
  return file === "mod.ts" || file.startsWith("src/");
}

function foreignImports(edges: Edge[]): string[] {
  return edges
    .filter(({ to }) => !isOwn(to) && !to.startsWith("npm:zod@") && !to.startsWith("node:"))
    .map(({ from, to }) => `${from} imports ${to}`);
}

/** Cycles, type-only imports included: two files that need each other are one file. */
function cycles(edges: Edge[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of edges) targets.set(from, [...targets.get(from) ?? [], to]);
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file].join(" -> "));
    if (at >= 0 || done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return found;
}

function heavyImports(edges: Edge[]): string[] {
  return [...staticGraph("mod.ts", edges)].filter((file) => KEPT_OFF_MOD.test(file));
}

// --- The text of a file -----------------------------------------------------------------------

/** Missing on Node 20, although Deno's type check accepts it. */
const MISSING_STATICS: Record<string, string[]> = {
  Array: ["fromAsync"],
  Error: ["isError"],
  Iterator: ["from", "concat"],
  Map: ["groupBy"],
  Math: ["sumPrecise", "f16round"],
  Object: ["groupBy"],
  Promise: ["withResolvers", "try"],
  RegExp: ["escape"],
  URL: ["parse"],
  Uint8Array: ["fromBase64", "fromHex"],
};
const MISSING_GLOBALS = [
  "AsyncDisposableStack",
  "DisposableStack",
  "EventSource",
  "Float16Array",
  "SuppressedError",
  "Temporal",
  "WebSocket",
  "localStorage",
  "navigator",
  "sessionStorage",
];
const MISSING_METHODS = [
  "setFromBase64",
  "setFromHex",
  "toBase64",
  "toHex",
  "transferToFixedLength",
];
const SET_METHODS = [
  "difference",
  "intersection",
  "isDisjointFrom",
  "isSubsetOf",
  "isSupersetOf",
  "symmetricDifference",
  "union",
];
const ITERATOR_METHODS = [
  "drop",
  "every",
  "filter",
  "find",
  "flatMap",
  "forEach",
  "map",
  "reduce",
  "some",
  "take",
  "toArray",
];
const ITERATOR_SOURCES = ["entries", "keys", "matchAll", "values"];
/** `core/` is values in, values out. */
const NOT_IN_CORE = ["fetch", "setTimeout", "setInterval", "queueMicrotask"];
const NOT_OBJECTS_IN_CORE = ["Deno", "process", "globalThis", "performance"];

type Node = Deno.lint.Node;

const plugin: Deno.lint.Plugin = { name: "source", rules: { source: { create } } };

function create(context: Deno.lint.RuleContext): Deno.lint.LintVisitor {
  const folder = context.filename.match(/src\/([a-z_]+)\//)?.[1];
  const refuse = (node: Node, message: string) => context.report({ node, message });
  return {
    TSAnyKeyword: (node) => refuse(node, "any"),
    TSEnumDeclaration: (node) => refuse(node, "enum"),
    ExportDefaultDeclaration: (node) => refuse(node, "default export"),
    VariableDeclaration(node) {
      if (node.kind.includes("using")) refuse(node, node.kind);
    },
    ImportExpression(node) {
      if (node.source.type !== "Literal") refuse(node, "import() of what is not a literal");
    },
    Identifier(node) {
      if (MISSING_GLOBALS.includes(node.name) && isRead(node)) refuse(node, node.name);
    },
    MemberExpression(node) {
      const property = nameOf(node.property);
      const object = nameOf(node.object);
      if (object === "console" && folder !== "cli") refuse(node, "console");
      if (MISSING_STATICS[object]?.includes(property)) refuse(node, `${object}.${property}`);
      if (MISSING_METHODS.includes(property)) refuse(node, `.${property}`);
      if (folder === "core" && NOT_OBJECTS_IN_CORE.includes(object)) {
        refuse(node, `${object} in core`);
      }
      if (node.object.type === "MetaProperty" && property === "main" && folder !== "cli") {
        refuse(node, "import.meta.main");
      }
    },
    CallExpression(node) {
      if (folder === "core" && NOT_IN_CORE.includes(nameOf(node.callee))) {
        refuse(node, `${nameOf(node.callee)} in core`);
      }
      if (node.callee.type !== "MemberExpression") return;
      const method = nameOf(node.callee.property);
      const { object } = node.callee;
      // zod has methods with the same names.
      if (SET_METHODS.includes(method) && nameOf(object) !== "z") {
        refuse(node, `.${method}() of a set`);
      }
      if (ITERATOR_METHODS.includes(method) && isIterator(object)) {
        refuse(node, `.${method}() of an iterator`);
      }
    },
  };
}

function nameOf(node: Node): string {
  return node.type === "Identifier" ? node.name : "";
}

/** `map.values()`, but not `Object.values(record)`. */
function isIterator(node: Node): boolean {
  return node.type === "CallExpression" && node.callee.type === "MemberExpression" &&
    ITERATOR_SOURCES.includes(nameOf(node.callee.property)) &&
    nameOf(node.callee.object) !== "Object";
}

/** Not the name of a property, a type, or a check whether it exists. */
function isRead(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "NewExpression") return parent.callee === node;
  if (parent.type === "CallExpression") return parent.callee === node;
  return parent.type === "MemberExpression" && parent.object === node;
}

function offences(file: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, file, text).map(({ message, range }) =>
    `${file}:${text.slice(0, range[0]).split("\n").length}: ${message}`
  );
}

function offendingNames(files: string[]): string[] {
  return files.filter((file) => {
    const [, folder = "", ...rest] = file.split("/");
    return !LAYERS.includes(folder) ||
      rest.some((name) => VAGUE_NAMES.test(name) || !/^[a-z0-9_]+(\.ts)?$/.test(name));
  });
}

// --- The repository ---------------------------------------------------------------------------

async function listSources(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) files.push(...await listSources(`${folder}${name}/`));
    else files.push(`${folder}${name}`);
  }
  return files.sort();
}

const files = await listSources("src/");
const graph = await readGraph(files);

Deno.test("src/: a file imports only from its own folder and those above it", () => {
  assertEquals(wrongDirections(graph), []);
});

Deno.test("src/: files do not import each other in a circle", () => {
  assertEquals(cycles(graph), []);
});

Deno.test("src/: only zod and the runtime's own modules are imported", () => {
  assertEquals(foreignImports(graph), []);
});

Deno.test("mod.ts: importing it loads no package, no node: module, no sub-path, no member and no discovery", () => {
  assertEquals(heavyImports(graph), []);
});

Deno.test("src/: files are in a known folder and have a telling name", () => {
  assertEquals(offendingNames(files), []);
});

Deno.test("src/: no any, no console, nothing that Node 20 lacks", async () => {
  const found: string[] = [];
  for (const file of ["mod.ts", ...files]) {
    found.push(...offences(file, await Deno.readTextFile(new URL(file, ROOT))));
  }
  assertEquals(found, []);
});

// --- The rules, on violations -----------------------------------------------------------------

Deno.test("rules: wrong directions, circles and heavy imports are noticed", () => {
  const edge = (from: string, to: string, kind: Edge["kind"] = "static"): Edge => ({
    from,
    to,
    kind,
  });
  assertEquals(
    wrongDirections([
      edge("src/core/a.ts", "src/api/b.ts", "type"),
      edge("src/api/b.ts", "src/core/a.ts"),
      edge("src/api/b.ts", "src/api/c.ts"),
      edge("src/api/b.ts", "src/testing/c.ts", "dynamic"),
      edge("src/cli/b.ts", "mod.ts"),
      edge("mod.ts", "src/cli/b.ts"),
    ]),
    [
      "src/core/a.ts imports src/api/b.ts",
      "src/api/b.ts imports src/testing/c.ts",
      "src/cli/b.ts imports mod.ts",
    ],
  );
  assertEquals(
    cycles([
      edge("a", "b"),
      edge("b", "c", "type"),
      edge("c", "a"),
      edge("c", "d"),
      edge("a", "d"),
    ]),
    ["a -> b -> c -> a"],
  );
  assertEquals(
    heavyImports([
      edge("mod.ts", "src/api/a.ts"),
      edge("mod.ts", "src/cli/a.ts", "type"),
      edge("src/api/a.ts", "npm:zod@^4", "dynamic"),
      edge("src/api/a.ts", "src/api/b.ts"),
      edge("src/api/b.ts", "npm:zod@^4"),
      edge("src/api/b.ts", "node:net"),
      edge("src/api/b.ts", "jsr:@std/async@^1"),
      edge("src/api/b.ts", "src/testing/a.ts"),
      edge("mod.ts", "src/discovery/discovery.ts"),
      edge("src/discovery/discovery.ts", "src/discovery/search.ts", "dynamic"),
      edge("src/discovery/search.ts", "src/discovery/probes.ts"),
      edge("src/discovery/discovery.ts", "src/discovery/candidates.ts"),
      edge("mod.ts", "src/provider/a.ts"),
      edge("src/provider/a.ts", "src/members/a.ts"),
      edge("src/provider/a.ts", "src/members/b.ts", "dynamic"),
      edge("src/provider/a.ts", "src/members/c.ts", "type"),
      edge("src/members/a.ts", "src/cli/b.ts"),
      edge("src/members/a.ts", "src/ai_sdk/a.ts"),
    ]),
    [
      "src/discovery/candidates.ts",
      "src/members/a.ts",
      "npm:zod@^4",
      "node:net",
      "jsr:@std/async@^1",
      "src/testing/a.ts",
      "src/cli/b.ts",
      "src/ai_sdk/a.ts",
    ],
  );
  assertEquals(
    foreignImports([
      edge("src/api/a.ts", "npm:zod@^4"),
      edge("src/api/a.ts", "npm:openai@^6", "type"),
      edge("src/api/a.ts", "@std/assert"),
    ]),
    ["src/api/a.ts imports npm:openai@^6", "src/api/a.ts imports @std/assert"],
  );
  assertEquals(
    offendingNames([
      "src/api/completions.ts",
      "src/api/utils.ts",
      "src/core/index.ts",
      "src/core/commonality.ts",
      "src/core/retryPolicy.ts",
      "src/lib/chat.ts",
    ]),
    ["src/api/utils.ts", "src/core/index.ts", "src/core/retryPolicy.ts", "src/lib/chat.ts"],
  );
});

const VIOLATIONS: Record<string, string> = {
  "let a: any;": "any",
  "function f(a: Record<string, any>) {}": "any",
  "enum A { B }": "enum",
  "export default 1;": "default export",
  "console.log(1);": "console",
  "using a = b();": "using",
  "await using a = b();": "await using",
  "await import(name);": "import() of what is not a literal",
  "import.meta.main;": "import.meta.main",
  "Promise.withResolvers();": "Promise.withResolvers",
  "Promise.try(f);": "Promise.try",
  "Array.fromAsync(a);": "Array.fromAsync",
  "Object.groupBy(a, f);": "Object.groupBy",
  "URL.parse(a);": "URL.parse",
  "Iterator.from(a);": "Iterator.from",
  "a.union(b);": ".union() of a set",
  "a.values().map(f);": ".map() of an iterator",
  "text.matchAll(/a/g).toArray();": ".toArray() of an iterator",
  "new AsyncDisposableStack();": "AsyncDisposableStack",
  "new SuppressedError(a, b);": "SuppressedError",
  "bytes.toBase64();": ".toBase64",
  "Uint8Array.fromBase64(a);": "Uint8Array.fromBase64",
  "new WebSocket(a);": "WebSocket",
  "navigator.userAgent;": "navigator",
  "fetch(a);": "fetch in core",
  "setTimeout(f, 1);": "setTimeout in core",
  "Deno.env.get(a);": "Deno in core",
  "globalThis.fetch(a);": "globalThis in core",
};

Deno.test("rules: forbidden content in a file is noticed", async (t) => {
  for (const [text, message] of Object.entries(VIOLATIONS)) {
    await t.step(text, () => {
      assertEquals(offences("src/core/a.ts", text), [`src/core/a.ts:1: ${message}`]);
    });
  }
  await t.step("what looks like it passes", () => {
    const text = `// console.log(any)
      const sample = "using a: any";
      const { fetch, navigator } = options;
      type Socket = { WebSocket?: unknown; any: number };
      const handle: AsyncDisposable | undefined = options.navigator;
      Object.values(record).map(f);
      [...map.values()].map(f);
      z.union([a, b]);
      Array.from(a).filter(f);
      if (typeof WebSocket === "undefined") options.fetch(a);
      await import("./b.ts");`;
    assertEquals(offences("src/core/a.ts", text), []);
  });
});
