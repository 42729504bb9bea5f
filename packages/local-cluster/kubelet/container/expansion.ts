/**
 * `$(VAR)` as Kubernetes expands it in command, args and env, and mount paths as this kubelet rewrites them.
 * Pure.
 */

/** `$(NAME)` with a known name is replaced; an unknown one stays as it is; `$$` is a plain `$`. */
export function expandVariables(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$';
    return Object.hasOwn(variables, name) ? (variables[name] as string) : whole;
  });
}

export interface Mount {
  readonly mountPath: string;
  readonly hostPath: string;
}

/** What may stand before a path for it to be taken for one: `--dir=/data`, `a:/data`, `cp "/data/x" …`. */
const BEFORE = String.raw`(^|[=:,\s"'])`;
const AFTER = String.raw`(?=$|[/:,;\s"'])`;

/**
 * There is no mount namespace: a path that lies in one of the container's mounts is replaced by the host's
 * folder. Only whole path prefixes count, so `/data` changes `/data/x` and never `/database`.
 */
export function rewritePaths(text: string, mounts: readonly Mount[]): string {
  if (mounts.length === 0 || !text.includes('/')) return text;
  // Longest first, in one pass: what one mount has put in is never looked at again.
  const paths = mounts
    .map((mount) => [mount.mountPath.replace(/\/+$/, ''), mount.hostPath] as const)
    .filter(([path]) => path !== '')
    .toSorted((a, b) => b[0].length - a[0].length);
  const hosts = new Map(paths);
  const any = paths.map(([path]) => path.replaceAll(/[^\w/]/g, String.raw`\$&`)).join('|');
  const pattern = new RegExp(`${BEFORE}(${any})${AFTER}`, 'g');
  return text.replaceAll(pattern, (_, before: string, path: string) => before + (hosts.get(path) ?? path));
}
