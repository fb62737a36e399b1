import { isIP, SocketAddress } from "node:net";

/**
 * The one form of an IP address that has many, such as `::0001` and `0:0:0:0:0:0:0:1`: the shortest one, without a zone
 * such as `%eth0`, and IPv4 where it maps that to IPv6. A host name is returned as it is.
 */
export function canonicalIp(host: string): string {
  const version = isIP(host);
  if (version === 0) return host;
  const { address } = new SocketAddress({ address: host, family: version === 6 ? "ipv6" : "ipv4" });
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}

/** Whether a canonical address stands for all addresses of the machine. */
export function isWildcard(ip: string): boolean {
  return ip === "0.0.0.0" || ip === "::";
}
