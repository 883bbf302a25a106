/**
 * The part of LM Studio's WebSocket protocol that `@lmstudio/sdk` needs for a load, an answer, a vector and an unload.
 * It follows the messages that version 1.5.0 of that package sends and its schemas for what it receives, not LM
 * Studio, whose side of the protocol is not documented.
 */

import { type ForeignServer, serveForeign } from "./foreign_servers.ts";

/** Its answers. */
export interface WebSocketOptions {
  /** The chunks of every answer. */
  reply: readonly string[];
  vector: readonly number[];
}

/** One call, such as `llm.predict`, and its parameters. */
export interface WebSocketCall {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- JSON of the wire
  readonly parameter: any;
}

/** A message from the client: an RPC, or a channel that it opens. */
type Message =
  | { type: "rpcCall"; endpoint: string; callId: number; parameter: unknown }
  | { type: "channelCreate"; endpoint: string; channelId: number; creationParameter: unknown }
  | { type: "communicationWarning"; warning: string };

const EMPTY_CONFIG = { fields: [] };

/** Starts the server; there is one WebSocket per namespace, `llm` and `embedding`. */
export function serveWebSockets(
  options: WebSocketOptions,
): ForeignServer & { readonly calls: readonly WebSocketCall[] } {
  const calls: WebSocketCall[] = [];
  const server = serveForeign((request, path) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    const send = (message: unknown) => socket.send(JSON.stringify(message));
    let isKnown = false;
    socket.onmessage = ({ data }) => {
      if (!isKnown) {
        // The first message has `authVersion`, `clientIdentifier` and `clientPasskey`.
        isKnown = true;
        return send({ success: true });
      }
      const message: Message = JSON.parse(data);
      if (message.type === "communicationWarning") {
        // The client did not understand a message.
        return calls.push({ name: message.type, parameter: message.warning });
      }
      const name = `${path.slice(1)}.${message.endpoint}`;
      if (message.type === "rpcCall") {
        calls.push({ name, parameter: message.parameter });
        send({ type: "rpcResult", callId: message.callId, result: resultOf(name, options) });
      } else if (message.type === "channelCreate") {
        const { channelId, creationParameter } = message;
        calls.push({ name, parameter: creationParameter });
        for (const packet of packetsOf(name, creationParameter, options)) {
          send({ type: "channelSend", channelId, message: packet });
        }
        send({ type: "channelClose", channelId });
      }
    };
    return response;
  });
  return { ...server, calls };
}

/** Without a result, as for `unloadModel`, the field is absent. */
function resultOf(name: string, { vector }: WebSocketOptions): unknown {
  return name === "embedding.embedString" ? { embedding: vector } : undefined;
}

function packetsOf(name: string, parameter: unknown, { reply }: WebSocketOptions): unknown[] {
  switch (name) {
    case "llm.getOrLoad":
    case "embedding.getOrLoad": {
      const { identifier } = parameter as { identifier: string };
      const type = name === "llm.getOrLoad" ? "llm" : "embedding";
      return [
        { type: "startLoading", identifier, info: modelInfo(type, identifier) },
        { type: "loadProgress", progress: 1 },
        { type: "loadSuccess", info: instanceInfo(type, identifier) },
      ];
    }
    case "llm.predict": {
      const { modelSpecifier } = parameter as { modelSpecifier: { instanceReference: string } };
      return [
        ...reply.map((content) => ({
          type: "fragment",
          fragment: {
            content,
            tokensCount: 1,
            containsDrafted: false,
            reasoningType: "none",
            isStructural: false,
          },
        })),
        {
          type: "success",
          stats: { stopReason: "eosFound", predictedTokensCount: reply.length },
          modelInfo: instanceInfo("llm", modelSpecifier.instanceReference),
          loadModelConfig: EMPTY_CONFIG,
          predictionConfig: EMPTY_CONFIG,
        },
      ];
    }
    default:
      return [];
  }
}

function modelInfo(type: "llm" | "embedding", modelKey: string): Record<string, unknown> {
  return {
    type,
    modelKey,
    format: "gguf",
    displayName: modelKey,
    path: `${modelKey}.gguf`,
    sizeBytes: 1,
    maxContextLength: 40_960,
    ...(type === "llm" ? { vision: false, trainedForToolUse: true } : {}),
  };
}

function instanceInfo(type: "llm" | "embedding", identifier: string): Record<string, unknown> {
  return {
    ...modelInfo(type, identifier),
    identifier,
    instanceReference: identifier,
    contextLength: 8192,
  };
}
