import { link, open, rename, rm } from "node:fs/promises";

/** The file operations whose order decides what a crash leaves. Tests pass some that fail, or that lose their power. */
export type FileOperations = typeof nodeFiles;

export const nodeFiles = { open, link, rename, rm };
