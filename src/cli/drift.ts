/** The `drift` command compares a recording with the fake, route by route. */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import { createFakeLMStudio } from "../testing/fake_lmstudio.ts";
import type { FakeModel } from "../testing/fake_options.ts";
import { bytesOfChunk } from "../testing/fake_recording.ts";
import type { RecordedExchange } from "../testing/fake_options.ts";
import { type Command, UsageError } from "./arguments.ts";
import { readFolder } from "./replay.ts";

export const command: Command = {
  usage: "<folder> [options]",
  about:
    "Sends the recorded requests to the fake LM Studio and prints which fields and events the fake lacks, and which " +
    "only it has. Values are not compared. Exits with 1 if anything differs.",
  options: {
    version: {
      value: "VERSION",
      help: "The release that the fake imitates. Default: the recorded one, then the fake's own.",
    },
    json: { help: "Print the differences as JSON." },
  },
  examples: [["drift session", "How closely the fake matches the server."]],
  positionals: [1, 1],
  async run(given) {
    const { terminal, options, positionals: [folder = ""] } = given;
    const differences = await findDrift(readFolder(folder), options.version);
    if (options.json !== undefined) {
      await terminal.json(differences);
    } else if (differences.length === 0) {
      await terminal.line("No differences.");
    } else {
      for (const { route, kind, what } of differences) {
        await terminal.line(`${route}: ${DIFFERENCE_WORDS[kind]} ${what}`);
      }
    }
    return differences.length === 0 ? 0 : 1;
  },
};

/** Difference between the recording and the fake: a field, an event or a status. */
export interface Difference {
  /** Such as `POST /v1/chat/completions (stream)`. */
  readonly route: string;
  readonly kind: "missing" | "extra" | "other";
  readonly what: string;
}

const DIFFERENCE_WORDS: Readonly<Record<Difference["kind"], string>> = {
  missing: "the fake lacks",
  extra: "only the fake has",
  other: "they differ in",
};

/** Compares a recording with the fake. @throws {UsageError} if the fake cannot imitate that release. */
async function findDrift(
  exchanges: readonly RecordedExchange[],
  version: string | undefined = exchanges[0]?.server.version,
): Promise<Difference[]> {
  let fake: ReturnType<typeof createFakeLMStudio>;
  try {
    fake = createFakeLMStudio({
      ...(version === undefined ? {} : { version }),
      models: modelsOf(exchanges),
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const seen = new Set<string>();
  const found: Difference[] = [];
  for (const { request, response } of exchanges) {
    if (response === undefined) continue;
    const { method, path, body } = request;
    const isStream = isRecord(body) && body.stream === true;
    const route = `${method} ${path.replace(/\?.*/, "")}${isStream ? " (stream)" : ""}`;
    const answer = await fake.fetch(`http://fake${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const theirs = describeAnswer(response.status, textOf(response));
    const ours = describeAnswer(answer.status, await answer.text());
    for (const difference of compare(theirs, ours)) {
      const key = `${route} ${difference.kind} ${difference.what}`;
      if (seen.has(key)) continue;
      seen.add(key);
      found.push({ route, ...difference });
    }
  }
  return found;
}

function textOf({ chunks }: NonNullable<RecordedExchange["response"]>): string {
  const decoder = new TextDecoder();
  return chunks.map((chunk) => decoder.decode(bytesOfChunk(chunk), { stream: true })).join("");
}

// --- Shapes -----------------------------------------------------------------------------------

/** Structure of an answer: field paths and their types. In a stream, paths begin with the kind of event. */
interface Shape {
  readonly status: number;
  readonly events: ReadonlySet<string>;
  readonly fields: ReadonlyMap<string, ReadonlySet<string>>;
}

function describeAnswer(status: number, text: string): Shape {
  const fields = new Map<string, Set<string>>();
  const events = new Set<string>();
  const body = parseJson(text);
  if (body !== undefined) {
    collect(body, "", fields);
    return { status, events, fields };
  }
  for (const frame of text.split(/\r?\n\r?\n/)) {
    const name = /^event: ?(.*)$/m.exec(frame)?.[1];
    const data = frame.split(/\r?\n/).filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trim()).join("\n");
    if (data === "") continue;
    const value = parseJson(data);
    const event = name ?? (isRecord(value) && typeof value.type === "string" ? value.type : "data");
    events.add(data === "[DONE]" ? "[DONE]" : event);
    if (value !== undefined) collect(value, event, fields);
  }
  return { status, events, fields };
}

function collect(value: unknown, path: string, fields: Map<string, Set<string>>): void {
  const type = value === null ? "null" : Array.isArray(value) ? "list" : typeof value;
  const types = fields.get(path) ?? new Set<string>();
  fields.set(path, types.add(type));
  if (Array.isArray(value)) { for (const entry of value) collect(entry, `${path}[]`, fields); }
  else if (isRecord(value)) {
    for (const [name, entry] of Object.entries(value)) {
      collect(entry, path === "" ? name : `${path}.${name}`, fields);
    }
  }
}

function compare(theirs: Shape, ours: Shape): Omit<Difference, "route">[] {
  const found: Omit<Difference, "route">[] = [];
  if (theirs.status !== ours.status) {
    // If the status differs, so does everything else: the status alone is reported.
    return [{
      kind: "other",
      what: `the status: ${theirs.status} recorded, ${ours.status} from the fake`,
    }];
  }
  for (const event of theirs.events) {
    if (!ours.events.has(event)) found.push({ kind: "missing", what: `event ${event}` });
  }
  for (const event of ours.events) {
    if (!theirs.events.has(event)) found.push({ kind: "extra", what: `event ${event}` });
  }
  const isOfKnownEvent = (path: string, events: ReadonlySet<string>): boolean =>
    events.size === 0 ||
    [...events].some((event) =>
      path === event || path.startsWith(`${event}.`) || path.startsWith(`${event}[`)
    );
  for (const [path, types] of theirs.fields) {
    const other = ours.fields.get(path);
    if (other === undefined) {
      if (isOfKnownEvent(path, ours.events) && hasParent(path, ours)) {
        found.push({ kind: "missing", what: path });
      }
    } else if (
      ![...types].some((type) => other.has(type)) && ![...types, ...other].includes("null")
    ) {
      found.push({
        kind: "other",
        what: `the type of ${path}: ${[...types].join("/")} recorded, ${
          [...other].join("/")
        } from the fake`,
      });
    }
  }
  for (const path of ours.fields.keys()) {
    if (
      !theirs.fields.has(path) && isOfKnownEvent(path, theirs.events) && hasParent(path, theirs)
    ) {
      found.push({ kind: "extra", what: path });
    }
  }
  return found;
}

/**
 * Whether the field's parent is there: if it is not, the parent is the difference. An empty list says nothing about
 * its entries.
 */
function hasParent(path: string, { fields }: Shape): boolean {
  const parent = path.replace(/(?:\[\]|\.[^.[\]]+)$/, "");
  return parent === path || parent === ""
    ? !path.endsWith("[]")
    : fields.has(parent) && !path.endsWith("[]");
}

// --- The recorded models ----------------------------------------------------------------------

/** Models for the fake, as the first recorded listing describes them. */
function modelsOf(exchanges: readonly RecordedExchange[]): FakeModel[] {
  const models = new Map<string, FakeModel>();
  for (const { request, response } of exchanges) {
    const path = request.path.replace(/\?.*/, "");
    if (request.method !== "GET" || !path.endsWith("/models") || response === undefined) continue;
    const body = parseJson(textOf(response));
    const list = isRecord(body) ? body.models ?? body.data : undefined;
    if (!Array.isArray(list)) continue;
    for (const entry of list.filter(isRecord)) {
      const id = entry.key ?? entry.id;
      if (typeof id === "string" && !models.has(id)) models.set(id, modelOf(id, entry));
    }
    // The first listing shows the state before anything was loaded.
    if (models.size > 0) break;
  }
  return [...models.values()];
}

function modelOf(id: string, entry: Readonly<Record<string, unknown>>): FakeModel {
  const {
    loaded_instances: instances,
    state,
    capabilities,
    max_context_length: most,
    params_string: params,
  } = entry;
  const abilities = isRecord(capabilities) ? capabilities : {};
  const config = Array.isArray(instances) && isRecord(instances[0])
    ? instances[0].config
    : undefined;
  const { num_experts: experts, context_length: context } = isRecord(config) ? config : {};
  const reasoning = isRecord(abilities.reasoning) ? abilities.reasoning.allowed_options : undefined;
  return {
    id,
    loaded: Array.isArray(instances)
      ? instances.length > 0
      : state === undefined || state === "loaded",
    ...(/^embed/.test(String(entry.type)) ? { type: "embedding" } : {}),
    ...(entry.type === "decision" ? { type: "decision" } : {}),
    ...(typeof most === "number" ? { maxContextLength: most } : {}),
    ...(typeof params === "string" ? { params } : {}),
    ...(typeof experts === "number" ? { numExperts: experts } : {}),
    ...(typeof context === "number" ? { contextLength: context } : {}),
    ...(abilities.vision === true || entry.type === "vlm" ? { vision: true } : {}),
    ...(typeof abilities.trained_for_tool_use === "boolean"
      ? { tools: abilities.trained_for_tool_use }
      : {}),
    ...(Array.isArray(reasoning) ? { reasoning: reasoning.map(String) } : {}),
    ...(Array.isArray(entry.variants) ? { variants: entry.variants.map(String) } : {}),
  };
}
