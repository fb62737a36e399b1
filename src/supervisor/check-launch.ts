import {
  type Check,
  type Checks,
  findWrong,
  isBoolean,
  isListOf,
  isMap,
  isNumber,
  isOneOf,
  isOptional,
  isPort,
  isShape,
  isText as isAnyText,
} from "../base/text/check-shape.ts";
import { LlmctlError } from "../base/errors.ts";
import { llmctlVersion } from "../base/version.ts";
import { type Launch, launchVersion } from "./launch.ts";

/*
 * Every value of a launch that comes over the control socket is checked on arrival: what was not as it should be would
 * else be found out when the running server is gone.
 */

/** No program can be given a NUL, and Node's error about one quotes it. */
const isText: Check = (value) => isAnyText(value) && !String(value).includes("\0");
const isTextMap: Check = (value) => isMap(value) && Object.entries(value).flat().every(isText);

const proof: Check = (value) =>
  isMap(value) &&
  (value["wanted"] === true
    ? isOneOf("serve", "fail")(value["onFailure"])
    : value["wanted"] === false && isText(value["reason"]));

const launchChecks: Checks<Launch> = {
  version: (value) => value === launchVersion,
  name: isText,
  protocol: isOneOf("llama-server", "rpc-worker"),
  dependsOn: isListOf(isText),
  file: isText,
  args: isListOf(isText),
  env: isTextMap,
  cwd: isText,
  host: isText,
  port: isPort,
  socketPath: isOptional(isText),
  metricsPort: isPort,
  apiKeyFile: isOptional(isText),
  files: isListOf(isShape<Launch["files"][number]>({ path: isText, sizeBytes: isNumber })),
  rpcWorkers: isListOf(isText),
  proof,
  watchTraffic: isBoolean,
  health: isShape<Launch["health"]>({
    intervalMs: isNumber,
    timeoutMs: isNumber,
    failures: isNumber,
    stallTimeoutMs: isNumber,
    hangTimeoutMs: isNumber,
    proofTimeoutMs: isNumber,
  }),
  restart: isShape<Launch["restart"]>({
    policy: isOneOf("on-failure", "never"),
    maxFailures: isNumber,
    windowMs: isNumber,
    backoffMs: isNumber,
    backoffMaxMs: isNumber,
  }),
  stopTimeoutMs: isNumber,
  orphan: isOneOf("kill", "keep"),
  log: isShape<Launch["log"]>({ maxBytes: isNumber, keep: isNumber }),
  build: isText,
  profilePath: isText,
  hash: isText,
};

/**
 * A launch that came from another process, in place of the one that runs.
 * @param from Version of the llmctl that sent it; undefined where it is too old to say.
 * @throws LlmctlError `launch-version`, `launch-refused`: what runs goes on as it is.
 */
export function checkLaunch(
  value: unknown,
  running: Pick<Launch, "name" | "protocol">,
  from: string | undefined,
): Launch {
  const { name } = running;
  if (!isMap(value)) throw refused(name, "the request carries none");
  if (value["version"] !== launchVersion)
    throw otherVersion(name, llmctlVersion, `llmctl ${from ?? "of an earlier version"}`);
  const wrong = findWrong(value, launchChecks);
  if (wrong !== undefined) throw refused(name, `its "${wrong}" is not what this version knows`);
  const launch = value as unknown as Launch;
  if (launch.name !== name) throw refused(name, `it is of "${launch.name}"`);
  if (launch.protocol !== running.protocol) throw refused(name, "the profile has become one of another kind");
  return launch;
}

/** The error where a supervisor cannot take what another version of llmctl has planned. */
export function otherVersion(name: string, supervisor: string | undefined, caller: string): LlmctlError {
  return new LlmctlError(
    "launch-version",
    `"${name}" was started by llmctl ${supervisor ?? "of an earlier version"}, which cannot take a new configuration from ${caller}; it runs on as it is`,
    {
      exit: "busy",
      fix: { before: "restart it with", run: ["down", name], andThen: { before: "", run: ["up", "-d", name] } },
    },
  );
}

function refused(name: string, why: string): LlmctlError {
  return new LlmctlError(
    "launch-refused",
    `the supervisor of "${name}" does not take the new configuration: ${why}; it runs on as it is`,
    {
      exit: "busy",
      fix: { before: "restart it with", run: ["down", name], andThen: { before: "", run: ["up", "-d", name] } },
    },
  );
}
