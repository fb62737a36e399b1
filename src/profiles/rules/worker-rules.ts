import { BlockList, isIP } from "node:net";
import { isSocketHost } from "./host-kinds.ts";
import { profileJsonSchema, schemaAt } from "../schema/json-schema.ts";
import { quote } from "../yaml/quote-value.ts";
import { type ProfileProblem, findLocated, nearestPlace, type LocatedMap } from "../yaml/located.ts";

/** The keys that a profile with `kind: rpc-worker` may have. */
const workerKeys: readonly string[] = [
  "description",
  "extends",
  "depends_on",
  "kind",
  "devices",
  "threads",
  "env",
  "server.host",
  "server.port",
  "rpc.cache",
  "llama",
  "health",
  "restart",
  "stop",
  "orphan",
  "log",
];

export function isWorker(root: LocatedMap): boolean {
  const kind = findLocated(root, ["kind"])?.value;
  return kind?.kind === "scalar" && kind.value === "rpc-worker";
}

/** Checks a worker's profile for keys that only a server understands, and for an address that it must not listen on. */
export function checkWorker(root: LocatedMap): ProfileProblem[] {
  return [...findServerKeys(root), ...checkAddress(root)];
}

function findServerKeys(root: LocatedMap): ProfileProblem[] {
  return [...root.entries].flatMap(([key, { place, value }]) => {
    if (workerKeys.includes(key)) return [];
    const keys =
      workerKeys.some((known) => known.startsWith(`${key}.`)) && value.kind === "map" ? [...value.entries] : undefined;
    const written =
      keys === undefined
        ? [{ name: key, place }]
        : keys.map(([name, entry]) => ({ name: `${key}.${name}`, place: entry.place }));
    return written
      .filter(({ name }) => !workerKeys.includes(name) && schemaAt(profileJsonSchema(), name.split(".")) !== undefined)
      .map(({ name, place: at }) => ({
        message: `${quote(name)} is for servers, and this is a worker`,
        place: at,
        fix: "remove it",
      }));
  });
}

/**
 * The loopback, and the networks that RFC 1918, RFC 6598 (used by overlay networks) and RFC 3927 keep off the internet.
 */
const privateNetworks = new BlockList();
for (const [net, prefix] of [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
  ["169.254.0.0", 16],
] as const)
  privateNetworks.addSubnet(net, prefix);

/**
 * Whether the internet can reach a worker on this host only by mistake. Names are not looked up and count as private.
 */
function isPrivateHost(host: string): boolean {
  return isIP(host) === 0 || (isIP(host) === 4 && privateNetworks.check(host));
}

/** A worker executes what anyone who reaches it asks for. */
function checkAddress(root: LocatedMap): ProfileProblem[] {
  const findings: ProfileProblem[] = [];
  const host = findLocated(root, ["server", "host"])?.value;
  if (host?.kind === "scalar" && typeof host.value === "string" && !isPrivateHost(host.value)) {
    findings.push({
      message: `a worker must not listen on ${quote(host.value)}: it obeys whoever reaches it`,
      place: nearestPlace(root, ["server", "host"]),
      fix: "set server.host to this machine's address in a private network, such as 10.0.0.2",
    });
  }
  if (host?.kind === "scalar" && typeof host.value === "string" && isSocketHost(host.value)) {
    findings.push({
      message: `a worker cannot listen on a unix socket, ${quote(host.value)}`,
      place: nearestPlace(root, ["server", "host"]),
      fix: "set server.host to this machine's address in a private network, such as 10.0.0.2",
    });
  }
  const port = findLocated(root, ["server", "port"])?.value;
  if (port?.kind !== "scalar" || typeof port.value !== "number") {
    findings.push({
      message: "a worker needs a fixed port, since servers name it by its port",
      place: nearestPlace(root, ["server", "port"]),
      fix: 'add "port" under "server", such as 50052',
    });
  }
  return findings;
}
