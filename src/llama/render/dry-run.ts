import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { explainFailedRun } from "../ask/failed-run.ts";
import { parseRefusal, type Refusal } from "../ask/refusal-text.ts";
import type { Rendering } from "./render-command.ts";
import type { RenderedFlag } from "./flag-rule.ts";
import { withoutRpc } from "./rpc-flags.ts";
import { runBriefly } from "../ask/run-briefly.ts";

/** A binary answers in about 10 ms. One with CUDA first wakes the driver, which takes seconds on some machines. */
export const dryRunTimeoutMs = 60_000;

interface DryRunOptions {
  /** The whole environment of the binary. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** The profile and the rendering behind the arguments, so that an error can name the key and its place. */
  readonly origin?: CommandLineOrigin;
}

interface CommandLineOrigin {
  readonly profile: Profile;
  readonly rendering: Rendering;
}

/** A flag of a rendering that the binary refused. */
export interface RefusedFlag {
  /** Undefined when the binary named none of our flags. */
  readonly flag?: RenderedFlag;
  readonly error: LlmctlError;
}

/**
 * Lets the binary itself parse its command line. `--version` comes last: its handler ends the program when every flag
 * and value before it was accepted (`common_params_parse` in llama.cpp). Opens no model; looks at devices; takes about
 * 10 ms.
 * @throws LlmctlError `flag-refused` with llama.cpp's own message, or that of `explainFailedRun` when the binary cannot
 *   run.
 */
export async function dryRun(file: string, args: readonly string[], options: DryRunOptions): Promise<void> {
  const refused = await findRefused(file, args, options);
  if (refused !== undefined) throw refused.error;
}

/**
 * Every flag that the binary refuses. The binary stops at the first one, so each is removed and the rest tried again.
 * @throws LlmctlError of `explainFailedRun` when the binary cannot run.
 */
export async function findRefusedFlags(
  file: string,
  origin: CommandLineOrigin,
  options: Omit<DryRunOptions, "origin">,
): Promise<RefusedFlag[]> {
  const all: RefusedFlag[] = [];
  for (;;) {
    const left = withoutRpc(origin.rendering.flags).filter((flag) => !all.some((refused) => refused.flag === flag));
    const refused = await findRefused(
      file,
      left.flatMap(({ args }) => args),
      { ...options, origin },
    );
    if (refused === undefined) return all;
    all.push(refused);
    if (refused.flag === undefined) return all;
  }
}

async function findRefused(
  file: string,
  args: readonly string[],
  options: DryRunOptions,
): Promise<RefusedFlag | undefined> {
  const result = await runBriefly(file, [...args, "--version"], options);
  if (!result.failed) return undefined;
  const refusal = result.exitCode === 1 ? parseRefusal(result.stderr) : undefined;
  if (refusal === undefined) throw await explainFailedRun(file, "check its command line", options.env, result);
  const flag = options.origin?.rendering.flags.find(
    ({ args: words }) => refusal.flag !== undefined && words.includes(refusal.flag),
  );
  return { ...(flag === undefined ? {} : { flag }), error: explain(file, refusal, flag, options.origin) };
}

function explain(
  file: string,
  refusal: Refusal,
  flag: RenderedFlag | undefined,
  origin: CommandLineOrigin | undefined,
): LlmctlError {
  const device = /invalid device: (\S+)/.exec(refusal.message)?.[1];
  return new LlmctlError(
    "flag-refused",
    `llama.cpp refuses ${flag === undefined ? "its command line" : `"${flag.key}"`}: ${refusal.message}`,
    {
      exit: device === undefined ? "config" : "unavailable",
      at: flag === undefined || origin === undefined ? file : origin.profile.at(...flag.path),
      fix:
        device === undefined
          ? (refusal.fix ?? "correct the value, or remove the key")
          : `run "${file} --list-devices" to see the devices of this machine`,
    },
  );
}
