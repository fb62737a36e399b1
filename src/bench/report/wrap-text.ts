import { printableSentence } from "../../base/text/printable.ts";

/**
 * Lines of at most `width` characters, as far as words allow; a longer word is cut into pieces.
 * @param lead Stands before the first line, and as many blanks before the others.
 * @param width In columns; Infinity for one line.
 */
export function wrapText(text: string, width: number, lead = ""): string {
  const most = Math.max(1, width - lead.length);
  const lines: string[] = [];
  let line = "";
  for (const word of printableSentence(text)
    .split(" ")
    .flatMap((one) => pieces(one, most))) {
    if (line !== "" && line.length + 1 + word.length > most) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((one, index) => `${index === 0 ? lead : " ".repeat(lead.length)}${one}\n`).join("");
}

/** A word in pieces of at most so many characters; a pair of surrogates stays together. */
function pieces(word: string, most: number): string[] {
  if (word.length <= most) return [word];
  const parts: string[] = [""];
  for (const char of word) {
    const last = parts.at(-1) ?? "";
    if (last !== "" && last.length + char.length > most) parts.push(char);
    else parts[parts.length - 1] = last + char;
  }
  return parts;
}
