/**
 * Reports when a server on this machine starts or stops, until you press Ctrl+C:
 *
 *     deno run --allow-net --allow-env --allow-read examples/monitor.ts [seconds]
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { ServiceDiscovery } from "../mod.ts";

const [seconds] = process.argv.slice(2);

const discovery = new ServiceDiscovery();
const monitor = discovery.monitor({ intervalMs: 5000, maxFailures: 2 });
monitor.addEventListener("statuschange", ({ detail }) => {
  const { type, endpoint, status, models, metrics } = detail;
  const share = Math.round(100 * metrics.successRate);
  console.log(`${type} ${endpoint}: ${status} (${models.length} models, ${share} % up)`);
});

const finish = new AbortController();
process.once("SIGINT", () => finish.abort());
// A monitor does not keep a program running, so this timer does.
const wait = setTimeout(() => finish.abort(), Number(seconds ?? 3600) * 1000);
finish.signal.addEventListener("abort", async () => {
  clearTimeout(wait);
  await monitor[Symbol.asyncDispose]();
  console.log(`Available at the end: ${discovery.availableServices().length}`);
});
