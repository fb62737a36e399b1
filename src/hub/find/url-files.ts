import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { UrlModelRef } from "../../profiles/schema/schema.ts";
import { describeUrl } from "./describe-ref.ts";
import { listShardNames, parseShardName } from "./shard-names.ts";

/** One file of a model at an address. */
export interface UrlFile {
  readonly url: string;
  /** The name in the address. */
  readonly name: string;
  /** The final path on disk. */
  readonly path: string;
  /** The sha256 in the profile. */
  readonly digest: string | undefined;
}

interface ListOptions {
  /** Folder of the models from addresses, as `findOptions` gives it. */
  readonly urlFolder?: string | undefined;
  readonly at?: string | undefined;
}

/**
 * The files of a model at an address, first shard first. The shards of a set are in one folder, there and on disk.
 * @throws LlmctlError `not-first-shard`, or `bad-sha256` when there is not one digest for each file.
 */
export function listUrlFiles(ref: UrlModelRef, { urlFolder, at }: ListOptions): UrlFile[] {
  if (urlFolder === undefined) throw new Error("a model at an address needs a folder");
  const address = new URL(ref.url);
  const pathnames = listShardNames(address.pathname);
  checkFirst(address, pathnames[0] ?? "", at);
  const digests = listDigests(ref);
  checkDigests(ref, { digests, files: pathnames.length, at });
  const prefix = createHash("sha256").update(ref.url).digest("hex").slice(0, 12);
  return pathnames.map((pathname, i) => {
    const url = new URL(address);
    url.pathname = pathname;
    const name = nameOf(pathname);
    return { url: url.href, name, path: join(urlFolder, `${prefix}-${name}`), digest: digests?.[i] };
  });
}

/** The lock file of a file: only its holder may fetch or delete the file. */
export function urlLockPath(urlFolder: string, path: string): string {
  return join(urlFolder, ".locks", `${basename(path)}.lock`);
}

function checkFirst(address: URL, first: string, at: string | undefined): void {
  const shard = parseShardName(address.pathname);
  if (shard === undefined || shard.index === 1) return;
  throw new LlmctlError(
    "not-first-shard",
    `"${describeUrl(address)}" is shard ${shard.index} of ${shard.count}, not the first`,
    {
      exit: "config",
      ...(at === undefined ? {} : { at }),
      fix: `name "${address.origin}${first}"`,
    },
  );
}

/** The digests in the profile, one for each file; undefined when there are none. */
export function listDigests({ sha256 }: UrlModelRef): readonly string[] | undefined {
  if (sha256 === undefined) return undefined;
  return (typeof sha256 === "string" ? [sha256] : sha256).map((digest) => digest.toLowerCase());
}

interface Digests {
  readonly digests: readonly string[] | undefined;
  readonly files: number;
  readonly at: string | undefined;
}

function checkDigests({ url }: UrlModelRef, { digests, files, at }: Digests): void {
  if (digests === undefined || digests.length === files) return;
  const given = digests.length === 1 ? "one sha256" : `${digests.length} sha256`;
  throw new LlmctlError(
    "bad-sha256",
    `"${describeUrl(url)}" is a model of ${files === 1 ? "1 file" : `${files} files`}, but the profile has ${given}`,
    {
      exit: "config",
      ...(at === undefined ? {} : { at }),
      fix: files === 1 ? "give one" : `give a list of ${files}, in the order of the shards, or none`,
    },
  );
}

/** The end of a name has the shard numbers, so a long name loses its beginning. */
function nameOf(pathname: string): string {
  const name = decodeOrKeep(pathname.slice(pathname.lastIndexOf("/") + 1)).replaceAll(/[^\w.-]/g, "_");
  return (/\.gguf$/i.test(name) ? name : `${name}.gguf`).slice(-150);
}

function decodeOrKeep(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone "%" is kept
  }
}
