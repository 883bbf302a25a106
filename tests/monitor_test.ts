/** The monitor: what it reports, when it checks, and that it leaves nothing behind. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  ConfigurationError,
  type MonitorOptions,
  NetworkError,
  type ServiceCandidate,
  ServiceDiscovery,
  type ServiceDiscoveryOptions,
  type ServiceInfo,
  type ServiceMonitor,
} from "../mod.ts";
// Load it now, so that no check waits for it while time stands still.
import "../src/api/models.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { serveOllama } from "./support/fake_ollama.ts";
import { serveSilence } from "./support/foreign_servers.ts";
import { closedPort } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";

const ENDPOINT = "http://127.0.0.1:1234";
const LMSTUDIO: ServiceCandidate = { type: "lmstudio", endpoint: ENDPOINT };

/** An LM Studio that is up or down as the test says, in time that stands still. */
class Scene {
  readonly discovery: ServiceDiscovery;
  readonly statuses: string[] = [];
  readonly infos: ServiceInfo[] = [];
  isUp = true;
  /** Rounds in which it was probed. */
  rounds = 0;
  /** How many milliseconds each answer appears to take. */
  slowness = 0;
  readonly #fake = createFakeLMStudio({ models: ["m"] });
  readonly #time: FakeTime;

  constructor(time: FakeTime, options: ServiceDiscoveryOptions = {}) {
    this.#time = time;
    this.discovery = new ServiceDiscovery({
      env: {},
      candidates: [LMSTUDIO],
      fetch: (input, init) => {
        if (String(input).endsWith("/lmstudio-greeting")) this.rounds++;
        return this.isUp ? this.#fake.fetch(input, init) : Promise.reject(new TypeError("down"));
      },
      ...options,
    });
  }

  watch(options?: MonitorOptions): ServiceMonitor {
    const monitor = this.discovery.monitor(options);
    monitor.addEventListener("statuschange", ({ detail }) => {
      this.statuses.push(detail.status);
      this.infos.push(detail);
    });
    return monitor;
  }

  /** Advances time and waits for everything that it triggers. */
  async pass(ms = 0): Promise<void> {
    this.#time.tick(ms);
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await this.#time.delay(1);
  }
}

async function inScene(
  run: (scene: Scene) => Promise<void>,
  options?: ServiceDiscoveryOptions,
): Promise<void> {
  using time = new FakeTime();
  await run(new Scene(time, options));
}

Deno.test("monitor: available, degraded, unavailable and available again", async () => {
  await inScene(async (scene) => {
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 3 });
    await scene.settle();
    assertEquals(scene.rounds, 1);
    assertEquals(scene.statuses, ["available"]);
    await scene.pass(1000);
    assertEquals([scene.rounds, scene.statuses.length], [2, 1]);

    scene.isUp = false;
    await scene.pass(1000);
    assertEquals(scene.statuses, ["available", "degraded"]);
    await scene.pass(1000);
    assertEquals(scene.statuses.length, 2);
    await scene.pass(1000);
    assertEquals(scene.statuses, ["available", "degraded", "unavailable"]);
    const { consecutiveFailures, metrics, type, endpoint, models } = scene.infos.at(-1)!;
    assertEquals({ type, endpoint, models }, { ...LMSTUDIO, models: ["m"] });
    assertEquals([consecutiveFailures, metrics.successRate], [3, 2 / 5]);
    assertEquals(scene.discovery.serviceInfo("lmstudio"), scene.infos.at(-1));

    scene.isUp = true;
    await scene.pass(1000);
    assertEquals(scene.statuses, ["available", "degraded", "unavailable", "available"]);
    assertEquals(scene.infos.at(-1)?.consecutiveFailures, 0);
  });
});

Deno.test("monitor: a server that never answered is degraded, then unavailable", async () => {
  await inScene(async (scene) => {
    scene.isUp = false;
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 2 });
    await scene.settle();
    await scene.pass(1000);
    assertEquals(scene.statuses, ["degraded", "unavailable"]);
    assertEquals(scene.discovery.serviceInfo(ENDPOINT)?.models, []);
  });
});

Deno.test("monitor: with maxFailures 1 there is no state between up and down", async () => {
  await inScene(async (scene) => {
    await using _monitor = scene.watch({ maxFailures: 1 });
    await scene.settle();
    scene.isUp = false;
    await scene.pass(30_000);
    assertEquals(scene.statuses, ["available", "unavailable"]);
  });
});

Deno.test("monitor: a server that is down is probed after 1, 2, 4 and then every 8 intervals", async () => {
  await inScene(async (scene) => {
    scene.isUp = false;
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 1 });
    await scene.settle();
    const asked: number[] = [];
    for (let interval = 1; interval <= 24; interval++) {
      const before = scene.rounds;
      await scene.pass(1000);
      if (scene.rounds > before) asked.push(interval);
    }
    assertEquals(asked, [1, 3, 7, 15, 23]);
    scene.isUp = true;
    for (let interval = 0; interval < 8; interval++) await scene.pass(1000);
    assertEquals(scene.statuses, ["unavailable", "available"]);
    const before = scene.rounds;
    await scene.pass(1000);
    await scene.pass(1000);
    assertEquals(scene.rounds - before, 2);
  });
});

Deno.test("monitor: changes that other calls find are reported as well, and only changes", async () => {
  await inScene(async (scene) => {
    await scene.discovery.discover();
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 2 });
    await scene.settle();
    assertEquals(scene.statuses, []);
    scene.isUp = false;
    await scene.discovery.discover({ force: true });
    await assertRejects(() => scene.discovery.healthCheck("lmstudio", ENDPOINT), NetworkError);
    assertEquals(scene.statuses.length, 2 - 1);
    scene.isUp = true;
    assertEquals((await scene.discovery.discover()).length, 1);
    assertEquals(scene.statuses, ["degraded", "available"]);
  }, { healthCheck: { maxFailures: 3 } });
});

Deno.test("monitor: a change makes discover() probe again", async () => {
  await inScene(async (scene) => {
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 1 });
    await scene.settle();
    assertEquals((await scene.discovery.discover()).length, 1);
    scene.isUp = false;
    await scene.pass(1000);
    assertEquals(await scene.discovery.discover(), []);
  });
});

Deno.test("monitor: a server that requires an API token is degraded, and stays so", async () => {
  const secured = createFakeLMStudio({ apiToken: "sk-lm-abcdefgh:12345678901234567890" });
  await inScene(async (scene) => {
    await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 1 });
    await scene.settle();
    await scene.pass(1000);
    await scene.pass(1000);
    assertEquals(scene.statuses, ["degraded"]);
    assertEquals(scene.infos[0]?.consecutiveFailures, 0);
  }, { fetch: secured.fetch });
});

Deno.test("monitor: a server that is always slow is degraded", async () => {
  const fake = createFakeLMStudio();
  const now = performance.now.bind(performance);
  let passed = 0;
  performance.now = () => now() + passed;
  try {
    await inScene(async (scene) => {
      await using _monitor = scene.watch({ intervalMs: 1000, maxFailures: 1 });
      await scene.settle();
      await scene.pass(1000);
      assertEquals(scene.statuses, ["available"]);
      await scene.pass(1000);
      assertEquals(scene.statuses, ["available", "degraded"]);
      assert(scene.infos.at(-1)!.metrics.averageResponseMs > 400);
      assertEquals(scene.infos.at(-1)!.consecutiveFailures, 0);
    }, {
      healthCheck: { timeoutMs: 500 },
      fetch: (input, init) => {
        if (String(input).endsWith("/lmstudio-greeting")) passed += 450;
        return fake.fetch(input, init);
      },
    });
  } finally {
    performance.now = now;
  }
});

Deno.test("monitor: if a check may take no time, none counts as slow: a busy machine degrades no server", async () => {
  const fake = createFakeLMStudio();
  const now = performance.now.bind(performance);
  let passed = 0;
  performance.now = () => now() + passed;
  try {
    await inScene(async (scene) => {
      await using _monitor = scene.watch({ intervalMs: 20, maxFailures: 1 });
      await scene.settle();
      for (let round = 0; round < 6; round++) await scene.pass(20);
      assert(scene.discovery.serviceInfo("lmstudio")!.metrics.averageResponseMs > 9);
      assertEquals(scene.statuses, ["available"]);
    }, {
      fetch: (input, init) => {
        if (String(input).endsWith("/lmstudio-greeting")) passed += 9;
        return fake.fetch(input, init);
      },
    });
  } finally {
    performance.now = now;
  }
});

Deno.test("monitor: an address that could be either type is one server", async () => {
  await using atOllama = serveOllama();
  const discovery = new ServiceDiscovery({
    env: { LOCAL_ENDPOINT: atOllama.url, LOCAL_AUTO_DISCOVER: "false" },
  });
  const monitor = discovery.monitor({ intervalMs: 60_000 });
  const changed = new Promise<ServiceInfo>((resolve) => {
    monitor.addEventListener("statuschange", ({ detail }) => resolve(detail), { once: true });
  });
  const { type, status } = await changed;
  await monitor[Symbol.asyncDispose]();
  assertEquals([type, status], ["ollama", "available"]);
  assertEquals(discovery.serviceInfo("lmstudio"), undefined);
});

Deno.test("monitor: disposal cancels the running check, ends the timer, and emits nothing more", async () => {
  await using silence = serveSilence();
  const discovery = new ServiceDiscovery({
    env: {},
    candidates: [{ type: "lmstudio", endpoint: silence.url }],
    timeoutMs: 100,
  });
  const statuses: string[] = [];
  const monitor = discovery.monitor({ intervalMs: 3_600_000 });
  monitor.addEventListener("statuschange", ({ detail }) => statuses.push(detail.status));
  await monitor[Symbol.asyncDispose]();
  await monitor[Symbol.asyncDispose]();
  while (silence.left < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(await discovery.probe("lmstudio", silence.url), undefined);
  assertEquals(statuses, []);
  assertEquals(discovery.serviceInfo(silence.url), undefined);
});

Deno.test("monitor: two monitors each notify their own listeners", async () => {
  await inScene(async (scene) => {
    const first = scene.watch({ intervalMs: 1000 });
    await using _second = scene.watch({ intervalMs: 1000 });
    await scene.settle();
    assertEquals(scene.statuses, ["available", "available"]);
    await first[Symbol.asyncDispose]();
    scene.isUp = false;
    await scene.pass(1000);
    assertEquals(scene.statuses, ["available", "available", "degraded"]);
  });
});

Deno.test("monitor: listeners get a CustomEvent, and can be removed", async () => {
  await inScene(async (scene) => {
    const events: CustomEvent<ServiceInfo>[] = [];
    const listener = (event: CustomEvent<ServiceInfo>): void => void events.push(event);
    const monitor = scene.watch({ intervalMs: 1000, maxFailures: 1 });
    monitor.addEventListener("statuschange", listener);
    await scene.settle();
    assert(events[0] instanceof CustomEvent && events[0].type === "statuschange");
    monitor.removeEventListener("statuschange", listener);
    scene.isUp = false;
    await scene.pass(1000);
    assertEquals([events.length, scene.statuses.length], [1, 2]);
    await monitor[Symbol.asyncDispose]();
  });
});

const BAD_OPTIONS: [unknown, string][] = [
  [{ intervalMs: 0 }, "intervalMs is 0, not a number of milliseconds above 0 and up to 3600000"],
  [{ intervalMs: 3_600_001 }, "intervalMs is 3600001"],
  [{ intervalMs: "1s" }, 'intervalMs is "1s"'],
  [{ maxFailures: 0 }, "maxFailures is 0, not a whole number from 1 to 10"],
  [{ maxFailures: 11 }, "maxFailures is 11"],
  [{ interval: 5 }, '"intervalMs"'],
  [{ timeoutMs: 5 }, '"timeoutMs"'],
  [5, "not an object"],
];

for (const [options, said] of BAD_OPTIONS) {
  Deno.test(`monitor: bad options: ${JSON.stringify(options)}: ${said}`, () => {
    const discovery = new ServiceDiscovery({ env: {}, candidates: [] });
    assertThrows(() => discovery.monitor(options as object), ConfigurationError, said);
  });
}

Deno.test("monitor: the interval must be longer than a check's timeout", async () => {
  const options = { env: {}, candidates: [] };
  const own = new ServiceDiscovery({ ...options, healthCheck: { timeoutMs: 2000 } });
  assertThrows(() => own.monitor({ intervalMs: 1000 }), ConfigurationError, "2000");
  // The default timeout is shortened instead.
  await new ServiceDiscovery(options).monitor({ intervalMs: 1000 })[Symbol.asyncDispose]();
});

Deno.test("monitor: a script that starts a monitor ends at once", async () => {
  const script = `import { ServiceDiscovery } from "mod";
    const candidates = Deno.args.map((endpoint) => ({ type: "lmstudio", endpoint }));
    const discovery = new ServiceDiscovery({ candidates });
    const monitor = discovery.monitor({ intervalMs: 3_600_000 });
    monitor.addEventListener("statuschange", ({ detail }) => {
      console.log(detail.endpoint === Deno.args[0], detail.status);
    });`;
  await using server = await createFakeLMStudio().listen();
  const args = [server.url, `http://127.0.0.1:${closedPort()}`];
  // The test has 30 s; the next check would come after an hour.
  const { code, output, errors } = await runScript(script, ["--allow-net=127.0.0.1"], { args });
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertEquals(output.split("\n").sort(), ["false degraded", "true available"]);
});
