import { posix } from "node:path";
import { printableName, printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { FetchPlan, PullPlan } from "../../hub/download/pull-plan.ts";
import { parseShardName } from "../../hub/find/shard-names.ts";
import type { ModelEvent, NotFetched, OnModelEvent } from "../../models/model-event.ts";
import { jsonLine } from "../screen/json-text.ts";
import { paint } from "../screen/paint.ts";
import { ProgressBars } from "../screen/progress-bars.ts";

/** Shows models as they are fetched and verified. */
export interface PullReporter {
  readonly show: OnModelEvent;
  /** Takes away what is drawn in place. */
  clear(): void;
}

type EventOf<Kind extends ModelEvent["kind"]> = Extract<ModelEvent, { readonly kind: Kind }>;

/** For people: bars for the files that move, and lasting lines for what happened. */
export class TerminalReporter implements PullReporter {
  readonly #stream: NodeJS.WriteStream;
  readonly #onTotal: (text: string) => void;
  #bars: ProgressBars;

  /** @param onTotal Told what is under way, once a stage. */
  constructor(stream: NodeJS.WriteStream, onTotal: (text: string) => void = () => {}) {
    this.#stream = stream;
    this.#onTotal = onTotal;
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
        return this.#say(
          `${event.file}  ${formatSize(event.sizeBytes)}, ${event.verified ? "verified" : "not checked against a known digest"}`,
        );
    }
  };

  clear(): void {
    this.#bars.clear();
  }

  #beginFetch({ plans }: EventOf<"fetch-plan">): void {
    this.clear();
    this.#bars = new ProgressBars({ label: "total", stream: this.#stream });
    for (const { model, plan } of plans) {
      if (plan.kind === "complete") continue;
      this.#say(`${model}: ${describeFetch(plan)}`);
      for (const { name, haveBytes, sizeBytes } of plan.files) this.#bars.expect(shortName(name), haveBytes, sizeBytes);
    }
    this.#onTotal("fetching models");
  }

  #beginVerify({ files }: EventOf<"verify-plan">): void {
    this.clear();
    this.#bars = new ProgressBars({ label: "verifying", stream: this.#stream });
    for (const { path, sizeBytes } of files) this.#bars.expect(shortName(path), 0, sizeBytes);
    this.#onTotal("verifying models");
  }

  /** Writes a line that stays, above the bars. */
  #say(text: string, colour?: Parameters<typeof paint>[0]): void {
    this.clear();
    const line = printableSentence(text);
    this.#stream.write(`${colour === undefined ? line : paint(colour, line, this.#stream)}\n`);
  }
}

/** At most this often an event with a number of bytes goes out for one file: scripts draw too. */
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
        return this.#isSoon(event) ? undefined : this.#tellOf(event);
      case "verify-plan":
        return this.tell({ event: "verify-plan", files: event.files });
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

  #isSoon({ file, doneBytes, sizeBytes }: EventOf<"bytes" | "verify">): boolean {
    const nowMs = this.#now();
    const isLast = doneBytes === sizeBytes;
    if (!isLast && nowMs - (this.#toldMs.get(file) ?? Number.NEGATIVE_INFINITY) < jsonEveryMs) return true;
    this.#toldMs.set(file, nowMs);
    return false;
  }
}

/** `100.0 GB of 135.0 GB to fetch, 3 files, commit c0ffee00`; an address has no commit. */
export function describeFetch({ commit, files, missingBytes }: FetchPlan): string {
  const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  return `${formatSize(missingBytes)} of ${formatSize(totalBytes)} to fetch, ${countFiles(files.length)}${commit === undefined ? "" : `, commit ${commit.slice(0, 8)}`}`;
}

export function describeNotFetched({ model, profile, reason, sizeBytes }: NotFetched): string {
  return `${model}: not fetched (${formatSize(sizeBytes)}), "${profile}" will serve without drafting: ${reason}`;
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

/** The numbers of a shard are at the end of a long name, where a narrow window cuts it: `GLM-4.7-UD-Q2_K_XL 1/3`. */
function shortName(file: string): string {
  const name = posix.basename(file);
  const shard = parseShardName(name);
  return printableName(shard === undefined ? name : `${shard.prefix} ${shard.index}/${shard.count}`);
}
