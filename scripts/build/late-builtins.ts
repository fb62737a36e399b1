import type { Plugin } from "rolldown";

/**
 * Modules of Node whose functions most commands import and few call. Loading `node:child_process` alone costs a tenth
 * of a bare start of Node, because it loads the network too.
 */
const builtins = ["node:child_process", "node:crypto", "node:http", "node:https"];
const late = "\0late:";

/**
 * Loads these modules when one of their functions is first called; libraries other than commander get them as usual.
 */
export function lateBuiltins(): Plugin {
  return {
    name: "late-builtins",
    resolveId: (source, importer = "") =>
      builtins.includes(source) && /\/src\/|\/node_modules\/commander\//.test(importer)
        ? `${late}${source}`
        : undefined,
    load: (id) => (id.startsWith(late) ? wrapFunctions(id.slice(late.length)) : undefined),
  };
}

/** Importing a class or a constant fails the build, because the module has no such export. */
function wrapFunctions(builtin: string): string {
  const names = Object.entries(process.getBuiltinModule(builtin) ?? {})
    .filter(([name, value]) => typeof value === "function" && /^[a-z]/.test(name))
    .map(([name]) => name);
  const exports = names.map((name) => `export const ${name} = /* @__PURE__ */ wrap((own) => own.${name});`);
  return [`const load = () => process.getBuiltinModule("${builtin}");`, wrapper, ...exports].join("\n");
}

/** `promisify` asks some functions, such as `execFile`, for a form of their own. */
const wrapper = `
  const promisified = Symbol.for("nodejs.util.promisify.custom");
  function wrap(pick) {
    const wrapped = (...args) => pick(load())(...args);
    return Object.defineProperty(wrapped, promisified, { get: () => pick(load())[promisified] });
  }`;
