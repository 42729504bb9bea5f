/** Faults of `slimfaas.dev/hosts`: what may not be claimed here, and what an older function has. */
import { HostPolicy, HostTable, type HostOwner } from '../../common/function/hosts.ts';
import { ANNOTATION } from '../../common/function/annotations/index.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { FunctionInfo, HostRule } from '../../common/function/spec.ts';
import type { WorldView } from '../world/world.ts';
import { invalidValue, type Fault } from './faults.ts';

export type HostFaults = (fn: FunctionInfo) => readonly Fault[];

export function hostFaults(
  world: Pick<WorldView, 'specVersion' | 'workloads'>,
  policy = new HostPolicy([]),
): HostFaults {
  let version = -1;
  let table = new HostTable<HostOwner>(policy);
  const owners = new Map<string, HostOwner>();
  const read = () => {
    if (version === world.specVersion) return;
    version = world.specVersion;
    table = new HostTable<HostOwner>(policy);
    owners.clear();
    for (const { key, fn } of world.workloads()) {
      if (!fn || fn.spec.hosts.length === 0) continue;
      const owner = { id: fn.id, createdAtMs: fn.createdAtMs, hosts: fn.spec.hosts };
      owners.set(key, owner);
      table.add(owner);
    }
  };
  const problemOf = (owner: HostOwner, rule: HostRule): string | undefined => {
    const { namespace } = owner.id;
    if (!policy.allows(namespace, rule.host))
      return `namespace ${namespace} may not claim it; --function-hosts of proxy and scaler says what may be claimed`;
    const first = table.ownerBefore(owner, rule);
    return first && `${first.id.name}.${first.id.namespace} has it, which is older`;
  };
  return (fn) => {
    if (fn.spec.hosts.length === 0) return [];
    read();
    const owner = owners.get(functionKey(fn.id));
    return fn.spec.hosts.flatMap((rule): Fault[] => {
      const problem = owner && problemOf(owner, rule);
      if (problem === undefined) return [];
      const claim = JSON.stringify(rule.prefix === '/' ? rule.host : rule.host + rule.prefix);
      return [invalidValue(`${ANNOTATION.hosts}: ${claim}: ${problem}; in force: ignored`)];
    });
  };
}
