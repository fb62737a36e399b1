import {
  type Check,
  type Checks,
  findWrong,
  isBoolean,
  isListOf,
  isMap,
  isNullOr,
  isNumber,
  isOneOf,
  isOptional,
  isPort,
  isShape,
  isText as isAnyText,
} from "../base/text/check-shape.ts";
import { LlmctlError } from "../base/errors.ts";
import { llmctlVersion } from "../base/version.ts";
import { type Launch, launchVersion, type StepCosts } from "./launch.ts";

/*
 * Every value of a launch from the control socket is checked on arrival: otherwise a bad value would show only after
 * the running server is gone.
 */

/** No argument or variable can contain a NUL, and Node's error about one quotes it. */
const isText: Check = (value) => isAnyText(value) && !String(value).includes("\0");
const isTextMap: Check = (value) => isMap(value) && Object.entries(value).flat().every(isText);

const proof: Check = (value) =>
  isMap(value) &&
  (value["wanted"] === true
    ? isOneOf("serve", "fail")(value["onFailure"])
    : value["wanted"] === false && isText(value["reason"]));

const files = isListOf(isShape<Launch["files"][number]>({ path: isText, sizeBytes: isNumber }));

const costs = isShape<StepCosts>({
  stepMs: isListOf(isShape<StepCosts["stepMs"][number]>({ contextTokens: isNumber, ms: isNumber })),
  targetMs: isNullOr(isListOf(isNumber)),
  draftMs: isNullOr(isListOf(isNumber)),
  reevaluates: isBoolean,
});

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
  files,
  rpcWorkers: isListOf(isText),
  proof,
  costs: isOptional(costs),
  fallback: isOptional(isShape<NonNullable<Launch["fallback"]>>({ args: isListOf(isText), files })),
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
 * Checks a launch that another process sent to replace the running one.
 * @param from Version of the llmctl that sent it; undefined when that version is too old to send it.
 * @throws LlmctlError `launch-version`, `launch-refused`; the running server stays as it is.
 */
export function checkLaunch(
  value: unknown,
  running: Pick<Launch, "name" | "protocol">,
  from: string | undefined,
): Launch {
  const { name } = running;
  if (!isMap(value)) throw refused(name, "the request has none");
  if (value["version"] !== launchVersion)
    throw otherVersion(name, llmctlVersion, `llmctl ${from ?? "of an earlier version"}`);
  const wrong = findWrong(value, launchChecks);
  if (wrong !== undefined) throw refused(name, `this version does not know its "${wrong}"`);
  const launch = value as unknown as Launch;
  if (launch.name !== name) throw refused(name, `it belongs to "${launch.name}"`);
  if (launch.protocol !== running.protocol) throw refused(name, "the profile is now of another kind");
  return launch;
}

/** The error for a launch that another version of llmctl planned and this supervisor cannot run. */
export function otherVersion(name: string, supervisor: string | undefined, caller: string): LlmctlError {
  return new LlmctlError(
    "launch-version",
    `"${name}" was started by llmctl ${supervisor ?? "of an earlier version"}, ` +
      `which cannot take a new configuration from ${caller}; it runs on as it is`,
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
