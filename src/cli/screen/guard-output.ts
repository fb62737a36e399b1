import { StringDecoder } from "node:string_decoder";
import { printable } from "../../base/text/printable.ts";

/*
 * Everything that a command prints goes through here, so that foreign text never reaches the terminal raw, even if a
 * command forgets to make it printable. A control sequence of ours, such as a colour, stands behind a seal, which
 * foreign text cannot guess.
 */

type Write = NodeJS.WriteStream["write"];

/**
 * An application program command: terminals ignore it, so a seal that slips through is invisible. It is made with the
 * first colour, because most supervisors print none and random numbers cost memory.
 */
let seal: string | undefined;
/** A seal lets exactly one sequence through: the text after it may be foreign. */
// oxlint-disable-next-line no-control-regex -- a sequence of a terminal begins with one
const sealedSequence = /^(?:\r|\u001b\[\d*(?:;\d+)*[A-Za-z])/;
/** Enough text to tell whether a joiner belongs to it: a letter with its marks. */
const contextLength = 8;

const guarded = new WeakMap<NodeJS.WriteStream, Write>();

/** Makes text printable as it is written. Safe to repeat. */
export function guardOutput(stream: NodeJS.WriteStream): void {
  if (guarded.has(stream)) return;
  const write = stream.write.bind(stream);
  guarded.set(stream, write);
  const decoder = new StringDecoder("utf8");
  let before = "";
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]) => {
    const text = typeof chunk === "string" ? chunk : decoder.write(Buffer.from(chunk));
    const { clean, context } = open(text, before);
    before = context;
    // Only text is written from here on, so an encoding that the caller named does not apply.
    return write(clean, rest.find((one) => typeof one === "function") as Parameters<Write>[1]);
  };
}

/** Lets a control sequence through to the terminal of this stream: a colour or a cursor movement. */
export function control(sequence: string, stream: NodeJS.WriteStream): string {
  if (!guarded.has(stream)) return sequence;
  seal ??= `\u001b_${crypto.randomUUID()}\u001b\\`;
  return `${seal}${sequence}`;
}

/** Writes text byte for byte. Only for output that another program reads, never for a terminal. */
export function writeExact(stream: NodeJS.WriteStream, text: string): boolean {
  return (guarded.get(stream) ?? stream.write.bind(stream))(text);
}

/**
 * The same stream for Node's line editor, which moves the cursor itself. The caller makes prompts and questions
 * printable.
 */
export function forLineEditor(stream: NodeJS.WriteStream): NodeJS.WritableStream {
  const write = guarded.get(stream);
  if (write === undefined) return stream;
  return new Proxy(stream, {
    get: (target, key) => (key === "write" ? write : (Reflect.get(target, key, target) as unknown)),
  });
}

/**
 * Makes text printable, except sequences behind seals.
 * @param before The end of the foreign text that was written before.
 * @returns the printable text, and the end of the foreign text so far.
 */
function open(text: string, before: string): { readonly clean: string; readonly context: string } {
  let context = before;
  const show = (foreign: string) => {
    const shown = printableAfter(context, foreign);
    context = (context + foreign).slice(-contextLength);
    return shown;
  };
  const [first = "", ...sealed] = seal === undefined ? [text] : text.split(seal);
  const parts = [show(first)];
  for (const part of sealed) {
    const sequence = sealedSequence.exec(part)?.[0] ?? "";
    parts.push(sequence, show(part.slice(sequence.length)));
  }
  return { clean: parts.join(""), context };
}

/** A model's answer arrives in pieces, and a piece may start with a joiner that belongs to the piece before. */
function printableAfter(before: string, text: string): string {
  if (!/^\p{Default_Ignorable_Code_Point}/u.test(text)) return printable(text);
  const known = printable(before);
  const all = printable(before + text);
  return all.startsWith(known) ? all.slice(known.length) : printable(text);
}
