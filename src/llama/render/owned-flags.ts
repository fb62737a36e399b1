/** Flags that only llmctl may pass: why raw `args` may not, and what to do instead. */
export const ownedFlags: readonly { readonly flags: readonly string[]; readonly why: string; readonly fix: string }[] =
  [
    {
      flags: ["--model-url", "--hf-repo", "--hf-file", "--docker-repo", "--spec-draft-hf", "--hf-repo-draft"],
      why: "names a model, and llmctl finds and checks models itself",
      fix: "write model: { hf: OWNER/REPO, quant: … } (the same under draft)",
    },
    {
      flags: ["--api-key"],
      why: "shows the key to every user of this machine",
      fix: "put the key in a file and name the file in server.api_key_file",
    },
    {
      flags: ["--hf-token"],
      why: "shows the token to every user of this machine",
      fix: "remove it: llmctl reads HF_TOKEN from the environment when it fetches models",
    },
    { flags: ["--reuse-port"], why: "lets a second server listen on the same port without an error", fix: "remove it" },
    {
      flags: ["--log-disable", "--log-jsonl"],
      why: "hides the log that llmctl reads",
      fix: "remove it; see the key log",
    },
    {
      flags: ["--ssl-key-file", "--ssl-cert-file", "--api-prefix"],
      why: "changes the address where llmctl asks for the server's health",
      fix: "remove it, and put a proxy in front of the server",
    },
    {
      flags: ["--help", "--version", "--license", "--cache-list", "--completion-bash", "--list-devices"],
      why: "makes the program print something and exit",
      fix: "remove it",
    },
  ];

/**
 * Names of flags whose value is a secret, on any build: it must not be on a command line. `--api-key-file` does not
 * match, since its value is a path.
 */
export const secretFlag = /[-_](?:[a-z\d]*key|token|secret|password|passwd)$|^-+hft$/i;
