/**
 * What a sidecar needs to show who it is: the pod's token of our audience, which only its own container mounts, the
 * webhook's proof of the function, and where the issuer is. And by what it knows proxies. Pure.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { SidecarFlagName } from '../../common/function/sidecar-flags.ts';
import { envName } from '../../common/runtime/flags.ts';
import { TOKEN_AUDIENCE } from '../../common/identity/messages.ts';
import type { V1Container, V1Pod, V1PodSpec } from '../../common/kube/client.ts';
import { literal } from './literal.ts';

export interface Granted {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly function: string;
}

export interface InjectedIdentity {
  readonly auth: 'permissive' | 'required';
  readonly issuer: string;
  readonly issuerAddress: string | undefined;
  /** CA certificates, PEM. */
  readonly ca: string;
  readonly grantFor: (granted: Granted) => string;
}

export interface InjectedProof {
  readonly mode: 'permissive' | 'required';
  readonly publicKeys: readonly string[];
}

/** Changes the container in place. Nothing of it is secret. */
export function giveProof(sidecar: V1Container, { mode, publicKeys }: InjectedProof): void {
  setVariables(sidecar, { 'proxy-proof': mode, 'proxy-keys': publicKeys.join(',') });
}

const VOLUME = 'slimfaas-identity';
const MOUNT = { name: VOLUME, mountPath: '/var/run/secrets/slimfaas.dev/identity', readOnly: true };
/** The kubelet puts a new one there when a fifth of it is left. */
const SIDECAR_TOKEN_SECONDS = 3_600;

/**
 * Changes the pod in place; what is as it should be stays.
 * @param id as the webhook knows it from the pod's owner, whatever the pod says
 */
export function giveIdentity(
  pod: V1Pod,
  sidecar: V1Container,
  id: FunctionId,
  options: InjectedIdentity,
): void {
  const serviceAccount = pod.spec?.serviceAccountName || 'default';
  setVariables(sidecar, {
    auth: options.auth,
    issuer: options.issuer,
    'issuer-address': options.issuerAddress,
    'issuer-ca': options.ca,
    // Named although it is the default: where pods share a file system, paths in the environment are translated.
    'token-file': `${MOUNT.mountPath}/token`,
    grant: options.grantFor({ namespace: id.namespace, serviceAccount, function: id.name }),
  });
  if (!sidecar.volumeMounts?.some(({ name }) => name === VOLUME))
    sidecar.volumeMounts = [...(sidecar.volumeMounts ?? []), MOUNT];
  if (pod.spec) addVolume(pod.spec);
}

function setVariables(
  sidecar: V1Container,
  values: { readonly [F in SidecarFlagName]?: string | undefined },
): void {
  const env = (sidecar.env ??= []);
  for (const [flag, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const name = envName(flag);
    const known = env.find((variable) => variable.name === name);
    if (known) known.value = literal(value);
    else env.push({ name, value: literal(value) });
  }
}

function addVolume(spec: V1PodSpec): void {
  if (spec.volumes?.some(({ name }) => name === VOLUME)) return;
  const serviceAccountToken = {
    audience: TOKEN_AUDIENCE,
    expirationSeconds: SIDECAR_TOKEN_SECONDS,
    path: 'token',
  };
  const projected = { defaultMode: 420, sources: [{ serviceAccountToken }] };
  spec.volumes = [...(spec.volumes ?? []), { name: VOLUME, projected }];
}
