import { createInterface } from "node:readline/promises";
import { LlmctlError } from "../../base/errors.ts";
import { type ChatMessage, streamChat } from "../../llama/server/chat-stream.ts";
import { forLineEditor } from "../screen/guard-output.ts";
import { paint } from "../screen/paint.ts";
import { formatProblem } from "../screen/report-error.ts";
import { print, printError } from "../screen/print.ts";

interface ServerChat {
  readonly url: string;
  readonly apiKey: string | undefined;
}

/** A plain chat with a running server, for builds whose llama-cli cannot connect to one. @returns the exit code. */
export async function serverChat(server: ServerChat): Promise<number> {
  const lines = createInterface({ input: process.stdin, output: forLineEditor(process.stdout), prompt: "\n> " });
  let messages: ChatMessage[] = [];
  let answering: AbortController | undefined;
  lines.on("SIGINT", () => {
    if (answering !== undefined) return answering.abort();
    print("\n");
    lines.close();
  });
  print("/clear starts anew, /exit ends; Ctrl-C stops an answer\n");
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === "/exit") break;
    if (text === "/clear") messages = [];
    else if (text !== "") {
      answering = new AbortController();
      messages = await answer(server, [...messages, { role: "user", content: text }], answering.signal);
      answering = undefined;
    }
    lines.prompt();
  }
  lines.close();
  return 0;
}

/**
 * Prints the answer as it comes.
 * @returns the chat with the answer; without the question when the answer failed.
 */
async function answer(
  server: ServerChat,
  messages: readonly ChatMessage[],
  signal: AbortSignal,
): Promise<ChatMessage[]> {
  let content = "";
  try {
    for await (const { kind, text } of streamChat({ ...server, messages, signal })) {
      if (kind === "text") content += text;
      print(kind === "text" ? text : paint("dim", text, process.stdout));
    }
  } catch (error) {
    if (!signal.aborted) {
      if (!(error instanceof LlmctlError)) throw error;
      for (const problem of error.problems) printError(`${formatProblem(problem)}\n`);
      return messages.slice(0, -1);
    }
  }
  print("\n");
  return [...messages, { role: "assistant", content }];
}
