import type { DraftingSpeedup } from "../../control/messages.ts";
import type { RunJudgement, Launch, Proof, RunJudge, StepCosts } from "../../supervisor/launch.ts";
import { type DraftedSteps, findBestDraftLength } from "../draft/best-draft-length.ts";
import { findStepMs, proofContextTokens } from "../draft/step-time.ts";
import {
  describeLoss,
  lossWarning,
  noneAcceptedReason,
  noneAcceptedWarning,
  stoppedWarning,
} from "./draft-guard-texts.ts";
import { type LoggedRequest, RequestLines } from "./request-lines.ts";
import { type ComparedRequest, SpeedupWindow, tellingDraftTokens, type WindowEstimate } from "./speedup-window.ts";
import { parseTraffic } from "./traffic-lines.ts";

/** Generated tokens without a single drafted one that show that drafting has stopped. */
const tellingTokens = 1000;

interface Loss {
  readonly reason: string;
  readonly warning: string;
}

/** The part of a launch that a guard knows. */
interface GuardedLaunch {
  readonly name: string;
  readonly costs?: StepCosts | undefined;
  readonly fallback?: Launch["fallback"] | undefined;
}

/** A judge of a new run, where its launch drafts and its traffic is watched. */
export function judgeDrafting(launch: Launch): RunJudge | undefined {
  return launch.proof.wanted && launch.watchTraffic ? new DraftGuard(launch) : undefined;
}

/**
 * Judges whether drafting pays on a running server. Each request of a client is compared with what it would have cost
 * without a draft at its length of the context. Windows of 200 drafted tokens follow one another, and two in a row that
 * say the same with 95 % make a verdict: where drafting neither pays nor loses, that happens once in 800 windows. To
 * turn a verdict takes three, so it does not flap.
 */
export class DraftGuard implements RunJudge {
  readonly #launch: GuardedLaunch;
  readonly #lines = new RequestLines();
  /** The newest requests, for the estimate that is shown. */
  readonly #newest = new SpeedupWindow();
  /** Requests since the last window was judged. */
  readonly #window = new SpeedupWindow();
  #stepMs: StepCosts["stepMs"];
  #verdict: DraftingSpeedup["verdict"] = "unknown";
  /** What the last windows said, and how many in a row. */
  #suspicion: { readonly says: DraftingSpeedup["verdict"]; readonly windows: number } = { says: "unknown", windows: 0 };
  #loss: Loss | undefined;
  /** Whether the proof request drafted. */
  #isProved = false;
  #tokensSinceDraft = 0;
  /** Drafted since the last token was accepted. */
  #rejectedTokens = 0;
  /** Why drafting is surely in vain; kept until a token is accepted. */
  #noneAccepted: string | undefined;
  #stopped: string | undefined;

  constructor(launch: GuardedLaunch) {
    this.#launch = launch;
    this.#stepMs = launch.costs?.stepMs ?? [];
  }

  noteProof({ verdict, baselineTokensPerSecond: baseline }: Proof): void {
    this.#isProved = verdict.state === "on";
    if (this.#launch.costs === undefined && baseline !== undefined)
      this.#stepMs = [{ contextTokens: proofContextTokens, ms: 1000 / baseline }];
  }

  get running(): number {
    return this.#lines.running;
  }

  read(line: string, isOwn: boolean): boolean {
    const { running } = this;
    const request = this.#lines.read(line, isOwn);
    if (request !== undefined) this.#compare(request);
    const isAbout = this.#count(line, isOwn);
    return isAbout || request !== undefined || running !== this.running;
  }

  get judgement(): RunJudgement {
    const estimate = this.#newest.estimate();
    const { draftTokens } = this.#newest;
    const noneAccepted = this.#noneAccepted;
    return {
      speedup: estimate && { ...estimate, draftTokens, verdict: this.#verdict },
      warnings: [this.#loss?.warning, noneAccepted, this.#stopped].filter((text) => text !== undefined),
      loss: this.#loss?.reason ?? (noneAccepted && noneAcceptedReason),
    };
  }

  /** Counts tokens of all requests, whole or not. @returns whether the line is about a request. */
  #count(line: string, isOwn: boolean): boolean {
    const traffic = parseTraffic(line);
    if (traffic === undefined) return false;
    if (isOwn) return true;
    this.#tokensSinceDraft = traffic.draftTokens > 0 ? 0 : this.#tokensSinceDraft + traffic.tokens;
    this.#rejectedTokens = traffic.acceptedTokens > 0 ? 0 : this.#rejectedTokens + traffic.draftTokens;
    const { name, fallback } = this.#launch;
    this.#stopped = this.#isProved && this.#tokensSinceDraft >= tellingTokens ? stoppedWarning : undefined;
    if (this.#rejectedTokens === 0) this.#noneAccepted = undefined;
    else if (this.#rejectedTokens >= tellingDraftTokens)
      this.#noneAccepted ??= noneAcceptedWarning(this.#rejectedTokens, { name, fallsBack: fallback !== undefined });
    return true;
  }

  #compare(request: LoggedRequest): void {
    const compared = request.isOwn || !request.wasAlone ? undefined : compare(request, this.#stepMs);
    if (compared === undefined) return;
    this.#newest.add(compared);
    this.#newest.shrink();
    this.#window.add(compared);
    this.#judgeWindow();
  }

  #judgeWindow(): void {
    const estimate = this.#window.estimate();
    if (estimate === undefined) return;
    const says = estimate.high < 1 ? "loses" : estimate.low > 1 ? "pays" : "unknown";
    const windows = says === this.#suspicion.says ? this.#suspicion.windows + 1 : 1;
    this.#suspicion = { says, windows };
    const needed = this.#verdict === "unknown" ? 2 : 3;
    if (says !== "unknown" && says !== this.#verdict && windows >= needed) {
      this.#verdict = says;
      this.#loss = says === "loses" ? this.#explainLoss(estimate) : undefined;
    }
    this.#window.clear();
  }

  /** By the window that changed the verdict: a warning does not change while it is there. */
  #explainLoss(estimate: WindowEstimate): Loss {
    const { name, fallback, costs } = this.#launch;
    const { requests, draftTokens } = this.#window;
    const best = costs && findBestDraftLength(costs, addUp(requests));
    const speedup = { ...estimate, draftTokens, verdict: this.#verdict };
    return {
      reason: describeLoss(speedup),
      warning: lossWarning(speedup, { name, fallsBack: fallback !== undefined, best }),
    };
  }
}

/** @returns undefined where the time without a draft is not known, and for a request without a step. */
function compare(request: LoggedRequest, stepMs: StepCosts["stepMs"]): ComparedRequest | undefined {
  const { contextTokens, seconds, draftTokens, acceptedTokens, drafts } = request;
  // The log counts the first token, which comes with the prompt.
  const tokens = request.tokens - 1;
  const baseMs = findStepMs(stepMs, Math.max(0, contextTokens - request.tokens / 2));
  if (baseMs === undefined || baseMs <= 0 || tokens < 1 || seconds <= 0) return undefined;
  const logRatio = Math.log((baseMs * tokens) / (1000 * seconds));
  return { logRatio, tokens, draftTokens, acceptedTokens, drafts };
}

function addUp(requests: readonly ComparedRequest[]): DraftedSteps {
  const sum = { steps: 0, drafts: 0, draftTokens: 0, acceptedTokens: 0 };
  for (const { tokens, drafts, draftTokens, acceptedTokens } of requests) {
    // Each step yields one token of the target's own.
    sum.steps += Math.max(0, tokens - acceptedTokens);
    sum.drafts += drafts;
    sum.draftTokens += draftTokens;
    sum.acceptedTokens += acceptedTokens;
  }
  return sum;
}
