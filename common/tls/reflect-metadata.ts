/**
 * The three functions of the reflect-metadata proposal that @peculiar/x509's dependency container calls when it
 * loads; it refuses to load without them. Import this before it. Gives up what nobody here uses: inheritance
 * and metadata of single properties.
 */
const store = new WeakMap<object, Map<unknown, unknown>>();

const polyfill = {
  getMetadata: (key: unknown, target: object) => store.get(target)?.get(key),
  getOwnMetadata: (key: unknown, target: object) => store.get(target)?.get(key),
  defineMetadata(key: unknown, value: unknown, target: object) {
    const metadata = store.get(target) ?? new Map<unknown, unknown>();
    store.set(target, metadata.set(key, value));
  },
};

for (const [name, implementation] of Object.entries(polyfill))
  if (!(name in Reflect)) Object.defineProperty(Reflect, name, { value: implementation, configurable: true });
