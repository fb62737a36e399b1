import { impossible, leftOut, passed, type FlagRule, type RenderedFlag } from "./flag-rule.ts";

/**
 * Comes before every flag that names a device: llama.cpp parses from left to right, and knows the device `RPC0` only
 * after `--rpc`.
 */
export const rpcWorkers: FlagRule = {
  key: "rpc.workers",
  flags: ["--rpc"],
  render({ values, catalogue }) {
    const { workers } = values.rpc;
    if (workers === undefined) return undefined;
    if (catalogue.has("--rpc")) return passed(["--rpc", workers.join(",")]);
    return impossible(`llama.cpp ${catalogue.version} was built without RPC`, {
      run: ["build", "--rpc"],
      or: "name a build that has it",
    });
  },
};

export const rpcCache: FlagRule = {
  key: "rpc.cache",
  flags: [],
  render: ({ values }) => (values.rpc.cache === undefined ? undefined : leftOut("only a worker caches weights")),
};

/**
 * The flags that a binary can check without its workers. While it parses `--rpc` it connects to each worker: it aborts
 * when one is down, and waits without end when one serves another program, as while this profile runs.
 */
export function withoutRpc(flags: readonly RenderedFlag[]): RenderedFlag[] {
  return flags.filter(({ key, args }) => key !== rpcWorkers.key && !args.some((word) => /\bRPC(?:\d|\[)/.test(word)));
}
