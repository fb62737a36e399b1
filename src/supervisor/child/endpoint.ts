import type { Endpoint, Launch } from "../launch.ts";

/** The endpoint that a launch plans; undefined when the server picks its port. */
export function plannedEndpoint({
  host,
  port,
  socketPath,
}: Pick<Launch, "host" | "port" | "socketPath">): Endpoint | undefined {
  if (socketPath !== undefined) return { socketPath };
  return port === 0 ? undefined : { host, port };
}

const socketScheme = "unix://";

/** `http://127.0.0.1:8001`, `http://[::1]:8001`, or `unix:///run/coder.sock` with the path unescaped. */
export function formatUrl(endpoint: Endpoint, scheme: "http" | "tcp"): string {
  if ("socketPath" in endpoint) return `${socketScheme}${endpoint.socketPath}`;
  const { host, port } = endpoint;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Parses the result of {@link formatUrl}. */
export function parseUrl(url: string): Endpoint {
  if (isSocketUrl(url)) return { socketPath: url.slice(socketScheme.length) };
  const { hostname, port } = new URL(url);
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    // The URL parser drops the default port of a scheme.
    port: port === "" ? 80 : Number(port),
  };
}

export function isSocketUrl(url: string): boolean {
  return url.startsWith(socketScheme);
}
