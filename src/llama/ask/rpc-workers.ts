import type { Problem } from "../../base/errors.ts";
import type { ExitCause, Launch } from "../../supervisor/launch.ts";
import { type Device, parseDevices } from "./devices.ts";
import { runBriefly } from "./run-briefly.ts";

type ChildEnv = Readonly<Record<string, string>>;

/** Why this machine's build cannot use a worker. */
export interface WorkerProblem extends Required<Pick<Problem, "message" | "fix">> {
  readonly worker: string;
}

/**
 * A usable worker lists its devices at once. The binary itself waits without end for a worker that serves another
 * program.
 */
const answerTimeoutMs = 5000;

/**
 * Runs the server's own binary to connect to each worker, as the server does when it starts: so address, protocol and
 * devices are those that the server will find. A worker serves one program at a time: never ask the workers of a
 * running server.
 * @returns the devices of all workers, in their order, or the problem of the first worker that has one.
 */
export async function askWorkers(
  file: string,
  env: ChildEnv,
  workers: readonly string[],
): Promise<readonly Device[] | WorkerProblem> {
  const answers = await Promise.all(workers.map((worker) => askWorker(file, env, worker)));
  const problem = answers.find((answer) => "worker" in answer);
  return problem ?? answers.flatMap((answer) => ("worker" in answer ? [] : answer)).map(rename);
}

/** Each worker was asked alone, so its names begin with RPC0. Builds of 2025 use the address as a name instead. */
function rename(device: Device, index: number): Device {
  return { ...device, name: device.name.replace(/^RPC\d+$/, `RPC${index}`) };
}

async function askWorker(file: string, env: ChildEnv, worker: string): Promise<readonly Device[] | WorkerProblem> {
  const result = await runBriefly(file, ["--rpc", worker, "--list-devices"], {
    env: { ...env, GGML_NO_BACKTRACE: "1" },
    timeoutMs: answerTimeoutMs,
  });
  const devices = result.failed ? [] : parseDevices(result.stdout).filter(({ name }) => name.startsWith("RPC"));
  return devices.length > 0 ? devices : { worker, ...explain(worker, result) };
}

function explain(
  worker: string,
  { timedOut, stderr }: { timedOut: boolean; stderr: string },
): Pick<WorkerProblem, "message" | "fix"> {
  if (timedOut) {
    const message = `worker ${worker} does not answer: it is out of reach, or serves another program`;
    return {
      message,
      fix: "make sure that its machine is up, that no firewall blocks it, and that no other server uses it",
    };
  }
  if (/version mismatch|malformed response/.test(stderr)) {
    const fix = "run the same release of llama.cpp on both machines";
    return { message: `worker ${worker} speaks another version of the protocol than this build`, fix };
  }
  const fix = 'start it on its machine: "llmctl up" with a profile of "kind: rpc-worker"';
  return { message: `no worker listens on ${worker}`, fix };
}

/**
 * Why the workers of a launch cannot be used now; undefined when they can. Never a permanent cause: the machine of a
 * worker may still be starting.
 */
export async function checkWorkers({ file, env, rpcWorkers }: Launch): Promise<ExitCause | undefined> {
  const answer = rpcWorkers.length === 0 ? [] : await askWorkers(file, env, rpcWorkers);
  if (!("worker" in answer)) return undefined;
  return {
    kind: "rpc-worker-unusable",
    message: answer.message,
    fix: answer.fix,
    permanent: false,
    exit: "unavailable",
  };
}
