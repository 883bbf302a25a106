/**
 * A server that takes no connection: it listens, but its loop is blocked, so that the system's queue of
 * connections (of one) fills up and every further one waits. Prints its port; ended by a signal.
 */
import { createServer } from "node:net";

const server = createServer();
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  console.log(server.address().port);
  // A moment for the line to get out, then for ever.
  setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 50);
});
