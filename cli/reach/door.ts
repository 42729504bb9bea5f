/** The way to a part of an installation, as the commands use it, and where each part is found. */
export interface Door {
  /** For errors: where it leads. */
  readonly name: string;
  /** Never follows a redirect. @throws Error naming the address when nothing answers */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** A part as it is found; `admin` is the proxy's port of metrics and dead letters, which no Service has. */
export interface PartAddress {
  readonly component: 'proxy' | 'scaler';
  readonly port: number;
  /** The flag that names its address. */
  readonly flag: string;
  readonly hasService: boolean;
}

export const PARTS = {
  proxy: { component: 'proxy', port: 5000, flag: '--proxy-url', hasService: true },
  admin: { component: 'proxy', port: 5003, flag: '--admin-url', hasService: false },
  scaler: { component: 'scaler', port: 5001, flag: '--scaler-url', hasService: true },
} as const satisfies Record<string, PartAddress>;
