import { LlmctlError } from "../../base/errors.ts";
import { GgufError } from "../../gguf/gguf-error.ts";
import { readModel, readModelFrom, type GgufModel } from "../../gguf/read-model.ts";
import type { HubModelRef, ModelRef, UrlModelRef } from "../../profiles/schema/schema.ts";
import { searchModel, type FindOptions } from "./find-model.ts";
import { openHttpSource, type NetworkTraffic } from "../http/http-source.ts";
import { connect, connectWithoutToken, fileUrl, offlineError, retryRule, type HubAccess } from "../http/hub-access.ts";
import type { HttpConnection } from "../http/hub-connection.ts";
import { listAt } from "./list-at.ts";
import { readModelLock } from "./model-lock.ts";
import { TransientError } from "../http/retry.ts";
import { describeRef, describeUrl } from "./describe-ref.ts";
import { selectFiles } from "./select-files.ts";
import { listShardNames } from "./shard-names.ts";
import { listUrlFiles } from "./url-files.ts";

/** A file (of a split set the first), a model on the Hub, or the address of a file on any server. */
export type ModelPlace = ModelRef | URL;

export interface HeaderOptions extends FindOptions, HubAccess {}

/** A model's headers, and the traffic that reading them took. */
export interface ModelHeaders {
  readonly model: GgufModel;
  /** For people: `local file`, or the server's name. */
  readonly source: string;
  /** Undefined for files on this machine. */
  readonly traffic: NetworkTraffic | undefined;
}

/**
 * Reads a model's headers from disk, or by ranges from a server. A model that is complete on disk is read there.
 * @throws GgufError for files that cannot be used; LlmctlError `hub-offline`, `hub-unreachable`, `interrupted`, or what
 *   {@link listAt}, {@link selectFiles} and {@link searchModel} throw.
 */
export async function readModelHeaders(place: ModelPlace, options: HeaderOptions): Promise<ModelHeaders> {
  if (typeof place === "string") return readLocal(place, "local file", options);
  if (place instanceof URL) return withKnownErrors(describeUrl(place), options, () => readUrl(place, options));
  const search = await searchModel(place, options);
  const [first] = "files" in search ? search.files.shards : [];
  if ("files" in search && first !== undefined) return readLocal(first.path, search.files.source, options);
  return withKnownErrors(describeRef(place), options, () =>
    "url" in place ? readFromUrl(place, options) : readFromHub(place, options),
  );
}

async function readLocal(path: string, source: string, { at }: HeaderOptions): Promise<ModelHeaders> {
  try {
    return { model: await readModel(path), source, traffic: undefined };
  } catch (error) {
    throw error instanceof GgufError && at !== undefined ? error.placed({ at }) : error;
  }
}

async function readFromHub(ref: HubModelRef, options: HeaderOptions): Promise<ModelHeaders> {
  const lock = options.lockFolder === undefined ? undefined : await readModelLock(options.lockFolder, ref);
  const { commit, files } = await listAt(lock?.commit, ref, options);
  const names = selectFiles(
    files.map(({ name }) => name),
    ref,
    options.at,
  );
  const remote = names.map((name) => ({
    url: fileUrl(options.hub, ref.hf, commit, name),
    name: `hf:${ref.hf}/${name}`,
  }));
  return readRemote(remote, { source: new URL(options.hub.endpoint).host, connection: connect(options) }, options);
}

async function readUrl(url: URL, options: HeaderOptions): Promise<ModelHeaders> {
  const remote = listShardNames(url.pathname).map((pathname) => {
    const shard = new URL(url);
    shard.pathname = pathname;
    return { url: shard.href, name: describeUrl(shard) };
  });
  return readRemote(remote, { source: url.host, connection: connect(options) }, options);
}

async function readFromUrl(ref: UrlModelRef, options: HeaderOptions): Promise<ModelHeaders> {
  const remote = listUrlFiles(ref, options).map(({ url }) => ({ url, name: describeUrl(url) }));
  return readRemote(remote, { source: new URL(ref.url).host, connection: connectWithoutToken(options) }, options);
}

async function readRemote(
  files: readonly { readonly url: string; readonly name: string }[],
  { source, connection }: { readonly source: string; readonly connection: HttpConnection },
  options: HeaderOptions,
): Promise<ModelHeaders> {
  const traffic: NetworkTraffic = { bytesRead: 0, requests: 0 };
  const shared = { connection, retries: retryRule(options), traffic };
  const model = await readModelFrom(files.length, (index) => {
    const file = files[index];
    if (file === undefined) throw new Error(`no file ${index} of ${files.length}`);
    return openHttpSource({ ...file, ...shared });
  });
  return { model, source, traffic };
}

async function withKnownErrors<T>(what: string, options: HeaderOptions, read: () => Promise<T>): Promise<T> {
  if (options.hub.offline) throw offlineError(what, options.at);
  try {
    return await read();
  } catch (error) {
    throw explain(error, what, options);
  }
}

function explain(error: unknown, what: string, { signal, at }: HeaderOptions): unknown {
  const place = at === undefined ? {} : { at };
  if (error instanceof GgufError) {
    const isBroken = error.code !== "file-unreadable";
    return error.placed(isBroken ? { ...place, fix: "use another file: the published one is broken" } : place);
  }
  if (error instanceof LlmctlError) return error;
  if (signal.aborted)
    return new LlmctlError("interrupted", `reading the header of ${what} was interrupted`, { exit: "interrupted" });
  if (!(error instanceof TransientError)) return error;
  return new LlmctlError("hub-unreachable", `the header of ${what} could not be read: ${error.message}`, {
    exit: "unavailable",
    ...place,
    fix: "check the network, then try again",
    cause: error,
  });
}
