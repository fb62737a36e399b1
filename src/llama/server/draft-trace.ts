/*
 * What llama-server tells about each draft at `-lv 5`, since April 2026 (read in v0.5.0).
 *
 * A step of a slot, in the order of its lines:
 *
 *   max possible draft: M      the context and the answer's limit leave room for M drafted tokens; none when M is 0
 *   draft candidate 0, pos i   the drafter's best token after i drafted ones, with its probability
 *   generate_draft: #draft=N   N tokens are checked together with the last sampled one; or
 *   slot decode token          nothing is checked
 *   add accepted tokens: K     the target sampled K tokens: K - 1 drafted ones were right, and one of its own follows
 *   next token                 one line for each token of the answer
 *
 * Each candidate costs the drafter one evaluation: the first one evaluates the last sampled token, each next one the
 * drafted token before. A candidate below p_min is evaluated and logged, ends the draft, and is not part of it. So a
 * draft of j tokens costs j evaluations when it reached its limit, and j + 1 when p_min stopped it. A draft shorter
 * than n_min is thrown away after it was computed. After the check the drafter evaluates the whole batch once more,
 * also after a fully accepted draft and in steps without one; so it never has a token to catch up on.
 *
 * MTP logs the same lines. It notices only n_max while it drafts; what M does not permit is cut off afterwards.
 *
 * @see llama.cpp common/speculative.cpp `common_speculative_impl_draft_simple::draft`, `common_speculative_draft`
 * @see llama.cpp tools/server/server-context.cpp `get_n_draft_max`, TAG_SPEC_AVOID_DRAFT_REEVAL
 */

/** A token that the drafter proposed. */
export interface DraftCandidate {
  readonly token: number;
  /** Its probability among the drafter's ten best tokens, 0..1, rounded to three decimals by the log. */
  readonly probability: number;
}

/** One step of the target after the first token of an answer. */
export interface TracedCycle {
  /** Number of tokens for which context and answer had room, 0 or more. */
  readonly mostDraft: number;
  /** The drafter's best token for each position in a row. The last one may have been too improbable to be drafted. */
  readonly candidates: readonly DraftCandidate[];
  /** Number of candidates that the target checked. */
  readonly drafted: number;
  readonly accepted: number;
  /** The tokens that this step added to the answer. An answer may end before all accepted ones are added. */
  readonly tokens: readonly number[];
}

/** The steps of one answer. */
export interface TracedAnswer {
  /** The server's number of the request. */
  readonly task: number;
  /** It came with the prompt. */
  readonly firstToken: number;
  readonly cycles: readonly TracedCycle[];
}

export interface DraftTrace {
  /** The drafting type, such as `draft-simple`; undefined where nothing was drafted. */
  readonly type: string | undefined;
  /** In the order of their first tokens. */
  readonly answers: readonly TracedAnswer[];
  /** Number of answers that are not there: they did not end, or their lines contradict each other. */
  readonly leftOut: number;
  /**
   * The target cannot take back a part of a batch: after a draft that was accepted in part it restores a checkpoint and
   * evaluates the accepted part again. The answers in which that happened are left out.
   */
  readonly restoresCheckpoints: boolean;
}

/** Enough for a hundred answers of a thousand tokens, and some 100 MB; a log may be endless. */
const mostCycles = 100_000;
/** A draft cannot be longer than the batch that checks it: `--batch-size` is 2048, and nobody drafts that much. */
const mostCandidates = 1024;
/** Longer than every line that matters; a token's text ends in the next line at the latest. */
const mostLineLength = 2000;

/** The analysis of a chat template ends its colours only in the next line, whatever that is. */
const colorsEnd = "\u001b[0m";

const stamp = String.raw`^(?:\d{1,6}\.\d\d\.\d{3}\.\d{3} )?`;
const count = String.raw`\d{1,9}`;
const slotLine = new RegExp(String.raw`${stamp}[DIWE] slot +[^ ]+: id +(${count}) \| task (${count}) \| (.*)$`, "s");
const candidateLine = new RegExp(
  String.raw`${stamp}D spec +draft: +- seq_id (${count}), draft candidate +0, pos +(${count}): +(${count}) ` +
    String.raw`\( *(0\.\d{3}|1\.000)\) '`,
);
const typeLine = new RegExp(String.raw`${stamp}D spec +[^ ]+: called impl ([a-z0-9-]{1,40}), hist size = `);

const roomText = new RegExp(`^max possible draft: (-?${count})$`);
const checkText = new RegExp(`^generate_draft: id=${count}, #tokens=${count}, #draft=(${count}), pos_next=-?${count}$`);
const plainText = /^slot decode token, id=/;
const acceptedText = new RegExp(`^add accepted tokens: sampled=${count}, ids\\.size=(${count}), n_draft=(${count})$`);
const tokenText = new RegExp(`^n_gen = ${count}, n_remaining = -?${count}, next token: +(${count}) '`);
const restoreText = /^restoring speculative checkpoint /;
/** The first line about an end comes before the answer is sent, so whoever has the answer finds it in the log. */
const endText = /^(?:prompt eval time = |stop processing: )/;

interface OpenCycle extends TracedCycle {
  candidates: DraftCandidate[];
  drafted: number;
  accepted: number;
  tokens: number[];
  /** Whether the batch was sent. */
  isChecked: boolean;
}

interface OpenAnswer {
  readonly task: number;
  firstToken: number | undefined;
  readonly cycles: TracedCycle[];
  cycle: OpenCycle | undefined;
  /** Lines contradict each other, or a checkpoint was restored. */
  isBroken: boolean;
}

/**
 * Collects the drafts of a server from the lines of its log. Answers of several slots may be mixed. A line counts
 * only when its start and its place are right, so a text that a prompt or a model has put into the log does no harm:
 * at worst it spoils its own answer, which is then left out.
 */
export class DraftTraceParser {
  /** The answers in progress, by slot. */
  readonly #open = new Map<number, OpenAnswer>();
  readonly #answers: OpenAnswer[] = [];
  #type: string | undefined;
  #hasTrace = false;
  #restores = false;
  #cycles = 0;

  /** Reads one line, without its end. */
  push(text: string): void {
    if (text.length > mostLineLength || this.#cycles > mostCycles) return;
    const line = text.startsWith(colorsEnd) ? text.slice(colorsEnd.length) : text;
    const candidate = candidateLine.exec(line);
    if (candidate !== null) return this.#onCandidate(candidate);
    const slot = slotLine.exec(line);
    if (slot !== null) return this.#onSlot(Number(slot[1]), Number(slot[2]), slot[3] ?? "");
    this.#type ??= typeLine.exec(line)?.[1];
  }

  /** What was read so far; undefined when the build does not log drafts, or not at this verbosity. */
  read(): DraftTrace | undefined {
    if (!this.#hasTrace) return undefined;
    const whole = this.#answers.flatMap(({ task, firstToken, cycles, isBroken }) =>
      isBroken || firstToken === undefined ? [] : [{ task, firstToken, cycles }],
    );
    return {
      type: this.#type,
      answers: whole,
      leftOut: this.#answers.length - whole.length + this.#open.size,
      restoresCheckpoints: this.#restores,
    };
  }

  #onCandidate([, slot, position, token, probability]: RegExpExecArray): void {
    const answer = this.#open.get(Number(slot));
    if (answer === undefined) return;
    const { cycle } = answer;
    if (cycle?.candidates.length !== Number(position) || cycle.isChecked || Number(position) >= mostCandidates)
      answer.isBroken = true;
    else cycle.candidates.push({ token: Number(token), probability: Number(probability) });
  }

  #onSlot(slot: number, task: number, text: string): void {
    const answer = this.#find(slot, task, text);
    if (answer === undefined) return;
    const token = tokenText.exec(text);
    if (token !== null) return addToken(answer, Number(token[1]));
    const room = roomText.exec(text);
    if (room !== null) return this.#startCycle(answer, Math.max(0, Number(room[1])));
    if (endText.test(text)) return this.#end(slot, answer);
    if (restoreText.test(text)) this.#restores = answer.isBroken = true;
    else if (!check(answer, text)) addAccepted(answer, text);
  }

  /** The answer of a slot; it begins with its first token. */
  #find(slot: number, task: number, text: string): OpenAnswer | undefined {
    const open = this.#open.get(slot);
    if (open?.task === task) return open;
    if (!tokenText.test(text)) return undefined;
    if (open !== undefined) this.#answers.push({ ...open, isBroken: true });
    const answer: OpenAnswer = { task, firstToken: undefined, cycles: [], cycle: undefined, isBroken: false };
    this.#open.set(slot, answer);
    return answer;
  }

  #startCycle(answer: OpenAnswer, mostDraft: number): void {
    this.#hasTrace = true;
    this.#cycles += 1;
    endCycle(answer);
    answer.cycle = { mostDraft, candidates: [], drafted: 0, accepted: 0, tokens: [], isChecked: false };
  }

  #end(slot: number, answer: OpenAnswer): void {
    endCycle(answer);
    this.#open.delete(slot);
    this.#answers.push(answer);
  }
}

function addToken(answer: OpenAnswer, token: number): void {
  if (answer.cycle !== undefined) answer.cycle.tokens.push(token);
  else if (answer.firstToken === undefined) answer.firstToken = token;
  else answer.isBroken = true;
}

/** @returns false for a text about something else. */
function check(answer: OpenAnswer, text: string): boolean {
  const drafted = checkText.exec(text);
  if (drafted === null && !plainText.test(text)) return false;
  const { cycle } = answer;
  if (cycle === undefined || cycle.isChecked) answer.isBroken = true;
  else {
    cycle.isChecked = true;
    cycle.drafted = Number(drafted?.[1] ?? 0);
  }
  return true;
}

function addAccepted(answer: OpenAnswer, text: string): void {
  const accepted = acceptedText.exec(text);
  if (accepted === null) return;
  const { cycle } = answer;
  if (cycle?.isChecked === true && cycle.drafted === Number(accepted[2])) cycle.accepted = Number(accepted[1]) - 1;
  else answer.isBroken = true;
}

function endCycle(answer: OpenAnswer): void {
  const { cycle } = answer;
  if (cycle === undefined) return;
  answer.cycle = undefined;
  if (!isConsistent(cycle)) answer.isBroken = true;
  const { mostDraft, candidates, drafted, accepted, tokens } = cycle;
  answer.cycles.push({ mostDraft, candidates, drafted, accepted, tokens });
}

function isConsistent({ candidates, drafted, accepted, tokens, isChecked, mostDraft }: OpenCycle): boolean {
  const isPossible = isChecked && drafted <= candidates.length && drafted <= mostDraft;
  return isPossible && accepted >= 0 && accepted <= drafted && tokens.length >= 1 && tokens.length <= accepted + 1;
}
