import { statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { execaSync } from "execa";
import { quoteForShell } from "../../src/base/text/quote-for-shell.ts";

const isRoot = process.getuid?.() === 0;
/** A mount namespace of its own; whoever is not root needs a user namespace for it. */
const unshare = ["unshare", ...(isRoot ? [] : ["--map-root-user"]), "--mount"];

/** Runs what follows where this folder holds a full disk of 64 KiB. */
export function withFullDisk(folder: string): string[] {
  return inNamespace(
    'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"; head -c 100000 /dev/zero > "$1/fill" 2>/dev/null || true',
    folder,
  );
}

/** Runs what follows where this folder holds an empty disk of this size, such as `6m`. */
export function withSmallDisk(folder: string, size: string): string[] {
  return inNamespace(`mount -t tmpfs -o size=${size},mode=700 tmpfs "$1"`, folder);
}

/** Runs what follows where this folder cannot be written by anyone. */
export function withReadOnly(folder: string): string[] {
  return inNamespace('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', folder);
}

/** Runs what follows where this file holds what another one holds, also when that is changed. */
export function withFileInPlaceOf(path: string, other: string): string[] {
  return inNamespace('mount --bind "$2" "$1"', path, other);
}

/** Runs what follows where each of these places is what another path leads to: `{ "/etc/passwd": "/tmp/passwd" }`. */
export function withPlaces(places: Readonly<Record<string, string>>): string[] {
  const pairs = Object.entries(places);
  const mounts = pairs.map((_, index) => `mount --bind "\${${2 * index + 2}}" "\${${2 * index + 1}}"`);
  return inNamespace(mounts.join("; "), ...pairs.flat());
}

/** @throws where mounts are not possible: a test that needs them must not pass without. */
function inNamespace(mounts: string, ...paths: readonly string[]): string[] {
  const { failed, stderr } = execaSync(unshare[0] ?? "", [...unshare.slice(1), "true"], { reject: false });
  if (failed)
    throw new Error(
      "this test needs a mount namespace, which is not permitted here (run it as root, or permit user " +
        `namespaces): ${stderr}`,
    );
  return [...unshare, "sh", "-c", `set -e; ${mounts}; shift ${paths.length}; exec "$@"`, "sh", ...paths];
}

/** Runs what follows so that the mode of files counts, as it does not for root with all its capabilities. */
export function withoutPrivileges(): string[] {
  return isRoot ? ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search", "--"] : [];
}

/** Runs what follows where a user may watch no file. */
export function withoutWatches(what: "instances" | "watches"): string[] {
  return [
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    `echo 0 > /proc/sys/user/max_inotify_${what}; exec "$@"`,
    "sh",
  ];
}

/** Runs what follows as a user that is not root, who owns all that the caller owns. */
export function asOrdinaryUser(): string[] {
  return ["unshare", "--user", "--map-user=12345", "--map-group=12345", "--"];
}

/**
 * Runs what follows as another user, for a caller that is root. The checkout and this Node are in reach of that user
 * also where they are in a folder that is closed to others, such as /root.
 */
export function asUser(uid: number): string[] {
  const change = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"];
  const needed = [dirname(process.execPath), fileURLToPath(new URL("../..", import.meta.url))];
  const closed = new Set(needed.map(findClosed).filter((folder) => folder !== undefined));
  if (closed.size === 0) return change;
  const mounts = [...closed].map((folder) =>
    openFolder(
      folder,
      needed.filter((path) => findClosed(path) === folder),
    ),
  );
  return [...inNamespace(mounts.join("; ")), ...change];
}

/** The outermost folder on the way to a path that others may not pass. */
function findClosed(path: string): string | undefined {
  if (path === "/") return undefined;
  return findClosed(dirname(path)) ?? ((statSync(path).mode & 0o001) === 0 ? path : undefined);
}

/** Shell commands that put an open folder in a closed one's place, in which nothing but the needed paths is. */
function openFolder(folder: string, needed: readonly string[]): string {
  const keep = needed.map((path) => {
    const [to, from] = [path, `/mnt${path.slice(folder.length)}`].map(quoteForShell);
    return `(umask 022; mkdir -p ${to}); mount --rbind ${from} ${to}`;
  });
  const closed = quoteForShell(folder);
  return [`mount --rbind ${closed} /mnt`, `mount -t tmpfs -o mode=755 tmpfs ${closed}`, ...keep, "umount -l /mnt"].join(
    "; ",
  );
}
