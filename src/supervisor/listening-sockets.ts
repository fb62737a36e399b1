import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What /proc says of TCP sockets that listen, in this network namespace. */
interface ListeningSocket {
  readonly port: number;
  /** The link that stands for it in /proc/PID/fd, such as `socket:[4711]`. */
  readonly link: string;
}

const tables = ["/proc/net/tcp", "/proc/net/tcp6"];
/** TCP_LISTEN. @see proc_net_tcp in the kernel's documentation */
const listening = "0A";

function listListening(): readonly ListeningSocket[] {
  const rows = tables.flatMap((path) => readText(path).split("\n").slice(1));
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields[3] === listening)
    .map((fields) => ({ port: Number.parseInt(fields[1]?.split(":")[1] ?? "", 16), link: `socket:[${fields[9]}]` }));
}

/** False where there is no /proc that tells. */
export function isListeningKnown(): boolean {
  return readText("/proc/net/tcp") !== "";
}

export function isListenedOn(port: number): boolean {
  return listListening().some((socket) => socket.port === port);
}

/** The process that listens on a TCP port; undefined when none does, when it is not ours to see, or where there is no /proc. */
export function findPortOwner(port: number): { readonly pid: number; readonly command: string } | undefined {
  const links = new Set(
    listListening()
      .filter((socket) => socket.port === port)
      .map(({ link }) => link),
  );
  if (links.size === 0) return undefined;
  for (const pid of listFolder("/proc").filter((name) => /^\d+$/.test(name))) {
    if (listLinks(pid).some((link) => links.has(link))) return { pid: Number(pid), command: readText(`/proc/${pid}/comm`).trim() };
  }
  return undefined;
}

/** The TCP port that a process listens on; undefined when there is none, or when that is not ours to see. */
export function findListeningPort(pid: number): number | undefined {
  const links = new Set(listLinks(String(pid)));
  return listListening().find(({ link }) => links.has(link))?.port;
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

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
