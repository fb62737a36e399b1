import { LlmctlError } from "../../base/errors.ts";
import type { DraftCounters } from "../../llama/server/draft-counters.ts";
import { prove } from "../../llama/server/server-http.ts";
import { findDraftingType, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { OnBenchEvent } from "../bench-event.ts";
import type { BenchPrompt } from "../bench-prompt.ts";
import type { MeasuredAnswer } from "../../llama/server/measured-answer.ts";
import { readDrafted, shareByPosition } from "./accepted-drafts.ts";
import { BenchServer } from "./bench-server.ts";
import { measurePrompts, type MeasureOptions } from "./measure-prompts.ts";
import type { BenchSetting } from "./plan-setting.ts";
import { type ContestServer, ServerContest } from "./server-contest.ts";

export interface BenchContestOptions extends Pick<MeasureOptions, "timing" | "maxTokens"> {
  readonly settings: readonly BenchSetting[];
  /** Number of servers that may run at the same time. */
  readonly capacity: number;
  /** Where the servers get folders for their logs. */
  readonly folder: string;
  readonly onEvent: OnBenchEvent;
  readonly onAnswer?: ((label: string, prompt: BenchPrompt, answer: MeasuredAnswer) => void) | undefined;
}

/** A server of a contest, with what else can be asked of it. */
export interface RunningSetting extends ContestServer {
  readonly setting: BenchSetting;
  readonly server: BenchServer;
  /** By position in the draft, since the drafting was proved; see {@link shareByPosition}. */
  readonly readAccepted: (signal: AbortSignal) => Promise<readonly number[] | null>;
}

/** The real servers of a comparison. Those that are to draft prove it before they are asked anything. */
export class BenchContest extends ServerContest<RunningSetting> {
  /** How long the last load of each took, in milliseconds, by label. */
  readonly loadMs: ReadonlyMap<string, number>;

  readonly #settings: Map<string, BenchSetting>;

  constructor({ settings, capacity, onEvent, ...options }: BenchContestOptions) {
    const byLabel = new Map(settings.map((setting) => [setting.label, setting]));
    const loadMs = new Map<string, number>();
    super({
      capacity,
      onDeath: (label) => onEvent({ kind: "died", label }),
      start: async (label, signal) => {
        const setting = byLabel.get(label);
        if (setting === undefined) throw new Error(`no setting is called ${label}`);
        const running = await startSetting(setting, { ...options, onEvent, signal });
        loadMs.set(label, running.server.loadMs);
        onEvent({ kind: "ready", label, loadMs: running.server.loadMs });
        return running;
      },
    });
    this.loadMs = loadMs;
    this.#settings = byLabel;
  }

  /** Adds settings that were not known at first. */
  enter(settings: readonly BenchSetting[]): void {
    for (const setting of settings) this.#settings.set(setting.label, setting);
  }
}

interface SettingStart extends Omit<BenchContestOptions, "settings" | "capacity"> {
  readonly signal: AbortSignal;
}

async function startSetting(
  setting: BenchSetting,
  { folder, onEvent, onAnswer, signal, ...measuring }: SettingStart,
): Promise<RunningSetting> {
  const { label, launch } = setting;
  const server = await BenchServer.start(launch, {
    folder,
    signal,
    onLoad: (load) => onEvent({ kind: "load", label, ...load }),
  });
  let proved: DraftCounters | undefined;
  try {
    await expectDrafting(setting, server, signal);
    if (launch.proof.wanted) proved = await readDrafted(setting, server, signal);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    setting,
    server,
    readAccepted: async (abort) => shareByPosition(await readDrafted(setting, server, abort), proved),
    ask: (prompts, abort) =>
      measurePrompts(server, prompts, {
        ...measuring,
        signal: abort,
        onAnswer: onAnswer && ((prompt, answer) => onAnswer(label, prompt, answer)),
      }),
    hasDied: () => server.hasDied(),
    readWaitMs: () => server.readWaitMs(),
    readCpuMs: () => server.readCpuMs(),
    stop: () => server.stop(),
  };
}

/**
 * A server that was to draft and does not would be measured against itself. An n-gram type drafts nothing while a text
 * does not repeat, which is a result and no fault.
 */
async function expectDrafting(
  { profile, launch }: BenchSetting,
  server: BenchServer,
  signal: AbortSignal,
): Promise<void> {
  const types = splitDraftingTypes(profile.values.draft?.type ?? "");
  if (!launch.proof.wanted || types.every((type) => findDraftingType(type)?.source === "ngram")) return;
  const { verdict } = await prove(launch, server.endpoint, signal);
  if (verdict.state === "on") return;
  throw notDrafting(profile.name, verdict.reason, profile.path);
}

/** The error of a comparison whose second server would not draft. */
export function notDrafting(name: string, reason: string, at: string): LlmctlError {
  return new LlmctlError("bench-not-drafting", `"${name}" does not draft, so there is nothing to compare: ${reason}`, {
    exit: "config",
    at,
    fix: { before: "see", run: ["check", name] },
  });
}
