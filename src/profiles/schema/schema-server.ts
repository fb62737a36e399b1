import { z } from "zod";
import { count, text } from "./schema-values.ts";

/** The HTTP server. */
export const server = z
  .strictObject({
    host: text.default("127.0.0.1").meta({
      description:
        "Address to listen on, or the path of a unix socket, which ends in .sock (relative to this YAML file)",
      examples: ["127.0.0.1", "run/coder.sock"],
    }),
    port: z
      .union([z.int().min(1).max(65535), z.literal("auto")])
      .default("auto")
      .meta({
        description: "TCP port; auto takes a free one at each start; with a unix socket there is none",
        examples: [8001],
      }),
    api_key_file: text.optional().meta({
      description:
        "File with one API key per line (relative to this YAML file); " +
        "without it, whoever reaches the server can use it",
      examples: ["/etc/llmctl/api-keys"],
    }),
    metrics: z
      .boolean()
      .default(false)
      .meta({ description: "Serve llama-server's own /metrics", examples: [true] }),
    metrics_port: z
      .int()
      .min(1)
      .max(65535)
      .optional()
      .meta({
        description:
          "TCP port of server.host, or of 127.0.0.1 with a unix socket, on which llmctl itself serves /metrics; " +
          "with metrics: true it includes those of llama-server",
        examples: [9464],
      }),
    slots: z
      .boolean()
      .optional()
      .meta({
        description: "Serve /slots, which shows prompts to every client; without it a stop does not wait for requests",
        examples: [false],
      }),
    slot_save_path: text
      .optional()
      .meta({ description: "Folder where contexts can be saved (relative to this YAML file)", examples: ["slots"] }),
    props: z
      .boolean()
      .optional()
      .meta({ description: "Let clients change properties with POST /props", examples: [true] }),
    ui: z
      .boolean()
      .optional()
      .meta({ description: "Serve llama-server's web page", examples: [false] }),
    threads_http: count
      .min(1)
      .optional()
      .meta({ description: "Threads that answer HTTP requests", examples: [8] }),
    sleep_idle_seconds: count
      .min(1)
      .optional()
      .meta({
        description: "Free the model's memory after this many seconds without a request; the next one loads it again",
        examples: [900],
      }),
  })
  .prefault({})
  .meta({ description: "The HTTP server", examples: [{ port: 8001 }] });
