import { z } from "zod";

/** The devices of other machines, through llama.cpp's RPC backend. */
export const rpcKeys = {
  kind: z
    .enum(["server", "rpc-worker"])
    .default("server")
    .meta({
      description: "What runs: a llama-server, or a worker that computes for the llama-server of another machine",
      examples: ["server"],
    }),
  rpc: z
    .strictObject({
      workers: z
        .array(
          z
            .string()
            .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*:\d{1,5}$/)
            .meta({ title: "an address such as 10.0.0.2:50052" }),
        )
        .min(1)
        .optional()
        .meta({
          description:
            "Workers whose devices the server uses as RPC0, RPC1 …; " +
            "only on a private network, since the protocol protects nothing",
          examples: [["10.0.0.2:50052"]],
        }),
      cache: z
        .boolean()
        .optional()
        .meta({ description: "For a worker: keep the weights that it receives on its own disk", examples: [true] }),
    })
    .default({})
    .meta({ description: "Devices of other machines", examples: [{ workers: ["10.0.0.2:50052"] }] }),
};
