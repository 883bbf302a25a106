/** Installs everything to be measured in a separate folder: the other clients from npm, this module packed, the runtimes. */
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";
import { must, type Outcome, run } from "../tests/runtimes/command.ts";
import { type Executable, findBun, findNode } from "../tests/runtimes/executables.ts";
import peers from "./peers.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const HERE = fileURLToPath(new URL("./", import.meta.url));
const DENO = Deno.execPath();

export const RUNTIMES = ["deno", "node20", "node24", "bun"] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

export interface Runtime {
  name: RuntimeName;
  version: string;
  /** The command before the script. */
  command: string[];
}

export interface Workshop {
  folder: string;
  runtimes: Runtime[];
  /** The Node that runs the server. */
  node: string;
  /** Versions of everything that is measured. */
  versions: Record<string, string>;
}

/** Prepares the folder. It is kept, so that other clients are installed once; this module is packed anew each time. */
export async function setUp(wanted: readonly RuntimeName[]): Promise<Workshop> {
  const folder = await installPeers();
  await installOurs(folder);
  const found = await Promise.all(wanted.map((name) => find(name, folder)));
  const server = await findNode(20, folder);
  if ("problem" in server) throw new Error(problemOf("node20", server.problem));
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  return {
    folder,
    runtimes: found,
    node: server.path,
    versions: { "@patinox/lmstudio": `${version} (${await commit()})`, ...peers },
  };
}

async function installPeers(): Promise<string> {
  const pinned = JSON.stringify(peers);
  const hash = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pinned + ROOT)),
  );
  const name = [...hash.slice(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const caches = Deno.env.get("XDG_CACHE_HOME") || `${homedir()}/.cache`;
  const folder = `${caches}/patinox-lmstudio-bench/${name}`;
  const done = `${folder}/installed`;
  if (await exists(done)) return folder;
  await Deno.mkdir(folder, { recursive: true });
  const manifest = { private: true, type: "module", dependencies: peers };
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify(manifest));
  await must(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: folder });
  await Deno.writeTextFile(done, "");
  return folder;
}

/** Unpacks this module next to the other clients by hand: `npm install` would look all of them up again. */
async function installOurs(folder: string): Promise<void> {
  const tarball = `${folder}/ours.tgz`;
  await must([DENO, "pack", "--allow-dirty", "--output", tarball], { cwd: ROOT });
  const ours = `${folder}/node_modules/@patinox/lmstudio`;
  await replaceFolder(ours);
  await must(["tar", "-xzf", tarball, "-C", ours, "--strip-components=1"], { cwd: folder });

  const empty = `${folder}/node_modules/bench-empty`;
  await replaceFolder(empty);
  const manifest = { name: "bench-empty", version: "1.0.0", type: "module", exports: "./empty.js" };
  await Deno.writeTextFile(`${empty}/package.json`, JSON.stringify(manifest));
  await Deno.writeTextFile(`${empty}/empty.js`, "export const empty = true;\n");

  await replaceFolder(`${folder}/bundles`);
  await replaceFolder(`${folder}/clients`);
  for await (const { name } of Deno.readDir(`${HERE}clients`)) {
    await Deno.copyFile(`${HERE}clients/${name}`, `${folder}/clients/${name}`);
  }
  await Deno.copyFile(`${HERE}measure.mjs`, `${folder}/measure.mjs`);
  // Only Deno imports the module from source, as it does from JSR.
  const config = {
    nodeModulesDir: "manual",
    lock: false,
    imports: {
      "@patinox/lmstudio": new URL("../mod.ts", import.meta.url).href,
      "@patinox/lmstudio/ai-sdk": new URL("../src/ai_sdk/mod.ts", import.meta.url).href,
    },
  };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
}

async function replaceFolder(path: string): Promise<void> {
  if (await exists(path)) await Deno.remove(path, { recursive: true });
  await Deno.mkdir(path, { recursive: true });
}

async function find(name: RuntimeName, folder: string): Promise<Runtime> {
  if (name === "deno") {
    const command = [DENO, "run", "--quiet", "--no-prompt", "-A"];
    return { name, version: Deno.version.deno, command };
  }
  const found: Executable =
    await (name === "bun" ? findBun(folder) : findNode(Number(name.slice("node".length)), folder));
  if ("problem" in found) throw new Error(problemOf(name, found.problem));
  return { name, version: found.version, command: [found.path] };
}

function problemOf(name: string, { stdout, stderr }: Outcome): string {
  return `Cannot find ${name}: ${stdout}${stderr}`;
}

async function commit(): Promise<string> {
  const { success, stdout } = await run(["git", "rev-parse", "--short", "HEAD"], { cwd: ROOT });
  return success ? stdout.trim() : "no commit";
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
