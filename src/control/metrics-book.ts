import { Counter, Gauge, Registry } from "prom-client";
import { maxSentenceLength, printable, printableName, shorten } from "../base/text/printable.ts";
import { stateNames, type Status } from "./messages.ts";

/**
 * A supervisor's status as Prometheus text.
 * Where a number is not known there is no sample; a counter begins anew with each server, as its traffic does.
 */
export class MetricsBook {
  readonly #registry = new Registry();
  readonly #state = this.#gauge("state", "1 for the state it is in, 0 for all others", ["state"]);
  readonly #starts = this.#counter("starts_total", "Servers started since up");
  readonly #restarts = this.#counter("restarts_total", "Restarts after an unexpected exit since up, by its cause", [
    "cause",
  ]);
  readonly #uptime = this.#gauge("server_uptime_seconds", "Since the present server was started");
  readonly #load = this.#gauge("load_seconds", "From the start of the present server to its first healthy answer");
  readonly #loadDone = this.#gauge("load_done_ratio", "How far a load is, 0 to 1; an estimate");
  readonly #drafting = this.#gauge(
    "drafting",
    "1 where the running server was seen to draft, else 0, with the reason where it does not",
    ["state", "reason"],
  );
  readonly #tokens = this.#counter("tokens_total", "Tokens that clients were given by the present server");
  readonly #drafted = this.#counter("draft_tokens_total", "Tokens drafted by the present server");
  readonly #accepted = this.#counter("draft_accepted_tokens_total", "Drafted tokens that were accepted");
  readonly #acceptance = this.#gauge(
    "draft_acceptance_ratio",
    "Accepted of drafted tokens in the last ten minutes, 0 to 1",
  );
  readonly #speedup = this.#gauge(
    "drafting_speedup_ratio",
    "Speed of the newest requests over that without a draft; below 1 drafting costs more than it brings",
  );
  readonly #speed = this.#gauge("tokens_per_second", "While generating, in the last ten minutes");
  readonly #proofSpeed = this.#gauge("proof_tokens_per_second", "Of the proof request");
  readonly #build = this.#gauge("build_info", "Always 1; the build of llama.cpp and the configuration that runs", [
    "build",
    "hash",
  ]);

  constructor(profile: string) {
    this.#registry.setDefaultLabels({ profile });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** @param nowMs Wall clock, `Date.now()`. */
  async render(status: Status, nowMs: number): Promise<string> {
    this.#registry.resetMetrics();
    for (const state of stateNames) this.#state.set({ state }, state === status.state ? 1 : 0);
    this.#starts.inc(status.runs);
    for (const [cause, count] of Object.entries(status.restartsByCause)) this.#restarts.inc({ cause }, count);
    setKnown(this.#uptime, status.startedAt === null ? null : (nowMs - Date.parse(status.startedAt)) / 1000);
    setKnown(this.#load, status.loadMs === null ? null : status.loadMs / 1000);
    setKnown(this.#loadDone, status.load === null ? null : status.load.doneBytes / Math.max(1, status.load.totalBytes));
    this.#setDrafting(status.drafting);
    this.#setTraffic(status);
    setKnown(this.#speedup, status.draftingSpeedup?.ratio ?? null);
    setKnown(this.#proofSpeed, status.tokensPerSecond);
    this.#build.set({ build: printableName(status.build), hash: status.hash }, 1);
    return this.#registry.metrics();
  }

  #setDrafting(drafting: Status["drafting"]): void {
    const reason = drafting.state === "off" ? printable(shorten(drafting.reason, maxSentenceLength)) : "";
    this.#drafting.set({ state: drafting.state, reason }, drafting.state === "on" ? 1 : 0);
  }

  #setTraffic({ traffic }: Status): void {
    setKnown(this.#acceptance, traffic?.lastTenMinutes.acceptanceRate ?? null);
    setKnown(this.#speed, traffic?.lastTenMinutes.tokensPerSecond ?? null);
    if (traffic === null) return;
    this.#tokens.inc(traffic.sinceStart.tokens);
    this.#drafted.inc(traffic.sinceStart.draftTokens);
    this.#accepted.inc(traffic.sinceStart.acceptedTokens);
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name: `llmctl_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `llmctl_${name}`, help, labelNames, registers: [this.#registry] });
  }
}

/** Removes the sample of an unknown number: a reset gauge would show a wrong 0. */
function setKnown(gauge: Gauge, value: number | null): void {
  if (value === null) gauge.remove();
  else gauge.set(value);
}
