import type { ExitCause, Launch } from "./launch.ts";

// Causes that the supervisor itself finds. The protocol explains the server's own last words.

export function stalled(launch: Launch): ExitCause {
  return {
    kind: "stalled",
    message: `the load showed no sign of life (log, CPU, I/O) for ${launch.health.stallTimeoutMs / 1000} s`,
    fix: {
      before: "look at the end of the log with",
      run: ["logs", launch.name],
      after: "; raise health.stall_timeout when the disk is slow",
    },
    permanent: false,
    exit: "notReadyInTime",
  };
}

export function hung(launch: Launch): ExitCause {
  return {
    kind: "hung",
    message:
      "the server answered no health check, logged nothing and used no CPU " +
      `for ${launch.health.hangTimeoutMs / 1000} s`,
    permanent: false,
    exit: "failed",
  };
}

/** A server without its worker aborts at the next computation. */
export const workerLost: ExitCause = {
  kind: "rpc-worker-lost",
  message: "a worker of rpc.workers has closed its connection",
  fix: 'see on its machine why: "llmctl ps"; this server is started again when all its workers answer',
  permanent: false,
  exit: "unavailable",
};

export function brokenBySuspend(reason: string): ExitCause {
  return {
    kind: "broken-by-suspend",
    message: `the server has stopped computing since the machine was suspended: ${reason}`,
    fix:
      "see the end of its log; NVIDIA's driver keeps a GPU's memory through a suspend " +
      "when NVreg_PreserveVideoMemoryAllocations=1 is set",
    permanent: false,
    exit: "failed",
  };
}

export function crashLoop(failuresMs: readonly number[], last: ExitCause): ExitCause {
  const seconds = Math.max(1, Math.round(((failuresMs.at(-1) ?? 0) - (failuresMs[0] ?? 0)) / 1000));
  return {
    kind: "crash-loop",
    message: `crash loop: ${failuresMs.length} unexpected exits in ${seconds} s, the last: ${last.message}`,
    ...(last.fix === undefined ? {} : { fix: last.fix }),
    permanent: true,
    exit: "crashLoop",
  };
}
