import fc from "fast-check";
import { commands, runCommand, stoppable, type CommandLine } from "./commands.ts";
import { harm, harms, takeFoldersAway, type Harm } from "./harm.ts";
import type { StoppedClient } from "./stopped-clients.ts";
import { signalIfThere } from "./servers.ts";
import { logins, type World } from "./world.ts";

const signals = ["SIGKILL", "SIGSEGV", "SIGSTOP", "SIGTERM"] as const;

/** Actions on all profiles at once. Those that give something back are more frequent than those that take it away. */
const outside = [
  "fill the disk",
  "free the disk",
  "free the disk",
  "steal the port",
  "give the port back",
  "give the port back",
  "remove the runtime folder",
  "put a file in the place of the runtime folder",
  "give the runtime folder back",
  "give the runtime folder back",
  "take the folders away",
  "take the folders away",
  "let the stopped clients go",
  "let the stopped clients go",
] as const;

/** One action on one profile, or on all of them. */
export type Action =
  | ({ readonly do: "command" } & CommandLine)
  | ({ readonly do: "stop a client" } & StoppedClient)
  | ({ readonly do: "harm" } & Harm)
  | {
      readonly do: "signal";
      readonly to: "server" | "supervisor";
      readonly signal: (typeof signals)[number];
      readonly name: string;
    }
  | { readonly do: (typeof outside)[number] };

/** Up to three actions at the same time. */
export function stepArbitrary(names: readonly string[]): fc.Arbitrary<readonly Action[]> {
  const name = fc.constantFrom(...names);
  const login = fc.constantFrom(...logins);
  const command = fc.record({
    do: fc.constant("command" as const),
    // Most actions are for profiles that run.
    command: fc.oneof(
      { weight: 4, arbitrary: fc.constant("up -d" as const) },
      { weight: 3, arbitrary: fc.constantFrom(...commands) },
    ),
    name,
    login,
  });
  const client = fc.record({
    do: fc.constant("stop a client" as const),
    command: fc.constantFrom(...stoppable),
    name,
    login,
    afterMs: fc.nat(600),
    fate: fc.constantFrom("SIGCONT" as const, "SIGCONT" as const, "SIGKILL" as const),
  });
  const signal = fc.record({
    do: fc.constant("signal" as const),
    to: fc.constantFrom("server" as const, "supervisor" as const),
    signal: fc.constantFrom(...signals),
    name,
  });
  const harmed = fc
    .constantFrom(...harms.flatMap(([file, ways]) => ways.map((how) => ({ file, how }))))
    .chain((what) => name.map((harmedName) => ({ do: "harm" as const, ...what, name: harmedName })));
  const action = fc.oneof<fc.MaybeWeightedArbitrary<Action>[]>(
    { weight: 10, arbitrary: command },
    { weight: 6, arbitrary: signal },
    { weight: 5, arbitrary: harmed },
    { weight: 3, arbitrary: client },
    { weight: 5, arbitrary: fc.record({ do: fc.constantFrom(...outside) }) },
  );
  return fc.array(action, { minLength: 1, maxLength: 3 }).filter(leavesAWord);
}

/** When both files that name a server are damaged and its supervisor is killed, nobody can find the server. */
function leavesAWord(step: readonly Action[]): boolean {
  const harmed = step.filter(
    (action) => action.do === "harm" && (action.file === "state.json" || action.file === "server.lock"),
  );
  return new Set(harmed.map((action) => "name" in action && action.name)).size === harmed.length;
}

export function describeAction(action: Action): string {
  switch (action.do) {
    case "command":
      return `${action.command} ${action.name} (${action.login})`;
    case "stop a client":
      return `stop ${action.command} ${action.name} (${action.login}) after ${action.afterMs} ms for ${action.fate}`;
    case "harm":
      return `${action.how} ${action.file} of ${action.name}`;
    case "signal":
      return `${action.signal} to the ${action.to} of ${action.name}`;
    default:
      return action.do;
  }
}

/** @returns the outcome in a word. @throws when this outcome is not allowed. */
export async function perform(world: World, action: Action): Promise<string> {
  switch (action.do) {
    case "command":
      return runCommand(world, action);
    case "stop a client":
      return world.clients.stop(world, action);
    case "harm":
      return harm(world, action);
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
    case "remove the runtime folder":
      return world.removeRuntime().then(() => "removed");
    case "put a file in the place of the runtime folder":
      return (await world.blockRuntime()) ? "blocked" : "made again";
    case "give the runtime folder back":
      return world.giveBackRuntime().then(() => "given back");
    case "take the folders away":
      return takeFoldersAway(world).then(() => "taken");
    case "let the stopped clients go":
      return world.clients.letGo();
  }
}

async function sendSignal(world: World, { to, signal, name }: Extract<Action, { do: "signal" }>): Promise<string> {
  const status = (await world.list()).find((entry) => entry.name === name);
  const isThere = status?.presence === "live" || (status?.presence === "orphaned" && to === "server");
  const pid = to === "server" ? status?.pid : status?.supervisorPid;
  if (!isThere || pid == null) return "nobody";
  if (to === "supervisor" && signal === "SIGSTOP") world.stopSupervisor(pid);
  return signalIfThere(pid, signal) ? `pid ${pid}` : "nobody";
}
