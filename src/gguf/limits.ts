/**
 * Limits for untrusted files. They are far above every known model: a vocabulary of 262,144 tokens makes a header of
 * about 16 MB, and the largest mixture of experts has a few thousand tensors. With them, a hostile file takes less than
 * a second and less than 200 MB.
 */
export const limits = {
  /** Stops a header as long as its file, because a header is held in memory. Real ones have 5 to 20 MB. */
  headerBytes: 66 * 2 ** 20,
  /**
   * All shards of a set together: stops a set of thousands of large headers. In a real set, all but the first have a
   * few kilobytes.
   */
  setBytes: 96 * 2 ** 20,
  /** Stops millions of tiny keys and tensors, which become objects of hundreds of bytes. Real models have 100 keys. */
  keys: 16_384,
  tensors: 65_536,
  /** All shards of a set together; all but the first have three. */
  setKeys: 65_536,
  dimensions: 4,
  /** Stops endless recursion. No known key nests arrays. */
  nesting: 4,
  /** Stops arrays of empty arrays, which cost much more memory than their bytes. */
  innerArrays: 65_536,
  /**
   * Stops arrays of empty strings, which the comparison of vocabularies would walk over. Real vocabularies have up to
   * 850,000 strings, merges included.
   */
  strings: 2_000_000,
  /** The format's own limit. */
  keyBytes: 65_535,
  /** llama.cpp accepts 63. */
  tensorNameBytes: 1024,
  /** Stops names and templates of megabytes, which would be copied into messages. The longest templates have 100 kB. */
  valueBytes: 2 ** 20,
  /** All decoded texts together: they take two bytes in memory for one in the file. */
  textBytes: 8 * 2 ** 20,
} as const;
