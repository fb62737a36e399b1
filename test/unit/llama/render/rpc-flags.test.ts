import { expect, test } from "vitest";
import { withoutRpc } from "../../../../src/llama/render/rpc-flags.ts";

const flag = (key: string, ...args: string[]) => ({ key, path: key.split("."), args });

test("a dry run leaves out the workers and whatever names their devices, and keeps the rest in order", () => {
  const kept = [
    flag("model", "--model", "/m/RPC.gguf"),
    flag("devices", "--device", "CUDA0,CUDA1"),
    flag("alias", "--alias", "XRPC0"),
    flag("args[0]", "--rpc-like", "RPC"),
  ];
  const left = [
    flag("rpc.workers", "--rpc", "h:1"),
    flag("devices", "--device", "RPC0"),
    flag("draft.devices", "--device-draft", "CUDA0,RPC12"),
    flag("override_tensor", "--override-tensor", "exps=RPC[h:1]"),
    flag("args[1]", "--main-gpu", "0", "RPC1"),
  ];
  expect(withoutRpc([...left.slice(0, 2), ...kept, ...left.slice(2)])).toEqual(kept);
  expect(withoutRpc(kept)).toEqual(kept);
});
