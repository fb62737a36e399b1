/**
 * The order in which to stop profiles: one group after the other, those of a group at the same time.
 * @param dependencies The names that each running profile depends on.
 * @returns the names in groups. A profile that depends on another one is in an earlier group, also where a profile
 *   that is not to be stopped is between the two.
 */
export function stopOrder(
  names: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly (readonly string[])[] {
  const groups: string[][] = [];
  let left = [...new Set(names)];
  while (left.length > 0) {
    const needed = new Set(left.flatMap((name) => [...reach(name, dependencies)]));
    const free = left.filter((name) => !needed.has(name));
    // Profiles that were edited between their starts can depend on each other in a circle; then no order is right.
    const group = free.length > 0 ? free : left;
    groups.push(group);
    left = left.filter((name) => !group.includes(name));
  }
  return groups;
}

/** The order in which to start the same profiles one at a time: each after those that it depends on. */
export function startOrder(
  names: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  return stopOrder(names, dependencies).toReversed().flat();
}

/** All that a profile depends on, directly or not; itself only in a circle. */
function reach(name: string, dependencies: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (one: string) => {
    for (const dependency of dependencies.get(one) ?? []) {
      if (found.has(dependency)) continue;
      found.add(dependency);
      visit(dependency);
    }
  };
  visit(name);
  return found;
}

/** Running profiles that depend on one of these, directly, and are not among them. */
export function findDependents(
  names: readonly string[],
  dependencies: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const needing = [...dependencies].filter(([, needed]) => needed.some((name) => names.includes(name)));
  return needing.map(([name]) => name).filter((name) => !names.includes(name));
}
