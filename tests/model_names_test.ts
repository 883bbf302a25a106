/** When two names mean the same model (§2 of the design), and which listed model a name means. */
import { assert, assertEquals, assertFalse } from "@std/assert";
import type { ModelInfo } from "../mod.ts";
import { nameToLoad } from "../src/core/load_names.ts";
import {
  answeringInstance,
  findModel,
  isSameListedModel,
  nearestNames,
} from "../src/core/listed_models.ts";
import { isSameModel } from "../src/core/model_names.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";

const SAME: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  "as they are": [["qwen/qwen3-8b", "qwen/qwen3-8b"], ["m", "m"]],
  "case": [
    ["Qwen/Qwen3-8B", "qwen/qwen3-8b"],
    ["QWEN3-8B@Q4_K_M", "qwen3-8b@q4_k_m"],
    ["TheBloke/Mistral-7B", "thebloke/MISTRAL-7b"],
  ],
  "instances": [
    ["qwen3-8b:2", "qwen3-8b"],
    ["qwen3-8b:2", "qwen3-8b:3"],
    ["qwen/qwen3-8b:12", "qwen/qwen3-8b"],
    ["qwen/qwen3-8b:2", "QWEN3-8B@q4_k_m"],
    ["qwen3-8b@q4_k_m:2", "qwen3-8b@q4_k_m"],
    ["qwen3-8b@q4_k_m:2", "qwen3-8b"],
    ["gemma-3-1b-it-qat:2", "gemma-3-1b-it-qat"],
  ],
  "a variant on one side": [
    ["qwen3-8b@q4_k_m", "qwen3-8b"],
    ["qwen/qwen3-8b@q8_0", "qwen/qwen3-8b"],
    ["text-embedding-nomic-embed-text-v1.5", "text-embedding-nomic-embed-text-v1.5@q4_k_m"],
  ],
  "a publisher on one side": [
    ["openai/gpt-oss-20b", "gpt-oss-20b"],
    ["lmstudio-community/qwen3-8b@q4_k_m", "qwen3-8b"],
    ["openai/gpt-oss-20b", "gpt-oss-20b:2"],
  ],
  "white space around": [[" qwen3-8b ", "qwen3-8b"]],
};

const DIFFERENT: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  "other names": [
    ["qwen3-8b", "qwen3-4b"],
    ["qwen3-8b", "qwen3"],
    ["qwen3-8b", "qwen3-8b-instruct"],
    ["nemotron-3-nano", "ab-qwen3-32b"],
    ["any-model-name", "gemma-3-1b-it-qat:2"],
    ["", "qwen3-8b"],
  ],
  "publishers on both sides": [
    ["qwen/qwen3-8b", "lmstudio-community/qwen3-8b"],
    ["openai/gpt-oss-20b", "unsloth/gpt-oss-20b:2"],
  ],
  "variants on both sides": [
    ["qwen3-8b@q4_k_m", "qwen3-8b@q8_0"],
    ["qwen/qwen3-8b@q4_k_m", "qwen3-8b@q8_0"],
  ],
  "what only looks like an instance, a variant or a publisher": [
    ["qwen3:latest", "qwen3"],
    ["qwen3:8b", "qwen3"],
    ["qwen3:", "qwen3"],
    ["a/b/c", "c"],
    ["publisher", "publisher/model"],
    ["model/", "model"],
    ["variant", "model@variant"],
  ],
};

for (const [title, pairs] of Object.entries(SAME)) {
  Deno.test(`model names: the same, ${title}`, () => {
    for (const [a, b] of pairs) {
      assert(isSameModel(a, b), `${a} and ${b}`);
      assert(isSameModel(b, a), `${b} and ${a}`);
    }
  });
}

for (const [title, pairs] of Object.entries(DIFFERENT)) {
  Deno.test(`model names: different, ${title}`, () => {
    for (const [a, b] of pairs) {
      assertFalse(isSameModel(a, b), `${a} and ${b}`);
      assertFalse(isSameModel(b, a), `${b} and ${a}`);
    }
  });
}

/** The rules of §2, written differently, for every pair in a grid. */
Deno.test("model names: all pairs of a grid follow the rules, both ways", () => {
  const names: { text: string; publisher: string; base: string; variant: string }[] = [];
  for (const publisher of ["", "a/", "b/"]) {
    for (const base of ["m", "M", "n"]) {
      for (const variant of ["", "@q4", "@Q4", "@q8"]) {
        for (const instance of ["", ":2"]) {
          const text = publisher + base + variant + instance;
          names.push({ text, publisher, base: base.toLowerCase(), variant: variant.toLowerCase() });
        }
      }
    }
  }
  const agree = (one: string, other: string) => one === "" || other === "" || one === other;
  for (const one of names) {
    for (const other of names) {
      const expected = one.base === other.base && agree(one.publisher, other.publisher) &&
        agree(one.variant, other.variant);
      assertEquals(isSameModel(one.text, other.text), expected, `${one.text} and ${other.text}`);
      const models = [model(one.text)];
      assertEquals(
        isSameListedModel(models, one.text, other.text),
        isSameListedModel(models, other.text, one.text),
        `${one.text} and ${other.text}, listed`,
      );
    }
  }
});

Deno.test("model names: an extremely long name costs no time", () => {
  const usedBefore = cpuTimeMs();
  for (const part of [":1", "@", "/", "a:1@b/"]) {
    const long = part.repeat(200_000);
    isSameModel(long, `${long}x`);
  }
  assert(cpuTimeMs() - usedBefore < 1_000);
});

function model(id: string, more: Partial<ModelInfo> = {}): ModelInfo {
  return {
    id,
    name: id,
    provider: "lmstudio",
    type: "llm",
    capabilities: {
      maxTokens: 4096,
      supportsTools: false,
      supportsVision: false,
      supportsStreaming: true,
      supportsEmbeddings: false,
      supportsReasoning: false,
      speedTier: "standard",
      qualityTier: "standard",
    },
    raw: {},
    ...more,
  };
}

function instances(...ids: string[]): Partial<ModelInfo> {
  return { loaded: ids.length > 0, instances: ids.map((id) => ({ id })) };
}

Deno.test("findModel: the exact id, then an instance, then another case, then other spellings", () => {
  const find = (name: string, ...models: ModelInfo[]) => findModel(models, name)?.id;
  const qwen = model("qwen/qwen3-8b", {
    variants: ["qwen/qwen3-8b@q4_k_m", "qwen/qwen3-8b@q8_0"],
    ...instances("qwen/qwen3-8b", "qwen/qwen3-8b:2", "my-alias"),
  });
  for (
    const name of [
      "qwen/qwen3-8b",
      "QWEN/Qwen3-8B",
      "qwen3-8b",
      "qwen3-8b:7",
      "qwen3-8b@q8_0",
      "qwen/qwen3-8b@q4_k_m",
      "qwen/qwen3-8b:2",
      "my-alias",
      "MY-Alias",
    ]
  ) {
    assertEquals(find(name, model("other"), qwen), "qwen/qwen3-8b", name);
  }
  for (const name of ["", "qwen", "qwen3", "unsloth/qwen3-8b", "alias", "constructor"]) {
    assertEquals(find(name, model("other"), qwen), undefined, name);
  }
  assertEquals(findModel([], "m"), undefined);

  // An exact match wins over a possible meaning.
  assertEquals(find("m", model("a/m"), model("m")), "m");
  assertEquals(find("M", model("a/m"), model("m")), "m");
  assertEquals(find("b/m", model("m"), model("a/m"), model("b/m")), "b/m");
  assertEquals(find("B/M", model("m"), model("a/m"), model("b/m")), "b/m");
  assertEquals(find("m@q8", model("m"), model("m@q4"), model("m@q8")), "m@q8");
  assertEquals(find("M@Q8", model("m"), model("m@q4"), model("m@q8")), "m@q8");
  assertEquals(find("fast", model("a/fast"), model("m", instances("fast"))), "m");
  assertEquals(find("m", model("x", instances("m")), model("m")), "m");
  // Of several equal matches, a loaded one.
  assertEquals(find("m", model("a/m"), model("b/m", instances("b/m"))), "b/m");
  assertEquals(find("m", model("a/m"), model("b/m")), "a/m");
});

Deno.test("isSameListedModel: an instance's id or an alias means its model", () => {
  const models = [
    model("qwen/qwen3-8b", instances("qwen/qwen3-8b", "fast")),
    model("openai/gpt-oss-20b", instances("slow")),
    model("openai/gpt-oss-120b"),
  ];
  const same: [string, string][] = [
    ["qwen/qwen3-8b", "fast"],
    ["qwen3-8b", "fast"],
    ["QWEN3-8B@q4_k_m", "Fast"],
    ["qwen3-8b:2", "fast"],
    ["fast", "qwen/qwen3-8b:2"],
    ["openai/gpt-oss-20b", "slow"],
    ["slow", "slow:2"],
    ["not-listed", "not-listed"],
    ["not-listed", "NOT-listed:2"],
  ];
  for (const [a, b] of same) {
    assert(isSameListedModel(models, a, b), `${a} and ${b}`);
    assert(isSameListedModel(models, b, a), `${b} and ${a}`);
  }
  const different: [string, string][] = [
    ["qwen/qwen3-8b", "slow"],
    ["fast", "slow"],
    ["openai/gpt-oss-120b", "slow"],
    ["openai/gpt-oss-20b", "openai/gpt-oss-120b"],
    ["not-listed", "fast"],
    ["not-listed", "qwen/qwen3-8b"],
    ["unsloth/qwen3-8b", "fast"],
  ];
  for (const [a, b] of different) {
    assertFalse(isSameListedModel(models, a, b), `${a} and ${b}`);
    assertFalse(isSameListedModel(models, b, a), `${b} and ${a}`);
  }
});

Deno.test("isSameListedModel: a listing does not merge two variants or publishers", () => {
  const listed = [
    [model("qwen3-8b", { variants: ["qwen3-8b@q4_k_m", "qwen3-8b@q8_0"] })],
    [model("qwen3-8b", { variants: ["qwen3-8b@q4_k_m"], ...instances("qwen3-8b@q8_0") })],
    [model("qwen3-8b", instances("qwen3-8b"))],
    [model("qwen3-8b@q4_k_m"), model("qwen3-8b@q8_0")],
  ];
  for (const models of listed) {
    for (
      const [a, b] of [
        ["qwen3-8b@q4_k_m", "qwen3-8b@q8_0"],
        ["qwen/qwen3-8b@q4_k_m", "qwen3-8b@q8_0:2"],
        ["qwen/qwen3-8b", "unsloth/qwen3-8b"],
      ] as const
    ) {
      assertFalse(isSameListedModel(models, a, b), `${a} and ${b}`);
      assertFalse(isSameListedModel(models, b, a), `${b} and ${a}`);
    }
    assert(isSameListedModel(models, "qwen3-8b", "qwen3-8b@q8_0"));
  }
});

Deno.test("isSameListedModel: an alias may look like another publisher's model", () => {
  const models = [model("qwen/qwen3-8b", instances("team/qwen3-8b"))];
  assert(isSameListedModel(models, "qwen/qwen3-8b", "team/qwen3-8b"));
  assert(isSameListedModel(models, "team/qwen3-8b", "qwen3-8b"));
  assertFalse(isSameListedModel(models, "qwen/qwen3-8b", "other/qwen3-8b"));
});

Deno.test("isSameListedModel: true whenever isSameModel is true, whatever is listed", () => {
  for (const models of [[], [model("other")], [model("m")]]) {
    for (const [a, b] of Object.values(SAME).flat()) {
      assert(isSameListedModel(models, a, b), `${a} and ${b}`);
    }
  }
});

Deno.test("answeringInstance: the named one, or the one under the model's id, or the smallest", () => {
  const qwen = model("qwen/qwen3-8b", {
    instances: [
      { id: "large", contextLength: 32_000 },
      { id: "qwen/qwen3-8b:2", contextLength: 2048 },
      { id: "qwen/qwen3-8b", contextLength: 8192 },
    ],
  });
  const answering = (name?: string) => answeringInstance(qwen, name)?.id;
  assertEquals(answering(), "qwen/qwen3-8b");
  for (const name of ["qwen/qwen3-8b", "QWEN3-8B", "qwen3-8b@q4_k_m"]) {
    assertEquals(answering(name), "qwen/qwen3-8b", name);
  }
  assertEquals(answering("Large"), "large");
  assertEquals(answering("qwen/qwen3-8b:2"), "qwen/qwen3-8b:2");

  const instances = [
    { id: "a@q4", contextLength: 4096 },
    { id: "b@q8", contextLength: 1024 },
    { id: "c", contextLength: 2048 },
  ];
  const aliased = model("m", { instances });
  assertEquals(answeringInstance(aliased)?.id, "b@q8");
  assertEquals(
    answeringInstance(aliased, "m@q4")?.id,
    "c",
    "a copy of another variant does not answer",
  );
  assertEquals(answeringInstance(model("m", { instances: [] })), undefined);
  assertEquals(answeringInstance(model("m")), undefined);
});

Deno.test("nameToLoad: the listed name; the variant if it is not the selected one", () => {
  const variants = ["a/m@q4_k_m", "a/m@q8_0"];
  const several = model("a/m", { variants, selectedVariant: "a/m@q8_0" });
  const unselected = model("a/m", { variants });
  const single = model("a/m", { variants: ["a/m@4bit"] });
  const aliased = model("a/m", { ...instances("mine@home") });
  const cases: [ModelInfo, string, string][] = [
    [several, "m", "a/m"],
    [several, "M@Q8_0", "a/m"],
    [several, "m@q4_k_m", "a/m@q4_k_m"],
    [several, "m@q2", "a/m@q2"],
    [unselected, "m@q8_0", "a/m@q8_0"],
    [single, "m@4bit", "a/m"],
    [single, "m@4bit:2", "a/m"],
    [aliased, "mine@home", "a/m"],
    [model("a/m@q4_k_m"), "a/m@q4_k_m", "a/m@q4_k_m"],
    [model("a/m@q4_k_m"), "m", "a/m@q4_k_m"],
    [model("A/M@Q4_K_M"), "m@q4_k_m", "A/M@Q4_K_M"],
    [model("host@home/m"), "host@home/m", "host@home/m"],
  ];
  for (const [listed, name, expected] of cases) assertEquals(nameToLoad(listed, name), expected);
});

Deno.test("nearestNames: fewest edits first, but a part of a name before all others", () => {
  const known = ["qwen/qwen3-14b", "qwen/qwen3-8b", "google/gemma-3-4b", "openai/gpt-oss-20b"];
  assertEquals(nearestNames(known, "qwen3-8x", 2), ["qwen/qwen3-8b", "qwen/qwen3-14b"]);
  assertEquals(nearestNames(known, "gemma", 1), ["google/gemma-3-4b"]);
  assertEquals(nearestNames(known, "gpt-ooss-20b", 1), ["openai/gpt-oss-20b"]);
  assertEquals(nearestNames(known, "x", 9).length, 4);
  assertEquals(nearestNames([], "x", 3), []);
});

Deno.test("nearestNames: of 20 000 names the closest is found at once, however long they are", () => {
  for (const filling of ["", "-instruct-2507-gguf", "x".repeat(90)]) {
    const known = Array.from({ length: 20_000 }, (_, index) => `a/model-${index}${filling}`);
    for (const index of [0, 777, 12_345, 19_999]) {
      const right = `model-${index}${filling}`;
      const written = right.replace("mod", "mdo") + "x";
      const usedBefore = cpuTimeMs();
      const [first] = nearestNames(known, written, 3);
      assert(cpuTimeMs() - usedBefore < 500);
      assertEquals(first, `a/${right}`, written);
    }
  }
});
