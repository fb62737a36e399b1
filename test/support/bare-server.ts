import { once } from "node:events";
import { createInterface } from "node:readline";
import { execa } from "execa";
import { demoDraft, demoTarget } from "./temp-home.ts";

/** A llama-server with the demo model and without llmctl around it. */
export interface BareServer extends AsyncDisposable {
  readonly ask: (path: string, body: unknown) => Promise<unknown>;
  readonly read: (path: string) => Promise<string>;
  /** Stops the server; when this is done, every line of its log was read. */
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Arguments that load the demo's draft model, too. */
export const withDraft = ["-md", demoDraft, "--spec-type", "draft-simple"];

/**
 * Starts a server on a free port and waits until it listens.
 * @param onLine Gets each line of its log.
 * @throws when it ends before.
 */
export async function startBareServer(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void = () => {},
): Promise<BareServer> {
  const common = [
    "-m",
    demoTarget,
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "-np",
    "1",
    "-t",
    "1",
    "-c",
    "512",
    "--no-webui",
  ];
  const server = execa(program, [...common, ...args], {
    stdin: "ignore",
    stdout: "ignore",
    buffer: false,
    reject: false,
    forceKillAfterDelay: 5000,
  });
  const reader = createInterface({ input: server.stderr });
  const ended = once(reader, "close");
  let last = "";
  const listening = new Promise<string>((resolve, reject) => {
    reader.on("line", (line) => {
      onLine(line);
      last = line;
      const url = /listening on (http:\/\/[\d.:]+)/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
    reader.on("close", () => reject(new Error(`llama-server ended: ${last}`)));
  });
  const url = await listening;
  return {
    ask: async (path, body) => {
      const response = await fetch(`${url}${path}`, { method: "POST", body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
      return response.json();
    },
    read: async (path) => (await fetch(`${url}${path}`)).text(),
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await Promise.all([server, ended]);
    },
  };
}
