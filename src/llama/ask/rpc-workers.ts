import type { Problem } from "../../base/errors.ts";
import type { ExitCause, Launch } from "../../supervisor/launch.ts";
import { type Device, parseDevices } from "./devices.ts";
import { runBriefly } from "./run-briefly.ts";

type ChildEnv = Readonly<Record<string, string>>;

/** What a worker of this machine's build, on this network, cannot be used for. */
export interface WorkerProblem extends Required<Pick<Problem, "message" | "fix">> {
  readonly worker: string;
}

/**
 * A worker that can be used tells its devices at once; the binary's own wait for one that serves another program has no
 * end.
 */
const answerTimeoutMs = 5000;

/**
 * Has the server's own binary greet each worker, as it will when it starts: address, protocol and devices are then as
 * it finds them. A worker serves one program at a time, so never ask those of a server that runs.
 * @returns the devices of all, in the order of the workers, or the first worker's problem.
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

/** Each was asked alone, and so counted from 0. Builds of 2025 name them by address instead. */
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
      fix: "see that its machine is up, that no firewall is between, and that no other server uses it",
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
 * Whether the workers of a launch can be used now.
 * @returns why not; passing, since the machine of a worker may be starting, too.
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
