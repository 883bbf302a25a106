/** The programs that the system tests need: found, or installed from Debian's packages. */

interface Program {
  /** Names of the executable, most likely first. */
  readonly names: readonly string[];
  readonly debianPackage: string;
}

const NGINX: Program = { names: ["nginx"], debianPackage: "nginx-light" };
const CHROMIUM: Program = {
  names: ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
  debianPackage: "chromium",
};
/** Folders that are only on root's PATH. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/** Debian runs this file to decide whether a package may start its service. */
const SERVICE_POLICY = "/usr/sbin/policy-rc.d";
const APT_LIMIT_MS = 8 * 60_000;

/** Paths of the programs. */
export interface Programs {
  readonly nginx: string;
  readonly chromium: string;
}

/** Finds the programs. Installs missing ones as root on Debian; otherwise says what to install. */
export async function findPrograms(): Promise<Programs> {
  const missing = [NGINX, CHROMIUM].filter((program) => find(program) === undefined);
  if (missing.length > 0) await install(missing.map(({ debianPackage }) => debianPackage));
  const nginx = find(NGINX);
  const chromium = find(CHROMIUM);
  if (nginx === undefined || chromium === undefined) {
    throw new Error("Cannot find nginx and Chromium, although their packages are installed.");
  }
  return { nginx, chromium };
}

async function install(packages: string[]): Promise<void> {
  const names = packages.join(" and ");
  const command = `apt-get install --no-install-recommends ${packages.join(" ")}`;
  if (find({ names: ["apt-get"], debianPackage: "" }) === undefined) {
    throw new Error(
      `Cannot run the system tests: ${names} missing, and this is not Debian. Install nginx and Chromium.`,
    );
  }
  if (Deno.uid() !== 0) {
    throw new Error(
      `Cannot run the system tests: ${names} missing, and only root can install. Run: sudo ${command}`,
    );
  }
  console.log(`Installing ${names} from the system's packages.`);
  const apt = ["apt-get", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120", "--quiet=2"];
  await must([...apt, "update"]);
  await withoutServices(() =>
    must([...apt, "install", "-y", "--no-install-recommends", ...packages])
  );
}

/** A test must not leave a web server behind on port 80. */
async function withoutServices(body: () => Promise<void>): Promise<void> {
  const isOurs = !exists(SERVICE_POLICY);
  if (isOurs) await Deno.writeTextFile(SERVICE_POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    await body();
  } finally {
    if (isOurs) await Deno.remove(SERVICE_POLICY);
  }
}

async function must([file = "", ...args]: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(file, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    signal: AbortSignal.timeout(APT_LIMIT_MS),
  }).output();
  if (success) return;
  const decoder = new TextDecoder();
  const output = (decoder.decode(stdout) + decoder.decode(stderr)).trim();
  throw new Error(`Cannot run ${[file, ...args].join(" ")}:\n${output.slice(-2000)}`);
}

function find({ names }: Program): string | undefined {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), ...SYSTEM_FOLDERS];
  return names
    .flatMap((name) => folders.map((folder) => `${folder}/${name}`))
    .find((path) => path.startsWith("/") && exists(path));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
