import { posix } from "node:path";
import { printableName, printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { FetchPlan, PullPlan } from "../../hub/download/pull-plan.ts";
import { parseShardName } from "../../hub/find/shard-names.ts";
import type { ModelEvent, NotFetched, OnModelEvent } from "../../models/model-event.ts";
import { jsonLine } from "./json-text.ts";
import { paint } from "./paint.ts";
import { ProgressBars } from "./progress-bars.ts";

/** Shows what happens to models while they are fetched and verified. */
export interface PullReporter {
  readonly show: OnModelEvent;
  /** Erases the progress bars. */
  clear(): void;
}

type EventOf<Kind extends ModelEvent["kind"]> = Extract<ModelEvent, { readonly kind: Kind }>;

/** For people: a bar for each file in progress, and a line for each thing that has happened. */
export class TerminalReporter implements PullReporter {
  readonly #stream: NodeJS.WriteStream;
  readonly #onStage: (text: string) => void;
  #bars: ProgressBars;

  /** @param onStage Receives what is being done, when fetching and when verifying begins. */
  constructor(stream: NodeJS.WriteStream, onStage: (text: string) => void = () => {}) {
    this.#stream = stream;
    this.#onStage = onStage;
    this.#bars = new ProgressBars({ label: "total", stream });
  }

  readonly show = (event: ModelEvent): void => {
    switch (event.kind) {
      case "fetch-plan":
        return this.#beginFetch(event);
      case "verify-plan":
        return this.#beginVerify(event);
      case "not-fetched":
        return this.#say(describeNotFetched(event));
      case "verify-result":
        return this.clear(); // the command prints it
      case "bytes":
        return this.#bars.update(shortName(event.file), event.doneBytes, event.sizeBytes);
      case "verify":
        this.#bars.update(shortName(event.file), event.doneBytes, event.sizeBytes);
        if (event.doneBytes === event.sizeBytes) this.#bars.finish(shortName(event.file));
        return;
      case "waiting":
        return this.#say(`${event.file}: another process is fetching it, waiting for that`);
      case "retry":
        return this.#say(`${event.reason}; trying again in ${formatDuration(event.delayMs)}`, "yellow");
      case "file-done":
        this.#bars.finish(shortName(event.file));
        return this.#say(describeDone(event));
    }
  };

  clear(): void {
    this.#bars.clear();
  }

  #beginFetch({ plans }: EventOf<"fetch-plan">): void {
    this.#newBars("total");
    for (const { model, plan } of plans) {
      if (plan.kind === "complete") continue;
      this.#say(`${model}: ${describeFetch(plan)}`);
      for (const { name, haveBytes, sizeBytes } of plan.files) this.#bars.expect(shortName(name), haveBytes, sizeBytes);
    }
    this.#onStage("fetching models");
  }

  #beginVerify({ files }: EventOf<"verify-plan">): void {
    this.#newBars("verifying");
    for (const { path, sizeBytes } of files) this.#bars.expect(shortName(path), 0, sizeBytes);
    this.#onStage("verifying models");
  }

  #newBars(label: string): void {
    this.clear();
    this.#bars = new ProgressBars({ label, stream: this.#stream });
  }

  /** Writes a line; the bars are drawn again below it. */
  #say(text: string, colour?: Parameters<typeof paint>[0]): void {
    this.clear();
    const line = printableSentence(text);
    this.#stream.write(`${colour === undefined ? line : paint(colour, line, this.#stream)}\n`);
  }
}

/** The shortest time between two progress events of one file: a script that draws them needs no more. */
const jsonEveryMs = 500;

/** For scripts: one JSON object a line. */
export class JsonReporter implements PullReporter {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  readonly #toldMs = new Map<string, number>();

  constructor(write: (line: string) => void, now: () => number = () => performance.now()) {
    this.#write = write;
    this.#now = now;
  }

  readonly show = (event: ModelEvent): void => {
    switch (event.kind) {
      case "fetch-plan":
        for (const { model, plan } of event.plans) this.tell({ event: "plan", model, ...planToJson(plan) });
        return;
      case "bytes":
      case "verify":
        return this.#isTooSoon(event) ? undefined : this.#tellOf(event);
      case "verify-plan":
        return this.tell({ event: "verify-plan", files: event.files });
      case "verify-result":
      case "not-fetched":
      case "waiting":
      case "retry":
      case "file-done":
        return this.#tellOf(event);
    }
  };

  tell(event: Readonly<Record<string, unknown>>): void {
    this.#write(jsonLine(event));
  }

  clear(): void {}

  #tellOf({ kind, model, ...facts }: Extract<ModelEvent, { readonly model: string }>): void {
    this.tell({ event: kind, model, ...facts });
  }

  #isTooSoon({ file, doneBytes, sizeBytes }: EventOf<"bytes" | "verify">): boolean {
    const nowMs = this.#now();
    const sinceMs = nowMs - (this.#toldMs.get(file) ?? Number.NEGATIVE_INFINITY);
    if (doneBytes !== sizeBytes && sinceMs < jsonEveryMs) return true;
    this.#toldMs.set(file, nowMs);
    return false;
  }
}

/** `100.0 GB of 135.0 GB to fetch, 3 files, commit c0ffee00`; an address has no commit. */
export function describeFetch({ commit, files, missingBytes }: FetchPlan): string {
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const sizes = `${formatSize(missingBytes)} of ${formatSize(totalBytes)}`;
  const at = commit === undefined ? "" : `, commit ${commit.slice(0, 8)}`;
  return `${sizes} to fetch, ${countFiles(files.length)}${at}`;
}

function describeDone({ file, sizeBytes, verified }: EventOf<"file-done">): string {
  return `${file}  ${formatSize(sizeBytes)}, ${verified ? "verified" : "not checked against a known digest"}`;
}

export function describeNotFetched({ model, profile, reason, sizeBytes }: NotFetched): string {
  const effect = `"${profile}" will serve without drafting`;
  return `${model}: not fetched (${formatSize(sizeBytes)}), ${effect}: ${reason}`;
}

export function countFiles(count: number): string {
  return count === 1 ? "1 file" : `${count} files`;
}

function planToJson(plan: PullPlan): Record<string, unknown> {
  if (plan.kind === "complete") return { missingBytes: 0, files: plan.files.shards, source: plan.files.source };
  const { commit = null, missingBytes, files } = plan;
  return {
    missingBytes,
    commit,
    files: files.map(({ name, sizeBytes, digest = null, haveBytes }) => ({ name, sizeBytes, digest, haveBytes })),
  };
}

/** `GLM-4.7-UD-Q2_K_XL 1/3`: a narrow window cuts the end of a long name, where the number of a shard is. */
function shortName(file: string): string {
  const name = posix.basename(file);
  const shard = parseShardName(name);
  return printableName(shard === undefined ? name : `${shard.prefix} ${shard.index}/${shard.count}`);
}
