import { StringDecoder } from "node:string_decoder";
import { printable } from "../../base/text/printable.ts";

/*
 * All that a command prints goes through here, so that none can pass on foreign text raw, whatever it forgets. What the
 * terminal is to obey, such as our colours, stands behind a seal, which foreign text cannot guess.
 */

type Write = NodeJS.WriteStream["write"];

/**
 * An application program command, which terminals ignore: none is to be seen should one ever slip through. Made when
 * the first colour is: most supervisors never have one, and need no random numbers for it.
 */
let seal: string | undefined;
/** Behind a seal stands exactly one sequence: what follows may be foreign. */
// oxlint-disable-next-line no-control-regex -- a sequence of a terminal begins with one
const sealedSequence = /^(?:\r|\u001b\[\d*(?:;\d+)*[A-Za-z])/;
/** What decides whether a joiner has a sense: a letter with its marks. */
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
    // What is written is text now, whichever encoding was named.
    return write(clean, rest.find((one) => typeof one === "function") as Parameters<Write>[1]);
  };
}

/** A sequence that the terminal of this stream is to obey: one that sets colours or moves the cursor. */
export function control(sequence: string, stream: NodeJS.WriteStream): string {
  if (!guarded.has(stream)) return sequence;
  seal ??= `\u001b_${crypto.randomUUID()}\u001b\\`;
  return `${seal}${sequence}`;
}

/** Writes text byte for byte. Only for what another program reads: see who calls it. */
export function writeExact(stream: NodeJS.WriteStream, text: string): boolean {
  return (guarded.get(stream) ?? stream.write.bind(stream))(text);
}

/**
 * The same stream for Node's line editor, which moves the cursor by itself. A prompt or question is not made printable
 * for it.
 */
export function forLineEditor(stream: NodeJS.WriteStream): NodeJS.WritableStream {
  const write = guarded.get(stream);
  if (write === undefined) return stream;
  return new Proxy(stream, {
    get: (target, key) => (key === "write" ? write : (Reflect.get(target, key, target) as unknown)),
  });
}

/**
 * Makes text printable, but for the sequences behind seals.
 * @param before The foreign text before it.
 * @returns that after it, too.
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

/** The answer of a model comes in pieces, and a joiner may be the first character of one. */
function printableAfter(before: string, text: string): string {
  if (!/^\p{Default_Ignorable_Code_Point}/u.test(text)) return printable(text);
  const known = printable(before);
  const all = printable(before + text);
  return all.startsWith(known) ? all.slice(known.length) : printable(text);
}
