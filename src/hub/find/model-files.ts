/** The files of one model, complete on disk. */
export interface ModelFiles {
  /** Absolute paths, first shard first; llama.cpp is given the first and finds the others beside it. Never empty. */
  readonly shards: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** For people: where they were found, such as `local file` or `Hugging Face cache`. */
  readonly source: string;
}
