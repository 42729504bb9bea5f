/** Ports and peers whose connections are no use of the function: scrapers, for example. */
import { BlockList, isIP } from 'node:net';

export interface Ignored {
  hasPort(port: number): boolean;
  hasPeer(address: string): boolean;
}

/** Reads `:9100`, `10.1.2.3`, `10.1.0.0/16`, `fd00::/8`; the webhook has checked them, and what is none of these is passed over. */
export function parseIgnored(items: readonly string[]): Ignored {
  const ports = new Set<number>();
  const peers = new BlockList();
  let hasPeers = false;
  for (const item of items) {
    if (item.startsWith(':')) ports.add(Number(item.slice(1)));
    else hasPeers = addPeer(peers, item) || hasPeers;
  }
  return {
    hasPort: (port) => ports.has(port),
    hasPeer: (address) => hasPeers && peers.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'),
  };
}

function addPeer(peers: BlockList, item: string): boolean {
  const [address = '', prefix] = item.split('/');
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  try {
    if (prefix === undefined) peers.addAddress(address, family);
    else peers.addSubnet(address, Number(prefix), family);
    return true;
  } catch {
    return false;
  }
}
