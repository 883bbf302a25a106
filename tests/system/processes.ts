/** Child processes and their folder: none outlives the run, however it ends. */

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const STOP_MS = 5_000;

const running = new Set<Deno.ChildProcess>();

/** A process that disposal stops, at the latest at the end of the run. */
export interface Process extends AsyncDisposable {
  /** Resolves to the exit code. */
  readonly ended: Promise<number>;
}

/** Starts a program. Its output is discarded: programs write their logs to files. */
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

/** Runs the body with an empty folder, which is removed at the end together with all processes. */
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

/** A port on 127.0.0.1 that nothing listens on. */
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
    // It has already ended.
  }
}

/** Retries, because a browser's child processes may still write into it for a moment. */
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
