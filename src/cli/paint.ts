import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** Colours a text for a terminal; leaves it alone when the stream is none, or when NO_COLOR is set. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stderr): string {
  return stream.isTTY && !process.env["NO_COLOR"] ? styleText(style, text, { validateStream: false }) : text;
}
