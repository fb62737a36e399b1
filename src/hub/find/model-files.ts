/** The files of one model, complete on disk. */
export interface ModelFiles {
  /** Absolute paths, first shard first; llama.cpp is given the first and finds the others beside it. Never empty. */
  readonly shards: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Where the files were found, for people: `local file`, `Hugging Face cache`. */
  readonly source: string;
}
