/** Which file imports which, according to Deno. */

const ROOT = new URL("../../", import.meta.url);

export interface Edge {
  from: string;
  to: string;
  kind: "static" | "dynamic" | "type";
}

interface DenoInfo {
  modules: { specifier: string; dependencies?: Dependency[] }[];
}

interface Dependency {
  specifier: string;
  code?: { specifier?: string; error?: string };
  type?: { specifier?: string; error?: string };
  isDynamic?: boolean;
}

/** Every import below mod.ts and src/, with paths relative to the root. */
export async function readGraph(files: readonly string[]): Promise<Edge[]> {
  const temporary = await Deno.makeTempDir();
  try {
    const root = `${temporary}/root.ts`;
    const imports = ["mod.ts", ...files].map((file) => `import "${new URL(file, ROOT)}";\n`);
    await Deno.writeTextFile(root, imports.join(""));
    const config = new URL("deno.json", ROOT).pathname;
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", config, root],
      cwd: ROOT,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as DenoInfo;
    return modules
      .filter(({ specifier }) => specifier.startsWith(ROOT.href))
      .flatMap(({ specifier, dependencies = [] }) =>
        dependencies.map((dependency) => toEdge(specifier, dependency))
      );
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

function toEdge(from: string, { specifier, code, type, isDynamic }: Dependency): Edge {
  const target = (code ?? type)?.specifier ?? specifier;
  const kind = code === undefined ? "type" : isDynamic ? "dynamic" : "static";
  return { from: shorten(from), to: shorten(target), kind };
}

function shorten(specifier: string): string {
  return specifier.startsWith(ROOT.href) ? specifier.slice(ROOT.href.length) : specifier;
}

/** The files that importing `entry` loads at once. */
export function staticGraph(entry: string, edges: readonly Edge[]): Set<string> {
  const reached = new Set([entry]);
  for (const file of reached) {
    for (const { from, to, kind } of edges) if (from === file && kind === "static") reached.add(to);
  }
  return reached;
}
