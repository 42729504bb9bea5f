/**
 * What a run of the cluster tests is told by its environment (docs/internals/cluster-tests.md lists it), and what its runner tells
 * the test files. Read here and nowhere else.
 */
import { VERSION } from '../../../common/runtime/version.ts';

export interface Settings {
  /** Commands with their first arguments: `['kubectl']`, `['kubectl', '--context', 'kind-test']`. */
  readonly kubectl: readonly string[];
  readonly helm: readonly string[];
  /** Repository and tag of the image under test, and of the demo's. */
  readonly image: string;
  readonly demoImage: string;
  /** Files of chart values that are added, for what a cluster needs: a storage class, pull secrets. */
  readonly values: readonly string[];
  /** Every namespace of the run begins with it. */
  readonly prefix: string;
  /** Nobody else uses the cluster: cases may cordon nodes and serve all namespaces. */
  readonly isExclusive: boolean;
  /** A command that stops and starts parts of the cluster; empty: there is none. */
  readonly faults: readonly string[];
  /** Chart and image of the release before this one; empty: upgrades are not tested. */
  readonly previousChart: string;
  readonly previousImage: string;
  /** How many cold starts a measurement takes. */
  readonly samples: number;
  /** How often the files of which a case failed are run again. */
  readonly repeats: number;
  /** Leave everything in the cluster, for a look at it. */
  readonly isKept: boolean;
}

const { env } = process;
const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

export function readSettings(): Settings {
  return {
    kubectl: words(env['CLUSTER_KUBECTL'] ?? 'kubectl'),
    helm: words(env['CLUSTER_HELM'] ?? 'helm'),
    image: env['CLUSTER_IMAGE'] ?? `slimfaas/slimfaas:${VERSION}`,
    demoImage: env['CLUSTER_DEMO_IMAGE'] ?? `slimfaas/slimfaas-demo:${VERSION}`,
    values: words(env['CLUSTER_VALUES'] ?? ''),
    prefix: env['CLUSTER_PREFIX'] ?? `slimfaas-test-${Math.random().toString(36).slice(2, 7)}`,
    isExclusive: env['CLUSTER_EXCLUSIVE'] === '1',
    faults: words(env['CLUSTER_FAULTS'] ?? ''),
    previousChart: env['CLUSTER_PREVIOUS_CHART'] ?? '',
    previousImage: env['CLUSTER_PREVIOUS_IMAGE'] ?? '',
    samples: Number(env['CLUSTER_SAMPLES'] ?? 5),
    repeats: Math.min(2, Number(env['CLUSTER_REPEATS']) || 0),
    isKept: env['CLUSTER_KEEP'] === '1',
  };
}

/** What the runner hands to each test file. */
export interface RunContext {
  readonly settings: Settings;
  /** `kubectl proxy`: the API server without TLS and credentials. */
  readonly apiUrl: string;
  /** A folder of the run: built code, and what one file leaves for the next. */
  readonly folder: string;
}

export function readContext(): RunContext {
  const text = env['CLUSTER_RUN_CONTEXT'];
  if (text === undefined) throw new Error('cluster tests are started by `npm run test:cluster`');
  return JSON.parse(text) as RunContext;
}
