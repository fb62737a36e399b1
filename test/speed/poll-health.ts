import { get } from "node:http";

/*
 * A separate process that requests a server's health every 2 ms and reports the first 200 to its parent: an
 * observer that shares no code, no event loop and no clock reading with llmctl.
 */
const port = Number(process.argv[2]);
let isAsking = false;

const timer = setInterval(() => {
  if (isAsking) return;
  isAsking = true;
  const request = get({ host: "127.0.0.1", port, path: "/health", agent: false }, (response) => {
    if (response.statusCode === 200) report();
    response.resume().on("close", () => (isAsking = false));
  });
  request.on("error", () => (isAsking = false)); // nobody listens yet
}, 2);

function report(): void {
  clearInterval(timer);
  process.send?.(Date.now(), () => process.disconnect());
}

process.send?.("polling");
