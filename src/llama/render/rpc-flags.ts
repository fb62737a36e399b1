import { impossible, leftOut, passed, type FlagRule, type RenderedFlag } from "./flag-rule.ts";

/**
 * Stands before every flag that names a device: llama.cpp reads from left to right, and `--device RPC0` exists only
 * behind it.
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
  render: ({ values }) =>
    values.rpc.cache === undefined ? undefined : leftOut("only a worker keeps the weights that it is sent"),
};

/**
 * The flags that a binary can check without its workers. It connects to each while it reads its command line, aborts
 * where one is down, and waits for ever where one serves another program, as it does while this very profile runs.
 */
export function withoutRpc(flags: readonly RenderedFlag[]): RenderedFlag[] {
  return flags.filter(({ key, args }) => key !== rpcWorkers.key && !args.some((word) => /\bRPC(?:\d|\[)/.test(word)));
}
