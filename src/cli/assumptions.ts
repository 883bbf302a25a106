/**
 * What this package takes for granted about LM Studio: the one list of `docs/assumptions.md`, which is written from it,
 * and of `verify`, which tries it on a server. Texts are Markdown.
 *
 * @module
 */

/** An assumption, on what evidence it stands, and how it is tried. */
export interface Assumption {
  readonly text: string;
  /** `documented`, `observed`, `assumed`, `disputed`, or words with these in them. */
  readonly verdict: string;
  readonly evidence: string;
  /** The test that fails when this package no longer acts on it. */
  readonly pinned: string;
  /** Name of what `trials.ts` asks a server. */
  readonly trial?: string;
  /** Why no server is asked. */
  readonly untried?: string;
}

/** A table of the document. */
export interface Section {
  readonly title: string;
  readonly assumptions: readonly Assumption[];
}

const OWN_CHOICE = "about this package's own choice: there is nothing to ask a server";
const OTHER_PRODUCT = "about another product's server";
const FILES = "about files of the machine that the server runs on";
const HARM = "trying it could crash the engine, or throw a model out";
const NOT_REFUTABLE = "it may be so or not: no answer contradicts it";
const MODEL = "it depends on the model, and on what it happens to write";
const SETTINGS = "it depends on the server's settings, which no route tells";
const UNSEEN = "cannot be seen from outside";
const COPIES = "needs two copies of one model";

/** Every assumption about the server, in the order of the document. */
export const SECTIONS: readonly Section[] = [
  {
    title: "Address and routes",
    assumptions: [
      {
        text: "The server listens on `127.0.0.1:1234` unless told otherwise.",
        verdict: "documented",
        evidence: "`lms` `server.ts`",
        pinned:
          '`tests/assumptions_test.ts`: "the default address is 127.0.0.1:1234, not localhost"',
        untried: SETTINGS,
      },
      {
        text:
          "It listens on IPv4 only, so `localhost` may fail: Node tries `::1` first. The default is the address, not the name; a host that the user wrote stays as written.",
        verdict: "observed",
        evidence: "bt#121, bolt.diy#876",
        pinned: "`tests/base_url_test.ts`",
        trial: "ipv4",
      },
      {
        text: "It binds to this machine; `0.0.0.0` is an address to listen on, not to connect to.",
        verdict: "documented",
        evidence: '"Serve on Local Network"',
        pinned: '`tests/base_url_test.ts`: "0.0.0.0"',
        untried: SETTINGS,
      },
      {
        text:
          "Base URLs are written with and without `/v1`. With it doubled the server answers 200 and an error.",
        verdict: "observed",
        evidence: "bt#618",
        pinned:
          '`tests/assumptions_test.ts`: "a base URL with a route at its end does not double the route"',
        trial: "doubledRoute",
      },
      {
        text:
          'An unknown route answers **200** `{"error":"Unexpected endpoint or method. (…)"}`, also where a stream was asked for; below `/api/v1/` 404 since 0.4. So 200 proves nothing: every answer is checked for an `error` and for its shape.',
        verdict: "observed",
        evidence: "bt#618, bt#1323, vault-operator#73",
        pinned:
          '`tests/assumptions_test.ts`: "an unknown route answers 200 with an error, whole or where a stream was asked for"',
        trial: "unknownRoute",
      },
      {
        text:
          '`GET /lmstudio-greeting` answers `{"lmstudio":true}` to whoever asks. Discovery knows the server by it; where no TCP connection can be tried (browsers, Node before 20.16) it shows whether anything listens.',
        verdict: "documented",
        evidence: "`lms`, `lmstudio-js`",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "lmstudio-greeting"; `tests/discovery_test.ts`: "discover: finds exactly the servers that are there, among all kinds of others"',
        trial: "greeting",
      },
      {
        text: "A pooled connection may be dead after 5 s idle (`Keep-Alive: timeout=5`).",
        verdict: "observed",
        evidence: "bt#945",
        pinned:
          '`tests/assumptions_test.ts`: "a pooled connection that the server had closed costs one more request, not the answer"',
        trial: "keepAlive",
      },
      {
        text:
          "With authentication on (0.4.0), `Authorization: Bearer` is taken, a missing or malformed token is a 401 in one of two wordings. With it off any token or none is taken.",
        verdict: "documented, observed",
        evidence: "opencode-lmstudio#41",
        pinned:
          '`tests/assumptions_test.ts`: "a token goes as a bearer token, to every route"; `tests/error_mapping_test.ts`: "auth_missing.json"',
        trial: "token",
      },
    ],
  },
  {
    title: "Discovery",
    assumptions: [
      {
        text:
          "LM Studio's home is what `~/.lmstudio-home-pointer` names, else `~/.cache/lm-studio` where it is, else `~/.lmstudio`.",
        verdict: "documented",
        evidence: "`lmstudio-js` `findLMStudioHome.ts`",
        pinned: '`tests/discovery_test.ts`: "candidates: LM Studio\'s settings"',
        untried: FILES,
      },
      {
        text:
          "`.internal/http-server-config.json` there has the server's `port`; it tells what is set, not what runs.",
        verdict: "observed",
        evidence: "a public file",
        pinned:
          '`tests/discovery_test.ts`: "candidates: LM Studio\'s settings are read anew in each round"',
        untried: FILES,
      },
      {
        text: "`networkInterface` there is the address that it is bound to.",
        verdict: "observed",
        evidence: "bt#127",
        pinned: '`tests/discovery_test.ts`: "candidates: networkInterface"',
        untried: FILES,
      },
      {
        text:
          "`.internal/http-server.json` names the port of LM Studio's own programs, which greets but has none of the HTTP routes; what it answers to them is not known: taken for an unexpected endpoint, or a 404.",
        verdict: "documented (`lms`); the answers **assumed**",
        evidence: "`lms` `localAPIServer.ts`",
        pinned:
          "`tests/discovery_test.ts`: \"discover: the port of LM Studio's programs is not its HTTP server's\"",
        untried: FILES,
      },
      {
        text:
          'Another app of its maker ("Bionic") keeps its files below `apps/bionic/` of the same home; that its two port files are at the same places there is **assumed**.',
        verdict: "observed; the places **assumed**",
        evidence: "public scripts of 2026-09",
        pinned:
          '`tests/discovery_test.ts`: "a port that LM Studio\'s programs use, and that of another app of its maker"',
        untried: FILES,
      },
      {
        text:
          "A server that wants a token still shows who it is: by the greeting, else by its own 401 (`invalid_api_key`, words that name LM Studio).",
        verdict: "the 401 observed; the greeting without a token **assumed**",
        evidence: "opencode-lmstudio#41",
        pinned: '`tests/discovery_test.ts`: "discover: only LM Studio\'s own 401 is LM Studio"',
        trial: "securedIdentity",
      },
      {
        text:
          "A listing in the shape of `/api/v1` or `/api/v0` is LM Studio's; one of `/v1/models` is anybody's.",
        verdict: "observed",
        evidence: "bt#1680, other servers' answers",
        pinned:
          '`tests/discovery_test.ts`: "discover: a listing in LM Studio\'s own shape does without a greeting"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "Ollama has `/api/version` with a text and `/api/tags` with `models`. LM Studio answers 200 to both without, llama.cpp's server has the second alone.",
        verdict: "documented, observed",
        evidence: "Ollama's API documentation, bt#1680",
        pinned: '`tests/discovery_test.ts`: "discover: Ollama needs both its version and its tags"',
        trial: "notOllama",
      },
      {
        text: "`OLLAMA_HOST` is a host, a port, both or a URL; without a scheme the port is 11434.",
        verdict: "documented",
        evidence: "Ollama's `envconfig/config.go`",
        pinned: '`tests/discovery_test.ts`: "candidates: an unreadable OLLAMA_HOST gives way"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "Ollama has `/v1/models`, `/v1/chat/completions` and `/v1/embeddings`, and nothing of LM Studio's.",
        verdict: "documented",
        evidence: "Ollama's OpenAI compatibility documentation",
        pinned:
          '`tests/local_provider_test.ts`: "local: Ollama is asked by its OpenAI-compatible routes, in its own name"',
        untried: OTHER_PRODUCT,
      },
    ],
  },
  {
    title: "Listings",
    assumptions: [
      {
        text:
          "`GET /api/v1/models` (0.4.0): top key `models`, `key` is the id, `loaded_instances` are the copies in memory; many fields may be null or absent.",
        verdict: "documented, observed",
        evidence: "REST documentation, bt#1659",
        pinned: '`tests/listing_test.ts`: "listing /api/v1/models: everything it tells"',
        trial: "nativeListing",
      },
      {
        text:
          "`GET /api/v0/models` (0.3.6): `type` is `llm`, `vlm` or `embeddings`, `state` is `loaded` or not.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/listing_test.ts`: "listing /api/v0/models: state, types, contexts"',
        trial: "olderListing",
      },
      {
        text:
          "`GET /v1/models` tells ids alone; there is no `created`. Ids that begin or go on with `embed` are taken for embedding models.",
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
          'With just-in-time loading on, v0 and `/v1` list what is downloaded, with it off what is loaded. So "not listed" does not mean "not there".',
        verdict: "documented, observed",
        evidence: "bt#726, bt#816",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "JIT off: only what is loaded is listed, and nothing gets loaded"',
        untried: SETTINGS,
      },
      {
        text:
          "LM Studio gives tools to every language model; `trained_for_tool_use`, and `tool_use` of v0, only tell which were trained for them.",
        verdict: "documented, as a client quotes it",
        evidence: "opencode-lmstudio",
        pinned: '`tests/listing_test.ts`: "LM Studio gives tools to every language model"',
        untried: MODEL,
      },
      {
        text:
          "`capabilities.reasoning` has `allowed_options` and `default`; `selected_variant` is the one of `variants` that is loaded.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/listing_test.ts`: "reasoning settings and their default"',
        trial: "reasoningSettings",
      },
      {
        text:
          "Of several copies a request by the model's key goes to the one of that id; if none has it, to any.",
        verdict: "the first observed; the second **assumed**",
        evidence: "openclaw#141357",
        pinned:
          '`tests/listing_test.ts`: "of several copies the context is that of the one under the model\'s own id"',
        untried: COPIES,
      },
      {
        text: "An entry may lack what it should have.",
        verdict: "**assumed**, after clients that lost their list",
        evidence: "client reports",
        pinned: '`tests/listing_test.ts`: "an odd entry is left out"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "llama.cpp's router tells `status.value` (only `loaded` is in memory) and, of what is loaded, `meta.n_ctx` and `n_ctx_train`; vLLM `max_model_len`; others `context_length`, `context_window` or `max_context_length`.",
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
          '`tests/listing_test.ts`: "listing /api/v1/models: a model listed several times is there once"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "New fields, formats and types will come.",
        verdict: "observed",
        evidence: "a later app line added a `format`",
        pinned: '`tests/listing_test.ts`: "formats and fields of later builds are no obstacle"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "The bundled embedding model is nearly always there, so the first of a listing is no default.",
        verdict: "observed",
        evidence: "lms#416",
        pinned:
          '`tests/assumptions_test.ts`: "without a name the loaded language model answers, and nothing is loaded for it"',
        untried: NOT_REFUTABLE,
      },
    ],
  },
  {
    title: "Models",
    assumptions: [
      {
        text:
          "If the name cannot be resolved and a model is loaded, that one answers, with 200 and without a word; only `model` in the answer tells.",
        verdict: "observed",
        evidence: "bt#619, hermes-agent#64742",
        pinned:
          '`tests/assumptions_test.ts`: "another model than the one asked for is an error; another spelling is not"',
        trial: "substitution",
      },
      {
        text:
          "The same model is named `publisher/model`, `model`, `model@variant` and `model:2`, in any case.",
        verdict: "documented, observed",
        evidence: "bt#619",
        pinned:
          '`tests/assumptions_test.ts`: "another model than the one asked for is an error; another spelling is not"',
        trial: "spelling",
      },
      {
        text:
          'An embedding model that is listed as `llm` cannot embed: `/v1/embeddings` says "No models loaded". "Override Domain Type" under My Models mends it, in newer versions of GGUF models only.',
        verdict: "observed",
        evidence: "bt#1908, Qwen3-Embedding#13",
        pinned:
          '`tests/embedding_test.ts`: "embed: a model that LM Studio takes for a language model is told"',
        untried: MODEL,
      },
      {
        text: "A request for a model that is not in memory loads it, in silence, for minutes.",
        verdict: "documented",
        evidence: "TTL and auto-evict documentation",
        pinned:
          '`tests/fake_lmstudio_test.ts`: "JIT: the first request loads, the next load throws it out"',
        untried: HARM,
      },
    ],
  },
  {
    title: "Management",
    assumptions: [
      {
        text:
          "`POST /api/v1/models/load` (0.4.0) takes these keys and no others; `echo_load_config` makes it tell how the model was loaded.",
        verdict: "documented; that unknown keys are refused observed",
        evidence: "REST documentation, Caption-Creator#4",
        pinned: '`tests/models_test.ts`: "load: the settings under their names on the wire"',
        trial: "loadKeys",
      },
      {
        text: "Each load makes one more copy, `name:2`; so what is loaded is looked up first.",
        verdict: "observed",
        evidence: "bt#1582",
        pinned:
          '`tests/models_test.ts`: "ensureLoaded: twenty at a time, under any spelling, are one load"',
        trial: "secondCopy",
      },
      {
        text: "A load takes minutes and tells no progress.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned: '`tests/models_test.ts`: "then once a second that a model loads"',
        untried: UNSEEN,
      },
      {
        text:
          "Whether a load stops when its request is aborted is not known. The request is aborted when nobody waits any more.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/models_test.ts`: "ensureLoaded: when all have left, the request ends"',
        untried: UNSEEN,
      },
      {
        text:
          "A load may give less context than asked (auto-fit of MLX) and say that it gave it: the listing knows better than `load_config`.",
        verdict: "observed; which of the two `load_config` tells **assumed**",
        evidence: "bt#2191, bt#2174, bt#2212, mlx-engine#366",
        pinned: '`tests/models_test.ts`: "auto-fit: the lease tells the context of the listing"',
        untried: MODEL,
      },
      {
        text:
          "What one load got where more was asked is what every load of the model gets, until it is unloaded.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/models_test.ts`: "auto-fit: the lease tells the context of the listing"',
        untried: MODEL,
      },
      {
        text:
          'The selected variant is loaded by the model\'s key. Another one is refused with 404, "not found in downloaded models".',
        verdict: "documented; the refusal observed",
        evidence: "REST documentation, bt#1462",
        pinned: '`tests/models_test.ts`: "load: of several variants the selected one"',
        untried: "needs a model with two variants downloaded",
      },
      {
        text: "Ids are listed with an `@` too, and are loaded as they are listed.",
        verdict: "observed; the second **assumed**",
        evidence: "unsloth#9340, lms#434",
        pinned: '`tests/models_test.ts`: "load: a listed id is sent as it is listed"',
        untried: MODEL,
      },
      {
        text: "A copy whose context length the listing does not tell is large enough.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/models_test.ts`: "ensureLoaded: a copy whose context is not known counts"',
        untried: OWN_CHOICE,
      },
      {
        text:
          "Unloading takes an instance id; 404 means that it is not there. Its words are not known.",
        verdict: "documented; the status observed",
        evidence: "REST documentation, a public file",
        pinned:
          '`tests/models_test.ts`: "unload: a copy that has gone in between counts as unloaded"',
        trial: "unloadUnknown",
      },
      {
        text:
          "A model that a request loaded is thrown out by the next such load, even in the middle of an answer; one that was loaded explicitly is not.",
        verdict: "documented, observed",
        evidence: "bt#671, opencode#18532",
        pinned:
          '`tests/models_test.ts`: "auto-evict: an answer that another client\'s model throws out"',
        untried: HARM,
      },
      {
        text:
          "With just-in-time loading off, older listings have `x` and `x:2` for two copies of one model.",
        verdict: "**assumed**, after how instances are named",
        evidence: "bt#619",
        pinned:
          '`tests/models_test.ts`: "choice: copies of one model in an older listing are one model"',
        untried: COPIES,
      },
      {
        text:
          "A download is a job that is looked at by its id; `paused` goes on some time. No route pauses or ends one.",
        verdict: "documented",
        evidence: "REST documentation",
        pinned:
          '`tests/download_test.ts`: "download: cut, paused and resumed, it ends with the right total"',
        trial: "downloadJob",
      },
      {
        text:
          "Where a failed download says why is not documented: `error`, `message` or `reason`, as text or with a `message`.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/download_test.ts`: "download: a failure is given, then thrown with its reason"',
        untried: "needs a download that fails",
      },
      {
        text: "404 for a job means that the server does not know it, whatever the words.",
        verdict: "the type documented; status and words **assumed**",
        evidence: "REST documentation",
        pinned:
          '`tests/download_test.ts`: "downloadStatus: an unknown job, whatever characters its id has"',
        trial: "unknownJob",
      },
      {
        text:
          "Listings do not tell how a model was loaded, and nobody has published whether loading an embedding model throws a language model out: both are taken for models that may be, so that a request which loads another waits.",
        verdict: "**assumed**",
        evidence: "cautious reading",
        pinned:
          '`tests/queue_test.ts`: "queue: a model that is not in memory waits until the others are done, also by another spelling and for embeddings"',
        untried: UNSEEN,
      },
      {
        text:
          "An instance answers `parallel` requests at a time, four where nothing else is set (0.4.0); what is beyond waits in the server. What older versions do is **assumed**: they are sent four, too.",
        verdict: "documented sample",
        evidence: "documentation of `/api/v1/models`",
        pinned:
          '`tests/queue_test.ts`: "queue: four generations of a model at a time, where nothing tells how many"',
        untried: UNSEEN,
      },
    ],
  },
  {
    title: "Requests",
    assumptions: [
      {
        text:
          "`POST /v1/chat/completions` is the route that every version has and that takes tools, images and schemas.",
        verdict: "documented",
        evidence: "OpenAI compatibility documentation",
        pinned: '`tests/twelve_cases_test.ts`: "complete_success_with_mock_response"',
        trial: "completions",
      },
      {
        text: '`content` that is null or absent is refused with 400, so `""` is sent.',
        verdict: "observed",
        evidence: "bt#261, thane#1229",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        trial: "contentNull",
      },
      {
        text: "The role `developer` is taken and treated as `system`.",
        verdict: "observed",
        evidence: "bt#1730",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        trial: "developerRole",
      },
      {
        text: "Arguments in the history that are not JSON break engines, so they go back as `{}`.",
        verdict: "observed",
        evidence: "reports of truncated calls",
        pinned:
          '`tests/assumptions_test.ts`: "messages: content is always sent, and developer is left to the server"',
        untried: HARM,
      },
      {
        text:
          "Chat templates read these arguments as an object, so whatever is none goes back as `{}`, too.",
        verdict: "**assumed**",
        evidence: "reports of templates that fail",
        pinned:
          '`tests/completion_test.ts`: "request: arguments that are no object in JSON go back as {}, which engines need"',
        untried: HARM,
      },
      {
        text: 'Tool parameters without `type: "object"` and `properties` are refused.',
        verdict: "observed",
        evidence: "lms#537, generic-copilot#40",
        pinned:
          '`tests/assumptions_test.ts`: "tools: parameters are always an object with properties, choices are words"',
        trial: "toolParameters",
      },
      {
        text:
          "`tool_choice` is a word; an object is refused. A named tool is sent as `required` with that tool alone.",
        verdict: "observed",
        evidence: "bt#670",
        pinned:
          '`tests/assumptions_test.ts`: "tools: parameters are always an object with properties, choices are words"',
        trial: "toolChoiceObject",
      },
      {
        text:
          "Every call of a conversation needs an id of its own; where one is missing or used twice, a number of nine digits takes its place, as LM Studio's own look.",
        verdict: "**assumed**",
        evidence: "tools documentation (the form)",
        pinned: '`tests/tools_test.ts`: "ids: each call of a conversation has one of its own"',
        untried: OWN_CHOICE,
      },
      {
        text: "`max_tokens` counts in every version, `-1` is no limit.",
        verdict: "documented",
        evidence: "samples",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under the names that every version takes, and none that was not given"',
        trial: "maxTokens",
      },
      {
        text:
          "`reasoning_effort` takes `none`, not `off`; which other values it takes differs with the model.",
        verdict: "observed, disputed",
        evidence: "bt#988, yoy123#35",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under the names that every version takes, and none that was not given"',
        trial: "reasoningNone",
      },
      {
        text: "`response_format` is `json_schema`; `json_object` is refused.",
        verdict: "observed",
        evidence: "bt#189",
        pinned:
          '`tests/assumptions_test.ts`: "settings: under the names that every version takes, and none that was not given"',
        trial: "responseFormat",
      },
      {
        text:
          "Images are PNG or JPEG in a `data:` URL; addresses and WebP are refused with the same misleading words.",
        verdict: "observed",
        evidence: "bt#1027, bt#1752",
        pinned: '`tests/error_mapping_test.ts`: "images_url.json"',
        trial: "imageAddress",
      },
      {
        text:
          "llama.cpp takes references `#/…`, refuses `#`, and has tuples as lists in `items`; LM Studio hands on.",
        verdict: "observed, **assumed**",
        evidence: "its converter's code, bt#203",
        pinned:
          '`tests/objects_test.ts`: "objects: a recursive schema refers to itself by name, and is an object outermost"',
        untried: "it differs with the engine",
      },
      {
        text:
          "Whether tools and `response_format` go together differs with the engine; both are sent.",
        verdict: "**assumed**",
        evidence: "none",
        pinned: '`tests/objects_test.ts`: "objects: a model that calls tools instead"',
        untried: "it differs with the engine",
      },
    ],
  },
  {
    title: "Answers and streams",
    assumptions: [
      {
        text:
          "Reasoning is in `reasoning_content`, `reasoning`, or between tags in `content`, by model and setting.",
        verdict: "documented, observed",
        evidence: "0.3.9, 0.3.23, bt#378",
        pinned:
          '`tests/assumptions_test.ts`: "content may be absent, empty or text beside reasoning"',
        trial: "reasoningField",
      },
      {
        text:
          "Beside `<think>` models write `<\\|channel>thought`, the channels of gpt-oss, `[THINK]` and `<seed:think>`; those of Kimi and Command A are from their templates.",
        verdict: "observed; the last **assumed**",
        evidence: "bt#2013, bt#1545, RooCode#8522, vllm-mlx#599",
        pinned: '`tests/think_splitter_test.ts`: "Gemma\'s channel"',
        untried: MODEL,
      },
      {
        text:
          "Thoughts come in several blocks, also behind text. A tag in quotes, code or JSON, or among words, is spoken of.",
        verdict: "observed; the last **assumed**",
        evidence: "autogen#7009",
        pinned: '`tests/think_splitter_test.ts`: "a second block"',
        untried: MODEL,
      },
      {
        text:
          "Some models that think write the object that a schema asks for into `reasoning_content`, and leave `content` empty.",
        verdict: "observed",
        evidence: "bt#1698, bt#1773, bt#1971",
        pinned:
          '`tests/objects_test.ts`: "objects: where a model that thinks writes the object into its thoughts"',
        untried: MODEL,
      },
      {
        text:
          "With `<think>` in the prompt only `</think>` comes: all before it is reasoning, unless it is quoted or in code. A stream knows that at its end.",
        verdict: "observed",
        evidence: "bt#1495, bt#1368, lms#476",
        pinned:
          '`tests/reasoning_test.ts`: "reasoning: an opening tag that was in the prompt is missed, whole and at a stream\'s end"',
        untried: MODEL,
      },
      {
        text: "`content` may be absent, `tool_calls` may be an empty array.",
        verdict: "documented, observed",
        evidence: "tools documentation, bt#988",
        pinned:
          '`tests/assumptions_test.ts`: "content may be absent, empty or text beside reasoning"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Usage comes in streams only when asked for (0.3.18), in a chunk without choices after the finish.",
        verdict: "documented, observed",
        evidence: "zed#57861",
        pinned:
          '`tests/assumptions_test.ts`: "usage is asked for in every stream, and comes after the finish without choices"',
        trial: "streamUsage",
      },
      {
        text: "Before 0.3.18 there is none.",
        verdict: "documented",
        evidence: "changelog",
        pinned: '`tests/assumptions_test.ts`: "no usage before 0.3.18 is no error: it is absent"',
        untried: "about older servers, which no route tells from newer ones",
      },
      {
        text: "`completion_tokens` is one short at the token limit. It is passed on as it is.",
        verdict: "observed",
        evidence: "bt#2335",
        pinned: '`tests/fake_lmstudio_test.ts`: "limits and stop texts end the answer"',
        trial: "oneShort",
      },
      {
        text: "A good stream has a finish reason, `[DONE]`, or both; one with neither was cut.",
        verdict: "observed",
        evidence: "captures",
        pinned:
          '`tests/assumptions_test.ts`: "a finish reason or [DONE] ends a stream well; neither is an error with what had come"',
        trial: "streamEnd",
      },
      {
        text:
          "A finish reason may come beside every piece, and `None` as text. Not seen from LM Studio.",
        verdict: "observed elsewhere",
        evidence: "open-webui#16377, vercel/ai#2548",
        pinned:
          '`tests/endings_test.ts`: "endings: a finish reason beside every piece cuts nothing"',
        untried: OTHER_PRODUCT,
      },
      {
        text: "A connection may stay open after the last event.",
        verdict: "observed",
        evidence: "reports about the native route",
        pinned:
          '`tests/assumptions_test.ts`: "a connection left open after the finish reason is waited for 2 s"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "Whether headers come before the first token.",
        verdict: "disputed",
        evidence: "RooCode#12244",
        pinned:
          '`tests/assumptions_test.ts`: "headers that are withheld until the first token are waited for"',
        untried: "either is right",
      },
      {
        text: "Lines end in LF. CR, CRLF, comments and a byte order mark are read as well.",
        verdict: "**assumed**",
        evidence: "no other was seen",
        pinned: "`tests/sse_test.ts`",
        trial: "lineEnds",
      },
      {
        text:
          "An error in a stream is `event: error` under 200, possibly the first and only event.",
        verdict: "observed",
        evidence: "goose#11318, bt#2322",
        pinned:
          '`tests/assumptions_test.ts`: "an error inside a stream under 200 is that error, wherever it comes"',
        untried: "no error can be provoked in a stream without harm",
      },
      {
        text:
          'Tool calls come in pieces by `index`; before 0.3.16 names were repeated as `""`, ids may be `""`, and the finish may be `stop`.',
        verdict: "documented, observed",
        evidence: "bt#649, bt#830",
        pinned:
          '`tests/assumptions_test.ts`: "tool calls: repeated names, empty ids and a finish with stop are repaired"',
        trial: "streamedCall",
      },
      {
        text:
          "With some models a call comes in one piece when it is whole, and nothing while it is written. So with tools a stream may be silent for long.",
        verdict: "observed",
        evidence: "bt#1868, 0.4.12",
        pinned:
          '`tests/idle_limit_test.ts`: "idle limit: ${name} with tools has that of the first token"',
        untried: MODEL,
      },
      {
        text:
          "A call may be left in `content`, in the format of the model or of LM Studio's own prompt, and `tool_calls` is empty then. Each format: `fixtures/calls/SOURCES.md`.",
        verdict: "observed",
        evidence: "bt#825, bt#1528, bt#1979, bt#2115",
        pinned: "`tests/text_tool_calls_test.ts`",
        untried: MODEL,
      },
      {
        text:
          "What is in a code block, in quotes or in a thought, or of no declared tool, is spoken of and is no call.",
        verdict: "**assumed**",
        evidence: "bt#453, bt#1592",
        pinned: "`tests/text_tool_calls_test.ts`",
        untried: OWN_CHOICE,
      },
      {
        text: "`tool_choice` may have no effect: an answer without a call comes under 200.",
        verdict: "observed",
        evidence: "bt#2115, 0.4.18",
        pinned:
          '`tests/tool_use_test.ts`: "a choice that is not kept is an error that has the answer"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Several calls may come under one index, without ids: a name, or another object behind a whole one, begins the next.",
        verdict: "observed; frames **assumed**",
        evidence: "bt#1922, 0.4.14; lens#49",
        pinned:
          '`tests/tool_call_assembler_test.ts`: "several calls under one number, without ids: whole ones"',
        untried: MODEL,
      },
      {
        text:
          "Closing the connection stops the generation, but not the reading of the prompt. So a request that timed out may still be at work, and is not sent again.",
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
          "`POST /v1/completions` goes on with a text, without a template; `text` is in `choices`, all else is as in chat answers.",
        verdict: "documented",
        evidence: "completions documentation, v0 sample",
        pinned: '`tests/text_completion_test.ts`: "answer: the documentation\'s sample"',
        trial: "textCompletion",
      },
      {
        text:
          "A stream of it has the frames of a chat stream, with `object` `text_completion` and `choices[].text`.",
        verdict: "**assumed**",
        evidence: "as llama.cpp's server sends it, ik_llama.cpp#767",
        pinned:
          '`tests/text_completion_test.ts`: "streams: the same text however the network cuts them"',
        trial: "textStream",
      },
      {
        text: "`max_tokens`, `stop` and the other settings have the names of the chat route.",
        verdict: "**assumed**",
        evidence: "the v0 sample has `temperature`, `max_tokens`, `stop`",
        pinned:
          '`tests/text_completion_test.ts`: "request: every field under its name on the wire"',
        trial: "textLimit",
      },
      {
        text:
          "`suffix` and `echo` are OpenAI's; that LM Studio knows them is not documented. They are sent as given, and the text is given as it comes.",
        verdict: "**assumed**",
        evidence: "the documentation refers to OpenAI's",
        pinned:
          '`tests/text_completion_test.ts`: "request: every field under its name on the wire"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "Nothing tells thinking from text on this route, so `<think>` is left in it.",
        verdict: "**assumed**",
        evidence: "no template is applied",
        pinned: '`tests/text_completion_test.ts`: "answer: the text is as it came"',
        untried: MODEL,
      },
      {
        text: "Another model may answer here too.",
        verdict: "**assumed**",
        evidence: "the chat route's doing",
        pinned:
          '`tests/text_completion_test.ts`: "substitution: the error has the answer; of a stream what had come"',
        trial: "textSubstitution",
      },
    ],
  },
  {
    title: "Embeddings",
    assumptions: [
      {
        text:
          '`encoding_format` is ignored, vectors are floats. `"float"` is sent all the same, for servers that would send base64.',
        verdict: "observed",
        evidence: "bt#756",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: floats are asked for, base64 is read all the same, order goes by index"',
        trial: "base64",
      },
      {
        text: "The answer names the variant (`…@q4_k_m`), and usage is 0.",
        verdict: "documented, observed",
        evidence: "sample, bt#1546",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: floats are asked for, base64 is read all the same, order goes by index"',
        trial: "embeddingUsage",
      },
      {
        text: "An empty text is an engine error. It is refused before.",
        verdict: "observed",
        evidence: "bt#142",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: an empty text is refused before it reaches the engine"',
        untried: HARM,
      },
      {
        text:
          "How much one request may hold is not known. A batch ends at 64 texts, or where they are together longer than 1 048 576 characters.",
        verdict: "**assumed**",
        evidence: "no 413 was seen",
        pinned:
          '`tests/embedding_test.ts`: "batches: long texts close one early, and a very long one is alone"',
        untried: HARM,
      },
      {
        text: "Parallel requests have crashed engines; one at a time is the default.",
        verdict: "observed",
        evidence: "bt#463",
        pinned:
          '`tests/assumptions_test.ts`: "embeddings: one request at a time, unless told otherwise"',
        untried: HARM,
      },
      {
        text:
          "Clients that ask for base64 without a word, and decode whatever comes, get vectors of a quarter of the length. Who asks for base64 by the `fetch` of `toOpenAI()` gets it.",
        verdict: "observed",
        evidence: "n8n#16647, langchainjs#8221",
        pinned:
          '`tests/forward_test.ts`: "who asks for vectors in base64 gets them, and nobody else"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "`dimensions` is ignored. It is sent all the same, and vectors that are longer are cut and brought to length 1 here.",
        verdict: "observed",
        evidence: "a published program",
        pinned:
          '`tests/embedding_test.ts`: "dimensions: where they are ignored, vectors are cut and have the length 1"',
        untried: UNSEEN,
      },
      {
        text:
          "Of a text longer than the context of the model the beginning is embedded, without a word. The warning is an estimate.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/embedding_test.ts`: "long texts: a warning for each that is likely cut, by the context as loaded"',
        untried: UNSEEN,
      },
    ],
  },
  {
    title: "Decisions",
    assumptions: [
      {
        text: "`POST /v1/decisions` takes and gives what npm `openai` 7.57 declares.",
        verdict: "documented by reference; that LM Studio gives all of it **assumed**",
        evidence: "OpenAI compatibility",
        pinned:
          '`tests/decisions_test.ts`: "decide: what is sent and read is what openai\'s types declare"',
        trial: "decisions",
      },
      {
        text: "`POST /v1/systemone` takes and gives what npm `@typesafe-ai/sdk` 0.6 declares.",
        verdict: "documented by reference; the rest **assumed**",
        evidence: "TypeSafe compatibility",
        pinned: '`tests/decisions_test.ts`: "decide: the spelling of /v1/systemone"',
        trial: "systemone",
      },
      {
        text:
          "An image stands in the `state` of `/v1/systemone` as its `data:` URL, in the place of its message.",
        verdict: "the URL documented, the place **assumed**",
        evidence: "TypeSafe compatibility",
        pinned: '`tests/decisions_test.ts`: "decide: the spelling of /v1/systemone"',
        untried: "needs a decision model that takes images",
      },
      {
        text: "Listings give decision models the type `decision`.",
        verdict: "**assumed**",
        evidence: "`ModelDomainType` of LM Studio's SDK",
        pinned:
          '`tests/decisions_test.ts`: "decide: the model of the request, of the options, of the environment, else the loaded one"',
        trial: "decisionType",
      },
      {
        text: "A chat model is refused with a 4xx; the listing tells that it is one.",
        verdict: "**assumed**",
        evidence: "the documentation requires a decision model",
        pinned:
          '`tests/decisions_test.ts`: "decide: one named code each for what stands in the way"',
        trial: "decisionsOfChatModel",
      },
      {
        text:
          "An older server answers as to any unknown route; which release was the first is not known.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/decisions_test.ts`: "decide: one named code each for what stands in the way"',
        untried: "about older servers, which no route tells from newer ones",
      },
      {
        text: "A score counts levels from 0, and a refusal has its question's name.",
        verdict: "documented by reference",
        evidence: "npm `openai` 7.57, `@typesafe-ai/sdk` 0.6",
        pinned:
          '`tests/decisions_test.ts`: "decide: what is sent and read is what openai\'s types declare"',
        trial: "decisionScore",
      },
    ],
  },
  {
    title: "Messages",
    assumptions: [
      {
        text:
          "`POST /v1/messages` is there since 0.4.1, streamed in Anthropic's events up to `message_stop`.",
        verdict: "documented",
        evidence: "Anthropic compatibility",
        pinned:
          '`tests/anthropic_client_test.ts`: "anthropic: a stream, piece by piece and as a whole"',
        trial: "messages",
      },
      {
        text: "An overflow comes as a single `error` event under 200.",
        verdict: "observed",
        evidence: "public file",
        pinned:
          '`tests/anthropic_client_test.ts`: "anthropic: an overflow comes as a single event under 200, and is raised"',
        untried: "no error can be provoked in a stream without harm",
      },
      {
        text: "A key is taken from `Authorization` and from `x-api-key`.",
        verdict: "documented",
        evidence: "Anthropic compatibility",
        pinned:
          '`tests/anthropic_client_test.ts`: "anthropic: the placeholder is no key, under either header"',
        trial: "messagesKey",
      },
    ],
  },
  {
    title: "Responses",
    assumptions: [
      {
        text:
          "`POST /v1/responses` is there since 0.3.29; an older server answers as to any unknown route.",
        verdict: "documented, observed",
        evidence: "changelog, bt#618",
        pinned:
          '`tests/responses_test.ts`: "responses: errors in the words of the server, of both methods"',
        trial: "responses",
      },
      {
        text:
          "Answers are stored unless `store` is false; an unknown `previous_response_id` has the code `previous_response_not_found`.",
        verdict: "documented, observed",
        evidence: "bt#1188",
        pinned:
          '`tests/responses_test.ts`: "responses: a conversation goes on from the answer before, in both ways"',
        trial: "previousResponse",
      },
      {
        text:
          "Tools are flat, `{ type, name, description, parameters }`; those of chat are refused.",
        verdict: "observed",
        evidence: "bt#1064, bt#2254",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers beside them, a named choice is that tool alone"',
        trial: "flatTools",
      },
      {
        text: "`tool_choice` takes words here too.",
        verdict: "**assumed**",
        evidence: "as for chat, bt#670",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers beside them, a named choice is that tool alone"',
        trial: "responsesToolChoice",
      },
      {
        text:
          "A remote MCP server is a tool with `server_label`, `server_url` and `allowed_tools`; it must be allowed in the settings. `headers` is OpenAI's field.",
        verdict: "documented; `headers` **assumed**",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses: tools are flat, MCP servers beside them, a named choice is that tool alone"',
        untried: "needs a remote MCP server",
      },
      {
        text:
          "`reasoning: { effort }` takes `low`, `medium` and `high`. Words for on and off are not documented, so none is sent.",
        verdict: "documented",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses: settings under the names of the route, and none that was not given"',
        untried: MODEL,
      },
      {
        text:
          "`temperature`, `top_p`, `max_output_tokens`, `instructions` and `store` count as OpenAI says.",
        verdict: "**assumed**; `max_output_tokens` observed",
        evidence: "codex",
        pinned:
          '`tests/responses_test.ts`: "responses: settings under the names of the route, and none that was not given"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "Structured output is ignored on this route, so `schema` is refused.",
        verdict: "observed",
        evidence: "bt#1396, bt#2403",
        pinned:
          '`tests/responses_test.ts`: "responses: what nobody would read is refused before anything is sent, of both methods"',
        untried: MODEL,
      },
      {
        text: "Images are PNG or JPEG in a `data:` URL, in `input_image` parts.",
        verdict: "observed; the part **assumed**",
        evidence: "bt#1120",
        pinned:
          '`tests/responses_test.ts`: "responses: messages, images, calls and their results as items"',
        untried: "needs a model that takes images",
      },
      {
        text:
          "Reasoning comes in `response.reasoning_text.delta`, or whole in `response.reasoning_text.done` alone.",
        verdict: "observed",
        evidence: "pydantic-ai#3191, pi#4191",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: ${name}, whole and one byte at a time"',
        untried: MODEL,
      },
      {
        text:
          "A stream ends with `response.completed`, `response.incomplete`, `response.failed` or `error`; one without was cut, unless `[DONE]` came.",
        verdict: "the first documented, the others **assumed**",
        evidence: "responses documentation",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: ends that are none, and frames that are no events"',
        trial: "responsesEnd",
      },
      {
        text:
          "The last event repeats the whole output. Where it does not, what was streamed is the answer.",
        verdict: "observed; the second **assumed**",
        evidence: "bt#1188",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: what the end does not repeat, is wrongly numbered or odd, is not lost"',
        trial: "responsesRepeat",
      },
      {
        text: "A call comes in `function_call_arguments.done`, without deltas.",
        verdict: "observed",
        evidence: "vercel/ai, recordings of 2026-01",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: ${name}, whole and one byte at a time"',
        trial: "responsesCall",
      },
      {
        text:
          "Items and the last event may say `{}` or nothing of arguments that came before; those that came are kept.",
        verdict: "observed of items; of the last event **assumed**",
        evidence: "pi#918, openclaw#90585",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: arguments that came are not replaced by less, in calls, output and partial"',
        untried: NOT_REFUTABLE,
      },
      {
        text: "The last event may leave out a call, or end a message without its text.",
        verdict: "**assumed**",
        evidence: "as for arguments",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: a call that the last event leaves out is not lost, nor one of which no item came"',
        untried: NOT_REFUTABLE,
      },
      {
        text:
          "Another model may answer here as well, and the first events may still name the one that was asked.",
        verdict: "**assumed**",
        evidence: "bt#619 (chat)",
        pinned:
          '`tests/responses_test.ts`: "responses.stream: another model\'s answer is an error before anything of it is given out"',
        trial: "responsesSubstitution",
      },
    ],
  },
  {
    title: "Native chat",
    assumptions: [
      {
        text:
          '`POST /api/v1/chat` is there since 0.4.0; older servers answer 200 and "Unexpected endpoint".',
        verdict: "documented, observed",
        evidence: "REST documentation",
        pinned:
          '`tests/native_chat_test.ts`: "an older server says from which version on it works"',
        trial: "nativeChat",
      },
      {
        text:
          "Its schema is strict: only documented keys are sent, `maxTokens: -1` (no limit) by leaving the key out.",
        verdict: "observed; the last **assumed**",
        evidence: "Caption-Creator#4",
        pinned:
          '`tests/native_chat_test.ts`: "sent: no limit, and what is undefined, is left out; a stream is asked for"',
        trial: "nativeStrict",
      },
      {
        text:
          "A text part of `input` has the type `text` (the documentation's example) or `message` (its table). Texts without an image are sent as one string, beside images `text` is sent.",
        verdict: "disputed",
        evidence: "REST documentation",
        pinned:
          '`tests/native_chat_test.ts`: "sent: texts alone as one text, with images as parts"',
        trial: "nativeParts",
      },
      {
        text:
          "A stream ends with `chat.end`: the socket may stay open behind it, and a body that ends without it failed, also where only `chat.start` came.",
        verdict: "observed",
        evidence: "public files of 2026",
        pinned:
          '`tests/native_chat_test.ts`: "end: a socket left open after chat.end holds nobody up, and is let go of"',
        trial: "nativeEnd",
      },
      {
        text: "`chat.end` follows `error`, with what was generated. It is waited for 2 s.",
        verdict: "documented; disputed",
        evidence: "streaming events; a grammar failure came without",
        pinned:
          '`tests/native_chat_test.ts`: "error event: the answer is waited for, but not longer than 2 s"',
        untried: "no error can be provoked in a stream without harm",
      },
      {
        text: "`data.type` repeats the name of the event; one of the two is enough.",
        verdict: "documented; the last **assumed**",
        evidence: "streaming events",
        pinned: '`tests/native_chat_test.ts`: "events: odd ones keep what their type promises"',
        trial: "nativeTypes",
      },
      {
        text:
          "`tool_call.name` begins a call, and nothing comes while its arguments are written. Its fields are not known.",
        verdict: "observed; the last **assumed**",
        evidence: "bt#1880, bt#1881",
        pinned:
          '`tests/native_chat_test.ts`: "events: a call is begun by its name, and then silent while it is written"',
        untried: "needs an MCP server that the settings allow",
      },
      {
        text: "No other model answers for one that cannot be resolved, unlike on `/v1`.",
        verdict: "observed",
        evidence: "local-llm-pdf-ocr#7",
        pinned:
          '`tests/native_chat_test.ts`: "loading: what fails is told with its code, whole or streamed"',
        trial: "nativeUnknownModel",
      },
      {
        text:
          "What an unknown `previous_response_id` answers is not known; the words of `/v1/responses` are looked for.",
        verdict: "**assumed**",
        evidence: "bt#1188",
        pinned:
          '`tests/native_chat_test.ts`: "conversation: goes on from an answer, branches, and needs to be stored"',
        untried: "nothing is known that could fail",
      },
    ],
  },
  {
    title: "Errors",
    assumptions: [
      {
        text:
          'An error is `{"error":"text"}` or `{"error":{message, type, code, param}}`, under any status, 200 included.',
        verdict: "observed",
        evidence: "many",
        pinned: '`tests/error_mapping_test.ts`: "readWireError takes every shape and nothing else"',
        trial: "errorShapes",
      },
      {
        text:
          'LM Studio loads in silence; 503 "Loading model" is llama.cpp\'s and "server busy" Ollama\'s. That such a server has done nothing, so that every call can be sent again: **assumed**.',
        verdict: "observed of the others",
        evidence: "inference-snaps#234, ha-llmvision#648",
        pinned:
          '`tests/transport_retry_test.ts`: "a server that loads its model is asked again after 1, 2, 4, 8 and 10 s, whatever is asked"',
        untried: OTHER_PRODUCT,
      },
      {
        text:
          "An error in its shape is the server's own, whatever the status; its own web pages are Express's.",
        verdict: "**assumed**",
        evidence: "none",
        pinned:
          '`tests/error_mapping_test.ts`: "the proxy hint is for gateway failures and foreign bodies, not for the server\'s own words"',
        untried: OWN_CHOICE,
      },
      {
        text:
          "400 is by far the commonest status, for crashes and unloads too. So words decide, not statuses.",
        verdict: "observed",
        evidence: "lmstudio-python#171",
        pinned: '`tests/error_mapping_test.ts`: "words go before the status"',
        untried: HARM,
      },
      {
        text:
          "The words differ with version and engine, and engines' errors are JSON inside of text.",
        verdict: "observed",
        evidence: "bt#2182, bt#2205, bt#237",
        pinned: '`tests/error_mapping_test.ts`: "errors nested twice are read to the innermost"',
        untried: HARM,
      },
      {
        text:
          "There is no rate limit; requests beyond the parallel slots wait. 429, 502 to 504 are from something in between.",
        verdict: "observed by absence",
        evidence: "no such answer was found",
        pinned:
          '`tests/error_mapping_test.ts`: "the proxy hint is for gateway failures and foreign bodies, not for the server\'s own words"',
        trial: "noRateLimit",
      },
    ],
  },
];
