import { expect, test } from "vitest";
import { connectOptions } from "../../../../src/llama/server/http-request.ts";

test.each([
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
  ["::1", "::1"],
  ["10.0.0.2", "10.0.0.2"],
])("a server that listens on %s is reached at %s", (host, to) => {
  expect(connectOptions({ host, port: 7 })).toEqual({ host: to, port: 7 });
});
