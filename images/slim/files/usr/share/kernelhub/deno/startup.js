// Run in every Deno kernel before the first cell. What cells see beyond plain Deno:
// `require` for Node's built-in modules and for packages below /workspace.
{
  const { createRequire } = process.getBuiltinModule("node:module");
  let require;
  Object.defineProperty(globalThis, "require", {
    configurable: true,
    enumerable: false,
    get: () => require ??= createRequire("file:///workspace/cell.cjs"),
    set: (value) => {
      Object.defineProperty(globalThis, "require", { configurable: true, writable: true, value });
    },
  });
}
