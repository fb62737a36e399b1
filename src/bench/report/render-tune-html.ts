import type { TuneReport } from "../tune-report.ts";
import { formatMoment } from "../number-words.ts";
import { gridSection } from "./page/grid-section.ts";
import { limits } from "./page/lead.ts";
import { originSection } from "./page/origin-section.ts";
import { pageFrame } from "./page/page-frame.ts";
import { roundsSection } from "./page/rounds-section.ts";
import { candidatesSection, finalistsSection, searchFigures, stagesSection } from "./page/search-sections.ts";

/** The report of a search as one page, under the same rules as that of a comparison. */
export function renderTuneHtml(report: TuneReport): string {
  const { profile, startedAt, build, machine, baseline, finalists } = report;
  return pageFrame({
    title: `${profile}: ${report.sentence}`,
    origin: `llmctl tune ${profile} · ${formatMoment(startedAt)} · ${machine.processor} · ${build}`,
    sentence: report.sentence,
    lead: [limits(report), searchFigures(report)],
    sections: [
      finalistsSection(report),
      gridSection(report),
      candidatesSection(report),
      stagesSection(report),
      originSection(report, [...(baseline === null ? [] : [baseline]), ...finalists.map(({ setting }) => setting)]),
      roundsSection(report.rounds),
    ],
    llmctl: report.llmctl,
  });
}
