// What a browser has and jsdom has not.
const nothing = () => undefined;

Object.defineProperty(globalThis, 'matchMedia', {
  value: () => ({ matches: false, addEventListener: nothing }),
});
Object.defineProperty(globalThis, 'ResizeObserver', {
  value: class {
    observe = nothing;
    unobserve = nothing;
    disconnect = nothing;
  },
});
// Whatever is drawn is drawn nowhere.
const paper: unknown = new Proxy(function () {}, {
  construct: () => paper as object,
  get: () => paper,
  set: () => true,
  apply: () => paper,
});
Object.defineProperty(HTMLCanvasElement.prototype, 'getContext', { value: () => paper });
Object.defineProperty(globalThis, 'Path2D', { value: paper });
