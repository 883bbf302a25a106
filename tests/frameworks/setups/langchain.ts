/** LangChain: its classes for OpenAI with the options of `toOpenAI()`, instead of the imported ones. */
import * as core from "npm:@langchain/core@1.4.0/messages";
import * as original from "npm:@langchain/openai@1.6.0";
import { LMStudioProvider } from "../../../mod.ts";

export * from "npm:@langchain/openai@1.6.0";

const configuration = new LMStudioProvider().toOpenAI();
const settings = { configuration, apiKey: configuration.apiKey };

export class ChatOpenAI extends original.ChatOpenAI {
  constructor(fields: original.ChatOpenAIFields = {}) {
    super({ ...fields, ...settings });
  }
}

export class OpenAIEmbeddings extends original.OpenAIEmbeddings {
  constructor(fields: ConstructorParameters<typeof original.OpenAIEmbeddings>[0] = {}) {
    super({ ...fields, ...settings });
  }
}

// The programs of the README use it without importing it.
Object.assign(globalThis, { HumanMessage: core.HumanMessage });
