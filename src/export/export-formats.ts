/** The formats of `llmctl export`; each has a file of its name beside this one. */
export const exportFormats = ["quadlet", "compose", "kubernetes"] as const;

export type ExportFormat = (typeof exportFormats)[number];
