import { expect, test } from "vitest";
import { formatUrl, parseUrl, plannedEndpoint } from "../../../../src/supervisor/child/endpoint.ts";

test.each([
  [{ host: "127.0.0.1", port: 8001 }, "http://127.0.0.1:8001"],
  [{ host: "::1", port: 80 }, "http://[::1]:80"],
  [{ host: "gpu-box", port: 1 }, "http://gpu-box:1"],
  [{ socketPath: "/run/coder.sock" }, "unix:///run/coder.sock"],
  [{ socketPath: "/a b/%41#?ö.sock" }, "unix:///a b/%41#?ö.sock"],
])("%j is %s", (endpoint, url) => {
  expect(formatUrl(endpoint, "http")).toBe(url);
  expect(parseUrl(url)).toEqual(endpoint);
});

test("a launch answers on its socket, on its port, or at the address in its log", () => {
  const host = "127.0.0.1";
  expect(plannedEndpoint({ host, port: 0, socketPath: "/run/a.sock" })).toEqual({ socketPath: "/run/a.sock" });
  expect(plannedEndpoint({ host, port: 8001 })).toEqual({ host, port: 8001 });
  expect(plannedEndpoint({ host, port: 0 })).toBeUndefined();
});
