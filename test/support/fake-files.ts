import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { link, mkdtemp, open, rename, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import type { FileOperations } from "../../src/base/files/file-operations.ts";

/** The content of each file, as latin1, by its path below the folder. */
type Content = Readonly<Record<string, string>>;

/** An operation that has succeeded. */
interface Step {
  /** The operation and its paths, such as `rename state.json.tmp state.json`. */
  readonly operation: string;
  /** What a power cut right after it leaves, see {@link FakeFiles.cutPower}: without and with the names not synced. */
  readonly afterCut: readonly [Content, Content];
}

/** @returns the code of the error with which an operation fails. @param n The number of operations before it. */
type Fault = (operation: string, n: number) => string | undefined | void;

/** A file under any name or none. The open descriptor keeps its number from being used for another file. */
interface Inode {
  readonly fd: number;
  /** The content at the last sync. */
  synced: Buffer;
}

/**
 * Real files in a temporary folder, with a journal of the operations that change or sync them. It knows what a power
 * cut leaves: of each file the content at its last sync, in each folder the names at its last sync. A file system may
 * write names earlier, so there are two answers. What was there before the first operation counts as synced.
 */
export class FakeFiles implements AsyncDisposable {
  readonly folder: string;
  readonly steps: Step[] = [];
  /** Makes operations fail before they have an effect. */
  fault: Fault = () => undefined;
  /** Most bytes of one write: the system may write less than it was asked to. */
  mostPerWrite = Infinity;
  readonly operations: FileOperations;
  readonly #inodes = new Map<number, Inode>();
  /** Reads wait for it. */
  readable: Promise<unknown> = Promise.resolve();
  /** The paths of handles that nobody has begun to close. */
  readonly open: string[] = [];
  /** Inode numbers by path. */
  #syncedNames = new Map<string, number>();
  #operationCount = 0;

  private constructor(folder: string) {
    this.folder = folder;
    const operations: { [Name in keyof FileOperations]: (...args: never[]) => Promise<unknown> } = {
      open: (path: string, flags: string | number, mode?: number) => this.#open(path, flags, mode),
      link: (from: string, to: string) => this.#perform(["link", from, to], () => link(from, to)),
      rename: (from: string, to: string) => this.#perform(["rename", from, to], () => rename(from, to)),
      rm: (path: string, options: object) => this.#perform(["rm", path], () => rm(path, options)),
    };
    this.operations = operations as FileOperations;
  }

  /** @param content The files that are there at first, by their paths below the folder. */
  static async create(content: Readonly<Record<string, string | Uint8Array>> = {}): Promise<FakeFiles> {
    const files = new FakeFiles(await mkdtemp(join(tmpdir(), "llmctl-files-")));
    for (const [path, data] of Object.entries(content)) {
      files.makeFolder(dirname(path));
      writeFileSync(files.join(path), data);
    }
    files.#syncedNames = files.#listNames();
    return files;
  }

  join(path: string): string {
    return join(this.folder, path);
  }

  makeFolder(path: string): void {
    mkdirSync(this.join(path), { recursive: true });
  }

  /** All operations that have succeeded. */
  get journal(): string[] {
    return this.steps.map(({ operation }) => operation);
  }

  /** What is in the files now. */
  read(): Content {
    return this.#contentOf(this.#listNames(), ({ fd }) => readWhole(fd));
  }

  /**
   * Cuts the power, and starts the machine again: what was not synced is gone. Handles from before are of no use.
   * @param keepsNames Whether the file system had written the names already.
   */
  cutPower({ keepsNames }: { readonly keepsNames: boolean }): void {
    const left = this.#afterCut(keepsNames);
    this.#forget();
    for (const path of listFiles(this.folder)) rmSync(path);
    for (const [path, content] of Object.entries(left)) writeFileSync(this.join(path), content, "latin1");
    this.#syncedNames = this.#listNames();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#forget();
    await rm(this.folder, { recursive: true, force: true });
  }

  #forget(): void {
    for (const { fd } of this.#inodes.values()) closeSync(fd);
    this.#inodes.clear();
  }

  async #open(path: string, flags: string | number, mode?: number): Promise<FileHandle> {
    const before = lstatSync(path, { throwIfNoEntry: false });
    // The first half of syncing a folder changes nothing.
    if (before?.isDirectory() === true) return this.#trace(await open(path, flags, mode), path);
    if (before?.isFile() === true) this.#know(path, before.ino);
    return this.#perform(["open", path], async () => {
      const file = await open(path, flags, mode);
      const { ino } = await file.stat();
      if (before === undefined) this.#inodes.set(ino, { fd: openSync(path, "r"), synced: Buffer.alloc(0) });
      return this.#trace(file, path);
    });
  }

  /** A handle whose changes are noted. */
  #trace(file: FileHandle, path: string): FileHandle {
    this.open.push(this.#describe(path));
    const traced: Partial<Record<string | symbol, unknown>> = {
      read: async (...args: Parameters<FileHandle["read"]>) => {
        await this.readable;
        return file.read(...args);
      },
      sync: () => this.#perform(["sync", path], () => this.#sync(file, path)),
      write: (bytes: Uint8Array, offset: number, length: number, position: number) =>
        this.#perform(["write", path], () => file.write(bytes, offset, Math.min(length, this.mostPerWrite), position)),
      appendFile: (data: string) => this.#perform(["write", path], () => file.appendFile(data)),
      writeFile: (data: string) => this.#perform(["write", path], () => file.writeFile(data)),
      truncate: (length: number) => this.#perform(["truncate", path], () => file.truncate(length)),
      chmod: (mode: number) => this.#perform(["chmod", path], () => file.chmod(mode)),
      chown: (uid: number, gid: number) => this.#perform([`chown ${uid}:${gid}`, path], () => file.chown(uid, gid)),
    };
    traced["close"] = async () => {
      this.open.splice(this.open.indexOf(this.#describe(path)), 1);
      await file.close();
    };
    return new Proxy(file, {
      get: (_, key) => {
        const value: unknown = traced[key] ?? Reflect.get(file, key);
        return typeof value === "function" ? value.bind(file) : value;
      },
    });
  }

  async #perform<T>([verb = "", ...paths]: readonly string[], action: () => Promise<T>): Promise<T> {
    const operation = [verb, ...paths.map((path) => this.#describe(path))].join(" ");
    const code = this.fault(operation, this.#operationCount++);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected into "${operation}"`), { code });
    const result = await action();
    this.steps.push({ operation, afterCut: [this.#afterCut(false), this.#afterCut(true)] });
    return result;
  }

  /** Without the random part of temporary names. */
  #describe(path: string): string {
    return (relative(this.folder, path) || ".").replace(/\.\d+-[0-9a-f]{8}\.tmp$/, ".tmp");
  }

  async #sync(file: FileHandle, path: string): Promise<void> {
    await file.sync();
    const info = await file.stat();
    if (info.isDirectory()) {
      for (const known of this.#syncedNames.keys()) if (dirname(known) === path) this.#syncedNames.delete(known);
      for (const [known, ino] of this.#listNames()) if (dirname(known) === path) this.#syncedNames.set(known, ino);
      return;
    }
    const inode = this.#inodes.get(info.ino);
    if (inode !== undefined) inode.synced = readWhole(inode.fd);
  }

  /** A file that others have written counts as synced. */
  #know(path: string, ino: number): void {
    if (this.#inodes.has(ino)) return;
    const fd = openSync(path, "r");
    this.#inodes.set(ino, { fd, synced: readWhole(fd) });
  }

  #listNames(): Map<string, number> {
    const names = new Map<string, number>();
    for (const path of listFiles(this.folder)) {
      const { ino } = lstatSync(path);
      this.#know(path, ino);
      names.set(path, ino);
    }
    return names;
  }

  #afterCut(keepsNames: boolean): Content {
    return this.#contentOf(keepsNames ? this.#listNames() : this.#syncedNames, ({ synced }) => synced);
  }

  #contentOf(names: ReadonlyMap<string, number>, read: (inode: Inode) => Buffer): Content {
    const entries = [...names].map(([path, ino]) => {
      const inode = this.#inodes.get(ino);
      return [this.#describe(path), inode === undefined ? "" : read(inode).toString("latin1")];
    });
    return Object.fromEntries(entries) as Content;
  }
}

function listFiles(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function readWhole(fd: number): Buffer {
  const content = Buffer.alloc(fstatSync(fd).size);
  readSync(fd, content, 0, content.length, 0);
  return content;
}
