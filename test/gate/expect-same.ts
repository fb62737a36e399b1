import { expect } from "vitest";
import type { Comparison } from "./compare-with-server.ts";

/** Expects that the gate predicts the server's behaviour, and accepts a pair only if the server drafts. */
export function expectSame({ gate, server }: Comparison): void {
  const account = gate.verdict === "on" ? gate.llamaCpp : `${gate.llamaCpp}: ${gate.reason}`;
  expect(server.outcome, `the gate says "${account}", the server shows "${server.evidence}"`).toBe(gate.llamaCpp);
  if (gate.verdict === "on") expect(server.outcome).toBe("drafts");
}

/** Whether llama.cpp's own check accepts a pair that the gate refuses. */
export function isStricter({ gate }: Comparison): boolean {
  return gate.verdict !== "on" && (gate.llamaCpp === "breaks-requests" || gate.llamaCpp === "drafts");
}
