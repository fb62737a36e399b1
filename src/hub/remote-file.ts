/** One file on a server, before it is fetched. */
export interface RemoteFile {
  /** Relative to its repository or folder, with `/`; never leads out of it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex digest that the content must have; undefined where nobody says. */
  readonly digest: string | undefined;
}
