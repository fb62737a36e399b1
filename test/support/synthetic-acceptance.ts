import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../src/base/files/atomic-write.ts";
import { buildGguf, readParts } from "./gguf-builder.ts";
import { buildsPrefix } from "./llama-builds.ts";
import { demoDraft } from "./temp-home.ts";

/** Far beyond every `n_max` of a test. */
const mostPositions = 64;

/** Rates of a draft each of whose tokens is accepted with this probability if the ones before it were. */
export function geometricRates(each: number): number[] {
  return Array.from({ length: mostPositions }, (_, index) => each ** (index + 1));
}

/**
 * Writes a program that is llama-server with fixed acceptance: `--spec-synth-rates` (v0.5.0), which wants as many rates
 * as `n_max` and is therefore cut to each command. What such a server generates is nonsense, but what it costs, and
 * how many tokens a step has, is exact. The decisions are drawn from the request's `seed`.
 * @param server A real llama-server. @param rates Entry `i` is the share of drafts whose first `i + 1` tokens are
 *   accepted: falling, at most 1, at least as many as the largest `n_max`.
 * @returns the path, for `llama.binary`.
 */
export async function writeSyntheticServer(folder: string, server: string, rates: readonly number[]): Promise<string> {
  const path = join(folder, "llama-server");
  await mkdir(folder, { recursive: true });
  await writeFile(
    path,
    `#!/bin/sh
count= previous=
for word; do
  # llmctl leaves out a value that is the build's default, which is 3.
  if [ "$word" = --spec-draft-model ]; then count=\${count:-3}; fi
  if [ "$previous" = --spec-draft-n-max ]; then count=$word; fi
  previous=$word
done
if [ -n "$count" ]; then
  set -- "$@" --spec-synth-rates "$(echo ${rates.join(",")} | cut -d, -f "1-$count")"
fi
exec '${server}' "$@"
`,
  );
  await chmod(path, 0o755);
  return path;
}

/** Raised when {@link ensureEndlessDraft} makes another file of the same model. */
const recipe = 1;
/** Of the demo models: `<|endoftext|>` and `<|im_end|>`. */
const endTokens = [0, 2];

/**
 * The demo draft with an output that gives end tokens the weight zero, so that it never proposes one: a server with
 * synthetic acceptance never accepts an end token, and the rates would not be the true ones.
 * @returns its path, outside the checkout.
 */
export async function ensureEndlessDraft(): Promise<string> {
  const original = await readFile(demoDraft);
  const digest = createHash("sha256").update(`${recipe} `).update(original).digest("hex").slice(0, 12);
  const path = join(buildsPrefix(), "models", `demo-draft-endless-${digest}.gguf`);
  if (existsSync(path)) return path;
  const { tensors, ...parts } = await readParts(original);
  // The demo models use their embedding as output, too; a tensor of its own takes its place.
  const embedding = tensors.find(({ name }) => name === "token_embd.weight");
  if (embedding?.data === undefined) throw new Error("the demo draft has no embedding");
  const data = Buffer.from(embedding.data);
  const rowBytes = data.length / (embedding.ne[1] ?? 1);
  for (const token of endTokens) data.fill(0, token * rowBytes, (token + 1) * rowBytes);
  await writeFileAtomic(
    path,
    buildGguf({ ...parts, tensors: [...tensors, { ...embedding, name: "output.weight", data }] }),
  );
  return path;
}
