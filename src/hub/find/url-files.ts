import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { UrlModelRef } from "../../profiles/schema/schema.ts";
import { describeUrl } from "./describe-ref.ts";
import { listShardNames, parseShardName } from "./shard-names.ts";

/** One file of a model at an address. */
export interface UrlFile {
  readonly url: string;
  /** As the address has it. */
  readonly name: string;
  /** Where it is once it was fetched. */
  readonly path: string;
  /** As the profile has it. */
  readonly digest: string | undefined;
}

interface ListOptions {
  /** Where models of addresses are kept, as `findOptions` gives it. */
  readonly urlFolder?: string | undefined;
  readonly at?: string | undefined;
}

/**
 * The files of a model at an address, first shard first: those of a split set are beside each other there, and here.
 * @throws LlmctlError `not-first-shard`, or `bad-sha256` where there is not one digest for each file.
 */
export function listUrlFiles(ref: UrlModelRef, { urlFolder, at }: ListOptions): UrlFile[] {
  if (urlFolder === undefined) throw new Error("a model at an address, and no folder to keep it in");
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

/** Whose lock says who may fetch or delete a file. */
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

/** The digests that a profile has of a model's files; undefined for none. */
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
    `"${describeUrl(url)}" is a model of ${files === 1 ? "1 file" : `${files} files`}, and has ${given}`,
    {
      exit: "config",
      ...(at === undefined ? {} : { at }),
      fix: files === 1 ? "give one" : `give a list of ${files}, in the order of the shards, or none`,
    },
  );
}

/** The end of a name tells a shard, so a long name loses its beginning. */
function nameOf(pathname: string): string {
  const name = decodeOrKeep(pathname.slice(pathname.lastIndexOf("/") + 1)).replaceAll(/[^\w.-]/g, "_");
  return (/\.gguf$/i.test(name) ? name : `${name}.gguf`).slice(-150);
}

function decodeOrKeep(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone "%" stands for itself
  }
}
