/** A short soak: streams that end in every way there is leave nothing behind. `deno task soak` is the long one. */
import { assert, assertEquals } from "@std/assert";
import { listenHere } from "./soak/servers.ts";
import { soak } from "./soak/soak.ts";

Deno.test("soak: streams that are read, abandoned, aborted or broken off leave nothing behind", async () => {
  await using servers = await listenHere();
  const soaked = await soak(servers, { streams: 400, parallel: 32, seed: 1, patience: 5 });
  assertEquals(soaked.faults, []);
  assertEquals([soaked.streams, soaked.listeners, soaked.unfinished], [400, 0, 0]);
  // Otherwise the test would show nothing.
  for (const end of ["aborted", "leave", "read", "cancel", "stream_truncated", "timeout_idle"]) {
    assert((soaked.ends[end] ?? 0) > 0, `no stream ended so: ${end}`);
  }
});
