/**
 * A user's script: starts a monitor, prints what it reports, and is done. The monitor must not keep it alive.
 *
 * Arguments: the address of an LM Studio, and of a server that does not exist.
 */
import { ServiceDiscovery } from "@patinox/lmstudio";
import process from "node:process";

const candidates = process.argv.slice(2).map((endpoint) => ({ type: "lmstudio", endpoint }));
const discovery = new ServiceDiscovery({ env: {}, candidates });
const monitor = discovery.monitor({ intervalMs: 3_600_000 });
monitor.addEventListener("statuschange", ({ detail }) => {
  console.log(
    `${candidates.findIndex(({ endpoint }) => endpoint === detail.endpoint)} ${detail.status}`,
  );
});
