import { BlockList, isIP } from "node:net";

/** Every llama-server takes a host with this ending for the path of a unix socket. */
export function isSocketHost(host: string): boolean {
  return host.endsWith(".sock");
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/**
 * Whether only programs of this machine reach a server on this host. Names other than localhost are not looked up and
 * count as open.
 */
export function isLocalHost(host: string): boolean {
  const version = isIP(host);
  if (version === 0) return isSocketHost(host) || host.toLowerCase() === "localhost";
  return loopback.check(host, version === 4 ? "ipv4" : "ipv6");
}
