/** What is asked of every server of a comparison. */
export interface BenchPrompt {
  /** The first 16 hexadecimal digits of the SHA-256 of path and body. */
  readonly id: string;
  /** `code`, `rewrite`, `prose` or `questions` for the shipped ones; else what the file says, or `own`. */
  readonly kind: string;
  /** For people: the start of the last message, on one line. */
  readonly excerpt: string;
  /** Where it is posted: chats, or text that the model continues. */
  readonly path: "/v1/chat/completions" | "/completion";
  /** The request, without what the measurement sets itself: `stream`, `cache_prompt`, `seed` and `max_tokens`. */
  readonly body: Readonly<Record<string, unknown>>;
}
