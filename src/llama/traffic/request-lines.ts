import type { TokenTraffic } from "../../supervisor/launch.ts";
import { parseTraffic } from "./traffic-lines.ts";

/** A request that has ended, from its lines in the log. */
export interface LoggedRequest extends TokenTraffic {
  /** Tokens in the slot at its end: prompt and answer. */
  readonly contextTokens: number;
  /** No other request ran at the same time. */
  readonly wasAlone: boolean;
  readonly isOwn: boolean;
}

type Running = { -readonly [Key in keyof LoggedRequest]: LoggedRequest[Key] };

/** No server has more slots. */
const mostSlots = 1024;

const slotLine = /\bslot +(\w+): id +(\d{1,6}) \| task -?\d+ \| (.*)/;
const contextAtEnd = /^stop processing: n_(?:tokens|past) = (\d{1,12})\b/;

/**
 * Puts the lines of each request together. All builds log them at the default verbosity, in the order of the events,
 * since one thread writes them: `processing task` when a slot takes a request, then its times, then `stop processing`.
 * Builds up to b8390 name the slot only in the first of the lines with the times.
 * @see llama.cpp tools/server/server-context.cpp, launch_slot_with_task, print_timings, release
 */
export class RequestLines {
  readonly #slots = new Map<string, Running>();
  /** The slot whose times follow. */
  #printing: Running | undefined;

  /** Number of requests that have begun and not ended. */
  get running(): number {
    return this.#slots.size;
  }

  /**
   * Reads the next line.
   * @returns the request that ends with it; one whose beginning or times were not logged is left out.
   */
  read(line: string, isOwn: boolean): LoggedRequest | undefined {
    const [, what, slot = "", text = ""] = slotLine.exec(line) ?? [];
    if (what === "launch_slot_" && text.startsWith("processing task")) this.#begin(slot);
    else if (what === "print_timing") this.#printing = this.#slots.get(slot);
    else if (what === "release") return this.#end(slot, text);
    else if (line.includes("update_slots: all slots are idle")) this.#slots.clear();
    this.#addTimes(line, isOwn);
    return undefined;
  }

  #begin(slot: string): void {
    // A request whose end was lost (full disk, rotation) does not count as running for ever.
    this.#slots.delete(slot);
    if (this.#slots.size >= mostSlots) this.#slots.clear();
    const wasAlone = this.#slots.size === 0;
    for (const other of this.#slots.values()) other.wasAlone = false;
    this.#slots.set(slot, { ...nothing, wasAlone, isOwn: false, contextTokens: 0 });
  }

  #addTimes(line: string, isOwn: boolean): void {
    const times = parseTraffic(line);
    const request = this.#printing;
    if (times === undefined || request === undefined) return;
    if (isOwn) request.isOwn = true;
    request.tokens += times.tokens;
    request.seconds += times.seconds;
    request.draftTokens += times.draftTokens;
    request.acceptedTokens += times.acceptedTokens;
    request.drafts += times.drafts;
    request.acceptedLengths += times.acceptedLengths;
  }

  #end(slot: string, text: string): LoggedRequest | undefined {
    const request = this.#slots.get(slot);
    this.#slots.delete(slot);
    this.#printing = undefined;
    const contextTokens = Number(contextAtEnd.exec(text)?.[1]);
    if (request === undefined || request.tokens === 0 || Number.isNaN(contextTokens)) return undefined;
    return { ...request, contextTokens };
  }
}

const nothing: TokenTraffic = {
  tokens: 0,
  seconds: 0,
  draftTokens: 0,
  acceptedTokens: 0,
  drafts: 0,
  acceptedLengths: 0,
};
