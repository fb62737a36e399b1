import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a program of the build says to a command line that has all of these words. */
export interface Reply {
  readonly when: string;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
}

/**
 * A folder with programs of llama.cpp that are shell scripts: each is accepted as a program, and answers in
 * milliseconds. A command line gets the first reply whose words it has; without one the program succeeds in silence.
 */
export class FakeBuild implements Disposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "llmctl-build-")));
  readonly server = join(this.folder, "llama-server");

  constructor(replies: readonly Reply[] = []) {
    this.put("llama-server", replies);
  }

  /** Adds or replaces a program. @returns its path. */
  put(name: string, replies: readonly Reply[] = []): string {
    const path = join(this.folder, name);
    writeFileSync(path, script(path, replies), { mode: 0o755 });
    return path;
  }

  /** The command lines that a program was started with. */
  asked(name = "llama-server"): string[] {
    try {
      return readFileSync(`${join(this.folder, name)}.asked`, "utf8")
        .split("\n")
        .slice(0, -1);
    } catch {
      return [];
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function script(path: string, replies: readonly Reply[]): string {
  const cases = replies.map(({ when, stdout = "", stderr = "", exitCode = 0 }, index) => {
    const said = [stdout, stderr].map((text, stream) => {
      if (text === "") return "";
      const file = `${path}.${index}.${stream}`;
      writeFileSync(file, text);
      return `/bin/cat '${file}' >&${stream + 1}\n`;
    });
    return `case " $* " in ${`*${quote(` ${when} `)}*`})\n${said.join("")}exit ${exitCode} ;; esac\n`;
  });
  return `#!/bin/sh\necho "$*" >>'${path}.asked'\n${cases.join("")}exit 0\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
