/** The `env` command: variables that point other programs at the server. */

import { type Command, providerOf, SERVER_OPTIONS, UsageError } from "./arguments.ts";

/** Syntax for setting a variable, by shell. */
const SHELLS: Readonly<Record<string, (name: string, value: string) => string>> = {
  sh: (name, value) => `export ${name}=${quoted(value)}`,
  fish: (name, value) => `set -gx ${name} ${quoted(value)}`,
  powershell: (name, value) => `$env:${name} = '${value.replaceAll("'", "''")}'`,
  cmd: (name, value) => `set "${name}=${value}"`,
  dotenv: (name, value) => `${name}=${JSON.stringify(value)}`,
};

export const command: Command = {
  usage: "[options]",
  about:
    "Prints the environment variables that point OpenAI and Anthropic clients at this server. The output contains " +
    "the API token if there is one: treat it as a secret. Sends nothing to the server.",
  options: {
    ...SERVER_OPTIONS,
    shell: { value: "NAME", help: `${Object.keys(SHELLS).join(", ")}. Default: sh.` },
    only: { value: "KIND", help: "openai or anthropic. Default: both." },
    json: { help: "Print the variables as JSON." },
  },
  examples: [
    ["env > server.sh && . ./server.sh", "Set them in this shell."],
    ["env --shell dotenv --only openai >> .env", "Add them to a project's .env file."],
  ],
  async run(given) {
    const { terminal, options } = given;
    const write = SHELLS[options.shell ?? "sh"];
    if (write === undefined || !Object.hasOwn(SHELLS, options.shell ?? "sh")) {
      throw new UsageError(
        `Cannot use --shell ${options.shell}: it is not one of ${Object.keys(SHELLS).join(", ")}.`,
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
