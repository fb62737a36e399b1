import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import type { Status } from "../../control/messages.ts";
import { readApiKeys } from "../../llama/server/api-keys.ts";
import { askLlamaCli } from "../../llama/ask/llama-cli-abilities.ts";
import { type Command, planCli } from "../../llama/plan/plan-launch.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { isSocketUrl } from "../../supervisor/child/endpoint.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import { openProfile } from "../options/context.ts";
import { note } from "../screen/notes.ts";
import { showPlanNotes } from "../screen/show-plan-notes.ts";
import { runOnTerminal } from "./run-on-terminal.ts";

/**
 * Chats on this terminal with a profile's model. When its server runs, the chat goes through it, so that the model is
 * not loaded twice; else llama-cli loads the model.
 * @param more Flags for llama-cli, after those of the profile.
 * @returns llama-cli's own exit code.
 */
export async function chat(nameOrPath: string, more: readonly string[]): Promise<number> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const running = await findAnswering(paths, profile.name);
  return running === undefined
    ? chatAlone(profile, paths, more)
    : chatWithServer(profile, { paths, status: running.status, more });
}

async function chatAlone(profile: Profile, paths: Paths, more: readonly string[]): Promise<number> {
  const options = { paths, env: process.env };
  const { drafts } = await askLlamaCli(profile, options);
  const plan = await planCli(drafts ? profile : withoutDraft(profile), options);
  showPlanNotes(plan);
  if (!drafts && profile.values.draft !== undefined) {
    const server = `after "llmctl up ${profile.name} -d", chat uses the server, which does`;
    note(`the llama-cli of this build cannot draft; ${server}`);
  }
  return run(plan.command, [...plan.command.args, ...more]);
}

function withoutDraft(profile: Profile): Profile {
  const { draft: _draft, ...values } = profile.values;
  return { ...profile, values };
}

interface Running {
  readonly paths: Paths;
  readonly status: Status;
  readonly more: readonly string[];
}

async function chatWithServer(profile: Profile, { paths, status, more }: Running): Promise<number> {
  const { name, values } = profile;
  const { url, state } = status;
  if (url === null || state !== "ready") {
    throw new LlmctlError("not-ready", `"${name}" is running, but not ready: ${state}`, {
      exit: "busy",
      fix: { before: "wait for it with", run: ["up", name] },
    });
  }
  const options = { paths, env: process.env };
  // llama-cli has no way to send a key, nor to connect to a unix socket.
  const keyFile = values.server.api_key_file;
  const connects = keyFile === undefined && !isSocketUrl(url) && (await askLlamaCli(profile, options)).connects;
  const [apiKey] =
    keyFile === undefined ? [] : readApiKeys(keyFile, { at: profile.at("server", "api_key_file"), hasComments: true });
  note(`"${name}" is running: this is a chat with its server, ${url}`);
  if (!connects) {
    if (more.length > 0) throw noFlags(name, more);
    return (await import("./server-chat.ts")).serverChat({ url, apiKey });
  }
  const { command, flags } = await planCli(withoutDraft(profile), options);
  // The values of a request override the defaults of the server, and llama-cli always sends some.
  const sampling = flags.filter(({ key }) => key.startsWith("sampling.")).flatMap(({ args }) => args);
  return run(command, ["--server-base", url, ...sampling, ...more]);
}

function noFlags(name: string, more: readonly string[]): LlmctlError {
  return new LlmctlError("usage", `"${more.join(" ")}" is for llama-cli, which cannot chat with this running server`, {
    exit: "usage",
    fix: { before: "leave the flags out, or run", run: ["down", name], after: "first" },
  });
}

/** Variables that describe the terminal; the environment of a server has none of them. */
const terminalNames = ["TERM", "COLORTERM", "NO_COLOR"];

async function run({ file, env }: Command, args: readonly string[]): Promise<number> {
  const terminal = terminalNames.flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  return runOnTerminal({ file, args, env: { ...Object.fromEntries(terminal), ...env } as Record<string, string> });
}
