/**
 * List of what this package assumes about LM Studio. `docs/assumptions.md` is generated from it, and `verify` checks it
 * against a server. Texts are Markdown.
 *
 * @module
 */

/** An assumption, the evidence for it, and how it is tried. */
export interface Assumption {
  readonly text: string;
  /** `documented`, `observed`, `assumed` or `disputed`, possibly several of them with an explanation. */
  readonly verdict: string;
  readonly evidence: string;
  /** The test that fails if this package stops acting on the assumption. */
  readonly pinned: string;
  /** Name of the trial in `trials.ts`. */
  readonly trial?: string;
  /** Why there is no trial. */
  readonly untried?: string;
}

/** A section of the document, with its table. */
export interface Section {
  readonly title: string;
  readonly assumptions: readonly Assumption[];
}

const OWN_CHOICE = "it is this package's own choice; there is nothing to ask a server";
const OTHER_PRODUCT = "it is about another product's server";
const FILES = "it is about files on the server's machine";
const HARM = "a trial could crash the engine or evict a model";
const NOT_REFUTABLE = "no answer can contradict it";
const MODEL = "it depends on the model, and on what the model happens to write";
const SETTINGS = "it depends on the server's settings, which no route shows";
const UNSEEN = "it cannot be seen from outside";
const TWO_INSTANCES = "it needs two instances of one model";

/** Every assumption about the server, in the order of the document. */
export const SECTIONS: readonly Section[] = [
  {
    title: "Address and routes",
    assumptions: [
      {
        text: "The server listens on `127.0.0.1:1234` by default.",
        verdict: "documented",
        evidence: "`lms` `server.ts`",
        pinned:
          '`tests/assumptions_test.ts`: "the default address is 127.0.0.1:1234, not localhost"',
        untried: SETTINGS,
      },
      {
        text:
          "It listens on IPv4 only, so `localhost` may fail: Node tries `::1` first. Our default is therefore the address, not the name. A host given by the user is kept as written.",
        verdict: "observed",
        evidence: "bt#121, bolt.diy#876",
        pinned: "`tests/base_url_test.ts`",
        trial: "ipv4",
      },
      {
        text:
          "It is reachable from its own machine only. `0.0.0.0` is an address to listen on, not to connect to.",
        verdict: "documented",
        evidence: '"Serve on Local Network"',
        pinned: '`tests/base_url_test.ts`: "0.0.0.0"',
        untried: SETTINGS,
      },
      {
        text:
          "People write base URLs with and without `/v1`. If `/v1` is doubled, the server answers 200 with an error.",
        verdict: "observed",
        evidence: "bt#618",
        pinned:
          '`tests/assumptions_test.ts`: "a base URL with a route at its end does not double the route"',
        trial: "doubledRoute",
      },
      {
        text:
          'An unknown route answers **200** `{"error":"Unexpected endpoint or method. (…)"}`, even if a stream was requested; since 0.4, routes under `/api/v1/` answer 404 instead. So status 200 proves nothing: every answer is checked for an `error` and for its shape.',
        verdict: "observed",
        evidence: "bt#618, bt#1323, vault-operator#73",
        pinned:
          '`tests/assumptions_test.ts`: "an unknown route answers 200 with an error, even if a stream was requested"',
        trial: "unknownRoute",
      },
      {
        text:
          '`GET /lmstudio-greeting` answers `{"lmstudio":true}` to everyone. Discovery recognizes the server by it. Where a TCP connection cannot be tried (browsers, Node before 20.16), it shows whether anything is listening.',
        verdict: "documented",
        evidence: "`lms`, `lmstudio-js`",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "lmstudio-greeting"; `tests/discovery_test.ts`: "discover: finds exactly the running model servers among all kinds of others"',
        trial: "greeting",
      },
      {
        text: "A pooled connection may be dead after 5 s idle (`Keep-Alive: timeout=5`).",
        verdict: "observed",
        evidence: "bt#945",
        pinned:
          '`tests/assumptions_test.ts`: "a pooled connection that the server has closed costs one more request, not the answer"',
        trial: "keepAlive",
      },
      {
        text:
          "With authentication on (0.4.0), the API token is sent as `Authorization: Bearer`; a missing or malformed one is answered with 401, in one of two wordings. With authentication off, any token or none is accepted.",
        verdict: "documented, observed",
        evidence: "opencode-lmstudio#41",
        pinned:
          '`tests/assumptions_test.ts`: "the API token is sent as a bearer token, to every route"; `tests/error_mapping_test.ts`: "auth_missing.json"',
        trial: "token",
      },
    ],
  },
  {
    title: "Discovery",
    assumptions: [
      {
        text:
          "LM Studio's home is the folder named in `~/.lmstudio-home-pointer`, else `~/.cache/lm-studio` if it exists, else `~/.lmstudio`.",
        verdict: "documented",
        evidence: "`lmstudio-js` `findLMStudioHome.ts`",
        pinned: '`tests/discovery_test.ts`: "candidates: LM Studio\'s settings"',
        untried: FILES,
      },
      {
        text:
          "`.internal/http-server-config.json` in that folder has the server's `port`. It shows what is configured, not whether the server is running.",
        verdict: "observed",
        evidence: "a public file",
        pinned:
          '`tests/discovery_test.ts`: "candidates: LM Studio\'s settings are read again in each round"',
        untried: FILES,
      },
      {
        text: "`networkInterface` in that file is the address that the server is bound to.",
        verdict: "observed",
        evidence: "bt#127",
        pinned: '`tests/discovery_test.ts`: "candidates: networkInterface"',
        untried: FILES,
      },
      {
        text:
          "`.internal/http-server.json` names the port for LM Studio's own programs, which answers the greeting but has none of the HTTP routes. How it answers a request for them is not known; we assume an unexpected endpoint or a 404.",
        verdict: "documented (`lms`); the answers **assumed**",
        evidence: "`lms` `localAPIServer.ts`",
        pinned:
          "`tests/discovery_test.ts`: \"discover: the port of LM Studio's programs is not its HTTP server's\"",
        untried: FILES,
      },
      {
        text:
          'Another app by the same maker ("Bionic") keeps its files under `apps/bionic/` in the same home folder. That its two port files have the same paths in it is **assumed**.',
        verdict: "observed; the places **assumed**",
        evidence: "public scripts of 2026-09",
        pinned:
          '`tests/discovery_test.ts`: "a port that LM Studio\'s programs use, and that of another app of its maker"',
        untried: FILES,
      },
      {
        text:
          "A server that requires an API token can still be identified: by the greeting, else by its own 401 (`invalid_api_key`, and a message that names LM Studio).",
        verdict: "the 401 observed; the greeting without a token **assumed**",
        evidence: "opencode-lmstudio#41",
        pinned:
          '`tests/discovery_test.ts`: "discover: only LM Studio\'s own 401 identifies LM Studio"',
        trial: "securedIdentity",
      },
      {
        text:
          "A listing in the shape of `/api/v1` or `/api/v0` comes from LM Studio; one in the shape of `/v1/models` may come from any server.",
        verdict: "observed",
        evidence: "bt#1680, other servers' answers",
        pinned:
          '`tests/discovery_test.ts`: "discover: a listing in LM Studio\'s own shape is enough without a greeting"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "Ollama has `/api/version` with a string and `/api/tags` with `models`. LM Studio answers 200 to both, but without these; llama.cpp's server has only the second.",
        verdict: "documented, observed",
        evidence: "Ollama's API documentation, bt#1680",
        pinned: '`tests/discovery_test.ts`: "discover: Ollama needs both its version and its tags"',
        trial: "notOllama",
      },
      {
        text:
          "`OLLAMA_HOST` is a host, a port, both, or a URL. Without a scheme, the default port is 11434.",
        verdict: "documented",
        evidence: "Ollama's `envconfig/config.go`",
        pinned: '`tests/discovery_test.ts`: "candidates: an invalid OLLAMA_HOST is ignored"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "Ollama has `/v1/models`, `/v1/chat/completions` and `/v1/embeddings`, and none of LM Studio's own routes.",
        verdict: "documented",
        evidence: "Ollama's OpenAI compatibility documentation",
        pinned:
          '`tests/local_provider_test.ts`: "local: Ollama is used through its OpenAI-compatible routes, under its own name"',
        untried: OTHER_PRODUCT,
      },
    ],
  },
  {
    title: "Listings",
    assumptions: [
      {
        text:
          "`GET /api/v1/models` (0.4.0): the top-level key is `models`, `key` is the id, and `loaded_instances` has the loaded instances. Many fields may be null or absent.",
        verdict: "documented, observed",
        evidence: "REST documentation, bt#1659",
        pinned: '`tests/listing_test.ts`: "listing /api/v1/models: everything it contains"',
        trial: "nativeListing",
      },
      {
        text:
          "`GET /api/v0/models` (0.3.6): `type` is `llm`, `vlm` or `embeddings`, `state` is `loaded` or something else.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/listing_test.ts`: "listing /api/v0/models: state, types, contexts"',
        trial: "olderListing",
      },
      {
        text:
          "`GET /v1/models` has only ids and no `created`. A model whose id has `embed` at the start, or after `-`, `_`, `.` or `/`, is taken for an embedding model.",
        verdict: "observed; the last **assumed**",
        evidence: "bt#2139",
        pinned: '`tests/listing_test.ts`: "listing /v1/models: ids are all there is"',
        trial: "openaiListing",
      },
      {
        text: "Other products answer 200 at `/api/v1/models` in their own shape.",
        verdict: "observed",
        evidence: "OpenRouter, and servers that copy it",
        pinned:
          '`tests/aimock_test.ts`: "aimock: listing falls through another product\'s answer to /v1/models"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "With just-in-time loading on, `/api/v0` and `/v1` list all downloaded models; with it off, only the loaded ones. So a model that is not listed may still exist.",
        verdict: "documented, observed",
        evidence: "bt#726, bt#816",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "JIT off: only loaded models are listed, and nothing is loaded"',
        untried: SETTINGS,
      },
      {
        text:
          "LM Studio offers tools to every language model. `trained_for_tool_use`, or `tool_use` in v0, only says which models were trained to use them.",
        verdict: "documented, as quoted by a client",
        evidence: "opencode-lmstudio",
        pinned: '`tests/listing_test.ts`: "every language model of LM Studio supports tools"',
        untried: MODEL,
      },
      {
        text:
          "`capabilities.reasoning` has `allowed_options` and `default`; `selected_variant` is the one of the `variants` that is loaded.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/listing_test.ts`: "reasoning settings and their default"',
        trial: "reasoningSettings",
      },
      {
        text:
          "If a model has several instances, a request for its key goes to the instance with that id, or to any instance if none has it.",
        verdict: "the first observed; the second **assumed**",
        evidence: "openclaw#141357",
        pinned:
          '`tests/listing_test.ts`: "of several instances, the one under the model\'s own id sets the context"',
        untried: TWO_INSTANCES,
      },
      {
        text: "An entry may lack required fields.",
        verdict: "**assumed**, because clients lost their list to one",
        evidence: "client reports",
        pinned: '`tests/listing_test.ts`: "an odd entry is left out"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "llama.cpp's router reports `status.value` (only `loaded` means loaded) and, for loaded models, `meta.n_ctx` and `n_ctx_train`. vLLM reports `max_model_len`; others report `context_length`, `context_window` or `max_context_length`.",
        verdict: "observed; the last two **assumed**",
        evidence: "llama.cpp#22683, llama.cpp#18035, letta-code#3493",
        pinned: '`tests/listing_test.ts`: "listing /v1/models of other servers"',
        untried: OTHER_PRODUCT,
      },
      {
        text: "The same model may be listed twice.",
        verdict: "observed",
        evidence: "a public report of 2026-08",
        pinned:
          '`tests/listing_test.ts`: "listing /api/v1/models: a model listed several times appears once"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "New fields, formats and types will be added.",
        verdict: "observed",
        evidence: "a later app line added a `format`",
        pinned: '`tests/listing_test.ts`: "formats and fields of later builds are accepted"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "The bundled embedding model is nearly always listed, so the first model of a listing is not a usable default.",
        verdict: "observed",
        evidence: "lms#416",
        pinned:
          '`tests/assumptions_test.ts`: "without a model name the loaded language model answers, and nothing is loaded"',
        untried: NOT_REFUTABLE,
      },
    ],
  },
  {
    title: "Models",
    assumptions: [
      {
        text:
          "If the requested name cannot be resolved but a model is loaded, the loaded model answers silently, with 200. Only `model` in the answer shows it.",
        verdict: "observed",
        evidence: "bt#619, hermes-agent#64742",
        pinned:
          '`tests/assumptions_test.ts`: "an answer by another model is an error; another spelling is not"',
        trial: "substitution",
      },
      {
        text:
          "The same model may be called `publisher/model`, `model`, `model@variant` or `model:2`, in upper or lower case.",
        verdict: "documented, observed",
        evidence: "bt#619",
        pinned:
          '`tests/assumptions_test.ts`: "an answer by another model is an error; another spelling is not"',
        trial: "spelling",
      },
      {
        text:
          'An embedding model that is listed as `llm` cannot embed: `/v1/embeddings` says "No models loaded". "Override Domain Type" under My Models fixes it; newer versions have that setting for GGUF models only.',
        verdict: "observed",
        evidence: "bt#1908, Qwen3-Embedding#13",
        pinned:
          '`tests/embedding_test.ts`: "embed: a model that LM Studio mistakes for a language model is reported"',
        untried: MODEL,
      },
      {
        text:
          "A request for a model that is not loaded loads it first, which can take minutes without any output.",
        verdict: "documented",
        evidence: "TTL and auto-evict documentation",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "JIT: the first request loads, the next load unloads it"',
        untried: HARM,
      },
    ],
  },
  {
    title: "Management",
    assumptions: [
      {
        text:
          "`POST /api/v1/models/load` (0.4.0) accepts only the documented keys. With `echo_load_config`, the answer says how the model was loaded.",
        verdict: "documented; the refusal of unknown keys observed",
        evidence: "REST documentation, Caption-Creator#4",
        pinned: '`tests/models_test.ts`: "load: options are sent under their names on the wire"',
        trial: "loadKeys",
      },
      {
        text:
          "Each load creates another instance, `name:2`, so the loaded instances are looked up first.",
        verdict: "observed",
        evidence: "bt#1582",
        pinned:
          '`tests/models_test.ts`: "ensureLoaded: twenty concurrent calls, in any spelling, are one load"',
        trial: "secondCopy",
      },
      {
        text: "A load can take minutes and reports no progress.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/models_test.ts`: "onStatus reports waiting, then loading once a second"',
        untried: UNSEEN,
      },
      {
        text:
          "Whether a load stops when its request is aborted is not known. The request is aborted when no caller is waiting for it any more.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/models_test.ts`: "ensureLoaded: when all callers have aborted, the request ends"',
        untried: UNSEEN,
      },
      {
        text:
          "A load may allocate less context than requested (auto-fit in MLX) and still report the requested length, so the listing is trusted over `load_config`.",
        verdict: "observed; which of the two lengths `load_config` reports **assumed**",
        evidence: "bt#2191, bt#2174, bt#2212, mlx-engine#366",
        pinned: '`tests/models_test.ts`: "auto-fit: the lease has the listed context"',
        untried: MODEL,
      },
      {
        text:
          "If a load got less context than requested, every further load of the model gets the same amount until it is unloaded.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/models_test.ts`: "auto-fit: the lease has the listed context"',
        untried: MODEL,
      },
      {
        text:
          'The model\'s key loads the selected variant. Any other variant is refused with 404, "not found in downloaded models".',
        verdict: "documented; the refusal observed",
        evidence: "REST documentation, bt#1462",
        pinned: '`tests/models_test.ts`: "load: of several variants the selected one"',
        untried: "it needs a model with two downloaded variants",
      },
      {
        text: "Some listed ids contain an `@`. They are loaded under the id as listed.",
        verdict: "observed; the second **assumed**",
        evidence: "unsloth#9340, lms#434",
        pinned: '`tests/models_test.ts`: "load: a listed id is sent as listed"',
        untried: MODEL,
      },
      {
        text: "An instance whose context length is not in the listing is large enough.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/models_test.ts`: "ensureLoaded: an instance with unknown context counts"',
        untried: OWN_CHOICE,
      },
      {
        text:
          "Unloading requires an instance id; 404 means that no such instance is loaded. The wording of that answer is not known.",
        verdict: "documented; the status observed",
        evidence: "REST documentation, a public file",
        pinned:
          '`tests/models_test.ts`: "unload: an instance that has gone in the meantime counts as unloaded"',
        trial: "unloadUnknown",
      },
      {
        text:
          "A model that was loaded by a request is evicted by the next such load, even in the middle of an answer. A model that was loaded explicitly is not.",
        verdict: "documented, observed",
        evidence: "bt#671, opencode#18532",
        pinned:
          '`tests/models_test.ts`: "auto-evict: an answer interrupted by another client\'s load"',
        untried: HARM,
      },
      {
        text:
          "With just-in-time loading off, older listings show two instances of one model as `x` and `x:2`.",
        verdict: "**assumed** from how instances are named",
        evidence: "bt#619",
        pinned:
          '`tests/models_test.ts`: "choice: instances of one model in an older listing are one model"',
        untried: TWO_INSTANCES,
      },
      {
        text:
          "A download is a job, polled by its id. A `paused` download is resumed at some point. No route pauses or stops a download.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned:
          '`tests/download_test.ts`: "download: cut, paused and resumed, it ends with the right total"',
        trial: "downloadJob",
      },
      {
        text:
          "Which field has the reason for a failed download is not documented; `error`, `message` and `reason` are read, as a string or as an object with a `message`.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/download_test.ts`: "download: a failure is yielded, then thrown with its reason"',
        untried: "it needs a download that fails",
      },
      {
        text: "404 for a job means that the server does not know it, whatever the wording.",
        verdict: "the type documented; the status and wording **assumed**",
        evidence: "REST documentation",
        pinned:
          '`tests/download_test.ts`: "downloadStatus: an unknown job, whatever characters its id has"',
        trial: "unknownJob",
      },
      {
        text:
          "Listings do not say how a model was loaded, and nobody has published whether loading an embedding model evicts a language model. We assume that either may be evicted, so a request that loads another model waits.",
        verdict: "**assumed**",
        evidence: "cautious reading",
        pinned:
          '`tests/queue_test.ts`: "queue: a model that is not loaded waits until the others are done, in any spelling and for embeddings"',
        untried: UNSEEN,
      },
      {
        text:
          "An instance handles `parallel` requests at a time, four by default (0.4.0); further ones wait in the server. What older versions do is **assumed**: they are also sent four.",
        verdict: "documented, in a sample",
        evidence: "documentation of `/api/v1/models`",
        pinned:
          '`tests/queue_test.ts`: "queue: four generations of a model at once, if no listing gives a number"',
        untried: UNSEEN,
      },
    ],
  },
  {
    title: "Requests",
    assumptions: [
      {
        text:
          "`POST /v1/chat/completions` exists in every version and accepts tools, images and schemas.",
        verdict: "documented",
        evidence: "OpenAI compatibility documentation",
        pinned: '`tests/twelve_cases_test.ts`: "complete_success_with_mock_response"',
        trial: "completions",
      },
      {
        text: 'A null or missing `content` is refused with 400, so `""` is sent.',
        verdict: "observed",
        evidence: "bt#261, thane#1229",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        trial: "contentNull",
      },
      {
        text: "The role `developer` is accepted and treated as `system`.",
        verdict: "observed",
        evidence: "bt#1730",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        trial: "developerRole",
      },
      {
        text:
          "Tool call arguments in the history that are not JSON break engines, so they are sent back as `{}`.",
        verdict: "observed",
        evidence: "reports of truncated calls",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        untried: HARM,
      },
      {
        text:
          "Chat templates read these arguments as an object, so any other JSON is also sent back as `{}`.",
        verdict: "**assumed**",
        evidence: "reports of failing templates",
        pinned:
          '`tests/completion_test.ts`: "request: arguments that are not a JSON object are sent back as {}, as engines require"',
        untried: HARM,
      },
      {
        text: 'Tool parameters without `type: "object"` and `properties` are refused.',
        verdict: "observed",
        evidence: "lms#537, generic-copilot#40",
        pinned:
          '`tests/assumptions_test.ts`: "tools: parameters are always an object with properties, choices are strings"',
        trial: "toolParameters",
      },
      {
        text:
          "`tool_choice` is a string; an object is refused. For a named tool, `required` is sent with that tool alone.",
        verdict: "observed",
        evidence: "bt#670",
        pinned:
          '`tests/assumptions_test.ts`: "tools: parameters are always an object with properties, choices are strings"',
        trial: "toolChoiceObject",
      },
      {
        text:
          "Every tool call in a conversation needs its own id. A missing or repeated id is replaced by a nine-digit number, the form of LM Studio's own ids.",
        verdict: "**assumed**",
        evidence: "tools documentation (the form)",
        pinned: '`tests/tools_test.ts`: "ids: each tool call of a conversation has its own"',
        untried: OWN_CHOICE,
      },
      {
        text: "`max_tokens` works in every version; `-1` means no limit.",
        verdict: "documented",
        evidence: "samples",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under names that every version accepts, and none that was not set"',
        trial: "maxTokens",
      },
      {
        text:
          "`reasoning_effort` accepts `none`, not `off`. Which other values it accepts depends on the model.",
        verdict: "observed, disputed",
        evidence: "bt#988, yoy123#35",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under names that every version accepts, and none that was not set"',
        trial: "reasoningNone",
      },
      {
        text: "`response_format` is `json_schema`; `json_object` is refused.",
        verdict: "observed",
        evidence: "bt#189",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under names that every version accepts, and none that was not set"',
        trial: "responseFormat",
      },
      {
        text:
          "Images are PNG or JPEG in a `data:` URL. Other URLs and WebP are refused with the same misleading message.",
        verdict: "observed",
        evidence: "bt#1027, bt#1752",
        pinned: '`tests/error_mapping_test.ts`: "images_url.json"',
        trial: "imageAddress",
      },
      {
        text:
          "llama.cpp accepts `#/…` references, refuses `#`, and reads tuples as arrays in `items`. LM Studio passes schemas through.",
        verdict: "observed, **assumed**",
        evidence: "the code of its converter, bt#203",
        pinned:
          '`tests/objects_test.ts`: "objects: a recursive schema refers to itself by name, with an object at the top level"',
        untried: "it depends on the engine",
      },
      {
        text:
          "Whether tools and `response_format` can be combined depends on the engine; both are sent.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/objects_test.ts`: "objects: a model that calls tools instead"',
        untried: "it depends on the engine",
      },
    ],
  },
  {
    title: "Answers and streams",
    assumptions: [
      {
        text:
          "Reasoning is in `reasoning_content`, in `reasoning`, or between tags in `content`, depending on the model and a setting.",
        verdict: "documented, observed",
        evidence: "0.3.9, 0.3.23, bt#378",
        pinned:
          '`tests/assumptions_test.ts`: "content may be absent, empty or text when there is reasoning"',
        trial: "reasoningField",
      },
      {
        text:
          "Besides `<think>`, models write `<\\|channel>thought`, the channels of gpt-oss, `[THINK]` and `<seed:think>`. The tags of Kimi and Command A are taken from their templates.",
        verdict: "observed; the last **assumed**",
        evidence: "bt#2013, bt#1545, RooCode#8522, vllm-mlx#599",
        pinned: '`tests/think_splitter_test.ts`: "Gemma\'s channel"',
        untried: MODEL,
      },
      {
        text:
          "Reasoning may come in several blocks, also after text. A tag in quotes, code or JSON, or in the middle of a sentence, is part of the text.",
        verdict: "observed; the last **assumed**",
        evidence: "autogen#7009",
        pinned: '`tests/think_splitter_test.ts`: "a second block"',
        untried: MODEL,
      },
      {
        text:
          "Some reasoning models write the object that a schema asks for into `reasoning_content` and leave `content` empty.",
        verdict: "observed",
        evidence: "bt#1698, bt#1773, bt#1971",
        pinned:
          '`tests/objects_test.ts`: "objects: a model that writes the object into its reasoning"',
        untried: MODEL,
      },
      {
        text:
          "If `<think>` is already in the prompt, only `</think>` appears in the answer. Everything before it is reasoning, unless the tag is quoted or in code. A stream can only tell at its end.",
        verdict: "observed",
        evidence: "bt#1495, bt#1368, lms#476",
        pinned:
          '`tests/reasoning_test.ts`: "reasoning: an opening tag that was in the prompt is inferred, whole and at a stream\'s end"',
        untried: MODEL,
      },
      {
        text: "`content` may be absent, and `tool_calls` may be an empty array.",
        verdict: "documented, observed",
        evidence: "tools documentation, bt#988",
        pinned:
          '`tests/assumptions_test.ts`: "content may be absent, empty or text when there is reasoning"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "A stream has usage only if it is requested (0.3.18), in a chunk without choices after the finish reason.",
        verdict: "documented, observed",
        evidence: "zed#57861",
        pinned:
          '`tests/assumptions_test.ts`: "usage is requested in every stream, and follows the finish reason without choices"',
        trial: "streamUsage",
      },
      {
        text: "Before 0.3.18, streams have no usage.",
        verdict: "documented",
        evidence: "changelog",
        pinned:
          '`tests/assumptions_test.ts`: "before 0.3.18 missing usage is not an error: it is absent"',
        untried: "it is about older servers, which no route tells from newer ones",
      },
      {
        text: "`completion_tokens` is one too low at the token limit. It is passed on unchanged.",
        verdict: "observed",
        evidence: "bt#2335",
        pinned: '`tests/fake_lmstudio_test.ts`: "limits and stop texts end the answer"',
        trial: "oneShort",
      },
      {
        text:
          "A complete stream has a finish reason, `[DONE]` or both; one with neither was cut off.",
        verdict: "observed",
        evidence: "captures",
        pinned:
          '`tests/assumptions_test.ts`: "a finish reason or [DONE] completes a stream; without both it is an error with the partial answer"',
        trial: "streamEnd",
      },
      {
        text:
          "A finish reason may come with every chunk, or as the string `None`. LM Studio was not seen to do either.",
        verdict: "observed elsewhere",
        evidence: "open-webui#16377, vercel/ai#2548",
        pinned: '`tests/endings_test.ts`: "endings: a finish reason in every chunk cuts nothing"',
        untried: OTHER_PRODUCT,
      },
      {
        text: "A connection may stay open after the last event.",
        verdict: "observed",
        evidence: "reports about the native route",
        pinned:
          '`tests/assumptions_test.ts`: "a connection left open after the finish reason is closed after 2 s"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "Headers may be sent before the first token, or only with it.",
        verdict: "disputed",
        evidence: "RooCode#12244",
        pinned:
          '`tests/assumptions_test.ts`: "headers that arrive with the first token are waited for"',
        untried: "both are right",
      },
      {
        text: "Lines end in LF. CR, CRLF, comments and a byte order mark are also accepted.",
        verdict: "**assumed**",
        evidence: "no other line end was seen",
        pinned: "`tests/sse_test.ts`",
        trial: "lineEnds",
      },
      {
        text:
          "An error in a stream is an `event: error` under status 200, possibly as the first and only event.",
        verdict: "observed",
        evidence: "goose#11318, bt#2322",
        pinned:
          '`tests/assumptions_test.ts`: "an error inside a stream under 200 is that error, wherever it appears"',
        untried: "an error in a stream cannot be provoked without harm",
      },
      {
        text:
          'Tool calls are streamed in parts, matched by `index`. Before 0.3.16, names were repeated as `""`. Ids may be `""`, and the finish reason may be `stop`.',
        verdict: "documented, observed",
        evidence: "bt#649, bt#830",
        pinned:
          '`tests/assumptions_test.ts`: "tool calls: repeated names, empty ids and a finish with stop are repaired"',
        trial: "streamedCall",
      },
      {
        text:
          "With some models a tool call is sent only once it is complete, and nothing while it is being written. So a stream with tools may be silent for a long time.",
        verdict: "observed",
        evidence: "bt#1868, 0.4.12",
        pinned:
          '`tests/idle_limit_test.ts`: "idle limit: ${name} with tools has the first-token timeout"',
        untried: MODEL,
      },
      {
        text:
          "A tool call may be left in `content`, in the model's format or that of LM Studio's own prompt, with `tool_calls` empty. The formats are listed in `fixtures/calls/SOURCES.md`.",
        verdict: "observed",
        evidence: "bt#825, bt#1528, bt#1979, bt#2115",
        pinned: "`tests/text_tool_calls_test.ts`",
        untried: MODEL,
      },
      {
        text:
          "Text in a code block, in quotes or in reasoning, or with the name of an undeclared tool, is not a tool call.",
        verdict: "**assumed**",
        evidence: "bt#453, bt#1592",
        pinned: "`tests/text_tool_calls_test.ts`",
        untried: OWN_CHOICE,
      },
      {
        text:
          "`tool_choice` may have no effect: an answer without a tool call then comes with status 200.",
        verdict: "observed",
        evidence: "bt#2115, 0.4.18",
        pinned:
          '`tests/tool_use_test.ts`: "an ignored tool choice is an error that has the answer"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Several tool calls may share one index, without ids. A name, or another object after a complete one, starts the next call.",
        verdict: "observed; the frames **assumed**",
        evidence: "bt#1922, 0.4.14; lens#49",
        pinned:
          '`tests/tool_call_assembler_test.ts`: "several calls under one number, without ids: whole ones"',
        untried: MODEL,
      },
      {
        text:
          "Closing the connection stops the generation, but not prompt processing. So a request that timed out may still be running, and is not sent again.",
        verdict: "observed",
        evidence: "bt#944",
        pinned:
          '`tests/aimock_test.ts`: "aimock: break ends a stream early, and the next call works"',
        untried: UNSEEN,
      },
    ],
  },
  {
    title: "Text completions",
    assumptions: [
      {
        text:
          "`POST /v1/completions` continues a text, without a template. `text` is in `choices`; everything else is as in chat completions.",
        verdict: "documented",
        evidence: "completions documentation, v0 sample",
        pinned: '`tests/text_completion_test.ts`: "answer: the documentation\'s sample"',
        trial: "textCompletion",
      },
      {
        text:
          "Its streams have the frames of a chat completion stream, with `text_completion` as `object` and `choices[].text`.",
        verdict: "**assumed**",
        evidence: "as llama.cpp's server sends it, ik_llama.cpp#767",
        pinned:
          '`tests/text_completion_test.ts`: "streams: the same text however the network cuts them"',
        trial: "textStream",
      },
      {
        text:
          "`max_tokens`, `stop` and the other settings have the same names as for chat completions.",
        verdict: "**assumed**",
        evidence: "the v0 sample has `temperature`, `max_tokens`, `stop`",
        pinned:
          '`tests/text_completion_test.ts`: "request: every field under its name on the wire"',
        trial: "textLimit",
      },
      {
        text:
          "`suffix` and `echo` are OpenAI's; LM Studio's documentation does not mention them. They are sent as given, and the text is returned unchanged.",
        verdict: "**assumed**",
        evidence: "the documentation refers to OpenAI's",
        pinned:
          '`tests/text_completion_test.ts`: "request: every field under its name on the wire"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Nothing separates reasoning from text on this route, so `<think>` is left in the text.",
        verdict: "**assumed**",
        evidence: "no template is applied",
        pinned: '`tests/text_completion_test.ts`: "answer: the text is unchanged"',
        untried: MODEL,
      },
      {
        text: "Another model may answer on this route too.",
        verdict: "**assumed**",
        evidence: "as for chat completions",
        pinned:
          '`tests/text_completion_test.ts`: "substitution: the error has the answer, or a stream\'s partial text"',
        trial: "textSubstitution",
      },
    ],
  },
  {
    title: "Embeddings",
    assumptions: [
      {
        text:
          '`encoding_format` is ignored; vectors are always floats. `"float"` is sent anyway, for servers that would send base64.',
        verdict: "observed",
        evidence: "bt#756",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: floats are requested, base64 is read as well, and index sets the order"',
        trial: "base64",
      },
      {
        text: "The answer names the variant (`…@q4_k_m`), and usage is 0.",
        verdict: "documented, observed",
        evidence: "sample, bt#1546",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: floats are requested, base64 is read as well, and index sets the order"',
        trial: "embeddingUsage",
      },
      {
        text: "An empty text causes an engine error, so it is refused before it is sent.",
        verdict: "observed",
        evidence: "bt#142",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: an empty text is refused before it reaches the engine"',
        untried: HARM,
      },
      {
        text:
          "The size limit of a request is not known. A batch ends at 64 texts, or at 1 048 576 characters in total.",
        verdict: "**assumed**",
        evidence: "no 413 was seen",
        pinned:
          '`tests/embedding_test.ts`: "batches: long texts close a batch early, and a very long one is alone"',
        untried: HARM,
      },
      {
        text: "Parallel requests have crashed engines, so the default is one at a time.",
        verdict: "observed",
        evidence: "bt#463",
        pinned: '`tests/assumptions_test.ts`: "embeddings: one request at a time by default"',
        untried: HARM,
      },
      {
        text:
          "Clients that silently request base64 and decode whatever they receive get vectors of a quarter of the length. Clients that request base64 through the `fetch` of `toOpenAI()` get it.",
        verdict: "observed",
        evidence: "n8n#16647, langchainjs#8221",
        pinned: '`tests/forward_test.ts`: "only a client that requests base64 vectors gets them"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "`dimensions` is ignored. It is sent anyway, and longer vectors are cut and normalized to length 1 by this package.",
        verdict: "observed",
        evidence: "a published program",
        pinned:
          '`tests/embedding_test.ts`: "dimensions: if the server ignores them, vectors are cut and normalized to length 1"',
        untried: UNSEEN,
      },
      {
        text:
          "If a text is longer than the model's context, only its beginning is embedded, silently. Our warning is based on an estimate.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/embedding_test.ts`: "long texts: a warning for each that is probably cut, by the loaded context"',
        untried: UNSEEN,
      },
    ],
  },
  {
    title: "Decisions",
    assumptions: [
      {
        text: "`POST /v1/decisions` accepts and returns what npm `openai` 7.57 declares.",
        verdict: "documented by reference; that LM Studio implements all of it **assumed**",
        evidence: "OpenAI compatibility",
        pinned: '`tests/decisions_test.ts`: "decide: requests and answers match openai\'s types"',
        trial: "decisions",
      },
      {
        text: "`POST /v1/systemone` accepts and returns what npm `@typesafe-ai/sdk` 0.6 declares.",
        verdict: "documented by reference; the rest **assumed**",
        evidence: "TypeSafe compatibility",
        pinned: '`tests/decisions_test.ts`: "decide: the spelling of /v1/systemone"',
        trial: "systemone",
      },
      {
        text:
          "In the `state` of `/v1/systemone`, an image is its `data:` URL, at the position of its message.",
        verdict: "the URL documented, the position **assumed**",
        evidence: "TypeSafe compatibility",
        pinned: '`tests/decisions_test.ts`: "decide: the spelling of /v1/systemone"',
        untried: "it needs a decision model with image input",
      },
      {
        text: "Listings give decision models the type `decision`.",
        verdict: "**assumed**",
        evidence: "`ModelDomainType` of LM Studio's SDK",
        pinned:
          '`tests/decisions_test.ts`: "decide: the model from the request, the options, the environment, or the loaded one"',
        trial: "decisionType",
      },
      {
        text: "A language model is refused with a 4xx. The listing shows its type.",
        verdict: "**assumed**",
        evidence: "the documentation requires a decision model",
        pinned: '`tests/decisions_test.ts`: "decide: a specific code for each obstacle"',
        trial: "decisionsOfChatModel",
      },
      {
        text:
          "An older server answers as it does for any unknown route. Which release introduced the route is not known.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/decisions_test.ts`: "decide: a specific code for each obstacle"',
        untried: "it is about older servers, which no route tells from newer ones",
      },
      {
        text: "A score counts levels from 0, and a refusal has the name of its question.",
        verdict: "documented by reference",
        evidence: "npm `openai` 7.57, `@typesafe-ai/sdk` 0.6",
        pinned: '`tests/decisions_test.ts`: "decide: requests and answers match openai\'s types"',
        trial: "decisionScore",
      },
    ],
  },
  {
    title: "Messages",
    assumptions: [
      {
        text:
          "`POST /v1/messages` exists since 0.4.1; it streams Anthropic's events up to `message_stop`.",
        verdict: "documented",
        evidence: "Anthropic compatibility",
        pinned: '`tests/anthropic_client_test.ts`: "anthropic: a stream, by chunk and as a whole"',
        trial: "messages",
      },
      {
        text: "A context overflow is a single `error` event under status 200.",
        verdict: "observed",
        evidence: "public file",
        pinned:
          '`tests/anthropic_client_test.ts`: "anthropic: a context overflow is a single event under 200, and is raised"',
        untried: "an error in a stream cannot be provoked without harm",
      },
      {
        text: "The key is accepted in `Authorization` and in `x-api-key`.",
        verdict: "documented",
        evidence: "Anthropic compatibility",
        pinned:
          '`tests/anthropic_client_test.ts`: "anthropic: the placeholder does not count as a key, under either header"',
        trial: "messagesKey",
      },
    ],
  },
  {
    title: "Responses",
    assumptions: [
      {
        text:
          "`POST /v1/responses` exists since 0.3.29; an older server answers as it does for any unknown route.",
        verdict: "documented, observed",
        evidence: "changelog, bt#618",
        pinned:
          '`tests/responses_test.ts`: "responses: errors have the server\'s wording, in both methods"',
        trial: "responses",
      },
      {
        text:
          "Answers are stored unless `store` is false; an unknown `previous_response_id` is an error with code `previous_response_not_found`.",
        verdict: "documented, observed",
        evidence: "bt#1188",
        pinned:
          '`tests/responses_test.ts`: "responses: a conversation continues from the previous answer, in both ways"',
        trial: "previousResponse",
      },
      {
        text:
          "Tools are flat, `{ type, name, description, parameters }`; the tools of chat completions are refused.",
        verdict: "observed",
        evidence: "bt#1064, bt#2254",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers next to them, a named choice sends only that tool"',
        trial: "flatTools",
      },
      {
        text: "`tool_choice` is a string on this route too.",
        verdict: "**assumed**",
        evidence: "as for chat completions, bt#670",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers next to them, a named choice sends only that tool"',
        trial: "responsesToolChoice",
      },
      {
        text:
          "A remote MCP server is a tool with `server_label`, `server_url` and `allowed_tools`. It must be allowed in the server's settings. `headers` is OpenAI's field.",
        verdict: "documented; `headers` **assumed**",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers next to them, a named choice sends only that tool"',
        untried: "it needs a remote MCP server",
      },
      {
        text:
          "`reasoning: { effort }` accepts `low`, `medium` and `high`. Values for on and off are not documented, so they are not sent.",
        verdict: "documented",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses: settings under the names of the route, and none that was not set"',
        untried: MODEL,
      },
      {
        text:
          "`temperature`, `top_p`, `max_output_tokens`, `instructions` and `store` mean what OpenAI documents.",
        verdict: "**assumed**; `max_output_tokens` observed",
        evidence: "codex",
        pinned:
          '`tests/responses_test.ts`: "responses: settings under the names of the route, and none that was not set"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "Structured output is ignored on this route, so `schema` is refused.",
        verdict: "observed",
        evidence: "bt#1396, bt#2403",
        pinned:
          '`tests/responses_test.ts`: "responses: fields that would be ignored are refused before anything is sent, by both methods"',
        untried: MODEL,
      },
      {
        text: "Images are PNG or JPEG in a `data:` URL, in `input_image` parts.",
        verdict: "observed; the part **assumed**",
        evidence: "bt#1120",
        pinned:
          '`tests/responses_test.ts`: "responses: messages, images, tool calls and their results as items"',
        untried: "it needs a model with image input",
      },
      {
        text:
          "Reasoning is streamed in `response.reasoning_text.delta`, or sent whole in `response.reasoning_text.done` alone.",
        verdict: "observed",
        evidence: "pydantic-ai#3191, pi#4191",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: ${name}, whole and one byte at a time"',
        untried: MODEL,
      },
      {
        text:
          "A stream ends with `response.completed`, `response.incomplete`, `response.failed` or `error`. A stream without any of these was cut off, unless it ends with `[DONE]`.",
        verdict: "the first documented, the others **assumed**",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: incomplete ends, and frames that are not events"',
        trial: "responsesEnd",
      },
      {
        text:
          "The last event repeats the whole output. If it does not, the answer is what was streamed.",
        verdict: "observed; the second **assumed**",
        evidence: "bt#1188",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: items that are missing at the end, misnumbered or odd are not lost"',
        trial: "responsesRepeat",
      },
      {
        text:
          "The arguments of a tool call come in `function_call_arguments.done`, without deltas.",
        verdict: "observed",
        evidence: "vercel/ai, recordings of 2026-01",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: ${name}, whole and one byte at a time"',
        trial: "responsesCall",
      },
      {
        text:
          "Items and the last event may repeat arguments as `{}` or leave them out; the arguments received before are kept.",
        verdict: "observed for items; **assumed** for the last event",
        evidence: "pi#918, openclaw#90585",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: arguments are not replaced by shorter ones, in toolCalls, output and partial"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "The last event may leave out a tool call or a message's text.",
        verdict: "**assumed**",
        evidence: "as for arguments",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: a tool call without an item, or missing in the last event, is not lost"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Another model may answer on this route too, and the first events may still name the requested one.",
        verdict: "**assumed**",
        evidence: "bt#619 (chat completions)",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: another model\'s answer is an error before any event is yielded"',
        trial: "responsesSubstitution",
      },
    ],
  },
  {
    title: "Native chat",
    assumptions: [
      {
        text:
          '`POST /api/v1/chat` exists since 0.4.0; older servers answer 200 and "Unexpected endpoint".',
        verdict: "documented, observed",
        evidence: "REST documentation",
        pinned:
          '`tests/native_chat_test.ts`: "on an older server the error names the version needed"',
        trial: "nativeChat",
      },
      {
        text:
          "Its schema is strict, so only documented keys are sent. For `maxTokens: -1` (no limit) the key is left out.",
        verdict: "observed; the last **assumed**",
        evidence: "Caption-Creator#4",
        pinned:
          '`tests/native_chat_test.ts`: "sent: maxTokens -1 and undefined fields are left out; a stream is requested"',
        trial: "nativeStrict",
      },
      {
        text:
          "A text part of `input` has the type `text` (in the documentation's example) or `message` (in its table). Texts without an image are sent as one string; next to images, the type `text` is sent.",
        verdict: "disputed",
        evidence: "REST documentation",
        pinned: '`tests/native_chat_test.ts`: "sent: mere texts as one text, with images as parts"',
        trial: "nativeParts",
      },
      {
        text:
          "A stream ends with `chat.end`. The socket may stay open after it. A body that ends without it has failed, even if it has `chat.start`.",
        verdict: "observed",
        evidence: "public files of 2026",
        pinned:
          '`tests/native_chat_test.ts`: "end: a socket left open after chat.end delays nothing, and is closed"',
        trial: "nativeEnd",
      },
      {
        text:
          "After `error`, `chat.end` follows with what was generated so far. It is waited for up to 2 s.",
        verdict: "documented; disputed",
        evidence: "streaming events; a grammar error came without `chat.end`",
        pinned:
          '`tests/native_chat_test.ts`: "error event: the answer is waited for, but not longer than 2 s"',
        untried: "an error in a stream cannot be provoked without harm",
      },
      {
        text: "`data.type` repeats the event's name. Either one is enough.",
        verdict: "documented; the last **assumed**",
        evidence: "streaming events",
        pinned:
          '`tests/native_chat_test.ts`: "events: odd ones keep the fields their type declares"',
        trial: "nativeTypes",
      },
      {
        text:
          "`tool_call.name` starts a tool call, and nothing is sent while its arguments are being written. Its fields are not known.",
        verdict: "observed; the last **assumed**",
        evidence: "bt#1880, bt#1881",
        pinned:
          '`tests/native_chat_test.ts`: "events: a tool call starts with its name, and is silent while it is written"',
        untried: "it needs an MCP server that the settings allow",
      },
      {
        text: "If a name cannot be resolved, no other model answers, unlike on `/v1`.",
        verdict: "observed",
        evidence: "local-llm-pdf-ocr#7",
        pinned:
          '`tests/native_chat_test.ts`: "loading: a failure is reported with its code, whole or streamed"',
        trial: "nativeUnknownModel",
      },
      {
        text:
          "The error for an unknown `previous_response_id` is not known; the wording of `/v1/responses` is recognized.",
        verdict: "**assumed**",
        evidence: "bt#1188",
        pinned:
          '`tests/native_chat_test.ts`: "conversation: continues from an answer, branches, and must be stored"',
        untried: "no expected answer is known",
      },
    ],
  },
  {
    title: "Errors",
    assumptions: [
      {
        text:
          'An error is `{"error":"text"}` or `{"error":{message, type, code, param}}`, under any status, including 200.',
        verdict: "observed",
        evidence: "many",
        pinned:
          '`tests/error_mapping_test.ts`: "readWireError accepts every error shape and nothing else"',
        trial: "errorShapes",
      },
      {
        text:
          'LM Studio loads models silently; 503 "Loading model" is llama.cpp\'s answer, and "server busy" Ollama\'s. That a server answering this way has done nothing yet, so that any call can be retried, is **assumed**.',
        verdict: "observed on the other servers",
        evidence: "inference-snaps#234, ha-llmvision#648",
        pinned:
          '`tests/transport_retry_test.ts`: "a server that is loading its model is retried after 1, 2, 4, 8 and 10 s, whatever the call"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "An error in LM Studio's shape is the server's own, whatever the status. Its own HTML pages are those of Express.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/error_mapping_test.ts`: "the proxy hint is for gateway errors and foreign bodies, not for the server\'s own errors"',
        untried: OWN_CHOICE,
      },
      {
        text:
          "400 is by far the most common status, even for crashes and unloads. So the wording decides, not the status.",
        verdict: "observed",
        evidence: "lmstudio-python#171",
        pinned: '`tests/error_mapping_test.ts`: "wording takes precedence over the status"',
        untried: HARM,
      },
      {
        text:
          "The wording depends on the version and the engine, and engine errors are JSON inside text.",
        verdict: "observed",
        evidence: "bt#2182, bt#2205, bt#237",
        pinned: '`tests/error_mapping_test.ts`: "errors nested twice are read to the innermost"',
        untried: HARM,
      },
      {
        text:
          "There is no rate limit: requests beyond the parallel slots wait. 429 and 502 to 504 come from something in between.",
        verdict: "observed, by absence",
        evidence: "no such answer was found",
        pinned:
          '`tests/error_mapping_test.ts`: "the proxy hint is for gateway errors and foreign bodies, not for the server\'s own errors"',
        trial: "noRateLimit",
      },
    ],
  },
];
