/** Every exit code of the program; the README's table is held equal to this one by a test. */
export const exitCodes = {
  done: { code: 0, meaning: "done" },
  failed: { code: 1, meaning: "failed" },
  usage: { code: 2, meaning: "wrong usage" },
  notRunning: { code: 3, meaning: "the profile is not running" },
  diedBeforeReady: { code: 10, meaning: "the server died before it was ready" },
  notReadyInTime: { code: 11, meaning: "the server was not ready in time" },
  crashLoop: { code: 12, meaning: "crash loop: too many unexpected exits" },
  missingFile: { code: 66, meaning: "a file is missing or is not what it should be" },
  unavailable: { code: 69, meaning: "a port, device or network service is not available" },
  bug: { code: 70, meaning: "an error in llmctl itself" },
  io: { code: 74, meaning: "reading or writing failed" },
  busy: { code: 75, meaning: "busy: locked by another process or running with another configuration" },
  permission: { code: 77, meaning: "permission denied" },
  config: { code: 78, meaning: "the profile or the configuration is wrong" },
  interrupted: { code: 130, meaning: "interrupted with Ctrl-C" },
} as const satisfies Record<string, { code: number; meaning: string }>;

/** The name of one exit code, as used by {@link LlmctlError}. */
export type ExitName = keyof typeof exitCodes;
