declare module "parse-prometheus-text-format" {
  interface ParsedMetric {
    readonly name: string;
    readonly type: string;
    readonly metrics: readonly { readonly value?: string; readonly labels?: Readonly<Record<string, string>> }[];
  }
  const parse: (text: string) => ParsedMetric[];
  export = parse;
}
