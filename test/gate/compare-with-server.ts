import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readModel } from "../../src/gguf/read-model.ts";
import type { DraftVerdict } from "../../src/llama/draft/draft-gate.ts";
import { decideDraft } from "../../src/llama/draft/draft-gate.ts";
import { FlagCatalogue } from "../../src/llama/ask/flag-catalogue.ts";
import { parseHelp } from "../../src/llama/ask/help-text.ts";
import type { VocabRule } from "../../src/llama/draft/build-vocab-rule.ts";
import { vocabRuleFromFlags } from "../../src/llama/draft/build-vocab-rule.ts";
import type { Observed } from "./observe-server.ts";
import { observeServer } from "./observe-server.ts";
import type { Pair, PairModel } from "./pairs.ts";

export interface Comparison {
  readonly gate: DraftVerdict;
  readonly server: Observed;
}

/**
 * Compares the gate's prediction with the behaviour of a build. Disposing of it removes the models that it has
 * written.
 */
export class GateComparison implements AsyncDisposable {
  readonly rule: VocabRule;
  readonly #server: string;
  readonly #folder: string;
  readonly #files = new Map<string, Promise<string>>();

  private constructor(server: string, rule: VocabRule, folder: string) {
    this.rule = rule;
    this.#server = server;
    this.#folder = folder;
  }

  static async create(server: string): Promise<GateComparison> {
    const { stdout } = await promisify(execFile)(server, ["--help"]);
    const flags = new FlagCatalogue("", parseHelp(stdout));
    const folder = await mkdtemp(join(tmpdir(), "llmctl-gate-"));
    return new GateComparison(
      server,
      vocabRuleFromFlags((flag) => flags.has(flag)),
      folder,
    );
  }

  async compare(pair: Pair): Promise<Comparison> {
    // For models that no other pair needs: all of them would be gigabytes.
    const own = await mkdtemp(join(this.#folder, "pair-"));
    try {
      const target = await this.#file(pair.target, own);
      const draft = pair.draft === undefined ? undefined : await this.#file(pair.draft, own);
      const models = {
        target: await readModel(target),
        draft: draft === undefined ? undefined : await readModel(draft),
      };
      const gate = decideDraft({ ...models, type: pair.type, rule: this.rule });
      return {
        gate,
        server: await observeServer({ server: this.#server, rule: this.rule, target, draft, type: pair.type }),
      };
    } finally {
      await rm(own, { recursive: true });
    }
  }

  async #file(model: PairModel, own: string): Promise<string> {
    if ("path" in model) return model.path;
    const { key, build } = model;
    if (key === undefined) return write(await mkdtemp(join(own, "model-")), build);
    const known = this.#files.get(key) ?? write(join(this.#folder, key), build);
    this.#files.set(key, known);
    return known;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }
}

async function write(folder: string, build: () => Buffer): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "model.gguf");
  await writeFile(path, build());
  return path;
}

/** Pairs that this release can be tested with: older builds have no drafting types. */
export function pairsFor(pairs: readonly Pair[], ref: string): Pair[] {
  return ref.startsWith("v")
    ? [...pairs]
    : pairs.filter((pair) => pair.type === "draft-simple" && pair.isNewOnly !== true);
}
