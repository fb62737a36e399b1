/**
 * Far above every known model (a vocabulary of 262,144 tokens makes a header of about 16 MB, the largest mixture of
 * experts has a few thousand tensors), and low enough that a hostile file takes less than a second and 200 MB.
 */
export const limits = {
  /** Stops a header that is as long as its file: all of it is held in memory. Those of real models have 5 to 20 MB. */
  headerBytes: 66 * 2 ** 20,
  /**
   * All shards of a set together: a set of thousands of files with large headers. The others of a real set have some
   * kilobytes each.
   */
  setBytes: 96 * 2 ** 20,
  /**
   * Stops millions of tiny keys and tensors, each of which becomes objects of some hundred bytes. Real models have 100
   * keys.
   */
  keys: 16_384,
  tensors: 65_536,
  /** All shards of a set together; the others have three each. */
  setKeys: 65_536,
  dimensions: 4,
  /** Stops recursion without end. No known key nests arrays at all. */
  nesting: 4,
  /** Stops arrays of empty arrays, which cost much more than their bytes. */
  innerArrays: 65_536,
  /**
   * Stops arrays of empty strings, over which the comparison of vocabularies walks. Real vocabularies have up to
   * 850,000, merges included.
   */
  strings: 2_000_000,
  /** The format's own. */
  keyBytes: 65_535,
  /** llama.cpp takes 63. */
  tensorNameBytes: 1024,
  /**
   * Stops names and templates of megabytes, which would be copied into each message and key. The longest chat templates
   * have 100 kB.
   */
  valueBytes: 2 ** 20,
  /** Of all texts that are decoded: two bytes in memory for one in the file. */
  textBytes: 8 * 2 ** 20,
} as const;
