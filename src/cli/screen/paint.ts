import { styleText } from "node:util";
import { control } from "./guard-output.ts";

type Style = Extract<Parameters<typeof styleText>[0], string>;

/** Colours a text, if the stream is a terminal and NO_COLOR is not set. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stderr): string {
  if (!stream.isTTY || process.env["NO_COLOR"]) return text;
  const [start = "", end = ""] = styleText(style, "\0", { validateStream: false }).split("\0");
  return `${control(start, stream)}${text}${control(end, stream)}`;
}
