/**
 * A server that accepts no connection: it listens, but its event loop is blocked, so the system's connection
 * queue (of one) fills up and every further connection waits. Prints its port; runs until it gets a signal.
 */
import { createServer } from "node:net";

const server = createServer();
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
  console.log(server.address().port);
  // Wait a moment for the line to be printed, then forever.
  setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 50);
});
