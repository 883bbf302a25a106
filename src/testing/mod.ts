/**
 * Test doubles: a fake LM Studio that behaves like the real server on the wire, and a conformance suite for
 * `ModelProvider`.
 *
 * @module
 */

export { type ConformanceOptions, type ProviderFactory, testModelProvider } from "./conformance.ts";
export type { ModelProvider, Usage } from "../core/types.ts";
export { createFakeLMStudio } from "./fake_lmstudio.ts";
export type {
  BadJsonFault,
  CutFault,
  DelayFault,
  EmptyStreamFault,
  ErrorFrameFault,
  FakeAnswer,
  FakeChat,
  FakeChatMessage,
  FakeDecision,
  FakeDownload,
  FakeFault,
  FakeListener,
  FakeListenOptions,
  FakeLMStudio,
  FakeLMStudioOptions,
  FakeModel,
  FakeReply,
  FakeReplyFunction,
  FakeToolCall,
  FakeToolRun,
  FaultKind,
  FaultPlace,
  HtmlFault,
  LoadingFault,
  RateLimitFault,
  RecordedChunk,
  RecordedExchange,
  RecordedRequest,
  RedirectFault,
  RefuseFault,
  RespondFault,
  StallFault,
} from "./fake_options.ts";
