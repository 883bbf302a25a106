/**
 * Likely causes and remedies when a server does not answer. One failure of `fetch` has many possible causes; the
 * address, the program's surroundings and this machine tell them apart. Facts in, sentences out. Loaded on first use.
 *
 * @module
 */

import { isLoopback } from "./base_url.ts";
import { defaultHint } from "./error_codes.ts";

/** Kinds of failed connections, as far as the runtime tells them apart. */
export type ConnectionTrouble =
  /** The host is up, but nothing listens on that port. */
  | "refused"
  /** The host name cannot be resolved. */
  | "unresolved"
  /** There is no route to the host. */
  | "unreachable"
  /** The connection was not accepted in time. */
  | "late"
  /** The connection was accepted, but no answer came. */
  | "silent"
  /** The server does not speak TLS. */
  | "plain-http"
  /** The certificate's issuer is not trusted. */
  | "certificate-untrusted"
  /** The certificate is for another host name. */
  | "certificate-name"
  /** The certificate has expired or is not valid yet. */
  | "certificate-date";

/** Facts about a failed connection; unknown ones are absent. */
export interface ConnectionFacts {
  readonly trouble: ConnectionTrouble;
  /** Address that was called. */
  readonly url: string;
  /** Display name of the service, such as `LM Studio`. */
  readonly service: string;
  readonly runtime?: "deno" | "node" | "bun" | undefined;
  readonly platform?: "linux" | "macos" | "windows" | undefined;
  /** Environment with a network of its own that the program runs in. */
  readonly surroundings?: "container" | "wsl" | undefined;
  /** Whether Deno hides the variable with the address from the program, so that the default address is used. */
  readonly isVariableHidden?: boolean | undefined;
  /** Another address at which the service answers. */
  readonly answersAt?: string | undefined;
}

/** The usual variable with LM Studio's address. */
export const ADDRESS_VARIABLE = "LMSTUDIO_BASE_URL";

/** Causes shown in a hint: the most certain one and the next. */
const MOST_SHOWN = 2;

/** Wording for a service, and its default port. */
interface ServiceWords {
  readonly port?: number;
  /** Environment variable with the address. */
  readonly variable?: string;
  readonly start: string;
  /** Clause that says how to make the service accept connections from other machines. */
  readonly serve: string;
}

const WORDS: Readonly<Record<string, ServiceWords>> = {
  "LM Studio": {
    port: 1234,
    variable: ADDRESS_VARIABLE,
    start: "start the server (`lms server start`)",
    serve: 'turn on "Serve on Local Network" in LM Studio (`lms server start --bind 0.0.0.0`)',
  },
  "Ollama": {
    port: 11434,
    start: "start the server (`ollama serve`)",
    serve: "start Ollama with `OLLAMA_HOST=0.0.0.0 ollama serve`",
  },
};
const OTHER_WORDS: ServiceWords = {
  start: "start the server",
  serve: "make the server listen on all addresses",
};

/** Facts, with those that follow from the address. */
interface Case extends ConnectionFacts {
  readonly host: string;
  /** Port used; the scheme's default if the address has none. */
  readonly port: string;
  /** Port probably meant; the service's default if the address has none. */
  readonly meantPort: string;
  readonly words: ServiceWords;
  readonly isHere: boolean;
  readonly isDockerHost: boolean;
}

interface Cause {
  readonly troubles: readonly ConnectionTrouble[];
  readonly applies?: (facts: Case) => boolean;
  readonly say: (facts: Case) => string;
}

const NO_CONNECTION = ["refused", "unreachable", "late"] as const;

/** Every cause, the most certain first. `docs/connecting.md` lists them for users. */
const CAUSES: readonly Cause[] = [
  {
    troubles: NO_CONNECTION,
    applies: ({ answersAt }) => answersAt !== undefined,
    say: ({ service, answersAt }) =>
      `${service} answers at ${answersAt}: set the base URL to that address.`,
  },
  {
    troubles: NO_CONNECTION,
    applies: ({ url, words }) => words.port !== undefined && isPortMissing(url),
    say: ({ service, host, url, words }) =>
      `The address has no port, which means 80, but ${service} uses ${words.port}: ` +
      `set the base URL to http://${host}:${words.port}${pathOf(url)}.`,
  },
  {
    troubles: [...NO_CONNECTION, "unresolved"],
    applies: ({ isDockerHost }) => isDockerHost,
    say: ({ host, words }) =>
      `On the host, ${words.serve}; on Linux, also start the container with ` +
      `\`--add-host=${host}:host-gateway\`.`,
  },
  {
    troubles: ["unresolved"],
    applies: ({ isDockerHost }) => !isDockerHost,
    say: ({ host, surroundings }) =>
      `Check the name ${host} in the base URL, or use the machine's IP address` +
      (surroundings === undefined
        ? "."
        : `: ${SURROUNDINGS[surroundings]} may not know names on the local network.`),
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, host }) => isHere && !/^127\./.test(host),
    say: ({ host, meantPort, words }) =>
      `${capitalized(words.start)}, and use http://127.0.0.1:${meantPort}: ${host} ` +
      `${host.startsWith("[") ? "is" : "may mean"} IPv6, but the server listens on IPv4.`,
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, surroundings }) => isHere && surroundings === "container",
    say: ({ host, meantPort, words }) =>
      `This program runs in a container, where ${host} is the container itself: to reach a server on the host, ` +
      `use http://host.docker.internal:${meantPort}, and on the host ${words.serve}.`,
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, surroundings }) => isHere && surroundings === "wsl",
    say: ({ host, words }) =>
      `This program runs in WSL, where ${host} may not be Windows: to reach a server on Windows, ${words.serve} ` +
      "and use the address that `ip route show default` prints, or set `networkingMode=mirrored` in " +
      "`.wslconfig`.",
  },
  {
    troubles: ["unreachable"],
    applies: ({ isHere, platform }) => !isHere && platform === "macos",
    say: () =>
      "macOS may be blocking this program from the local network: allow it under System Settings > Privacy & " +
      "Security > Local Network, and check whether a VPN is in the way.",
  },
  {
    troubles: ["unreachable"],
    applies: ({ isHere, platform, isDockerHost }) =>
      !isHere && !isDockerHost && platform !== "macos",
    say: ({ host }) =>
      `Check the address, that ${host} is running and on the same network, and that no VPN or firewall is in ` +
      "the way.",
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, isDockerHost }) => !isHere && !isDockerHost,
    say: ({ host, words }) =>
      `On ${host}, ${words.serve}: by default it only accepts connections from its own machine.`,
  },
  {
    troubles: ["late"],
    applies: ({ isHere, isDockerHost }) => !isHere && !isDockerHost,
    say: ({ host, meantPort, words }) =>
      `Check the address; on ${host}, ${words.serve} and open port ${meantPort} in its firewall; check that no ` +
      "VPN is in the way.",
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, host }) => isHere && /^127\./.test(host),
    say: ({ service }) => defaultHint("connection_refused", service),
  },
  {
    troubles: ["refused"],
    // Only at the default address: any other one was read from somewhere.
    applies: ({ host, port, words, isVariableHidden }) =>
      isVariableHidden === true && words.variable !== undefined && host === "127.0.0.1" &&
      port === String(words.port),
    say: ({ words }) =>
      `Deno hides the environment from this program: if you set ${words.variable}, add \`--allow-env\`.`,
  },
  {
    troubles: ["silent"],
    say: ({ service, port, words }) =>
      `The server on port ${port} accepts connections but does not answer: check that it is ${service}${
        portAside(words)
      }, or restart it.`,
  },
  {
    troubles: ["plain-http"],
    say: ({ service, words }) =>
      `${
        words.port === undefined ? "The server may serve" : `${service} itself serves`
      } plain http: use http, or put a proxy in front of it whose certificate this runtime trusts.`,
  },
  {
    troubles: ["certificate-untrusted"],
    say: ({ runtime, service, words }) =>
      `Trust the certificate's issuer: ${
        runtime === undefined ? Object.values(TRUST).join(", ") : TRUST[runtime]
      }${words.port === undefined ? "." : `; or use plain http, which ${service} itself serves.`}`,
  },
  {
    troubles: ["certificate-name"],
    say: ({ host }) =>
      `Use the host name that the certificate is for, or issue one that covers ${host} too.`,
  },
  {
    troubles: ["certificate-date"],
    say: () => "Renew the certificate, and check the clocks of both machines.",
  },
];

/** How to make each runtime trust an issuer. */
const TRUST: Readonly<Record<NonNullable<ConnectionFacts["runtime"]>, string>> = {
  deno: "in Deno with `--cert ca.pem` or DENO_TLS_CA_STORE=system",
  node: "in Node with NODE_EXTRA_CA_CERTS=ca.pem, set before it starts",
  bun: "in Bun with NODE_EXTRA_CA_CERTS=ca.pem, set before it starts",
};

const SURROUNDINGS = { container: "a container", wsl: "WSL" } as const;

/** Causes with their remedies, the most certain first; empty if none applies and the code's own hint is enough. */
export function connectionCauses(facts: ConnectionFacts): string[] {
  const url = new URL(facts.url);
  const host = url.hostname;
  const words = WORDS[facts.service] ?? OTHER_WORDS;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const known: Case = {
    ...facts,
    host,
    port,
    meantPort: isPortMissing(facts.url) ? String(words.port ?? port) : port,
    words,
    isHere: isLoopback(facts.url),
    isDockerHost: /^(?:host|gateway)\.[a-z-]+\.internal$/.test(host),
  };
  return CAUSES
    .filter(({ troubles, applies }) =>
      troubles.includes(facts.trouble) && applies?.(known) !== false
    )
    .map(({ say }) => say(known));
}

/** Hint for an error: the likeliest of `connectionCauses`. */
export function connectionHint(facts: ConnectionFacts): string | undefined {
  const causes = connectionCauses(facts);
  // An address that answers is the remedy; other possible causes would only distract from it.
  const shown = facts.answersAt === undefined ? causes.slice(0, MOST_SHOWN) : causes.slice(0, 1);
  return shown.length === 0 ? undefined : shown.join(" ");
}

function pathOf(url: string): string {
  return new URL(url).pathname.replace(/\/$/, "");
}

function isPortMissing(url: string): boolean {
  const { protocol, port } = new URL(url);
  return protocol === "http:" && port === "";
}

function portAside({ port }: ServiceWords): string {
  return port === undefined ? "" : ` (default port ${port})`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
