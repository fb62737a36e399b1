import { statSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { execaSync } from "execa";
import { quoteForShell } from "../../src/base/text/quote-for-shell.ts";

const isRoot = process.getuid?.() === 0;
/** A separate mount namespace; a user that is not root needs a user namespace for it. */
const unshare = ["unshare", ...(isRoot ? [] : ["--map-root-user"]), "--mount"];

/** The words that run a command with a full disk of 64 KiB in this folder. */
export function withFullDisk(folder: string): string[] {
  return inNamespace(
    'mount -t tmpfs -o size=64k,mode=700 tmpfs "$1"; head -c 100000 /dev/zero > "$1/fill" 2>/dev/null || true',
    folder,
  );
}

/** The words that run a command with an empty disk of this size, such as `6m`, in this folder. */
export function withSmallDisk(folder: string, size: string): string[] {
  return inNamespace(`mount -t tmpfs -o size=${size},mode=700 tmpfs "$1"`, folder);
}

/** The words that run a command with this folder read-only for everyone. */
export function withReadOnly(folder: string): string[] {
  return inNamespace('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"', folder);
}

/** The words that run a command with another file in the place of this one; changes of that file show. */
export function withFileInPlaceOf(path: string, other: string): string[] {
  return inNamespace('mount --bind "$2" "$1"', path, other);
}

/** The words that run a command with other paths in these places: `{ "/etc/passwd": "/tmp/passwd" }`. */
export function withPlaces(places: Readonly<Record<string, string>>): string[] {
  const pairs = Object.entries(places);
  const mounts = pairs.map((_, index) => `mount --bind "\${${2 * index + 2}}" "\${${2 * index + 1}}"`);
  return inNamespace(mounts.join("; "), ...pairs.flat());
}

/** @throws when mounts are not possible: a test that needs them must not pass without them. */
function inNamespace(mounts: string, ...paths: readonly string[]): string[] {
  const { failed, stderr } = execaSync(unshare[0] ?? "", [...unshare.slice(1), "true"], { reject: false });
  if (failed)
    throw new Error(
      `this test needs a mount namespace, which is not permitted here (run it as root, or permit user ` +
        `namespaces): ${stderr}`,
    );
  return [...unshare, "sh", "-c", `set -e; ${mounts}; shift ${paths.length}; exec "$@"`, "sh", ...paths];
}

/** The words that run a command without the capabilities with which root ignores the mode of files. */
export function withoutPrivileges(): string[] {
  return isRoot ? ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search", "--"] : [];
}

/** The words that run a command where a user may watch no file. */
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

/** The words that run a command as a user that is not root and owns all files of the caller. */
export function asOrdinaryUser(): string[] {
  return ["unshare", "--user", "--map-user=12345", "--map-group=12345", "--"];
}

/**
 * The words that run a command as another user, for a caller that is root. That user can read the checkout and this
 * Node, also when they are in a folder that is closed to others, such as /root.
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

/** The outermost folder of a path that other users may not enter. */
function findClosed(path: string): string | undefined {
  if (path === "/") return undefined;
  return findClosed(dirname(path)) ?? ((statSync(path).mode & 0o001) === 0 ? path : undefined);
}

/** Shell commands that put an open folder with only the needed paths in the place of a closed one. */
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
