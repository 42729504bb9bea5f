/**
 * Addresses as Kubernetes' variables give them: `http://$(X_SERVICE_HOST):$(X_SERVICE_PORT)` is `http://fd00::1:5001`
 * in an IPv6 cluster, where a URL needs `http://[fd00::1]:5001`. What stands after the last colon is the port.
 */
const BARE_IPV6 = /^([a-z][a-z0-9+.-]*:\/\/)?([0-9a-f]*:[0-9a-f:]*(?:\d+\.\d+\.\d+\.\d+)?):(\d+)(?=\/|$)/i;

/** `fd00::1:5001` → `[fd00::1]:5001`, with or without a scheme and a path; everything else stays as it is. */
export function withBrackets(address: string): string {
  return address.replace(BARE_IPV6, (_, scheme: string | undefined, host: string, port: string) => {
    return `${scheme ?? ''}[${host}]:${port}`;
  });
}
