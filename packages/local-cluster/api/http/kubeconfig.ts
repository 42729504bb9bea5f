/** The file that kubectl and client libraries read. */
import { stringify } from 'yaml';

export interface KubeconfigParts {
  readonly url: string;
  readonly caPem: string;
  readonly user: string;
  readonly token: string;
}

export function kubeconfig({ url, caPem, user, token }: KubeconfigParts): string {
  const name = 'slimfaas-local';
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': name,
      clusters: [
        {
          name,
          cluster: { server: url, 'certificate-authority-data': Buffer.from(caPem).toString('base64') },
        },
      ],
      users: [{ name: user, user: { token } }],
      contexts: [{ name, context: { cluster: name, user, namespace: 'default' } }],
    },
    { lineWidth: 0 },
  );
}
