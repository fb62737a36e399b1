/**
 * The order of one round: turned every second time (ABBA), so that a machine that gets slower slows all alike; with
 * more than two contestants, each also takes each place.
 */
export function orderOf(labels: readonly string[], round: number): readonly string[] {
  const shift = labels.length < 3 ? 0 : Math.floor(round / 2) % labels.length;
  const turned = [...labels.slice(shift), ...labels.slice(0, shift)];
  return round % 2 === 0 ? turned : turned.toReversed();
}
