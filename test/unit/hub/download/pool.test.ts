import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Pool } from "../../../../src/hub/download/pool.ts";

/** Each user says what it got, and gives it back when it is told to. */
function startUsers(
  pool: Pool<string>,
  count: number,
): { events: string[]; end: (() => void)[]; all: Promise<unknown> } {
  const events: string[] = [];
  const end: (() => void)[] = [];
  const uses = Array.from({ length: count }, (_, i) =>
    pool.use(async (resource) => {
      events.push(`${i} has ${resource}`);
      await new Promise<void>((resolve) => (end[i] = resolve));
    }),
  );
  return { events, end, all: Promise.all(uses) };
}

function makePool(size: number): { pool: Pool<string>; made: () => number } {
  let made = 0;
  return { pool: new Pool(size, () => `buffer ${(made += 1)}`), made: () => made };
}

test("a pool makes a resource when none is free, up to its size", async () => {
  const { pool, made } = makePool(3);
  expect(made()).toBe(0);
  await pool.use(async () => {});
  await pool.use(async () => {});
  expect(made()).toBe(1);
  const { events, end, all } = startUsers(pool, 2);
  await nextTurn();
  expect(events).toEqual(["0 has buffer 1", "1 has buffer 2"]);
  for (const each of end) each();
  await all;
  expect(made()).toBe(2);
});

test("who comes when all are in use gets the next free one, in the order of coming", async () => {
  const { pool } = makePool(2);
  const { events, end, all } = startUsers(pool, 4);
  await nextTurn();
  expect(events).toEqual(["0 has buffer 1", "1 has buffer 2"]);
  for (const next of [1, 0, 2, 3]) {
    end[next]?.();
    await nextTurn();
  }
  await all;
  expect(events).toEqual(["0 has buffer 1", "1 has buffer 2", "2 has buffer 2", "3 has buffer 1"]);
});

test("a resource is free again after an action that fails, whose error is told", async () => {
  const { pool, made } = makePool(1);
  const failing = pool.use(async () => {
    await nextTurn();
    throw new Error("broken");
  });
  const next = pool.use(async (resource) => resource);
  await expect(failing).rejects.toThrow("broken");
  expect(await next).toBe("buffer 1");
  await expect(pool.use(() => Promise.reject(new Error("again")))).rejects.toThrow("again");
  expect(await pool.use(async (resource) => resource)).toBe("buffer 1");
  expect(made()).toBe(1);
});
