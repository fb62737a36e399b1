/** Flags that llmctl decides about, and what to do instead. */
export const ownedFlags: readonly { readonly flags: readonly string[]; readonly why: string; readonly fix: string }[] =
  [
    {
      flags: ["--model-url", "--hf-repo", "--hf-file", "--docker-repo", "--spec-draft-hf", "--hf-repo-draft"],
      why: "names a model, which llmctl finds and checks by itself",
      fix: "write model: { hf: OWNER/REPO, quant: … } (the same under draft)",
    },
    {
      flags: ["--api-key"],
      why: "shows the key to every user of this machine",
      fix: "put it in a file and name that in server.api_key_file",
    },
    {
      flags: ["--hf-token"],
      why: "shows the token to every user of this machine",
      fix: "remove it: models are fetched before a start, with the HF_TOKEN of the environment",
    },
    { flags: ["--reuse-port"], why: "lets a second server take the same port unseen", fix: "remove it" },
    {
      flags: ["--log-disable", "--log-jsonl"],
      why: "hides the log that llmctl reads",
      fix: "remove it; see the key log",
    },
    {
      flags: ["--ssl-key-file", "--ssl-cert-file", "--api-prefix"],
      why: "moves the server away from where llmctl asks for its health",
      fix: "remove it, and put a proxy before the server",
    },
    {
      flags: ["--help", "--version", "--license", "--cache-list", "--completion-bash", "--list-devices"],
      why: "makes the program print something and end",
      fix: "remove it",
    },
  ];

/**
 * What a flag of any build holds, by its name, that must not stand on a command line: not `--api-key-file`, which names
 * a path.
 */
export const secretFlag = /[-_](?:[a-z\d]*key|token|secret|password|passwd)$|^-+hft$/i;
