import { exitCodes } from "../../base/exit-codes.ts";
import { describeFix } from "../../base/fix.ts";
import { findPaths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { formatSize } from "../../base/text/units.ts";
import type { ModelHeaders } from "../../hub/find/read-model-headers.ts";
import { describeDifference } from "../../llama/draft/compare-vocab.ts";
import { outcomeTexts } from "../../llama/draft/draft-gate.ts";
import { noDraftAsked } from "../../llama/plan/draft-decision.ts";
import { checkLine, good } from "./check-line.ts";
import { openProfile } from "../options/context.ts";
import { jsonLine, jsonText } from "../screen/json-text.ts";
import { judgePair, judgeProfile, type Judgement } from "../../models/judge-pair.ts";
import { createHubAccess, formatTraffic, headerOptions } from "./header-access.ts";
import { parseModelArgument } from "../options/model-argument.ts";
import { print } from "../screen/print.ts";

interface PairOptions {
  readonly json: boolean;
  /** Drafting type, in llama.cpp's words. */
  readonly type: string;
}

/** `llmctl check TARGET DRAFT`: may the one draft for the other? @returns 0 for yes, 78 for no. */
export async function checkPair(target: string, draft: string, { json, type }: PairOptions): Promise<number> {
  const paths = findPaths();
  const pair = { target: parseModelArgument(target), draft: parseModelArgument(draft), type };
  return report(await judgePair(pair, headerOptions(paths), { paths, env: process.env }), json);
}

/** `llmctl check NAME --remote`: the same for a profile's models, which need not be on this machine. */
export async function checkRemote(nameOrPath: string, json: boolean): Promise<number> {
  const paths = findPaths();
  const judgement = await judgeProfile(await openProfile(nameOrPath, paths), createHubAccess(), {
    paths,
    env: process.env,
  });
  if (judgement !== undefined) return report(judgement, json);
  print(json ? jsonLine({ verdict: "off", reason: noDraftAsked }) : `drafting is off: ${noDraftAsked}\n`);
  return 0;
}

function report(judgement: Judgement, json: boolean): number {
  if (json) print(jsonText(toJson(judgement)));
  else show(judgement);
  return judgement.verdict.verdict === "on" ? 0 : exitCodes.config.code;
}

/** What was read over the network, and what need not be fetched to know the verdict. */
function countTraffic({ target, draft }: Judgement) {
  const remote = [target, draft].filter((headers) => headers?.traffic !== undefined);
  const sum = (count: (headers: ModelHeaders) => number) =>
    remote.reduce((total, one) => total + (one ? count(one) : 0), 0);
  const bytesRead = sum(({ traffic }) => traffic?.bytesRead ?? 0);
  return {
    bytesRead,
    requests: sum(({ traffic }) => traffic?.requests ?? 0),
    downloadsSaved: sum(({ model }) => model.shards.length),
    bytesSaved: Math.max(0, sum(({ model }) => totalBytes(model.shards)) - bytesRead),
  };
}

function totalBytes(shards: readonly { readonly sizeBytes: number }[]): number {
  return shards.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}

function toJson(judgement: Judgement): Record<string, unknown> {
  const { target, draft, type, build, verdict } = judgement;
  const model = ({ model: { shards }, source, traffic }: ModelHeaders) => ({
    files: shards.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
    source,
    isRemote: traffic !== undefined,
    bytesRead: traffic?.bytesRead ?? 0,
  });
  return {
    ...verdict,
    llamaCppText: outcomeTexts[verdict.llamaCpp],
    type,
    rule: build.rule,
    build: build.build ?? null,
    target: model(target),
    draft: draft === undefined ? null : model(draft),
    ...countTraffic(judgement),
  };
}

function show(judgement: Judgement): void {
  const { target, draft, type, build } = judgement;
  good(`target    ${describeModel(target)}`);
  if (draft !== undefined) good(`draft     ${describeModel(draft)}`);
  if (build.build !== undefined) good(`build     ${build.build}`);
  else checkLine("yellow", "note", `build     ${build.problem}; judged as builds since b9842 do`);
  showVerdict(judgement, type);
  for (const warning of judgement.verdict.warnings) checkLine("yellow", "note", warning);
  const { downloadsSaved, bytesSaved, ...traffic } = countTraffic(judgement);
  if (traffic.requests === 0) return;
  const saved = `${formatSize(bytesSaved)} in ${countFiles(downloadsSaved)} not downloaded`;
  checkLine("dim", "read", `${formatTraffic(traffic)}; ${saved}`);
}

function showVerdict({ verdict, draft }: Judgement, type: string): void {
  if (verdict.verdict === "on") {
    const fit = draft === undefined ? `the target can draft with ${type}` : "the two models fit";
    return good(`drafting  ${fit}; a running server must still prove it`);
  }
  const { reason, fix, firstDifference, llamaCpp } = verdict;
  if (verdict.verdict === "off") checkLine("yellow", "off", `drafting  ${reason}`);
  else checkLine("red", "no", `drafting  refused: ${reason}`);
  const difference = firstDifference === undefined ? reason : describeDifference(firstDifference);
  const lines = [
    ...(difference === reason ? [] : [`first difference: ${difference}`]),
    `llama.cpp ${outcomeTexts[llamaCpp]}`,
    `fix: ${describeFix(fix)}`,
  ];
  for (const line of lines) print(`${" ".repeat(16)}${printableSentence(line)}\n`);
}

function describeModel({ model: { header, shards }, source }: ModelHeaders): string {
  return `${header.name} (${source}, ${formatSize(totalBytes(shards))} in ${countFiles(shards.length)})`;
}

function countFiles(count: number): string {
  return count === 1 ? "1 file" : `${count} files`;
}
