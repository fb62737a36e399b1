import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { LlmctlError } from "../base/errors.ts";
import type { ExitCause, Launch } from "./launch.ts";
import { takeLock, takeSharedLock, type Lock } from "./lock.ts";
import { makeNote, readNote } from "./lock-note.ts";

/**
 * Holds the fixed address of the present launch: two profiles may name one port, and builds up to b8390 would both listen on it. Addresses of one
 * port may be taken by as many profiles; the wildcard is all of them.
 */
export class PortLock {
  readonly #folder: string;
  #address = "";
  #locks: readonly Lock[] = [];

  constructor(stateDir: string) {
    // No profile has a name with a leading dot.
    this.#folder = join(stateDir, ".ports");
  }

  /** @returns why the address cannot be had, or undefined. Never rejects for a lock that cannot be made. */
  async take({ name, host, port }: Pick<Launch, "name" | "host" | "port">): Promise<ExitCause | undefined> {
    const ip = port === 0 ? "" : await canonicalAddress(host);
    const address = port === 0 ? "" : `${ip} ${port}`;
    if (address === this.#address) return undefined;
    this.release();
    if (port === 0) return undefined;
    try {
      return this.#lock(name, { ip, port }, address);
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      const { code: kind, message, exit, fix } = error;
      return { kind, message, exit, ...(fix === undefined ? {} : { fix }), permanent: true };
    }
  }

  #lock(name: string, { ip, port }: { readonly ip: string; readonly port: number }, address: string): ExitCause | undefined {
    const portPath = join(this.#folder, `${port}.lock`);
    const addressPath = join(this.#folder, `${port}@${ip.replaceAll(/[^\w.]/g, "-")}.lock`);
    const isWildcard = wildcards.has(ip);
    const whole = isWildcard ? takeLock(portPath, makeNote(name)) : takeSharedLock(portPath);
    if (whole === undefined) return takenByProfile(port, readNote(portPath));
    const one = isWildcard ? whole : takeLock(addressPath, makeNote(name));
    if (one === undefined) {
      whole.release();
      return takenByProfile(port, readNote(addressPath));
    }
    this.#locks = isWildcard ? [whole] : [whole, one];
    this.#address = address;
    return undefined;
  }

  release(): void {
    for (const lock of this.#locks) lock.release();
    this.#locks = [];
    this.#address = "";
  }
}

const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** The same address has many spellings: names, `127.1`, `::ffff:127.0.0.1`, `0:0:0:0:0:0:0:1`. What cannot be resolved stands for itself. */
async function canonicalAddress(host: string): Promise<string> {
  const address = isIP(host) === 6 ? new URL(`http://[${host}]`).hostname.slice(1, -1) : await resolve(host);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (mapped === null) return address;
  const [high = 0, low = 0] = mapped.slice(1).map((part) => Number.parseInt(part, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

async function resolve(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch {
    return host; // whether one can listen there is asked after this
  }
}

function takenByProfile(port: number, note: ReturnType<typeof readNote>): ExitCause {
  const profile = note === undefined || note === "released" ? undefined : note.profile;
  return {
    kind: "port-in-use",
    message: `port ${port} is taken by ${profile === undefined ? "another profile" : `the profile "${profile}"`}`,
    fix:
      profile === undefined
        ? { run: ["ps"], after: "to see which one; stop it, or set another server.port" }
        : { before: "stop it with", run: ["down", profile], or: "set another server.port" },
    permanent: true,
    exit: "unavailable",
  };
}
