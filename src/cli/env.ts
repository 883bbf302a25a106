/** The command `env`: variables that point other programs at the server. */

import { type Command, providerOf, SERVER_OPTIONS, UsageError } from "./arguments.ts";

/** How shells set a variable. */
const SHELLS: Readonly<Record<string, (name: string, value: string) => string>> = {
  sh: (name, value) => `export ${name}=${quoted(value)}`,
  fish: (name, value) => `set -gx ${name} ${quoted(value)}`,
  powershell: (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`,
  cmd: (name, value) => `set "${name}=${value}"`,
  dotenv: (name, value) => `${name}=${JSON.stringify(value)}`,
};

/** The command. */
export const command: Command = {
  usage: "[options]",
  about:
    "Prints the variables that point other programs at this server: those of OpenAI's kind and of Anthropic's. " +
    "The token is printed as well: the output is a secret where the server wants one. Asks the server nothing.",
  options: {
    ...SERVER_OPTIONS,
    shell: { value: "NAME", help: `${Object.keys(SHELLS).join(", ")}. Else sh.` },
    only: { value: "KIND", help: "openai or anthropic. Else both." },
    json: { help: "Print them as JSON." },
  },
  examples: [
    ["env > server.sh && . ./server.sh", "For this shell."],
    ["env --shell dotenv --only openai >> .env", "For a project."],
  ],
  async run(given) {
    const { terminal, options } = given;
    const write = SHELLS[options.shell ?? "sh"];
    if (write === undefined || !Object.hasOwn(SHELLS, options.shell ?? "sh")) {
      throw new UsageError(
        `Cannot use --shell ${options.shell}: it is none of ${Object.keys(SHELLS).join(", ")}.`,
      );
    }
    const { only } = options;
    if (only !== undefined && only !== "openai" && only !== "anthropic") {
      throw new UsageError(`Cannot use --only ${only}: it is neither openai nor anthropic.`);
    }
    const { baseURL, apiKey: token } = providerOf(given).toOpenAI();
    const root = baseURL.replace(/\/v1$/, "");
    const variables: Record<string, string> = {
      ...(only === "anthropic" ? {} : { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: token }),
      ...(only === "openai" ? {} : { ANTHROPIC_BASE_URL: root, ANTHROPIC_AUTH_TOKEN: token }),
    };
    if (options.json !== undefined) await terminal.json(variables);
    else {for (const [name, value] of Object.entries(variables)) {
        await terminal.line(write(name, value));
      }}
    return 0;
  },
};

function quoted(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
