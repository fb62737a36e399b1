import { busyNote, limitNotes } from "../result-words.ts";
import { type Content, markup } from "./markup.ts";

/** What a person must know before the numbers: whether the machine was busy, and what limits the result. */
export function limits(report: Parameters<typeof busyNote>[0] & Parameters<typeof limitNotes>[0]): Content {
  const busy = busyNote(report);
  const notes = limitNotes(report);
  return [
    busy === undefined
      ? undefined
      : markup`<div class="warning" role="note"><strong>The machine was busy.</strong> ${busy}</div>
`,
    notes.length === 0
      ? undefined
      : markup`<ul class="notes">${notes.map((note) => markup`<li>${note}</li>`)}</ul>
`,
  ];
}
