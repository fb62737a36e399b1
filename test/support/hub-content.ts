import { createHash } from "node:crypto";

const blockBytes = 2 ** 20;

/** Bytes from a seed, made quickly; no two mebibytes of them are equal. */
export function makeContent(sizeBytes: number, seed: string): Buffer {
  const random = Array.from({ length: blockBytes / 32 }, (_, i) => createHash("sha256").update(`${seed}${i}`).digest());
  const block = Buffer.concat(random);
  const content = Buffer.alloc(sizeBytes, block);
  for (let start = 0; start + 8 <= sizeBytes; start += blockBytes) content.writeDoubleLE(start, start);
  return content;
}

/** Numbers from 0 to 1 from a seed. */
export function randomNumbers(count: number, seed: number): number[] {
  return Array.from(
    { length: count },
    (_, i) => createHash("sha256").update(`${seed} ${i}`).digest().readUInt32LE() / 2 ** 32,
  );
}
