/**
 * Preload of the documentation tests: puts a fake LM Studio behind `globalThis.fetch`, so that examples
 * run as users write them. Only requests to servers that an example started itself are really sent.
 */

import { createFakeLMStudio } from "../src/testing/mod.ts";

const FIRST_EPHEMERAL_PORT = 32_768;

/** The fake's default models, and a decision model. */
const fake = createFakeLMStudio({
  models: [
    { id: "google/gemma-4-26b-a4b", vision: true, reasoning: ["off", "on"] },
    { id: "openai/gpt-oss-20b", loaded: false, reasoning: ["low", "medium", "high"] },
    { id: "text-embedding-nomic-embed-text-v1.5", loaded: false },
    { id: "typesafe/kev-4b", type: "decision" },
  ],
});
const realFetch = globalThis.fetch;

globalThis.fetch = (input: string | URL | Request, init?: RequestInit) => {
  const { hostname, port } = new URL(input instanceof Request ? input.url : input);
  const isOwn = hostname === "127.0.0.1" && Number(port) >= FIRST_EPHEMERAL_PORT;
  return isOwn ? realFetch(input, init) : fake.fetch(input, init);
};
