import type { BenchReport } from "../bench-report.ts";
import { formatMoment } from "../number-words.ts";
import { acceptanceSection } from "./page/acceptance-section.ts";
import { costsSection } from "./page/costs-section.ts";
import { keyFigures } from "./page/key-figures.ts";
import { limits } from "./page/lead.ts";
import { markup } from "./page/markup.ts";
import { originSection } from "./page/origin-section.ts";
import { pageFrame } from "./page/page-frame.ts";
import { predictionSection } from "./page/prediction-section.ts";
import { roundsSection } from "./page/rounds-section.ts";
import { speedSection } from "./page/speed-section.ts";
import { speedupSection } from "./page/speedup-section.ts";

/**
 * A report as one page that needs nothing else: no script, no file, no network. Prompts, paths and names in it are text
 * of others and become nothing but text.
 */
export function renderHtml(report: BenchReport): string {
  const { profile, startedAt, build, machine } = report;
  return pageFrame({
    title: `${profile}: ${report.sentence}`,
    origin: `llmctl bench ${profile} · ${formatMoment(startedAt)} · ${machine.processor} · ${build}`,
    sentence: report.sentence,
    lead: [limits(report), keyFigures(report)],
    sections: [
      speedupSection(report),
      speedSection(report),
      markup`<div class="pair">${[acceptanceSection(report), predictionSection(report), costsSection(report)]}</div>
`,
      originSection(report, report.settings),
      roundsSection(report.rounds),
    ],
    llmctl: report.llmctl,
  });
}
