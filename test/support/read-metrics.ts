import parse from "parse-prometheus-text-format";

/** The samples of a Prometheus text, read by an independent parser. */
export class Samples {
  readonly #metrics: ReturnType<typeof parse>;

  constructor(text: string) {
    this.#metrics = parse(text);
  }

  get names(): string[] {
    return this.#metrics.map(({ name }) => name);
  }

  /** The value of the only sample with these labels; undefined when there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const samples = this.#metrics.find((metric) => metric.name === name)?.metrics ?? [];
    const matching = samples.filter((sample) =>
      Object.entries(labels).every(([key, value]) => sample.labels?.[key] === value),
    );
    if (matching.length > 1) throw new Error(`${name} has ${matching.length} samples with ${JSON.stringify(labels)}`);
    return matching[0]?.value === undefined ? undefined : Number(matching[0].value);
  }
}

/** The answer of a metrics port. */
export async function scrape(port: number): Promise<Samples> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!response.ok) throw new Error(`the metrics port answered ${response.status}`);
  return new Samples(await response.text());
}
