import { type Content, Markup, markup } from "./markup.ts";
import { pageStyle } from "./page-style.ts";

export interface Page {
  readonly title: string;
  /** The line above the sentence. */
  readonly origin: string;
  readonly sentence: string;
  /** Below the sentence, before the sections. */
  readonly lead: Content;
  readonly sections: Content;
  /** Version of llmctl. */
  readonly llmctl: string;
}

/** A whole document. It loads nothing, and its policy forbids what text of others might ask for. */
export function pageFrame({ title, origin, sentence, lead, sections, llmctl }: Page): string {
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${new Markup(pageStyle)}</style>
</head>
<body>
<header>
<p class="eyebrow">${origin}</p>
<h1>${sentence}</h1>
${lead}
</header>
<main>
${sections}
</main>
<footer><p class="aside">Written by llmctl ${llmctl}.</p></footer>
</body>
</html>
`.text;
}

/** @param id Names the heading for the section's label; each page has it once. */
export function section(id: string, title: string, content: Content): Markup {
  return markup`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>
${content}</section>
`;
}

/** One of the numbers below the sentence. */
export function keyFigure(name: string, value: Content, aside: Content): Markup {
  return markup`<div><dt>${name}</dt>
<dd><span class="value">${value}</span><span class="aside">${aside}</span></dd></div>
`;
}

/** A cell of a number; the label stands before it where a narrow screen has no room for the header. */
export function numberCell(label: string, content: Content): Markup {
  return markup`<td class="number" data-label="${label}">${content}</td>`;
}

/** A cell of text in a table of text, see {@link numberCell}. */
export function textCell(label: string, content: Content): Markup {
  return markup`<td data-label="${label}">${content}</td>`;
}

export function closed(summary: string, content: Content): Markup {
  return markup`<details><summary>${summary}</summary>
${content}</details>
`;
}
