import { createHash } from "node:crypto";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/*
 * A Hub with one model of as many bytes as the argument says, which is not on disk. It runs in a separate process,
 * prints a line of JSON when it listens, and ends with its parent.
 */

const block = Buffer.alloc(2 ** 20, createHash("sha512").update("llmctl").digest());
const sizeBytes = Number(process.argv[2]);
const commit = "c0ffee".padEnd(40, "0");

function digestAll(): string {
  const hash = createHash("sha256");
  for (let at = 0; at < sizeBytes; at += block.length) hash.update(block.subarray(0, sizeBytes - at));
  return hash.digest("hex");
}

const digest = digestAll();
const entry = { type: "file", path: "Large-Q8_0.gguf", size: sizeBytes, oid: "0".repeat(40) };

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://local");
  if (pathname.includes("/revision/"))
    return sendJson(response, { _id: "1", id: "bench/Large-GGUF", sha: commit, lastModified: "2026-01-01" });
  if (pathname.includes("/tree/"))
    return sendJson(response, [{ ...entry, lfs: { oid: digest, size: sizeBytes, pointerSize: 135 } }]);
  const [, from = "0", to = String(sizeBytes - 1)] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const range = { start: Number(from), end: Number(to) + 1 };
  const headers = { etag: `"${digest}"`, "content-length": range.end - range.start };
  if (request.headers.range === undefined) response.writeHead(200, headers);
  else response.writeHead(206, { ...headers, "content-range": `bytes ${from}-${to}/${sizeBytes}` });
  sendRange(response, range);
});

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function sendRange(response: ServerResponse, range: { readonly start: number; readonly end: number }): void {
  let at = range.start;
  const go = () => {
    while (at < range.end) {
      const offset = at % block.length;
      const piece = block.subarray(offset, offset + range.end - at);
      at += piece.length;
      if (!response.write(piece)) return void response.once("drain", go);
    }
    response.end();
  };
  go();
}

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${port}`, digest })}\n`);
});
process.stdin.on("end", () => process.exit()).resume();
