import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** A file as the Hub lists and serves it. */
interface ServedFile {
  readonly content: Buffer;
  /** Kept in git itself, listed with git's blob id and served by the Hub's own origin. */
  readonly inGit?: boolean;
  /** False values for the listing. */
  readonly listedSize?: number;
}

/** A file outside of the Hub's repositories, as on a plain web server. */
interface PlainFile {
  readonly content: Buffer;
  readonly type?: string;
  /** Without ranges and an ETag. */
  readonly isSimple?: boolean;
  /** The content from the second request on. */
  readonly next?: PlainFile;
}

interface ServedRepo {
  readonly commit: string;
  /** By path in the repository. */
  readonly files: Readonly<Record<string, ServedFile>>;
  /** Only this token may read it. */
  readonly token?: string;
}

/**
 * A fault of one answer. Byte counts are of the answer's body; the connection drops once `when` is settled.
 */
type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: "drop"; readonly afterBytes: number; readonly when: Promise<unknown> }
  | { readonly kind: "stall" | "end-early"; readonly afterBytes: number }
  | { readonly kind: "flip-byte" | "ignore-range" | "wrong-range" }
  /** A range whatever If-Range says; a right answer under a wrong ETag; a coded answer, where the request allows it. */
  | { readonly kind: "ignore-if-range" | "other-etag" | "gzip" }
  /** An answer without a fault, before one with a fault. */
  | { readonly kind: "none" };

interface SeenRequest {
  /** The Hub itself, or the second origin that holds the large files. */
  readonly origin: "hub" | "cdn";
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface HubServer {
  /** Address of the Hub, as in HF_ENDPOINT. */
  readonly url: string;
  /** By `owner/name`. */
  readonly repos: Map<string, ServedRepo>;
  /** By path; served by the Hub's origin, but not part of the Hub. */
  readonly plain: Map<string, PlainFile>;
  /** Each request to an origin takes the first fault of its list; with an empty list it gets a correct answer. */
  readonly faults: { readonly hub: Fault[]; readonly cdn: Fault[] };
  readonly requests: SeenRequest[];
  /** The ranges of the requests for content so far, `whole` for those without one. */
  readonly fetched: () => string[];
  /** The requests for files so far that let a proxy change the bytes by a content coding. */
  readonly codable: () => string[];
  /** Makes all redirect targets so far answer with 403. */
  readonly expireAddresses: () => void;
  readonly close: () => Promise<void>;
}

/**
 * A Hugging Face Hub on loopback, as far as listing and downloading models goes: two origins, pages of two entries,
 * ranges.
 */
export async function startHubServer(): Promise<HubServer> {
  const state: State = {
    repos: new Map(),
    plain: new Map(),
    faults: { hub: [], cdn: [] },
    requests: [],
    cdnUrl: "",
    hubUrl: "",
    signature: 1,
  };
  const hub = createServer((request, response) => answer("hub", request, response, state));
  const cdn = createServer((request, response) => answer("cdn", request, response, state));
  state.hubUrl = await listen(hub);
  state.cdnUrl = await listen(cdn);
  return {
    url: state.hubUrl,
    repos: state.repos,
    plain: state.plain,
    faults: state.faults,
    requests: state.requests,
    fetched: () =>
      state.requests.filter(({ path }) => path.startsWith("/content/")).map(({ headers }) => headers.range ?? "whole"),
    codable: () =>
      state.requests
        .filter(({ path, headers }) => !path.startsWith("/api/") && headers["accept-encoding"] !== "identity")
        .map(({ path }) => path),
    expireAddresses: () => void (state.signature += 1),
    close: async () => {
      await Promise.all([hub, cdn].map(stop));
    },
  };
}

const digests = new WeakMap<Buffer, string>();

/** Caches digests: large content is served in many answers, and each needs its digest. */
export function sha256(content: Buffer): string {
  const known = digests.get(content) ?? createHash("sha256").update(content).digest("hex");
  digests.set(content, known);
  return known;
}

export function gitBlobId(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

interface State extends Pick<HubServer, "repos" | "plain" | "faults" | "requests"> {
  hubUrl: string;
  cdnUrl: string;
  /** The signature that addresses must have. */
  signature: number;
}

const pageSize = 2;

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

function answer(origin: "hub" | "cdn", request: IncomingMessage, response: ServerResponse, state: State): void {
  const url = new URL(request.url ?? "/", "http://local");
  const path = decodeURIComponent(url.pathname);
  state.requests.push({ origin, path, headers: request.headers });
  const fault = state.faults[origin].shift();
  if (fault?.kind === "status") {
    response.writeHead(fault.status, fault.headers).end("not now");
    return;
  }
  if (origin === "cdn") {
    if (url.searchParams.get("signature") !== String(state.signature)) return sendError(response, 403, "AccessDenied");
    return sendContent(findContent(path, state), request, response, fault);
  }
  const plain = state.plain.get(path);
  if (plain?.next !== undefined) state.plain.set(path, plain.next);
  if (plain !== undefined) return sendPlain(plain, request, response, fault);
  const [, hf, rest] = /^(?:\/api\/models)?\/([^/]+\/[^/]+)(\/.*)$/.exec(path) ?? [];
  const repo = state.repos.get(hf ?? "");
  if (repo === undefined) return sendError(response, 404, "RepoNotFound");
  if (repo.token !== undefined && request.headers.authorization !== `Bearer ${repo.token}`)
    return sendError(response, 401, "GatedRepo");
  const [, named] = /^\/revision\/([0-9a-f]{40})$/.exec(rest ?? "") ?? [];
  if (named !== undefined && named !== repo.commit) return sendError(response, 404, "RevisionNotFound");
  if (rest?.startsWith("/revision/"))
    return sendJson(response, { _id: "1", id: hf, sha: repo.commit, lastModified: "2026-01-01T00:00:00.000Z" });
  if (rest === `/tree/${repo.commit}`) return sendPage(url, repo, response, state);
  sendResolved(rest?.replace(`/resolve/${repo.commit}/`, "") ?? "", repo, request, response, { state, fault });
}

function sendError(response: ServerResponse, status: number, code: string): void {
  response
    .writeHead(status, { "content-type": "application/json", "x-error-code": code })
    .end(JSON.stringify({ error: code }));
}

function sendJson(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

function sendPage(url: URL, repo: ServedRepo, response: ServerResponse, state: State): void {
  const entries = [
    { type: "directory", oid: "0".repeat(40), size: 0, path: "folder" },
    ...Object.entries(repo.files).map(listEntry),
  ];
  const start = Number(url.searchParams.get("cursor") ?? 0);
  const end = start + pageSize;
  const next = `<${state.hubUrl}${url.pathname}?recursive=true&cursor=${end}>; rel="next"`;
  sendJson(response, entries.slice(start, end), end < entries.length ? { link: next } : {});
}

function listEntry([path, { content, inGit, listedSize }]: [string, ServedFile]): object {
  const size = listedSize ?? content.length;
  const plain = { type: "file", path, size, oid: gitBlobId(content) };
  return inGit ? plain : { ...plain, lfs: { oid: sha256(content), size, pointerSize: 135 } };
}

function sendResolved(
  name: string,
  repo: ServedRepo,
  request: IncomingMessage,
  response: ServerResponse,
  { state, fault }: { state: State; fault: Fault | undefined },
): void {
  const file = repo.files[name];
  if (file === undefined) return sendError(response, 404, "EntryNotFound");
  if (file.inGit) return sendContent(file.content, request, response, fault);
  const digest = sha256(file.content);
  const headers = {
    "x-repo-commit": repo.commit,
    "x-linked-etag": `"${digest}"`,
    "x-linked-size": String(file.content.length),
  };
  response
    .writeHead(302, { ...headers, location: `${state.cdnUrl}/content/${digest}?signature=${state.signature}` })
    .end();
}

function sendPlain(
  file: PlainFile,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
): void {
  response.setHeader("content-type", file.type ?? "application/octet-stream");
  if (file.isSimple !== true) return sendContent(file.content, request, response, fault);
  response.writeHead(200, { "content-length": file.content.length });
  sendBody(file.content, response, fault);
}

function findContent(path: string, { repos }: State): Buffer | undefined {
  const files = [...repos.values()].flatMap((repo) => Object.values(repo.files));
  return files.find(({ content }) => path === `/content/${sha256(content)}`)?.content;
}

function sendContent(
  content: Buffer | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault | undefined,
): void {
  if (content === undefined) return sendError(response, 404, "EntryNotFound");
  const etag = `"${sha256(content).slice(0, 16)}"`;
  const { range, "if-range": ifRange } = request.headers;
  const isOther = ifRange !== undefined && ifRange !== etag && fault?.kind !== "ignore-if-range";
  const isWhole = fault?.kind === "ignore-range" || isOther;
  const [, from, to] = (isWhole ? undefined : /^bytes=(\d+)-(\d*)$/.exec(range ?? "")) ?? [];
  const start = Number(from ?? 0);
  if (start >= content.length) return sendError(response, 416, "RangeNotSatisfiable");
  const plain = Buffer.from(content.subarray(start, to === undefined || to === "" ? undefined : Number(to) + 1));
  const isCoded = fault?.kind === "gzip" && request.headers["accept-encoding"] !== "identity";
  const body = isCoded ? gzipSync(plain) : plain;
  if (fault?.kind === "flip-byte") body.writeUInt8(body.readUInt8(body.length - 1) ^ 1, body.length - 1);
  const shown = fault?.kind === "wrong-range" ? start - 1 : start;
  const length = fault?.kind === "end-early" ? {} : { "content-length": body.length };
  const ranged =
    from === undefined ? {} : { "content-range": `bytes ${shown}-${start + plain.length - 1}/${content.length}` };
  const coding = isCoded ? { "content-encoding": "gzip" } : {};
  response.writeHead(from === undefined ? 200 : 206, {
    etag: fault?.kind === "other-etag" ? '"other"' : etag,
    "accept-ranges": "bytes",
    ...length,
    ...ranged,
    ...coding,
  });
  sendBody(body, response, fault);
}

function sendBody(body: Buffer, response: ServerResponse, fault: Fault | undefined): void {
  if (fault === undefined || !("afterBytes" in fault)) return void response.end(body);
  response.write(body.subarray(0, fault.afterBytes), () => {
    if (fault.kind === "drop") void fault.when.finally(() => response.destroy());
    if (fault.kind === "end-early") response.end();
  });
}
