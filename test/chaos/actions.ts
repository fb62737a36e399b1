import fc from "fast-check";
import { llmctl } from "../support/llmctl.ts";
import { signalIfThere, type World } from "./world.ts";

const commands = ["up -d", "down", "down --now", "restart"] as const;
const signals = ["SIGKILL", "SIGSEGV", "SIGSTOP", "SIGTERM"] as const;

/** One thing that happens to one profile, or to all of them. */
export type Action =
  | { readonly do: "command"; readonly command: (typeof commands)[number]; readonly name: string }
  | { readonly do: "signal"; readonly to: "server" | "supervisor"; readonly signal: (typeof signals)[number]; readonly name: string }
  | { readonly do: "fill the disk" | "free the disk" | "steal the port" | "give the port back" };

/** Up to three things at the same time. */
export function stepArbitrary(names: readonly string[]): fc.Arbitrary<readonly Action[]> {
  const name = fc.constantFrom(...names);
  const command = fc.record({
    do: fc.constant("command" as const),
    // Most is to be done to profiles that run.
    command: fc.oneof({ weight: 3, arbitrary: fc.constant("up -d" as const) }, { weight: 2, arbitrary: fc.constantFrom(...commands) }),
    name,
  });
  const signal = fc.record({
    do: fc.constant("signal" as const),
    to: fc.constantFrom("server" as const, "supervisor" as const),
    signal: fc.constantFrom(...signals),
    name,
  });
  // What is taken away is given back sooner than it is taken.
  const outside = fc.record({
    do: fc.constantFrom("fill the disk", "free the disk", "free the disk", "steal the port", "give the port back", "give the port back"),
  });
  const action = fc.oneof<fc.MaybeWeightedArbitrary<Action>[]>(
    { weight: 5, arbitrary: command },
    { weight: 4, arbitrary: signal },
    { weight: 2, arbitrary: outside },
  );
  return fc.array(action, { minLength: 1, maxLength: 3 });
}

export function describeAction(action: Action): string {
  switch (action.do) {
    case "command":
      return `${action.command} ${action.name}`;
    case "signal":
      return `${action.signal} to the ${action.to} of ${action.name}`;
    default:
      return action.do;
  }
}

/** @returns what came of it, in a word. @throws when that is nothing that may come of it. */
export async function perform(world: World, action: Action): Promise<string> {
  switch (action.do) {
    case "command":
      return runCommand(world, action);
    case "signal":
      return sendSignal(world, action);
    case "fill the disk":
      return (await world.fillDisk()) ? "full" : "not full";
    case "free the disk":
      return world.freeDisk().then(() => "free");
    case "steal the port":
      return (await world.stealPort()) ? "stolen" : "in use";
    case "give the port back":
      return world.giveBackPort().then(() => "given back");
  }
}

/** What may end a command while others disturb it. Never: our own bug (70), wrong usage or profile (2, 78), a missing file (66). */
const permittedCodes = new Set([0, 1, 3, 10, 11, 12, 69, 74, 75]);

async function runCommand({ home }: World, { command, name }: Extract<Action, { do: "command" }>): Promise<string> {
  const { exitCode, stdout, stderr } = await llmctl([...command.split(" "), name], { home });
  if (exitCode === undefined || !permittedCodes.has(exitCode) || stderr.includes("internal error")) {
    throw new Error(`llmctl ${command} ${name} ended with ${exitCode ?? "nothing in 50 s"}:\n${stdout}\n${stderr}`);
  }
  if (exitCode === 1 && !/does not answer|ended without a word/.test(stderr)) {
    throw new Error(`llmctl ${command} ${name} failed without a reason:\n${stdout}\n${stderr}`);
  }
  return String(exitCode);
}

async function sendSignal(world: World, { to, signal, name }: Extract<Action, { do: "signal" }>): Promise<string> {
  const status = (await world.list()).find((entry) => entry.name === name);
  const isThere = status?.presence === "live" || (status?.presence === "orphaned" && to === "server");
  const pid = to === "server" ? status?.pid : status?.supervisorPid;
  if (!isThere || pid == null) return "nobody";
  if (to === "supervisor" && signal === "SIGSTOP") world.stopSupervisor(pid);
  return signalIfThere(pid, signal) ? `pid ${pid}` : "nobody";
}
