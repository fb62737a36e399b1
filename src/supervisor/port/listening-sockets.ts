import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isIP } from "node:net";
import { canonicalIp, isWildcard } from "./ip-address.ts";

/** A TCP socket of this network namespace, as /proc lists it. */
interface Socket {
  /** Local address: `127.0.0.1`, `::1`; the wildcard is `0.0.0.0` or `::`. */
  readonly host: string;
  readonly port: number;
  readonly remotePort: number;
  /** Target of its link in /proc/PID/fd, such as `socket:[4711]`. */
  readonly link: string;
}

const tables = ["/proc/net/tcp", "/proc/net/tcp6"];
/** TCP_LISTEN and TCP_CLOSE_WAIT. @see proc_net_tcp in the kernel's documentation */
const listening = "0A";
const closedByPeer = "08";

function listSockets(state: string): readonly Socket[] {
  const rows = tables.flatMap((path) => readText(path).split("\n").slice(1));
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[3] === state)
    .map((fields) => ({
      host: hostOf(fields[1]),
      port: portOf(fields[1]),
      remotePort: portOf(fields[2]),
      link: `socket:[${fields[9]}]`,
    }));
}

/** Host of `0100007F:C384` or of 32 digits: words of four bytes, each in the machine's byte order. */
function hostOf(address = ""): string {
  const words = /[\dA-F]{8}/g;
  const bytes = Buffer.concat(
    (address.split(":")[0]?.match(words) ?? []).map((word) => Buffer.from(word, "hex").reverse()),
  );
  if (bytes.length === 4) return bytes.join(".");
  return canonicalIp((bytes.toString("hex").match(/.{4}/g) ?? []).join(":"));
}

/**
 * Whether a server on this host would share an address with a listening socket. A host name counts as every address, as
 * it is not looked up here.
 */
function overlaps(socket: Socket, host: string | undefined): boolean {
  if (host === undefined || isIP(host) === 0) return true;
  const wanted = canonicalIp(host);
  return socket.host === wanted || isWildcard(socket.host) || isWildcard(wanted);
}

/** Port of `0100007F:C384`. */
function portOf(address = ""): number {
  return Number.parseInt(address.split(":")[1] ?? "", 16);
}

/** Whether /proc lists the listening sockets; false on systems without it. */
export function isListeningKnown(): boolean {
  return readText("/proc/net/tcp") !== "";
}

/** @param host Restricts the search to one address. */
export function isListenedOn(port: number, host?: string): boolean {
  return listSockets(listening).some((socket) => socket.port === port && overlaps(socket, host));
}

interface Owner {
  readonly pid: number;
  readonly command: string;
}

/**
 * The process that listens on a TCP port; undefined when there is none, it is not visible to us, or /proc is missing.
 */
export function findPortOwner(port: number, host?: string): Owner | undefined {
  return findOwner(
    listSockets(listening)
      .filter((socket) => socket.port === port && overlaps(socket, host))
      .map(({ link }) => link),
  );
}

/**
 * The process that listens on a unix socket; undefined as for {@link findPortOwner}. The path must equal the bound one.
 */
export function findSocketOwner(path: string): Owner | undefined {
  // Columns: Num RefCount Protocol Flags Type St Inode Path; flag 00010000 marks a listening socket.
  // @see proc_pid_net(5)
  const rows = readText("/proc/net/unix", "utf8").split("\n").slice(1);
  const fields = rows.map((row) => /^\S+ \S+ \S+ 00010000 \S+ \S+ +(\d+) (.*)$/.exec(row) ?? []);
  return findOwner(fields.flatMap(([, inode, bound]) => (bound === path ? [`socket:[${inode}]`] : [])));
}

function findOwner(socketLinks: readonly string[]): Owner | undefined {
  const links = new Set(socketLinks);
  if (links.size === 0) return undefined;
  for (const pid of listFolder("/proc").filter((name) => /^\d+$/.test(name))) {
    if (listLinks(pid).some((link) => links.has(link)))
      return { pid: Number(pid), command: readText(`/proc/${pid}/comm`).trim() };
  }
  return undefined;
}

/** The TCP port that a process listens on; undefined when there is none or it is not visible to us. */
export function findListeningPort(pid: number): number | undefined {
  const links = new Set(listLinks(String(pid)));
  return listSockets(listening).find(({ link }) => links.has(link))?.port;
}

/**
 * Whether a process holds a connection to one of these remote ports that the other side has closed.
 * @param ownPort Connections to this local port are ignored: a client's port may happen to be one of `ports`.
 */
export function hasLostPeer(pid: number, ports: readonly number[], ownPort: number | undefined): boolean {
  const lost = listSockets(closedByPeer).filter(
    ({ port, remotePort }) => port !== ownPort && ports.includes(remotePort),
  );
  if (lost.length === 0) return false;
  const links = new Set(listLinks(String(pid)));
  return lost.some(({ link }) => links.has(link));
}

function listLinks(pid: string): readonly string[] {
  return listFolder(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
}

// Processes of other users and processes that end meanwhile cannot be read; they are not the answer then.

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function readText(path: string, encoding: "latin1" | "utf8" = "latin1"): string {
  try {
    return readFileSync(path, encoding);
  } catch {
    return "";
  }
}
