import { createHash } from "node:crypto";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { shortageCodes } from "../file-check.ts";
import type { ExitCause, Launch } from "../launch.ts";
import { type Flock, runFlock, takeLock, takeSharedLock, type Lock } from "../state/file-lock.ts";
import { makeLockRecord, readLockRecord } from "../state/lock-record.ts";
import { canonicalIp, isWildcard } from "./ip-address.ts";

/**
 * Reserves the fixed address of the current launch among profiles: two profiles may name one port, and builds up to
 * b8390 would both listen on it. Different addresses of one port may belong to different profiles; the wildcard address
 * excludes all others.
 */
export class PortLock {
  readonly #folder: string;
  readonly #flock: Flock;
  #address = "";
  #locks: Lock[] = [];

  constructor(stateDir: string, flock: Flock = runFlock) {
    this.#flock = flock;
    // No profile name begins with a dot.
    this.#folder = join(stateDir, ".ports");
  }

  /** @returns the cause if the address cannot be reserved. Never rejects for a lock that cannot be made. */
  async take(launch: Pick<Launch, "name" | "host" | "port" | "socketPath">): Promise<ExitCause | undefined> {
    const { host, port, socketPath } = launch;
    const ip = port === 0 ? "" : await canonicalAddress(host);
    const address = socketPath ?? (port === 0 ? "" : `${ip} ${port}`);
    if (address === this.#address) return undefined;
    this.release();
    if (address === "") return undefined;
    try {
      const taken = socketPath === undefined ? this.#lockPort(launch, ip) : this.#lockSocket(launch.name, socketPath);
      if (taken === undefined) this.#address = address;
      return taken;
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      const { code: kind, message, exit, fix } = error;
      const isShort = shortageCodes.has(systemErrorCode(error.cause) ?? "");
      return {
        kind,
        message,
        exit,
        ...(fix === undefined ? {} : { fix }),
        ...(isShort ? { mayCome: true, permanent: false } : { permanent: true }),
      };
    }
  }

  #lockPort({ name, port }: Pick<Launch, "name" | "port">, ip: string): ExitCause | undefined {
    const portPath = join(this.#folder, `${port}.lock`);
    if (isWildcard(ip)) return this.#lockAlone(name, portPath, `port ${port}`);
    const shared = takeSharedLock(portPath, this.#flock);
    if (shared === undefined) return takenByProfile(`port ${port}`, portPath);
    const taken = this.#lockAlone(
      name,
      join(this.#folder, `${port}@${ip.replaceAll(/[^\w.]/g, "-")}.lock`),
      `port ${port}`,
    );
    if (taken === undefined) this.#locks.push(shared);
    else shared.release();
    return taken;
  }

  #lockSocket(name: string, socketPath: string): ExitCause | undefined {
    const digest = createHash("sha256").update(socketPath).digest("hex").slice(0, 32);
    return this.#lockAlone(name, join(this.#folder, `socket-${digest}.lock`), `the socket ${socketPath}`);
  }

  #lockAlone(name: string, path: string, what: string): ExitCause | undefined {
    const lock = takeLock(path, makeLockRecord(name), this.#flock);
    if (lock === undefined) return takenByProfile(what, path);
    this.#locks.push(lock);
    return undefined;
  }

  release(): void {
    for (const lock of this.#locks) lock.release();
    this.#locks = [];
    this.#address = "";
  }
}

/**
 * One spelling of an address that has many: names, `127.1`, `::ffff:127.0.0.1`, `0:0:0:0:0:0:0:1`. A name that cannot
 * be resolved is returned as it is.
 */
async function canonicalAddress(host: string): Promise<string> {
  // An address with a zone (`fe80::1%eth0`) differs per interface.
  const zone = isIP(host) === 6 ? /%.*/.exec(host)?.[0] : undefined;
  return canonicalIp(isIP(host) === 0 ? await resolve(host) : host) + (zone ?? "");
}

async function resolve(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch {
    return host; // the port check that follows reports it
  }
}

function takenByProfile(what: string, lockPath: string): ExitCause {
  const lockRecord = readLockRecord(lockPath);
  const profile = lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.profile;
  return {
    kind: "port-in-use",
    message: `${what} is taken by ${profile === undefined ? "another profile" : `the profile "${profile}"`}`,
    fix:
      profile === undefined
        ? { run: ["ps"], after: "to see which one; stop it, or set another server.port" }
        : { before: "stop it with", run: ["down", profile], or: "set another server.port" },
    permanent: true,
    mayCome: true,
    exit: "unavailable",
  };
}
