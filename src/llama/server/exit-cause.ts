import type { ExitName } from "../../base/exit-codes.ts";
import type { Fix } from "../../base/fix.ts";
import type { ExitCause, ServerExit } from "../../supervisor/launch.ts";
import { type FixFor, type KnownLogLine, knownLogLines } from "./exit-log-lines.ts";

const signalCauses: Readonly<Record<string, Pick<KnownLogLine, "kind" | "message" | "fix">>> = {
  SIGKILL: {
    kind: "killed",
    message: "the server was killed (SIGKILL)",
    fix:
      'if nobody did that, the kernel ran out of memory: see "dmesg | grep -i oom"; ' +
      "lower ctx_size or use a smaller quant",
  },
  SIGSEGV: {
    kind: "crashed",
    message: "the server crashed (SIGSEGV)",
    fix: { before: "a native build may not suit this CPU; make a portable one:", run: ["build", "--portable"] },
  },
  SIGILL: {
    kind: "crashed",
    message: "the server used an instruction that this CPU does not have (SIGILL)",
    fix: { before: "make a build that runs on any CPU:", run: ["build", "--portable"] },
  },
  SIGABRT: {
    kind: "aborted",
    message: "the server aborted itself (SIGABRT)",
    fix: (name) => ({ before: "the end of its log says why:", run: ["logs", name] }),
  },
};

const hostOutOfMemory: Pick<ExitCause, "kind" | "message" | "fix"> = {
  kind: "host-out-of-memory",
  message: "the kernel killed the server because the memory ran out",
  fix:
    "lower ctx_size, use a smaller quant, or stop other programs that use the memory; " +
    "a container or service may have a limit of its own",
};

/** Explains how a server ended, from its exit code or signal and the end of its log. */
export function explainExit(exit: ServerExit): ExitCause {
  // The log does not explain a SIGKILL or SIGTERM from outside. It often explains an abort or a crash: some builds end
  // that way after an error.
  const ownEnd = exit.signal === null || exit.signal === "SIGABRT" || exit.signal === "SIGSEGV";
  const known = ownEnd ? findKnown(exit) : undefined;
  if (known !== undefined) return known;
  const late: ExitName = exit.wasReady ? "failed" : "diedBeforeReady";
  if (exit.signal === "SIGKILL" && exit.oomKills > 0) return { ...hostOutOfMemory, permanent: false, exit: late };
  if (exit.signal !== null) {
    const { fix, ...cause } = signalCauses[exit.signal] ?? {
      kind: "killed",
      message: `the server was ended by ${exit.signal}`,
    };
    return { ...cause, ...fixFor(exit, fix), permanent: false, exit: late };
  }
  return {
    kind: "exited",
    message:
      exit.code === null
        ? "the server is gone; its exit code is unknown because this supervisor did not start it"
        : `the server exited with code ${exit.code}`,
    fix: { before: "see the end of its log:", run: ["logs", exit.name] },
    permanent: false,
    exit: late,
  };
}

/** Most characters of a log line that a message quotes; a path can have 4096. */
const longestWords = 1000;

function findKnown(exit: ServerExit): ExitCause | undefined {
  for (const { line, message, fix, ...rest } of knownLogLines) {
    const match = exit.lastLines.map((text) => line.exec(text)).find((found) => found !== null);
    if (match == null) continue;
    const what = Object.values(match.groups ?? {}).find((group) => group !== undefined);
    return {
      ...rest,
      ...fixFor(exit, fix),
      message: what === undefined ? message : `${message}: ${what.slice(0, longestWords)}`,
    };
  }
  return undefined;
}

function fixFor({ name }: ServerExit, fix: FixFor | undefined): { readonly fix?: Fix } {
  if (fix === undefined) return {};
  return { fix: typeof fix === "function" ? fix(name) : fix };
}
