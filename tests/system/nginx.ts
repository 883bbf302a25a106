/** nginx with the configuration from `docs/scaling.md`, as a child process on 127.0.0.1. */

import { freePort, type Process, startProcess } from "./processes.ts";

const DOCUMENT = new URL("../../docs/scaling.md", import.meta.url);
const DOCUMENTED_HOSTS = ["192.168.1.11:1234", "192.168.1.12:1234"] as const;
const DOCUMENTED_LISTEN = "listen 8080;";
const MODULES = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
const START_TRIES = 3;
const CONNECT_TRIES = 500;

/** A running nginx, and its address with the documented path prefix. */
export interface Balancer extends AsyncDisposable {
  readonly url: string;
}

/** The configuration as documented. */
export async function readDocumentedConfig(): Promise<string> {
  const [, config] = /^```nginx\n(.*?)^```$/ms.exec(await Deno.readTextFile(DOCUMENT)) ?? [];
  if (config === undefined) throw new Error("docs/scaling.md has no block of nginx configuration");
  return config;
}

/** Starts nginx in front of two hosts, replacing only the addresses in the configuration. */
export async function startNginx(
  program: string,
  folder: string,
  config: string,
  hostPorts: readonly [number, number],
): Promise<Balancer> {
  for (let tries = 1;; tries++) {
    const port = freePort();
    const prefix = await Deno.makeTempDir({ dir: folder, prefix: "nginx-" });
    let site = replaceOnce(config, DOCUMENTED_LISTEN, `listen 127.0.0.1:${port};`);
    for (const [index, host] of DOCUMENTED_HOSTS.entries()) {
      site = replaceOnce(site, host, `127.0.0.1:${hostPorts[index]}`);
    }
    await Deno.writeTextFile(`${prefix}/lmstudio.conf`, site);
    await Deno.writeTextFile(`${prefix}/nginx.conf`, frame(prefix));
    const args = ["-p", prefix, "-e", `${prefix}/error.log`, "-c", `${prefix}/nginx.conf`];
    const process = startProcess(program, args);
    if (await accepts(port, process)) {
      return {
        url: `http://127.0.0.1:${port}/lm`,
        [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
      };
    }
    const log = await Deno.readTextFile(`${prefix}/error.log`);
    await process[Symbol.asyncDispose]();
    // Another program may have taken the port first.
    if (tries === START_TRIES) throw new Error(`nginx does not start:\n${log}`);
  }
}

/** What a system's nginx.conf has around the files in conf.d. */
function frame(prefix: string): string {
  return [
    // The folder belongs to the user running the tests.
    ...(Deno.uid() === 0 ? ["user root;"] : []),
    "daemon off;",
    // A single process: workers would outlive a killed master.
    "master_process off;",
    `pid ${prefix}/nginx.pid;`,
    "events {}",
    "http {",
    "  access_log off;",
    ...MODULES.map((module) => `  ${module}_temp_path ${prefix}/${module};`),
    `  include ${prefix}/lmstudio.conf;`,
    "}",
    "",
  ].join("\n");
}

async function accepts(port: number, { ended }: Process): Promise<boolean> {
  let hasEnded = false;
  ended.then(() => hasEnded = true);
  for (let tries = 0; tries < CONNECT_TRIES && !hasEnded; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  return false;
}

function replaceOnce(text: string, documented: string, actual: string): string {
  if (text.split(documented).length !== 2) {
    throw new Error(`the nginx configuration of docs/scaling.md must have ${documented} once`);
  }
  return text.replace(documented, actual);
}
