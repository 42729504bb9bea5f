/**
 * Images as processes: the name of an image (without registry and tag) stands for a command on this machine. All pods
 * share one kernel network and one loopback interface. So each process must listen on its own pod's address and never
 * on 0.0.0.0, where the second pod would find its port taken. What makes a program do that (a variable, a flag) is in
 * this table too, and manifests need not know it.
 */

export interface Image {
  /** What the image's own ENTRYPOINT would be; a container's `command` takes its place. */
  readonly entrypoint: readonly string[];
  /** Set last, over whatever the manifest says. */
  readonly env: (podIp: string) => Record<string, string>;
  /** Appended to the arguments, whatever the command. */
  readonly extraArgs: (podIp: string) => readonly string[];
}

export interface ImageOptions {
  /** Runs `slimfaas <part>`: Node and the bundle, or Node and the source. */
  readonly slimfaas?: readonly string[];
  readonly demo?: readonly string[];
  /** More images by name, for tests: the process gets HOST=<pod's address>. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  /** Given to every `slimfaas` process, such as NODE_COMPILE_CACHE. */
  readonly slimfaasEnv?: Readonly<Record<string, string>>;
}

export interface ImageTable {
  /** Undefined: no such image, a pull fails. */
  find(image: string): Image | undefined;
}

/** `registry:5000/team/app:1.2@sha256:…` → `app`. */
export function imageName(image: string): string {
  const path = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return path.slice(path.lastIndexOf('/') + 1);
}

export function createImageTable(options: ImageOptions): ImageTable {
  const table = new Map<string, Image>();
  for (const [name, entrypoint] of Object.entries(options.extra ?? {})) table.set(name, plain(entrypoint));
  if (options.demo) table.set('slimfaas-demo', plain(options.demo));
  if (options.slimfaas) table.set('slimfaas', slimfaas(options.slimfaas, options.slimfaasEnv ?? {}));
  table.set('nats', {
    entrypoint: ['nats-server'],
    env: () => ({}),
    extraArgs: (podIp) => ['--addr', podIp],
  });
  return { find: (image) => table.get(imageName(image)) };
}

/** For an image that is not in the table but whose container says what to run. */
export const UNKNOWN_IMAGE: Image = plain([]);

function plain(entrypoint: readonly string[]): Image {
  return { entrypoint, env: (podIp) => ({ HOST: podIp }), extraArgs: () => [] };
}

function slimfaas(entrypoint: readonly string[], env: Readonly<Record<string, string>>): Image {
  return {
    entrypoint,
    // The sidecar reaches the user's container over its pod's address: 127.0.0.1 is everybody's here.
    env: (podIp) => ({ ...env, SLIMFAAS_HOST: podIp, SLIMFAAS_APP_HOST: podIp, SLIMFAAS_POD_IP: podIp }),
    extraArgs: () => [],
  };
}
