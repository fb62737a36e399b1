import { posix } from "node:path";
import { printableName, printableSentence } from "../../base/text/printable.ts";
import { formatDuration, formatSize } from "../../base/text/units.ts";
import type { PullEvent } from "../../hub/download/pull-model.ts";
import type { FetchPlan, PullPlan } from "../../hub/download/pull-plan.ts";
import { parseShardName } from "../../hub/find/shard-names.ts";
import type { VerifyEvent } from "../../hub/keep/verify-model.ts";
import { jsonLine } from "../screen/json-text.ts";
import { paint } from "../screen/paint.ts";
import { ProgressBars } from "../screen/progress-bars.ts";

/** What is told of one model; `model` is its reference for people. */
export type ModelEvent = PullEvent | VerifyEvent;

/** Shows models as they are fetched and verified. */
export interface PullReporter {
  /** All that will be fetched, before the first byte: the total is that of all models together. */
  begin(plans: readonly { readonly model: string; readonly plan: PullPlan }[]): void;
  report(model: string, event: ModelEvent): void;
  /** Files of another program that are read once. */
  beginVerify(files: readonly { readonly path: string; readonly sizeBytes: number }[]): void;
  /** Takes away what is drawn in place. */
  clear(): void;
}

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

  begin(plans: Parameters<PullReporter["begin"]>[0]): void {
    this.clear();
    this.#bars = new ProgressBars({ label: "total", stream: this.#stream });
    for (const { model, plan } of plans) {
      if (plan.kind === "complete") continue;
      this.say(`${model}: ${describeFetch(plan)}`);
      for (const { name, haveBytes, sizeBytes } of plan.files) this.#bars.expect(shortName(name), haveBytes, sizeBytes);
    }
    this.#onTotal("fetching models");
  }

  beginVerify(files: Parameters<PullReporter["beginVerify"]>[0]): void {
    this.clear();
    this.#bars = new ProgressBars({ label: "verifying", stream: this.#stream });
    for (const { path, sizeBytes } of files) this.#bars.expect(shortName(path), 0, sizeBytes);
    this.#onTotal("verifying models");
  }

  report(_model: string, event: ModelEvent): void {
    switch (event.kind) {
      case "plan":
        return;
      case "bytes":
        return this.#bars.update(shortName(event.file), event.doneBytes, event.sizeBytes);
      case "verify":
        this.#bars.update(shortName(event.file), event.doneBytes, event.sizeBytes);
        if (event.doneBytes === event.sizeBytes) this.#bars.finish(shortName(event.file));
        return;
      case "waiting":
        return this.say(`${event.file}: another process is fetching it, waiting for that`);
      case "retry":
        return this.say(`${event.reason}; trying again in ${formatDuration(event.delayMs)}`, "yellow");
      case "file-done":
        this.#bars.finish(shortName(event.file));
        return this.say(
          `${event.file}  ${formatSize(event.sizeBytes)}, ${event.verified ? "verified" : "not checked against a known digest"}`,
        );
    }
  }

  clear(): void {
    this.#bars.clear();
  }

  /** Writes a line that stays, above the bars. */
  say(text: string, colour?: Parameters<typeof paint>[0]): void {
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

  begin(plans: Parameters<PullReporter["begin"]>[0]): void {
    for (const { model, plan } of plans) this.tell({ event: "plan", model, ...planToJson(plan) });
  }

  beginVerify(files: Parameters<PullReporter["beginVerify"]>[0]): void {
    this.tell({ event: "verify-plan", files });
  }

  report(model: string, { kind, ...facts }: ModelEvent): void {
    if (kind === "plan") return;
    if ((kind === "bytes" || kind === "verify") && "file" in facts && this.#isSoon(facts)) return;
    this.tell({ event: kind, model, ...facts });
  }

  tell(event: Readonly<Record<string, unknown>>): void {
    this.#write(jsonLine(event));
  }

  clear(): void {}

  #isSoon({
    file,
    ...bytes
  }: {
    readonly file: string;
    readonly doneBytes?: number;
    readonly sizeBytes?: number;
  }): boolean {
    const nowMs = this.#now();
    const isLast = bytes.doneBytes === bytes.sizeBytes;
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
