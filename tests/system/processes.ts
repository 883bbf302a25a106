/** Child processes and the folder they write to: none outlives the run, however it ends. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const STOP_MS = 5_000;

const running = new Set<Deno.ChildProcess>();

/** A process that is stopped by disposing it, at the latest when the run ends. */
export interface Process extends AsyncDisposable {
  /** Resolves to the exit code when it has ended. */
  readonly ended: Promise<number>;
}

/** Starts a program. Its output goes nowhere: programs write their logs to files. */
export function startProcess(command: string, args: string[]): Process {
  const child = new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  running.add(child);
  const ended = child.status.then(({ code }) => {
    running.delete(child);
    return code;
  });
  return {
    ended,
    async [Symbol.asyncDispose]() {
      signal(child, "SIGTERM");
      const timer = setTimeout(() => signal(child, "SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs the body with an empty folder, which it loses at the end together with all processes. */
export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-system-" });
  const onSignal = (): void => {
    for (const child of running) signal(child, "SIGTERM");
    Deno.removeSync(folder, { recursive: true });
    Deno.exit(130);
  };
  for (const name of SIGNALS) Deno.addSignalListener(name, onSignal);
  try {
    return await body(folder);
  } finally {
    await Promise.all([...running].map(async (child) => {
      signal(child, "SIGTERM");
      const timer = setTimeout(() => signal(child, "SIGKILL"), STOP_MS);
      await child.status;
      clearTimeout(timer);
    }));
    await removeFolder(folder);
    for (const name of SIGNALS) Deno.removeSignalListener(name, onSignal);
  }
}

/** A port of 127.0.0.1 where nothing listens. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has ended.
  }
}

/** What a browser started may still write into it for a moment. */
async function removeFolder(folder: string): Promise<void> {
  for (let left = 20;; left--) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
