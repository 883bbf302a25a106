/**
 * Likely causes and remedies where no answer comes from a server: one failure of `fetch` has many causes, which the
 * address, the program's surroundings and this machine set apart. Facts in, sentences out. Loaded on first use.
 *
 * @module
 */

import { isLoopback } from "./base_url.ts";
import { defaultHint } from "./error_codes.ts";

/** Kinds of failed connections, as far as the runtime says. */
export type ConnectionTrouble =
  /** Somebody is there, and nothing listens on that port. */
  | "refused"
  /** The host's name is not known. */
  | "unresolved"
  /** There is no way to the host. */
  | "unreachable"
  /** The connection was not taken in time. */
  | "late"
  /** The connection was taken, and then nothing came. */
  | "silent"
  /** What listens does not speak TLS. */
  | "plain-http"
  /** The certificate is nobody's that is trusted. */
  | "certificate-untrusted"
  /** The certificate is for another name. */
  | "certificate-name"
  /** The certificate is not valid at this time. */
  | "certificate-date";

/** Facts of a connection that failed; those that are not known are absent. */
export interface ConnectionFacts {
  readonly trouble: ConnectionTrouble;
  /** Address that was called. */
  readonly url: string;
  /** Name of the service for people, such as `LM Studio`. */
  readonly service: string;
  readonly runtime?: "deno" | "node" | "bun" | undefined;
  readonly platform?: "linux" | "macos" | "windows" | undefined;
  /** Surroundings of the program that have a network of their own. */
  readonly surroundings?: "container" | "wsl" | undefined;
  /** Another address where the service does answer. */
  readonly answersAt?: string | undefined;
}

/** Sentences that are shown: what is most certain, and the next likely. */
const MOST_SHOWN = 2;

/** Words for a service, and where it listens. */
interface ServiceWords {
  readonly port?: number;
  readonly start: string;
  /** Completes a sentence: lets it take connections of other machines. */
  readonly serve: string;
}

const WORDS: Readonly<Record<string, ServiceWords>> = {
  "LM Studio": {
    port: 1234,
    start: "start the server (`lms server start`)",
    serve: 'turn on "Serve on Local Network" in LM Studio (`lms server start --bind 0.0.0.0`)',
  },
  "Ollama": {
    port: 11434,
    start: "start the server (`ollama serve`)",
    serve: "start it with `OLLAMA_HOST=0.0.0.0 ollama serve`",
  },
};
const OTHER_WORDS: ServiceWords = {
  start: "start the server",
  serve: "let the server listen on all addresses of its machine",
};

/** Facts, and what follows from the address. */
interface Case extends ConnectionFacts {
  readonly host: string;
  /** With its default written out. */
  readonly port: string;
  /** The service's own, where none was written. */
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

/** Every cause, the most certain first. `docs/connecting.md` lists them for people. */
const CAUSES: readonly Cause[] = [
  {
    troubles: NO_CONNECTION,
    applies: ({ answersAt }) => answersAt !== undefined,
    say: ({ service, answersAt }) =>
      `${service} answers at ${answersAt}: set the base URL to that.`,
  },
  {
    troubles: NO_CONNECTION,
    applies: ({ url, words }) => words.port !== undefined && isPortMissing(url),
    say: ({ service, host, url, words }) =>
      `The address has no port, which means 80, and ${service}'s is ${words.port}: ` +
      `set the base URL to http://${host}:${words.port}${pathOf(url)}.`,
  },
  {
    troubles: [...NO_CONNECTION, "unresolved"],
    applies: ({ isDockerHost }) => isDockerHost,
    say: ({ host, words }) =>
      `On the host, ${words.serve}; on Linux also start the container with ` +
      `\`--add-host=${host}:host-gateway\`.`,
  },
  {
    troubles: ["unresolved"],
    applies: ({ isDockerHost }) => !isDockerHost,
    say: ({ host, surroundings }) =>
      `Check the name ${host} in the base URL, or give the machine's IP address` +
      (surroundings === undefined
        ? "."
        : `: ${SURROUNDINGS[surroundings]} may not know the names of the local network.`),
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, host }) => isHere && !/^127\./.test(host),
    say: ({ host, meantPort, words }) =>
      `${capitalized(words.start)}, and use http://127.0.0.1:${meantPort}: ${host} ` +
      `${host.startsWith("[") ? "is" : "may mean"} IPv6, where it does not listen.`,
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, surroundings }) => isHere && surroundings === "container",
    say: ({ host, meantPort, words }) =>
      `This program runs in a container, where ${host} is the container itself: for a server on the host ` +
      `use http://host.docker.internal:${meantPort}, and there ${words.serve}.`,
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, surroundings }) => isHere && surroundings === "wsl",
    say: ({ host, words }) =>
      `This program runs in WSL, where ${host} need not be Windows: for a server on Windows ${words.serve} ` +
      "and use the address that `ip route show default` gives, or set `networkingMode=mirrored` in " +
      "`.wslconfig`.",
  },
  {
    troubles: ["unreachable"],
    applies: ({ isHere, platform }) => !isHere && platform === "macos",
    say: () =>
      "macOS may keep this program from the local network: allow it under System Settings, Privacy & " +
      "Security, Local Network, and see whether a VPN is in the way.",
  },
  {
    troubles: ["unreachable"],
    applies: ({ isHere, platform, isDockerHost }) =>
      !isHere && !isDockerHost && platform !== "macos",
    say: ({ host }) =>
      `Check the address, that ${host} is on and in the same network, and whether a VPN or a firewall is in ` +
      "the way.",
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, isDockerHost }) => !isHere && !isDockerHost,
    say: ({ host, words }) =>
      `On ${host}, ${words.serve}: by default it takes connections of its own machine only.`,
  },
  {
    troubles: ["late"],
    applies: ({ isHere, isDockerHost }) => !isHere && !isDockerHost,
    say: ({ host, meantPort, words }) =>
      `Check the address; on ${host}, ${words.serve} and open port ${meantPort} in its firewall; and see whether ` +
      "a VPN is in the way.",
  },
  {
    troubles: ["refused"],
    applies: ({ isHere, host }) => isHere && /^127\./.test(host),
    say: ({ service }) => defaultHint("connection_refused", service),
  },
  {
    troubles: ["silent"],
    say: ({ service, port, words }) =>
      `Is it ${service} that listens on port ${port}${
        portAside(words)
      }? It takes the connection and says ` +
      "nothing: check the address, or restart the server.",
  },
  {
    troubles: ["plain-http"],
    say: ({ service, words }) =>
      `${
        words.port === undefined ? "What listens there may serve" : `${service} itself serves`
      } plain http: use http, or https only with a proxy in front, whose certificate this runtime trusts.`,
  },
  {
    troubles: ["certificate-untrusted"],
    say: ({ runtime, service, words }) =>
      `Trust the certificate's issuer: ${
        runtime === undefined ? Object.values(TRUST).join(", ") : TRUST[runtime]
      }${words.port === undefined ? "." : `; or use plain http, as ${service} itself does.`}`,
  },
  {
    troubles: ["certificate-name"],
    say: ({ host }) =>
      `Use the host name that the certificate is for, or make one that is for ${host} too.`,
  },
  {
    troubles: ["certificate-date"],
    say: () => "Renew the certificate, and check the clocks of both machines.",
  },
];

/** Ways to make each runtime trust an issuer. */
const TRUST: Readonly<Record<NonNullable<ConnectionFacts["runtime"]>, string>> = {
  deno: "in Deno with `--cert ca.pem` or DENO_TLS_CA_STORE=system",
  node: "in Node with NODE_EXTRA_CA_CERTS=ca.pem, set before it starts",
  bun: "in Bun with NODE_EXTRA_CA_CERTS=ca.pem, set before it starts",
};

const SURROUNDINGS = { container: "a container", wsl: "WSL" } as const;

/** Causes with their remedies, the most certain first; empty where the code's own hint says it all. */
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

/** Hint of an error: the likeliest of `connectionCauses`. */
export function connectionHint(facts: ConnectionFacts): string | undefined {
  const causes = connectionCauses(facts);
  // What does answer is the remedy; what else might be wrong would only hide it.
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
  return port === undefined ? "" : ` (its own is ${port}, unless it was changed)`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
