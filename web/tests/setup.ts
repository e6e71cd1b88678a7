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
