import { printable } from "../../../base/text/printable.ts";

/** What may stand in {@link markup}: everything but markup itself is taken for text. */
export type Content = Markup | string | number | null | undefined | readonly Content[];

/** HTML in which all foreign text is escaped. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * A template of HTML. Its values become text, also inside a quoted attribute: prompts, paths and names of models come
 * from others. Characters that are invisible or change the direction of the text become visible.
 */
export function markup(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(String.raw({ raw: parts }, ...values.map(render)));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(value: Content): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(render).join("");
  return printable(String(value)).replace(/[&<>"']/g, (char) => entities[char] ?? "");
}
